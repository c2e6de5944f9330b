"""A thread beside the event loop whose end can be waited for, but not for ever."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class SideThread:
    """Runs a function in a thread that never keeps a program alive.

    Args:
        work: what runs; it has to end by itself when it is told to.
        name: of the thread.
    """

    def __init__(self, work: Callable[[], None], *, name: str) -> None:
        self._work = work
        self._over: Future[None] = Future()
        # From here on nobody can cancel it, only wait for it.
        self._over.set_running_or_notify_cancel()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def ended(self, timeout_s: float) -> bool:
        """Wait for its end; return whether it has ended."""
        waiting = asyncio.wrap_future(self._over)
        done, _ = await asyncio.wait([waiting], timeout=timeout_s)
        waiting.cancel()
        return bool(done)

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._over.set_result(None)
