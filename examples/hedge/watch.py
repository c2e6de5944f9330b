"""What leg A does about a pair out of balance: decisions only, in whole lots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from examples.hedge.book import Patience


class Step(NamedTuple):
    """What leg A does about the pair; `lots` bring its position to minus leg B's."""

    what: Literal["quote", "pause", "flatten", "halt"]
    lots: int = 0


class PairWatch:
    """Leg A's eye on the pair: a pause first, then a trade of its own, then a halt."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._open_since: float | None = None

    @property
    def least_lots(self) -> int:
        """Smallest order that rests."""
        return self._patience.least_lots

    def is_balanced(self, exposure: int) -> bool:
        """Whether A + B is small enough to go on trading."""
        return abs(exposure) < max(self._patience.limit_lots, self._patience.least_lots)

    def due_s(self, now: float) -> float:
        """Return how long until an open pair is to be closed; 0 when it is overdue."""
        since = now if self._open_since is None else self._open_since
        return max(0.0, since + self._patience.flatten_after_s - now)

    def decide(self, exposure: int, now: float, since: float | None = None) -> Step:
        """Return what to do.

        Args:
            exposure: A + B, in lots.
            now: seconds, monotone.
            since: since when it may be open; None for now.
        """
        if self.is_balanced(exposure):
            self._open_since = None
            return Step("quote")
        if self._open_since is None:
            self._open_since = now if since is None else since
        open_s = now - self._open_since
        if open_s >= self._patience.halt_after_s:
            return Step("halt")
        if open_s >= self._patience.flatten_after_s:
            return Step("flatten", -exposure)
        return Step("pause")
