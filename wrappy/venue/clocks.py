"""What time it is at the exchange: of the world, of an event loop, or of a test.

Every clock has a `skew_us`, by which it goes wrong on purpose.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_START = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""Where stepped time begins unless told otherwise."""


class WallClock:
    """Unix time that never goes backwards, but for its skew.

    Attributes:
        skew_us: how far it is ahead of the world, microseconds.
    """

    def __init__(self) -> None:
        self.skew_us = 0
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_us(self) -> int:
        """Return unix microseconds."""
        return (time.monotonic_ns() + self._offset_ns) // 1_000 + self.skew_us


class LoopClock:
    """Unix time that follows an event loop's clock, virtual or not.

    Args:
        loop_time: the loop's `time`, seconds.
        epoch_s: unix seconds when that was 0.

    Attributes:
        skew_us: how far it is ahead of the loop, microseconds.
    """

    def __init__(self, loop_time: Callable[[], float], *, epoch_s: float) -> None:
        self.skew_us = 0
        self._loop_time = loop_time
        self._epoch_us = round(epoch_s * 1_000_000)

    def now_us(self) -> int:
        """Return unix microseconds."""
        # Rounded, so that who sleeps until a time finds it has come.
        return self._epoch_us + round(self._loop_time() * 1_000_000) + self.skew_us


class SteppedClock:
    """Time that stands still until it is moved.

    Args:
        start: unix seconds, or an aware date.

    Attributes:
        skew_us: how far it is ahead of where it was moved to, microseconds.
    """

    def __init__(self, start: float | datetime = DEFAULT_START) -> None:
        seconds = start.timestamp() if isinstance(start, datetime) else start
        self.skew_us = 0
        self._now_us = round(seconds * 1_000_000)

    def now_us(self) -> int:
        """Return unix microseconds."""
        return self._now_us + self.skew_us

    def move_to(self, now_us: int) -> None:
        """Set the time; it must not lie before the present one."""
        if now_us < self.now_us():
            raise ValueError(f"now_us: {now_us} lies before {self.now_us()}")
        self._now_us = now_us - self.skew_us


Clock = WallClock | LoopClock | SteppedClock
"""Any kind."""
