"""What a review of the money path found, judged by the exchange's ledger."""

from __future__ import annotations

import asyncio
import dataclasses
import logging

import pytest

from wrappy import InvalidOrderError, LighterDealer, SendOutcomeUnknownError, VenueError
from wrappy.lighter.environment import NATIVE
from wrappy.model import OrderStatus, ReceiptStage
from wrappy.runner.in_process import TravelTimes
from wrappy.venue import FaultRule

SENDS = "/api/v1/sendTx*"
NEVER_IN_THE_BAND = 4000


async def placed(trader, price=1000, size=0.05, **changes):
    order = await trader.create_limit_order(price, size, **changes)
    return order["client_order_index"]


def order_at(place, coi):
    (order,) = [o for o in place.ledger.orders() if o.client_order_index == coi]
    return order


def prices_sent(place):
    return [tx.info.get("Price") for tx in place.ledger.accepted()]


# ------------------------------------------------------------ what is sent twice


def test_a_change_that_was_withheld_is_not_sent_after_a_newer_one(simulated):
    async def scenario(exchange, opened):
        trader = await opened()
        await placed(trader, 900)
        await trader.flush()
        exchange.faults.add(FaultRule(act="status", code=429, path=SENDS, times=2))
        coi = await placed(trader, 1000)
        first = asyncio.create_task(trader.flush())
        await asyncio.sleep(0.05)
        await trader.update_order_by_coi(coi, price=1001)
        await placed(trader, 950)
        second = asyncio.create_task(trader.flush())
        await asyncio.gather(first, second, return_exceptions=True)
        await trader.update_order_by_coi(coi, price=1005)
        for _ in range(4):
            await trader.flush()
        await asyncio.sleep(5)
        assert order_at(exchange, coi).price == 100_500
        changes = [p for p in prices_sent(exchange) if p in (100_100, 100_500)]
        assert changes == [100_100, 100_500]

    simulated(scenario, travel=TravelTimes(request_ms=(100, 100), reply_ms=(100, 100)))


def test_an_older_change_that_comes_back_does_not_undo_a_newer_one(simulated):
    async def scenario(exchange, opened):
        trader = await opened(use_websocket=True, pipeline_depth=2)
        coi = await placed(trader, 1000)
        await trader.flush()
        exchange.faults.add(
            FaultRule(act="status", code=429, path="jsonapi/sendtx*", times=1)
        )
        await trader.update_order_by_coi(coi, price=1001)
        older = asyncio.create_task(trader.flush())
        await asyncio.sleep(0)
        await trader.update_order_by_coi(coi, price=1005)
        newer = asyncio.create_task(trader.flush())
        await asyncio.gather(older, newer, return_exceptions=True)
        for _ in range(3):
            await trader.flush()
        await asyncio.sleep(5)
        assert order_at(exchange, coi).price == 100_500

    simulated(scenario)


# -------------------------------------------------------- refused and dead cancels


async def test_a_refused_batch_does_not_keep_its_cancels(
    quiet_venue, dealer, eventually
):
    trader = await dealer(quiet_venue)
    await placed(trader, 2000, -0.05)
    old = await placed(trader)
    await trader.flush()
    await trader.cancel_order_by_coi(old)
    bad, good = await placed(trader, NEVER_IN_THE_BAND), await placed(trader, 1001)
    with pytest.raises(VenueError, match="21733"):
        await trader.flush()
    await eventually(lambda: order_at(quiet_venue, old).status == "canceled")
    for coi in (bad, good):
        receipt = trader.receipt(coi)
        assert receipt.stage is ReceiptStage.REJECTED
        assert "batch of 3 was refused as a whole" in receipt.reason
    assert (await trader.flush())["count"] == 0


async def test_a_refused_cancel_and_create_says_what_was_not_cancelled(
    quiet_venue, dealer
):
    trader = await dealer(quiet_venue)
    await placed(trader, 2000, -0.05)
    old = await placed(trader)
    await trader.flush()
    with pytest.raises(VenueError, match=rf"not cancelled: \[{old}\]") as caught:
        await trader.batch_cancel_and_create([old], [(NEVER_IN_THE_BAND, 0.05)])
    assert caught.value.code == 21733
    await trader.flush()
    assert order_at(quiet_venue, old).status == "open"


def test_a_cancel_proven_dead_is_queued_again(simulated, caplog):
    async def scenario(exchange, opened):
        trader = await opened()
        coi = await placed(trader)
        await trader.flush()
        await trader.fetch_open_orders()
        exchange.faults.add(FaultRule(act="drop", path=SENDS, times=100))
        await trader.cancel_order_by_coi(coi)
        with pytest.raises(SendOutcomeUnknownError):
            await trader.flush()
        await asyncio.sleep(700)
        exchange.faults.clear()
        await asyncio.sleep(60)
        assert order_at(exchange, coi).status == "open"
        assert "is queued again" in caplog.text
        await trader.flush()
        await asyncio.sleep(2)
        assert order_at(exchange, coi).status == "canceled"

    with caplog.at_level(logging.WARNING):
        simulated(scenario)


def test_a_change_proven_dead_is_told_with_its_number(simulated, caplog):
    async def scenario(exchange, opened):
        trader = await opened(signer="python", maker_lifetime_ms=2000)
        coi = await placed(trader)
        await trader.flush()
        await trader.fetch_open_orders()
        exchange.faults.add(FaultRule(act="drop", path=SENDS, times=100))
        await trader.update_order_by_coi(coi, price=1001)
        with pytest.raises(SendOutcomeUnknownError):
            await trader.flush()
        await asyncio.sleep(60)
        exchange.faults.clear()
        await trader.flush()
        (told,) = [r for r in caplog.records if "never carried out" in r.getMessage()]
        assert told.levelno == logging.ERROR
        assert str(coi) in told.getMessage()
        # The next change builds on what the order is, not on what it should have been.
        again = await trader.update_order_by_coi(coi, quantity=0.06)
        assert again["price"] == 1000

    simulated(scenario)


# ------------------------------------------------------------------ panic button


def test_cancel_all_passes_those_who_wait_and_nothing_comes_after_it(simulated):
    async def scenario(exchange, opened):
        trader = await opened(standard_account=True)
        loop = asyncio.get_running_loop()

        resting = [await placed(trader, 900 + step) for step in range(10)]
        await trader.flush()

        async def quote(step):
            coi = await placed(trader, 1000 + step % 20, time_in_force="ioc")
            await trader.flush()
            return coi

        waiting = [asyncio.create_task(quote(step)) for step in range(175)]
        await asyncio.sleep(6)
        began = loop.time()
        await trader.cancel_all_orders()
        assert loop.time() - began < 5
        results = await asyncio.gather(*waiting)
        await asyncio.sleep(10)
        assert {order_at(exchange, coi).status for coi in resting} == {"canceled"}
        stages = [trader.receipt(coi).stage for coi in results]
        assert stages.count(ReceiptStage.NOT_SENT) > 100
        later = await placed(trader)
        await trader.flush()
        await asyncio.sleep(2)
        assert order_at(exchange, later).status == "open"

    simulated(scenario, tier="premium", enforce_limits=False)


def test_a_cancel_in_a_flush_of_its_own_and_of_others_passes_those_who_wait(simulated):
    async def scenario(exchange, opened):
        trader = await opened(standard_account=True)
        loop = asyncio.get_running_loop()
        old = await placed(trader)
        await trader.flush()
        await trader.fetch_open_orders()

        async def quote(step):
            await placed(trader, 1001 + step % 20, time_in_force="ioc")
            await trader.flush()

        waiting = [asyncio.create_task(quote(step)) for step in range(60)]
        await asyncio.sleep(6)
        began = loop.time()
        await trader.cancel_order_by_coi(old)
        await placed(trader, 1050)
        mixed = asyncio.create_task(trader.flush())
        while order_at(exchange, old).status == "open":
            assert loop.time() - began < 5
            await asyncio.sleep(0.1)
        for task in (*waiting, mixed):
            task.cancel()
        await asyncio.gather(*waiting, mixed, return_exceptions=True)

    simulated(scenario, tier="premium", enforce_limits=False)


# -------------------------------------------------------------- silent connections


async def test_a_stream_that_fell_silent_does_not_hold_anything_up(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(
        relay,
        use_websocket=True,
        request_timeout_s=0.3,
        signer="python",
        maker_lifetime_ms=1000,
    )
    await placed(trader)
    await trader.flush()
    relay.up = lambda _: []  # the connection lives, nothing arrives
    lost = await placed(trader, 1001)
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    for step in range(3):
        await placed(trader, 1002 + step)
        await trader.flush()
    prices = {o.price for o in quiet_venue.ledger.orders()}
    assert {100_200, 100_300, 100_400} <= prices
    assert trader.orders.get(lost).status is not OrderStatus.UNKNOWN


# ------------------------------------------------------------------------- starts


async def test_the_python_signer_prepares_itself_while_nothing_is_to_do(
    quiet_venue, config_for, eventually
):
    signers = []

    def make(config, key):
        signers.append(NATIVE.make_signer(config, key))
        return signers[-1]

    environment = dataclasses.replace(NATIVE, make_signer=make)
    config = config_for(quiet_venue, signer="python")
    async with await LighterDealer.create(config, environment=environment) as trader:
        await eventually(lambda: all(signer.prepared for signer in signers))
        await placed(trader)
        await trader.flush()
    assert signers
    assert len(quiet_venue.ledger.accepted()) == 1


async def test_a_start_cancelled_while_the_key_is_locked_lets_go_of_it(
    quiet_venue, config_for
):
    locking = asyncio.Event()

    class Watched:
        def __init__(self, worker):
            self.worker = worker

        async def run(self, work):
            if "_open" in repr(work):
                locking.set()
            return await self.worker.run(work)

    environment = dataclasses.replace(NATIVE, worker=lambda: Watched(NATIVE.worker()))
    config = config_for(quiet_venue)
    task = asyncio.create_task(LighterDealer.create(config, environment=environment))
    await locking.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with await LighterDealer.create(config) as trader:
        await placed(trader)
        await trader.flush()
    assert len(quiet_venue.ledger.accepted()) == 1


def test_a_start_cancelled_anywhere_leaves_nothing_behind(simulated, config_for):
    async def scenario(exchange, opened):
        config = config_for(exchange, use_websocket=True, standard_account=None)

        async def started():
            return await LighterDealer.create(config, environment=exchange.environment)

        steps = 0
        while True:
            task = asyncio.create_task(started())
            for _ in range(steps):
                await asyncio.sleep(0.001)
            if task.done():
                break
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            others = asyncio.all_tasks() - {asyncio.current_task()}
            names = {other.get_name() for other in others}
            assert not {n for n in names if n.startswith("wrappy") and "venue" not in n}
            steps += 1
        assert steps > 10
        async with await task as trader:
            await placed(trader)
            await trader.flush()
        assert len(exchange.ledger.accepted()) == 1

    simulated(scenario, travel=TravelTimes(request_ms=(2, 2), reply_ms=(2, 2)))


async def test_two_spellings_of_an_address_are_one_exchange(
    quiet_venue, dealer, config_for
):
    first = await dealer(quiet_venue)
    for spelled in ("http://localhost:{}", "HTTP://LocalHost:{}/"):
        url = spelled.format(quiet_venue.base_url.rpartition(":")[2])
        config = dataclasses.replace(config_for(quiet_venue), base_url=url)
        async with await LighterDealer.create(config) as second:
            for trader in (first, second, first):
                await placed(trader)
                await trader.flush()
    nonces = [tx.info["Nonce"] for tx in quiet_venue.ledger.accepted()]
    assert nonces == list(range(nonces[0], nonces[0] + 6))


async def test_a_number_of_an_earlier_run_is_not_given_to_another_order(
    quiet_venue, config_for
):
    config = config_for(quiet_venue)
    async with await LighterDealer.create(config) as trader:
        await placed(trader, client_order_index=77)
        await trader.flush()
        await trader.cancel_all_orders()
    async with await LighterDealer.create(config) as trader:
        with pytest.raises(InvalidOrderError, match="was used before"):
            await placed(trader, client_order_index=77)


def test_two_hundred_unknown_orders_are_cancelled_within_the_time_for_a_start(
    simulated, tmp_path
):
    async def scenario(exchange, opened):
        elsewhere = await opened(
            state_dir=str(tmp_path / "elsewhere"), standard_account=False
        )
        for step in range(200):
            await placed(elsewhere, 900 + step / 10)
        await elsewhere.flush()
        await elsewhere.aclose()
        began = len(exchange.ledger.accepted())
        await opened(unknown_orders="cancel", standard_account=True)
        assert {o.status for o in exchange.ledger.orders()} == {"canceled"}
        assert len(exchange.ledger.accepted()) - began == 200

    simulated(scenario, tier="premium", enforce_limits=False)


def test_a_dealer_that_starts_again_and_again_is_never_refused_for_its_rate(simulated):
    async def scenario(exchange, opened):
        for turn in range(12):
            trader = await opened(standard_account=True)
            coi = await placed(trader, 1000 + turn)
            for step in range(6):
                await trader.flush()
                await trader.update_order_by_coi(coi, 1001 + step, 0.05)
            await trader.flush()
            await trader.aclose()
        assert len(exchange.ledger.accepted()) == 12 * 7

    simulated(scenario, tier="standard", enforce_limits=True)


def test_a_start_that_is_throttled_waits_and_goes_on(simulated, caplog):
    async def scenario(exchange, opened):
        exchange.faults.add(
            FaultRule(act="status", code=429, path="/api/v1/apikeys", times=2)
        )
        began = asyncio.get_running_loop().time()
        trader = await opened()
        assert asyncio.get_running_loop().time() - began >= 60
        assert "throttles the start" in caplog.text
        await placed(trader)
        await trader.flush()

    simulated(scenario)
