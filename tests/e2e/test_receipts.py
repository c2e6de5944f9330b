"""Accepted or not, executed or not: what a receipt says is what the exchange did."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

import pytest

from wrappy import OrderRejectedError, SendOutcomeUnknownError, UsageError
from wrappy.model import OrderStatus, ReceiptStage

SEND, TX = "/api/v1/sendTx", "/api/v1/tx"
ACTIVE, ENDED = "/api/v1/accountActiveOrders", "/api/v1/accountInactiveOrders"


async def place(trader, price=1000, size=0.05, **rules):
    """Send one limit order and return its number."""
    placed = await trader.create_limit_order(price, size, **rules)
    await trader.flush()
    return placed["client_order_index"]


def truth(venue, coi):
    """Return the exchange's own record of an order."""
    (order,) = (o for o in venue.ledger.orders() if o.client_order_index == coi)
    return order


@pytest.fixture
async def wire(quiet_venue, dealer, relay_to):
    """A dealer without a stream behind a relay, and the venue it trades at."""
    relay = await relay_to(quiet_venue)
    return relay, await dealer(relay, request_timeout_s=5.0), quiet_venue


# ------------------------------------------------------------- what became of it


async def test_a_resting_order_is_executed_and_its_moments_are_in_order(
    quiet_venue, dealer
):
    trader = await dealer(quiet_venue)
    began = time.time()
    placed = await trader.create_limit_order(1000.01, -0.05)
    coi = placed["client_order_index"]
    queued = trader.receipt(coi)
    assert queued.stage is ReceiptStage.QUEUED
    assert (queued.accepted_at_s, queued.settled_at_s) == (None, None)
    flushed = await trader.flush()
    accepted = trader.receipt(coi)
    assert accepted.stage is ReceiptStage.ACCEPTED
    assert accepted.tx_hash == flushed["tx_hash"][0]
    assert accepted.settled_at_s is None

    receipt = await trader.wait_settled(coi)
    assert receipt.stage is ReceiptStage.EXECUTED
    assert receipt.status is OrderStatus.OPEN
    assert (receipt.reason, receipt.filled) == ("", 0)
    assert (receipt.price, receipt.size) == (Decimal("1000.01"), Decimal("0.05"))
    moments = (receipt.queued_at_s, receipt.accepted_at_s, receipt.settled_at_s)
    assert began <= moments[0] <= moments[1] <= moments[2] <= time.time()
    assert truth(quiet_venue, coi).status == "open"
    assert truth(quiet_venue, coi).tx_hash == receipt.tx_hash
    assert trader.receipt(coi) == receipt
    assert await trader.wait_settled(coi, timeout=0) == receipt


async def test_a_fill_is_told_with_what_was_filled(quiet_venue, dealer):
    maker, taker = await dealer(quiet_venue), await dealer(quiet_venue, account=1)
    resting = await place(maker, 2000, -0.03)
    await maker.wait_settled(resting)
    coi = await place(taker, 2000, 0.05)
    taken = await taker.wait_settled(coi)
    assert (taken.stage, taken.status) == (
        ReceiptStage.EXECUTED,
        OrderStatus.PARTIALLY_FILLED,
    )
    assert taken.filled == Decimal("0.03")
    assert truth(quiet_venue, coi).filled_base == 300
    whole = await place(maker, 2000, -0.02)
    sold = await maker.wait_settled(whole)
    assert (sold.status, sold.filled) == (OrderStatus.FILLED, Decimal("0.02"))


async def test_a_post_only_order_that_would_trade_is_rejected_in_words(
    quiet_venue, dealer
):
    maker, taker = await dealer(quiet_venue), await dealer(quiet_venue, account=1)
    await maker.wait_settled(await place(maker, 2000, -0.05))
    coi = await place(taker, 2000, 0.05, post_only=True)
    receipt = await taker.wait_settled(coi)
    assert receipt.stage is ReceiptStage.REJECTED
    assert receipt.status is OrderStatus.REJECTED
    assert receipt.reason == "post-only, but it would have traded at once"
    assert receipt.accepted_at_s <= receipt.settled_at_s
    assert truth(quiet_venue, coi).status == "canceled-post-only"


async def test_an_order_beyond_the_margin_is_rejected_when_it_is_executed(
    quiet_venue, dealer
):
    trader, maker = await dealer(quiet_venue), await dealer(quiet_venue, account=1)
    await maker.wait_settled(await place(maker, 2000, -900))
    # Each by itself has its margin; what the first one leaves is too little.
    async with trader.batch():
        orders = [await trader.create_limit_order(2000, 900) for _ in range(2)]
    first, second = [order["client_order_index"] for order in orders]
    done = await trader.wait_settled(first)
    assert done.status is OrderStatus.FILLED
    refused = await trader.wait_settled(second)
    assert refused.stage is ReceiptStage.REJECTED
    assert refused.reason == "not enough margin"
    assert refused.accepted_at_s is not None
    assert truth(quiet_venue, second).status == "canceled-margin-not-allowed"


async def test_a_market_order_with_nothing_to_hit_is_canceled_in_words(
    quiet_venue, dealer
):
    trader = await dealer(quiet_venue)
    sent = await trader.create_market_order(0.05, avg_execution_price=2000)
    coi = sent["client_order_index"]
    receipt = await trader.wait_settled(coi)
    assert (receipt.stage, receipt.status) == (
        ReceiptStage.EXECUTED,
        OrderStatus.CANCELED,
    )
    assert receipt.reason == "the book had nothing left at the price"
    assert receipt.filled == 0
    assert truth(quiet_venue, coi).status == "canceled-not-enough-liquidity"


async def test_an_order_refused_at_the_door_was_never_accepted(quiet_venue, dealer):
    trader = await dealer(quiet_venue)
    await place(trader, 2000, -0.05)
    placed = await trader.create_limit_order(4000, 0.05)
    with pytest.raises(OrderRejectedError) as caught:
        await trader.flush()
    receipt = await trader.wait_settled(placed["client_order_index"])
    assert receipt.stage is ReceiptStage.REJECTED
    assert caught.value.message in receipt.reason
    assert receipt.accepted_at_s is None
    assert len(quiet_venue.ledger.accepted()) == 1


async def test_what_is_dropped_or_kept_back_counts_as_not_sent(quiet_venue, dealer):
    trader = await dealer(quiet_venue, prefer_high_level=True)
    dry = await trader.wait_settled(await place(trader))
    assert (dry.stage, dry.reason) == (ReceiptStage.NOT_SENT, "dry run")
    placed = await trader.create_limit_order(1000, 0.05)
    await trader.aclose()
    dropped = trader.receipt(placed["client_order_index"])
    assert dropped.stage is ReceiptStage.NOT_SENT
    assert dropped.reason == "not sent: the dealer was closed"
    assert not quiet_venue.ledger.accepted()


# ------------------------------------------------------------------ who tells it


async def test_with_an_overlay_nothing_is_asked(quiet_venue, dealer, ws, relay_to):
    relay = await relay_to(quiet_venue)
    trader, overlay = await dealer(relay), await ws(quiet_venue)
    overlay.on_orders = trader.feed_ws_orders
    at_start = len(relay.paths())
    coi = await place(trader)
    receipt = await trader.wait_settled(coi)
    assert receipt.stage is ReceiptStage.EXECUTED
    assert not {TX, ACTIVE, ENDED} & set(relay.paths()[at_start:])


async def test_the_stream_is_heard_while_a_question_hangs(wire):
    relay, trader, venue = wire
    relay.hold_answer(TX)
    at_start = len(relay.paths())
    coi = await place(trader)
    waiting = asyncio.create_task(trader.wait_settled(coi))
    await relay.holding.wait()
    order = truth(venue, coi)
    row = {
        "client_order_index": coi,
        "market_index": 0,
        "order_index": order.order_index,
        "base_price": order.price,
        "initial_base_amount": "0.0500",
        "nonce": order.nonce,
        "status": order.status,
    }
    trader.feed_ws_orders([row])
    receipt = await waiting
    assert receipt.stage is ReceiptStage.EXECUTED
    assert ACTIVE not in relay.paths()[at_start:]


async def test_a_live_order_costs_two_questions_and_an_ended_one_three(wire):
    relay, trader, _venue = wire
    await trader.wait_settled(await place(trader))
    assert relay.paths()[-2:] == [TX, ACTIVE]
    sent = await trader.create_market_order(0.05, avg_execution_price=2000)
    relay.answer(TX, {"code": 200, "status": 1})  # pending: asked again later
    await trader.wait_settled(sent["client_order_index"])
    assert relay.paths()[-4:] == [TX, TX, ACTIVE, ENDED]


async def test_a_failed_transaction_rejects_its_order_in_the_exchanges_words(wire):
    relay, trader, _venue = wire
    told = '{"m":0,"ae":"{\\"code\\":21501,\\"message\\":\\"ExpiredAt has passed\\"}"}'
    relay.answer(TX, {"code": 200, "status": 0, "event_info": told})
    receipt = await trader.wait_settled(await place(trader))
    assert receipt.stage is ReceiptStage.REJECTED
    assert receipt.reason == "ExpiredAt has passed"
    assert receipt.accepted_at_s is not None


async def test_an_order_that_left_no_trace_is_rejected_with_proof(wire):
    relay, trader, _venue = wire
    told = '{"m":0,"ae":"{\\"code\\":21733,\\"message\\":\\"odd price\\"}"}'
    executed = {"code": 200, "status": 2, "event_info": told, "queued_at": 1}
    nothing = {"code": 200, "orders": []}
    relay.answer(TX, executed, times=2)
    relay.answer(ACTIVE, nothing, times=2)
    relay.answer(ENDED, nothing, times=2)
    receipt = await trader.wait_settled(await place(trader))
    assert receipt.stage is ReceiptStage.REJECTED
    assert receipt.reason == "executed without leaving an order: odd price"
    # One look is no proof: the lists may lag behind.
    assert [path for _, path in relay.fired] == [TX, ACTIVE, ENDED] * 2


async def test_an_order_that_one_look_missed_is_found_by_the_next(wire):
    relay, trader, _venue = wire
    relay.answer(ACTIVE, {"code": 200, "orders": []})
    receipt = await trader.wait_settled(await place(trader))
    assert (receipt.stage, receipt.status) == (ReceiptStage.EXECUTED, OrderStatus.OPEN)


async def test_a_question_that_fails_is_asked_again(wire, caplog):
    relay, trader, _venue = wire
    relay.answer(TX, {"code": 20001, "message": "oops"}, status=400)
    receipt = await trader.wait_settled(await place(trader))
    assert receipt.stage is ReceiptStage.EXECUTED
    assert "could not be asked for" in caplog.text


# --------------------------------------------------------------- what stays open


async def test_when_the_time_is_over_the_receipt_stands_as_it_is(wire):
    relay, trader, venue = wire
    relay.hold_answer(TX)
    coi = await place(trader)
    receipt = await trader.wait_settled(coi, timeout=0.7)
    assert relay.holding.is_set()
    assert receipt.stage is ReceiptStage.ACCEPTED
    assert (receipt.reason, receipt.settled_at_s) == ("", None)
    assert truth(venue, coi).status == "open", "executed, but nobody was told"


async def test_an_order_in_doubt_that_arrived_is_found_by_its_hash(wire):
    relay, trader, venue = wire
    placed = await trader.create_limit_order(1000, 0.05)
    coi = placed["client_order_index"]
    relay.lose_answer(SEND)
    with pytest.raises(SendOutcomeUnknownError) as caught:
        await trader.flush()
    doubtful = trader.receipt(coi)
    assert doubtful.stage is ReceiptStage.UNKNOWN
    assert doubtful.reason == "no answer came back; it may exist"
    assert doubtful.tx_hash == caught.value.tx_hashes[0]
    assert doubtful.accepted_at_s is None
    receipt = await trader.wait_settled(coi)
    assert (receipt.stage, receipt.reason) == (ReceiptStage.EXECUTED, "")
    assert truth(venue, coi).tx_hash == receipt.tx_hash
    await trader.flush()
    assert len(venue.ledger.accepted()) == 1


async def test_an_order_in_doubt_that_never_arrived_stays_unknown_until_settled(wire):
    relay, trader, venue = wire
    placed = await trader.create_limit_order(1000, 0.05)
    coi = placed["client_order_index"]
    relay.lose_request(SEND, times=4)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    receipt = await trader.wait_settled(coi, timeout=0.2)
    assert receipt.stage is ReceiptStage.UNKNOWN
    assert not venue.ledger.accepted()
    await trader.flush()  # settles with the same bytes
    receipt = await trader.wait_settled(coi)
    assert receipt.stage is ReceiptStage.EXECUTED
    assert truth(venue, coi).status == "open"


async def test_the_hash_of_a_cancelled_flush_stays_known(wire):
    relay, trader, venue = wire
    placed = await trader.create_limit_order(1000, 0.05)
    coi = placed["client_order_index"]
    relay.hold_answer(SEND)
    flushing = asyncio.create_task(trader.flush())
    await relay.holding.wait()
    flushing.cancel()
    await asyncio.wait([flushing])
    assert trader.receipt(coi).tx_hash == truth(venue, coi).tx_hash
    receipt = await trader.wait_settled(coi)
    assert receipt.stage is ReceiptStage.EXECUTED
    assert truth(venue, coi).status == "open"


# -------------------------------------------------------------------- who waits


async def test_an_unflushed_or_unknown_order_is_not_waited_for(quiet_venue, dealer):
    trader = await dealer(quiet_venue)
    placed = await trader.create_limit_order(1000, 0.05)
    with pytest.raises(UsageError, match="flush"):
        await trader.wait_settled(placed["client_order_index"])
    assert trader.receipt(12345) is None
    with pytest.raises(UsageError, match="12345 is not known"):
        await trader.wait_settled(12345)


async def test_two_who_wait_for_one_order_share_the_questions(wire):
    relay, trader, _venue = wire
    coi = await place(trader)
    one, two = await asyncio.gather(*(trader.wait_settled(coi) for _ in range(2)))
    assert one == two
    assert one.stage is ReceiptStage.EXECUTED
    assert relay.paths().count(TX) == 1


async def test_one_who_stops_waiting_does_not_stop_the_other(wire):
    relay, trader, _venue = wire
    relay.hold_answer(TX)
    coi = await place(trader)
    leaving, staying = [asyncio.create_task(trader.wait_settled(coi)) for _ in range(2)]
    await relay.holding.wait()
    leaving.cancel()
    await asyncio.wait([leaving])
    assert leaving.cancelled()
    relay.release.set()
    assert (await staying).stage is ReceiptStage.EXECUTED
    assert relay.paths().count(TX) == 1


async def test_when_the_last_one_stops_waiting_the_questions_stop(wire, eventually):
    relay, trader, _venue = wire
    relay.hold_answer(TX)
    coi = await place(trader)
    leaving = asyncio.create_task(trader.wait_settled(coi))
    await relay.holding.wait()
    leaving.cancel()
    name = f"wrappy ask {coi}"
    await eventually(lambda: name not in {t.get_name() for t in asyncio.all_tasks()})
    assert trader.receipt(coi).stage is ReceiptStage.ACCEPTED


async def test_closing_the_dealer_releases_whoever_waits(wire):
    relay, trader, _venue = wire
    relay.hold_answer(TX)
    coi = await place(trader)
    waiting = [asyncio.create_task(trader.wait_settled(coi, 60)) for _ in range(2)]
    await relay.holding.wait()
    await trader.aclose()
    for waiter in waiting:
        with pytest.raises(UsageError, match="closed while this waited"):
            await waiter
    with pytest.raises(UsageError, match="closed"):
        await trader.wait_settled(coi)
    assert trader.receipt(coi).stage is ReceiptStage.ACCEPTED
