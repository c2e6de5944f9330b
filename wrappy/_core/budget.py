"""One budget of requests: an even flow, a hard limit, and a part kept for cancels.

A leaky bucket spreads requests over the minute; a rolling window behind it counts
what really left, so that the limit also holds when a plan changes, when a pause ends
or when a request left later than it was let through.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from wrappy._core.quota import RollingWindow, plan_bucket, plan_reserved

if TYPE_CHECKING:
    from wrappy._core.quota import BucketPlan

RESERVE: Final = 0.2
RESERVED_AT_ONCE: Final = 2
"""Cancels that pass together from the kept part, however small the budget is."""
LEAST_RESERVED: Final = RESERVED_AT_ONCE + 1
"""The smallest part that is kept: those, and one more within the window."""
DELAY_SPREAD_S: Final = 1.0
"""How much the travel times of two requests may differ."""
# A bucket asked again exactly when it said so may lack a rounding error of weight.
_GRACE: Final = 1e-6


class Share:
    """One part of a budget.

    Args:
        plan: the bucket that makes an even flow.
        limit: weight that may pass in any window.
        window_s: length of the window in seconds.
    """

    __slots__ = ("_level", "_plan", "_updated", "_window")

    def __init__(self, plan: BucketPlan, *, limit: int, window_s: float) -> None:
        self._plan = plan
        self._window = RollingWindow(limit, window_s)
        self._level = 0.0
        self._updated = -math.inf

    def __repr__(self) -> str:
        return f"Share({self._plan}, {self._window})"

    def wait_s(self, weight: int, now: float) -> float:
        """Return the seconds until `weight` may pass, 0.0 when it may now.

        Infinite for a weight that never passes.
        """
        if weight > self._plan.burst:
            return math.inf
        excess = self._level_at(now) + weight - self._plan.burst
        until_drained = excess / self._plan.per_second if excess > _GRACE else 0.0
        ahead = max(0.0, self._updated - now)
        return max(
            until_drained + ahead if until_drained else 0.0,
            self._window.wait_s(weight, now),
        )

    def book(self, weight: int, now: float) -> None:
        """Count `weight` as leaving now."""
        self._level = self._level_at(now) + weight
        self._updated = max(self._updated, now)
        self._window.count(weight, now)

    def recall(self, weight: int, at: float) -> None:
        """Count a departure of the past, in order of time."""
        self._window.count(weight, at)

    def calm(self, at: float, spare: int) -> None:
        """Have the bucket full at `at`, but for `spare`: no burst from there on."""
        self._level = max(self._level_at(at), self._plan.burst - spare)
        self._updated = max(self._updated, at)

    def _level_at(self, now: float) -> float:
        drained = max(0.0, now - self._updated) * self._plan.per_second
        return max(0.0, self._level - drained)


class Way(NamedTuple):
    """Where a request would pass, and when.

    Attributes:
        wait_s: seconds until it may, 0.0 for now, infinite for never.
        reserved: whether it uses the part that only cancels may use.
    """

    wait_s: float
    reserved: bool


class Budget:
    """What may leave in any window, with a part that only urgent requests may use.

    The reserve is a fifth, and never less than `LEAST_RESERVED`.

    Args:
        limit: weight that the exchange allows in any window.
        largest: weight of the heaviest request that must pass.
        window_s: length of the window in seconds.

    Raises:
        ConfigError: the limit is too small for `largest`.
    """

    def __init__(self, limit: int, *, largest: int, window_s: float) -> None:
        kept = max(math.ceil(limit * RESERVE), LEAST_RESERVED)
        settings = {
            "window_s": window_s,
            "reserve": kept / limit,
            "delay_spread_s": DELAY_SPREAD_S,
        }
        self.limit = limit
        self.largest = largest
        counted_s = window_s + DELAY_SPREAD_S
        ordinary = plan_bucket(limit, largest=largest, **settings)
        self._ordinary = Share(ordinary, limit=limit - kept, window_s=counted_s)
        at_once = max(largest, RESERVED_AT_ONCE)
        reserved = plan_reserved(limit, largest=at_once, **settings)
        self._reserved = Share(reserved, limit=kept, window_s=counted_s)
        # What was recalled may be more than its part: both together count as well.
        self._both = RollingWindow(limit, counted_s)

    def __repr__(self) -> str:
        return f"Budget(limit={self.limit})"

    def way(self, weight: int, now: float, *, urgent: bool) -> Way:
        """Return where and when a request would pass; nothing is counted."""
        together_s = self._both.wait_s(weight, now)
        ordinary_s = max(together_s, self._ordinary.wait_s(weight, now))
        if urgent and ordinary_s > 0.0:
            reserved_s = max(together_s, self._reserved.wait_s(weight, now))
            if reserved_s < ordinary_s:
                return Way(reserved_s, reserved=True)
        return Way(ordinary_s, reserved=False)

    def book(self, weight: int, now: float, *, reserved: bool) -> None:
        """Count a request as leaving now, by the way that `way` told."""
        (self._reserved if reserved else self._ordinary).book(weight, now)
        self._both.count(weight, now)

    def recall(self, weight: int, at: float, *, reserved: bool) -> None:
        """Count a departure of the past, in order of time."""
        (self._reserved if reserved else self._ordinary).recall(weight, at)
        self._both.count(weight, at)

    def calm(self, at: float) -> None:
        """Let one request through at `at` and an even flow after it, no burst."""
        self._ordinary.calm(at, self.largest)
        self._reserved.calm(at, self.largest)

    def used(self, now: float) -> int:
        """Return the weight that left within the window that ends at `now`."""
        return self._both.used(now)
