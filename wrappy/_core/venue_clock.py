"""Whether a moment of the exchange's clock is over, from few and rounded answers."""

from __future__ import annotations

GRACE_MS = 1_000
"""After its expiry, a transaction may still be shown as one that was in time."""

SLACK_MS = 200
"""What our clock may be ahead of the exchange's before its clock has to be asked."""

SKEW_MS = 500
"""Difference of clocks up to which ours may measure the time since an expiry."""

ALONE_MS = 30_000
"""When the exchange does not tell the time, ours counts after so much longer."""


class VenueClock:
    """What is known of the exchange's clock. Performs no I/O."""

    __slots__ = ("_agrees", "_floor", "_told_ms")

    def __init__(self) -> None:
        # The exchange's time in ms, less our monotone time in ms: at least this.
        self._floor: float | None = None
        self._told_ms = 0
        self._agrees = False

    def read(self, venue_ms: int, now: float, unix_ms: float) -> None:
        """Take the exchange's clock.

        Args:
            venue_ms: unix milliseconds, rounded down to a second.
            now: monotone seconds when the answer came.
            unix_ms: our own clock then.
        """
        # It was that late when the answer was written, and is later now.
        floor = venue_ms - now * 1000
        if self._floor is None or floor > self._floor:
            self._floor = floor
        self._told_ms = venue_ms
        self._agrees = -SKEW_MS <= unix_ms - venue_ms <= 1000 + SKEW_MS

    def least_ms(self, now: float) -> int | None:
        """Return the least it can have been at a moment; None while nobody told.

        Args:
            now: monotone seconds.
        """
        return None if self._floor is None else int(self._floor + now * 1000)

    def is_over(self, expired_at_ms: int, now: float, unix_ms: float) -> bool:
        """Whether an expiry lies behind the exchange, its grace included.

        Args:
            expired_at_ms: unix milliseconds of the exchange.
            now: monotone seconds.
            unix_ms: our own clock.
        """
        if self._floor is None:
            return unix_ms >= expired_at_ms + GRACE_MS + ALONE_MS
        if self._floor + now * 1000 >= expired_at_ms + GRACE_MS:
            return True
        # Told in whole seconds; with clocks that agree, ours knows the rest.
        late = unix_ms >= expired_at_ms + GRACE_MS + SLACK_MS
        return self._agrees and late and self._told_ms > expired_at_ms
