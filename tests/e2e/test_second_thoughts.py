"""Closing, trying again and outliving a batch: nothing goes out behind one's back."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from wrappy import (
    OrderRejectedError,
    RateLimitedError,
    SendOutcomeUnknownError,
    UsageError,
    VenueError,
)
from wrappy.model import OrderStatus

SEND, BATCH = "/api/v1/sendTx", "/api/v1/sendTxBatch"
THROTTLED = {"code": 23000, "message": "Too Many Requests!"}


@pytest.fixture
async def wire(quiet_venue, dealer, relay_to):
    relay = await relay_to(quiet_venue)
    return relay, await dealer(relay, request_timeout_s=5.0), quiet_venue


async def queue(trader, price=1000):
    return (await trader.create_limit_order(price, 0.05))["client_order_index"]


def created(venue):
    return [o.client_order_index for o in venue.ledger.orders()]


def accepted(venue):
    return [tx.info["ClientOrderIndex"] for tx in venue.ledger.accepted()]


def throttle(relay, path=SEND, times=1):
    relay.answer(path, THROTTLED, status=429, headers={"Retry-After": "1"}, times=times)


# ------------------------------------------------------------------------ closing


async def test_a_flush_that_waits_for_its_turn_sends_nothing_after_the_close(wire):
    relay, trader, venue = wire
    throttle(relay, "/api/v1/account")
    with pytest.raises(RateLimitedError):
        await trader.fetch_my_balance()
    coi = await queue(trader)
    flushing = asyncio.create_task(trader.flush())
    await asyncio.sleep(0)
    started = time.monotonic()
    await trader.aclose()
    assert time.monotonic() - started < 0.5, "closing waits for no pause"
    with pytest.raises(UsageError, match="closed meanwhile"):
        await flushing
    assert not venue.ledger.accepted()
    record = trader.orders.get(coi)
    assert record.status is OrderStatus.REJECTED
    assert record.reason.startswith("not sent")


async def test_closing_waits_for_the_answer_that_is_on_its_way(wire):
    relay, trader, venue = wire
    coi = await queue(trader)
    relay.hold_answer(SEND)
    flushing = asyncio.create_task(trader.flush())
    await asyncio.wait_for(relay.holding.wait(), 5.0)
    closing = asyncio.create_task(trader.aclose())
    await asyncio.sleep(0)
    relay.release.set()
    await closing
    assert (await flushing)["client_order_indices"] == [coi]
    assert created(venue) == [coi]
    assert trader.orders.get(coi).status is OrderStatus.SENT


async def test_a_batch_that_ends_after_the_close_sends_nothing(wire):
    _, trader, venue = wire
    cois = []

    async def closed_halfway():
        async with trader.batch():
            cois.append(await queue(trader))
            await trader.aclose()

    with pytest.raises(UsageError, match="closed"):
        await closed_halfway()
    assert not venue.ledger.accepted()
    assert trader.orders.get(cois[0]).status is OrderStatus.REJECTED


async def test_a_question_under_way_at_the_close_opens_no_connection(wire):
    relay, trader, _ = wire
    throttle(relay, "/api/v1/account")
    with pytest.raises(RateLimitedError):
        await trader.fetch_my_balance()
    asking = asyncio.create_task(trader.fetch_my_balance())
    await asyncio.sleep(0)
    await trader.aclose()
    asked = len(relay.requests)
    (answer,) = await asyncio.gather(asking, return_exceptions=True)
    assert getattr(answer, "outcome", None) == "not_sent"
    assert len(relay.requests) == asked


async def test_closing_a_socket_dealer_while_it_connects_leaves_nothing_open(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay, use_websocket=True)
    await queue(trader)
    flushing = asyncio.create_task(trader.flush())
    while not relay.paths().count("/api/v1/nextNonce"):
        await asyncio.sleep(0)
    await trader.aclose()
    await asyncio.gather(flushing, return_exceptions=True)
    # The fixture that looks for open sockets is the judge.
    assert len(created(quiet_venue)) <= 1


# ------------------------------------------------------------------- trying again


async def test_who_stood_behind_a_throttled_send_sits_out_the_pause_as_well(
    wire, dealer
):
    relay, trader, venue = wire
    other = await dealer(relay)
    for one in (trader, other):
        await queue(one)
    throttle(relay)
    started = time.monotonic()
    outcomes = await asyncio.gather(
        trader.flush(), other.flush(), return_exceptions=True
    )
    assert isinstance(outcomes[0], RateLimitedError)
    assert outcomes[1]["count"] == 1
    assert relay.paths().count(SEND) == 2
    assert time.monotonic() - started >= 0.95
    assert len(created(venue)) == 1


async def test_a_throttled_market_order_is_not_sent_by_a_later_flush(wire):
    relay, trader, venue = wire
    throttle(relay)
    with pytest.raises(RateLimitedError):
        await trader.create_market_order(0.05, 2000)
    resting = await queue(trader)
    again = await trader.create_market_order(0.05, 2000)
    assert accepted(venue) == [resting, again["client_order_index"]]


async def test_a_market_order_that_fails_leaves_the_queue_before_it_alone(wire):
    relay, trader, venue = wire
    resting = await queue(trader)
    throttle(relay, SEND)
    with pytest.raises(RateLimitedError):
        await trader.create_market_order(0.05, 2000)
    assert trader.orders.get(resting).status is OrderStatus.QUEUED
    await trader.flush()
    assert accepted(venue) == [resting]


async def test_a_lost_market_order_stays_in_doubt(wire):
    relay, trader, venue = wire
    relay.lose_answer(SEND)
    with pytest.raises(SendOutcomeUnknownError) as caught:
        await trader.create_market_order(0.05, 2000)
    (coi,) = caught.value.client_order_indices
    assert trader.orders.get(coi).status is OrderStatus.UNKNOWN
    await trader.flush()
    assert trader.orders.get(coi).status is OrderStatus.SENT
    assert accepted(venue) == [coi]


async def test_a_flush_of_nothing_settles_what_is_in_doubt(wire):
    relay, trader, venue = wire
    coi = await queue(trader)
    relay.lose_request(SEND, times=3)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    assert trader.orders.get(coi).status is OrderStatus.UNKNOWN
    assert (await trader.flush())["count"] == 0
    assert trader.orders.get(coi).status is OrderStatus.SENT
    assert created(venue) == [coi]


async def test_a_refused_change_after_an_accepted_one_keeps_the_accepted_price(wire):
    relay, trader, _ = wire
    coi = await queue(trader)
    await trader.flush()
    await trader.update_order_by_coi(coi, price=1111)
    await trader.flush()
    await trader.update_order_by_coi(coi, price=1222)
    relay.answer(SEND, {"code": 21702, "message": "invalid price"}, status=400)
    with pytest.raises(OrderRejectedError):
        await trader.flush()
    changed = await trader.update_order_by_coi(coi, quantity=0.06)
    assert changed["price"] == 1111


async def test_a_change_of_somebody_elses_sell_order_rounds_to_its_own_passive_side(
    quiet_venue, dealer
):
    first = await dealer(quiet_venue)
    sell = (await first.create_limit_order(2000, -0.05))["client_order_index"]
    await first.flush()
    second = await dealer(quiet_venue, price_rounding="passive")
    changed = await second.update_order_by_coi(sell, price=2000.001, quantity=0.05)
    assert str(changed["price"]) == "2000.01"
    unknown = await second.update_order_by_coi(sell - 1, price=2000, quantity=0.05)
    assert unknown["error"] == "order_not_found_by_coi"


async def spend_the_pace(trader):
    """Use up what a standard account may ask at once."""
    while trader.requests_used < 12:
        await trader.fetch_my_balance()


async def test_a_cancel_does_not_wait_behind_orders_that_wait_for_the_pace(
    quiet_venue, dealer
):
    trader = await dealer(quiet_venue, standard_account=True)
    coi = await queue(trader)
    await trader.flush()
    await spend_the_pace(trader)
    await queue(trader, 1001)
    waiting = asyncio.create_task(trader.flush())
    await asyncio.sleep(0)
    await trader.cancel_order_by_coi(coi)
    await trader.flush()
    assert not waiting.done()
    assert [tx.tx_type for tx in quiet_venue.ledger.accepted()] == [14, 15]
    await waiting
    assert [tx.nonce for tx in quiet_venue.ledger.accepted()] == [1, 2, 3]


async def test_a_cancel_never_overtakes_the_order_it_is_meant_for(quiet_venue, dealer):
    trader = await dealer(quiet_venue, standard_account=True)
    await spend_the_pace(trader)
    coi = await queue(trader)
    waiting = asyncio.create_task(trader.flush())
    await asyncio.sleep(0)
    await trader.cancel_order_by_coi(coi)
    await asyncio.gather(waiting, trader.flush())
    assert [tx.tx_type for tx in quiet_venue.ledger.accepted()] == [14, 15]


# ------------------------------------------------------------------------- batches


async def test_a_task_that_outlives_the_batch_it_began_in_is_free_again(wire):
    _, trader, venue = wire
    over = asyncio.Event()

    async def later():
        await over.wait()
        coi = await queue(trader, 1001)
        await trader.flush()
        return coi

    async with trader.batch():
        first = await queue(trader)
        task = asyncio.create_task(later())
    over.set()
    assert created(venue) == [first]
    second = await task
    assert created(venue) == [first, second]


async def test_tasks_gathered_inside_a_batch_fill_it_together(wire):
    relay, trader, venue = wire
    async with trader.batch():
        cois = await asyncio.gather(*(queue(trader, 1000 + n) for n in range(3)))
        assert not venue.ledger.accepted()
    assert created(venue) == cois
    assert [p for p in relay.paths() if "sendTx" in p] == [BATCH]


async def test_cancel_and_create_inside_a_batch_is_refused(wire):
    _, trader, venue = wire
    async with trader.batch():
        with pytest.raises(UsageError, match="batch_cancel_and_create inside batch"):
            await trader.batch_cancel_and_create([], [(1000, 0.05)])
    assert not venue.ledger.accepted()


# ------------------------------------------------------------------------- streams


async def test_a_channel_refused_for_a_while_comes_back_by_itself(
    wire, ws, eventually, caplog
):
    relay, trader, _ = wire
    overlay = await ws(relay)

    def refuse(frame):
        if frame.get("type") == "subscribed/account_all_orders":
            relay.down = None
            words = f"internal server error : {frame['channel']}"
            return [{"error": {"code": 29500, "message": words}}]
        return [frame]

    relay.down = refuse
    relay.cut()
    await eventually(lambda: "subscription refused: 29500" in caplog.text, 10.0)
    coi = await queue(trader)
    await trader.flush()
    assert (await overlay.wait_order_by_coi(coi, timeout=5.0))["status"] == "open"
    assert overlay.connects == 2, "without a new connection"


# ------------------------------------------------------------------------- secrets


async def test_a_redirect_is_not_followed_with_key_or_order(wire):
    relay, trader, venue = wire
    elsewhere = {"Location": relay.base_url + "/elsewhere"}
    relay.answer("/api/v1/account", b"", status=307, headers=elsewhere)
    with pytest.raises(VenueError) as caught:
        await trader.fetch_my_balance()
    assert caught.value.code == 307
    await queue(trader)
    relay.answer(SEND, b"", status=307, headers=elsewhere)
    with contextlib.suppress(VenueError):
        await trader.flush()
    assert "/elsewhere" not in relay.paths()
    assert not venue.ledger.accepted()
