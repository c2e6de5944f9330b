"""What time it is at the exchange: the world's, or whatever a test says."""

from __future__ import annotations

import time
from datetime import datetime, timezone

DEFAULT_START = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""Where stepped time begins unless told otherwise."""


class WallClock:
    """Unix time that never goes backwards."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_us(self) -> int:
        """Return unix microseconds."""
        return (time.monotonic_ns() + self._offset_ns) // 1_000


class SteppedClock:
    """Time that stands still until it is moved.

    Args:
        start: unix seconds, or an aware date.
    """

    def __init__(self, start: float | datetime = DEFAULT_START) -> None:
        seconds = start.timestamp() if isinstance(start, datetime) else start
        self._now_us = round(seconds * 1_000_000)

    def now_us(self) -> int:
        """Return unix microseconds."""
        return self._now_us

    def move_to(self, now_us: int) -> None:
        """Set the time; it must not lie before the present one."""
        if now_us < self._now_us:
            raise ValueError(f"now_us: {now_us} lies before {self._now_us}")
        self._now_us = now_us


Clock = WallClock | SteppedClock
"""Either kind."""
