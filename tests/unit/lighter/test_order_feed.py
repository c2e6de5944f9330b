"""The feed of an account's orders: what is kept, what is told, who is woken."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from wrappy.errors import ProtocolError
from wrappy.lighter.streaming.order_feed import ENDED_ORDERS_KEPT, OrderFeed

LOG = logging.getLogger("wrappy.ws")


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


def frame(*rows):
    return json.dumps({"orders": {"0": rows}}).encode()


@pytest.fixture
def told():
    return []


@pytest.fixture
def feed(told):
    return OrderFeed(lambda event, rows: told.append((event, rows)), LOG)


def test_orders_are_kept_by_their_number_and_told(feed, told):
    assert feed.take(frame(order(1), order(2, status="canceled")), snapshot=True)
    assert feed.order(1)["status"] == "open"
    assert feed.order(2)["status"] == "canceled"
    assert feed.order(3) is None
    assert told == [("on_orders", [order(1), order(2, status="canceled")])]
    assert [row["client_order_index"] for row in feed.live()] == [1]


@pytest.mark.parametrize(
    "status",
    [
        "canceled",
        "canceled-post-only",
        "canceled-reduce-only",
        "canceled-position-not-allowed",
        "canceled-margin-not-allowed",
        "canceled-too-much-slippage",
        "canceled-not-enough-liquidity",
        "canceled-self-trade",
        "canceled-expired",
        "canceled-oco",
        "canceled-child",
        "canceled-liquidation",
        "canceled-invalid-balance",
        "filled",
    ],
)
def test_an_order_that_has_ended_stays_ended_whatever_comes_late(feed, status):
    feed.take(frame(order(1, status=status, nonce=5)), snapshot=False)
    feed.take(frame(order(1, status="open", nonce=4)), snapshot=False)
    assert feed.order(1)["status"] == status
    assert feed.live() == []


def test_what_a_caller_gets_is_a_copy(feed):
    feed.enter([order(1)])
    feed.order(1)["status"] = "changed"
    assert feed.order(1)["status"] == "open"


def test_a_row_that_cannot_be_read_does_not_hold_up_the_others(feed, told, caplog):
    feed.enter([order(1, status="?"), order(2)])
    assert feed.order(1) is None
    assert told == [("on_orders", [order(2)])]
    assert "unknown order status '?'" in caplog.text
    told.clear()
    feed.enter([order(1, status="?")])
    assert told == []


@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"orders": 7}', b'{"orders": [7]}'])
def test_a_frame_that_cannot_be_read_changes_nothing(feed, told, raw):
    feed.enter([order(1)])
    feed.on_snapshot = told.append
    told.clear()
    with pytest.raises(ProtocolError):
        feed.take(raw, snapshot=True)
    assert feed.order(1)["status"] == "open"
    assert told == []


def test_an_order_without_a_number_of_its_own_is_told_but_not_kept(feed, told):
    feed.enter([order(0)])
    assert told == [("on_orders", [order(0)])]
    assert len(feed.orders) == 0


async def test_who_waits_for_an_order_is_woken_once(feed):
    loop = asyncio.get_running_loop()
    waiter, given_up, another = (loop.create_future() for _ in range(3))
    given_up.cancel()
    for future in (waiter, given_up):
        feed.wait_for(1, future)
    feed.wait_for(3, another)
    feed.enter([order(2)])
    assert not waiter.done()
    feed.enter([order(1), order(1, status="filled", nonce=2)])
    assert waiter.result()["status"] == "open"
    assert not another.done()
    for future in (waiter, given_up, given_up):
        feed.wait_no_more(1, future)
    assert feed.vanished([order(2), order(1)]), "somebody still waits for order 3"
    feed.wait_no_more(3, another)
    assert not feed.vanished([order(2), order(1)])


def test_a_live_order_that_a_list_lacks_has_vanished(feed):
    feed.enter([order(1), order(2), order(3, status="filled")])
    assert not feed.vanished([order(1), order(2)])
    assert feed.vanished([order(1)])
    assert feed.missing([order(1)]) == [2]
    assert sorted(feed.missing([])) == [1, 2]


def test_a_snapshot_is_shown_before_it_is_entered(feed):
    seen = []
    feed.on_snapshot = lambda rows: seen.append((rows, len(feed.orders)))
    feed.take(frame(order(1)), snapshot=True)
    feed.take(frame(order(2)), snapshot=False)
    assert seen == [([order(1)], 0)]


def test_an_outage_forgets_nothing(feed):
    feed.enter([order(1)])
    feed.lost("the line is cut")
    assert feed.order(1)["status"] == "open"


def test_ended_orders_make_room_and_live_ones_do_not(feed):
    feed.enter([order(1)])
    last = ENDED_ORDERS_KEPT + 2
    for coi in range(2, last + 1):
        feed.enter([order(coi, status="filled")])
    assert feed.order(1)["status"] == "open"
    assert feed.order(2) is None
    assert feed.order(last)["status"] == "filled"
    assert len(feed.orders) == ENDED_ORDERS_KEPT + 1
