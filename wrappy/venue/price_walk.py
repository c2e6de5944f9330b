"""How the fair price of a made-up market moves, and when its events come.

Everything random is made of `random.Random.random()`: it alone is promised to give
the same numbers on every Python version.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    import random

Process = Literal["anchored", "gbm", "ou"]
PROCESSES: Final[tuple[Process, ...]] = ("anchored", "gbm", "ou")
"""Courses a fair price can take."""

YEAR_S: Final = 365 * 86_400.0
DAY_S: Final = 86_400.0
MOST_CLUSTERING: Final = 0.95
"""Largest branching ratio: at 1 every event would bring another, for ever."""

_REVERSION_PER_S: Final = 1 / 900  # how fast an anchored price returns
_ANCHOR_PER_S: Final = 1 / 7_200  # how fast its anchor follows


def exponential(dice: random.Random, mean: float) -> float:
    """Return an exponential number of that mean."""
    return -mean * math.log(1.0 - dice.random())


def normal(dice: random.Random) -> float:
    """Return a standard normal number."""
    radius = math.sqrt(exponential(dice, 2.0))
    return radius * math.cos(math.tau * dice.random())


class AnchoredWalk:
    """Shocks of the given volatility, drawn weakly to an anchor that follows slowly.

    Args:
        dice: where chance comes from.
        start: first price.
        volatility: standard deviation of a year's returns.
    """

    def __init__(self, dice: random.Random, start: float, volatility: float) -> None:
        self._dice = dice
        self._anchor = start
        self._per_s = volatility / math.sqrt(YEAR_S)

    def move(self, price: float, seconds: float) -> float:
        """Return the price `seconds` after it was `price`."""
        shock = normal(self._dice) * self._per_s * math.sqrt(seconds)
        pull = (self._anchor - price) * min(1.0, _REVERSION_PER_S * seconds)
        return price * (1.0 + shock) + pull

    def moved(self, price: float, seconds: float) -> None:
        """Let the anchor follow."""
        self._anchor += (price - self._anchor) * min(1.0, _ANCHOR_PER_S * seconds)


class GeometricWalk:
    """Geometric Brownian motion without drift: what is expected is what is.

    Args:
        dice: where chance comes from.
        volatility: standard deviation of a year's log returns.
    """

    def __init__(self, dice: random.Random, volatility: float) -> None:
        self._dice = dice
        self._per_s = volatility / math.sqrt(YEAR_S)

    def move(self, price: float, seconds: float) -> float:
        """Return the price `seconds` after it was `price`."""
        deviation = self._per_s * math.sqrt(seconds)
        return price * math.exp(deviation * (normal(self._dice) - deviation / 2.0))

    def moved(self, price: float, seconds: float) -> None:
        """Nothing: it has no memory."""


class RevertingWalk:
    """Ornstein-Uhlenbeck: the logarithm of the price is drawn to where it began.

    The steps are exact, however long they are.

    Args:
        dice: where chance comes from.
        start: first price, and the one it returns to.
        volatility: standard deviation of a year's log returns, without the pull.
        half_life_s: seconds in which half of a deviation goes.
    """

    def __init__(
        self,
        dice: random.Random,
        start: float,
        volatility: float,
        half_life_s: float,
    ) -> None:
        self._dice = dice
        self._start = start
        self._rate = math.log(2.0) / half_life_s
        self._per_s = volatility / math.sqrt(YEAR_S)

    def move(self, price: float, seconds: float) -> float:
        """Return the price `seconds` after it was `price`."""
        kept = math.exp(-self._rate * seconds)
        spread = self._per_s * math.sqrt((1.0 - kept * kept) / (2.0 * self._rate))
        deviation = math.log(price / self._start) * kept
        return self._start * math.exp(deviation + spread * normal(self._dice))

    def moved(self, price: float, seconds: float) -> None:
        """Nothing: what it returns to stays."""


@dataclass(slots=True)
class Jumps:
    """Sudden moves at random times, of normal size.

    Attributes:
        dice: where chance comes from.
        per_day: how many a day, on average; 0 for none.
        size: standard deviation of the log return of one.
    """

    dice: random.Random
    per_day: float
    size: float
    _wait_s: float = -1.0

    def factor(self, seconds: float) -> float:
        """Return what the jumps of the next `seconds` multiply the price by."""
        if not self.per_day:
            return 1.0
        if self._wait_s < 0.0:
            self._wait_s = exponential(self.dice, DAY_S / self.per_day)
        total = 0.0
        while self._wait_s <= seconds:
            seconds -= self._wait_s
            total += self.size * normal(self.dice)
            self._wait_s = exponential(self.dice, DAY_S / self.per_day)
        self._wait_s -= seconds
        return math.exp(total)


class PoissonArrivals:
    """Events that come independently of each other.

    Args:
        dice: where chance comes from.
        per_s: mean number a second.
    """

    def __init__(self, dice: random.Random, per_s: float) -> None:
        self._dice = dice
        self._mean_us = 1_000_000 / per_s

    def wait_us(self) -> float:
        """Return the time from one event to the next, microseconds."""
        return exponential(self._dice, self._mean_us)


class HawkesArrivals:
    """Events that bring others: each raises the rate, which then falls back.

    A Hawkes process with an exponential kernel, drawn by Ogata's thinning: between
    events the rate only falls, so what it is after the last one bounds it.

    Args:
        dice: where chance comes from.
        per_s: mean number a second, of all events.
        clustering: how many events an event brings on average, above 0 and at most
            0.95 (the branching ratio).
        decay_s: seconds in which what an event added to the rate falls to 1/e.

    Raises:
        ConfigError: the branching ratio or the decay cannot work.
    """

    def __init__(
        self, dice: random.Random, per_s: float, clustering: float, decay_s: float
    ) -> None:
        if not 0.0 < clustering <= MOST_CLUSTERING:
            raise ConfigError(
                f"clustering: {clustering!r} is not above 0 and at most "
                f"{MOST_CLUSTERING}; from 1 on events never end"
            )
        if not (math.isfinite(decay_s) and decay_s > 0.0):
            raise ConfigError(f"clustering_s: {decay_s!r} is not above 0")
        self._dice = dice
        self._base = per_s * (1.0 - clustering)
        self._step = clustering / decay_s
        self._decay_s = decay_s
        # Begun in the middle: with as much excitement as there is on average.
        self._excited = per_s * clustering

    def wait_us(self) -> float:
        """Return the time from one event to the next, microseconds."""
        waited = 0.0
        while True:
            bound = self._base + self._excited
            passed = exponential(self._dice, 1.0 / bound)
            waited += passed
            self._excited *= math.exp(-passed / self._decay_s)
            if self._dice.random() * bound <= self._base + self._excited:
                self._excited += self._step
                return waited * 1_000_000
