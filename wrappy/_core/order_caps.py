"""Counting our orders against the exchange's caps before it has to refuse one.

Everything that may rest counts: live, queued, on the way, and above all what is
unknown. An order leaves the count only when it has certainly ended.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable


class Caps(Protocol):
    """The numbers of an account tier."""

    @property
    def active_per_market(self) -> int:
        """Most resting orders on one market."""

    @property
    def active_per_account(self) -> int:
        """Most resting orders on all markets together."""

    @property
    def pending_per_market(self) -> int:
        """Most orders that wait for a trigger or a parent on one market."""

    @property
    def pending_per_account(self) -> int:
        """Most such orders on all markets together."""


class OrderCapsCount:
    """Counts the orders of one account.

    Args:
        caps: the tier's numbers.
    """

    def __init__(self, caps: Caps) -> None:
        self.caps = caps
        """May be exchanged while running, when another tier is told."""
        self._held: dict[Hashable, tuple[int, bool]] = {}
        self._per_market: Counter[tuple[int, bool]] = Counter()
        self._per_account: Counter[bool] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        active, pending = self._per_account[False], self._per_account[True]
        return f"OrderCapsCount(active={active}, pending={pending})"

    def hold(
        self, order: Hashable, market_index: int, *, pending: bool = False
    ) -> None:
        """Count an order from the moment it is queued.

        Holding it again changes nothing, or moves it: a pending order whose trigger
        was met is active from then on.

        Args:
            order: what names it: a client order index, or the exchange's number for
                an order of somebody else on the account.
            market_index: its market.
            pending: whether it waits for a trigger or a parent.
        """
        place = market_index, pending
        if self._held.get(order) == place:
            return
        self.release(order)
        self._held[order] = place
        self._per_market[place] += 1
        self._per_account[pending] += 1

    def release(self, order: Hashable) -> None:
        """Stop counting an order that has ended, or that certainly never left."""
        place = self._held.pop(order, None)
        if place is not None:
            self._per_market[place] -= 1
            self._per_account[place[1]] -= 1

    def count(self, market_index: int | None = None, *, pending: bool = False) -> int:
        """Return how many orders count on a market, or (None) on the account."""
        if market_index is None:
            return self._per_account[pending]
        return self._per_market[market_index, pending]

    def room(self, market_index: int, *, pending: bool = False) -> int:
        """Return how many more orders fit on a market, never below 0."""
        per_market, per_account = self._limits(pending=pending)
        return max(
            0,
            min(
                per_market - self.count(market_index, pending=pending),
                per_account - self.count(pending=pending),
            ),
        )

    def refuse(
        self, market_index: int, *, wanted: int = 1, pending: bool = False
    ) -> str | None:
        """Return why `wanted` more orders do not fit, or None when they do.

        The text names the cap that stands in the way and what counts against it.
        """
        if wanted <= self.room(market_index, pending=pending):
            return None
        kind = "pending" if pending else "active"
        per_market, per_account = self._limits(pending=pending)
        here = self.count(market_index, pending=pending)
        if here + wanted > per_market:
            return (
                f"{kind} orders: {here} on market {market_index} and {wanted} more "
                f"are above the cap of {per_market} a market; cancel some first"
            )
        everywhere = self.count(pending=pending)
        return (
            f"{kind} orders: {everywhere} on the account and {wanted} more are above "
            f"the cap of {per_account} an account; cancel some first"
        )

    def _limits(self, *, pending: bool) -> tuple[int, int]:
        caps = self.caps
        if pending:
            return caps.pending_per_market, caps.pending_per_account
        return caps.active_per_market, caps.active_per_account
