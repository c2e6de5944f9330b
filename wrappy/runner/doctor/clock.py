"""Whether this machine's clock is the exchange's, from answers in whole seconds."""

from __future__ import annotations

import math
from typing import Final

from wrappy.runner.doctor.findings import Finding, failure, fine, warning

WARN_ABOVE_S: Final = 1.0
FAIL_ABOVE_S: Final = 5.0
"""Signed transactions and tokens are judged by the exchange's clock: with the
shortest lives that are in use a skew of this size makes them fail now and then."""

ANSWERS: Final = 3
"""Answers to ask for; spread over a second they narrow the bounds to a third."""

APART_S: Final = 0.34

_NTP: Final = "set the clock by NTP: timedatectl set-ntp true"


class SkewBounds:
    """By how much the exchange's clock is ahead of ours: between two bounds.

    The exchange tells whole seconds, rounded down, so that one answer leaves a second
    and its travel time open; several at different parts of a second leave less.
    """

    def __init__(self) -> None:
        self.low_s = -math.inf
        self.high_s = math.inf

    def add(self, asked_s: float, told_s: int, answered_s: float) -> None:
        """Take an answer into account.

        Args:
            asked_s: our unix seconds when asking.
            told_s: what the exchange told.
            answered_s: our unix seconds when the answer was there.
        """
        low_s, high_s = told_s - answered_s, told_s + 1 - asked_s
        if low_s > self.high_s or high_s < self.low_s:
            # One of the clocks was set meanwhile: the older answers say nothing.
            self.low_s, self.high_s = low_s, high_s
            return
        self.low_s, self.high_s = max(self.low_s, low_s), min(self.high_s, high_s)

    @property
    def least_s(self) -> float:
        """The smallest skew that the answers allow, unsigned."""
        return max(self.low_s, -self.high_s, 0.0)

    @property
    def middle_s(self) -> float:
        """The middle of the bounds."""
        return (self.low_s + self.high_s) / 2


def judge(bounds: SkewBounds) -> Finding:
    """Return what the clock's skew means; only what is certain counts."""
    half_s = (bounds.high_s - bounds.low_s) / 2
    words = (
        f"this machine's clock is {-bounds.middle_s:+.1f} s off the exchange's "
        f"(+-{half_s:.1f} s)"
    )
    if bounds.least_s > FAIL_ABOVE_S:
        return failure("clock", words, _NTP)
    if bounds.least_s > WARN_ABOVE_S:
        return warning("clock", words, _NTP)
    return fine("clock", words)
