"""A doubt that would hold the key for minutes is fenced within seconds."""

from __future__ import annotations

import time
from pathlib import Path

import aiohttp
import pytest

from wrappy import LaneHeldError, SendOutcomeUnknownError
from wrappy.lighter.persistence.journal import Journal, SendStage
from wrappy.model import OrderStatus, ReceiptStage
from wrappy.protocol.intents import TxType
from wrappy.venue import Venue
from wrappy.venue.settings import VenueSettings

SEND, BATCH = "/api/v1/sendTx", "/api/v1/sendTxBatch"
SECONDS = 5.0
OFFICIAL_LIFE_S = 9 * 60


async def queue(trader, price):
    return (await trader.create_limit_order(price, 0.05))["client_order_index"]


def types(venue):
    return [tx.tx_type for tx in venue.ledger.accepted()]


def created(venue):
    return [found.client_order_index for found in venue.ledger.orders()]


async def post(venue, form, path=SEND):
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{venue.base_url}{path}", data=form) as response,
    ):
        return await response.json()


async def lose(relay, trader, prices, path=SEND):
    """Send orders that do not arrive; return their numbers and what was sent."""
    cois = [await queue(trader, price) for price in prices]
    # The copies that follow are lost as well, until the market has moved.
    relay.lose_request(path, times=3)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    return cois, next(form for at, form in relay.requests if at == path)


@pytest.fixture
async def wire(quiet_venue, dealer, relay_to):
    relay = await relay_to(quiet_venue)
    return relay, await dealer(relay), quiet_venue


@pytest.fixture
async def seller(quiet_venue, dealer):
    """Somebody whose flush moves the market: 3000 is beyond the band for buyers."""
    other = await dealer(quiet_venue, account=1)
    await other.create_limit_order(2000, -0.05)
    return other


async def test_an_order_lost_before_the_market_moved_holds_the_key_for_seconds(
    wire, seller
):
    relay, trader, venue = wire
    started = time.monotonic()
    (coi,), lost = await lose(relay, trader, [3000])
    assert int(lost["tx_info"].split('"ExpiredAt":')[1].split(",")[0]) > (
        (time.time() + OFFICIAL_LIFE_S) * 1000
    )
    await seller.flush()
    later = await queue(trader, 1000)
    await trader.flush()
    assert time.monotonic() - started < SECONDS
    assert trader.orders.get(coi).status is OrderStatus.REJECTED
    receipt = trader.receipt(coi)
    assert receipt.stage is ReceiptStage.REJECTED
    assert receipt.reason == "never executed"
    assert later in created(venue)
    assert coi not in created(venue)
    assert types(venue).count(TxType.CANCEL_ORDER) == 1
    late = await post(venue, lost)
    assert late["code"] != 200, "the bytes that come late after all do nothing"
    assert coi not in created(venue)


async def test_a_whole_batch_is_fenced_in_one_request(wire, seller):
    relay, trader, venue = wire
    cois, lost = await lose(relay, trader, [3000, 3001, 3002], path=BATCH)
    await seller.flush()
    later = await queue(trader, 1000)
    await trader.flush()
    assert types(venue).count(TxType.CANCEL_ORDER) == 3
    assert [trader.orders.get(c).status for c in cois] == [OrderStatus.REJECTED] * 3
    assert (await post(venue, lost, BATCH))["code"] != 200
    assert later in created(venue)
    assert not set(cois) & set(created(venue))


async def test_a_fence_whose_answer_is_lost_is_sent_again(wire, seller, caplog):
    relay, trader, venue = wire
    (coi,), _ = await lose(relay, trader, [3000])
    await seller.flush()
    refusal = {"code": 21733, "message": "too far from the mark price"}
    relay.answer(SEND, refusal, status=400)
    relay.lose_answer(SEND)
    await queue(trader, 1000)
    await trader.flush()
    assert relay.fired[-1] == ("lose_answer", SEND)
    assert types(venue).count(TxType.CANCEL_ORDER) == 1
    assert trader.orders.get(coi).status is OrderStatus.REJECTED
    assert "used by somebody else" not in caplog.text


async def test_an_order_that_did_arrive_outlives_the_fence(wire, eventually):
    relay, trader, venue = wire
    coi = await queue(trader, 1000)
    relay.lose_answer(SEND)
    # The copy is refused, and reads lag: everything says it never arrived.
    relay.answer(SEND, {"code": 21733, "message": "too far"}, status=400)
    relay.answer("/api/v1/nextNonce", {"code": 200, "nonce": 1}, times=3)
    gone = {"code": 21500, "message": "transaction not found"}
    relay.answer("/api/v1/tx", gone, status=400)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    await eventually(lambda: trader.orders.get(coi).status is OrderStatus.SENT)
    assert created(venue) == [coi]
    assert types(venue) == [TxType.CREATE_ORDER]
    sent = [form for path, form in relay.requests if path == SEND]
    assert [int(form["tx_type"]) for form in sent][:3] == [14, 14, 15]


async def test_a_cancel_in_doubt_is_carried_out_by_its_own_fence(wire, eventually):
    relay, trader, venue = wire
    coi = await queue(trader, 1000)
    await trader.flush()
    relay.lose_request(SEND)
    relay.answer(SEND, {"code": 21120, "message": "invalid signature"}, status=400)
    await trader.cancel_order_by_coi(coi)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    await eventually(lambda: len(types(venue)) == 2)
    await trader.flush()
    assert [tx.info.get("Index") for tx in venue.ledger.accepted()] == [None, coi]
    assert trader.orders.get(coi).status is OrderStatus.PENDING_CANCEL


async def test_an_exchange_without_fences_leaves_it_to_the_expiry(
    dealer, relay_to, eventually
):
    settings = VenueSettings(seed=1, flow="none", gone_order="refuse")
    async with Venue(settings=settings) as venue:
        relay = await relay_to(venue)
        trader = await dealer(relay, request_timeout_s=1.5)
        other = await dealer(venue, account=1)
        await other.create_limit_order(2000, -0.05)
        (coi,), _ = await lose(relay, trader, [3000])
        await other.flush()
        await queue(trader, 1000)
        with pytest.raises(LaneHeldError, match="in doubt"):
            await trader.flush()
        sent = [int(form["tx_type"]) for path, form in relay.requests if path == SEND]
        assert sent.count(TxType.CANCEL_ORDER) == 1
        assert TxType.CANCEL_ORDER not in types(venue)
        await other.cancel_all_orders()
        # As the market has come back, a copy is accepted after all.
        await eventually(
            lambda: trader.orders.get(coi).status is not OrderStatus.UNKNOWN
        )
        assert coi in created(venue)


async def test_the_journal_tells_the_fence_from_what_it_fenced(
    wire, seller, config_for, eventually
):
    relay, trader, venue = wire
    (coi,), _ = await lose(relay, trader, [3000])
    await seller.flush()
    await eventually(lambda: trader.orders.get(coi).status is OrderStatus.REJECTED)
    await trader.aclose()
    config = config_for(relay)
    journal = Journal.open(
        Path(config.state_dir),
        base_url=config.base_url,
        account_index=config.account_index,
        api_key_index=config.api_keys[0].api_key_index,
    )
    try:
        assert journal.unresolved() == []
        (fence,) = [
            tx for tx in venue.ledger.accepted() if tx.tx_type == TxType.CANCEL_ORDER
        ]
        assert journal.entry(fence.tx_hash).stage is SendStage.ACCEPTED
        rows = journal.by_client_order_index(coi)
        assert [row.stage for row in rows] == [SendStage.DEAD]
    finally:
        journal.close()
