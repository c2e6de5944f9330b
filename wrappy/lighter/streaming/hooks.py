"""Callbacks of the overlay, kept apart: none can hold up another, or the socket.

Every hook has a backlog of its own and at most one call under way, in a task of its
own that begins with its first event. What a hook raises, how long it takes and what
it never got to see is counted and told by its name.
"""

from __future__ import annotations

import asyncio
import functools
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from wrappy._core.hook_queue import Backlog, HookQueue
from wrappy.errors import UsageError
from wrappy.lighter.streaming.hook_calls import (
    GRACE_S,
    HookCalls,
    HookStats,
    House,
    call_around,
)

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Hashable,
        Mapping,
    )

    from wrappy.lighter.logs import LogSink

EVENTS: Final[Mapping[str, Backlog]] = MappingProxyType(
    {
        "on_orders": Backlog.KEEP,
        "on_trades": Backlog.KEEP,
        "on_transactions": Backlog.KEEP,
        "on_notifications": Backlog.KEEP,
        "on_public_trades": Backlog.NEWEST,
        "on_book": Backlog.LATEST,
        "on_ticker": Backlog.LATEST,
        "on_market_stats": Backlog.LATEST,
        "on_candle": Backlog.LATEST,
        "on_positions": Backlog.LATEST,
        "on_assets": Backlog.LATEST,
        "on_user_stats": Backlog.LATEST,
        "on_gap": Backlog.EACH,
        "on_state": Backlog.EACH,
        "on_reconnect": Backlog.EACH,
    }
)
"""What can be hooked, and how each event waits for a hook that is busy."""

DEFAULT_TIMEOUT_S: Final = 30.0
"""Seconds after which a call of an async hook is cancelled."""

DEFAULT_SLOW_S: Final = 0.1
"""Seconds without an `await` after which a hook is told to have held the loop."""


class HookHub:
    """Tells events to hooks; each hook sees its event in order, at its own pace.

    Hooks are plain or coroutine functions, or anything to call that returns an
    awaitable or nothing to wait for. One that raises, `SystemExit` and the like
    included, is logged and counted, and its next event goes on. An async one that
    takes too long is cancelled; if it will not end, it gets no other call until it
    does.

    Args:
        log: where failures, timeouts and slow hooks are told.
        timeout_s: seconds for one call of an async hook.
        slow_s: seconds without an `await` that are told as slow.
        on_backlog: called with True when rows that must not be dropped are too many
            for a hook, with False when none has too many any more. It is called
            from within `tell`, so it should only take note.

    Raises:
        UsageError: a time that is not above 0.
    """

    def __init__(
        self,
        log: LogSink,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        slow_s: float = DEFAULT_SLOW_S,
        on_backlog: Callable[[bool], None] | None = None,
    ) -> None:
        for name, value in (("timeout_s", timeout_s), ("slow_s", slow_s)):
            if not value > 0:
                raise UsageError(f"{name}: {value} is not above 0 seconds")
        self._house = House(log, timeout_s, slow_s, self._changed)
        self._hooks: dict[str, tuple[HookCalls, ...]] = dict.fromkeys(EVENTS, ())
        self._assigned: dict[str, HookCalls] = {}
        self._on_backlog = on_backlog
        self._overfull = False
        self._closed = False

    @property
    def failures(self) -> int:
        """Calls that raised so far, those of removed hooks included."""
        return self._house.failures

    @property
    def overfull(self) -> bool:
        """Whether rows that must not be dropped are too many for some hook."""
        return self._overfull

    def add(self, event: str, hook: Callable[[Any], Any]) -> Callable[[], None]:
        """Have `hook(value)` called for an event, besides others.

        Args:
            event: one of `EVENTS`.
            hook: the function. With a list of rows it gets a list of its own.

        Returns:
            What removes it again. A call under way may end; what waits is forgotten.

        Raises:
            UsageError: there is no such event, the hook cannot be called, or the
                overlay is closed.
        """
        added = self._checked(event, hook, HookQueue(_backlog_of(event)))
        self._hooks[event] += (added,)
        return functools.partial(self._remove, added)

    def assign(self, event: str, hook: Callable[[Any], Any] | None) -> None:
        """Put a hook into the event's single slot, in the place of what is there.

        What waits for the old hook goes to the new one. None empties the slot.

        Raises:
            UsageError: as `add`.
        """
        backlog = _backlog_of(event)
        old = self._assigned.get(event)
        if hook is None:
            if old is not None:
                self._remove(old)
            return
        if old is not None and old.call == hook:
            return
        queue = HookQueue(backlog) if old is None else old.queue
        new = self._checked(event, hook, queue)
        if old is not None:
            self._remove(old)
        self._assigned[event] = new
        self._hooks[event] += (new,)
        new.go_on()

    def assigned(self, event: str) -> Callable[[Any], Any] | None:
        """Return the hook in the event's single slot, None if it is empty.

        Raises:
            UsageError: there is no such event.
        """
        _backlog_of(event)
        slot = self._assigned.get(event)
        return None if slot is None else slot.call

    def tell(self, event: str, value: Any, key: Hashable = None) -> None:
        """Tell an event to its hooks, from within the running loop; never waits.

        Args:
            event: one of `EVENTS`.
            value: what the hooks are called with; a list of rows where rows are kept.
            key: what it is about, such as a symbol. Of events that go by the latest
                value, one value a key waits.

        Raises:
            UsageError: there is no such event, or rows should have come as a list.
        """
        try:
            hooks = self._hooks[event]
        except KeyError:
            raise _unknown(event) from None
        for hook in hooks:
            hook.queue.put(value, key)
            hook.go_on()
        for hook in hooks:
            self._changed(hook.queue)

    def stats(self) -> tuple[HookStats, ...]:
        """Return what each hook did so far, by event; removed ones are left out."""
        return tuple(hook.stats() for hooks in self._hooks.values() for hook in hooks)

    async def aclose(self) -> None:
        """End all hooks: what waits is forgotten, calls under way are cancelled.

        A hook that closes the overlay goes on: it is waited for by nobody. One that
        will not end within a grace is logged by name and left alone.
        """
        self._closed = True
        for hooks in self._hooks.values():
            for hook in hooks:
                hook.removed = True
        self._hooks = dict.fromkeys(EVENTS, ())
        self._assigned.clear()
        own = call_around.get()
        calls = {
            hook.task: hook
            for hook in self._house.busy
            if hook.task is not None and hook.task is not own
        }
        for hook in calls.values():
            hook.end_call()
        if calls:
            _, left = await asyncio.wait(calls, timeout=GRACE_S)
            for task in left:
                self._house.log.error(
                    "%s goes on although it was cancelled at the close",
                    calls[task].title,
                )

    def _checked(
        self, event: str, hook: Callable[[Any], Any], queue: HookQueue
    ) -> HookCalls:
        if not callable(hook):
            raise UsageError(
                f"{event}: a hook has to be callable, and {type(hook).__name__} is not"
            )
        if self._closed:
            raise UsageError(f"{event}: the overlay is closed; hook a new one")
        return HookCalls(event, hook, queue, self._house)

    def _remove(self, hook: HookCalls) -> None:
        hook.removed = True
        self._hooks[hook.event] = tuple(
            other for other in self._hooks[hook.event] if other is not hook
        )
        if self._assigned.get(hook.event) is hook:
            del self._assigned[hook.event]
        self._look_at_backlog()

    def _changed(self, queue: HookQueue) -> None:
        if queue.overfull != self._overfull:
            self._look_at_backlog()

    def _look_at_backlog(self) -> None:
        overfull = any(
            hook.queue.overfull for hooks in self._hooks.values() for hook in hooks
        )
        if overfull != self._overfull:
            self._overfull = overfull
            if self._on_backlog is not None:
                self._on_backlog(overfull)


def _backlog_of(event: str) -> Backlog:
    try:
        return EVENTS[event]
    except KeyError:
        raise _unknown(event) from None


def _unknown(event: str) -> UsageError:
    return UsageError(f"event: there is no {event!r}; there are {', '.join(EVENTS)}")
