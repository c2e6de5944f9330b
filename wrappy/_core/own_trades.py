"""Which of the account's own trades have been told: each once, whatever repeats it.

Live frames, snapshots and pages asked for by REST overlap, arrive in any order, and
come again after a reconnect. A trade's id is its natural key and grows with time
(official WebSocket reference), so ids alone decide, and of the ids only so many are
remembered: below the oldest of them lies a floor, and everything down there counts
as told.

What is guaranteed: no trade is told twice, ever. Every trade is told the first time
it comes, unless `capacity` newer ones were told before it; such a late one cannot be
told from a repetition, so it is counted in `undecided` and not told. Nobody may
therefore add up an order's fills from trades alone: how much of an order is filled
stands in the order itself, as the exchange's own total.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class OwnTrades:
    """The ids of the trades that have been told.

    Args:
        capacity: how many ids to remember, at least 1. More than the trades that can
            be told between a trade and its late arrival is enough.

    Attributes:
        undecided: ids that came from below the floor: repetitions for all we know,
            or trades that were never told.

    Raises:
        ValueError: a capacity that is none.
    """

    __slots__ = ("_capacity", "_floor", "_ids", "_in_order", "undecided")

    def __init__(self, capacity: int = 10_000) -> None:
        if capacity < 1:
            raise ValueError(f"capacity: {capacity} is below 1")
        self._capacity = capacity
        self._floor = -1
        self._ids: set[int] = set()
        self._in_order: deque[int] = deque()
        self.undecided = 0

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def newest(self) -> int | None:
        """The highest id told; None before the first."""
        return self._in_order[-1] if self._in_order else None

    @property
    def floor(self) -> int:
        """This id and all below count as told; -1 while nothing was forgotten."""
        return self._floor

    def knows(self, trade_id: int) -> bool:
        """Whether a trade counts as told."""
        return trade_id <= self._floor or trade_id in self._ids

    def add(self, trade_ids: Iterable[int]) -> list[int]:
        """Take ids in any order; return those to be told now, lowest first.

        However many come at once, all new ones are returned: only those told before
        make the floor they are measured by.
        """
        new = set()
        for trade_id in trade_ids:
            if trade_id <= self._floor:
                self.undecided += 1
            elif trade_id not in self._ids:
                new.add(trade_id)
        if not new:
            return []
        fresh = sorted(new)
        if self._in_order and fresh[0] < self._in_order[-1]:
            self._in_order = deque(sorted((*self._in_order, *fresh)))
        else:
            self._in_order.extend(fresh)
        self._ids.update(fresh)
        while len(self._in_order) > self._capacity:
            self._floor = self._in_order.popleft()
            self._ids.discard(self._floor)
        return fresh
