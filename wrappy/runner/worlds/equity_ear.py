"""Hears of an account's worth where it matters, and of nothing in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

DAY_MS: Final = 86_400_000


class EquityEar:
    """Says which amounts it wants to hear of, and passes them on.

    Args:
        told: takes unix milliseconds and an amount, 1e-6 USDC; returns the lowest and
            the highest amount that need not be told today.

    Attributes:
        lowest: amounts below it are to be told.
        highest: amounts above it are to be told.
        until_ms: unix milliseconds of the next midnight, from which on the last amount
            before it and the next one are to be told.
    """

    __slots__ = ("_told", "highest", "lowest", "until_ms")

    def __init__(self, told: Callable[[int, int], tuple[int, int]]) -> None:
        self._told = told
        self.lowest = self.highest = self.until_ms = 0

    def is_calm(self, at_ms: int, equity: int) -> bool:
        """Whether an amount need not be told."""
        return self.lowest <= equity <= self.highest and at_ms < self.until_ms

    def take(self, at_ms: int, equity: int, before: int | None = None) -> None:
        """Take an amount.

        Args:
            at_ms: when it was so, unix milliseconds.
            equity: the amount.
            before: the amount before it, told or not.
        """
        if before is not None and at_ms >= self.until_ms:
            # What the day that is over ended with is what this one begins with.
            self._told(self.until_ms - 1, before)
        self.lowest, self.highest = self._told(at_ms, equity)
        self.until_ms = (at_ms // DAY_MS + 1) * DAY_MS
