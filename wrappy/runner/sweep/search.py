"""Which values are tried next: all of them, random ones, or a list.

A search hands out batches. What is in a batch depends on the seed and on the trials of
the batches before it, never on how many workers there are or who finishes first.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from wrappy.runner.sweep.space import Space

Method = Literal["grid", "random", "optuna"]
METHODS: Final[tuple[Method, ...]] = ("grid", "random", "optuna")
MOST_DRAWS: Final = 10_000
"""Draws without a new combination after which there seems to be none left."""


class Search(Protocol):
    """Hands out values until it has no more."""

    @property
    def total(self) -> int:
        """How many trials there will be."""
        ...

    def batch(self) -> Iterable[Mapping[str, Any]]:
        """Return the next values to try, none when it is over."""
        ...

    def tell(self, values: Sequence[float | None]) -> None:
        """Take what the last batch came to, in its order; None for no value."""
        ...


class GridSearch:
    """Every combination once; a number of trials takes so many, evenly spread.

    Raises:
        ConfigError: a parameter can be any number, or there are fewer combinations.
    """

    def __init__(self, space: Space[Any], trials: int | None = None) -> None:
        size = space.size
        if size is None:
            loose = next(axis.name for axis in space.axes if not axis.options)
            raise ConfigError(
                f"{loose}: a grid needs steps, such as Range(0.5, 3.0, 0.5); or search "
                "with method='random'"
            )
        self.total = _counted(trials, size)
        self._space = space
        self._size = size
        self._is_over = False

    def batch(self) -> Iterator[Mapping[str, Any]]:
        """Return all of them, and nothing from then on."""
        numbers = range(0 if self._is_over else self.total)
        self._is_over = True
        return (self._space.at(number * self._size // self.total) for number in numbers)

    def tell(self, values: Sequence[float | None]) -> None:
        """Take nothing: a grid does not learn."""


class RandomSearch:
    """Random combinations, each once.

    The first trials of a longer search are those of a shorter one with the same seed.

    Raises:
        ConfigError: the number of trials is missing, or there are fewer combinations.
    """

    def __init__(self, space: Space[Any], trials: int | None, seed: int) -> None:
        if trials is None:
            raise ConfigError("trials: a random search needs to know how many")
        self.total = _counted(trials, space.size)
        self._space = space
        self._chance = random.Random(seed)
        self._seen: set[str] = set()
        self._is_over = False

    def batch(self) -> Iterator[Mapping[str, Any]]:
        """Return all of them, and nothing from then on."""
        numbers = range(0 if self._is_over else self.total)
        self._is_over = True
        return (self._new() for _ in numbers)

    def tell(self, values: Sequence[float | None]) -> None:
        """Take nothing: chance does not learn."""

    def _new(self) -> Mapping[str, Any]:
        for _ in range(MOST_DRAWS):
            drawn = self._space.draw(self._chance)
            text = repr(drawn)
            if text not in self._seen:
                self._seen.add(text)
                return drawn
        raise ConfigError(
            f"trials: {len(self._seen)} combinations were found and hardly any are "
            "left; take fewer trials, or a grid"
        )


class ListSearch:
    """Given combinations."""

    def __init__(self, combinations: Sequence[Mapping[str, Any]]) -> None:
        self.total = len(combinations)
        self._left = list(combinations)

    def batch(self) -> Sequence[Mapping[str, Any]]:
        """Return all of them, and nothing from then on."""
        batch, self._left = self._left, []
        return batch

    def tell(self, values: Sequence[float | None]) -> None:
        """Take nothing."""


def _counted(trials: int | None, size: int | None) -> int:
    if trials is None:
        return size or 0
    if type(trials) is not int or trials < 1:
        raise ConfigError(f"trials: {trials!r} is no number of trials; give 1 or more")
    if size is not None and trials > size:
        raise ConfigError(
            f"trials: {trials}, but there are only {size} combinations; take fewer, "
            "or a wider space"
        )
    return trials
