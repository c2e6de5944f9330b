"""Time that does not wait: an event loop that jumps to its next timer.

Whoever sleeps an hour on it has slept when nothing else is left to do, at once. There
are no sockets, no threads and no wall clock, so the same program takes the same
course every time.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from wrappy.errors import UsageError

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Coroutine, Mapping
    from contextvars import Context

_T = TypeVar("_T")

DEFAULT_EPOCH_S: Final = 1_767_225_600
"""Unix time at which virtual time begins unless told otherwise: 2026-01-01."""

CLOCK_RESOLUTION_S: Final = 1e-6
"""Timers closer than this fire together; part of what makes runs repeat."""

MOST_TIMERS: Final = 100
"""Timers that may lie there; of more, half must not be cancelled ones."""

MOST_ROUNDS: Final = 1_000_000
"""Rounds of callbacks at one and the same time before the loop takes it for stuck."""


class DeadlockError(UsageError):
    """Everybody waits for somebody: no timer is left that could wake anyone."""


class StuckError(UsageError):
    """Callbacks follow callbacks for ever, and time does not move."""


if TYPE_CHECKING:

    class _Handle(asyncio.Handle):
        _cancelled: bool

        def _run(self) -> None: ...

    class _Timer(_Handle, asyncio.TimerHandle):
        _when: float
        _scheduled: bool

    class _Loop(asyncio.SelectorEventLoop):
        # What the standard library does not declare.
        _ready: deque[_Handle]
        _scheduled: list[_Timer]
        _timer_cancelled_count: int
        _stopping: bool
        _debug: bool
        _closed: bool

        def _run_once(self) -> None: ...

else:
    _Loop = asyncio.SelectorEventLoop


class VirtualLoop(_Loop):
    """An event loop whose time moves only when nothing is left to do.

    `time()` starts at 0, which keeps its fractions exact for centuries; unix time is
    apart from it.

    Args:
        epoch_s: unix seconds when the loop's time is 0.
        most_rounds: rounds of callbacks at one time before `StuckError`.
    """

    def __init__(
        self, *, epoch_s: int = DEFAULT_EPOCH_S, most_rounds: int = MOST_ROUNDS
    ) -> None:
        self._virtual_s = 0.0
        self._rounds = 0
        self._most_rounds = most_rounds
        self._epoch_s = epoch_s
        super().__init__(_NoWaiting(self._pass_time))
        self._clock_resolution = CLOCK_RESOLUTION_S

    @property
    def epoch_s(self) -> int:
        """Unix seconds when the loop's time was 0."""
        return self._epoch_s

    def time(self) -> float:
        """Return virtual seconds since the start."""
        return self._virtual_s

    def unix_s(self) -> float:
        """Return virtual unix time, seconds."""
        return self._epoch_s + self._virtual_s

    def call_soon(  # type: ignore[override]  # that is generic
        self,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Have something called in the next round, as the standard library does."""
        if self._debug or self._closed:
            return super().call_soon(callback, *args, context=context)
        handle: Any = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        made: asyncio.Handle = handle
        return made

    def call_at(  # type: ignore[override]  # that is generic
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have something called at a time, as the standard library does."""
        if self._debug or self._closed:
            return super().call_at(when, callback, *args, context=context)
        timer: Any = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # noqa: SLF001
        made: asyncio.TimerHandle = timer
        return made

    def call_later(  # type: ignore[override]  # that is generic
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Have something called after so many seconds."""
        return self.call_at(self._virtual_s + delay, callback, *args, context=context)

    def try_jump(self, at_s: float) -> bool:
        """Let time pass until `at_s` if nothing else would happen until then.

        It is what waiting for a timer of that time comes to, without the waiting.

        Args:
            at_s: seconds since the start.

        Returns:
            Whether it did: not if somebody is ready, or has a timer by then.
        """
        timers = self._scheduled
        if self._ready or (timers and timers[0].when() <= at_s + CLOCK_RESOLUTION_S):
            return False
        if at_s > self._virtual_s:
            self._virtual_s = at_s
            self._rounds = 0
        return True

    def run_in_executor(self, *_: Any) -> NoReturn:  # type: ignore[override]  # it never returns
        """Refuse: a thread takes real time, and comes back at any moment.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "run_in_executor: there are no threads in virtual time; call the function "
            "itself, or give an InlineWorker where a worker is asked for"
        )

    def _run_once(self) -> None:
        """Run everything there is at one time, then go to the next timer.

        It is the standard library's own turn, round for round and in the same order,
        without what only a loop needs that polls.
        """
        ready = self._ready
        while True:
            # Looked up in every round: the standard library replaces it.
            timers = self._scheduled
            crowd = len(timers)
            if self._debug or self._timer_cancelled_count * 2 > crowd > MOST_TIMERS:
                # Which watches slow callbacks, and throws out what was cancelled.
                super()._run_once()
                return
            while timers and timers[0]._cancelled:  # noqa: SLF001
                self._timer_cancelled_count -= 1
                heapq.heappop(timers)._scheduled = False  # noqa: SLF001
            if ready or self._stopping:
                self._pass_time(0)
            elif timers:
                self._pass_time(timers[0]._when - self._virtual_s)  # noqa: SLF001
            else:
                self._pass_time(None)
            end_s = self._virtual_s + CLOCK_RESOLUTION_S
            while timers and timers[0]._when < end_s:  # noqa: SLF001
                timer = heapq.heappop(timers)
                timer._scheduled = False  # noqa: SLF001
                ready.append(timer)
            # Those that come up meanwhile are the next round's.
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle._cancelled:  # noqa: SLF001
                    handle._run()  # noqa: SLF001
            if self._stopping:
                return

    def _pass_time(self, timeout: float | None) -> None:
        """Let time pass until the next timer; the loop asks whenever it would poll."""
        if timeout is None:
            raise DeadlockError(self._who_waits())
        if timeout > 0 and self._scheduled:
            # To the timer's own time, not by the timeout: adding up differences
            # would end a hair before it.
            self._virtual_s = max(self._virtual_s, self._scheduled[0].when())
            self._rounds = 0
            return
        self._rounds += 1
        if self._rounds > self._most_rounds:
            raise StuckError(
                f"{self._most_rounds} rounds of callbacks at {self._virtual_s} s and "
                "time does not move: something starts itself again without a pause"
            )

    def _who_waits(self) -> str:
        lines = sorted(
            f"{task.get_name()} in {_place_of(task)}"
            for task in asyncio.all_tasks(self)
            if not task.done()
        )
        return "nothing is left that could happen; waiting: " + "; ".join(lines)


class _NoWaiting(selectors.BaseSelector):
    """Keeps what is registered, polls nothing, and passes time instead."""

    def __init__(self, pass_time: Callable[[float | None], None]) -> None:
        self._pass_time = pass_time
        self._keys: dict[int, selectors.SelectorKey] = {}

    def register(
        self, fileobj: Any, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = selectors.SelectorKey(fileobj, number, events, data)
        self._keys[number] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        return self._keys.pop(number)

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        self._pass_time(timeout)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


def _place_of(task: asyncio.Task[Any]) -> str:
    frames = task.get_stack(limit=1)
    if not frames:
        return "no frame"
    code = frames[0].f_code
    return (
        f"{code.co_name} ({code.co_filename.rpartition('/')[2]}:{frames[0].f_lineno})"
    )


def run_virtual(
    main: Callable[[], Coroutine[Any, Any, _T]],
    *,
    epoch_s: int = DEFAULT_EPOCH_S,
    most_rounds: int = MOST_ROUNDS,
) -> _T:
    """Run a coroutine function in virtual time to its end and return its result.

    Tasks it leaves behind are cancelled.

    Args:
        main: takes nothing; `asyncio.get_running_loop()` inside is a `VirtualLoop`.
        epoch_s: unix seconds at the start.
        most_rounds: rounds of callbacks at one time before `StuckError`.

    Raises:
        DeadlockError: everybody waits and nothing will happen.
        StuckError: something goes round without letting time pass.
        UsageError: an event loop is running already.
    """
    if _is_running():
        raise UsageError("run_virtual() cannot be called while an event loop runs")
    loop = VirtualLoop(epoch_s=epoch_s, most_rounds=most_rounds)
    try:
        return loop.run_until_complete(main())
    finally:
        try:
            _end_tasks(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


def _is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _end_tasks(loop: VirtualLoop) -> None:
    left = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
