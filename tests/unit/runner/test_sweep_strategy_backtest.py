"""A strategy as a sweep runs it: over candles, over a part of them, known by hash."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from decimal import Decimal

import pytest

from wrappy.errors import ConfigError, UsageError
from wrappy.model import Candle
from wrappy.runner.backtest import BacktestSettings, CandleData
from wrappy.runner.history.values import ResolutionError
from wrappy.runner.strategy.strategy import Strategy
from wrappy.runner.sweep import Space, StrategyBacktest, ThisProcess, sweep
from wrappy.runner.sweep.rehearsal import rehearse

MINUTE_MS = 60_000
BEGIN_MS = 1_767_225_600_000


@dataclass(frozen=True)
class Parameters:
    after: int = 3
    crashes: bool = False


class Patient(Strategy[Parameters]):
    async def run(self, ctx):
        seen = 0
        async for _ in ctx.candles("1m"):
            seen += 1
            if self.parameters.crashes:
                raise RuntimeError("no such luck")
            if seen == self.parameters.after:
                await ctx.dealer().create_market_order(Decimal("0.1"))


def rows(count):
    return [
        Candle(
            BEGIN_MS + at * MINUTE_MS,
            *(Decimal(2_000 + at + part) for part in (0, 2, -2, 1)),
            Decimal(1),
            Decimal(2_000),
            at,
            closed=True,
        )
        for at in range(count)
    ]


@pytest.fixture
def run():
    data = CandleData("ETH", "1m", rows(40))
    return StrategyBacktest(strategy=Patient, data=(data,))


def test_a_part_of_the_candles_has_its_warm_up_before_it(run):
    warm = dataclasses.replace(run, settings=BacktestSettings(warm_up=5))
    cut = warm.between(BEGIN_MS + 20 * MINUTE_MS, BEGIN_MS + 30 * MINUTE_MS)
    (tape,) = cut.data
    assert tape.begin_ms == BEGIN_MS + 15 * MINUTE_MS
    assert tape.end_ms == BEGIN_MS + 30 * MINUTE_MS
    with pytest.raises(ConfigError, match="has no candle of ETH"):
        run.between(0, 1)
    with pytest.raises(ConfigError, match="data: there is none"):
        StrategyBacktest(strategy=Patient, data=())


def test_a_stamp_changes_with_candles_and_assumptions_only(run):
    stamp = run.stamp()
    assert run.stamp() == stamp
    costly = dataclasses.replace(run, settings=BacktestSettings(slippage_ticks=1))
    shorter = run.between(BEGIN_MS, BEGIN_MS + 30 * MINUTE_MS)
    assert len({stamp.data, costly.stamp().data, shorter.stamp().data}) == 3
    assert costly.stamp().code == stamp.code


def test_a_sweep_runs_the_strategy_with_each_set_of_parameters(run):
    space = Space(Parameters, {"after": [3, 30]})
    swept = sweep(run, space, executor=ThisProcess(), objective="returns.total")
    assert [one.error for one in swept.trials] == ["", ""]
    assert [one.value("activity.fills") for one in swept.trials] == [1, 1]
    assert swept.best_parameters() == Parameters(after=3)


def test_a_crash_is_no_result(run):
    with pytest.raises(UsageError, match=r"the strategy crashed: .*no such luck"):
        run(Parameters(crashes=True))


def coarse(symbol, skip=0):
    length_ms = 5 * MINUTE_MS
    made = [
        dataclasses.replace(row, start_ms=BEGIN_MS + at * length_ms)
        for at, row in enumerate(rows(40))
    ]
    return CandleData(symbol, "5m", made[skip:])


@pytest.mark.parametrize("skip", [0, 20])
def test_candles_that_cannot_be_made_are_found_by_a_few_of_them(skip):
    data = (coarse("ETH"), coarse("BTC", skip))
    run = StrategyBacktest(strategy=Patient, data=data)
    with pytest.raises(ResolutionError, match="1m candles cannot be made") as caught:
        rehearse(run, Space(Parameters, {"after": [1, 2]}))
    assert (caught.value.asked, caught.value.recorded) == ("1m", "5m")


def test_a_crash_is_the_business_of_the_trials(run):
    rehearse(run, Space(Parameters, {"crashes": [True, False]}))
