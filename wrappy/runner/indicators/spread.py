"""How far numbers lie apart: standard deviation, z-score, Bollinger bands.

All of them come from exact sums, so a flat window has a deviation of exactly 0, also
right after a stormy one, and no rounding makes a variance negative.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from wrappy.runner.indicators.base import Number, NumberIndicator, positive, whole
from wrappy.runner.indicators.kernels import ExactWindow, Sums, mean, variance


class StandardDeviation(NumberIndicator[float]):
    """Standard deviation of the last `period` numbers.

    Of the population, as in TA-Lib (`STDDEV`, one deviation) and talipp (`StdDev`),
    unless `sample` divides by `period` - 1 instead.

    Args:
        period: numbers to look at, 1 or more (2 for a sample); also the warm-up.
        sample: whether they are a sample of more numbers.

    Raises:
        ConfigError: `period` cannot be.
    """

    __slots__ = ("_freedom", "_period", "_window")

    def __init__(self, period: int, *, sample: bool = False) -> None:
        least = 2 if sample else 1
        said = f"{period}, sample=True" if sample else str(period)
        super().__init__(whole(period, "period", least=least), said)
        self._period = period
        self._freedom = period - 1 if sample else period
        self._window = ExactWindow(period, squares=True)

    def _take(self, x: float) -> float | None:
        return self._judge(self._window.take(x))

    def _look(self, x: float) -> float | None:
        return self._judge(self._window.look(x))

    def _judge(self, sums: Sums | None) -> float | None:
        if sums is None:
            return None
        return math.sqrt(variance(sums, self._period, self._freedom))


class ZScore(NumberIndicator[float]):
    """How many standard deviations the newest number is above the window's mean.

    The newest number is part of its window, so the size of a score of the population
    is at most the root of `period` - 1. In a flat window the score is 0.0. Equal to
    what TA-Lib's `SMA` and `STDDEV` give together.

    Args:
        period: numbers to look at, 2 or more; also the warm-up.
        sample: whether to divide by the deviation of a sample.

    Raises:
        ConfigError: `period` cannot be.
    """

    __slots__ = ("_freedom", "_period", "_window")

    def __init__(self, period: int, *, sample: bool = False) -> None:
        said = f"{period}, sample=True" if sample else str(period)
        super().__init__(whole(period, "period", least=2), said)
        self._period = period
        self._freedom = period - 1 if sample else period
        self._window = ExactWindow(period, squares=True)

    def _take(self, x: float) -> float | None:
        return self._judge(x, self._window.take(x))

    def _look(self, x: float) -> float | None:
        return self._judge(x, self._window.look(x))

    def _judge(self, x: float, sums: Sums | None) -> float | None:
        if sums is None:
            return None
        deviation = math.sqrt(variance(sums, self._period, self._freedom))
        if deviation == 0.0:
            return 0.0
        return (x - mean(sums, self._period)) / deviation


class BollingerValue(NamedTuple):
    """Bollinger bands at one time.

    Attributes:
        lower: mean minus the deviations.
        middle: mean of the window.
        upper: mean plus the deviations.
    """

    lower: float
    middle: float
    upper: float


class BollingerBands(NumberIndicator[BollingerValue]):
    """Mean of the last `period` numbers, and bands around it.

    As in TA-Lib (`BBANDS` with the simple average) and talipp (`BB`): the bands stand
    `deviations` standard deviations of the population off the mean.

    Args:
        period: numbers to look at, 1 or more; also the warm-up.
        deviations: distance of the bands in standard deviations, above 0.

    Raises:
        ConfigError: a setting cannot be.
    """

    __slots__ = ("_deviations", "_period", "_window")

    def __init__(self, period: int = 20, *, deviations: Number = 2.0) -> None:
        self._deviations = positive(deviations, "deviations")
        said = f"{period}, deviations={self._deviations}"
        super().__init__(whole(period, "period"), said)
        self._period = period
        self._window = ExactWindow(period, squares=True)

    def _take(self, x: float) -> BollingerValue | None:
        return self._judge(self._window.take(x))

    def _look(self, x: float) -> BollingerValue | None:
        return self._judge(self._window.look(x))

    def _judge(self, sums: Sums | None) -> BollingerValue | None:
        if sums is None:
            return None
        middle = mean(sums, self._period)
        spread = math.sqrt(variance(sums, self._period, self._period))
        distance = self._deviations * spread
        return BollingerValue(middle - distance, middle, middle + distance)
