"""What a public market's frames become: levels, trades, and a halt when in doubt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy.model import Market
from wrappy.runner.worlds.mirror_flow import NO_BOOK, MirrorFlow
from wrappy.venue.events import HaltMarket, PrintTrade, SetIndexPrice, SetLevel

ETH = Market("ETH", 0, 2, 4, 50, 10_000_000)
NEW = Market("NEW", 77, 3, 0, 1, 10_000_000)


def level(price, size):
    return {"price": price, "size": size}


def book(nonce, bids=(), asks=(), *, begin=None, market=0):
    told = {
        "nonce": nonce,
        "bids": [level(*row) for row in bids],
        "asks": [level(*row) for row in asks],
    }
    if begin is not None:
        told["begin_nonce"] = begin
    kind = "subscribed" if begin is None else "update"
    return {
        "type": f"{kind}/order_book",
        "channel": f"order_book:{market}",
        "order_book": told,
    }


def trades(*rows, kind="update", name="trades"):
    return {
        "type": f"{kind}/trade",
        "channel": "trade:0",
        name: [
            {"trade_id": number, "price": price, "size": size, "is_maker_ask": maker}
            for number, price, size, maker in rows
        ],
    }


class Mirror:
    """A flow with a clock that a test sets."""

    def __init__(self, *markets):
        self.now_us = 0
        self.woken = 0
        self.flow = MirrorFlow(markets or (ETH,))
        self.flow.follow(lambda: self.now_us, self.wake)

    def wake(self):
        self.woken += 1

    def heard(self, *messages):
        for message in messages:
            self.flow.take(message)
        return self.flow.step(self.now_us)


@pytest.fixture
def mirror():
    made = Mirror()
    made.heard(book(5, [("3000.00", "1.0000")], [("3001.00", "2.0000")]))
    return made


def test_before_its_book_a_market_stands_still():
    mirror = Mirror()
    assert mirror.flow.halts == {"ETH": NO_BOOK}
    assert mirror.flow.next_at_us() == 0
    assert mirror.heard() == [HaltMarket(0, f"ETH stands still: {NO_BOOK}")]
    assert mirror.flow.next_at_us() is None
    assert mirror.heard(book(6, begin=5), trades((1, "3000.00", "1", True))) == []
    assert mirror.flow.markets["ETH"].left_out == 1


def test_the_whole_book_becomes_levels_and_lets_the_market_live():
    mirror = Mirror()
    mirror.heard()
    assert mirror.heard(book(5, [("3000.00", "1.0000")], [("3001.00", "2.0000")])) == [
        SetLevel(0, False, 300_000, 10_000),
        SetLevel(0, True, 300_100, 20_000),
        HaltMarket(0, ""),
    ]
    assert mirror.flow.halts == {}
    assert mirror.woken == 1


def test_changes_are_played_when_they_come_and_what_shrinks_goes_first(mirror):
    mirror.now_us = 7_000
    mirror.flow.take(book(6, [("3000.50", "1.0000")], [("3001.00", "0.5000")], begin=5))
    assert mirror.flow.next_at_us() == 7_000
    assert mirror.flow.step(6_999) == []
    assert mirror.flow.step(7_000) == [
        SetLevel(0, True, 300_100, 5_000),
        SetLevel(0, False, 300_050, 10_000),
    ]


def test_a_new_whole_book_takes_away_what_it_does_not_name(mirror):
    assert mirror.heard(book(9, [("2999.00", "1.0000")], [("3001.00", "2.0000")])) == [
        SetLevel(0, False, 300_000, 0),
        SetLevel(0, False, 299_900, 10_000),
        SetLevel(0, True, 300_100, 20_000),
    ]


def test_a_trade_is_one_trade_at_its_price_and_never_twice(mirror):
    first = trades((11, "3001.00", "0.5000", True), (12, "3000.00", "0.1000", False))
    assert mirror.heard(first) == [
        PrintTrade(0, False, 300_100, 5_000),
        PrintTrade(0, True, 300_000, 1_000),
    ]
    assert mirror.heard(first) == []
    assert mirror.flow.markets["ETH"].trades == 2


def test_trades_before_ours_and_those_too_small_to_show_are_left_out(mirror):
    assert mirror.heard(trades((20, "3001.00", "1", True), kind="subscribed")) == []
    assert mirror.heard(trades((20, "3001.00", "1", True))) == []
    assert mirror.heard(trades((21, "3001.00", "0.00001", True))) == []


def test_liquidations_are_trades(mirror):
    forced = trades((30, "3001.00", "1.0", True), name="liquidation_trades")
    assert mirror.heard(forced) == [PrintTrade(0, False, 300_100, 10_000)]


def test_a_level_that_a_trade_reached_is_told_again_with_the_next_change(mirror):
    mirror.heard(trades((11, "3001.00", "0.5000", True)))
    assert mirror.heard(book(6, [("2999.00", "1.0000")], begin=5)) == [
        SetLevel(0, False, 299_900, 10_000),
        SetLevel(0, True, 300_100, 20_000),
    ]
    assert mirror.heard(book(7, begin=6)) == []


def test_a_missing_change_halts_the_market_until_the_whole_book_comes(mirror):
    acts = mirror.heard(book(9, begin=8))
    assert acts == [
        HaltMarket(0, "ETH stands still: a change is missing: 8 came after 5")
    ]
    assert mirror.heard(book(10, begin=9), trades((40, "3001.00", "1", True))) == []
    assert mirror.flow.halts
    assert mirror.heard(book(11, [("3000.00", "1.0000")]))[-1] == HaltMarket(0, "")


def test_a_change_that_is_known_already_changes_nothing(mirror):
    assert mirror.heard(book(5, [("3000.00", "9.0000")], begin=4)) == []
    assert mirror.flow.halts == {}


@pytest.mark.parametrize(
    "message",
    [
        book(6, [("3000.001", "1")], begin=5),
        book(6, [("much", "1")], begin=5),
        book(6, [("3002.00", "1")], begin=5),
        {"type": "update/order_book", "channel": "order_book:0", "order_book": 7},
        {"type": "update/order_book", "channel": "order_book:0"},
        {"type": "update/trade", "channel": "trade:0", "trades": [{"trade_id": 1}]},
    ],
)
def test_what_cannot_be_read_halts_the_market(mirror, message):
    acts = mirror.heard(message)
    assert isinstance(acts[-1], HaltMarket)
    assert "cannot be read" in acts[-1].reason


def test_a_new_connection_begins_with_nothing_known(mirror):
    (halt,) = mirror.heard({"type": "connected"})
    assert halt.reason == "ETH stands still: the connection was lost"


def test_somebodys_doubt_halts_the_market_and_ends_when_it_does(mirror):
    mirror.flow.judge("ETH", "nothing was heard")
    assert mirror.heard() == [HaltMarket(0, "ETH stands still: nothing was heard")]
    mirror.flow.judge("ETH", "nothing was heard")
    assert mirror.heard(trades((50, "3001.00", "1", True))) == []
    mirror.flow.judge("ETH", "")
    assert mirror.heard() == [HaltMarket(0, "")]


def test_the_index_price_follows_the_public_one(mirror):
    told = {
        "type": "update/market_stats",
        "channel": "market_stats:0",
        "market_stats": {"market_id": 0, "index_price": "3000.555"},
    }
    assert mirror.heard(told) == [SetIndexPrice(0, 300_056)]
    assert mirror.heard(told) == []
    told["market_stats"] = {"market_id": 0}
    assert mirror.heard(told) == []


def test_other_markets_and_other_channels_are_left_alone(mirror):
    assert (
        mirror.heard(
            book(1, [("1.000", "5")], market=3),
            {"type": "update/height", "channel": "height"},
            {"type": "update/ticker", "channel": "ticker:0", "ticker": {}},
            {"type": "pong"},
        )
        == []
    )


def test_each_market_has_its_own_scales_and_its_own_halt():
    mirror = Mirror(ETH, NEW)
    mirror.heard()
    assert mirror.heard(book(3, [("1.250", "40")], market=77)) == [
        SetLevel(77, False, 1_250, 40),
        HaltMarket(77, ""),
    ]
    assert list(mirror.flow.halts) == ["ETH"]


PRICES = st.integers(min_value=1, max_value=8)
SIZES = st.integers(min_value=0, max_value=3)
CHANGES = st.lists(
    st.tuples(
        st.lists(st.tuples(PRICES, SIZES), max_size=3),
        st.lists(st.tuples(PRICES, SIZES), max_size=3),
        st.booleans(),
    ),
    max_size=12,
)


@given(CHANGES)
def test_levels_played_add_up_to_the_public_book(changes):
    mirror = Mirror()
    mirror.heard(book(0))
    truth, played = ({}, {}), ({}, {})
    for number, (bids, asks, whole) in enumerate(changes, 1):
        # Bids below ten, asks above: the book never crosses itself.
        sides = (dict(bids), {price + 10: size for price, size in asks})
        for known, new in zip(truth, sides, strict=True):
            if whole:
                known.clear()
            known.update(new)
            for price in [price for price, size in known.items() if not size]:
                del known[price]
        rows = [[(f"{p}.00", f"{s}.0000") for p, s in side.items()] for side in sides]
        begin = None if whole else number - 1
        for act in mirror.heard(book(number, *rows, begin=begin)):
            if isinstance(act, SetLevel):
                played[act.is_ask][act.price] = act.base
        for known, shown in zip(truth, played, strict=True):
            assert {price: base for price, base in shown.items() if base} == {
                price * 100: size * 10_000 for price, size in known.items()
            }
