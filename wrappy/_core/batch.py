"""The queue of intents: what waits to be sent, for whom, and in which order.

Intents wait unsigned. Signing and nonces come at the flush, so whatever is dropped
here has cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from wrappy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Queued(Generic[T]):
    """One intent in the queue.

    Attributes:
        intent: what to send; the queue does not look inside.
        touches: client order index that the intent acts on, `None` when it acts on
            no single one.
        is_cancel: whether it takes orders away.
        scope: token of the task that opened a batch, `None` outside of one.
        also: further client order indices that it acts on.
        number: place in the order of arrival at its queue, kept when it comes back.
    """

    intent: T
    touches: int | None
    is_cancel: bool
    scope: Hashable | None = None
    also: tuple[int, ...] = ()
    number: int = field(default=0, compare=False)


class BatchQueue(Generic[T]):
    """Intents in the order of their arrival, apart for each scope."""

    __slots__ = ("_arrived", "_by_scope")

    def __init__(self) -> None:
        self._by_scope: dict[Hashable | None, list[Queued[T]]] = {}
        self._arrived = 0

    def __len__(self) -> int:
        return sum(map(len, self._by_scope.values()))

    def __repr__(self) -> str:
        return f"BatchQueue(entries={len(self)}, scopes={len(self._by_scope)})"

    def count(self, scope: Hashable | None = None) -> int:
        """Return how many entries of `scope` wait."""
        return len(self._by_scope.get(scope, ()))

    def put(
        self,
        intent: T,
        *,
        touches: int | None,
        is_cancel: bool,
        scope: Hashable | None = None,
        also: tuple[int, ...] = (),
    ) -> Queued[T]:
        """Append an intent and return its entry.

        Args:
            intent: what to send.
            touches: client order index it acts on. `None` for a cancel means that
                it acts on all orders, and keeps it behind everything before it.
            is_cancel: whether it takes orders away.
            scope: token of the batch it belongs to.
            also: further client order indices that it acts on.
        """
        self._arrived += 1
        entry = Queued(intent, touches, is_cancel, scope, also, self._arrived)
        self._by_scope.setdefault(scope, []).append(entry)
        return entry

    def take(self, scope: Hashable | None = None) -> list[Queued[T]]:
        """Remove every entry of `scope` and return them in sending order.

        Cancels go first, so that risk shrinks before it grows. A cancel never
        passes an earlier entry that acts on the same order, else it would come
        before the order it is meant for. Otherwise the order of arrival holds.
        """
        first: list[Queued[T]] = []
        behind: list[Queued[T]] = []
        passed: set[int] = set()
        for entry in self._by_scope.pop(scope, ()):
            target = entry.touches
            if entry.is_cancel and target is not None and target not in passed:
                first.append(entry)
                continue
            if target is not None:
                passed.add(target)
            passed.update(entry.also)
            behind.append(entry)
        return first + behind

    def discard(self, scope: Hashable | None = None) -> list[Queued[T]]:
        """Drop every entry of `scope` and return them in order of arrival."""
        return self._by_scope.pop(scope, [])

    def put_back(self, entries: Iterable[Queued[T]]) -> None:
        """Return entries that were taken but not sent, where they were by arrival.

        Each goes back to its own scope. Several that come back at different times
        must not pass each other, nor what arrived before or after them.
        """
        returned: dict[Hashable | None, list[Queued[T]]] = {}
        for entry in entries:
            returned.setdefault(entry.scope, []).append(entry)
        for scope, front in returned.items():
            waiting = front + self._by_scope.get(scope, [])
            self._by_scope[scope] = sorted(waiting, key=lambda entry: entry.number)


def chunks(entries: Sequence[Queued[T]], limit: int) -> list[list[Queued[T]]]:
    """Return the entries cut into runs of at most `limit`, order kept.

    Raises:
        UsageError: `limit` is below 1.
    """
    if limit < 1:
        raise UsageError(f"limit: {limit} must be 1 or more")
    return [
        list(entries[start : start + limit]) for start in range(0, len(entries), limit)
    ]
