"""The made-up market: what it looks like, and that it always looks the same."""

from __future__ import annotations

import hashlib
import math
import os
import statistics
import subprocess
import sys
from decimal import Decimal
from itertools import pairwise

import pytest

from wrappy.errors import ConfigError
from wrappy.model import Market
from wrappy.protocol.markets import BUNDLED_MARKETS, find_market
from wrappy.venue.events import SetIndexPrice, SetLevel, Take
from wrappy.venue.flow import (
    BOOK_LEVELS,
    DEFAULT_PRICES,
    FALLBACK_PRICE,
    MergedFlow,
    SyntheticFlow,
    merge,
)

ETH = find_market(BUNDLED_MARKETS, symbol="ETH")
BTC = find_market(BUNDLED_MARKETS, symbol="BTC")
MINUTE_US = 60_000_000
GOLDEN = "6cc53b5cad269d93209b41eca50abc2592319f200b9e70cbb4615a651a4c48cd"


class Book:
    """What somebody sees who only looks at the flow's levels."""

    def __init__(self):
        self.sides = ({}, {})

    def apply(self, action):
        if isinstance(action, SetLevel):
            side = self.sides[action.is_ask]
            if action.base:
                side[action.price] = action.base
            else:
                del side[action.price]

    @property
    def best(self):
        return max(self.sides[0], default=0), min(self.sides[1], default=math.inf)


class Scripted:
    """A flow that plays what it is told."""

    def __init__(self, schedule):
        self.schedule = list(schedule)

    def next_at_us(self):
        return self.schedule[0][0] if self.schedule else None

    def step(self, now_us):
        due = []
        while self.schedule and self.schedule[0][0] <= now_us:
            due.append(self.schedule.pop(0)[1])
        return due


def digest(actions):
    return hashlib.sha256(repr(actions).encode()).hexdigest()


def test_the_first_step_opens_a_full_book_an_index_price_and_a_trade_each_way():
    flow = SyntheticFlow(ETH, seed=1)
    assert flow.next_at_us() == 0
    actions = flow.step(0)
    assert actions[0] == SetIndexPrice(0, 310_000)
    book = Book()
    for action in actions:
        book.apply(action)
    assert [len(side) for side in book.sides] == [BOOK_LEVELS, BOOK_LEVELS]
    bid, ask = book.best
    assert 309_900 < bid < ask < 320_100
    takes = [action for action in actions if isinstance(action, Take)]
    assert [(take.is_ask, take.base) for take in takes] == [(False, 50), (True, 50)]
    assert actions[-2:] == takes
    assert flow.next_at_us() > 0


@pytest.mark.parametrize("market", BUNDLED_MARKETS, ids=lambda market: market.symbol)
def test_every_bundled_market_opens_near_its_price_with_a_tight_spread(market):
    book = Book()
    for action in SyntheticFlow(market, seed=1).step(0):
        book.apply(action)
    bid, ask = book.best
    price = market.price((bid + ask) // 2)
    assert abs(price / DEFAULT_PRICES[market.base_symbol] - 1) < Decimal("0.001")
    assert 0 < ask - bid <= max(1, ask // 10_000)


def test_an_unknown_symbol_opens_at_the_fallback_price():
    market = Market("NEWCOIN", 99, 3, 2)
    (index, *_) = SyntheticFlow(market, seed=1).step(0)
    assert market.price(index.price) == FALLBACK_PRICE


def test_a_start_price_is_rounded_to_the_tick():
    (index, *_) = SyntheticFlow(ETH, seed=1, start_price=Decimal("1234.567")).step(0)
    assert index.price == 123_457


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"events_per_s": 0}, "events_per_s"),
        ({"events_per_s": math.nan}, "events_per_s"),
        ({"events_per_s": math.inf}, "events_per_s"),
        ({"volatility": -0.1}, "volatility"),
        ({"volatility": math.nan}, "volatility"),
        ({"start_price": Decimal("0.99")}, "start_price"),
        ({"start_price": Decimal("1e9")}, "start_price"),
        ({"start_price": Decimal("NaN")}, "start_price"),
        ({"start_price": Decimal("Infinity")}, "start_price"),
    ],
)
def test_a_setting_that_cannot_work_is_named(arguments, word):
    with pytest.raises(ConfigError, match=word):
        SyntheticFlow(ETH, seed=1, **arguments)


def test_levels_grow_away_from_the_price():
    best, deepest = [], []
    for seed in range(30):
        book = Book()
        for action in SyntheticFlow(ETH, seed=seed).step(0):
            book.apply(action)
        bids = book.sides[0]
        best.append(bids[max(bids)])
        deepest.append(bids[min(bids)])
    assert statistics.mean(deepest) > 2 * statistics.mean(best)


def test_the_book_never_crosses_and_keeps_its_depth_for_an_hour():
    flow, book = SyntheticFlow(ETH, seed=7), Book()
    while flow.next_at_us() < 60 * MINUTE_US:
        for action in flow.step(flow.next_at_us()):
            book.apply(action)
            bid, ask = book.best
            assert bid < ask
        assert [len(side) for side in book.sides] == [BOOK_LEVELS, BOOK_LEVELS]


def test_events_arrive_at_the_asked_rate():
    flow = SyntheticFlow(ETH, seed=3, events_per_s=50)
    events = 0
    while flow.next_at_us() < 10 * MINUTE_US:
        flow.step(flow.next_at_us())
        events += 1
    assert abs(events / 30_000 - 1) < 0.05


def test_takers_come_on_both_sides_and_some_sweep_levels():
    actions = SyntheticFlow(ETH, seed=3).step(20 * MINUTE_US)
    takes = [action for action in actions if isinstance(action, Take)]
    sold = sum(take.is_ask for take in takes)
    assert len(takes) > 2_500
    assert 0.45 < sold / len(takes) < 0.55
    bases = sorted(take.base for take in takes)
    assert bases[0] >= ETH.min_base_amount
    assert bases[-1] > 10 * bases[len(bases) // 2]


def test_eaten_levels_are_stated_anew_at_the_next_event():
    flow = SyntheticFlow(ETH, seed=1, volatility=0)
    opening = flow.step(0)
    eaten = {
        (is_ask, pick(a.price for a in opening if is_level(a, is_ask=is_ask)))
        for is_ask, pick in ((False, max), (True, min))
    }
    stated = {
        (action.is_ask, action.price)
        for action in flow.step(flow.next_at_us())
        if isinstance(action, SetLevel)
    }
    assert eaten <= stated


def is_level(action, *, is_ask):
    return isinstance(action, SetLevel) and action.is_ask is is_ask


def test_a_sweep_restates_every_level_it_could_have_reached():
    flow = SyntheticFlow(ETH, seed=5, volatility=0)
    book = Book()
    for action in flow.step(0):
        book.apply(action)
    swept = 0
    while flow.next_at_us() < 20 * MINUTE_US:
        actions = flow.step(flow.next_at_us())
        for action in actions:
            book.apply(action)
        take = next((action for action in actions if isinstance(action, Take)), None)
        if take is None:
            continue
        makers = book.sides[not take.is_ask]
        reached, left = set(), take.base
        for price in sorted(makers, reverse=take.is_ask):
            reached.add(price)
            left -= makers[price]
            if left < 0:
                break
        swept = max(swept, len(reached))
        following = flow.step(flow.next_at_us())
        for action in following:
            book.apply(action)
        stated = {a.price for a in following if is_level(a, is_ask=not take.is_ask)}
        assert reached <= stated
    assert swept > 2


def test_the_mid_price_moves_with_the_asked_volatility():
    yearly = []
    for seed in range(3):
        flow = SyntheticFlow(ETH, seed=seed, events_per_s=0.4)
        minutes = []
        for minute in range(1, 481):
            actions = flow.step(minute * MINUTE_US)
            minutes.append(
                [a.price for a in actions if isinstance(a, SetIndexPrice)][-1]
            )
        returns = [math.log(after / before) for before, after in pairwise(minutes)]
        yearly.append(statistics.stdev(returns) * math.sqrt(365 * 1_440))
    assert 0.35 < statistics.mean(yearly) < 0.45


def test_no_volatility_keeps_the_price_where_it_opened():
    actions = SyntheticFlow(ETH, seed=1, volatility=0).step(MINUTE_US)
    assert {a.price for a in actions if isinstance(a, SetIndexPrice)} == {310_000}


def test_the_wildest_market_stays_within_the_wire_and_off_zero():
    market = Market("WILD", 9, 0, 0)
    flow = SyntheticFlow(
        market,
        seed=2,
        start_price=Decimal(100),
        volatility=10,
        events_per_s=0.001,
    )
    book = Book()
    lowest = math.inf
    for _ in range(20_000):
        for action in flow.step(flow.next_at_us()):
            book.apply(action)
            assert 0 < action.price < 2**32
            lowest = min(lowest, action.price)
    assert lowest < 50


def test_index_prices_come_at_most_twice_a_second():
    flow, times = SyntheticFlow(ETH, seed=1, events_per_s=100), []
    while flow.next_at_us() < MINUTE_US:
        at_us = flow.next_at_us()
        times += [at_us for a in flow.step(at_us) if isinstance(a, SetIndexPrice)]
    assert all(b - a >= 500_000 for a, b in pairwise(times))
    assert len(times) > 100


def test_the_same_seed_gives_the_same_market_however_it_is_stepped():
    whole = SyntheticFlow(ETH, seed=11).step(MINUTE_US)
    flow, stepped = SyntheticFlow(ETH, seed=11), []
    while flow.next_at_us() <= MINUTE_US:
        stepped += flow.step(flow.next_at_us())
    assert stepped == whole
    assert SyntheticFlow(ETH, seed=12).step(MINUTE_US) != whole
    assert SyntheticFlow(BTC, seed=11).step(MINUTE_US) != whole


def test_the_course_of_a_seed_is_fixed_once_and_for_all():
    # The same on every Python version; a new value here is a change users notice.
    actions = SyntheticFlow(ETH, seed=1).step(MINUTE_US)
    assert digest(actions) == GOLDEN


def test_hash_randomization_does_not_reach_the_market():
    program = (
        "import hashlib;"
        "from wrappy.protocol.markets import BUNDLED_MARKETS;"
        "from wrappy.venue.flow import SyntheticFlow;"
        "a = SyntheticFlow(BUNDLED_MARKETS[0], seed=1).step(60_000_000);"
        "print(hashlib.sha256(repr(a).encode()).hexdigest())"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }
    assert printed == {GOLDEN}


def test_a_step_before_the_next_event_returns_nothing():
    flow = SyntheticFlow(ETH, seed=1)
    flow.step(0)
    assert flow.step(flow.next_at_us() - 1) == []


def test_merged_flows_play_in_the_order_of_their_times():
    one, two, three, four = (SetIndexPrice(0, price) for price in (1, 2, 3, 4))
    flow = MergedFlow(
        [Scripted([(5, two), (30, four)]), Scripted([(0, one), (5, three)])]
    )
    assert flow.next_at_us() == 0
    assert flow.step(0) == [one]
    assert flow.step(10) == [two, three]
    assert flow.next_at_us() == 30
    assert flow.step(100) == [four]
    assert flow.next_at_us() is None
    assert flow.step(1_000) == []


def test_merging_markets_changes_neither():
    flow = merge([SyntheticFlow(ETH, seed=1), SyntheticFlow(BTC, seed=1)])
    actions = flow.step(MINUTE_US)
    for market in (ETH, BTC):
        alone = SyntheticFlow(market, seed=1).step(MINUTE_US)
        assert [a for a in actions if a.market_index == market.market_id] == alone


def test_merging_nothing_is_a_market_without_life():
    assert merge([]).next_at_us() is None
    assert merge([]).step(10) == []
