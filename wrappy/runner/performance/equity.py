"""The equity of a run: every event counts, one value a day is kept.

Money is in 1e-6 USDC, times are unix milliseconds. Equity is collateral and open
profit at the mark price; it stays what it was until the next event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wrappy.errors import ConfigError, UsageError
from wrappy.runner.performance.drawdown import DrawdownFigures, DrawdownMeter

DAY_MS: Final = 86_400_000
CURVE_POINTS: Final = 1_024
"""A drawn curve has at most twice as many points, however long the run."""

_FIRST_BUCKET_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A stretch of the equity curve, for drawing.

    Attributes:
        at_ms: last event in it.
        equity: after that event, 1e-6 USDC.
        low: lowest equity in it.
        high: highest equity in it.
    """

    at_ms: int
    equity: int
    low: int
    high: int


class EquityCurve:
    """Collects equity; the memory it takes grows with days, not with events.

    Args:
        start_ms: beginning of the run.
        equity: start capital, above zero.

    Raises:
        ConfigError: the start capital is not above zero.
    """

    def __init__(self, start_ms: int, equity: int) -> None:
        if equity <= 0:
            raise ConfigError(
                f"equity: {equity} is no start capital; returns need one above zero"
            )
        self._start_ms = start_ms
        self._start = equity
        self._last_ms = start_ms
        self._last = equity
        self._lowest = equity
        self._area = 0
        self._days: list[tuple[int, int]] = [(start_ms, equity)]
        self._midnight_ms = (start_ms // DAY_MS + 1) * DAY_MS
        self._drawdown = DrawdownMeter(start_ms, equity)
        self._points: list[CurvePoint] = []
        self._bucket_ms = _FIRST_BUCKET_MS
        self._bucket_end_ms = start_ms + _FIRST_BUCKET_MS
        self._low = self._high = equity

    @property
    def start_ms(self) -> int:
        """Beginning of the run."""
        return self._start_ms

    @property
    def end_ms(self) -> int:
        """Time of the last event."""
        return self._last_ms

    @property
    def start_equity(self) -> int:
        """Start capital."""
        return self._start

    @property
    def equity(self) -> int:
        """Equity after the last event."""
        return self._last

    @property
    def lowest(self) -> int:
        """Lowest equity so far."""
        return self._lowest

    @property
    def days(self) -> float:
        """Days that have passed, a broken number."""
        return (self._last_ms - self._start_ms) / DAY_MS

    def sample(self, now_ms: int, equity: int) -> None:
        """Take the equity after an event.

        Raises:
            UsageError: the time lies before the last event.
        """
        elapsed_ms = now_ms - self._last_ms
        if elapsed_ms:
            if elapsed_ms < 0:
                raise UsageError(
                    f"now_ms: {now_ms} lies before the last sample, {self._last_ms}; "
                    "sample equity in the order of time"
                )
            self._area += self._last * elapsed_ms
            # What comes at midnight exactly belongs to the day that ends.
            while self._midnight_ms < now_ms:
                self._days.append((self._midnight_ms, self._last))
                self._midnight_ms += DAY_MS
            if now_ms >= self._bucket_end_ms:
                self._end_bucket(now_ms)
        self._last_ms = now_ms
        self._last = equity
        if equity < self._low:
            self._low = equity
            self._lowest = min(equity, self._lowest)
        elif equity > self._high:
            self._high = equity
        self._drawdown.see(now_ms, equity)

    def daily(self) -> list[tuple[int, int]]:
        """Return time and equity at the start and at every 00:00 UTC since.

        The value at midnight is that of the last event until then. Days without an
        event are there; the part of a day at the end is not.
        """
        if self._midnight_ms == self._last_ms:
            return [*self._days, (self._last_ms, self._last)]
        return list(self._days)

    def drawdown(self) -> DrawdownFigures:
        """Return the drawdowns up to the last event."""
        return self._drawdown.figures(self._last_ms)

    def mean_equity(self) -> float:
        """Return the mean over time, 1e-6 USDC."""
        elapsed_ms = self._last_ms - self._start_ms
        return self._area / elapsed_ms if elapsed_ms else float(self._last)

    def points(self) -> list[CurvePoint]:
        """Return the curve for drawing, oldest first."""
        first = CurvePoint(self._start_ms, *(self._start,) * 3)
        last = CurvePoint(self._last_ms, self._last, self._low, self._high)
        return [first, *self._points, last]

    def _end_bucket(self, now_ms: int) -> None:
        point = CurvePoint(self._last_ms, self._last, self._low, self._high)
        self._points.append(point)
        if len(self._points) > 2 * CURVE_POINTS - 3:
            self._thin_out()
        ended = (now_ms - self._start_ms) // self._bucket_ms + 1
        self._bucket_end_ms = self._start_ms + ended * self._bucket_ms
        self._low = self._high = self._last

    def _thin_out(self) -> None:
        """Join stretches until half of them are left at most."""
        while len(self._points) > CURVE_POINTS:
            self._bucket_ms *= 2
            joined: dict[int, CurvePoint] = {}
            for point in self._points:
                bucket = (point.at_ms - self._start_ms) // self._bucket_ms
                before = joined.get(bucket, point)
                joined[bucket] = CurvePoint(
                    point.at_ms,
                    point.equity,
                    min(point.low, before.low),
                    max(point.high, before.high),
                )
            self._points = list(joined.values())
