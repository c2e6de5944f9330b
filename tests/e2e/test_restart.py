"""After a restart journal and exchange agree before the first order is sent."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from wrappy import (
    LaneHeldError,
    LighterDealer,
    UnknownOrdersError,
    VenueUnavailableError,
)
from wrappy.lighter.persistence.journal import Journal, JournalEntry, SendStage
from wrappy.model import OrderStatus
from wrappy.protocol.intents import (
    CancelOrder,
    CreateOrder,
    ModifyOrder,
    TxType,
    UpdateLeverage,
)
from wrappy.signing.sdk import SdkSigner
from wrappy.venue import Venue
from wrappy.venue.settings import VenueSettings

SEND, BATCH = "/api/v1/sendTx", "/api/v1/sendTxBatch"
NONCE, TX = "/api/v1/nextNonce", "/api/v1/tx"
ACTIVE = "/api/v1/accountActiveOrders"
MARKET = 0


def signer_of(venue, key=0, account=0):
    owner = venue.accounts[account]
    made = owner.api_keys[key]
    return SdkSigner(
        made.api_key_private_key,
        account_index=owner.account_index,
        api_key_index=made.api_key_index,
        chain_id=venue.chain_id,
    )


def journal_of(config, *, key=None):
    return Journal.open(
        Path(config.state_dir),
        base_url=config.base_url,
        account_index=config.account_index,
        api_key_index=key or config.api_keys[0].api_key_index,
    )


def order(coi, price=100_000):
    return CreateOrder(
        market_index=MARKET,
        client_order_index=coi,
        base_amount=500,
        price=price,
        is_ask=False,
        order_expiry=int(time.time() * 1000) + 3_600_000,
    )


def entry_for(intent, tx, *, stage=SendStage.SIGNED, expired_at_ms=None):
    number = None
    if isinstance(intent, CreateOrder):
        number = intent.client_order_index
    elif isinstance(intent, (CancelOrder, ModifyOrder)):
        number = intent.index
    return JournalEntry(
        nonce=tx.nonce,
        tx_type=int(tx.tx_type),
        tx_hash=tx.tx_hash,
        tx_info=tx.tx_info,
        expired_at_ms=tx.expired_at_ms if expired_at_ms is None else expired_at_ms,
        market_index=MARKET,
        client_order_index=number,
        group_indices=(),
        batch=1,
        stage=stage,
        written_ms=int(time.time() * 1000),
        intent="{}",
    )


def leave(venue, config, intents, *, first_nonce=1, key=0, **fields):
    """Write what a process that died had signed; return the transactions."""
    signed = signer_of(venue, key).sign_many(intents, first_nonce=first_nonce)
    number = config.api_keys[key].api_key_index
    journal = journal_of(config, key=number)
    journal.write(
        [
            entry_for(intent, tx, **fields)
            for intent, tx in zip(intents, signed, strict=True)
        ]
    )
    journal.close()
    return signed


async def post(venue, tx):
    """Have bytes arrive at the venue; return the HTTP status."""
    form = {"tx_type": str(int(tx.tx_type)), "tx_info": tx.tx_info}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{venue.base_url}{SEND}", data=form) as response,
    ):
        return response.status


def stage(config, tx):
    journal = journal_of(config)
    try:
        return journal.entry(tx.tx_hash).stage
    finally:
        journal.close()


def created(venue):
    return [found.client_order_index for found in venue.ledger.orders()]


def types(venue):
    return [tx.tx_type for tx in venue.ledger.accepted()]


async def start_and_stop(config):
    async with await LighterDealer.create(config):
        pass


async def test_an_order_that_never_arrived_is_fenced_and_not_placed_again(
    quiet_venue, config_for
):
    config = config_for(quiet_venue)
    (old,) = leave(quiet_venue, config, [order(77)])
    async with await LighterDealer.create(config) as trader:
        assert types(quiet_venue) == [TxType.CANCEL_ORDER]
        assert await post(quiet_venue, old) == 400  # the old bytes, late
        await trader.create_limit_order(1000, 0.05)
        await trader.flush()
    assert [tx.nonce for tx in quiet_venue.ledger.accepted()] == [1, 2]
    assert 77 not in created(quiet_venue)
    assert stage(config, old) is SendStage.DEAD


async def test_an_order_that_arrived_is_found_and_entered_without_a_fence(
    quiet_venue, config_for
):
    config = config_for(quiet_venue)
    (old,) = leave(quiet_venue, config, [order(77)])
    assert await post(quiet_venue, old) == 200
    async with await LighterDealer.create(config) as trader:
        assert types(quiet_venue) == [TxType.CREATE_ORDER]
        assert trader.orders.get(77).status is OrderStatus.OPEN
        await trader.cancel_order_by_coi(77)
        await trader.flush()
    await start_and_stop(config)
    assert len(quiet_venue.ledger.accepted()) == 2
    assert stage(config, old) is SendStage.ENDED


async def test_a_lost_batch_costs_one_fence(quiet_venue, config_for, relay_to):
    relay = await relay_to(quiet_venue)
    config = config_for(relay)
    olds = leave(quiet_venue, config, [order(coi) for coi in range(70, 85)])
    await start_and_stop(config)
    assert types(quiet_venue) == [TxType.CANCEL_ORDER] * 15
    assert relay.paths().count(BATCH) == 1
    assert relay.paths().count(TX) == 1
    assert {stage(config, old) for old in olds} == {SendStage.DEAD}


async def test_fences_go_over_the_websocket_where_orders_do(
    quiet_venue, config_for, relay_to
):
    relay = await relay_to(quiet_venue)
    config = config_for(relay, use_websocket=True)
    old, _ = leave(quiet_venue, config, [order(77), order(78)])
    await start_and_stop(config)
    assert types(quiet_venue) == [TxType.CANCEL_ORDER] * 2
    assert not {SEND, BATCH} & set(relay.paths())
    assert stage(config, old) is SendStage.DEAD


async def test_each_key_is_settled_by_itself(quiet_venue, config_for):
    config = config_for(quiet_venue)
    (first,) = leave(quiet_venue, config, [order(77)], key=0)
    (second,) = leave(quiet_venue, config, [order(78)], key=1)
    assert await post(quiet_venue, second) == 200
    async with await LighterDealer.create(config) as trader:
        live = [record.client_order_index for record in trader.orders.live()]
        assert live == [78]
    assert stage(config, first) is SendStage.DEAD
    (fence,) = [
        tx for tx in quiet_venue.ledger.accepted() if tx.tx_type == TxType.CANCEL_ORDER
    ]
    assert fence.api_key_index == config.api_keys[0].api_key_index


async def test_a_group_that_never_arrived_is_fenced_by_an_order_that_never_was(
    quiet_venue, config_for
):
    config = config_for(quiet_venue)
    signed = signer_of(quiet_venue).sign(CancelOrder(MARKET, 81), nonce=1)
    group = dataclasses.replace(
        entry_for(CancelOrder(MARKET, 81), signed),
        tx_type=int(TxType.CREATE_GROUPED_ORDERS),
        client_order_index=None,
        group_indices=(81, 82),
    )
    journal = journal_of(config)
    journal.write([group])
    journal.close()
    await start_and_stop(config)
    (fence,) = quiet_venue.ledger.accepted()
    assert fence.nonce == 1
    assert fence.info["Index"] not in (81, 82), "a live order may have that number"


async def test_the_head_of_a_batch_arrived_and_its_tail_did_not(
    quiet_venue, config_for
):
    config = config_for(quiet_venue)
    head, tail = leave(quiet_venue, config, [order(70), order(71)])
    assert await post(quiet_venue, head) == 200
    async with await LighterDealer.create(config) as trader:
        assert trader.orders.get(70).status is OrderStatus.OPEN
        assert trader.orders.get(71) is None
    assert created(quiet_venue) == [70]
    assert stage(config, tail) is SendStage.DEAD


async def test_an_expired_order_whose_number_somebody_else_used_is_dead(
    quiet_venue, config_for
):
    config = config_for(quiet_venue)
    (old,) = leave(quiet_venue, config, [order(77)], expired_at_ms=1)
    other = signer_of(quiet_venue).sign(UpdateLeverage(MARKET, 500, 0), nonce=1)
    assert await post(quiet_venue, other) == 200
    await start_and_stop(config)
    assert types(quiet_venue) == [TxType.UPDATE_LEVERAGE]
    assert stage(config, old) is SendStage.DEAD


async def test_bytes_that_overtake_the_fence_are_found_by_their_hash(
    quiet_venue, config_for, relay_to
):
    relay = await relay_to(quiet_venue)
    config = config_for(relay)
    (old,) = leave(quiet_venue, config, [order(77)])
    relay.answer(TX, {"code": 21500, "message": "transaction not found"}, status=400)
    relay.answer(NONCE, {"code": 200, "nonce": 1})
    assert await post(quiet_venue, old) == 200  # seen only after the first looks
    async with await LighterDealer.create(config) as trader:
        assert trader.orders.get(77).status is OrderStatus.OPEN
    assert types(quiet_venue) == [TxType.CREATE_ORDER]
    assert [refused.code for refused in quiet_venue.ledger.refused()] == [21104]
    assert len(relay.fired) == 2


@pytest.mark.parametrize("kind", ["lose_answer", "lose_request"])
async def test_a_fence_without_an_answer_is_settled_like_anything_else(
    quiet_venue, config_for, relay_to, kind
):
    relay = await relay_to(quiet_venue)
    config = config_for(relay)
    (old,) = leave(quiet_venue, config, [order(77)])
    getattr(relay, kind)(SEND)
    await start_and_stop(config)
    assert relay.fired == [(kind, SEND)]
    assert types(quiet_venue) == [TxType.CANCEL_ORDER]
    assert stage(config, old) is SendStage.DEAD


async def test_a_fence_left_by_a_second_crash_is_settled_at_the_third_start(
    quiet_venue, config_for
):
    config = config_for(quiet_venue)
    (old,) = leave(quiet_venue, config, [order(77)])
    (fence,) = leave(quiet_venue, config, [CancelOrder(MARKET, 77)])
    assert await post(quiet_venue, fence) == 200
    await start_and_stop(config)
    assert types(quiet_venue) == [TxType.CANCEL_ORDER]
    assert stage(config, old) is SendStage.DEAD
    assert stage(config, fence) >= SendStage.ACCEPTED


async def test_an_expired_transaction_needs_no_fence(quiet_venue, config_for):
    config = config_for(quiet_venue)
    (old,) = leave(quiet_venue, config, [order(77)], expired_at_ms=1)
    await start_and_stop(config)
    assert types(quiet_venue) == []
    assert stage(config, old) is SendStage.DEAD


async def test_a_stale_modification_leaves_its_order_as_it_is(quiet_venue, config_for):
    config = config_for(quiet_venue)
    (live,) = leave(quiet_venue, config, [order(77)])
    assert await post(quiet_venue, live) == 200
    stale = ModifyOrder(MARKET, 77, base_amount=600, price=100_000)
    (old,) = leave(quiet_venue, config, [stale], first_nonce=2)
    async with await LighterDealer.create(config) as trader:
        assert trader.orders.get(77).status is OrderStatus.OPEN
    assert stage(config, old) is SendStage.DEAD
    (row,) = await live_rows(quiet_venue, config)
    assert Decimal(row["initial_base_amount"]) == Decimal("0.05")


async def test_a_stale_cancel_is_carried_out_by_its_fence(quiet_venue, config_for):
    config = config_for(quiet_venue)
    (live,) = leave(quiet_venue, config, [order(77)])
    assert await post(quiet_venue, live) == 200
    (old,) = leave(quiet_venue, config, [CancelOrder(MARKET, 77)], first_nonce=2)
    await start_and_stop(config)
    assert stage(config, old) is SendStage.DEAD
    assert [row["status"] for row in await live_rows(quiet_venue, config)] == []


async def live_rows(venue, config):
    async with await LighterDealer.create(config) as trader:
        return await trader.fetch_open_orders()


async def test_no_start_while_the_exchange_cannot_be_asked_and_the_next_one_works(
    quiet_venue, config_for, relay_to
):
    relay = await relay_to(quiet_venue)
    impatient = config_for(relay, reconcile_timeout_s=0.4)
    (old,) = leave(quiet_venue, impatient, [order(77)])
    relay.answer(TX, {"code": 29500, "message": "down"}, status=500, times=4)
    with pytest.raises(LaneHeldError, match=r"nothing new was sent: .*order 77") as no:
        await LighterDealer.create(impatient)
    assert isinstance(no.value.__cause__, VenueUnavailableError)
    assert quiet_venue.ledger.accepted() == []
    assert stage(impatient, old) is SendStage.SIGNED
    await start_and_stop(config_for(relay))
    assert types(quiet_venue) == [TxType.CANCEL_ORDER]
    assert stage(impatient, old) is SendStage.DEAD


async def test_no_start_while_the_orders_cannot_be_read(
    quiet_venue, config_for, relay_to
):
    relay = await relay_to(quiet_venue)
    config = config_for(relay)
    (old,) = leave(quiet_venue, config, [order(77)])
    assert await post(quiet_venue, old) == 200
    relay.answer(ACTIVE, {"code": 29500, "message": "down"}, status=500, times=3)
    with pytest.raises(LaneHeldError, match="answers on orders"):
        await LighterDealer.create(config_for(relay, reconcile_timeout_s=0.3))
    async with await LighterDealer.create(config_for(relay)) as trader:
        assert trader.orders.get(77).status is OrderStatus.OPEN


async def test_an_exchange_without_fences_makes_the_start_wait_for_the_expiry(
    config_for,
):
    async with Venue(settings=VenueSettings(flow="none", gone_order="refuse")) as venue:
        config = config_for(venue, reconcile_timeout_s=0.5)
        (old,) = leave(venue, config, [order(77)])
        with pytest.raises(LaneHeldError, match=r"start again in \d+ s"):
            await LighterDealer.create(config)
        assert venue.ledger.accepted() == []
        assert stage(config, old) is SendStage.SIGNED


async def test_nothing_of_ours_is_sent_before_the_journal_is_settled(
    quiet_venue, config_for, relay_to
):
    relay = await relay_to(quiet_venue)
    config = config_for(relay)
    leave(quiet_venue, config, [order(77)])
    relay.hold_answer(SEND)
    starting = asyncio.create_task(LighterDealer.create(config))
    await relay.holding.wait()
    assert types(quiet_venue) == [TxType.CANCEL_ORDER]
    assert not starting.done()
    relay.release.set()
    async with await starting as trader:
        await trader.create_limit_order(1000, 0.05)
        await trader.flush()
    assert types(quiet_venue) == [TxType.CANCEL_ORDER, TxType.CREATE_ORDER]


async def test_orders_that_ended_meanwhile_are_ended_in_the_journal(
    quiet_venue, config_for
):
    config = config_for(quiet_venue)
    (old,) = leave(quiet_venue, config, [order(77)], stage=SendStage.ACCEPTED)
    assert await post(quiet_venue, old) == 200
    cancel = signer_of(quiet_venue).sign(CancelOrder(MARKET, 77), nonce=2)
    assert await post(quiet_venue, cancel) == 200
    await start_and_stop(config)
    assert stage(config, old) is SendStage.ENDED


async def test_a_dry_run_sends_nothing_and_leaves_the_doubt(quiet_venue, config_for):
    config = config_for(quiet_venue)
    (old,) = leave(quiet_venue, config, [order(77)])
    await start_and_stop(config_for(quiet_venue, prefer_high_level=True))
    assert quiet_venue.ledger.accepted() == []
    assert stage(config, old) is SendStage.SIGNED


# ------------------------------------------------------------- orders nobody knows


async def foreign_order(venue, coi=77):
    tx = signer_of(venue).sign(order(coi), nonce=1)
    assert await post(venue, tx) == 200


async def test_unknown_live_orders_refuse_the_start_by_default(quiet_venue, config_for):
    await foreign_order(quiet_venue)
    with pytest.raises(UnknownOrdersError) as caught:
        await LighterDealer.create(config_for(quiet_venue))
    (row,) = caught.value.orders
    assert row["client_order_index"] == 77
    words = str(caught.value)
    for part in (str(row["order_index"]), "77", "buy", "adopt", "cancel", row["price"]):
        assert part in words
    assert types(quiet_venue) == [TxType.CREATE_ORDER]


async def test_adopted_orders_stand_in_the_order_table(quiet_venue, config_for):
    await foreign_order(quiet_venue)
    config = config_for(quiet_venue, unknown_orders="adopt")
    async with await LighterDealer.create(config) as trader:
        assert trader.orders.get(77).status is OrderStatus.OPEN
        await trader.cancel_order_by_coi(77)
        await trader.flush()
        assert await trader.fetch_open_orders() == []


async def test_cancelled_orders_are_gone_when_the_dealer_is_there(
    quiet_venue, config_for
):
    await foreign_order(quiet_venue)
    config = config_for(quiet_venue, unknown_orders="cancel")
    async with await LighterDealer.create(config) as trader:
        assert await trader.fetch_open_orders() == []
    assert types(quiet_venue) == [TxType.CREATE_ORDER, TxType.CANCEL_ORDER]


async def test_without_a_journal_the_default_refuses_nothing(quiet_venue, config_for):
    await foreign_order(quiet_venue)
    await start_and_stop(config_for(quiet_venue, journal=False))
    config = config_for(quiet_venue, journal=False, unknown_orders="cancel")
    async with await LighterDealer.create(config) as trader:
        assert await trader.fetch_open_orders() == []
