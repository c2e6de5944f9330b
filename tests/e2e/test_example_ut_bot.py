"""The UT Bot trades what the published script says, and only when a candle is over."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.runner.test_indicators_ut_bot import (
    GOLDEN,
    SETTINGS,
    candle,
    expected,
)
from wrappy.lighter.config import ApiKeyConfig, DealerConfig
from wrappy.model import Side
from wrappy.runner.backtest import CandleData, run_backtest
from wrappy.runner.engine import TradingEngine
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.virtual_time import run_virtual
from wrappy.runner.worlds.world import World
from wrappy.venue import VenueSettings
from wrappy.venue.flow_settings import FlowSettings

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "strategies"))

from ut_bot import UTBotParameters, UTBotStrategy

pytestmark = pytest.mark.slow

START_MS = 1_800_000_000_000
BAR_MS = 300_000
SOON_MS = 200
"""More than the strategy takes to ask for its position and send: some ways of 20 ms."""


def bars():
    return json.loads(GOLDEN.read_text(encoding="utf-8"))["bars in cents"]


def data_of(rows):
    found = [candle(at, *row) for at, row in enumerate(rows)]
    return CandleData(
        "ETH", "5m", [replace(one, start_ms=START_MS + one.start_ms) for one in found]
    )


def turns(told):
    """Return number and position of every candle at which the position changes."""
    last, found = 0, []
    for at, one in enumerate(told):
        if one is not None and one[1] not in (0, last):
            last = one[1]
            found.append((at, last))
    return found


def traded(run, length_ms):
    """Return the same of a run, by the candles at whose end it traded."""
    held, found = 0, []
    for fill in run.fills:
        held += fill.size if fill.side is Side.BUY else -fill.size
        found.append(((fill.at_ms - START_MS) // length_ms - 1, held // 1_000))
    return found


def strategy(name, resolution="5m"):
    key_value, period, heikin_ashi = SETTINGS[name]
    tuned = UTBotParameters(
        resolution=resolution,
        key_value=float(key_value),
        atr_period=period,
        heikin_ashi=heikin_ashi,
    )
    return lambda: UTBotStrategy(tuned)


@pytest.mark.parametrize("name", SETTINGS)
def test_it_holds_what_the_published_script_says_of_500_candles(name):
    rows = bars()
    run = run_backtest(strategy(name), data_of(rows))
    wanted = turns(expected(rows, SETTINGS[name]))
    # The last candle ends with the data: nobody trades after it.
    assert traded(run, BAR_MS) == [one for one in wanted if one[0] < len(rows) - 1]
    assert len(wanted) > 10


@pytest.mark.parametrize("name", SETTINGS)
def test_nothing_is_sent_while_a_candle_is_open(name):
    rows = bars()
    run = run_backtest(strategy(name, "15m"), data_of(rows))
    late_ms = {(one.at_us // 1_000 - START_MS) % (3 * BAR_MS) for one in run.sent}
    assert 0 < max(late_ms) <= SOON_MS
    longer = [
        [part[0][0], max(r[1] for r in part), min(r[2] for r in part), part[-1][3]]
        for part in (rows[at : at + 3] for at in range(0, len(rows) - 2, 3))
    ]
    wanted = turns(expected(longer, SETTINGS[name]))
    assert traded(run, 3 * BAR_MS) == wanted
    assert len(wanted) > 3


def test_a_stop_that_is_crossed_within_a_candle_alone_turns_nothing():
    """A candle in the middle falls through the stop and is back at its close."""
    closes = [250_000 + 400 * abs(at - 20) for at in range(60)]
    rows = [
        [first, max(first, last) + 50, min(first, last) - 50, last]
        for first, last in itertools.pairwise(closes)
    ]
    settings = "1 x 10, closes"
    calm = run_backtest(strategy(settings), data_of(rows))
    rows[45][2] -= 6_000
    spiked = run_backtest(strategy(settings), data_of(rows))
    assert [fill.side for fill in calm.fills] == [Side.SELL, Side.BUY]
    (stop, position, _) = expected(rows, SETTINGS[settings])[44]
    assert position == 1
    assert rows[45][2] < stop * 100 < rows[45][3], "it did fall through, and came back"
    assert spiked.fills == calm.fills


def test_at_a_living_exchange_it_trades_right_after_a_minute_is_over():
    async def main():
        settings = VenueSettings(
            seed=3,
            symbols=("ETH",),
            verify=False,
            synthetic=(FlowSettings(process="ou", half_life_s=60.0, volatility=1.0),),
        )
        async with InProcessExchange(settings, repeats=True) as exchange:
            owner = exchange.accounts[0]
            config = DealerConfig(
                base_url=exchange.base_url,
                chain_id=exchange.chain_id,
                account_index=owner.account_index,
                api_keys=tuple(
                    ApiKeyConfig(key.api_key_index, key.api_key_private_key)
                    for key in owner.api_keys
                ),
                standard_account=False,
            )
            engine = TradingEngine(
                World(name="venue", config=config, environment=exchange.environment)
            )
            engine.add_strategy(
                UTBotStrategy(UTBotParameters(atr_period=2, size=Decimal("0.05")))
            )
            await engine.start()
            await asyncio.sleep(25 * 60.0)
            report = await engine.stop()
            assert not report.crashed
            return exchange.ledger.accepted(owner.account_index)

    sent = run_virtual(main)
    assert len(sent) > 3
    assert max(one.at_us / 1_000_000 % 60 for one in sent) < 3
