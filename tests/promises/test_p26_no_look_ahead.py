"""P26: what is decided on the first candles does not depend on those that follow."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from decimal import Decimal

import pytest

from tests.promises.backtest_process import ROOT, walk
from wrappy.errors import ConfigError
from wrappy.runner.backtest import (
    BacktestSettings,
    CandleData,
    decisions_on_prefixes,
)
from wrappy.runner.strategy import Strategy, go_to_position

sys.path.insert(0, str(ROOT / "examples" / "strategies"))

from mean_reversion import MeanReversion, MeanReversionParameters
from momentum import Momentum, MomentumParameters
from ut_bot import UTBotParameters, UTBotStrategy

CUTS = (70, 71, 120, 199, 239)
WARM = BacktestSettings(warm_up=40)
EXAMPLES = {
    "momentum": lambda _: Momentum(MomentumParameters(threshold=0.0003)),
    "mean_reversion": lambda _: MeanReversion(MeanReversionParameters(threshold=1.2)),
    "ut_bot": lambda _: UTBotStrategy(UTBotParameters()),
}


@pytest.fixture(scope="module")
def data():
    return CandleData("ETH", "1m", walk(240))


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_example_looks_ahead(name, data):
    assert decisions_on_prefixes(EXAMPLES[name], data, WARM, cuts=CUTS) == []


def test_longer_candles_out_of_short_ones_tell_nothing_early(data):
    def make(_):
        return Momentum(
            MomentumParameters(
                resolution="5m", short_period=2, long_period=4, threshold=0.0001
            )
        )

    assert decisions_on_prefixes(make, data, WARM, cuts=CUTS) == []


@dataclass(frozen=True, slots=True)
class Seen:
    """What a strategy was given that it should not have: the rows themselves."""

    rows: tuple = ()


class Cheats(Strategy[Seen]):
    """Buys before a rise and sells before a fall, since it has read the rows."""

    async def run(self, ctx):
        rows = {row.start_ms: row for row in self.parameters.rows}
        async for candle in ctx.candles("1m"):
            later = rows.get(candle.start_ms + 10 * 60_000)
            if later is not None:
                up = later.close > candle.close
                await go_to_position(ctx, Decimal(1) if up else Decimal(-1))


def test_a_strategy_that_reads_the_rows_is_found_out(data):
    def make(tapes):
        return Cheats(Seen(rows=tuple(tapes[0].rows)))

    found = decisions_on_prefixes(make, data, WARM, cuts=CUTS)
    assert found
    for one in found:
        assert one.on_part != one.on_whole
        end_us = one.known_until_ms * 1_000
        assert all(decision.at_us < end_us for decision in one.on_whole)


@pytest.mark.parametrize("cut", [0, 240, 900])
def test_a_cut_that_leaves_nothing_to_compare_is_refused(cut, data):
    with pytest.raises(ConfigError, match="cuts"):
        decisions_on_prefixes(EXAMPLES["ut_bot"], data, cuts=[cut])
