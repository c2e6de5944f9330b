"""Frames on their way to one WebSocket client, and what goes wrong with them.

Frames are queued without waiting and written by one task, so that a slow reader
holds up nobody; one that falls too far behind is disconnected.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from wrappy.venue.distortion import padded, with_later_offset, with_wrong_begin_nonce
from wrappy.venue.faults import garbled, noise

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from wrappy.venue.faults import Firing

MOST_QUEUED_FRAMES: Final = 10_000
MOST_QUEUED_CHARACTERS: Final = 8 * 1024 * 1024
"""A reader that falls further behind is disconnected."""

ABNORMAL: Final = 1006
POLICY_VIOLATION: Final = 1008
"""Close codes; 1006 is never sent: the connection is cut without a word."""

_WITHHELD: Final = frozenset({"drop", "stall", "close", "reorder", "freeze"})


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping frame of the protocol, which the session may answer or not.

    Attributes:
        answer: sends the pong that belongs to it.
    """

    answer: Callable[[], Awaitable[None]]


class Socket(Protocol):
    """One connection, as a session needs it."""

    async def send(self, frame: str | bytes) -> None:
        """Send a text or binary frame; waits while the client reads too slowly."""

    def send_now(self, frame: str) -> bool:
        """Send a text frame if that takes no waiting; return whether it was sent."""

    async def receive(self) -> str | bytes | Ping | None:
        """Return the next text or binary frame or ping, None for a pong.

        Raises:
            ConnectionError: the client is gone.
        """

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye and close."""


@dataclass(frozen=True, slots=True)
class _Huge:
    """A frame to be blown up when it is written: waiting, it must not take room."""

    frame: str
    size: int


class Outgoing:
    """The queue of one connection.

    Args:
        socket: where frames go.
        end: closes the connection with a code and a reason.

    Attributes:
        frozen: whether nothing is written any more, and nobody told.
    """

    def __init__(self, socket: Socket, end: Callable[[int, str], None]) -> None:
        self._socket = socket
        self._end = end
        self.frozen = False
        self._queue: deque[str | bytes | float | _Huge] = deque()
        self._characters = 0
        self._queued = asyncio.Event()
        self._writing = False
        self._kept: list[str] = []
        self._later_offset = 0

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, frame: str | bytes | _Huge) -> None:
        """Send a frame; a reader too far behind is disconnected instead."""
        if self.frozen or self._passed_on(frame):
            return
        kept, self._kept = self._kept, []
        # What was held back for this frame to pass it goes out right after it.
        for item in (frame, *kept):
            self._queue.append(item)
            self._characters += _length(item)
        self._queued.set()
        if (
            len(self._queue) > MOST_QUEUED_FRAMES
            or self._characters > MOST_QUEUED_CHARACTERS
        ):
            self._end(POLICY_VIOLATION, "slow reader")

    def _passed_on(self, frame: str | bytes | _Huge) -> bool:
        # Nobody waits: the frame need not either, and saves two turns of the loop.
        waits = self._queue or self._kept or self._writing
        return not waits and isinstance(frame, str) and self._socket.send_now(frame)

    def put_pushed(self, frame: str, firings: Sequence[Firing]) -> None:
        """Queue a channel's frame, the way that goes wrong if any way does."""
        if self._later_offset:
            frame = with_later_offset(frame, self._later_offset)
        if firings:
            self.put_faulty(frame, firings, is_answer=False)
        else:
            self.put(frame)

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
        copies, size = 1, 0
        spoiled: str | bytes = ""
        for firing in firings:
            rule = firing.rule
            if firing.act == "delay":
                # One connection has one order: what comes later waits as well.
                self._queue.append(firing.delay_s)
            elif firing.act == "dup":
                copies += 1
            elif firing.act == "nonce_gap":
                frame = with_wrong_begin_nonce(frame, rule.count)
            elif firing.act == "offset_jump":
                # So do all that follow: another server counts offsets of its own.
                self._later_offset += rule.count
                frame = with_later_offset(frame, rule.count)
            elif firing.act == "huge":
                size = rule.size_bytes
            elif firing.act in ("truncate", "garbage"):
                spoiled = _spoiled(frame, firing)
            elif firing.act in _WITHHELD:
                self._withhold(frame, firing, is_answer=is_answer)
                return
        whole = _Huge(frame, size) if size else frame
        for _ in range(copies):
            self.put(spoiled or whole)

    def _withhold(self, frame: str, firing: Firing, *, is_answer: bool) -> None:
        if firing.act == "reorder":
            self._kept.append(frame)
        elif firing.act == "close":
            self._end(firing.rule.code, "a fault")
        elif firing.act == "freeze":
            self.freeze()
        elif firing.act == "drop" and is_answer:
            self._end(ABNORMAL, "")

    def freeze(self) -> None:
        """Write nothing any more, as if the way to the client were cut."""
        self.frozen = True
        self.clear()

    def clear(self) -> None:
        """Forget what has not been written."""
        self._queue.clear()
        self._kept.clear()
        self._characters = 0

    async def write(self) -> None:
        """Write for ever.

        Raises:
            ConnectionError: the client is gone.
        """
        while True:
            await self._queued.wait()
            self._writing = True
            while self._queue:
                item = self._queue.popleft()
                if isinstance(item, float):
                    await asyncio.sleep(item)
                    continue
                self._characters -= _length(item)
                await self._socket.send(
                    padded(item.frame, item.size) if isinstance(item, _Huge) else item
                )
            self._queued.clear()
            self._writing = False


def _length(item: str | bytes | _Huge) -> int:
    return len(item.frame if isinstance(item, _Huge) else item)


def _spoiled(frame: str, firing: Firing) -> str | bytes:
    if firing.act == "truncate":
        return frame[: len(frame) // 2]
    if firing.rule.binary:
        return noise(len(frame), firing.seed)
    return garbled(frame.encode(), firing.seed).decode()
