"""WebSocket connections without a network: frames go in here, and come out there."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class End:
    """The end of a connection.

    Attributes:
        code: its close code.
    """

    code: int


class Pipe:
    """Frames of one direction: in order, each with its time on the way.

    Args:
        travel_s: draws the seconds that the next frame takes.
    """

    def __init__(self, travel_s: Callable[[], float]) -> None:
        self._loop = asyncio.get_running_loop()
        self._travel_s = travel_s
        self._last_at = 0.0
        self._on_the_way: deque[str | bytes | End] = deque()
        self._frames: deque[str | bytes | End] = deque()
        self._reader: asyncio.Future[None] | None = None

    def put(self, frame: str | bytes | End) -> None:
        """Send a frame on its way."""
        travel_s = self._travel_s()
        if not travel_s and not self._on_the_way:
            self._frames.append(frame)
            self._wake()
            return
        # Nothing overtakes on one connection.
        self._last_at = max(self._last_at, self._loop.time() + travel_s)
        self._on_the_way.append(frame)
        self._loop.call_at(self._last_at, self._arrive)

    def _arrive(self) -> None:
        # Timers of one moment fire in any order: whichever does, the oldest arrives.
        self._frames.append(self._on_the_way.popleft())
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self, timeout_s: float | None = None) -> str | bytes | End | None:
        """Return the next frame that arrives, or None when none did in time."""
        if not self._frames:
            self._reader = self._loop.create_future()
            timer = None
            if timeout_s is not None:
                timer = self._loop.call_later(timeout_s, self._wake)
            try:
                await self._reader
            finally:
                self._reader = None
                if timer is not None:
                    timer.cancel()
        return self._frames.popleft() if self._frames else None


class ServerSide:
    """`venue.outgoing.Socket`: what a session at the exchange holds."""

    def __init__(self, up: Pipe, down: Pipe) -> None:
        self._up, self._down = up, down

    async def send(self, frame: str | bytes) -> None:
        """Send a text or binary frame to the client."""
        self._down.put(frame.encode() if isinstance(frame, str) else frame)

    def send_now(self, frame: str) -> bool:
        """Send a text frame to the client; return True, as that takes no waiting."""
        self._down.put(frame.encode())
        return True

    async def receive(self) -> str | bytes | None:
        """Return the client's next frame.

        Raises:
            ConnectionError: the client has left.
        """
        frame = await self._up.get()
        if isinstance(frame, End):
            raise ConnectionResetError("the client has left")
        return frame

    async def close(self, code: int, reason: str) -> None:
        """End the connection with a code."""
        del reason  # no client of ours reads it
        self._down.put(End(code))
