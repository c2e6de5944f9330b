"""Sending over the WebSocket: the same orders, the same outcomes."""

from __future__ import annotations

import asyncio

import pytest

from wrappy import (
    OrderRejectedError,
    ProtocolError,
    RequestTimeoutError,
    SendOutcomeUnknownError,
    StreamClosedError,
)
from wrappy.model import OrderStatus


def created(venue):
    return [o.client_order_index for o in venue.ledger.orders()]


async def queue(trader, count=1, price=1000):
    return [
        (await trader.create_limit_order(price + step, 0.05))["client_order_index"]
        for step in range(count)
    ]


@pytest.fixture
async def wire(quiet_venue, dealer, relay_to):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay, use_websocket=True, request_timeout_s=2.0)
    return relay, trader, quiet_venue


async def test_orders_go_over_the_socket_and_not_by_rest(wire, ws):
    relay, trader, venue = wire
    overlay = await ws(venue)
    single = await queue(trader)
    assert (await trader.flush())["count"] == 1
    many = await queue(trader, 17)
    result = await trader.flush()
    assert (result["count"], result["batches"]) == (17, 2)
    assert not [path for path in relay.paths() if "sendTx" in path]
    assert relay.connects == 1
    assert created(venue) == [*single, *many]
    assert [tx.nonce for tx in venue.ledger.accepted()] == list(range(1, 19))
    order = await overlay.wait_order_by_coi(many[-1], timeout=5.0)
    assert order["status"] == "open"
    await trader.batch_cancel_and_create([many[-1]], [(1000, 0.05)])
    assert [t.tx_type for t in venue.ledger.accepted()][-2:] == [15, 14]


async def test_a_refusal_comes_back_by_its_number(wire):
    _, trader, venue = wire
    await trader.create_limit_order(2000, -0.05)
    await trader.flush()
    bad = await queue(trader, 2, price=4000)
    with pytest.raises(OrderRejectedError) as caught:
        await trader.flush()
    assert (caught.value.code, caught.value.endpoint) == (
        21733,
        "jsonapi/sendtxbatch",
    )
    assert [trader.orders.get(c).status for c in bad] == [OrderStatus.REJECTED] * 2
    good = await queue(trader)
    await trader.flush()
    assert created(venue)[-1] == good[0]
    assert [tx.nonce for tx in venue.ledger.accepted()] == [1, 2]


async def test_dealers_may_send_at_the_same_time(quiet_venue, dealer):
    dealers = [
        await dealer(quiet_venue, account, use_websocket=True) for account in (0, 1)
    ]
    for trader in dealers:
        await queue(trader, 3)
    await asyncio.gather(*(trader.flush() for trader in dealers))
    assert len(created(quiet_venue)) == 6
    assert not quiet_venue.ledger.refused()


async def test_a_socket_that_dies_before_the_answer_leaves_a_doubt_and_one_order(wire):
    relay, trader, venue = wire
    await queue(trader)
    await trader.flush()

    def cut_instead_of_answering(frame):
        if "id" in frame:
            relay.down = None
            relay.cut()
            return []
        return [frame]

    relay.down = cut_instead_of_answering
    lost = await queue(trader)
    with pytest.raises(SendOutcomeUnknownError) as caught:
        await trader.flush()
    assert isinstance(caught.value.__cause__, StreamClosedError)
    assert caught.value.client_order_indices == tuple(lost)
    assert trader.orders.get(lost[0]).status is OrderStatus.UNKNOWN
    later = await queue(trader)
    await trader.flush()
    assert relay.connects == 2
    assert created(venue)[1:] == [*lost, *later]
    assert len(created(venue)) == 3


async def test_a_frame_that_never_arrives_is_sent_again_and_executed_once(wire):
    relay, trader, venue = wire

    def swallow(frame):
        if frame["type"].startswith("jsonapi"):
            relay.up = None
            return []
        return [frame]

    relay.up = swallow
    lost = await queue(trader)
    with pytest.raises(SendOutcomeUnknownError) as caught:
        await trader.flush()
    assert isinstance(caught.value.__cause__, RequestTimeoutError)
    assert not venue.ledger.accepted()
    await trader.cancel_all_orders()
    assert created(venue) == lost


async def test_while_there_is_no_door_rest_stands_in_and_it_is_told_once(wire, caplog):
    relay, trader, venue = wire
    caplog.set_level("INFO")
    relay.door_open = False
    cois = []
    for _ in range(2):
        cois += await queue(trader)
        await trader.flush()
    assert created(venue) == cois
    assert relay.paths().count("/api/v1/sendTx") == 2
    assert caplog.text.count("REST stands in") == 1
    relay.door_open = True
    cois += await queue(trader)
    await trader.flush()
    assert created(venue) == cois
    assert relay.paths().count("/api/v1/sendTx") == 2
    assert "stream is back" in caplog.text


async def test_frames_that_are_no_answer_are_passed_over(wire):
    relay, trader, venue = wire

    def noise(frame):
        around = [{"type": "ping"}, {"type": "pong"}, ["not", "an", "object"], "text"]
        return [*around, {"id": "nobody-asked", "code": 200}, frame, frame]

    relay.down = noise
    cois = await queue(trader)
    await trader.flush()
    later = await queue(trader)
    await trader.flush()
    assert created(venue) == [*cois, *later]


async def test_an_error_without_a_number_belongs_to_the_only_request(wire):
    relay, trader, _ = wire

    def nameless(frame):
        if "id" in frame:
            relay.down = None
            return [{"error": {"code": 21727, "message": "invalid price"}}]
        return [frame]

    relay.down = nameless
    cois = await queue(trader)
    with pytest.raises(OrderRejectedError, match="invalid price"):
        await trader.flush()
    assert trader.orders.get(cois[0]).status is OrderStatus.REJECTED


async def test_an_answer_without_a_code_is_a_doubt(wire):
    relay, trader, venue = wire

    def codeless(frame):
        if "id" in frame:
            relay.down = None
            return [{"id": frame["id"], "type": frame["type"]}]
        return [frame]

    relay.down = codeless
    cois = await queue(trader)
    with pytest.raises(SendOutcomeUnknownError) as caught:
        await trader.flush()
    assert isinstance(caught.value.__cause__, ProtocolError)
    await trader.cancel_all_orders()
    assert created(venue) == cois


async def test_closing_the_dealer_ends_what_still_waits(wire, eventually):
    relay, trader, _ = wire
    arrived = []

    def swallow(frame):
        arrived.append(frame)
        return []

    relay.up = swallow
    await queue(trader)
    flushing = asyncio.create_task(trader.flush())
    await eventually(lambda: arrived)
    await trader.aclose()
    with pytest.raises(SendOutcomeUnknownError):
        await flushing
