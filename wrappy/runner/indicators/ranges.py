"""Ranges: highest and lowest, Donchian channel, average true range."""

from __future__ import annotations

from typing import Literal, NamedTuple

from wrappy.errors import ConfigError
from wrappy.runner.indicators.base import (
    Bar,
    CandleIndicator,
    NumberIndicator,
    whole,
)
from wrappy.runner.indicators.kernels import SlidingHighest, wilder


class Highest(NumberIndicator[float]):
    """Highest of the last `period` numbers, as TA-Lib's `MAX`.

    Args:
        period: numbers to look at, 1 or more; also the warm-up.

    Raises:
        ConfigError: `period` cannot be.
    """

    __slots__ = ("_highest",)

    def __init__(self, period: int) -> None:
        super().__init__(whole(period, "period"), str(period))
        self._highest = SlidingHighest(period)

    def _take(self, x: float) -> float | None:
        return self._highest.take(x)

    def _look(self, x: float) -> float | None:
        return self._highest.look(x)


class Lowest(NumberIndicator[float]):
    """Lowest of the last `period` numbers, as TA-Lib's `MIN`.

    Args:
        period: numbers to look at, 1 or more; also the warm-up.

    Raises:
        ConfigError: `period` cannot be.
    """

    __slots__ = ("_highest",)

    def __init__(self, period: int) -> None:
        super().__init__(whole(period, "period"), str(period))
        self._highest = SlidingHighest(period)  # of the numbers turned over

    def _take(self, x: float) -> float | None:
        return _turned(self._highest.take(-x))

    def _look(self, x: float) -> float | None:
        return _turned(self._highest.look(-x))


class DonchianValue(NamedTuple):
    """A Donchian channel at one time.

    Attributes:
        lower: lowest low of the candles.
        middle: halfway between.
        upper: highest high of the candles.
    """

    lower: float
    middle: float
    upper: float


class Donchian(CandleIndicator[DonchianValue]):
    """Highest high and lowest low of the last `period` candles, the newest included.

    As in talipp (`DonchianChannels`) and TA-Lib (`MAX` of the highs, `MIN` of the
    lows). A close cannot leave a channel that it is part of: to trade a breakout,
    read `value` before the update.

    Args:
        period: candles to look at, 1 or more; also the warm-up.

    Raises:
        ConfigError: `period` cannot be.
    """

    __slots__ = ("_highs", "_lows")

    def __init__(self, period: int = 20) -> None:
        super().__init__(whole(period, "period"), str(period))
        self._highs = SlidingHighest(period)
        self._lows = SlidingHighest(period)  # of the lows turned over

    def _take(self, bar: Bar) -> DonchianValue | None:
        lower = _turned(self._lows.take(-bar.low))
        return _channel(lower, self._highs.take(bar.high))

    def _look(self, bar: Bar) -> DonchianValue | None:
        lower = _turned(self._lows.look(-bar.low))
        return _channel(lower, self._highs.look(bar.high))


class ATR(CandleIndicator[float]):
    """Wilder's average true range.

    The true range is the largest of high - low, |high - last close| and
    |low - last close|; its average starts as the mean of the first `period` ranges.
    As in TA-Lib (`ATR`), the first candle only gives a close, so the warm-up is
    `period` + 1. With `seed="pine"` the first candle's range is high - low and counts,
    as in talipp (`ATR`) and in Pine, so the warm-up is `period`. The two agree after
    a while.

    Args:
        period: ranges it is named after, 1 or more.
        seed: whose start to take.

    Raises:
        ConfigError: a setting cannot be.
    """

    __slots__ = ("_average", "_close", "_counts_first")

    def __init__(
        self, period: int = 14, *, seed: Literal["ta-lib", "pine"] = "ta-lib"
    ) -> None:
        if seed not in ("ta-lib", "pine"):
            raise ConfigError(f'seed: {seed!r} must be "ta-lib" or "pine"')
        self._counts_first = seed == "pine"
        updates = whole(period, "period") + (not self._counts_first)
        super().__init__(updates, f"{period}, seed={seed!r}")
        self._average = wilder(period)
        self._close: float | None = None

    def _take(self, bar: Bar) -> float | None:
        reach = true_range(bar, self._close)
        counts = self._counts_first or self._close is not None
        self._close = bar.close
        return self._average.take(reach) if counts else None

    def _look(self, bar: Bar) -> float | None:
        reach = true_range(bar, self._close)
        counts = self._counts_first or self._close is not None
        return self._average.look(reach) if counts else None


def true_range(bar: Bar, close_before: float | None) -> float:
    """Return how far the price went, counted from the last close on.

    Args:
        bar: the candle's figures.
        close_before: close of the candle before; None for the first one.
    """
    reach = bar.high - bar.low
    if close_before is None:
        return reach
    return max(reach, abs(bar.high - close_before), abs(bar.low - close_before))


def _turned(value: float | None) -> float | None:
    return None if value is None else -value


def _channel(lower: float | None, upper: float | None) -> DonchianValue | None:
    if lower is None or upper is None:
        return None
    return DonchianValue(lower, (lower + upper) / 2.0, upper)
