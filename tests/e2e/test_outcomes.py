"""Refused, not sent, throttled, lost: each ends in exactly the right orders."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from wrappy import (
    AuthRejectedError,
    ConnectError,
    InvalidOrderError,
    LaneHeldError,
    NonceRejectedError,
    OrderRejectedError,
    ProtocolError,
    RateLimitedError,
    RequestTimeoutError,
    SendOutcomeUnknownError,
    VenueError,
    VenueUnavailableError,
)
from wrappy.model import OrderStatus
from wrappy.protocol.intents import CancelAllOrders
from wrappy.signing.sdk import SdkSigner

SEND, BATCH = "/api/v1/sendTx", "/api/v1/sendTxBatch"
NONCE, TX = "/api/v1/nextNonce", "/api/v1/tx"


@pytest.fixture
async def wire(quiet_venue, dealer, relay_to):
    """A dealer behind a relay, and the venue it trades at."""
    relay = await relay_to(quiet_venue)
    return relay, await dealer(relay, request_timeout_s=5.0), quiet_venue


@pytest.fixture
async def impatient(quiet_venue, dealer, relay_to):
    """The same, but a flush does not wait long for a doubt to be settled."""
    relay = await relay_to(quiet_venue)
    return relay, await dealer(relay, request_timeout_s=0.3), quiet_venue


async def queue(trader, count=1, price=1000):
    return [
        (await trader.create_limit_order(price + step, 0.05))["client_order_index"]
        for step in range(count)
    ]


def created(venue):
    return [o.client_order_index for o in venue.ledger.orders()]


def nonces(venue):
    return [tx.nonce for tx in venue.ledger.accepted()]


def status(trader, coi):
    return trader.orders.get(coi).status


def sent_bytes(relay):
    return [form for path, form in relay.requests if path in (SEND, BATCH)]


async def use_nonce(venue, nonce):
    """Consume a nonce as another program with the same key would."""
    account = venue.accounts[0]
    key = account.api_keys[0]
    signer = SdkSigner(
        key.api_key_private_key,
        account_index=account.account_index,
        api_key_index=key.api_key_index,
        chain_id=venue.chain_id,
    )
    tx = signer.sign(CancelAllOrders(market_index=0), nonce=nonce)
    form = {"tx_type": str(int(tx.tx_type)), "tx_info": tx.tx_info}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{venue.base_url}{SEND}", data=form) as response,
    ):
        assert response.status == 200, await response.text()


# ------------------------------------------------------------------------- refused


async def test_a_refused_batch_is_rejected_in_the_exchanges_words(
    quiet_venue, dealer, config_for
):
    trader = await dealer(quiet_venue, order_lifetime_s=300)
    first = await queue(trader)
    await trader.flush()
    # Beyond 105 % of the best ask: the exchange's own rule, unknown to us.
    ask = (await trader.create_limit_order(2000, -0.05))["client_order_index"]
    await trader.flush()
    bad = await queue(trader, 2, price=4000)
    with pytest.raises(OrderRejectedError) as caught:
        await trader.flush()
    assert caught.value.code == 21733
    assert caught.value.outcome == "refused"
    for coi in bad:
        record = trader.orders.get(coi)
        assert record.status is OrderStatus.REJECTED
        assert caught.value.message in record.reason
    good = await queue(trader)
    await trader.flush()
    assert created(quiet_venue) == [*first, ask, *good]
    assert nonces(quiet_venue) == [1, 2, 3], "the refused nonces were used again"


async def test_what_stands_behind_a_refused_batch_stays_queued(quiet_venue, dealer):
    trader = await dealer(quiet_venue, max_ws_batch=2)
    await trader.create_limit_order(2000, -0.05)
    await trader.flush()
    bad = await queue(trader, 2, price=4000)
    good = await queue(trader, 3)
    with pytest.raises(OrderRejectedError):
        await trader.flush()
    assert [status(trader, c) for c in bad] == [OrderStatus.REJECTED] * 2
    assert [status(trader, c) for c in good] == [OrderStatus.QUEUED] * 3
    await trader.flush()
    assert created(quiet_venue)[1:] == good


async def test_a_refused_change_is_forgotten(wire):
    relay, trader, _venue = wire
    (coi,) = await queue(trader)
    await trader.flush()
    await trader.update_order_by_coi(coi, price=1111)
    relay.answer(SEND, {"code": 21702, "message": "invalid price"}, status=400)
    with pytest.raises(OrderRejectedError):
        await trader.flush()
    changed = await trader.update_order_by_coi(coi, quantity=0.06)
    assert changed["price"] == 1000
    assert relay.fired == [("answer", SEND)]


async def test_a_market_order_without_an_opposite_side_asks_for_a_bound(
    quiet_venue, dealer
):
    trader = await dealer(quiet_venue)
    with pytest.raises(InvalidOrderError, match="avg_execution_price"):
        await trader.create_market_order(0.05)
    assert not quiet_venue.ledger.accepted()


# ---------------------------------------------------------------------- the nonce


async def test_after_a_foreign_nonce_the_next_flush_works(quiet_venue, dealer, caplog):
    trader = await dealer(quiet_venue)
    first = await queue(trader)
    await trader.flush()
    await use_nonce(quiet_venue, 2)
    second = await queue(trader, 2)
    with pytest.raises(NonceRejectedError) as caught:
        await trader.flush()
    assert caught.value.retryable
    assert [status(trader, coi) for coi in second] == [OrderStatus.QUEUED] * 2
    await trader.flush()
    assert created(quiet_venue) == [*first, *second]
    assert nonces(quiet_venue) == [1, 2, 3, 4]
    assert "used by somebody else" in caplog.text


async def test_a_nonce_that_cannot_be_read_sends_nothing(wire):
    relay, trader, venue = wire
    cois = await queue(trader)
    for answer in ({"code": 200}, {"nonce": -1}, {"nonce": True}):
        relay.answer(NONCE, answer)
        with pytest.raises(ProtocolError, match="is no nonce"):
            await trader.flush()
    assert not venue.ledger.accepted()
    await trader.flush()
    assert created(venue) == cois


# ------------------------------------------------------------------------ not sent


async def test_without_a_connection_everything_stays_queued(venue, dealer, relay_to):
    relay = await relay_to(venue)
    trader = await dealer(relay)
    coi = (await trader.create_limit_order(1900, 0.05))["client_order_index"]
    relay.lose_request(NONCE)  # the connection of the pool is spent as well
    await relay.__aexit__()
    with pytest.raises(ConnectError) as caught:
        await trader.flush()
    assert caught.value.outcome == "not_sent"
    assert caught.value.retryable
    assert status(trader, coi) is OrderStatus.QUEUED
    assert not venue.ledger.accepted()


# ------------------------------------------------------------------------ throttled


async def test_a_throttled_send_loses_nothing_and_pauses(wire):
    relay, trader, venue = wire
    cois = await queue(trader, 2)
    relay.answer(
        BATCH,
        {"code": 23000, "message": "Too Many Requests!"},
        status=429,
        headers={"Retry-After": "1"},
    )
    with pytest.raises(RateLimitedError) as caught:
        await trader.flush()
    throttled_at = time.monotonic()
    assert caught.value.retry_after_s == 1.0
    assert [status(trader, coi) for coi in cois] == [OrderStatus.QUEUED] * 2
    await trader.flush()
    assert time.monotonic() - throttled_at >= 0.95
    assert created(venue) == cois
    assert nonces(venue) == [1, 2]
    assert len(sent_bytes(relay)) == 2


async def test_a_throttled_question_pauses_as_well(wire):
    relay, trader, _ = wire
    relay.answer(
        "/api/v1/account", b"blocked", status=405, headers={"Retry-After": "1"}
    )
    with pytest.raises(RateLimitedError):
        await trader.fetch_my_balance()
    throttled_at = time.monotonic()
    await trader.fetch_my_position()
    assert time.monotonic() - throttled_at >= 0.95


# ------------------------------------------------------------------------- unknown


async def test_a_lost_answer_is_settled_with_the_same_bytes(wire, eventually):
    relay, trader, venue = wire
    cois = await queue(trader, 2)
    relay.lose_answer(BATCH)
    with pytest.raises(SendOutcomeUnknownError) as caught:
        await trader.flush()
    assert caught.value.client_order_indices == tuple(cois)
    assert caught.value.tx_hashes == tuple(tx.tx_hash for tx in venue.ledger.accepted())
    assert not caught.value.retryable
    assert [status(trader, coi) for coi in cois] == [OrderStatus.UNKNOWN] * 2

    later = await queue(trader)
    result = await trader.flush()
    assert result["client_order_indices"] == later
    assert created(venue) == [*cois, *later]
    assert [status(trader, coi) for coi in cois] == [OrderStatus.SENT] * 2
    first, again = sent_bytes(relay)[:2]
    assert first == again
    assert nonces(venue) == [1, 2, 3]
    assert relay.fired == [("lose_answer", BATCH)]


async def test_a_lost_request_is_carried_out_exactly_once(wire):
    relay, trader, venue = wire
    cois = await queue(trader)
    relay.lose_request(SEND)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    assert not venue.ledger.accepted()
    assert status(trader, cois[0]) is OrderStatus.UNKNOWN
    later = await queue(trader)
    await trader.flush()
    assert created(venue) == [*cois, *later]
    assert not venue.ledger.refused()


async def test_an_order_waiting_behind_a_doubt_is_not_lost_with_it(
    impatient, eventually
):
    relay, trader, venue = impatient
    cois = await queue(trader)
    relay.lose_request(SEND, times=4)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    later = await queue(trader, 2)
    with pytest.raises(LaneHeldError, match="still in doubt") as caught:
        await trader.flush()
    assert caught.value.outcome == "not_sent"
    assert status(trader, cois[0]) is OrderStatus.UNKNOWN
    assert [status(trader, coi) for coi in later] == [OrderStatus.QUEUED] * 2
    await eventually(lambda: created(venue) == cois)
    await trader.flush()
    assert created(venue) == [*cois, *later]


async def test_what_stands_behind_a_lost_batch_stays_queued(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay, max_ws_batch=2)
    cois = await queue(trader, 4)
    relay.lose_answer(BATCH)
    with pytest.raises(SendOutcomeUnknownError) as caught:
        await trader.flush()
    assert caught.value.client_order_indices == tuple(cois[:2])
    assert [status(trader, c) for c in cois] == (
        [OrderStatus.UNKNOWN] * 2 + [OrderStatus.QUEUED] * 2
    )
    await trader.flush()
    assert created(quiet_venue) == cois


async def test_a_batch_block_that_fails_leaves_nothing_for_a_later_flush(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay, max_ws_batch=1)
    relay.lose_answer(SEND)
    with pytest.raises(SendOutcomeUnknownError):
        async with trader.batch():
            cois = await queue(trader, 3)
    assert status(trader, cois[0]) is OrderStatus.UNKNOWN
    assert [status(trader, c) for c in cois[1:]] == [OrderStatus.REJECTED] * 2
    assert trader.orders.get(cois[1]).reason.startswith("not sent: its batch failed")
    await queue(trader)
    await trader.flush()
    assert created(quiet_venue)[0] == cois[0]
    assert len(created(quiet_venue)) == 2


async def test_a_flush_cancelled_on_its_way_does_not_send_twice(wire, eventually):
    relay, trader, venue = wire
    cois = await queue(trader)
    relay.hold_answer(SEND)
    flushing = asyncio.create_task(trader.flush())
    await asyncio.wait_for(relay.holding.wait(), 5.0)
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    assert status(trader, cois[0]) is OrderStatus.UNKNOWN
    later = await queue(trader)
    result = await trader.flush()
    assert result["client_order_indices"] == later
    assert created(venue) == [*cois, *later]


async def test_no_answer_in_time_is_a_doubt(quiet_venue, dealer, relay_to):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay, request_timeout_s=0.2)
    cois = await queue(trader)
    relay.hold_answer(SEND)
    with pytest.raises(SendOutcomeUnknownError) as caught:
        await trader.flush()
    assert isinstance(caught.value.__cause__, RequestTimeoutError)
    await queue(trader)
    await trader.flush()
    assert created(quiet_venue)[0] == cois[0]
    assert len(created(quiet_venue)) == 2


async def test_a_server_error_is_a_doubt_as_well(wire):
    relay, trader, venue = wire
    cois = await queue(trader)
    relay.answer(SEND, b"<html>bad gateway</html>", status=502)
    with pytest.raises(SendOutcomeUnknownError) as caught:
        await trader.flush()
    assert isinstance(caught.value.__cause__, VenueUnavailableError)
    await trader.cancel_all_orders()
    assert created(venue) == cois


async def test_an_answer_that_cannot_be_read_is_a_doubt(wire):
    relay, trader, venue = wire
    cois = await queue(trader)
    relay.answer(SEND, b"[]")
    relay.answer(SEND, {"code": 200, "tx_hash": ["a", "b"]})
    with pytest.raises(SendOutcomeUnknownError) as caught:
        await trader.flush()
    assert isinstance(caught.value.__cause__, ProtocolError)
    await queue(trader)
    await trader.flush()
    assert created(venue)[0] == cois[0]
    assert len(created(venue)) == 2


async def test_a_doubt_survives_every_failure_of_settling_it(impatient, eventually):
    relay, trader, venue = impatient
    first = await queue(trader)
    await trader.flush()
    cois = await queue(trader)
    relay.lose_answer(SEND)
    relay.answer(SEND, b"", status=503)
    relay.lose_request(SEND)
    relay.answer(NONCE, b"", status=500)
    relay.lose_answer(NONCE)
    relay.answer(NONCE, b"", status=500)
    relay.answer(TX, {"code": 29500}, status=500)
    relay.answer(TX, {"code": 20001, "message": "no"}, status=400)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    later = await queue(trader)
    with pytest.raises(LaneHeldError):
        await trader.flush()
    assert status(trader, cois[0]) is OrderStatus.UNKNOWN
    await eventually(lambda: status(trader, cois[0]) is OrderStatus.SENT)
    await trader.flush()
    assert created(venue) == [*first, *cois, *later]
    assert len(relay.fired) == 8


async def test_a_throttled_settlement_waits_and_goes_on(wire):
    relay, trader, venue = wire
    cois = await queue(trader)
    relay.lose_answer(SEND)
    relay.answer(SEND, {"code": 23000}, status=429, headers={"Retry-After": "1"})
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    began = time.monotonic()
    later = await queue(trader)
    await trader.flush()
    assert time.monotonic() - began >= 0.9
    assert created(venue) == [*cois, *later]


async def test_a_doubt_is_settled_without_another_flush(wire, eventually):
    relay, trader, venue = wire
    cois = await queue(trader, 2)
    relay.lose_request(BATCH)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    await eventually(lambda: created(venue) == cois)
    await eventually(lambda: status(trader, cois[0]) is not OrderStatus.UNKNOWN)
    assert nonces(venue) == [1, 2]


async def test_closing_tries_a_last_time(wire):
    relay, trader, venue = wire
    cois = await queue(trader)
    relay.lose_request(SEND, times=2)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    await trader.aclose()
    assert created(venue) == cois
    assert status(trader, cois[0]) is OrderStatus.SENT


async def test_what_stays_in_doubt_at_the_close_is_told_and_kept(impatient, caplog):
    relay, trader, venue = impatient
    cois = await queue(trader)
    relay.lose_request(SEND, times=50)
    with pytest.raises(SendOutcomeUnknownError) as caught:
        await trader.flush()
    await trader.aclose()
    assert "closed while in doubt" in caplog.text
    assert str(cois[0]) in caplog.text
    assert caught.value.tx_hashes[0] in caplog.text
    assert "the journal has them" in caplog.text
    assert not venue.ledger.accepted()


async def test_a_lost_order_whose_nonce_is_gone_is_in_doubt_and_frees_the_key(wire):
    relay, trader, venue = wire
    cois = await queue(trader)
    relay.lose_request(SEND)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    await use_nonce(venue, 1)
    later = await queue(trader)
    await trader.flush()
    assert status(trader, cois[0]) is OrderStatus.UNKNOWN
    assert created(venue) == later


async def test_a_lost_order_that_may_still_be_on_its_way_holds_the_key(
    impatient, eventually
):
    relay, trader, venue = impatient
    cois = await queue(trader)
    relay.lose_request(SEND)
    refusal = {"code": 21120, "message": "invalid signature"}
    relay.answer(SEND, refusal, status=400, times=3)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    later = await queue(trader)
    with pytest.raises(LaneHeldError, match="in doubt"):
        await trader.flush()
    assert status(trader, cois[0]) is OrderStatus.UNKNOWN
    assert not venue.ledger.accepted()
    await eventually(lambda: created(venue) == cois)
    await trader.flush()
    assert created(venue) == [*cois, *later]


async def test_a_change_in_doubt_keeps_its_target(wire, eventually):
    relay, trader, venue = wire
    (coi,) = await queue(trader)
    await trader.flush()
    await trader.update_order_by_coi(coi, price=1111)
    relay.lose_answer(SEND)
    with pytest.raises(SendOutcomeUnknownError) as caught:
        await trader.flush()
    assert caught.value.client_order_indices == (coi,)
    await queue(trader)
    await trader.flush()
    await eventually(lambda: venue.ledger.orders()[0].price == 111_100)


async def test_refusals_of_every_family_have_their_class(wire):
    relay, trader, venue = wire
    for code, kind in (
        (21120, AuthRejectedError),
        (21729, OrderRejectedError),
        (20001, VenueError),
    ):
        await queue(trader)
        relay.answer(SEND, {"code": code, "message": "no"}, status=400)
        with pytest.raises(kind) as caught:
            await trader.flush()
        assert type(caught.value) is kind
        assert caught.value.endpoint == SEND
    assert not venue.ledger.accepted()
