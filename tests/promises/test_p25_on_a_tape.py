"""P25: on the same tape a strategy does and gets the same in a backtest as at a venue.

The venue is reached over real sockets; both give every message the same travel time.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.promises.tapes import Joining, Joins, made_tape
from tests.promises.test_p25_one_strategy import SocketLoop, world_of
from wrappy.lighter.simulation import simulated_environment
from wrappy.lighter.wire.transport import RestDoor, StreamDoor
from wrappy.runner.backtest import BacktestSettings, TapeData, run_backtest
from wrappy.runner.engine.engine import TradingEngine
from wrappy.venue import Venue
from wrappy.venue.clocks import LoopClock
from wrappy.venue.events import TradeExecuted

pytestmark = pytest.mark.slow

AT_ONCE = BacktestSettings(request_ms=(0, 0), reply_ms=(0, 0))


@pytest.fixture(scope="module")
def tape_file(tmp_path_factory):
    return made_tape(tmp_path_factory.mktemp("tape") / "eth.jsonl.gz", seconds=40)


def at_a_venue(make, data, settings):
    """Trade at a venue that replays the tape; return orders and fills."""
    loop = SocketLoop()
    epoch_s = data.begin_us / 1_000_000

    async def main():
        exchange = replace(
            settings.venue((data.symbol,)),
            tape=data.path,
            flow="tape",
            queue=data.queue,
        )
        clock = LoopClock(loop.time, epoch_s=epoch_s)
        async with Venue(settings=exchange, clock=clock) as venue:
            environment = simulated_environment(
                unix_s=lambda: epoch_s + loop.time(),
                open_rest=RestDoor,
                open_stream=StreamDoor,
                seed=exchange.seed,
            )
            world = world_of(venue, environment)
            engine = TradingEngine(world)
            engine.add_strategy(make())
            await engine.start()
            await asyncio.sleep(data.end_us / 1_000_000 - epoch_s - loop.time())
            report = await engine.stop()
            assert not report.crashed
            account = world.config.account_index
            return [told(order) for order in venue.ledger.orders(account)], [
                (t.at_us // 1_000, t.price, t.base, t.bid_account == account)
                for t in (
                    event.trade
                    for event in venue.ledger.events
                    if isinstance(event, TradeExecuted)
                )
                if account in (t.ask_account, t.bid_account)
            ]

    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


def told(order):
    return (
        order.created_us // 1_000,
        order.is_ask,
        order.price,
        order.initial_base,
        order.order_type,
        order.time_in_force,
        order.remaining,
        order.status,
    )


@pytest.mark.parametrize("queue", ["risk-averse", "prob"])
def test_a_backtest_and_a_venue_of_the_same_tape_give_the_same_orders_and_fills(
    tape_file, queue
):
    data = TapeData(tape_file, queue=queue)

    def make():
        return Joins(Joining())

    run = run_backtest(make, data, AT_ONCE)
    assert run.crashed is None
    orders, fills = at_a_venue(make, data, AT_ONCE)
    assert [told(order) for order in run.orders] == orders
    multiplier = data.market.quote_multiplier
    assert [
        (f.at_ms, f.quote // (f.size * multiplier), f.size, f.side.name == "BUY")
        for f in run.fills
    ] == fills
    assert len(orders) > 20
    assert len(fills) > 5
    assert {fill.is_maker for fill in run.fills} == {True, False}
