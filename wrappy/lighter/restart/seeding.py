"""What a start has to know of the minute before it: the exchange still counts that.

What an earlier process sent is in the journals, so that a dealer which starts again
and again does not begin each time with a full minute's worth. What was only asked is
not written down; when the start is throttled for that, it waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, TypeVar

from wrappy.errors import JournalError, LaneHeldError, RateLimitedError
from wrappy.lighter.persistence.journal_file import open_to_read, readable, sends_since
from wrappy.lighter.persistence.state_files import account_stem
from wrappy.lighter.wire.doors import BATCH_PATH, SEND_PATH
from wrappy.protocol.tiers import WINDOW_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from wrappy.lighter.pacing.limiter import RequestPace

_T = TypeVar("_T")

logger = logging.getLogger("wrappy.pace")


def sent_lately(
    folder: Path, *, base_url: str, account_index: int, now_ms: int
) -> list[tuple[float, int]]:
    """Return what the account's journals say was sent within the last minute.

    Args:
        folder: state folder; may be absent.
        base_url: address of the server.
        account_index: the account.
        now_ms: unix milliseconds.

    Returns:
        How many seconds ago, and of how many transactions, the oldest first. A
        journal that cannot be read is left to whoever opens it.
    """
    found: list[tuple[float, int]] = []
    since_ms = now_ms - int(WINDOW_S * 1000)
    for path in folder.glob(
        f"journal-{account_stem(base_url, account_index)}-*.sqlite3"
    ):
        with contextlib.suppress(JournalError), readable(path):
            with contextlib.closing(open_to_read(path)) as connection:
                sends = sends_since(connection, since_ms)
            found += [
                (max(0.0, (now_ms - at_ms) / 1000), n) for at_ms, n in sends.items()
            ]
    return sorted(found, reverse=True)


def seed(pace: RequestPace, sends: list[tuple[float, int]]) -> None:
    """Count what was sent before, unless somebody here has counted already."""
    if pace.requests or not sends:
        return
    now = asyncio.get_running_loop().time()
    for ago_s, transactions in sends:
        pace.recall(SEND_PATH if transactions == 1 else BATCH_PATH, now - ago_s)
    logger.info("pace: %d send(s) of the last minute count", len(sends))


async def patiently(
    question: Callable[[], Awaitable[_T]], pace: RequestPace, *, timeout_s: float
) -> _T:
    """Ask while a start is throttled; pauses do not count as time.

    Args:
        question: what the start needs.
        pace: knows of pauses.
        timeout_s: seconds besides the pauses.

    Raises:
        RateLimitedError, LaneHeldError: the time is over.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        try:
            return await question()
        except (RateLimitedError, LaneHeldError):  # noqa: PERF203 - it waits anyway
            pause_s = pace.state().paused_for_s
            if not pause_s or loop.time() >= deadline:
                raise
            logger.warning(
                "the exchange throttles the start; it goes on in %.0f s", pause_s
            )
            deadline += pause_s
            await pace.sit_out()
