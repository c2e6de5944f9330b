"""The three ways to remember: a recursion, an exact window, a sliding extreme.

They take floats that were checked at the door and check nothing themselves. `take`
remembers the next number, `look` only tells what `take` would.

Nothing here drifts. A recursion forgets its own rounding as fast as it forgets its
input. A window's sums are whole numbers: every float is a whole number of some power
of two, so what enters a sum leaves it again to the last bit, after any number of
updates and whatever passed through. Built-in `sum` is not used on floats, because it
rounds differently from one version of Python to the next.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, TypeAlias

_QUICK_SHIFT: Final = 600
"""Up to here the largest input, times the scale, is still a float."""

Sums: TypeAlias = tuple[int, int, int]
"""Sum and sum of squares of a full window, in units of 2**-shift, and the shift."""


class Smoothing:
    """An average that starts as the mean of `period` numbers and then follows.

    Each later number moves it by `weight` of the distance: 2/(period+1) makes it the
    exponential average, 1/period that of Wilder.
    """

    __slots__ = ("_average", "_left", "_period", "_total", "_weight")

    def __init__(self, period: int, weight: float) -> None:
        self._period = period
        self._weight = weight
        self._left = period
        self._total = 0.0
        self._average = 0.0

    def look(self, x: float) -> float | None:
        """Return the average if `x` came next; None while warming up."""
        if not self._left:
            # In this form a flat stretch gives exactly its own level.
            return self._average + (x - self._average) * self._weight
        if self._left > 1:
            return None
        return (self._total + x) / self._period

    def take(self, x: float) -> float | None:
        """Remember `x` and return the average; None while warming up."""
        average = self.look(x)
        if average is None:
            self._total += x
            self._left -= 1
            return None
        # With a period of one every number is a new seed, free of rounding.
        if self._period > 1:
            self._left = 0
        self._average = average
        return average


class ExactWindow:
    """The last `period` numbers, with exact sums.

    Args:
        period: numbers to remember.
        squares: whether to sum their squares too; their sum is 0 otherwise.
    """

    __slots__ = (
        "_numbers",
        "_period",
        "_scale",
        "_shift",
        "_squared",
        "_squares",
        "_total",
    )

    def __init__(self, period: int, *, squares: bool = False) -> None:
        self._period = period
        self._squared = squares
        self._numbers: deque[int] = deque(maxlen=period)
        self._shift = 0
        self._scale = 1.0
        self._total = 0
        self._squares = 0

    def look(self, x: float) -> Sums | None:
        """Return the sums if `x` came next; None while the window fills."""
        numbers = self._numbers
        if len(numbers) < self._period - 1:
            return None
        units, shift = _exactly(x)
        finer = max(0, shift - self._shift)
        units <<= self._shift + finer - shift
        old = numbers[0] if len(numbers) == self._period else 0
        total = ((self._total - old) << finer) + units
        squares = 0
        if self._squared:
            squares = ((self._squares - old * old) << 2 * finer) + units * units
        return total, squares, self._shift + finer

    def take(self, x: float) -> Sums | None:
        """Remember `x` and return the sums; None while the window fills."""
        # Times a power of two is exact, and quicker than to ask for the ratio.
        scaled = x * self._scale
        units = int(scaled) if scaled.is_integer() else self._refined(x)
        numbers = self._numbers
        full = len(numbers) == self._period
        old = numbers[0] if full else 0
        numbers.append(units)
        self._total += units - old
        if self._squared:
            self._squares += units * units - old * old
        if full or len(numbers) == self._period:
            return self._total, self._squares, self._shift
        return None

    def _refined(self, x: float) -> int:
        units, shift = _exactly(x)
        if shift > self._shift:
            # A float has at most 1074 binary places, and few numbers set a record.
            finer = shift - self._shift
            finest = (one << finer for one in self._numbers)
            self._numbers = deque(finest, self._period)
            self._total <<= finer
            self._squares <<= 2 * finer
            self._shift = shift
            self._scale = 2.0**shift if shift <= _QUICK_SHIFT else math.nan
        return units << self._shift - shift


class SlidingHighest:
    """The highest of the last `period` numbers."""

    __slots__ = ("_period", "_rivals", "_seen")

    def __init__(self, period: int) -> None:
        self._period = period
        self._seen = 0
        # Falling numbers, with their places: those that can still become the highest.
        self._rivals: deque[tuple[int, float]] = deque()

    def look(self, x: float) -> float | None:
        """Return the highest if `x` came next; None while the window fills."""
        place = self._seen + 1
        if place < self._period:
            return None
        for since, rival in self._rivals:
            if since > place - self._period:
                return max(rival, x)
            # Only the first can be too old, so this takes two steps at most.
        return x

    def take(self, x: float) -> float | None:
        """Remember `x` and return the highest; None while the window fills."""
        self._seen = place = self._seen + 1
        rivals = self._rivals
        if rivals and rivals[0][0] <= place - self._period:
            rivals.popleft()
        while rivals and rivals[-1][1] <= x:
            rivals.pop()
        rivals.append((place, x))
        return rivals[0][1] if place >= self._period else None


def wilder(period: int) -> Smoothing:
    """Return the recursion of Wilder's averages."""
    return Smoothing(period, 1.0 / period)


def exponential(period: int) -> Smoothing:
    """Return the recursion of the exponential average."""
    return Smoothing(period, 2.0 / (period + 1))


def mean(sums: Sums, count: int) -> float:
    """Return the mean of `count` numbers, correctly rounded."""
    total, _, shift = sums
    return total / (count << shift)


def variance(sums: Sums, count: int, freedom: int) -> float:
    """Return the variance of `count` numbers, correctly rounded.

    Args:
        sums: of the numbers and of their squares.
        count: how many they are.
        freedom: `count` for a whole population, one less for a sample of it.
    """
    total, squares, shift = sums
    return (count * squares - total * total) / (count * freedom << 2 * shift)


def _exactly(x: float) -> tuple[int, int]:
    """Return the whole number and the shift with x = number / 2**shift."""
    numerator, denominator = x.as_integer_ratio()
    return numerator, denominator.bit_length() - 1
