"""Whether somebody else signs with our API key, told by the nonces that are missing.

One foreign nonce can be a tool that somebody ran once: trading goes on with the
exchange's counter. Two within a minute are a second writer, whose orders and ours
refuse each other: new orders stop until a person has looked.
"""

from __future__ import annotations

import enum

WINDOW_S = 60.0
"""Two sightings within this time are a second writer."""


class ForeignAlarm(enum.Enum):
    """What a sighting amounts to."""

    WARNING = "warning"
    STOP = "stop"


class ForeignWriters:
    """Sightings of foreign nonces on one key. Performs no I/O."""

    __slots__ = ("_last", "_stopped", "_window_s", "count")

    def __init__(self, *, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._last: float | None = None
        self._stopped = False
        self.count = 0
        """Foreign nonces seen so far."""

    @property
    def stopped(self) -> bool:
        """Whether new orders have to stop; cancels go on."""
        return self._stopped

    def seen(self, nonces: int, now: float) -> ForeignAlarm:
        """Note that the exchange's counter had moved by `nonces` without us.

        Args:
            nonces: how many, 1 or more; one sighting, however many they are.
            now: seconds, monotone. The very moment of an earlier sighting adds to
                that one.
        """
        last = self._last
        again = last is not None and 0 < abs(now - last) <= self._window_s
        self._last = now if last is None else max(now, last)
        self.count += nonces
        self._stopped = self._stopped or again
        return ForeignAlarm.STOP if self._stopped else ForeignAlarm.WARNING

    def acknowledge(self) -> None:
        """Go on: somebody has looked. The next two sightings stop again."""
        self._stopped = False
        self._last = None
