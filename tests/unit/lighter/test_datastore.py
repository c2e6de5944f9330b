"""pybotters stores fed frame by frame: what they hold, tell, refuse and ask for."""

from __future__ import annotations

import asyncio
import copy
import importlib.util
import itertools
import json
import sys
from decimal import Decimal
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from wrappy import LighterDataStore, ProtocolError, UsageError, VenueError
from wrappy.lighter.streaming import store_base
from wrappy.lighter.streaming.account_stores import ENDED_ORDERS_KEPT
from wrappy.lighter.streaming.book_store import MOST_OLD_FRAMES
from wrappy.runner.virtual_time import run_virtual


class Socket:
    """What a store needs of a connection of pybotters."""

    def __init__(self):
        self.closed = False
        self.broken = False
        self.sent = []

    async def send_json(self, message):
        if self.broken:
            raise ConnectionResetError("closing")
        self.sent.append(message)


@pytest.fixture
def gaps():
    return []


@pytest.fixture
def store(gaps):
    return LighterDataStore(on_gap=lambda *gap: gaps.append(gap))


def changes_of(store):
    """Return a function that hands out what a store told since the last call."""
    queue = asyncio.Queue()
    store._queues.append(queue)

    def told():
        found = []
        while not queue.empty():
            change = queue.get_nowait()
            found.append((change.operation, change.data))
        return found

    return told


def levels(**sides):
    return {
        side: [{"price": price, "size": size} for price, size in rows.items()]
        for side, rows in sides.items()
    }


def book(bids=None, asks=None, *, nonce=10, begin=None, market=0):
    body = {**levels(bids=bids or {}, asks=asks or {}), "nonce": nonce}
    kind = "subscribed" if begin is None else "update"
    if begin is not None:
        body["begin_nonce"] = begin
    return {
        "type": f"{kind}/order_book",
        "channel": f"order_book:{market}",
        "order_book": body,
    }


def order(number=77, **changes):
    return {
        "order_index": number,
        "client_order_index": 7,
        "market_index": 0,
        "status": "open",
        "filled_base_amount": "0.0000",
        "transaction_time": 1_000,
        "nonce": 1,
        **changes,
    }


def orders(*rows, account=7, kind="update", channel=None):
    by_market = {}
    for row in rows:
        by_market.setdefault(str(row.get("market_index")), []).append(row)
    name = channel or f"account_all_orders:{account}"
    return {
        "type": f"{kind}/{name.partition(':')[0]}",
        "channel": name,
        "orders": by_market,
    }


def position(size="1.5000", *, market=0, **changes):
    row = {"market_id": market, "symbol": "ETH", "sign": 1, "position": size}
    return {**row, **changes}


def positions(*rows, account=7, kind="update"):
    return {
        "type": f"{kind}/account_all_positions",
        "channel": f"account_all_positions:{account}",
        "positions": {str(row["market_id"]): row for row in rows},
    }


def trade(trade_id, **changes):
    row = {
        "trade_id": trade_id,
        "market_id": 0,
        "price": "2181.83",
        "size": "0.1336",
        "is_maker_ask": True,
        "timestamp": 1_773_854_156_654,
    }
    return {**row, **changes}


def trades(*rows, market=0, kind="update", **more):
    return {
        "type": f"{kind}/trade",
        "channel": f"trade:{market}",
        "trades": list(rows),
        **more,
    }


def fills(*rows, account=7, kind="update"):
    return {
        "type": f"{kind}/account_all_trades",
        "channel": f"account_all_trades:{account}",
        "trades": {"0": list(rows)} if rows else [],
    }


def ticker(ask, bid, *, nonce, kind="update", market=0):
    return {
        "type": f"{kind}/ticker",
        "channel": f"ticker:{market}",
        "nonce": nonce,
        "ticker": {
            "s": "ETH",
            "a": {"price": ask, "size": "1.0000"},
            "b": {"price": bid, "size": "1.0000"},
        },
    }


def ladder(store, market=0):
    """Return bids and asks as (price, size), best first."""
    found = store.book.sorted({"market_id": market})
    return [
        [(row["price"], row["size"]) for row in found[side]]
        for side in ("bids", "asks")
    ]


# ---------------------------------------------------------------------------- book


def test_a_book_is_sorted_by_price_not_by_text(store):
    store.onmessage(book({"99.5": "1", "100.0": "2"}, {"1000.5": "3", "101.0": "4"}))
    assert ladder(store) == [
        [("100.0", "2"), ("99.5", "1")],
        [("101.0", "4"), ("1000.5", "3")],
    ]
    best = store.book.sorted({"market_id": 0}, limit=1)
    assert [len(best["asks"]), len(best["bids"])] == [1, 1]
    key = {"market_id": 0, "side": "bids", "price": "100.0"}
    assert store.book.get(key)["size"] == "2"
    assert store.book.is_valid(0)
    assert store.book.is_valid()


def test_levels_change_go_and_come_with_one_event_each(store):
    store.onmessage(book({"99.00": "1", "98.00": "1"}, {"101.00": "1"}))
    told = changes_of(store.book)
    changed = {"98.00": "0.0000", "99.0": "2", "97.00": "5", "96.00": "0"}
    store.onmessage(book(changed, nonce=12, begin=10))
    assert ladder(store) == [[("99.00", "2"), ("97.00", "5")], [("101.00", "1")]]
    assert [(kind, row["price"]) for kind, row in told()] == [
        ("delete", "98.00"),
        ("insert", "97.00"),
        ("update", "99.00"),
    ]


def test_a_snapshot_replaces_and_tells_only_what_differs(store):
    store.onmessage(book({"99.00": "1", "98.00": "1"}, {"101.00": "1"}))
    told = changes_of(store.book)
    store.onmessage(book({"99.00": "1"}, {"101.00": "3"}, nonce=50))
    assert ladder(store) == [[("99.00", "1")], [("101.00", "3")]]
    assert [(kind, row["price"]) for kind, row in told()] == [
        ("delete", "98.00"),
        ("update", "101.00"),
    ]


def test_a_gap_empties_the_book_in_the_same_frame_and_tells_once(store, gaps):
    store.onmessage(book({"99.00": "1"}, {"101.00": "1"}))
    told = changes_of(store.book)
    store.onmessage(book({"99.00": "2"}, nonce=30, begin=20))
    store.onmessage(book({"99.00": "3"}, nonce=31, begin=30))
    assert ladder(store) == [[], []]
    assert len(store.book) == 0
    assert not store.book.is_valid(0)
    assert [kind for kind, _ in told()] == ["delete", "delete"]
    assert gaps == [("order_book/0", "an update begins at 20, not at 10")]
    store.onmessage(book({"99.00": "3"}, {"101.00": "1"}, nonce=40))
    store.onmessage(book({"99.00": "4"}, nonce=41, begin=40))
    assert ladder(store) == [[("99.00", "4")], [("101.00", "1")]]


def test_an_update_before_the_snapshot_is_a_gap(store, gaps):
    store.onmessage(book({"99.00": "2"}, nonce=30, begin=20))
    assert len(store.book) == 0
    assert gaps == [("order_book/0", "no snapshot yet")]
    assert store.unreadable == 0


def test_a_repeated_update_changes_nothing(store, gaps):
    first = book({"99.00": "1"}, {"101.00": "1"})
    second = book({"99.00": "2"}, nonce=12, begin=10)
    third = book({"98.00": "2"}, nonce=15, begin=12)
    for frame in (first, second, second, third, second, third):
        store.onmessage(frame)
    assert ladder(store)[0] == [("99.00", "2"), ("98.00", "2")]
    assert gaps == []


def test_too_many_old_updates_mean_that_the_exchange_counts_anew(store, gaps):
    store.onmessage(book({"99.00": "1"}, nonce=1_000))
    for nonce in range(1, MOST_OLD_FRAMES + 2):
        assert gaps == []
        store.onmessage(book({"99.00": "2"}, nonce=nonce, begin=nonce - 1))
    assert len(gaps) == 1


def test_a_crossed_book_is_refused(store, gaps):
    store.onmessage(book({"99.00": "1"}, {"101.00": "1"}))
    store.onmessage(book({"102.00": "1"}, nonce=11, begin=10))
    assert ladder(store) == [[], []]
    assert "crossed" in gaps[0][1]


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {"bids": [], "asks": []},
        {"bids": [], "asks": [], "nonce": -1},
        {"bids": [{"price": "NaN", "size": "1"}], "asks": [], "nonce": 12},
        {"bids": [{"price": "99.00", "size": "-1"}], "asks": [], "nonce": 12},
        {"bids": [{"price": "0", "size": "1"}], "asks": [], "nonce": 12},
        {"bids": ["99.00"], "asks": [], "nonce": 12},
        {"bids": 5, "asks": [], "nonce": 12},
    ],
)
@pytest.mark.parametrize("kind", ["subscribed", "update"])
def test_a_book_that_cannot_be_read_is_emptied_counted_and_told(
    store, gaps, body, kind
):
    store.onmessage(book({"99.00": "1"}, {"101.00": "1"}))
    if isinstance(body, dict):
        body = {**body, "begin_nonce": 10}
    message = {"type": f"{kind}/order_book", "channel": "order_book:0"}
    store.onmessage({**message, "order_book": body})
    assert len(store.book) == 0
    assert store.unreadable == 1
    assert len(gaps) == 1


def test_markets_break_and_recover_apart_from_each_other(store):
    store.onmessage(book({"99.00": "1"}, market=0))
    store.onmessage(book({"5.0": "1"}, market=1))
    store.onmessage(book({"99.00": "2"}, nonce=30, begin=20, market=0))
    assert ladder(store, 1) == [[("5.0", "1")], []]
    assert store.book.is_valid(1)
    assert not store.book.is_valid()
    assert store.book.invalid_reason(2) == "no snapshot yet"


def test_without_any_book_there_is_nothing_to_trust(store):
    assert not store.book.is_valid()
    assert store.book.sorted() == {"asks": [], "bids": []}


def test_the_connection_of_a_hub_is_declared_lost(store, gaps):
    store.onmessage(book({"99.00": "1"}))
    store.lost("the hub has no connection")
    store.lost("again")
    assert len(store.book) == 0
    assert gaps == [("order_book/0", "the hub has no connection")]


async def test_a_book_whose_connection_is_closed_is_not_shown(store, gaps):
    old, new = Socket(), Socket()
    store.onmessage(book({"99.00": "1"}, {"101.00": "1"}), old)
    old.closed = True
    assert not store.book.is_valid(0)
    assert store.book.invalid_reason(0) == "the connection is closed"
    assert ladder(store) == [[], []]
    store.onmessage({"type": "connected", "session_id": "x"}, new)
    assert len(store.book) == 0
    assert [channel for channel, _ in gaps] == ["order_book/0"]
    store.onmessage(book({"98.00": "1"}, nonce=40), new)
    assert ladder(store) == [[("98.00", "1")], []]


async def test_a_second_connection_does_not_touch_the_first_ones_book(store):
    first, second = Socket(), Socket()
    store.onmessage(book({"99.00": "1"}), first)
    store.onmessage({"type": "connected", "session_id": "x"}, second)
    assert store.book.is_valid(0)


def test_a_lost_subscription_is_told_of(store, gaps):
    store.onmessage(book({"99.00": "1"}))
    store.onmessage({"type": "unsubscribed", "channel": "order_book:0"})
    store.onmessage({"type": "unsubscribed", "channel": "order_book:0"})
    store.onmessage({"type": "unsubscribed", "channel": "account_all_orders:7"})
    assert gaps == [
        ("order_book/0", "unsubscribed"),
        ("account_all_orders/7", "unsubscribed"),
    ]
    assert len(store.book) == 0


def test_a_hook_that_raises_is_counted_and_the_store_goes_on():
    def broken(channel, reason):
        raise ZeroDivisionError(channel, reason)

    store = LighterDataStore(on_gap=broken)
    store.onmessage(book(nonce=30, begin=20))
    store.onmessage(book({"99.00": "1"}))
    assert store.hook_failures == 1
    assert store.book.is_valid(0)
    store.on_gap = None
    store.onmessage(book(nonce=30, begin=20))
    assert store.hook_failures == 1


# --------------------------------------------------------------- asking for a book


WANTED = [
    {"type": "unsubscribe", "channel": "order_book/0"},
    {"type": "subscribe", "channel": "order_book/0"},
]


def test_a_gap_is_answered_with_a_new_subscription_at_once():
    async def main():
        store, ws = LighterDataStore(), Socket()
        store.onmessage(book({"99.00": "1"}), ws)
        store.onmessage(book(nonce=30, begin=20), ws)
        store.onmessage(book(nonce=31, begin=30), ws)
        await asyncio.sleep(0)
        assert ws.sent == WANTED
        store.onmessage(book({"99.00": "1"}, nonce=40), ws)
        await asyncio.sleep(120)
        assert ws.sent == WANTED

    run_virtual(main)


def test_a_book_that_stays_broken_is_asked_for_with_growing_pauses():
    async def main():
        store, ws = LighterDataStore(), Socket()
        at = []
        store.onmessage(book(nonce=30, begin=20), ws)
        start = asyncio.get_running_loop().time()
        while len(at) < 7:
            await asyncio.sleep(0.5)
            if len(ws.sent) // 2 > len(at):
                at.append(round(asyncio.get_running_loop().time() - start))
        assert [later - one for one, later in itertools.pairwise(at)] == [
            *(1, 2, 4, 8, 16, 30),
        ]
        ws.closed = True
        await asyncio.sleep(120)
        assert len(ws.sent) == 14

    run_virtual(main)


def test_a_book_that_breaks_with_every_frame_does_not_use_up_the_message_limit():
    async def main():
        store, ws = LighterDataStore(), Socket()
        for nonce in range(1_200):
            store.onmessage(book({"99.00": "1"}, nonce=10), ws)
            store.onmessage(book(nonce=nonce + 30, begin=20), ws)
            await asyncio.sleep(0.05)
        assert 2 <= len(ws.sent) < 140

    run_virtual(main)


async def test_a_new_connection_is_asked_without_waiting_for_the_old_one():
    store, old, new = LighterDataStore(), Socket(), Socket()
    store.onmessage(book(nonce=30, begin=20), old)
    old.closed = True
    store.onmessage(book(nonce=31, begin=30), new)
    await asyncio.sleep(0)
    assert new.sent == WANTED


async def test_a_ping_is_answered_and_a_closing_connection_does_no_harm(store):
    ws = Socket()
    store.onmessage({"type": "ping"}, ws)
    store.onmessage({"type": "ping"})
    await asyncio.sleep(0)
    assert ws.sent == [{"type": "pong"}]
    ws.broken = True
    store.onmessage({"type": "ping"}, ws)
    await asyncio.sleep(0)
    assert store.unreadable == 0


# -------------------------------------------------------------------------- orders


def test_live_orders_are_kept_and_ended_ones_deleted_with_their_last_words(store):
    told = changes_of(store.orders)
    store.onmessage(orders(order()))
    store.onmessage(orders(order(filled_base_amount="0.0100", transaction_time=1_001)))
    assert (
        store.orders.get({"market_index": 0, "order_index": 77})["filled_base_amount"]
        == "0.0100"
    )
    store.onmessage(orders(order(status="filled", transaction_time=1_002)))
    assert len(store.orders) == 0
    assert [(kind, row["status"]) for kind, row in told()] == [
        ("insert", "open"),
        ("update", "open"),
        ("delete", "filled"),
    ]


@pytest.mark.parametrize(
    "status",
    ["canceled", "canceled-post-only", "canceled-expired", "canceled-child", "filled"],
)
def test_every_final_status_ends_an_order_for_good(store, status):
    store.onmessage(orders(order()))
    store.onmessage(orders(order(status=status, transaction_time=1_001)))
    store.onmessage(orders(order(transaction_time=1_002)))
    assert len(store.orders) == 0


def test_an_order_that_was_never_seen_open_is_told_of_once(store):
    told = changes_of(store.orders)
    for _ in range(2):
        store.onmessage(orders(order(status="canceled-post-only")))
    assert [(kind, row["status"]) for kind, row in told()] == [
        ("delete", "canceled-post-only")
    ]


def test_a_snapshot_deletes_what_it_does_not_name_of_its_own_account(store):
    store.onmessage(orders(order(1), order(2), order(3, market_index=1)))
    store.onmessage(orders(order(1), account=8))
    store.onmessage(orders(order(2), kind="subscribed", channel="account_orders:0:7"))
    assert [row["order_index"] for row in store.orders.find({"account_index": 7})] == [
        *(2, 3),
    ]
    store.onmessage(orders(order(2), kind="subscribed"))
    assert [(row["account_index"], row["order_index"]) for row in store.orders] == [
        (7, 2),
        (8, 1),
    ]


def test_a_snapshot_with_an_unreadable_row_deletes_nothing(store):
    store.onmessage(orders(order(1), order(2)))
    store.onmessage(orders(order(1), order("2"), kind="subscribed"))
    assert len(store.orders) == 2
    assert store.unreadable == 1


@pytest.mark.parametrize(
    "broken",
    [
        {"status": "molten"},
        {"status": None},
        {"order_index": [1]},
        {"order_index": -1},
        {"order_index": 2**63},
        {"market_index": True},
        {"transaction_time": "soon"},
        {"transaction_time": None, "nonce": None},
        {"filled_base_amount": "NaN"},
        {"price": float("inf")},
        {"price": [[[[[[1]]]]]]},
    ],
)
def test_an_order_that_cannot_be_read_is_counted_and_the_others_count(store, broken):
    store.onmessage(orders(order(1), order(2, **broken)))
    assert [row["order_index"] for row in store.orders] == [1]
    assert store.unreadable == 1


def test_the_callers_frames_stay_untouched(store):
    frames = [
        orders(order(1)),
        orders(order(1, transaction_time=1_001, price="1")),
        positions(position()),
        positions(position("0.0000")),
        book({"99.00": "1"}),
        book({"99.00": "2"}, nonce=11, begin=10),
    ]
    before = copy.deepcopy(frames)
    for frame in frames:
        store.onmessage(frame)
    assert frames == before


def test_two_accounts_need_the_account_to_be_named(store):
    store.onmessage(orders(order(1)))
    assert store.orders.get({"market_index": 0, "order_index": 1}) is not None
    store.onmessage(orders(order(2), account=8))
    assert store.orders.get({"market_index": 0, "order_index": 1}) is None
    key = {"account_index": 8, "market_index": 0, "order_index": 2}
    assert store.orders.get(key) is not None


def test_tombstones_are_bounded(store):
    rows = [order(n, status="filled") for n in range(ENDED_ORDERS_KEPT + 10)]
    store.onmessage(orders(*rows))
    told = changes_of(store.orders)
    store.onmessage(orders(rows[-1]))
    assert told() == []


STAGES = [
    {"status": "in-progress", "transaction_time": 1_000},
    {"status": "open", "transaction_time": 1_000},
    {"status": "open", "transaction_time": 1_001, "filled_base_amount": "0.1"},
    {"status": "open", "transaction_time": 1_002, "filled_base_amount": "0.2"},
]
OLD_SERVER = [
    {"transaction_time": None, "filled_base_amount": filled}
    for filled in ("0.0", "0.1", "0.25", "0.3")
]


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("stages", [STAGES, OLD_SERVER])
@given(data=st.data())
def test_repetitions_and_any_order_of_arrival_end_alike(stages, ends, data):
    story = [order(**stage) for stage in stages]
    if ends:
        story.append(
            order(status="filled", transaction_time=1_003, filled_base_amount="0.3")
        )
    repeated = story + data.draw(st.lists(st.sampled_from(story), max_size=6))
    store = LighterDataStore()
    for row in data.draw(st.permutations(repeated)):
        store.onmessage(orders(row))
    expected = [] if ends else [{**story[-1], "account_index": 7}]
    assert store.orders.find() == expected


# ----------------------------------------------------------------------- positions


def test_positions_come_change_and_go_flat(store):
    told = changes_of(store.positions)
    store.onmessage(positions(position(), position(market=1), kind="subscribed"))
    store.onmessage(positions(position("2.5000")))
    store.onmessage(positions(position("2.5000")))
    store.onmessage(positions(position("0.0000", realized_pnl="3.5")))
    assert [row["market_id"] for row in store.positions] == [1]
    assert [(kind, row["market_id"], row["position"]) for kind, row in told()] == [
        ("insert", 0, "1.5000"),
        ("insert", 1, "1.5000"),
        ("update", 0, "2.5000"),
        ("delete", 0, "0.0000"),
    ]
    assert store.positions.get({"market_id": 1})["symbol"] == "ETH"


def test_what_a_snapshot_of_positions_leaves_out_is_flat(store):
    store.onmessage(positions(position(), position(market=1)))
    store.onmessage(positions(position(), account=8))
    store.onmessage(positions(position(market=1), kind="subscribed"))
    assert [(row["account_index"], row["market_id"]) for row in store.positions] == [
        (7, 1),
        (8, 0),
    ]


@pytest.mark.parametrize("broken", [{"position": "NaN"}, {"market_id": "0"}])
def test_positions_that_cannot_be_read_change_nothing(store, broken):
    store.onmessage(positions(position()))
    before = copy.deepcopy(store.positions.find())
    store.onmessage(positions(position("0.0000"), {**position(market=1), **broken}))
    assert store.positions.find() == before
    assert store.unreadable == 1


# ----------------------------------------------------- trades, fills, ticker, stats


def test_trades_count_once_whatever_repeats_them(store):
    told = changes_of(store.trades)
    store.onmessage(trades(trade(3), trade(1), kind="subscribed"))
    store.onmessage(trades(trade(3), trade(2)))
    liquidation = trade(4, type="liquidation")
    store.onmessage(trades(kind="subscribed", liquidation_trades=[liquidation]))
    assert [row["trade_id"] for _, row in told()] == [1, 3, 2, 4]
    assert store.trades.get({"trade_id": 4})["type"] == "liquidation"


def test_a_trade_of_another_market_or_without_a_price_is_refused(store):
    store.onmessage(trades(trade(1, market_id=1)))
    store.onmessage(trades(trade(1, price="Infinity")))
    store.onmessage(trades(trade("1")))
    assert len(store.trades) == 0
    assert store.unreadable == 3


def test_fills_count_once_for_each_account(store):
    store.onmessage(fills(kind="subscribed"))
    store.onmessage(fills(trade(5), trade(4)))
    store.onmessage(fills(trade(5)))
    store.onmessage(fills(trade(5), account=8))
    assert [(row["account_index"], row["trade_id"]) for row in store.fills] == [
        *((7, 4), (7, 5), (8, 5)),
    ]
    assert len(store.trades) == 0


def test_the_ticker_follows_the_newest_and_an_empty_side_is_no_fault(store):
    store.onmessage(ticker("101.00", "99.00", nonce=5, kind="subscribed"))
    store.onmessage(ticker("", "98.00", nonce=9))
    store.onmessage(ticker("103.00", "97.00", nonce=8))
    row = store.ticker.get({"market_id": 0})
    assert (row["a"]["price"], row["b"]["price"], row["s"]) == ("", "98.00", "ETH")
    store.onmessage(ticker("103.00", "97.00", nonce=2, kind="subscribed"))
    assert store.ticker.get({"market_id": 0})["nonce"] == 2
    assert store.unreadable == 0


@pytest.mark.parametrize(
    "broken", [None, {"a": {}, "b": None}, {"a": {"price": "x"}, "b": {}}]
)
def test_a_ticker_that_cannot_be_read_changes_nothing(store, broken):
    store.onmessage(ticker("101.00", "99.00", nonce=5))
    store.onmessage({**ticker("1", "1", nonce=6), "ticker": broken})
    assert store.ticker.get({"market_id": 0})["nonce"] == 5
    assert store.unreadable == 1


def test_stats_come_for_one_market_or_for_all(store):
    told = changes_of(store.market_stats)
    frame = {"type": "update/market_stats", "channel": "market_stats:0"}
    one = {"market_id": 0, "symbol": "ETH", "mark_price": "2064.47"}
    store.onmessage({**frame, "market_stats": one})
    everything = {"0": {**one, "mark_price": "2065.00"}, "1": {"market_id": 1}}
    both = {**frame, "channel": "market_stats:all", "market_stats": everything}
    store.onmessage(both)
    store.onmessage(both)
    assert store.market_stats.get({"market_id": 0})["mark_price"] == "2065.00"
    assert [kind for kind, _ in told()] == ["insert", "update", "insert"]
    for bad in (None, {"0": 5}, {"market_id": 0, "mark_price": float("nan")}):
        store.onmessage({**frame, "market_stats": bad})
    assert store.unreadable == 3


# ------------------------------------------------------------------ frames at large


def test_frames_that_are_none_of_the_stores_business_pass(store):
    for frame in (
        {"type": "connected", "session_id": "x"},
        {"type": "pong"},
        {"type": "height", "height": 1},
        {"type": "update/height", "channel": "height"},
        {"type": "jsonapi/sendtx", "code": 200},
        {"type": "shutdown/order_book", "channel": "order_book:0"},
    ):
        store.onmessage(frame)
    assert store.unreadable == 0
    assert store.refused == 0


def test_a_refusal_is_counted_and_logged(store, caplog):
    store.onmessage({"error": {"code": 20013, "message": "invalid auth"}})
    assert (store.refused, store.unreadable) == (1, 0)
    assert "invalid auth" in caplog.text


@pytest.mark.parametrize(
    "frame",
    [
        None,
        5,
        "ping",
        [],
        {},
        {"type": 5},
        {"type": "update/order_book"},
        {"type": "update/order_book", "channel": ["order_book:0"]},
        {"type": "update/order_book", "channel": "order_book:x"},
        {"type": "update/order_book", "channel": "trade:0"},
        {"type": "unsubscribed", "channel": "nonsense"},
        {"type": "update/trade", "channel": "trade:0", "trades": [5]},
        {"type": "update/trade", "channel": "trade:0", "trades": [trade(1), {}]},
    ],
)
def test_frames_that_cannot_be_read_are_counted(store, frame):
    store.onmessage(frame)
    assert store.unreadable == 1


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["0", "99.00", "open", "filled", "order_book:0", "update"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner)
    ),
    max_leaves=12,
)
TEMPLATES = [
    book({"99.00": "1"}, {"101.00": "1"}),
    book({"99.00": "2"}, nonce=11, begin=10),
    orders(order()),
    orders(order(status="filled"), kind="subscribed"),
    positions(position()),
    fills(trade(1)),
    trades(trade(1)),
    ticker("101.00", "99.00", nonce=5),
    {
        "type": "update/market_stats",
        "channel": "market_stats:all",
        "market_stats": {"0": {"market_id": 0, "mark_price": "1"}},
    },
]


@st.composite
def spoiled(draw):
    """Draw a frame of which one value, at any depth, is something else."""
    frame = copy.deepcopy(draw(st.sampled_from(TEMPLATES)))
    place = frame
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return frame
        key = draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, (dict, list)) or draw(st.booleans()):
            place[key] = draw(JSON)
            return frame
        place = inner


@settings(max_examples=400)
@given(frames=st.lists(JSON | spoiled() | st.sampled_from(TEMPLATES), max_size=12))
def test_no_json_value_breaks_a_store(frames):
    store = LighterDataStore()
    watched = [
        changes_of(one)
        for one in (store.orders, store.positions, store.fills, store.book)
    ]
    for frame in frames:
        store.onmessage(frame)
        found = store.book.sorted({"market_id": 0})
        asks = [Decimal(row["price"]) for row in found["asks"]]
        bids = [Decimal(row["price"]) for row in found["bids"]]
        assert asks == sorted(asks)
        assert bids == sorted(bids, reverse=True)
        assert not asks or not bids or bids[0] < asks[0]
        assert all(Decimal(row["size"]) > 0 for row in store.book)
    for told in watched:
        told()
    store.onmessage(TEMPLATES[0])
    assert ladder(store) == [[("99.00", "1")], [("101.00", "1")]]


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["bids", "asks"]), st.integers(0, 9), st.integers(0, 3)
        ),
        max_size=40,
    ),
    every=st.integers(2, 9),
)
def test_rows_follow_a_book_kept_the_plain_way(steps, every):
    store = LighterDataStore()
    store.onmessage(book(nonce=0))
    plain = {"bids": {}, "asks": {}}
    told = changes_of(store.book)
    for nonce, (side, at, size) in enumerate(steps, 1):
        price = f"{90 + at}.50" if side == "bids" else f"{110 + at}.50"
        plain[side][price] = str(size)
        if size == 0:
            del plain[side][price]
        if nonce % every == 0:
            store.onmessage(book(**plain, nonce=nonce))
        else:
            change = {side: {price: str(size)}}
            store.onmessage(book(**change, nonce=nonce, begin=nonce - 1))
    assert ladder(store) == [
        sorted(plain["bids"].items(), key=lambda one: Decimal(one[0]), reverse=True),
        sorted(plain["asks"].items(), key=lambda one: Decimal(one[0])),
    ]
    # Whoever only watches knows the same.
    seen = {}
    for kind, row in told():
        key = (row["side"], row["price"])
        if kind == "delete":
            del seen[key]
        else:
            assert (kind == "insert") == (key not in seen)
            seen[key] = row["size"]
    assert seen == {
        (side, price): size
        for side, rows in plain.items()
        for price, size in rows.items()
    }


# ---------------------------------------------------------------------------- REST


class Answer:
    """What `initialize` needs of a response."""

    def __init__(self, path, body, *, status=200):
        self.url = URL(f"http://127.0.0.1/api/v1/{path}")
        self.status = status
        self._raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def read(self):
        return self._raw


async def answered(*arguments, **more):
    return Answer(*arguments, **more)


async def test_rest_answers_fill_the_stores_and_older_words_do_no_harm(store):
    store.onmessage(orders(order(1, transaction_time=2_000, price="5"), order(2)))
    store.onmessage(orders(order(3, status="filled")))
    await store.initialize(
        answered(
            "accountActiveOrders?account_index=7&market_id=0",
            {"code": 200, "orders": [order(1, price="4"), order(3), order(4)]},
        ),
        answered(
            "accountInactiveOrders?account_index=7",
            {"code": 200, "orders": [order(2, status="canceled")]},
        ),
        answered(
            "account?by=index&value=7",
            {"code": 200, "accounts": [{"index": 7, "positions": [position()]}]},
        ),
        answered("trades?account_index=7", {"code": 200, "trades": [trade(9)]}),
        answered(
            "recentTrades?market_id=0",
            {"code": 200, "trades": [trade(8), trade(7, market_id=1)]},
        ),
    )
    assert {row["order_index"]: row.get("price") for row in store.orders} == {
        1: "5",
        4: None,
    }
    assert [row["market_id"] for row in store.positions.find({"account_index": 7})] == [
        0
    ]
    assert [row["trade_id"] for row in store.fills] == [9]
    assert [row["trade_id"] for row in store.trades] == [8, 7]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer("candles", {"code": 200}), UsageError, "candles is none of"),
        (
            Answer("accountActiveOrders", {"code": 200, "orders": []}),
            UsageError,
            "account_index",
        ),
        (
            Answer("account", {"code": 20001, "message": "invalid param"}, status=400),
            VenueError,
            "invalid param",
        ),
        (Answer("account", b"<html>", status=502), VenueError, "account"),
        (Answer("account", b"<html>"), ProtocolError, "no JSON object"),
        (Answer("account", [1]), ProtocolError, "no JSON object"),
        (Answer("account", {"code": "x"}), VenueError, "account"),
        (Answer("recentTrades", {"trades": [{}]}), ProtocolError, "market_id"),
    ],
)
async def test_an_answer_that_cannot_be_entered_is_raised(store, answer, kind, words):
    async def given_answer():
        return answer

    with pytest.raises(kind, match=words):
        await store.initialize(given_answer())


async def test_a_request_that_fails_raises_once_all_are_done(store):
    async def fails():
        raise ConnectionResetError("gone")

    later = asyncio.ensure_future(answered("account", {"code": 200, "accounts": []}))
    with pytest.raises(ConnectionResetError):
        await store.initialize(fails(), later)
    assert later.done()


# ------------------------------------------------------------------------ the door


def test_without_pybotters_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pybotters.store", None)
    spec = importlib.util.spec_from_file_location("door", store_base.__file__)
    with pytest.raises(ImportError, match=r"wrappy-lighter\[pybotters\]"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


class TestPybottersOwnWays:
    frames: ClassVar = [book({"99.00": "1"}, {"101.00": "1"})]

    async def test_waiting_ends_with_a_frame(self, store):
        waiting = asyncio.ensure_future(store.wait())
        of_the_book = asyncio.ensure_future(store.book.wait())
        await asyncio.sleep(0)
        store.onmessage(self.frames[0])
        await asyncio.wait_for(asyncio.gather(waiting, of_the_book), 1)

    def test_stores_are_found_by_name(self, store):
        assert store["book"] is store.book
        assert "orders" in store
