"""Callbacks of the overlay: one queue, one task, no callback can hold the socket."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from typing import TYPE_CHECKING, Any

from wrappy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wrappy.lighter.logs import LogSink


class HookRunner:
    """Calls hooks one after the other, away from the reader.

    A hook that raises is logged with its traceback and counted; the next event
    goes on.
    """

    def __init__(self, log: LogSink) -> None:
        self._log = log
        self._queue: asyncio.Queue[tuple[str, Callable[[Any], Any], Any]] = (
            asyncio.Queue()
        )
        self.failures = 0
        """Hooks that raised so far."""

    def call(self, name: str, hook: Callable[[Any], Any] | None, value: Any) -> None:
        """Have `hook(value)` called soon; None is no hook."""
        if hook is not None:
            self._queue.put_nowait((name, hook, value))

    async def run(self) -> None:
        """Call what is queued, until cancelled."""
        while True:
            name, hook, value = await self._queue.get()
            try:
                result = hook(value)
                if inspect.isawaitable(result):
                    await _finish(result)
            except Exception:  # noqa: BLE001 - the caller's code may raise anything
                self.failures += 1
                self._log.error("%s raised:\n%s", name, traceback.format_exc())


async def _finish(result: Awaitable[Any]) -> None:
    """Wait for a coroutine hook in a task of its own.

    A cancellation inside the hook then ends the hook alone, not the runner.
    """
    task = asyncio.ensure_future(result)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    if task.cancelled():
        raise UsageError("the hook was cancelled from within")
    task.result()
