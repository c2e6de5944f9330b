"""A nonce that is gone frees the key; what used it is found out by proof only."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.test_restart import journal_of, leave, order, post, signer_of, stage
from tests.promises.places import in_process, trader_at
from wrappy import LighterDealer, SendOutcomeUnknownError
from wrappy.lighter.persistence.journal import SendStage
from wrappy.model import OrderStatus, ReceiptStage
from wrappy.protocol.intents import UpdateLeverage
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule

SEND, TX = "/api/v1/sendTx", "/api/v1/tx"
ACTIVE, INACTIVE = "/api/v1/accountActiveOrders", "/api/v1/accountInactiveOrders"
UNSEEN = {"code": 21500, "message": "transaction not found"}


async def queue(trader, price=1000):
    return (await trader.create_limit_order(price, 0.05))["client_order_index"]


def created(venue):
    return [found.client_order_index for found in venue.ledger.orders()]


@pytest.fixture
async def wire(quiet_venue, dealer, relay_to):
    relay = await relay_to(quiet_venue)
    return relay, await dealer(relay), quiet_venue


async def test_an_executed_order_is_found_although_its_hash_is_not_known(
    wire, eventually
):
    relay, trader, venue = wire
    coi = await queue(trader)
    relay.lose_answer(SEND)
    relay.answer(TX, UNSEEN, status=400, times=1_000)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    await eventually(lambda: trader.orders.get(coi).status is OrderStatus.SENT)
    assert created(venue) == [coi]


async def test_while_neither_hash_nor_orders_tell_it_is_unknown_and_the_key_goes_on(
    wire, eventually, caplog
):
    relay, trader, venue = wire
    coi = await queue(trader)
    relay.lose_answer(SEND)
    relay.answer(TX, UNSEEN, status=400, times=4)
    relay.answer(ACTIVE, {"code": 200, "orders": []}, times=4)
    relay.answer(INACTIVE, {"code": 200, "orders": []}, times=4)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    later = await queue(trader, 1001)
    await trader.flush()
    assert created(venue) == [coi, later]
    assert trader.orders.get(coi).status is OrderStatus.UNKNOWN
    assert trader.receipt(coi).stage is ReceiptStage.UNKNOWN
    assert trader.orders.get(coi) in trader.orders.live()
    # Another doubt is not kept waiting by the one that lingers.
    relay.lose_answer(SEND)
    last = await queue(trader, 1002)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    await eventually(lambda: not trader.orders.unknown())
    assert created(venue) == [coi, later, last]
    assert "stay in doubt, the key goes on" in caplog.text
    assert "used by somebody else" not in caplog.text


async def test_what_lingers_at_the_close_stays_in_the_journal_for_the_next_start(
    wire, config_for
):
    relay, trader, venue = wire
    coi = await queue(trader)
    relay.lose_answer(SEND)
    for path in (TX, ACTIVE, INACTIVE):
        relay.answer(path, UNSEEN, status=400, times=1_000)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    await trader.aclose()
    journal = journal_of(config_for(relay))
    assert [row.client_order_index for row in journal.unresolved()] == [coi]
    journal.close()
    async with await LighterDealer.create(
        config_for(relay, base_url=venue.base_url, unknown_orders="adopt")
    ) as next_one:
        assert next_one.orders.get(coi).status is OrderStatus.OPEN


def test_a_nonce_that_went_to_a_stranger_is_told_when_it_is_proven(tmp_path, caplog):
    async def main():
        async with (
            in_process() as exchange,
            await trader_at(exchange, tmp_path, keys=1) as trader,
        ):
            await queue(trader)
            await trader.flush()
            exchange.faults.add(FaultRule(act="drop", path=f"{SEND}*", times=1))
            coi = await queue(trader, 1001)
            exchange.faults.add(FaultRule(act="bump_nonce", account=123456, times=1))
            with pytest.raises(SendOutcomeUnknownError):
                await trader.flush()
            later = await queue(trader, 1002)
            await trader.flush()
            assert trader.orders.get(coi).status is OrderStatus.UNKNOWN
            assert "used by somebody else" not in caplog.text
            await asyncio.sleep(15.0)
            assert trader.orders.get(coi).status is OrderStatus.REJECTED
            assert "1 nonce(s) were used by somebody else" in caplog.text
            made = [found.client_order_index for found in exchange.ledger.orders()]
            assert coi not in made
            assert later in made

    run_virtual(main)


# ---------------------------------------------------------------------- after a crash


async def test_an_order_of_a_dead_process_is_found_although_its_hash_is_not_known(
    quiet_venue, config_for, relay_to
):
    relay = await relay_to(quiet_venue)
    config = config_for(relay)
    (old,) = leave(quiet_venue, config, [order(77)])
    assert await post(quiet_venue, old) == 200
    relay.answer(TX, UNSEEN, status=400, times=1_000)
    async with await LighterDealer.create(config) as trader:
        assert trader.orders.get(77).status is OrderStatus.OPEN
    assert created(quiet_venue) == [77]


async def test_what_cannot_be_found_yet_enters_the_table_as_unknown(
    quiet_venue, config_for, relay_to, eventually, caplog
):
    relay = await relay_to(quiet_venue)
    config = config_for(relay)
    (old,) = leave(quiet_venue, config, [order(77)])
    assert await post(quiet_venue, old) == 200
    relay.answer(TX, UNSEEN, status=400, times=4)
    relay.answer(ACTIVE, {"code": 200, "orders": []}, times=4)
    relay.answer(INACTIVE, {"code": 200, "orders": []}, times=4)
    async with await LighterDealer.create(config) as trader:
        record = trader.orders.get(77)
        assert record.status is OrderStatus.UNKNOWN
        assert (record.price_ticks, record.base_amount) == (100_000, 500)
        await eventually(lambda: trader.orders.get(77).status is not record.status)
        assert trader.orders.get(77).status in (OrderStatus.SENT, OrderStatus.OPEN)
        await trader.cancel_order_by_coi(77)
        await trader.flush()
        await trader.wait_settled(77, timeout=5.0)
    assert "stay in doubt" in caplog.text
    assert stage(config, old) is SendStage.ENDED


async def test_an_order_whose_number_went_to_a_stranger_lingers_after_the_start(
    quiet_venue, config_for
):
    config = config_for(quiet_venue)
    (old,) = leave(quiet_venue, config, [order(77), order(78)][:1])
    other = signer_of(quiet_venue).sign(UpdateLeverage(0, 500, 0), nonce=1)
    assert await post(quiet_venue, other) == 200
    async with await LighterDealer.create(config) as trader:
        assert trader.orders.get(77).status is OrderStatus.UNKNOWN
        later = await queue(trader)
        await trader.flush()
        assert created(quiet_venue) == [later]
    assert stage(config, old) is SendStage.SIGNED
