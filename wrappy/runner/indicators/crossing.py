"""When one row of numbers crosses another."""

from __future__ import annotations

from wrappy.runner.indicators.base import Indicator, Number, number


class Crossover(Indicator[int]):
    """Tells when the first of two numbers gets above or below the second.

    The value is 1 when the first is above now and was not before, -1 when it is below
    now and was not before, 0 otherwise. To touch is not to cross, but to leave a touch
    is: 1, 2, 3 against 2 crosses at the 3. As `crossover` and `crossunder` of Pine.
    The warm-up is 2.
    """

    __slots__ = ("_side",)

    def __init__(self) -> None:
        super().__init__(2, "")
        self._side: int | None = None

    def update(self, first: Number, second: Number) -> int | None:
        """Take the next pair and return 1, -1 or 0; None for the first pair.

        Raises:
            IndicatorInputError: one is not a finite number; nothing changed.
        """
        side = _side(first, second)
        crossed = self._crossed(side)
        self._side = side
        return self._settle(crossed)

    def peek(self, first: Number, second: Number) -> int | None:
        """Return what `update(first, second)` would, and change nothing.

        Raises:
            IndicatorInputError: one is not a finite number.
        """
        return self._crossed(_side(first, second))

    def _crossed(self, side: int) -> int | None:
        if self._side is None:
            return None
        return 0 if side == self._side else side


def _side(first: Number, second: Number) -> int:
    one, other = number(first, "first"), number(second, "second")
    return (one > other) - (one < other)
