"""A backtest whose strategy lies in a file that other processes cannot import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from wrappy.runner.settings.loading import reloaded, strategy_file
from wrappy.runner.sweep.strategy_backtest import StrategyBacktest

if TYPE_CHECKING:
    from wrappy.runner.backtest import BacktestSettings, CandleData, TapeData
    from wrappy.runner.strategy.strategy import Strategy

P = TypeVar("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBacktest(StrategyBacktest[P]):
    """The backtest of a strategy that was loaded by its path.

    It travels as the path: whoever unpacks it loads the file again under the same
    module name, so that parameters that come after it are known there as well. On
    other machines the file has to lie at the same place.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how it is made again in another process."""
        file = str(strategy_file(self.strategy))
        return _unpacked, (file, self.strategy.__name__, self.data, self.settings)


def backtest_of(
    strategy: type[Strategy[P]],
    data: tuple[CandleData | TapeData, ...],
    settings: BacktestSettings,
) -> StrategyBacktest[P]:
    """Return a strategy's backtest as it can travel to other processes."""
    kind = StrategyBacktest if strategy_file(strategy) is None else FileBacktest
    return kind(strategy=strategy, data=data, settings=settings)


def _unpacked(
    file: str,
    name: str,
    data: tuple[CandleData | TapeData, ...],
    settings: BacktestSettings,
) -> FileBacktest[Any]:
    strategy = reloaded(Path(file), name)
    return FileBacktest(strategy=strategy, data=data, settings=settings)
