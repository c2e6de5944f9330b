"""Moving averages: of a window, exponential, and Wilder's."""

from __future__ import annotations

from wrappy.runner.indicators.base import NumberIndicator, whole
from wrappy.runner.indicators.kernels import (
    ExactWindow,
    Smoothing,
    exponential,
    mean,
    wilder,
)


class SMA(NumberIndicator[float]):
    """Simple moving average: the mean of the last `period` numbers.

    As in TA-Lib (`SMA`) and talipp (`SMA`). Computed from exact sums, so that it is
    the nearest float to the true mean, after any number of updates.

    Args:
        period: numbers to average, 1 or more; also the warm-up.

    Raises:
        ConfigError: `period` cannot be.
    """

    __slots__ = ("_period", "_window")

    def __init__(self, period: int) -> None:
        super().__init__(whole(period, "period"), str(period))
        self._period = period
        self._window = ExactWindow(period)

    def _take(self, x: float) -> float | None:
        sums = self._window.take(x)
        return None if sums is None else mean(sums, self._period)

    def _look(self, x: float) -> float | None:
        sums = self._window.look(x)
        return None if sums is None else mean(sums, self._period)


class _Smoothed(NumberIndicator[float]):
    """What the two recursive averages share."""

    __slots__ = ("_average",)

    def __init__(self, average: Smoothing, period: int) -> None:
        super().__init__(period, str(period))
        self._average = average

    def _take(self, x: float) -> float | None:
        return self._average.take(x)

    def _look(self, x: float) -> float | None:
        return self._average.look(x)


class EMA(_Smoothed):
    """Exponential moving average with the weight 2 / (`period` + 1).

    As in TA-Lib (`EMA`) and talipp (`EMA`): its first value is the mean of the first
    `period` numbers. Averages that start from the first number alone differ at first
    and agree in the end.

    Args:
        period: numbers it is named after, 1 or more; also the warm-up.

    Raises:
        ConfigError: `period` cannot be.
    """

    __slots__ = ()

    def __init__(self, period: int) -> None:
        super().__init__(exponential(whole(period, "period")), period)


class RMA(_Smoothed):
    """Wilder's moving average, with the weight 1 / `period`.

    As in talipp (`SMMA`) and as `rma` of Pine: its first value is the mean of the
    first `period` numbers. TA-Lib has it inside `RSI` and `ATR` only.

    Args:
        period: numbers it is named after, 1 or more; also the warm-up.

    Raises:
        ConfigError: `period` cannot be.
    """

    __slots__ = ()

    def __init__(self, period: int) -> None:
        super().__init__(wilder(whole(period, "period")), period)
