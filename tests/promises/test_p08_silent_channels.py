"""P8: a channel that falls silent on a connection that lives is noticed and renewed.

In virtual time. The exchange drops what it would tell of an account from some moment
on; pings are answered, and the market's own channels go on. What is true is the
ledger's word.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal

import pytest

from tests.promises.places import Watched, config_at, in_process
from wrappy import ConfigError
from wrappy.lighter.streaming.auditing import AGAIN_S, AUDIT_S
from wrappy.runner.engine import TradingEngine
from wrappy.runner.strategy import NoParameters, Strategy
from wrappy.runner.virtual_time import run_virtual
from wrappy.runner.worlds.world import World
from wrappy.venue import FaultRule
from wrappy.venue.events import SetLevel

POSITIONS, ORDERS = "account_all_positions", "account_all_orders"
PRIVATE = (POSITIONS, ORDERS, "account_all_trades", "account_all_assets")
ROUND_S = AUDIT_S + AGAIN_S + 2.0


class Rests(Strategy[NoParameters]):
    """Has one bid in the book, and does nothing else."""

    market_data = "book"

    async def run(self, ctx):
        """Place it and wait."""
        self.ctx = ctx
        await ctx.dealer().create_limit_order(2_899, 1, client_order_index=1)
        await ctx.dealer().flush()
        await asyncio.Event().wait()


async def resting(exchange, state, environment=None, **engine):
    """Return an engine with such a strategy, and that one."""
    now_us = int(exchange.environment.unix_s() * 1_000_000)
    levels = [SetLevel(0, False, 289_000, 10**7), SetLevel(0, True, 290_000, 10**7)]
    exchange.engine.exchange.apply_flow(levels, now_us=now_us)
    world = World(
        name="venue",
        config=config_at(exchange, state),
        environment=environment or exchange.environment,
    )
    running, strategy = TradingEngine(world, **engine), Rests(symbols=("ETH",))
    running.add_strategy(strategy)
    await running.start()
    await asyncio.sleep(5.0)
    assert strategy.ctx.dealer().orders.get(1).reported is not None
    return running, strategy


def mute(exchange, channels):
    """Have channels tell nothing any more but what is there when they are joined."""
    for channel in channels:
        exchange.faults.add(
            FaultRule(phase="push", path="update/*", channel=channel, act="drop")
        )


def fill(exchange):
    """Have somebody take the bid."""
    now_us = int(exchange.environment.unix_s() * 1_000_000)
    exchange.engine.exchange.apply_flow(
        [SetLevel(0, False, 289_000, 0), SetLevel(0, True, 289_800, 10**7)],
        now_us=now_us,
    )


@pytest.mark.parametrize("channels", [(POSITIONS,), (ORDERS,), PRIVATE], ids=len)
def test_what_was_missed_is_known_after_the_next_comparison(tmp_path, caplog, channels):
    async def main():
        async with in_process() as exchange:
            engine, strategy = await resting(exchange, tmp_path)
            ctx = strategy.ctx
            mute(exchange, channels)
            fill(exchange)
            await asyncio.sleep(5.0)
            (order,) = exchange.ledger.orders()
            assert order.status == "filled"
            assert (ctx.position() == 0) is (POSITIONS in channels)
            assert (1 in live(ctx)) is (ORDERS in channels)
            await asyncio.sleep(ROUND_S)
            assert ctx.position() == Decimal(1)
            assert live(ctx) == []
            await engine.stop()

    run_virtual(main)
    (line,) = [r for r in caplog.records if "is silent on" in r.getMessage()]
    assert line.levelname == "WARNING"


def live(ctx):
    return [one.client_order_index for one in ctx.dealer().orders.live()]


def test_a_stream_that_tells_everything_costs_two_requests_a_minute(tmp_path, caplog):
    minutes = 10

    async def main():
        async with in_process() as exchange:
            watched = Watched(exchange)
            engine, strategy = await resting(exchange, tmp_path, watched.environment)
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(60.0 * minutes)
            assert live(strategy.ctx) == [1]
            asked = Counter(watched.since(began))
            await engine.stop()
        return {path: n for path, n in asked.items() if path.startswith("/")}

    asked = run_virtual(main)
    assert sum(asked.values()) <= 2 * minutes
    assert "is silent on" not in caplog.text


@pytest.mark.parametrize("audit_s", [0, 20.0])
def test_how_often_is_a_setting(tmp_path, audit_s):
    async def main():
        async with in_process() as exchange:
            watched = Watched(exchange)
            engine, _ = await resting(
                exchange, tmp_path, watched.environment, audit_s=audit_s
            )
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(600.0)
            asked = [path for path in watched.since(began) if path.startswith("/")]
            await engine.stop()
        return len(asked)

    most = 2 * 600 / audit_s if audit_s else 0
    assert most - 4 <= run_virtual(main) <= most


def test_an_account_that_cannot_be_asked_proves_nothing(tmp_path, caplog):
    async def main():
        async with in_process() as exchange:
            engine, strategy = await resting(exchange, tmp_path)
            mute(exchange, (POSITIONS,))
            blind = exchange.faults.add(
                FaultRule(phase="reply", act="status", code=502, path="/api/v1/acc*")
            )
            fill(exchange)
            await asyncio.sleep(5 * ROUND_S)
            assert strategy.ctx.position() == 0
            assert "is silent on" not in caplog.text
            exchange.faults.remove(blind)
            await asyncio.sleep(ROUND_S + AUDIT_S)
            assert strategy.ctx.position() == 1
            await engine.stop()

    run_virtual(main)


def test_while_the_stream_is_down_nothing_is_compared(tmp_path, caplog):
    async def main():
        async with in_process() as exchange:
            engine, strategy = await resting(exchange, tmp_path)
            gone = exchange.faults.add(
                FaultRule(phase="push", act="close", code=1006, path="*")
            )
            await asyncio.sleep(ROUND_S)
            fill(exchange)
            await asyncio.sleep(2 * ROUND_S)
            exchange.faults.remove(gone)
            await asyncio.sleep(60.0)
            assert strategy.ctx.position() == 1
            await engine.stop()

    run_virtual(main)
    assert "is silent on" not in caplog.text


def test_a_strategy_that_closes_its_dealer_ends_the_comparing(tmp_path):
    async def main():
        async with in_process() as exchange:
            engine, strategy = await resting(exchange, tmp_path)
            await strategy.ctx.dealer().aclose()
            await asyncio.sleep(3 * AUDIT_S)
            assert "wrappy audit" not in {t.get_name() for t in asyncio.all_tasks()}
            await engine.stop()

    run_virtual(main)


@pytest.mark.parametrize("audit_s", [-1.0, float("nan"), float("inf")])
def test_a_length_of_time_that_is_none_is_refused(audit_s):
    with pytest.raises(ConfigError, match="audit_s"):
        TradingEngine(World(name="venue", config=None), audit_s=audit_s)
