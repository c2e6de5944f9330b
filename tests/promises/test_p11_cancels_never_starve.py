"""P11: however many new orders wait, a cancel gets through.

A fifth of the budget is kept for cancels, two of them at once; measured in virtual
time at a venue that counts, while creates wait for minutes.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.promises.places import in_process, trader_at
from tests.promises.storm import Market
from wrappy import WrappyError
from wrappy.protocol.intents import TxType
from wrappy.runner.virtual_time import run_virtual

AT_ONCE_S = 1.0
CLOSED_WITHIN_S = 8.0
SHARE_S = 6.0
"""A fifth of sixty a minute, two of them at once, leaves one every six seconds."""


@contextlib.asynccontextmanager
async def saturated(state, tier, *, waiting, flow=None, position=0.0, **changes):
    """Yield a dealer whose creates have waited in line for a minute."""
    async with in_process(tier=tier, enforce_limits=True, flow=flow) as exchange:
        changes = {"standard_account": tier == "standard", **changes}
        dealer = await trader_at(exchange, state, **changes)
        async with dealer as trader:
            if position:
                await trader.create_market_order(position, 3100)
            resting = []
            for step in range(20):
                order = await trader.create_limit_order(2700 + step, 0.05)
                resting.append(order["client_order_index"])
            await trader.flush()

            async def create():
                # One request each, again and again: none of them ever rests.
                while True:
                    with contextlib.suppress(WrappyError):
                        await trader.create_limit_order(2950, 0.05, time_in_force="ioc")
                        await trader.flush()

            creating = [asyncio.ensure_future(create()) for _ in range(waiting)]
            await asyncio.sleep(90)
            try:
                yield exchange, trader, resting
            finally:
                for task in creating:
                    task.cancel()
                await asyncio.gather(*creating, return_exceptions=True)


async def cancel(trader, coi):
    """Cancel an order in a batch of its own; return how long that took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await trader.batch_cancel_and_create([coi])
    return loop.time() - began


def throttles(exchange):
    return [tx.code for tx in exchange.ledger.refused() if tx.code in (429, 23000)]


@pytest.mark.parametrize("use_websocket", [False, True])
@pytest.mark.parametrize("keys", [1, None], ids=["one key", "several keys"])
def test_two_cancels_pass_at_once_through_a_line_of_creates(
    tmp_path, keys, use_websocket
):
    async def main():
        async with saturated(
            tmp_path, "standard", waiting=50, keys=keys, use_websocket=use_websocket
        ) as (exchange, trader, resting):
            for coi in resting[:2]:
                assert await cancel(trader, coi) <= AT_ONCE_S
            assert not throttles(exchange)
            rows = await trader.fetch_open_orders()
            assert not {row["client_order_index"] for row in rows} & {*resting[:2]}

    run_virtual(main)


def test_a_fifth_of_the_budget_stays_for_cancels_for_as_long_as_it_takes(tmp_path):
    async def main():
        async with saturated(tmp_path, "standard", waiting=20) as (
            exchange,
            trader,
            resting,
        ):
            loop = asyncio.get_running_loop()
            ends, took = loop.time() + 120, []
            while loop.time() < ends:
                took.append(await cancel(trader, resting[len(took) % len(resting)]))
            accepted = exchange.ledger.accepted()
            minute_ago = accepted[-1].at_us - 60_000_000
            sent = [tx.tx_type for tx in accepted if tx.at_us > minute_ago]
            assert max(took) <= SHARE_S + AT_ONCE_S
            assert sent.count(TxType.CANCEL_ORDER) >= 60 / SHARE_S
            assert sent.count(TxType.CREATE_ORDER) > 10, "creates go on as well"
            assert not throttles(exchange)

    run_virtual(main)


def test_all_orders_are_taken_away_at_once(tmp_path):
    async def main():
        async with saturated(tmp_path, "standard", waiting=50) as (_, trader, _resting):
            loop = asyncio.get_running_loop()
            began = loop.time()
            await trader.cancel_all_orders()
            assert loop.time() - began <= AT_ONCE_S
            assert await trader.fetch_open_orders() == []

    run_virtual(main)


def test_a_position_is_closed_before_the_creates_that_wait(tmp_path):
    async def main():
        async with saturated(
            tmp_path, "standard", waiting=50, flow=Market(), position=0.5
        ) as (exchange, trader, _):
            loop = asyncio.get_running_loop()
            began = loop.time()
            closing = asyncio.ensure_future(trader.close_position())
            while not any(
                tx.info.get("ReduceOnly") for tx in exchange.ledger.accepted()
            ):
                await asyncio.sleep(0.05)
            # Its two questions each wait for their turn among the creates, it does not.
            assert loop.time() - began <= CLOSED_WITHIN_S
            assert (await closing).is_flat

    run_virtual(main)
