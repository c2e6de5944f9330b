"""Arithmetic of request budgets: what may pass in any rolling window.

The exchange counts weights over a rolling minute (official API documentation). A
leaky bucket of the whole budget that also refills within the minute lets almost
twice the budget through in one window: a full burst, then the refill. So the burst
and the refill of a window must *together* fit the budget, which is what the plans
here guarantee.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from wrappy.errors import ConfigError

# A clock that is asked again exactly when it was told to may be short by a rounding
# error; without this grace a stepped clock would never get there.
_GRACE_S = 1e-9


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """Settings of a leaky bucket.

    Attributes:
        burst: weight that may pass at once from an idle bucket.
        per_second: weight by which the bucket drains in a second.
    """

    burst: float
    per_second: float

    @property
    def time_period_s(self) -> float:
        """Seconds in which a full bucket drains; the limiter's second argument."""
        return self.burst / self.per_second

    def most_in(self, window_s: float) -> float:
        """Return the most weight that can pass in any window of `window_s` seconds."""
        return self.burst + window_s * self.per_second


def plan_bucket(
    limit: float,
    *,
    window_s: float = 60.0,
    largest: float,
    reserve: float = 0.2,
    delay_spread_s: float = 1.0,
) -> BucketPlan:
    """Plan the bucket for ordinary requests.

    Args:
        limit: weight the exchange allows in any window.
        window_s: length of the window in seconds.
        largest: weight of the heaviest request that must fit through the bucket.
        reserve: share of `limit` kept for cancels, 0 up to but without 1; see
            `plan_reserved`.
        delay_spread_s: how much the travel times of two requests may differ, in
            seconds. A slow request and a quick one behind it arrive closer together
            than they left.

    Returns:
        A plan of which at most `limit * (1 - reserve)` passes in any window.

    Raises:
        ConfigError: the share is too small for `largest`, or a number is out of
            range.
    """
    return _plan(limit, 1.0 - _share(reserve), window_s, largest, delay_spread_s)


def plan_reserved(
    limit: float,
    *,
    window_s: float = 60.0,
    largest: float,
    reserve: float = 0.2,
    delay_spread_s: float = 1.0,
) -> BucketPlan:
    """Plan the bucket that only cancels may use, next to that of `plan_bucket`.

    The two buckets together stay within `limit`. Arguments and errors are those of
    `plan_bucket`; `largest` is the heaviest request that carries a cancel.
    """
    return _plan(limit, _share(reserve), window_s, largest, delay_spread_s)


def _share(reserve: float) -> float:
    if not 0.0 <= reserve < 1.0:
        raise ConfigError(f"reserve: {reserve!r} must be within 0 and below 1")
    return reserve


def _plan(
    limit: float, share: float, window_s: float, largest: float, delay_spread_s: float
) -> BucketPlan:
    if window_s <= 0 or delay_spread_s < 0 or largest <= 0:
        raise ConfigError(
            f"window_s {window_s!r} and largest {largest!r} must be above 0 and "
            f"delay_spread_s {delay_spread_s!r} not below it"
        )
    budget = limit * share
    if budget <= largest:
        raise ConfigError(
            f"limit: a share of {budget:g} in {window_s:g} s cannot pass a request of "
            f"weight {largest:g}; raise the limit or change the reserve"
        )
    # A quarter of the budget at once serves bursts; the rest flows evenly.
    burst = max(float(largest), budget / 4)
    return BucketPlan(burst, (budget - burst) / (window_s + delay_spread_s))


class Cooldown:
    """A pause that the exchange asked for."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = -math.inf

    def pause(self, now: float, seconds: float) -> None:
        """Start a pause of `seconds`; a longer one that runs already goes on."""
        self._until = max(self._until, now + seconds)

    def remaining(self, now: float) -> float:
        """Return the seconds left of the pause, 0.0 when there is none."""
        return max(0.0, self._until - now)


class RollingWindow:
    """Counts weights over a rolling window, the way the exchange does."""

    __slots__ = ("_passed", "_used", "limit", "window_s")

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit = limit
        self.window_s = window_s
        self._passed: deque[tuple[float, int]] = deque()
        self._used = 0

    def __repr__(self) -> str:
        return f"RollingWindow(used={self._used}, limit={self.limit})"

    def used(self, now: float) -> int:
        """Return the weight that has passed within the window that ends at `now`."""
        while self._passed and self._leaves_at(0) <= now + _GRACE_S:
            self._used -= self._passed.popleft()[1]
        return self._used

    def offer(self, weight: int, now: float) -> float:
        """Count `weight` if it fits.

        Args:
            weight: 0 or more.
            now: seconds; must not go backwards.

        Returns:
            0.0 when it passes and is counted, else the seconds until it would pass
            if nothing else did; infinite when it is heavier than the limit.
        """
        wait_s = self.wait_s(weight, now)
        if wait_s <= 0.0:
            self.count(weight, now)
            return 0.0
        return wait_s

    def count(self, weight: int, now: float) -> None:
        """Count `weight` as passed at `now`, whether it fits or not."""
        self._passed.append((now, weight))
        self._used += weight

    def wait_s(self, weight: int, now: float) -> float:
        """Return what `offer` would, without counting anything."""
        excess = self.used(now) + weight - self.limit
        if excess <= 0:
            return 0.0
        if weight > self.limit:
            return math.inf
        # Whatever leaves first makes room first; the sum of all is enough, since
        # the weight alone fits.
        position = 0
        while (excess := excess - self._passed[position][1]) > 0:
            position += 1
        return self._leaves_at(position) - now

    def _leaves_at(self, position: int) -> float:
        return self._passed[position][0] + self.window_s
