"""Tells when the event loop is blocked, and by what, while it is.

A blocked loop cannot look at itself, so a thread does: the loop leaves a sign of life
every now and then, and if none comes the thread takes the stack of the loop's thread.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
import weakref
from typing import TYPE_CHECKING, Final

from wrappy.errors import UsageError

if TYPE_CHECKING:
    from wrappy.lighter.logs import LogSink

DEFAULT_LIMIT_S: Final = 0.1
"""Seconds without a turn of the event loop that are told as a block."""

WARN_S: Final = 0.5
"""Seconds from which on a block is a warning; a shorter one may be the machine's."""

BEATS_PER_LIMIT: Final = 4
"""Signs of life within the limit: blocks over 1.25 limits are never missed."""

MOST_LINES: Final = 25
"""Innermost frames of a stack that are logged."""


class LoopWatch:
    """Watches one event loop from a thread of its own.

    A block is logged with the stack while it lasts, from the watching thread: for the
    record once it is noticed, as a warning when it goes on for longer; and with its
    length when it is over. The stack has files, lines and functions, no source and
    no values.

    Only for loops in real time: in virtual time its signs of life would never let the
    loop come to rest.

    Args:
        log: where blocks are told; has to bear a call from another thread.
        limit_s: seconds that a block has to last to be told.
        warn_s: seconds that it has to last to be a warning.

    Attributes:
        blocks: blocks that are over.
        longest_s: seconds of the longest.

    Raises:
        UsageError: a limit that is not above 0.
    """

    def __init__(
        self,
        log: LogSink,
        *,
        limit_s: float = DEFAULT_LIMIT_S,
        warn_s: float = WARN_S,
    ) -> None:
        if not limit_s > 0:
            raise UsageError(f"limit_s: {limit_s} is not above 0 seconds")
        self.blocks = 0
        self.longest_s = 0.0
        self.users = 0
        self._log = log
        self._limit_s = limit_s
        self._warn_s = max(warn_s, limit_s)
        self._pause_s = limit_s / BEATS_PER_LIMIT
        self._beat_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch the running loop; a second call does nothing."""
        if self._thread is not None:
            return
        loop = asyncio.get_running_loop()
        self._stopped = threading.Event()
        self._beat_s = time.perf_counter()
        self._timer = loop.call_later(self._pause_s, self._beat, loop)
        self._thread = threading.Thread(
            target=self._look,
            args=(loop, threading.get_ident(), self._stopped),
            name="wrappy-loop-watch",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; the thread has ended, or is about to write its last line."""
        if self._thread is None:
            return
        self._stopped.set()
        self._thread.join(timeout=self._limit_s)
        self._thread = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave a sign of life, in the loop."""
        now = time.perf_counter()
        blocked_s = now - self._beat_s - self._pause_s
        self._beat_s = now
        self._timer = loop.call_later(self._pause_s, self._beat, loop)
        if blocked_s > self._limit_s:
            self.blocks += 1
            self.longest_s = max(self.longest_s, blocked_s)
            is_long = blocked_s > self._warn_s
            tell = self._log.warning if is_long else self._log.info
            tell("the event loop was blocked for %.3f s", blocked_s)

    def _look(
        self, loop: asyncio.AbstractEventLoop, ident: int, stopped: threading.Event
    ) -> None:
        """Look for signs of life, in the thread, each time one could be overdue."""
        silence_s = self._pause_s + self._limit_s
        told: tuple[float, float] = (0.0, 0.0)
        wait_s = silence_s
        while not stopped.wait(wait_s) and not loop.is_closed():
            beat_s = self._beat_s
            silent_s = time.perf_counter() - beat_s - self._pause_s
            if silent_s < self._limit_s:
                wait_s = self._limit_s - silent_s
                continue
            is_long = silent_s >= self._warn_s
            over_s = self._warn_s if is_long else self._limit_s
            wait_s = silence_s if is_long else self._warn_s - silent_s
            # A loop that is not run right now is not blocked.
            if told != (beat_s, over_s) and loop.is_running():
                told = beat_s, over_s
                stack = _stack_of(ident)
                # While the stack was taken the loop may have come back.
                if self._beat_s == beat_s:
                    tell = self._log.warning if is_long else self._log.info
                    tell(
                        "the event loop has been blocked for over %g s, in:\n%s",
                        over_s,
                        stack,
                    )


_watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopWatch] = (
    weakref.WeakKeyDictionary()
)


def acquire_watch(log: LogSink, *, limit_s: float = DEFAULT_LIMIT_S) -> LoopWatch:
    """Return the watch of the running loop, started; pair with `release_watch`.

    The first to ask decides where it logs, and its limit.
    """
    loop = asyncio.get_running_loop()
    watch = _watches.get(loop)
    if watch is None:
        watch = LoopWatch(log, limit_s=limit_s)
        watch.start()
        _watches[loop] = watch
    watch.users += 1
    return watch


def release_watch(watch: LoopWatch) -> None:
    """Let go of a watch; the last one to do so stops it."""
    watch.users -= 1
    if watch.users:
        return
    watch.stop()
    for loop in [loop for loop, known in _watches.items() if known is watch]:
        del _watches[loop]


def _stack_of(ident: int) -> str:
    """Return the stack of a thread as it is now, the innermost frame last."""
    # There is no public way to the stack of another thread.
    frame = sys._current_frames().get(ident)  # noqa: SLF001
    lines = [
        f"  {inner.f_code.co_filename}:{line} in {inner.f_code.co_name}"
        for inner, line in traceback.walk_stack(frame)
    ]
    return "\n".join(reversed(lines[:MOST_LINES]))
