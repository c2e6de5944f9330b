"""Frames on their way to one WebSocket client, and what goes wrong with them.

Frames are queued without waiting and written by one task, so that a slow reader
holds up nobody; one that falls too far behind is disconnected.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from wrappy.venue.faults import garbled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wrappy.venue.faults import Firing

MOST_QUEUED_FRAMES: Final = 10_000
MOST_QUEUED_CHARACTERS: Final = 8 * 1024 * 1024
"""A reader that falls further behind is disconnected."""

ABNORMAL: Final = 1006
POLICY_VIOLATION: Final = 1008
"""Close codes; 1006 is never sent: the connection is cut without a word."""

_WITHHELD: Final = frozenset({"drop", "stall", "close", "reorder"})


class Socket(Protocol):
    """One connection, as a session needs it."""

    async def send(self, text: str) -> None:
        """Send a text frame; waits while the client reads too slowly."""

    async def receive(self) -> str | bytes | None:
        """Return the next text or binary frame, None for a ping or pong.

        Raises:
            ConnectionError: the client is gone.
        """

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye and close."""


class Outgoing:
    """The queue of one connection.

    Args:
        socket: where frames go.
        end: closes the connection with a code and a reason.
    """

    def __init__(self, socket: Socket, end: Callable[[int, str], None]) -> None:
        self._socket = socket
        self._end = end
        self._queue: deque[str | float] = deque()
        self._characters = 0
        self._queued = asyncio.Event()
        self._kept: list[str] = []

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, frame: str) -> None:
        """Queue a frame; a reader too far behind is disconnected instead."""
        kept, self._kept = self._kept, []
        # What was held back for this frame to pass it goes out right after it.
        for text in (frame, *kept):
            self._queue.append(text)
            self._characters += len(text)
        self._queued.set()
        if (
            len(self._queue) > MOST_QUEUED_FRAMES
            or self._characters > MOST_QUEUED_CHARACTERS
        ):
            self._end(POLICY_VIOLATION, "slow reader")

    def put_faulty(
        self, frame: str, firings: Sequence[Firing], *, is_answer: bool
    ) -> None:
        """Queue a frame the way that goes wrong.

        Args:
            frame: the frame.
            firings: what goes wrong with it.
            is_answer: a lost answer takes the connection with it, a lost frame of a
                channel is only missing.
        """
        copies = 1
        for firing in firings:
            if firing.act == "delay":
                # One connection has one order: what comes later waits as well.
                self._queue.append(firing.delay_s)
            elif firing.act == "dup":
                copies += 1
            elif firing.act == "truncate":
                frame = frame[: len(frame) // 2]
            elif firing.act == "garbage":
                frame = garbled(frame.encode(), firing.seed).decode()
            elif firing.act in _WITHHELD:
                self._withhold(frame, firing, is_answer=is_answer)
                return
        for _ in range(copies):
            self.put(frame)

    def _withhold(self, frame: str, firing: Firing, *, is_answer: bool) -> None:
        if firing.act == "reorder":
            self._kept.append(frame)
        elif firing.act == "close":
            self._end(firing.rule.code, "a fault")
        elif firing.act == "drop" and is_answer:
            self._end(ABNORMAL, "")

    def clear(self) -> None:
        """Forget what has not been written."""
        self._queue.clear()
        self._kept.clear()

    async def write(self) -> None:
        """Write for ever.

        Raises:
            ConnectionError: the client is gone.
        """
        while True:
            await self._queued.wait()
            while self._queue:
                frame = self._queue.popleft()
                if isinstance(frame, float):
                    await asyncio.sleep(frame)
                    continue
                self._characters -= len(frame)
                await self._socket.send(frame)
            self._queued.clear()
