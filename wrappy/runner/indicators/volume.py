"""Prices weighed by volume."""

from __future__ import annotations

from wrappy.runner.indicators.base import Bar, CandleIndicator, whole
from wrappy.runner.indicators.kernels import ExactWindow, Sums


class VWAP(CandleIndicator[float]):
    """Average price of the last `period` candles, weighed by their base volume.

    A candle's price is the mean of high, low and close. Over the same candles talipp
    (`VWAP`) says the same; its own never forgets, and this one is rolling. Where
    nothing was traded in the whole window there is no such price: the value is None,
    though `ready` is True.

    Args:
        period: candles to look at, 1 or more; also the warm-up.

    Raises:
        ConfigError: `period` cannot be.
    """

    __slots__ = ("_paid", "_traded")

    def __init__(self, period: int = 20) -> None:
        super().__init__(whole(period, "period"), str(period))
        self._paid = ExactWindow(period)
        self._traded = ExactWindow(period)

    def _take(self, bar: Bar) -> float | None:
        paid = _typical(bar) * bar.volume
        return _ratio(self._paid.take(paid), self._traded.take(bar.volume))

    def _look(self, bar: Bar) -> float | None:
        paid = _typical(bar) * bar.volume
        return _ratio(self._paid.look(paid), self._traded.look(bar.volume))


def _typical(bar: Bar) -> float:
    return (bar.high + bar.low + bar.close) / 3.0


def _ratio(paid: Sums | None, traded: Sums | None) -> float | None:
    if paid is None or traded is None or not traded[0]:
        return None
    return (paid[0] << traded[2]) / (traded[0] << paid[2])
