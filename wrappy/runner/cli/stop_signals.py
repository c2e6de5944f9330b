"""SIGINT, SIGTERM, SIGHUP: the first asks politely, the second ends the process."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Final

from wrappy.runner.command import ECHO_S, INTERRUPTED

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator
    from types import FrameType

_LAST_WORDS: Final = b"wrappy: ended at once; orders may still rest\n"


class StopSignals:
    """Listens for the signals while it is entered; main thread only.

    One that comes within `ECHO_S` of the first is its echo, and asks for nothing.
    SIGHUP, of a terminal that goes away, comes more than once and is never the
    second; where it is ignored, as under `nohup`, it stays so.

    The handlers are the interpreter's own, not the event loop's: the second signal
    works although the loop is blocked.

    Args:
        clock: seconds that only grow.

    Attributes:
        received: name of the first signal, or None.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.received: str | None = None
        self._clock = clock
        self._received_s = 0.0
        self._before: dict[int, object] = {}
        self._wake: Callable[[], object] | None = None

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before = signal.getsignal(number)
            if number == signal.SIGHUP and before is signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._got)

    def __exit__(self, *exc_info: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]  # what it was

    def tell(self, loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
        """Have `call` called in the loop at the first signal, or now if it came."""
        self._wake = lambda: loop.call_soon_threadsafe(call)
        if self.received is not None:
            self._wake()

    def _got(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            is_echo = self._clock() - self._received_s < ECHO_S
            if number == signal.SIGHUP or is_echo:
                return
            with contextlib.suppress(OSError):
                os.write(2, _LAST_WORDS)
            os._exit(INTERRUPTED)
        self.received, self._received_s = signal.Signals(number).name, self._clock()
        if self._wake is not None:
            self._wake()


@contextlib.contextmanager
def ended_at_once() -> Iterator[None]:
    """Let Ctrl-C end this process where it stands, for work that leaves nothing.

    An interrupt in the middle of an event loop would otherwise end with pages about
    what every task was doing. Outside the main thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"wrappy: interrupted\n")
    os._exit(INTERRUPTED)
