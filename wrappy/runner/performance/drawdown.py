"""Drawdown at every event: how deep, how long, how much of the time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawdownFigures:
    """Falls of the equity below its highest value so far.

    Attributes:
        deepest: the deepest as a share of the peak before it, 0 or negative.
        began_ms: when the deepest began, unix milliseconds; None without any.
        bottom_ms: when it was deepest; None without any.
        recovered_ms: when its peak was reached again; None while it was not.
        duration_s: of the deepest, until its recovery or the end, in seconds.
        longest_s: longest time below a peak, in seconds.
        time_under_water: share of the time spent below a peak, 0 to 1; None when no
            time has passed.
    """

    deepest: float
    began_ms: int | None
    bottom_ms: int | None
    recovered_ms: int | None
    duration_s: float
    longest_s: float
    time_under_water: float | None


class DrawdownMeter:
    """Watches equity event by event, in integers.

    Equity stays what it was until the next event. A drawdown begins with the first
    event below the peak and ends with the first at or above it.

    Args:
        start_ms: unix milliseconds.
        equity: start capital, 1e-6 USDC, above zero.
    """

    def __init__(self, start_ms: int, equity: int) -> None:
        self._start_ms = start_ms
        self._peak = equity
        self._under_since: int | None = None
        self._under_ms = 0
        self._longest_ms = 0
        # The deepest fall is the fraction `fall / of`, compared without dividing.
        self._fall = 0
        self._of = 1
        self._deepest_began: int | None = None
        self._deepest_at: int | None = None
        self._recovered: int | None = None

    @property
    def is_under_water(self) -> bool:
        """Whether equity is below its peak."""
        return self._under_since is not None

    @property
    def peak(self) -> int:
        """Highest equity so far, 1e-6 USDC."""
        return self._peak

    def see(self, now_ms: int, equity: int) -> None:
        """Take equity in 1e-6 USDC at a time that is not before the last one."""
        if equity >= self._peak:
            self._peak = equity
            if self._under_since is not None:
                self._surface(now_ms, self._under_since)
            return
        if self._under_since is None:
            self._under_since = now_ms
        fall = self._peak - equity
        if fall * self._of > self._fall * self._peak:
            self._fall, self._of = fall, self._peak
            self._deepest_began = self._under_since
            self._deepest_at = now_ms
            self._recovered = None

    def _surface(self, now_ms: int, since_ms: int) -> None:
        spell_ms = now_ms - since_ms
        self._under_ms += spell_ms
        self._longest_ms = max(self._longest_ms, spell_ms)
        if self._deepest_began == since_ms:
            self._recovered = now_ms
        self._under_since = None

    def figures(self, end_ms: int) -> DrawdownFigures:
        """Return everything up to a time that is not before the last event."""
        open_ms = 0 if self._under_since is None else end_ms - self._under_since
        began = self._deepest_began
        over_ms = end_ms if self._recovered is None else self._recovered
        elapsed_ms = end_ms - self._start_ms
        under_ms = self._under_ms + open_ms
        return DrawdownFigures(
            deepest=-(self._fall / self._of) if self._fall else 0.0,
            began_ms=began,
            bottom_ms=self._deepest_at,
            recovered_ms=self._recovered,
            duration_s=0.0 if began is None else (over_ms - began) / 1_000,
            longest_s=max(self._longest_ms, open_ms) / 1_000,
            time_under_water=under_ms / elapsed_ms if elapsed_ms else None,
        )
