"""What the overlay knows, fed frame by frame."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from wrappy.errors import BookGapError
from wrappy.lighter.streaming.overlay import ROWS_KEPT, BookView, OverlayState
from wrappy.model import Market

ETH = Market("ETH", 0, 2, 4)


class Log:
    def __init__(self):
        self.lines = []

    def error(self, msg, *args):
        self.lines.append(msg % args)

    warning = error


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def told():
    return []


@pytest.fixture
def state(log, told):
    return OverlayState(ETH, log, lambda name, value: told.append((name, value)))


def order(coi=77, **changes):
    row = {
        "client_order_index": coi,
        "order_index": 2**48 + coi,
        "market_index": 0,
        "status": "open",
        "is_ask": False,
        "initial_base_amount": "0.1000",
        "filled_base_amount": "0.0000",
        "base_price": 405_000,
        "nonce": 1,
    }
    return {**row, **changes}


def trade(trade_id):
    return {
        "trade_id": trade_id,
        "market_id": 0,
        "price": str(4000 + trade_id),
        "size": "0.1",
        "is_maker_ask": True,
        "timestamp": 1_800_000_000_000 + trade_id,
    }


def book(nonce, begin=None, bids=(), asks=()):
    def rows(levels):
        return [{"price": price, "size": size} for price, size in levels]

    body = {"nonce": nonce, "bids": rows(bids), "asks": rows(asks)}
    if begin is not None:
        body["begin_nonce"] = begin
    return {"order_book": body}


def ids(rows):
    return [row["trade_id"] for row in rows]


def test_a_channel_nobody_handles_is_sound(state, told):
    assert state.take("height", {"height": 5}, snapshot=True)
    assert told == []


def test_orders_are_kept_by_their_number_and_told(state, told):
    message = {"orders": {"0": [order(1), order(2, status="canceled")]}}
    assert state.take("account_all_orders", message, snapshot=True)
    assert state.order(1)["status"] == "open"
    assert state.order(2)["status"] == "canceled"
    assert state.order(3) is None
    assert told == [("on_orders", [order(1), order(2, status="canceled")])]


def test_what_a_caller_gets_is_a_copy(state):
    state.enter_orders([order(1)])
    state.order(1)["status"] = "changed"
    assert state.order(1)["status"] == "open"


def test_a_row_that_cannot_be_read_does_not_hold_up_the_others(state, told, log):
    state.enter_orders([order(1, status="?"), order(2)])
    assert state.order(1) is None
    assert told == [("on_orders", [order(2)])]
    assert "unknown order status '?'" in log.lines[0]
    told.clear()
    state.enter_orders([order(1, status="?")])
    assert told == []


def test_an_order_without_a_number_of_its_own_is_told_but_not_kept(state, told):
    state.enter_orders([order(0)])
    assert told == [("on_orders", [order(0)])]
    assert len(state.orders) == 0


async def test_who_waits_for_an_order_is_woken_once(state):
    waiter, given_up = (asyncio.get_running_loop().create_future() for _ in range(2))
    given_up.cancel()
    state.waiters[1] = [waiter, given_up]
    state.enter_orders([order(2)])
    assert not waiter.done()
    state.enter_orders([order(1), order(1, status="filled", nonce=2)])
    assert waiter.result()["status"] == "open"


def test_a_live_order_that_a_list_lacks_has_vanished(state):
    state.enter_orders([order(1), order(2)])
    assert not state.vanished([order(1), order(2)])
    assert state.vanished([order(1)])
    assert state.vanished([])


def test_public_trades_are_told_once_oldest_first(state, told):
    message = {"trades": [trade(3), trade(1), trade(3)]}
    assert state.take("trade", message, snapshot=True)
    assert state.take("trade", {"trades": [trade(3), trade(4)]}, snapshot=False)
    assert state.take("trade", {"trades": [trade(4)]}, snapshot=False)
    assert [(name, ids(rows)) for name, rows in told] == [
        ("on_public_trades", [1, 3]),
        ("on_public_trades", [4]),
    ]
    assert state.public.last_traded_price == 4004
    assert ids(state.public_rows) == [1, 3, 4]


def test_late_trades_go_where_they_belong(state):
    state.take("trade", {"trades": [trade(1), trade(5)]}, snapshot=True)
    state.take("trade", {"trades": [trade(3), trade(6)]}, snapshot=False)
    assert ids(state.public_rows) == [1, 3, 5, 6]
    assert state.public.last_traded_price == 4006


def test_own_trades_are_told_once_oldest_first(state, told):
    message = {"trades": {"0": [trade(2), trade(1)], "1": [trade(2)]}}
    assert state.take("account_all_trades", message, snapshot=True)
    assert state.take("account_all_trades", {"trades": [trade(2)]}, snapshot=False)
    assert state.take("account_all_trades", {"trades": None}, snapshot=False)
    assert [(name, ids(rows)) for name, rows in told] == [("on_trades", [1, 2])]
    assert ids(state.own_trades) == [1, 2]


def test_memory_of_own_trades_is_bounded(state, told):
    for start in range(0, 11 * ROWS_KEPT, ROWS_KEPT):
        rows = [trade(start + at) for at in range(ROWS_KEPT)]
        state.take("account_all_trades", {"trades": rows}, snapshot=False)
    told.clear()
    state.take("account_all_trades", {"trades": rows}, snapshot=False)
    assert told == []
    assert len(state.own_trades) == ROWS_KEPT
    assert state.own_trades[-1]["trade_id"] == 11 * ROWS_KEPT - 1


def test_an_unreadable_frame_of_trades_is_logged_and_passed_over(state, log):
    assert state.take(
        "trade", {"trades": [{**trade(1), "trade_id": "x"}]}, snapshot=False
    )
    assert log.lines[0].startswith("unreadable trade frame: trade_id")


def test_positions_of_a_snapshot_replace_and_updates_add(state):
    def position(market_id, size, symbol):
        return {"market_id": market_id, "position": size, "symbol": symbol, "sign": 1}

    by_market = {"0": position(0, "1.5", "ETH"), "1": position(1, "2", "BTC")}
    assert state.take("account_all_positions", {"positions": by_market}, snapshot=True)
    update = {"positions": {"1": position(1, "3", "BTC")}}
    assert state.take("account_all_positions", update, snapshot=False)
    assert {at: p.size for at, p in state.positions.items()} == {
        0: Decimal("1.5"),
        1: 3,
    }
    assert state.take("account_all_positions", {"positions": []}, snapshot=True)
    assert state.positions == {}


def test_an_unreadable_snapshot_of_positions_changes_nothing(state, log):
    row = {"market_id": 0, "position": "1", "symbol": "ETH"}
    state.take("account_all_positions", {"positions": [row]}, snapshot=True)
    bad = {"positions": [{"market_id": "x"}]}
    assert state.take("account_all_positions", bad, snapshot=True)
    assert state.positions[0].size == 1
    assert log.lines


def test_the_book_follows_its_snapshot(state):
    view = BookView(state.book)
    assert not view.is_valid
    frame = book(5, bids=[("4000.00", "1.0")], asks=[("4001.00", "3.0")])
    assert state.take("order_book", frame, snapshot=True)
    update = book(6, begin=5, bids=[("4000.50", "1.0")])
    assert state.take("order_book", update, snapshot=False)
    assert view.is_valid
    assert (view.best_bid.price, view.best_bid.size) == (Decimal("4000.50"), 1)
    assert view.best_ask.price == 4001
    assert view.mid_price == Decimal("4000.75")
    assert view.best_bid.price < view.micro_price < view.mid_price
    bids, asks = view.depth(5)
    assert [level.price for level in bids] == [Decimal("4000.50"), 4000]
    assert [level.size for level in asks] == [3]
    assert repr(view) == repr(state.book)


def test_an_empty_book_has_no_prices(state):
    view = BookView(state.book)
    assert state.take("order_book", book(5), snapshot=True)
    assert view.best_bid is None
    assert view.best_ask is None
    assert view.mid_price is None
    assert view.micro_price is None
    assert view.depth(3) == ([], [])


def test_a_gap_makes_the_book_unreadable_at_once(state, log):
    state.take("order_book", book(5, bids=[("4000", "1")]), snapshot=True)
    assert not state.take("order_book", book(9, begin=8), snapshot=False)
    assert "book to be rebuilt" in log.lines[0]
    with pytest.raises(BookGapError):
        _ = BookView(state.book).best_bid


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"order_book": []},
        {"order_book": {"bids": [], "asks": []}},
        {"order_book": {"nonce": 6, "bids": [], "asks": []}},
        book(6, begin=5, bids=[("x", "1")]),
        book(6, begin=5, asks=[("4000.001", "1")]),
        {"order_book": {"nonce": 6, "begin_nonce": 5, "bids": "x"}},
    ],
)
def test_an_unreadable_book_frame_asks_for_a_fresh_snapshot(state, log, message):
    state.take("order_book", book(5, bids=[("4000", "1")]), snapshot=True)
    assert not state.take("order_book", message, snapshot=False)
    assert not state.book.is_valid
    assert "unreadable order_book frame" in log.lines[0]
    assert state.take("order_book", book(9), snapshot=True)
    assert state.book.is_valid
