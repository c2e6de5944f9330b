"""A bounded wait that a cancellation always ends.

Before Python 3.12 `asyncio.wait_for` may lose a cancellation that comes in the same
turn of the loop as what it waits for. A task that goes on after that cannot be closed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")


async def within(seconds: float | None, work: Awaitable[T]) -> T:
    """Return what `work` returns; it is cancelled when the time is over.

    Args:
        seconds: how long it may take; None for as long as it likes.
        work: what is done. It may have ended although its result is lost to a
            cancellation of the caller, so it has to keep what must be closed.

    Raises:
        asyncio.TimeoutError: it took longer.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=seconds)
        if not task.done():
            raise asyncio.TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
