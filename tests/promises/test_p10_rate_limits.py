"""P10: nobody is throttled in normal use, and a throttle silences everything at once.

In virtual time, against a venue that counts; what leaves the client is noted at its
own door as well.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

import pytest

from tests.promises.places import Watched, in_process, trader_at
from wrappy import WrappyError
from wrappy.lighter.wire.doors import PING_EVERY_S
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule
from wrappy.venue.events import FaultFired

pytestmark = pytest.mark.slow

TOO_MANY = (23000, 429, 405)
COOL_DOWN_S = 60.0


async def busy(trader, until):
    """Create, cancel, flush and read as fast as the dealer lets through."""
    loop = asyncio.get_running_loop()
    placed = []
    step = 0

    async def quote():
        nonlocal step
        while loop.time() < until:
            step += 1
            with contextlib.suppress(WrappyError):
                order = await trader.create_limit_order(2800 + step % 100, 0.05)
                placed.append(order["client_order_index"])
                if len(placed) > 5:
                    await trader.cancel_order_by_coi(placed.pop(0))
                await trader.flush()
            await asyncio.sleep(0.1)

    async def read():
        while loop.time() < until:
            with contextlib.suppress(WrappyError):
                await trader.fetch_open_orders()
            await asyncio.sleep(0.5)

    await asyncio.gather(quote(), quote(), read())


THROTTLES = {
    "the API's 429": {"act": "status", "code": 429},
    "the firewall's 429": {"act": "status", "code": 429, "html": True},
    "the firewall's 405": {"act": "status", "code": 405, "html": True},
}


async def throttled(state, rule, *, use_websocket):
    """Be throttled in the middle of busy trading; return what left meanwhile."""
    async with in_process() as exchange:
        watched = Watched(exchange)
        async with await trader_at(
            exchange,
            state,
            environment=watched.environment,
            use_websocket=use_websocket,
        ) as trader:
            loop = asyncio.get_running_loop()
            trading = asyncio.ensure_future(busy(trader, loop.time() + 140))
            await asyncio.sleep(20)
            # From here on the exchange refuses whatever comes, for a minute.
            handle = exchange.faults.add(rule)
            while not exchange.faults.fired(handle):
                await asyncio.sleep(0.001)
            refused_at = loop.time()
            accepted = len(exchange.ledger.accepted())
            await asyncio.sleep(COOL_DOWN_S - 1)
            arrivals = len(exchange.ledger.of(FaultFired))
            left = watched.since(refused_at, refused_at + COOL_DOWN_S - 1)
            exchange.faults.remove(handle)
            await trading
            # A ping asks for nothing: it keeps a silent connection from being closed.
            requests = [kind for kind in left if kind != "ping"]
            assert len(left) - len(requests) <= COOL_DOWN_S / PING_EVERY_S
            return arrivals, requests, len(exchange.ledger.accepted()) - accepted


@pytest.mark.parametrize("use_websocket", [False, True])
@pytest.mark.parametrize("words", THROTTLES)
def test_after_the_first_refusal_at_most_one_request_leaves_in_a_minute(
    tmp_path, words, use_websocket
):
    rule = FaultRule(**THROTTLES[words], path="/*")
    arrivals, left, afterwards = run_virtual(
        partial(throttled, tmp_path, rule, use_websocket=use_websocket)
    )
    # The first one, and what was on its way already when its answer came.
    assert arrivals <= 2
    assert len(left) <= 1
    assert afterwards > 100, "trading goes on by itself"


def test_a_refusal_over_the_websocket_silences_everything_too(tmp_path):
    rule = FaultRule(act="status", code=23000, path="jsonapi/*")
    arrivals, left, afterwards = run_virtual(
        partial(throttled, tmp_path, rule, use_websocket=True)
    )
    assert arrivals <= 2
    assert len(left) <= 1
    assert afterwards > 100


@pytest.mark.parametrize("use_websocket", [False, True])
@pytest.mark.parametrize(
    ("tier", "minutes", "least"), [("standard", 10, 350), ("premium", 2, 2_000)]
)
def test_at_full_speed_for_minutes_nothing_is_ever_refused_for_the_rate(
    tmp_path, tier, minutes, least, use_websocket
):
    async def main():
        standard = tier == "standard"
        async with (
            in_process(tier=tier, enforce_limits=True) as exchange,
            await trader_at(
                exchange,
                tmp_path,
                standard_account=standard,
                use_websocket=use_websocket,
            ) as trader,
        ):
            loop = asyncio.get_running_loop()
            until = loop.time() + minutes * 60
            placed = await trader.create_limit_order(2900, 0.05)
            await trader.flush()
            sent = 0
            reading = asyncio.ensure_future(reads(trader, until))
            while loop.time() < until:
                # Cancels cost no volume quota, so speed is all that counts.
                await trader.cancel_order_by_coi(placed["client_order_index"])
                sent += (await trader.flush())["count"]
            await reading
            refused = [tx.code for tx in exchange.ledger.refused()]
            assert not set(refused) & set(TOO_MANY)
            assert sent >= least, sent

    run_virtual(main)


async def reads(trader, until):
    """Read all along, and let nothing but a throttle pass as a failure."""
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        await trader.fetch_my_position()
        await asyncio.sleep(5)
