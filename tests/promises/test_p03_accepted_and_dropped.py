"""P3: what is accepted and silently dropped has a true end soon after its own life.

The exchange answers 200 with a hash, and nothing ever happens. In virtual time, so the
bounds are exact; whether anything is there is the ledger's word.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from functools import partial

import pytest

from tests.promises.places import Watched, config_at, in_process
from wrappy import LighterDealer, RiskDeniedError, WsInfo
from wrappy._core.receipts import KEPT_ORDERS
from wrappy.model import OrderStatus, ReceiptStage
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule
from wrappy.venue.events import SetLevel

AFTER_S = 4.0
"""Grace of the exchange's clock, its rounding to seconds, and a second look."""

LAG_S = 10.0
"""What creates nothing is known by its hash alone, and that read may lag so long."""

SPARED_S = 30.0
"""Without a stream every order has to be asked for, so that looks keep apart."""

CAP = 30
"""Resting orders that a standard account may have in a market."""

BATCH = 15

LIVES_S = {"taker": 5.0, "maker": 10.0}


@contextlib.asynccontextmanager
async def post(exchange, state, *, attached, environment=None, **changes):
    """Open a dealer, with an overlay that streams its orders or without."""
    environment = environment or exchange.environment
    config = config_at(exchange, state, keys=1, **changes)
    async with contextlib.AsyncExitStack() as stack:
        dealer = await stack.enter_async_context(
            await LighterDealer.create(config, environment=environment)
        )
        if attached:
            key = config.api_keys[0]
            ws = await stack.enter_async_context(
                await WsInfo.run_overlay(
                    config.account_index,
                    key.api_key_index,
                    key.api_key_private_key,
                    symbol="ETH",
                    base_url=config.base_url,
                    chain_id=config.chain_id,
                    environment=environment,
                )
            )
            ws.attach(dealer)
        yield dealer


def drop(exchange, **changes):
    return exchange.faults.add(
        FaultRule(
            **{
                "act": "silent_drop",
                "phase": "after_accept",
                "path": "/api/v1/sendTx*",
                **changes,
            }
        )
    )


def shown(exchange):
    """Return the orders that the exchange ever had."""
    return {order.client_order_index for order in exchange.ledger.orders()}


async def ended(dealer, coi, began, within_s):
    """Wait for an order's end; return how long after `began` it was known."""
    loop, told = asyncio.get_running_loop(), []

    def hear(record):
        if record.client_order_index == coi and record.status.is_terminal:
            told.append(loop.time())

    dealer.orders.tell(hear)
    await asyncio.sleep(began + within_s - loop.time())
    assert told, f"still {dealer.receipt(coi)}"
    return told[0] - began


async def dropped_creation(state, kind, *, attached):
    loop = asyncio.get_running_loop()
    async with in_process() as exchange, post(exchange, state, attached=attached) as d:
        await d.create_limit_order(2700, 0.05, client_order_index=1)
        await d.flush()
        rule = drop(exchange)
        began = loop.time()
        if kind == "taker":
            await d.create_market_order(0.05, 3000, client_order_index=2)
        else:
            await d.create_limit_order(2800, 0.05, client_order_index=2)
            await d.flush()
        exchange.faults.remove(rule)
        assert d.receipt(2).stage is ReceiptStage.ACCEPTED
        life_s = LIVES_S[kind]
        most_s = life_s + AFTER_S + (0.0 if attached else SPARED_S)
        at = await ended(d, 2, began, most_s)
        end = d.receipt(2)
        assert shown(exchange) == {1}
        assert d.receipt(1).status is OrderStatus.OPEN or not attached
    return at, end, life_s, most_s


@pytest.mark.parametrize("attached", [False, True], ids=["alone", "with a stream"])
@pytest.mark.parametrize("kind", LIVES_S)
def test_an_order_that_was_dropped_ends_as_never_executed(tmp_path, kind, attached):
    at, end, life_s, most_s = run_virtual(
        partial(dropped_creation, tmp_path, kind, attached=attached)
    )
    assert life_s < at <= most_s, "not before it could still happen"
    assert (end.stage, end.status) == (ReceiptStage.REJECTED, OrderStatus.REJECTED)
    assert end.reason == "never executed"


def test_who_waits_for_it_is_woken_then(tmp_path):
    async def main():
        loop = asyncio.get_running_loop()
        async with in_process() as exchange, post(exchange, tmp_path, attached=0) as d:
            # The look at this one would put the next off, if nobody waited.
            await d.create_limit_order(2700, 0.05)
            await d.flush()
            await asyncio.sleep(11.0)
            drop(exchange)
            began = loop.time()
            await d.create_limit_order(2800, 0.05, client_order_index=2)
            await d.flush()
            end = await d.wait_settled(2, 100.0)
            assert end.stage is ReceiptStage.REJECTED
            assert loop.time() - began <= LIVES_S["maker"] + AFTER_S

    run_virtual(main)


async def end_many(exchange, dealer, count):
    """Have orders end, as they do in hours of trading."""
    levels = [SetLevel(0, False, 289_900, 10**9), SetLevel(0, True, 290_000, 10**9)]
    now_us = int(exchange.environment.unix_s() * 1_000_000)
    exchange.engine.exchange.apply_flow(levels, now_us=now_us)
    for number in range(0, count, BATCH):
        size = 0.05 if number % 2 else -0.05
        async with dealer.batch():
            for _ in range(BATCH):
                await dealer.create_market_order(size, 2899.5 + 100 * size)
        await dealer.flush()


def test_it_ends_as_soon_however_many_orders_have_ended_before(tmp_path):
    async def main():
        async with in_process() as exchange:
            watched = Watched(exchange)
            environment = watched.environment
            async with post(
                exchange, tmp_path, attached=True, environment=environment
            ) as dealer:
                await end_many(exchange, dealer, KEPT_ORDERS + 500)
                await asyncio.sleep(120.0)
                drop(exchange)
                began = asyncio.get_running_loop().time()
                await dealer.create_limit_order(2800, 0.05, client_order_index=2)
                await dealer.flush()
                await ended(dealer, 2, began, LIVES_S["maker"] + AFTER_S)
                assert dealer.receipt(2).reason == "never executed"
        read = [path for path in watched.since(began) if "Inactive" in path]
        assert len(read) == 2, "a page for each look"

    run_virtual(main)


def test_it_ends_also_when_the_lists_do_not_reach_back_to_it_any_more(tmp_path):
    life_s = 60.0

    async def main():
        async with (
            in_process() as exchange,
            post(
                exchange,
                tmp_path,
                attached=True,
                maker_lifetime_ms=int(life_s * 1000),
            ) as dealer,
        ):
            rule = drop(exchange)
            began = asyncio.get_running_loop().time()
            await dealer.create_limit_order(2800, 0.05, client_order_index=2)
            await dealer.flush()
            exchange.faults.remove(rule)
            await end_many(exchange, dealer, KEPT_ORDERS + 700)
            # Looks that bring nothing come with growing pauses.
            at = await ended(dealer, 2, began, life_s + LAG_S + 20.0)
            assert at > life_s + LAG_S
            assert dealer.receipt(2).reason == "never executed"

    run_virtual(main)


@pytest.mark.parametrize("attached", [False, True], ids=["alone", "with a stream"])
def test_of_a_batch_each_order_is_judged_by_itself(tmp_path, attached):
    async def main():
        async with (
            in_process() as exchange,
            post(exchange, tmp_path, attached=attached) as d,
        ):
            await d.create_limit_order(2700, 0.05, client_order_index=1)
            await d.flush()
            # Of a batch of cancel and creations only the creations are dropped.
            drop(exchange, tx_type=14)
            await d.cancel_order_by_coi(1)
            for coi in range(2, 12):
                await d.create_limit_order(2800, 0.05, client_order_index=coi)
            await d.flush()
            await asyncio.sleep(LIVES_S["maker"] + AFTER_S + SPARED_S * (not attached))
            assert shown(exchange) == {1}
            await d.reconcile()
            assert d.receipt(1).status is OrderStatus.CANCELED
            assert d.orders.live() == []
            assert {d.receipt(coi).stage for coi in range(2, 12)} == {
                ReceiptStage.REJECTED
            }

    run_virtual(main)


def test_its_place_under_the_caps_is_free_again(tmp_path):
    async def main():
        async with (
            in_process(tier="standard") as exchange,
            post(exchange, tmp_path, attached=True, standard_account=None) as d,
        ):
            for _ in range(CAP):
                await d.create_limit_order(2800, 0.05)
            rule = drop(exchange)
            await d.flush()
            exchange.faults.remove(rule)
            with pytest.raises(RiskDeniedError):
                await d.create_limit_order(2800, 0.05)
            # Two requests more, at a standard account's pace.
            await asyncio.sleep(LIVES_S["maker"] + AFTER_S)
            for _ in range(CAP):
                await d.create_limit_order(2800, 0.05)

    run_virtual(main)


@pytest.mark.parametrize("attached", [False, True], ids=["alone", "with a stream"])
def test_a_cancel_that_was_dropped_is_queued_again(tmp_path, attached):
    async def main():
        async with (
            in_process() as exchange,
            post(exchange, tmp_path, attached=attached) as d,
        ):
            await d.create_limit_order(2700, 0.05, client_order_index=1)
            await d.flush()
            await asyncio.sleep(1.0)
            rule = drop(exchange)
            await d.cancel_order_by_coi(1)
            await d.flush()
            exchange.faults.remove(rule)
            assert d.orders.get(1).status is OrderStatus.PENDING_CANCEL
            # Alone, the look at the order itself puts the next one off.
            await asyncio.sleep(LIVES_S["maker"] + LAG_S + (SPARED_S * (not attached)))
            await asyncio.sleep(AFTER_S)
            assert d.orders.get(1).status is not OrderStatus.PENDING_CANCEL
            assert (await d.flush())["count"] == 1
            await asyncio.sleep(1.0)
            (order,) = exchange.ledger.orders()
            assert order.status == "canceled"

    run_virtual(main)


@pytest.mark.parametrize("attached", [False, True], ids=["alone", "with a stream"])
def test_a_change_that_was_dropped_is_told_and_no_longer_built_upon(
    tmp_path, attached, caplog
):
    async def main():
        async with (
            in_process() as exchange,
            post(exchange, tmp_path, attached=attached) as d,
        ):
            await d.create_limit_order(2700, 0.05, client_order_index=1)
            await d.flush()
            await asyncio.sleep(1.0)
            rule = drop(exchange)
            await d.update_order_by_coi(1, 2710, 0.07)
            await d.flush()
            exchange.faults.remove(rule)
            await asyncio.sleep(LIVES_S["maker"] + LAG_S + (SPARED_S * (not attached)))
            await asyncio.sleep(AFTER_S)
            changed = await d.update_order_by_coi(1, 2720)
            assert float(changed["size"]) == 0.05

    run_virtual(main)
    told = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert told == [
        "ModifyOrder of order 1 was never carried out and never will be: look at it"
    ]


def test_an_order_whose_lost_answer_was_an_acceptance_can_lapse_too(tmp_path):
    async def main():
        async with (
            in_process() as exchange,
            post(exchange, tmp_path, attached=True, request_timeout_s=2.0) as d,
        ):
            await d.create_limit_order(2700, 0.05)
            await d.flush()
            lost = drop(exchange, act="drop", phase="reply", times=1)
            gone = drop(exchange)
            await d.create_limit_order(2800, 0.05, client_order_index=2)
            with contextlib.suppress(Exception):
                await d.flush()
            await asyncio.sleep(LIVES_S["maker"] + AFTER_S)
            assert d.receipt(2).stage is ReceiptStage.REJECTED
            exchange.faults.remove(lost)
            exchange.faults.remove(gone)

    run_virtual(main)


@pytest.mark.parametrize("clock_off_s", [-4.0, 4.0, 100.0])
def test_a_wrong_clock_here_proves_nothing_early(tmp_path, clock_off_s):
    async def main():
        loop = asyncio.get_running_loop()
        async with in_process() as exchange:
            native = exchange.environment
            off = dataclasses.replace(
                native, unix_s=lambda: native.unix_s() + clock_off_s
            )
            async with post(exchange, tmp_path, attached=False, environment=off) as d:
                await d.create_limit_order(2700, 0.05, client_order_index=1)
                await d.flush()
                rule = drop(exchange)
                await d.create_limit_order(2800, 0.05, client_order_index=2)
                await d.flush()
                exchange.faults.remove(rule)
                began = loop.time()
                while not d.receipt(2).stage.is_settled:
                    await asyncio.sleep(0.1)
                assert LIVES_S["maker"] < loop.time() - began < 60.0
                assert d.receipt(1).status is OrderStatus.SENT

    run_virtual(main)


def test_while_reads_fail_nothing_is_concluded(tmp_path):
    async def main():
        async with (
            in_process() as exchange,
            post(exchange, tmp_path, attached=False, request_timeout_s=2.0) as d,
        ):
            drop(exchange)
            await d.create_limit_order(2800, 0.05, client_order_index=2)
            await d.flush()
            blind = [
                exchange.faults.add(FaultRule(act="drop", phase="reply", path=path))
                for path in ("/api/v1/account*", "/api/v1/tx", "/")
            ]
            await asyncio.sleep(120.0)
            assert d.receipt(2).stage is ReceiptStage.ACCEPTED
            for handle in blind:
                exchange.faults.remove(handle)
            await asyncio.sleep(75.0)
            assert d.receipt(2).stage is ReceiptStage.REJECTED

    run_virtual(main)


@pytest.mark.parametrize("attached", [False, True], ids=["alone", "with a stream"])
def test_where_nothing_is_dropped_it_costs_little(tmp_path, attached):
    async def main():
        loop = asyncio.get_running_loop()
        async with in_process() as exchange:
            watched = Watched(exchange)
            async with post(
                exchange, tmp_path, attached=attached, environment=watched.environment
            ) as d:
                began = loop.time()
                for number in range(600):
                    await d.create_limit_order(2700, 0.01)
                    if number >= 10:
                        live = d.orders.live()
                        await d.cancel_order_by_coi(live[0].client_order_index)
                    await d.flush()
                    await asyncio.sleep(0.5)
                sends = "/api/v1/sendTx"
                asked = [p for p in watched.since(began) if not p.startswith(sends)]
                asked = [p for p in asked if p.startswith("/")]
                minutes = (loop.time() - began) / 60
                assert len(asked) / minutes <= (0.0 if attached else 12.0)

    run_virtual(main)
