"""What waits for one hook: what may be merged, replaced or let go, and what never is.

A hook that is slower than its stream has a backlog. How the backlog is kept short
depends on what is in it: of prices only the newest count, of one's own fills each
does.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Hashable

DEFAULT_CAP: Final = 5_000
"""Rows that may wait for one hook."""

DEFAULT_ROWS_PER_CALL: Final = 500
"""Rows that one call is given at most, so that a call after a stall ends in time."""


class Backlog(Enum):
    """How the values that wait for a hook are kept."""

    KEEP = "keep"
    """Lists of rows, none of them ever dropped; they are merged for the next call.
    Too many of them is told by `overfull`, and the source has to stop."""

    NEWEST = "newest"
    """Lists of rows, merged; beyond the cap the oldest rows go and are counted."""

    LATEST = "latest"
    """One value a key, the newest; keys take their turns in the order they came."""

    EACH = "each"
    """Single facts, one call each; beyond the cap the oldest go and are counted."""


class HookQueue:
    """The backlog of one hook, in order.

    Args:
        backlog: what happens to values that have to wait.
        cap: rows that may wait; with `KEEP` the number at which it is overfull.
        rows_per_call: the most rows in one call's list, with `KEEP` and `NEWEST`.

    Attributes:
        dropped: rows that were let go before the hook saw them.
        coalesced: values that got no call of their own: merged into a list that
            waited already, or replaced by a newer value of the same key.

    Raises:
        UsageError: a number below 1.
    """

    def __init__(
        self,
        backlog: Backlog,
        *,
        cap: int = DEFAULT_CAP,
        rows_per_call: int = DEFAULT_ROWS_PER_CALL,
    ) -> None:
        for name, number in (("cap", cap), ("rows_per_call", rows_per_call)):
            if number < 1:
                raise UsageError(f"{name}: {number} is below 1")
        self.dropped = 0
        self.coalesced = 0
        self._backlog = backlog
        self._cap = cap
        self._rows_per_call = rows_per_call
        self._rows: deque[Any] = deque(maxlen=None if backlog is Backlog.KEEP else cap)
        self._latest: dict[Hashable, Any] = {}
        self._overfull = False
        self._is_given_up = False

    @property
    def waiting(self) -> int:
        """Rows, or values, that wait."""
        return len(self._rows) + len(self._latest)

    @property
    def overfull(self) -> bool:
        """Whether rows that must not be dropped are too many.

        True from the cap on until at most half of it waits.
        """
        return self._overfull

    def put(self, value: Any, key: Hashable = None) -> None:
        """Have a value wait.

        Args:
            value: a list of rows with `KEEP` and `NEWEST`, an empty one is nothing to
                tell; anything otherwise. The list itself is not kept.
            key: what the value is about, with `LATEST`, such as a symbol.

        Raises:
            UsageError: rows were expected, and this is no list.
        """
        if self._backlog is Backlog.LATEST:
            self.coalesced += key in self._latest
            self._latest[key] = value
        elif self._backlog is Backlog.EACH:
            self._add([value])
        elif not isinstance(value, (list, tuple)):
            raise UsageError(f"value: a list of rows is needed, not {type(value)}")
        elif value:
            self.coalesced += bool(self._rows)
            self._add(value)

    def give_up(self) -> None:
        """Hold up nobody until `resume`: beyond the cap the oldest rows go."""
        self._is_given_up = True
        self._add(())

    def resume(self) -> None:
        """Keep every row again."""
        self._is_given_up = False

    def take(self) -> Any:
        """Return what the next call is given, and forget it.

        Raises:
            UsageError: nothing waits; look at `waiting` first.
        """
        if self._latest:
            return self._latest.pop(next(iter(self._latest)))
        if not self._rows:
            raise UsageError("take() of an empty queue; look at `waiting` first")
        if self._backlog is Backlog.EACH:
            return self._rows.popleft()
        count = min(len(self._rows), self._rows_per_call)
        rows = [self._rows.popleft() for _ in range(count)]
        if len(self._rows) <= self._cap // 2:
            self._overfull = False
        return rows

    def _add(self, rows: list[Any] | tuple[Any, ...]) -> None:
        before = len(self._rows)
        self._rows.extend(rows)  # a deque with a length lets the oldest go
        self.dropped += before + len(rows) - len(self._rows)
        if self._backlog is Backlog.KEEP and len(self._rows) >= self._cap:
            self._overfull = not self._is_given_up
            while self._is_given_up and len(self._rows) > self._cap:
                self._rows.popleft()
                self.dropped += 1
