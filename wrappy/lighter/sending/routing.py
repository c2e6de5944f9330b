"""Which API key each intent goes by, when the settings have several.

The first key carries cancels, changes and resting orders, the others take turns with
what trades at once: the exchange holds takers up for a moment, and what queues behind
one on the same key waits with it (official API documentation). What acts on an order
that the exchange has not shown yet goes by that order's key, so that it cannot
overtake it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from wrappy.model import OrderType
from wrappy.protocol.intents import (
    CancelAllOrders,
    CreateGroupedOrders,
    CreateOrder,
    ModifyOrder,
    takes_at_once,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wrappy._core.batch import Queued
    from wrappy.protocol.intents import Intent

K = TypeVar("K")


def created_by(intent: Intent) -> tuple[CreateOrder, ...]:
    """Return the orders that an intent makes and that have a number of ours."""
    orders: tuple[CreateOrder, ...] = ()
    if isinstance(intent, CreateOrder):
        orders = (intent,)
    elif isinstance(intent, CreateGroupedOrders):
        orders = intent.orders
    return tuple(order for order in orders if order.client_order_index)


def is_urgent(entry: Queued[Intent]) -> bool:
    """Whether an entry may use what is kept free, and pass those who wait for the pace.

    Cancels may, and market orders that can only make a position smaller.
    """
    intent = entry.intent
    closes = (
        isinstance(intent, CreateOrder)
        and intent.reduce_only
        and intent.order_type == OrderType.MARKET
    )
    return entry.is_cancel or closes


def is_sweep(entry: Queued[Intent]) -> bool:
    """Whether an entry cancels all orders at once, and not at a later moment."""
    intent = entry.intent
    return isinstance(intent, CancelAllOrders) and not intent.time_in_force


def markets_at_risk(intent: Intent) -> set[int]:
    """Return the markets in which an intent makes or changes an order."""
    if isinstance(intent, CreateGroupedOrders):
        return {order.market_index for order in intent.orders}
    if isinstance(intent, (CreateOrder, ModifyOrder)):
        return {intent.market_index}
    return set()


class KeyRoutes(Generic[K]):
    """Keys of one dealer, the main one first, and who of its orders went by which.

    Args:
        keys: what sends for each key.
    """

    def __init__(self, keys: Sequence[K]) -> None:
        self._keys = tuple(keys)
        self._others = 0
        self._key_of: dict[int, K] = {}

    @property
    def keys(self) -> tuple[K, ...]:
        """All keys, the main one first."""
        return self._keys

    def key_of(self, client_order_index: int) -> K:
        """Return the key that an order's creation went by, or the main one."""
        return self._key_of.get(client_order_index, self._keys[0])

    def shown(self, client_order_index: int) -> None:
        """Note that the exchange has shown an order: any key may act on it now."""
        self._key_of.pop(client_order_index, None)

    def split(
        self, entries: Sequence[Queued[Intent]]
    ) -> list[tuple[K, list[Queued[Intent]]]]:
        """Return what goes by which key, in sending order: the main key first.

        What acts on no single order stays behind everything before it and before
        everything behind it.
        """
        if len(self._keys) == 1:
            return [(self._keys[0], list(entries))] if entries else []
        parts: list[tuple[K, list[Queued[Intent]]]] = []
        stretch: list[Queued[Intent]] = []
        for entry in entries:
            if entry.touches is not None or created_by(entry.intent):
                stretch.append(entry)
                continue
            parts += self._by_key(stretch)
            parts.append((self._keys[0], [entry]))
            stretch = []
        parts += self._by_key(stretch)
        return _joined(parts)

    def _by_key(
        self, stretch: Iterable[Queued[Intent]]
    ) -> list[tuple[K, list[Queued[Intent]]]]:
        taker = None
        shares: list[tuple[K, list[Queued[Intent]]]] = [(k, []) for k in self._keys]
        for entry in stretch:
            key = self.key_of(entry.touches or 0)
            if takes_at_once(entry.intent) and created_by(entry.intent):
                if taker is None:
                    taker = self._next_other()
                key = taker
                for order in created_by(entry.intent):
                    self._key_of[order.client_order_index] = key
            next(share for k, share in shares if k is key).append(entry)
        return [(key, share) for key, share in shares if share]

    def _next_other(self) -> K:
        others = self._keys[1:]
        self._others += 1
        return others[(self._others - 1) % len(others)]


def _joined(
    parts: Iterable[tuple[K, list[Queued[Intent]]]],
) -> list[tuple[K, list[Queued[Intent]]]]:
    """Return neighbours that go by the same key as one."""
    joined: list[tuple[K, list[Queued[Intent]]]] = []
    for key, share in parts:
        if joined and joined[-1][0] is key:
            joined[-1][1].extend(share)
        else:
            joined.append((key, share))
    return joined
