"""When a token is made anew, and what time it is at the exchange.

Whether a token still holds is decided by the exchange's clock, so its expiry is made
and judged on that clock. Ours may be minutes off; the difference is measured now and
then. Between two measurements the monotone clock carries on, which no correction of
the machine's clock moves.
"""

from __future__ import annotations

import math
from typing import Final

LONGEST_LIFE_S: Final = 8 * 3600
"""Longest time ahead at which the exchange takes an expiry (official documentation)."""

ASKED_LIFE_S: Final = 6 * 3600
"""Life that is asked for; two hours are left for a clock that nobody could measure."""

RENEW_BEFORE_S: Final = 1800.0
"""So long before its end a token is replaced, or a quarter of its life if shorter."""

RETRY_S: Final = 60.0
"""Pause before a question or a signature that failed is tried again."""

FRESH_S: Final = 3600.0
"""How long a measurement of the exchange's clock is trusted without another look."""

JUMP_S: Final = 2.0
"""Our clock and the monotone one part by more than this: one of them was set, or the
machine slept."""

LARGE_SKEW_S: Final = 60.0
"""A difference of clocks that somebody should be told of."""

_LAST_PART = 0.25
_HAIR_S = 0.001
"""A timer set for a moment may end a rounding error before it."""


class ClockSkew:
    """How far our clock is from the exchange's. Performs no I/O.

    Times called `now` are monotone seconds, `unix_s` our own clock.
    """

    __slots__ = (
        "_looked_at",
        "_next_look",
        "_offset",
        "_told",
        "_unix_less_now",
        "skew_s",
    )

    def __init__(self) -> None:
        self.skew_s: float | None = None
        """Seconds the exchange's clock is ahead of ours; None before it was asked."""
        # The exchange's unix seconds less monotone seconds, and ours less those.
        self._offset = 0.0
        self._unix_less_now = 0.0
        self._next_look = self._looked_at = -math.inf
        self._told = False

    def is_due(self, *, now: float, unix_s: float) -> bool:
        """Whether the exchange's clock should be asked now."""
        return now >= self._next_look or self._has_jumped(now, unix_s)

    def seconds_to_look(self, *, now: float) -> float:
        """Return how long until it should be asked, unless a clock jumps before."""
        left_s = self._next_look - now
        return left_s + _HAIR_S if left_s > 0 else 0.0

    def read(self, venue_s: int, *, asked_at: float, now: float, unix_s: float) -> bool:
        """Take the exchange's clock.

        Args:
            venue_s: unix seconds, rounded down, of a moment between the two times.
            asked_at: monotone seconds when the question left.
            now: monotone seconds when the answer came.
            unix_s: our own clock then.

        Returns:
            Whether the difference is a large one that was not told yet.
        """
        venue_now = venue_s + 0.5 + (now - asked_at) / 2
        self._offset = venue_now - now
        self._unix_less_now = unix_s - now
        self.skew_s = venue_now - unix_s
        self._looked_at, self._next_look = now, now + FRESH_S
        is_large = abs(self.skew_s) > LARGE_SKEW_S
        is_news = is_large and not self._told
        self._told = is_large
        return is_news

    def failed(self, *, now: float, unix_s: float) -> None:
        """Note that the exchange could not be asked; what was known stands."""
        if self.skew_s is not None and self._has_jumped(now, unix_s):
            # By the later one of both: renewed too early is better than too late.
            self._offset = max(self._offset, unix_s + self.skew_s - now)
        self._unix_less_now = unix_s - now
        self._looked_at, self._next_look = now, now + RETRY_S

    def doubt(self, *, now: float) -> None:
        """Have the exchange asked again, unless that was a moment ago."""
        if now - self._looked_at >= RETRY_S:
            self._next_look = now

    def venue_s(self, *, now: float, unix_s: float) -> float:
        """Return the exchange's unix seconds as far as they are known."""
        return unix_s if self.skew_s is None else now + self._offset

    def _has_jumped(self, now: float, unix_s: float) -> bool:
        apart_s = abs(unix_s - now - self._unix_less_now)
        return self.skew_s is not None and apart_s > JUMP_S


class TokenLife:
    """When the token in use has to be replaced. Performs no I/O.

    Times called `venue_s` are unix seconds of the exchange.

    Args:
        lifetime_s: life to ask for, 1 s to eight hours.

    Raises:
        ValueError: the exchange would not take such a life.
    """

    __slots__ = ("_deadline_s", "_dropped", "_lifetime_s", "_margin_s", "_retry_at")

    def __init__(self, lifetime_s: int = ASKED_LIFE_S) -> None:
        if not 1 <= lifetime_s <= LONGEST_LIFE_S:
            raise ValueError(
                f"lifetime_s: {lifetime_s} is outside 1..{LONGEST_LIFE_S}; the "
                "exchange takes no token that holds for more than eight hours"
            )
        self._lifetime_s = lifetime_s
        self._deadline_s: int | None = None
        self._margin_s = 0.0
        self._dropped = False
        self._retry_at = -math.inf

    def deadline_to_ask(self, *, venue_s: float) -> int:
        """Return the expiry to sign, unix seconds of the exchange."""
        return int(venue_s) + self._lifetime_s

    def took(self, deadline_s: int, *, venue_s: float) -> None:
        """Take a new token by the expiry that stands in it.

        Raises:
            ValueError: it has expired, or holds for more than eight hours; the one
                before stays.
        """
        life_s = deadline_s - venue_s
        if life_s <= 0:
            raise ValueError(f"it expired {-life_s:.0f} s ago")
        if life_s > LONGEST_LIFE_S:
            raise ValueError(
                f"it holds for {life_s:.0f} s, the exchange takes {LONGEST_LIFE_S}"
            )
        self._deadline_s = deadline_s
        self._margin_s = min(RENEW_BEFORE_S, life_s * _LAST_PART)
        self._dropped, self._retry_at = False, -math.inf

    def failed(self, *, venue_s: float) -> bool:
        """Note that no new token could be made; the next try waits a while.

        Returns:
            Whether the one in use still holds and may be given out meanwhile.
        """
        self._retry_at = venue_s + RETRY_S
        return self.holds(venue_s=venue_s)

    def drop(self) -> None:
        """Have the token replaced before it is given out again."""
        self._dropped = True
        self._retry_at = -math.inf

    def holds(self, *, venue_s: float) -> bool:
        """Whether there is a token that has not expired."""
        return self._deadline_s is not None and venue_s < self._deadline_s

    def is_due(self, *, venue_s: float) -> bool:
        """Whether a new token should be made before one is given out."""
        if self._deadline_s is None or venue_s >= self._deadline_s:
            return True
        return venue_s >= self._due_at(self._deadline_s)

    def seconds_to_renewal(self, *, venue_s: float) -> float:
        """Return how long until a new token should be made; 0.0 for now."""
        if self._deadline_s is None or self.is_due(venue_s=venue_s):
            return 0.0
        due_at = min(self._due_at(self._deadline_s), self._deadline_s)
        return due_at - venue_s + _HAIR_S

    def _due_at(self, deadline_s: int) -> float:
        wanted_at = -math.inf if self._dropped else deadline_s - self._margin_s
        return max(wanted_at, self._retry_at)
