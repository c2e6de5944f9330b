"""Candles as the exchange tells them: each once, over outages too."""

from __future__ import annotations

import asyncio
import logging

from wrappy.lighter.config import ApiKeyConfig, DealerConfig
from wrappy.runner.engine.engine import TradingEngine
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.strategy.strategy import NoParameters, Strategy
from wrappy.runner.virtual_time import run_virtual
from wrappy.runner.worlds.world import World
from wrappy.venue import FaultRule, VenueSettings

MINUTE_MS = 60_000


def followed(count, *, symbols=("ETH",), flow="synthetic", during=None):
    """Return `count` candles that a strategy follows, and one with its history."""

    class Follows(Strategy[NoParameters]):
        async def run(self, ctx):
            async for candle in ctx.candles("1m", history=2):
                told.append((ctx.now(), candle))
                if len(told) >= count:
                    return

    told = []

    async def main():
        settings = VenueSettings(seed=5, symbols=symbols, flow=flow, verify=False)
        async with InProcessExchange(settings, repeats=True) as exchange:
            owner = exchange.accounts[0]
            world = World(
                name="venue",
                config=DealerConfig(
                    base_url=exchange.base_url,
                    chain_id=exchange.chain_id,
                    account_index=owner.account_index,
                    api_keys=(
                        ApiKeyConfig(
                            owner.api_keys[0].api_key_index,
                            owner.api_keys[0].api_key_private_key,
                        ),
                    ),
                    standard_account=False,
                ),
                environment=exchange.environment,
            )
            await asyncio.sleep(200)
            engine = TradingEngine(world)
            engine.add_strategy(Follows())
            await engine.start()
            if during is not None:
                await during(exchange)
            await engine.wait()
            assert not (await engine.stop()).crashed

    run_virtual(main)
    return told


def test_candles_come_one_after_the_other_once_each_has_ended():
    told = followed(6)
    starts = [candle.start_ms for _, candle in told]
    assert starts == list(range(starts[0], starts[0] + 6 * MINUTE_MS, MINUTE_MS))
    assert all(candle.closed for _, candle in told)
    for now_s, candle in told[2:]:
        late_ms = now_s * 1_000 - candle.start_ms - MINUTE_MS
        assert 0 <= late_ms < 2_000


def test_whoever_waits_for_the_first_candle_is_told_how_long(caplog):
    with caplog.at_level(logging.INFO, logger="wrappy.candles"):
        followed(3)
    (told,) = (one.getMessage() for one in caplog.records if "waiting" in one.message)
    assert told == "ETH: waiting for candles of 1m; the first is over in 40 s"


def test_candles_of_an_outage_are_told_after_it():
    async def cut(exchange):
        await asyncio.sleep(70)
        rules = [
            exchange.faults.add(FaultRule(act="status", phase="request", code=503)),
            exchange.faults.add(FaultRule(act="freeze", phase="push")),
        ]
        await asyncio.sleep(400)
        for rule in rules:
            exchange.faults.remove(rule)

    told = followed(12, during=cut)
    starts = [candle.start_ms for _, candle in told]
    assert starts == list(range(starts[0], starts[0] + 12 * MINUTE_MS, MINUTE_MS))
