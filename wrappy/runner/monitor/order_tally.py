"""Counts what becomes of orders: ends, doubts, and how long acceptance took."""

from __future__ import annotations

from collections import Counter
from typing import Final, Protocol

from wrappy.model import OrderStatus

LATENCY_BOUNDS_S: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0),
)
"""Upper bounds of the classes that acceptance times are counted in, seconds."""

MOST_WAITING: Final = 10_000
"""Queued orders whose time is remembered; the oldest are forgotten first."""


class OrderFacts(Protocol):
    """What is looked at of an order, as its dealer knows it."""

    @property
    def client_order_index(self) -> int:
        """The order."""

    @property
    def status(self) -> OrderStatus:
        """Where it stands."""

    @property
    def reason(self) -> str:
        """Why it ended, in words."""


class Latencies:
    """How long something took, counted in classes.

    Attributes:
        counts: how often, by class; the last class has no upper bound.
        total_s: seconds together.
    """

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.total_s += seconds
        at = sum(bound < seconds for bound in LATENCY_BOUNDS_S)
        self.counts[at] += 1


class OrderTally:
    """Follows orders by their states; takes the time with each.

    An order in doubt counts until somebody tells what became of it, also when its
    strategy is over: it may still trade.

    Attributes:
        ended: orders that are over, by the state they ended in.
        accepted: how long orders took from being queued to being accepted.
    """

    def __init__(self) -> None:
        self.ended: Counter[OrderStatus] = Counter()
        self.accepted = Latencies()
        self._queued: dict[int, float] = {}
        self._doubts: dict[int, float] = {}
        self._over: dict[int, None] = {}

    def changed(
        self, client_order_index: int, status: OrderStatus, now: float
    ) -> OrderStatus | None:
        """Take an order's state.

        Args:
            client_order_index: the order.
            status: where it stands now.
            now: monotone seconds.

        Returns:
            `UNKNOWN` when a doubt began, another state when one ended in it or the
            order was rejected, None when there is nothing to tell.
        """
        coi = client_order_index
        if status is OrderStatus.QUEUED:
            self._queued[coi] = now
            if len(self._queued) > MOST_WAITING:
                del self._queued[next(iter(self._queued))]
            return None
        began = self._queued.pop(coi, None)
        if status is OrderStatus.UNKNOWN:
            if coi in self._doubts:
                return None
            self._doubts[coi] = now
            return status
        doubted = self._doubts.pop(coi, None) is not None
        if began is not None and not doubted and status is not OrderStatus.REJECTED:
            self.accepted.add(now - began)
        if status.is_terminal and coi not in self._over:
            self.ended[status] += 1
            self._over[coi] = None
            if len(self._over) > MOST_WAITING:
                del self._over[next(iter(self._over))]
            return status if doubted or status is OrderStatus.REJECTED else None
        return status if doubted else None

    @property
    def unknown(self) -> int:
        """Orders in doubt now."""
        return len(self._doubts)

    def oldest_doubt_s(self, now: float) -> float:
        """Return how long the oldest doubt has lasted, 0 without one."""
        return now - min(self._doubts.values(), default=now)
