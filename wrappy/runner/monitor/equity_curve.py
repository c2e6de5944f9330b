"""Equity over a whole run in a bounded number of points, with peak and drawdown."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

MOST_POINTS: Final = 720
DAY_S: Final = 86_400


class EquityTrail:
    """Keeps few points however long the run: when it is full, every second one goes.

    Money is in USDC. The peak is the highest equity since this object began.

    Args:
        most: points that are kept, an even number.
    """

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most = most
        self._points: list[tuple[float, Decimal]] = []
        self._apart_s = 0.0
        self._day = -1
        self._day_began = Decimal(0)
        self._shown: tuple[tuple[float, Decimal], ...] = ()
        self.peak: Decimal | None = None
        self.equity: Decimal | None = None

    def sample(self, at_s: float, equity: Decimal) -> None:
        """Take the equity at a moment, unix seconds."""
        self.equity = equity
        self.peak = equity if self.peak is None else max(self.peak, equity)
        day = int(at_s // DAY_S)
        if day != self._day:
            self._day, self._day_began = day, equity
        points = self._points
        if points and at_s - points[-1][0] < self._apart_s:
            return
        points.append((at_s, equity))
        if len(points) > self._most:
            del points[1::2]
            span_s = points[-1][0] - points[0][0]
            self._apart_s = span_s / max(1, len(points) - 1)
        self._shown = ()

    @property
    def drawdown(self) -> Decimal | None:
        """How far below the peak, as a part of the peak; None before a sample."""
        if self.peak is None or self.equity is None:
            return None
        if self.peak <= 0:
            return Decimal(0)
        return (self.peak - self.equity) / self.peak

    @property
    def daily_pnl(self) -> Decimal | None:
        """Gain since the first sample of the UTC day; None before a sample."""
        return None if self.equity is None else self.equity - self._day_began

    def points(self) -> tuple[tuple[float, Decimal], ...]:
        """Return (unix seconds, equity), oldest first."""
        if not self._shown:
            self._shown = tuple(self._points)
        return self._shown
