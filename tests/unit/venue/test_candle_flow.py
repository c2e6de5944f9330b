"""Candles as market life: paths, fills, time, and nothing from the future."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrappy._core.ledger import AccountLedger
from wrappy.errors import ConfigError
from wrappy.model import Candle, Market
from wrappy.protocol.tiers import TIERS
from wrappy.venue.accounts import Account, ApiKey, open_accounts
from wrappy.venue.candle_flow import CandleFlow
from wrappy.venue.clocks import SteppedClock
from wrappy.venue.engine import Engine
from wrappy.venue.events import PathPoint, PrintTrade, SetIndexPrice, TradeExecuted
from wrappy.venue.exchange import Exchange, Refused
from wrappy.venue.floor import Floor
from wrappy.venue.flow import merge
from wrappy.venue.replay import replay
from wrappy.venue.settings import VenueSettings

ETH = Market("ETH", 0, 2, 4)
MINUTE_MS = 60_000
MINUTE_US = 60_000_000
START_MS = 1_800_000_000_000
ALICE = 100
FOREVER_US = 10**15


def candle(minute, prices, volume="4", start_ms=START_MS):
    first, high, low, last = map(Decimal, prices.split())
    return Candle(
        start_ms=start_ms + minute * MINUTE_MS,
        open=first,
        high=high,
        low=low,
        close=last,
        base_volume=Decimal(volume),
        quote_volume=Decimal(0),
        last_trade_id=0,
        closed=True,
    )


def flow_of(*candles, **arguments):
    return CandleFlow(candles, ETH, resolution_ms=MINUTE_MS, **arguments)


def prices(flow):
    return [action.price for action in flow.step(FOREVER_US)]


@pytest.mark.parametrize(
    ("told", "path"),
    [
        ("100 101 98 99", [10_000, 10_100, 9_800, 9_900]),
        ("100 103 99 102", [10_000, 9_900, 10_300, 10_200]),
        ("100 102 98 101", [10_000, 9_800, 10_200, 10_100]),  # equally near
        ("100 102 98 99", [10_000, 10_200, 9_800, 9_900]),
        ("100 100 100 100", [10_000, 10_000, 10_000, 10_000]),
        ("100.004 100.005 100 100", [10_000, 10_000, 10_001, 10_000]),
    ],
)
def test_a_path_goes_to_the_nearer_extreme_first(told, path):
    assert prices(flow_of(candle(0, told))) == path


def test_a_path_may_have_more_points_and_keeps_its_corners():
    told = prices(flow_of(candle(0, "100 101 97 99"), points=10))
    assert told[:4] == [10_000, 10_033, 10_066, 10_100]
    assert told[4:] == [9_966, 9_833, 9_700, 9_766, 9_833, 9_900]


def test_points_lie_in_the_candles_own_time_and_the_close_at_its_end():
    flow = flow_of(candle(0, "100 101 99 100"), candle(3, "100 101 99 100"))
    times = []
    while (at_us := flow.next_at_us()) is not None:
        times.append(at_us)
        assert len(flow.step(at_us)) == 1
    assert times[:4] == [0, 20_000_000, 40_000_000, 59_999_999]
    assert [at_us - 3 * MINUTE_US for at_us in times[4:]] == [1, *times[1:4]]
    assert flow.begin_ms == START_MS


def test_the_volume_is_split_over_the_path_and_nothing_is_lost():
    flow = flow_of(candle(0, "100 101 99 100", volume="0.0011"))
    assert [action.base for action in flow.step(FOREVER_US)] == [2, 2, 2, 5]


def test_quotes_stand_around_the_path():
    flow = flow_of(
        candle(0, "100 100 100 100"), spread_ticks=3, slippage_ticks=2, depth=7
    )
    point = flow.step(0)[0]
    assert (point.bid, point.ask, point.depth) == (9_997, 10_004, 7)


def test_the_index_follows_only_if_asked_to():
    flow = flow_of(candle(0, "100 100 100 100"), index=True)
    assert flow.step(0)[0] == SetIndexPrice(0, 10_000)
    assert type(flow_of(candle(0, "100 100 100 100")).step(0)[0]) is PathPoint


def test_rows_are_read_when_their_time_comes_and_not_before():
    asked = []

    def rows():
        for minute in range(10):
            asked.append(minute)
            yield candle(minute, "100 101 99 100")

    flow = CandleFlow(rows(), ETH, resolution_ms=MINUTE_MS)
    for minute in range(5):
        flow.step(minute * MINUTE_US)
        # This one, and the one that tells when the flow goes on.
        assert asked[-1] <= minute + 1


closes = st.lists(st.integers(9_000, 11_000), min_size=3, max_size=12)


@given(closes, st.integers(1, 11), st.data())
@settings(max_examples=60)
def test_no_point_depends_on_a_later_candle(middles, kept, data):
    def series(tail):
        rows = []
        for minute, close in enumerate([*middles[:kept], *tail]):
            low, high = close - 50, close + 70
            told = " ".join(f"{p / 100:.2f}" for p in (close - 5, high, low, close))
            rows.append(candle(minute, told))
        return rows

    other = data.draw(closes)
    until_us = min(kept, len(middles)) * MINUTE_US - 1
    one, two = flow_of(*series(middles[kept:])), flow_of(*series(other))
    told, other_told = one.step(until_us), two.step(until_us)
    # Only how long takers wait for what comes next may differ: it is a time.
    assert [a._replace(hold_us=0) for a in told] == [
        a._replace(hold_us=0) for a in other_told
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"points": 5}, "points: 5 is none of 4, 7, 10"),
        ({"points": 1}, "points: 1 is not a whole number from 4 on"),
        ({"spread_ticks": 0}, "spread_ticks: 0 is not a whole number from 1 on"),
        ({"slippage_ticks": -1}, "slippage_ticks: -1"),
        ({"slippage_ticks": 0.5}, "slippage_ticks: 0.5"),
        ({"depth": 0}, "depth: 0"),
        ({"resolution_ms": 0}, "resolution_ms: 0"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments, words):
    wanted = {"resolution_ms": MINUTE_MS, **arguments}
    with pytest.raises(ConfigError) as caught:
        CandleFlow([candle(0, "100 101 99 100")], ETH, **wanted)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("candles", "words"),
    [
        ([candle(0, "100 99 98 99")], "number 1, at 1800000000000: open and close"),
        ([candle(0, "100 101 99 102")], "open and close are not within"),
        ([candle(0, "100 101 99 100", volume="-1")], "volume below 0"),
        ([candle(0, "0.01 0.01 0 0")], "has no room in ticks of 0.01"),
        ([candle(0, "99999999 99999999 9 9")], "has no room in ticks"),
        (
            [candle(0, "100 101 99 100"), candle(0, "100 101 99 100")],
            "number 2, at 1800000000000, begins before the one before it ends",
        ),
    ],
)
def test_candles_that_cannot_be_are_named(candles, words):
    with pytest.raises(ConfigError) as caught:
        flow_of(*candles).step(FOREVER_US)
    assert words in str(caught.value)


def test_no_candles_are_no_life():
    flow = flow_of()
    assert flow.next_at_us() is None
    assert flow.step(FOREVER_US) == []
    with pytest.raises(ConfigError, match="there are none"):
        assert flow.begin_ms


class Desk:
    """An exchange that follows candles, and one user."""

    def __init__(self, *candles, start_ms=START_MS, **arguments):
        self.start_ms = start_ms
        self.settings = VenueSettings(block_ms=MINUTE_MS, symbols=("ETH",))
        accounts = open_accounts(self.settings, ())
        self.alice = accounts[ALICE] = Account(
            index=ALICE,
            l1_address=f"0x{ALICE:040x}",
            tier=TIERS["premium"],
            api_keys={4: ApiKey(4, "00" * 40, 1)},
            ledger=AccountLedger(collateral=10**13),
        )
        self.clock = SteppedClock(start_ms / 1_000)
        self.exchange = Exchange(
            self.settings, (ETH,), accounts, now_us=self.clock.now_us()
        )
        self.floor = Floor(
            self.exchange,
            self.settings,
            clock=self.clock,
            flow=flow_of(*candles, **arguments),
            wake=lambda: None,
        )
        self.go(0)

    def go(self, seconds):
        """Go to a time, seconds after the first open."""
        self.at_s = seconds
        now_us = self.start_ms * 1_000 + round(seconds * 1_000_000)
        self.clock.move_to(now_us)
        self.floor.run_until(now_us)

    def send(self, base, price, *, is_ask=0, market=False, kind=0, trigger=0):
        slot = self.alice.api_keys[4]
        now_ms = self.clock.now_us() // 1_000
        info = {
            "AccountIndex": ALICE,
            "ApiKeyIndex": 4,
            "ExpiredAt": now_ms + 600_000,
            "Nonce": slot.nonce,
            "Sig": "",
            "L2TxAttributes": None,
            "MarketIndex": 0,
            "ClientOrderIndex": 0,
            "BaseAmount": base,
            "Price": price,
            "IsAsk": is_ask,
            "Type": 1 if market else kind,
            "TimeInForce": 0 if market or kind else 1,
            "ReduceOnly": 0,
            "TriggerPrice": trigger,
            "OrderExpiry": 0 if market else now_ms + 36_000_000,
        }
        self.exchange.submit(14, info, f"{slot.nonce:080x}", now_us=self.clock.now_us())

    @property
    def filled(self):
        return self.alice.ledger.size(0)

    def own_trades(self):
        return [
            (event.trade.at_us - START_MS * 1_000, event.trade.price, event.trade.base)
            for event in self.exchange.log.of(TradeExecuted)
        ]


FALL = candle(0, "100 100.50 99 99.50")
NEXT = candle(1, "99.50 99.60 97 97.50")


@pytest.mark.parametrize(
    ("on_touch", "price", "filled"),
    [
        (False, 9_901, 100),
        (False, 9_900, 0),  # the very low: nothing says that it was our turn
        (True, 9_900, 100),
        (True, 9_899, 0),
    ],
)
def test_a_limit_order_trades_when_the_path_goes_through_its_price(
    on_touch, price, filled
):
    desk = Desk(FALL, fill_on_touch=on_touch)
    desk.send(100, price)
    desk.go(59)
    assert desk.filled == filled
    if filled:
        assert desk.own_trades() == [(40_000_000, price, 100)]


def test_a_sell_order_trades_on_the_way_up():
    desk = Desk(FALL)
    desk.send(100, 10_049, is_ask=1)
    desk.go(19.9)
    assert desk.filled == 0
    desk.go(20)
    assert desk.own_trades() == [(20_000_000, 10_049, 100)]


def test_an_order_gets_no_more_than_the_volume_of_the_point():
    desk = Desk(candle(0, "100 100 99 99", volume="0.04"), NEXT)
    desk.send(1_000, 9_950)
    desk.go(59)
    assert [base for _, _, base in desk.own_trades()] == [100]
    # The rest keeps its place, and no quote trades with it.
    assert desk.exchange.markets[0].engine.best_bid == 9_950
    desk.go(120)
    assert desk.filled == 1_000
    assert {price for _, price, _ in desk.own_trades()} == {9_950}


def test_a_market_order_meets_the_quotes_that_stand():
    desk = Desk(FALL, NEXT, slippage_ticks=3)
    desk.go(25)
    desk.send(100, 10_300, market=True)
    desk.go(26)
    assert [trade[1:] for trade in desk.own_trades()] == [(10_050 + 1 + 3, 100)]


def test_a_market_order_that_is_held_meets_the_next_point_and_not_the_one_it_saw():
    desk = Desk(FALL, NEXT, slippage_ticks=3, hold_takers=True)
    desk.go(25)
    assert desk.exchange.markets[0].engine.best_ask == 10_050 + 1 + 3
    desk.send(100, 10_300, market=True)
    desk.go(39.9)
    assert desk.filled == 0
    desk.go(41)
    assert desk.own_trades() == [(40_000_001, 9_900 + 1 + 3, 100)]


def test_who_acts_on_a_close_gets_the_next_open():
    gap = candle(1, "98 99 97 97")
    desk = Desk(FALL, gap)
    desk.go(60)
    assert desk.exchange.markets[0].last_trade_price == 9_950
    desk.send(100, 10_300, market=True)
    desk.go(61)
    assert [trade[1:] for trade in desk.own_trades()] == [(9_801, 100)]


def test_a_market_order_after_the_last_point_meets_its_quotes():
    desk = Desk(FALL)
    desk.go(70)
    desk.send(100, 9_700, is_ask=1, market=True)
    desk.go(72)
    assert [trade[1:] for trade in desk.own_trades()] == [(9_950, 100)]


def test_the_candles_that_the_exchange_shows_are_those_it_was_given():
    desk = Desk(FALL, NEXT)
    desk.go(180)
    shown = desk.floor.candles.read(0, MINUTE_MS, start_ms=0, end_ms=10**15, count=10)
    assert [(c.open, c.high, c.low, c.close, c.base) for c in shown] == [
        (10_000, 10_050, 9_900, 9_950, 40_000),
        (9_950, 9_960, 9_700, 9_750, 40_000),
    ]
    state = desk.exchange.markets[0]
    assert state.day.base == 80_000
    assert state.last_trade_price == 9_750
    assert state.engine.depth() == ([(9_750, 1_000_000)], [(9_751, 1_000_000)])


def test_an_order_in_reach_makes_no_difference_to_what_others_see():
    calm, busy = Desk(FALL, NEXT), Desk(FALL, NEXT)
    busy.send(10, 9_800)
    for desk in (calm, busy):
        desk.go(130)
    read = {"start_ms": 0, "end_ms": 10**15, "count": 10}
    one, two = (d.floor.candles.read(0, MINUTE_MS, **read) for d in (calm, busy))
    shape = [(c.open, c.high, c.low, c.close, c.base) for c in one]
    other = [(c.open, c.high, c.low, c.close, c.base) for c in two]
    # But for the trade at the user's own price, which lies within the candle.
    assert shape == other


class Listening:
    """An audience that hears of markets, or of nothing."""

    def __init__(self, *, hears, marks=False):
        self.hears = hears
        self.marks = marks
        self.told = []

    def publish(self, events, now_us):
        self.told += [(now_us, event) for event in events]

    def due_us(self):
        return None

    def flush(self, now_us):
        raise AssertionError(now_us)

    def hears_markets(self):
        return self.hears

    def hears_marks(self):
        return self.marks


def shown(desk):
    state = desk.exchange.markets[0]
    bars = desk.floor.candles.read(0, MINUTE_MS, start_ms=0, end_ms=10**15, count=99)
    return (
        [(c.start_ms, c.open, c.high, c.low, c.close, c.base, c.quote) for c in bars],
        (state.day.base, state.day.quote, state.day.high, state.day.low),
        (state.day.count, state.day.open, state.last_trade_price, state.mark_price),
        state.engine.depth(),
        desk.own_trades(),
        desk.filled,
        desk.alice.ledger.collateral,
        desk.exchange.height,
    )


walks = st.lists(
    st.tuples(*[st.integers(-60, 60)] * 3, st.integers(0, 50)), min_size=2, max_size=9
)


def walk_candles(steps):
    rows, price = [], 10_000
    for minute, (up, down, move, lots) in enumerate(steps):
        close = price + move
        high, low = max(price, close) + abs(up), min(price, close) - abs(down)
        told = " ".join(f"{p / 100:.2f}" for p in (price, high, low, close))
        rows.append(candle(minute, told, volume=f"{lots / 10_000}"))
        price = close
    return rows


orders = st.lists(
    st.tuples(
        st.integers(0, 500), st.integers(-150, 150), st.booleans(), st.booleans()
    ),
    max_size=4,
)


@given(walks, orders, st.lists(st.integers(1, 200), min_size=1, max_size=4))
@settings(max_examples=60)
def test_passing_whole_candles_changes_nothing_that_can_be_seen(steps, sent, strides):
    rows, results = walk_candles(steps), []
    for hears in (True, False):
        desk = Desk(*rows)
        desk.floor.attach(Listening(hears=hears))
        at_s = 0
        for number, (wait_s, offset, is_ask, market) in enumerate(sent):
            while at_s < wait_s:
                at_s = min(wait_s, at_s + strides[number % len(strides)])
                desk.go(max(at_s, desk.at_s))
            bound = 10_000 + offset
            desk.send(40, bound, is_ask=int(is_ask), market=market)
        desk.go(max(600, desk.at_s))
        results.append(shown(desk))
    one, other = results
    assert one == other


def owed(desk):
    funding = desk.exchange.markets[0].funding
    return (
        list(funding.history),
        (funding.samples, funding.premium_sum, funding.rate),
        desk.alice.fundings,
        desk.alice.liquidations,
        desk.alice.ledger.positions,
        desk.exchange.markets[0].index_price,
    )


@given(walks, orders, st.integers(0, 8), st.sampled_from([10**13, 500_000, 60_000]))
@settings(max_examples=80)
def test_whole_candles_with_an_index_pay_the_same_funding(
    steps, sent, minutes_before_the_hour, collateral
):
    results = []
    for hears in (True, False):
        rows = [
            replace(
                row, start_ms=row.start_ms + (60 - minutes_before_the_hour) * 60_000
            )
            for row in walk_candles([*steps, (3, 3, 1, 40)])
        ]
        desk = Desk(*rows, index=True, start_ms=rows[0].start_ms)
        desk.floor.attach(Listening(hears=hears))
        desk.alice.ledger.collateral = collateral
        at_s = 0
        for wait_s, offset, is_ask, market in sent:
            if wait_s > at_s:
                at_s = wait_s
                desk.go(at_s)
            try:
                desk.send(40, 10_000 + offset, is_ask=int(is_ask), market=market)
            except Refused:
                continue
        desk.go(at_s + 700)
        results.append((shown(desk), owed(desk)))
    one, other = results
    assert one == other


def test_candles_of_several_markets_are_passed_up_to_the_first_that_matters():
    calm = [candle(minute, "100 101 99 100") for minute in range(10)]
    wild = [candle(minute, "100 101 99 100") for minute in range(5)]
    wild += [candle(minute, "100 101 89 100") for minute in range(5, 10)]
    other = Market("BTC", 1, 1, 5)
    flow = merge([flow_of(*wild), CandleFlow(calm, other, resolution_ms=MINUTE_MS)])

    def reach_of(market):
        return (9_000, 11_000) if market == 0 else (1, 10**9)

    flow.step(0)
    for at_us in (20_000_000, 40_000_000, 59_999_999):
        flow.step(at_us)
    until_us = 10 * MINUTE_US
    assert flow.calm_until_us(until_us, reach_of) == 5 * MINUTE_US + 1
    runs = flow.pass_calm(until_us, reach_of)
    assert {(run.action.market_index, len(run.bars)) for run in runs} == {
        (0, 4),
        (1, 4),
    }
    assert flow.next_at_us() == 5 * MINUTE_US + 1


def test_a_candle_that_reaches_nobody_is_told_as_one():
    desk = Desk(FALL, NEXT)
    audience = Listening(hears=False)
    desk.floor.attach(audience)
    desk.go(200)
    kinds = [type(event).__name__ for _, event in audience.told]
    assert kinds.count("BarTraded") == 1  # the first was begun before
    assert desk.exchange.log.flow_trades == 4


def test_a_venue_that_nobody_hears_wakes_at_closes_only():
    desk = Desk(FALL, NEXT, candle(2, "97.50 98 97 98"))
    desk.floor.attach(Listening(hears=False))
    desk.go(61)
    start_us = START_MS * 1_000
    assert desk.floor.next_due_us() == start_us + 80_000_000  # within a candle
    desk.go(119.999999)
    desk.go(120)
    desk.go(179.999999)
    assert desk.exchange.markets[0].last_trade_price == 9_800


def test_a_trigger_within_a_candle_is_set_off_on_its_way():
    desk = Desk(FALL, NEXT, candle(2, "97.50 98 97 98"))
    desk.floor.attach(Listening(hears=False))
    desk.send(100, 10_200, market=True)
    desk.go(59)
    assert desk.filled == 100
    desk.send(100, 9_000, is_ask=1, kind=2, trigger=9_800)
    desk.go(99)
    assert desk.filled == 100
    desk.go(179)
    assert desk.filled == 0
    at_us, price, _ = desk.own_trades()[-1]
    # Set off by the low of the second candle, at whose quote it is sold.
    assert (at_us, price) == (100_000_000, 9_700)


def test_positions_in_danger_see_every_point():
    crash = candle(1, "99.50 100 45 99")
    desk = Desk(FALL, crash)
    desk.floor.attach(Listening(hears=False))
    desk.alice.ledger.collateral = 4_000_000
    desk.send(1_000, 10_100)
    desk.go(119)
    assert desk.filled == 0
    assert desk.alice.liquidations


async def test_a_saved_log_of_candles_and_prints_does_the_same_again(tmp_path):
    log = tmp_path / "log.gz"
    clock = SteppedClock(START_MS / 1_000)
    settings = VenueSettings(symbols=("ETH",), queue="prob")
    rows = walk_candles([(5, 5, 3, 400)] * 8)
    async with Engine(
        settings=settings,
        flow=merge([flow_of(*rows, index=False)]),
        clock=clock,
        save_log=log,
    ) as engine:
        await engine.advance(310)
        engine.exchange.apply_flow(
            [PrintTrade(0, False, 10_000, 5)], now_us=clock.now_us()
        )
        await engine.advance(600)
        expected = engine.ledger.hash()
        assert engine.ledger.flow_trades
    done = replay(log)
    assert done.is_same
    assert done.hash == expected


async def test_several_flows_together_pass_candles_as_well():
    rows = walk_candles([(5, 5, 3, 400)] * 200)
    flow = flow_of(*rows)
    engine = Engine(
        settings=VenueSettings(symbols=("ETH",)),
        flow=merge([flow]),
        clock=SteppedClock(START_MS / 1_000),
    )
    async with engine:
        await engine.advance(200 * 60)
    assert flow.next_at_us() is None
    assert engine.exchange.markets[0].day.base == 200 * 400
