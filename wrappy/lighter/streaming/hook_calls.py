"""One hook at a time: its calls, how long they take, and how each of them ended."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from wrappy._core.hook_queue import HookQueue
    from wrappy.lighter.logs import LogSink

WARN_S: Final = 0.5
"""Seconds without an `await` from which on it is told as an error."""

GRACE_S: Final = 1.0
"""Seconds that a cancelled hook has to end in."""

MOST_IN_A_ROW: Final = 16
IN_A_ROW_S: Final = 0.0005
"""Calls of a hook without an `await`, and seconds for them, in one turn of the loop."""

LOGGED_IN_FULL: Final = 10
"""Complaints about one hook that are logged one by one; then one in QUIET_S."""

QUIET_S: Final = 1.0
"""Least seconds between complaints about a hook that complains all the time."""

call_around: contextvars.ContextVar[asyncio.Task[None] | None] = contextvars.ContextVar(
    "wrappy_hook_call", default=None
)
"""The call that the code at hand belongs to, tasks that a hook started included."""


@dataclass(frozen=True, slots=True)
class HookStats:
    """What one hook did and did not so far.

    Attributes:
        event: what it is called for.
        name: the hook's own name, as in the log.
        calls: calls begun.
        failures: calls that raised, or were cancelled from within.
        timeouts: calls that took too long and were cancelled.
        slow: times it held the event loop for too long at a stretch.
        dropped: rows that were let go because it was too slow.
        coalesced: values merged with or replaced by later ones before it was called.
        waiting: rows that wait now.
        longest_s: seconds that its longest call took.
        total_s: seconds that its calls took together.
    """

    event: str
    name: str
    calls: int
    failures: int
    timeouts: int
    slow: int
    dropped: int
    coalesced: int
    waiting: int
    longest_s: float
    total_s: float


@dataclass(slots=True)
class House:
    """What all hooks of a hub share.

    Attributes:
        log: where they complain.
        timeout_s: seconds for one call.
        slow_s: seconds without an `await` that are worth a complaint.
        taken: called with a backlog when something was taken out of it.
        failures: calls that raised, of all hooks there ever were.
        busy: the hooks with a call under way.
    """

    log: LogSink
    timeout_s: float
    slow_s: float
    taken: Callable[[HookQueue], None]
    failures: int = 0
    busy: set[HookCalls] = field(default_factory=set)


class HookCalls:
    """One hook: its backlog, and the call it is in.

    Args:
        event: what it is called for.
        call: the hook.
        queue: what waits for it.
        house: what it shares with the other hooks.

    Attributes:
        task: the call under way, None between calls.
        removed: whether no call is to begin any more.
    """

    def __init__(
        self,
        event: str,
        call: Callable[[Any], Any],
        queue: HookQueue,
        house: House,
    ) -> None:
        self.event = event
        self.call = call
        self.queue = queue
        self.task: asyncio.Task[None] | None = None
        self.removed = False
        self._house = house
        self._name = _name_of(call)
        self._task_name = f"wrappy-{event}"
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False  # the call under way, by us
        self._calls = self._failures = self._timeouts = self._slow = 0
        self._longest_s = self._total_s = 0.0
        self._complaints = self._unsaid = 0
        self._complained_at = 0.0

    @property
    def title(self) -> str:
        """The event and the hook's own name."""
        return f"{self.event} {self._name}"

    def stats(self) -> HookStats:
        """Return what the hook did so far."""
        return HookStats(
            event=self.event,
            name=self._name,
            calls=self._calls,
            failures=self._failures,
            timeouts=self._timeouts,
            slow=self._slow,
            dropped=self.queue.dropped,
            coalesced=self.queue.coalesced,
            waiting=self.queue.waiting,
            longest_s=self._longest_s,
            total_s=self._total_s,
        )

    def go_on(self) -> None:
        """Begin the next call if none is under way and something waits."""
        if self.task is not None:
            if not self.task.done():
                return
            self._over()  # it was cancelled before it began: this event goes on
        if self.queue.waiting and not self.removed:
            # One task a call that waits: whoever cancels it, in whichever way, ends
            # that call and nothing else, and one that will not end stops only its
            # own hook.
            self._ended = False
            # Made by hand, because a loop's factory may begin tasks at once, in here.
            loop = asyncio.get_running_loop()
            self.task = asyncio.Task(self._run(), loop=loop, name=self._task_name)
            self._house.busy.add(self)

    def end_call(self) -> None:
        """Cancel the call under way."""
        self._ended = True
        self._stop_timer()
        if self.task is not None:
            self.task.cancel()

    async def _run(self) -> None:
        task = self.task
        loop = asyncio.get_running_loop()
        until_s, calls = loop.time() + IN_A_ROW_S, 0
        call_around.set(task)
        try:
            while task is not None and self.queue.waiting and not self.removed:
                calls += 1
                # A call that may wait has its task to itself: whoever cancels that
                # ends one call.
                if (
                    await self._call_once(task, loop)
                    or calls >= MOST_IN_A_ROW
                    or loop.time() > until_s
                ):
                    break
        finally:
            # It ends itself: a callback for that would cost a turn of the loop more.
            self._over()
            self.go_on()

    async def _call_once(
        self, task: asyncio.Task[None], loop: asyncio.AbstractEventLoop
    ) -> bool:
        """Call the hook; return whether its task has done enough."""
        value = self.queue.take()
        self._house.taken(self.queue)
        began_s = loop.time()
        held_s = 0.0
        self._calls += 1
        try:
            real_s = time.perf_counter()
            try:
                result = self.call(value)
            finally:
                # In virtual time nothing that holds the loop takes any time.
                held_s = time.perf_counter() - real_s
                self._note_held(held_s)
            if result is None or not inspect.isawaitable(result):
                return False
            self._timer = loop.call_later(self._house.timeout_s, self._is_late)
            await _Stepwise(result, self._note_held)
        except KeyboardInterrupt:
            task.add_done_callback(_see)
            raise  # the user's, who happened to hit a hook
        except BaseException as error:  # the caller's code may raise anything
            if self._ended and isinstance(error, asyncio.CancelledError):
                raise
            self._failures += 1
            self._house.failures += 1
            task.add_done_callback(_see)  # the log may raise as well
            self._complain("%s raised:\n%s", traceback.format_exc())
        finally:
            took_s = max(loop.time() - began_s, held_s)
            self._total_s += took_s
            self._longest_s = max(self._longest_s, took_s)
        return True

    def _over(self) -> None:
        self.task = None
        self.queue.resume()
        self._stop_timer()
        self._house.busy.discard(self)

    def _is_late(self) -> None:
        self._timeouts += 1
        self.end_call()
        self._timer = asyncio.get_running_loop().call_later(GRACE_S, self._will_not_end)
        self._complain("%s was cancelled: it took over %g s", self._house.timeout_s)

    def _will_not_end(self) -> None:
        # Rows that wait for ever must not hold up the others.
        self.queue.give_up()
        self._house.taken(self.queue)
        self._complain(
            "%s goes on %g s after it was cancelled; no other call until it ends, and "
            "only the newest rows are kept for it",
            GRACE_S,
        )

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _note_held(self, seconds: float) -> None:
        if seconds > self._house.slow_s:
            self._slow += 1
            # A short one may be the machine's fault.
            is_long = seconds >= max(WARN_S, self._house.slow_s)
            words = "%s held the event loop for %.3f s"
            self._complain(words, seconds, is_grave=is_long)

    def _complain(self, words: str, detail: object, *, is_grave: bool = True) -> None:
        now = asyncio.get_running_loop().time()
        self._complaints += 1
        if self._complaints > LOGGED_IN_FULL and now - self._complained_at < QUIET_S:
            self._unsaid += 1
            return
        self._complained_at = now
        if self._unsaid:
            words += f"\n({self._unsaid} more like this were not logged)"
            self._unsaid = 0
        tell = self._house.log.error if is_grave else self._house.log.info
        tell(words, self.title, detail)


class _Stepwise:
    """Awaits something and tells how long each step of it held the loop, seconds."""

    def __init__(
        self, awaitable: Awaitable[Any], note_held: Callable[[float], None]
    ) -> None:
        self._coroutine = _awaited(awaitable)
        self._note_held = note_held

    def __await__(self) -> Generator[Any, Any, None]:
        step: Callable[[], Any] = functools.partial(self._coroutine.send, None)
        while True:
            began_s = time.perf_counter()
            try:
                waits_for = step()
            except StopIteration:
                return
            finally:
                self._note_held(time.perf_counter() - began_s)
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001 - it is the hook's to handle
                step = functools.partial(self._coroutine.throw, error)
            else:
                step = functools.partial(self._coroutine.send, None)


async def _awaited(awaitable: Awaitable[Any]) -> None:
    await awaitable


def _see(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()


def _name_of(hook: Callable[[Any], Any]) -> str:
    while isinstance(hook, functools.partial):
        hook = hook.func
    named = hook if inspect.isroutine(hook) else type(hook)
    return named.__qualname__
