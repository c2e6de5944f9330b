"""P13: who falls silent loses their orders when the switch's time is over, not before.

A process is killed by signal 9 while its orders rest at a venue whose clock the test
moves; the hours of a process that lives are virtual.
"""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import time

import pytest

from tests.cli import until, wrappy, write_bot
from tests.promises.places import in_process, trader_at
from tests.promises.processes import bot
from wrappy import LighterDealer
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import SteppedClock, Venue

HORIZONS_S = (300, 360)
ROUNDING_S = 2


def resting(place, account=0):
    """Return the numbers of an account's live orders, by the venue's ledger."""
    index = place.accounts[account].account_index
    return [
        order.client_order_index
        for order in place.ledger.orders(index)
        if order.status == "open"
    ]


def schedules(place):
    """Return when each armed cancel-all was to happen, unix seconds."""
    return [
        tx.info["Time"] / 1000
        for tx in place.ledger.accepted()
        if tx.tx_type == 16 and tx.info["Time"]
    ]


@pytest.mark.parametrize("horizon_s", HORIZONS_S)
async def test_the_orders_of_a_killed_process_are_gone_at_the_horizon_and_not_before(
    config_for, horizon_s
):
    start_s = time.time()
    clock = SteppedClock(start_s)
    async with Venue(seed=1, flow="none", clock=clock) as venue:
        others = config_for(venue, account=1)
        async with (
            bot(config_for(venue), dead_man_s=horizon_s) as killed,
            await LighterDealer.create(others) as bystander,
        ):
            for price in (1000, 1001, 1002):
                assert "tx_hash" in await killed.place(price)
            await bystander.create_limit_order(1000, 0.05)
            await bystander.flush()
            await venue.advance(1)
            assert len(resting(venue)) == 3
            await killed.kill()
            (fires_s,) = schedules(venue)
            assert fires_s <= start_s + horizon_s + ROUNDING_S + 60
            await venue.advance(horizon_s - 20)
            assert len(resting(venue)) == 3, "too early"
            sent = len(venue.ledger.accepted())
            await venue.advance(20 + ROUNDING_S + 60)
            assert resting(venue) == []
            assert len(venue.ledger.accepted()) == sent, "by the exchange itself"
            assert len(resting(venue, account=1)) == 1, "nobody else's"


@pytest.mark.parametrize("reading", ["replace", "refuse"])
def test_while_it_is_renewed_nothing_is_taken_and_when_it_falls_silent_everything_is(
    tmp_path, reading
):
    horizon_s = 360

    async def main():
        loop = asyncio.get_running_loop()
        async with in_process(second_schedule=reading) as exchange:
            alive = True
            native = exchange.environment

            async def silence():
                await asyncio.Event().wait()

            def open_rest(*given, **named):
                inner = native.open_rest(*given, **named)

                class Rest:
                    """The network of a process that may be dead."""

                    async def get(self, *given, **named):
                        return await (
                            inner.get(*given, **named) if alive else silence()
                        )

                    async def post_form(self, *given):
                        return await (inner.post_form(*given) if alive else silence())

                    async def aclose(self):
                        await inner.aclose()

                return Rest()

            around = dataclasses.replace(native, open_rest=open_rest)
            trader = await trader_at(exchange, tmp_path, environment=around)
            for step in range(3):
                await trader.create_limit_order(1000 + step, 0.05)
            await trader.flush()
            await trader.arm_dead_man(horizon_s)
            for _ in range(48):
                await asyncio.sleep(300)
                assert len(resting(exchange)) == 3, "taken although it was renewed"
            alive = False  # killed: not a byte leaves any more
            died_at, last = loop.time(), schedules(exchange)[-1]
            assert last <= loop.unix_s() + horizon_s + ROUNDING_S
            await asyncio.sleep(last - loop.unix_s() - ROUNDING_S)
            assert len(resting(exchange)) == 3, "too early"
            while resting(exchange):
                await asyncio.sleep(1)
            assert loop.time() - died_at <= horizon_s + ROUNDING_S

    run_virtual(main)


def test_a_horizon_is_five_minutes_or_more(tmp_path):
    async def main():
        async with (
            in_process() as exchange,
            await trader_at(exchange, tmp_path) as trader,
        ):
            with pytest.raises(ValueError, match="300"):
                await trader.arm_dead_man(299)
            assert schedules(exchange) == []
            await trader.arm_dead_man(300)
            assert len(schedules(exchange)) == 1

    run_virtual(main)


# -------------------------------------------------------- a bot out of a settings file


def created(place):
    """Return how many orders the exchange has taken; they rest a moment later."""
    return sum(tx.tx_type == 14 for tx in place.ledger.accepted())


async def test_the_orders_of_a_killed_bot_are_gone_in_six_minutes_by_default(tmp_path):
    clock = SteppedClock(time.time())
    async with Venue(seed=1, flow="none", clock=clock) as venue:
        file = write_bot(tmp_path, url=venue.base_url)
        async with wrappy("run", file) as running:
            await running.line()
            await until(lambda: created(venue) == 3)
            await venue.advance(1)
            assert len(resting(venue)) == 3
            running.signal(signal.SIGKILL)
            assert (await running.end())[0] == -signal.SIGKILL
            assert len(schedules(venue)) == 1
            await venue.advance(340)
            assert len(resting(venue)) == 3, "too early"
            await venue.advance(20 + ROUNDING_S + 60)
            assert resting(venue) == []


async def test_a_bot_whose_switch_is_off_arms_none(tmp_path):
    clock = SteppedClock(time.time())
    async with Venue(seed=1, flow="none", clock=clock) as venue:
        file = write_bot(tmp_path, url=venue.base_url, extra="dead_man_s = 0")
        async with wrappy("run", file) as running:
            await running.line()
            await until(lambda: created(venue) == 3)
            await venue.advance(1)
            assert len(resting(venue)) == 3
            assert schedules(venue) == []
            running.signal(signal.SIGKILL)
            await running.end()
