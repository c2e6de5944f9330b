"""A backtest as a sweep runs it: parameters in, figures out."""

from __future__ import annotations

import dataclasses
import hashlib
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from wrappy.errors import ConfigError, UsageError
from wrappy.runner.backtest import (
    BacktestSettings,
    CandleData,
    TapeData,
    run_backtest,
)
from wrappy.runner.sweep.stamp import Stamp, code_hash

if TYPE_CHECKING:
    from wrappy.runner.performance.results import Results
    from wrappy.runner.strategy.strategy import Strategy

P = TypeVar("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyBacktest(Generic[P]):
    """Runs a strategy over the same data with whatever parameters are given.

    A tape travels as its name: where the runs are made on other machines, the file has
    to lie at the same place there.

    Attributes:
        strategy: its class, at the top of a module that workers can import.
        data: candles of each market, or tapes.
        settings: what is assumed; its `warm_up` candles stand before each window.
    """

    strategy: type[Strategy[P]]
    data: tuple[CandleData | TapeData, ...]
    settings: BacktestSettings = dataclasses.field(default_factory=BacktestSettings)

    def __post_init__(self) -> None:
        if not self.data:
            raise ConfigError(
                "data: there is none; give candles or a tape of one market at least"
            )

    def __call__(self, parameters: P) -> Results:
        """Return what the strategy comes to.

        Raises:
            UsageError: the strategy crashed.
            ConfigError: data and strategy do not fit.
        """
        symbols = tuple(tape.symbol for tape in self.data)
        run = run_backtest(
            lambda: self.strategy(parameters, symbols=symbols), self.data, self.settings
        )
        if run.crashed is not None:
            raise UsageError(f"the strategy crashed: {run.crashed!r}") from run.crashed
        return run.results

    def between(self, begin_ms: int, end_ms: int) -> StrategyBacktest[P]:
        """Return the same over a part of the candles, or of the tape.

        Args:
            begin_ms: trading begins with the first candle from here on; the warm-up
                stands before it as far as there are candles.
            end_ms: candles that begin before this are the last.

        Raises:
            ConfigError: there is nothing of a market in that time.
        """
        return dataclasses.replace(
            self,
            data=tuple(
                _cut(tape, begin_ms, end_ms, self.settings.warm_up)
                for tape in self.data
            ),
        )

    def stamp(self) -> Stamp:
        """Return hashes of the strategy's file and of data and assumptions."""
        digest = hashlib.sha256(repr(self.settings).encode())
        for tape in self.data:
            digest.update(f"\n{tape.symbol} {tape.resolution}".encode())
            if isinstance(tape, TapeData):
                digest.update(tape.stamp())
                continue
            for row in tape.rows:
                prices = f"{row.open},{row.high},{row.low},{row.close}"
                digest.update(f"\n{row.start_ms},{prices},{row.base_volume}".encode())
        kind: Any = self.strategy.parameters_type()
        return Stamp(code=code_hash(self.strategy, kind), data=digest.hexdigest())


def _cut(
    tape: CandleData | TapeData, begin_ms: int, end_ms: int, warm_up: int
) -> CandleData | TapeData:
    if isinstance(tape, TapeData):
        return tape.between(begin_ms, end_ms)
    starts = [row.start_ms for row in tape.rows]
    first, last = bisect_left(starts, begin_ms), bisect_left(starts, end_ms)
    if first >= last:
        raise ConfigError(
            f"window: {begin_ms} to {end_ms} has no candle of {tape.symbol}, whose "
            f"candles go from {tape.begin_ms} to {tape.end_ms}"
        )
    return dataclasses.replace(tape, rows=tape.rows[max(first - warm_up, 0) : last])
