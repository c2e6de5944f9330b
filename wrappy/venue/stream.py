"""The WebSocket door on a socket: frames of a connection for `venue.sessions`."""

from __future__ import annotations

import struct
import zlib
from functools import partial
from typing import TYPE_CHECKING, Final

from aiohttp import WSMsgType, web

from wrappy.venue.conversation import CLOSE_PATIENCE_S
from wrappy.venue.outgoing import Ping
from wrappy.venue.sessions import asks_readonly

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from wrappy.venue.sessions import Sessions

LARGEST_MESSAGE: Final = 512 * 1024
_MOST_UNSENT: Final = 32 * 1024
"""Bytes that may wait in a connection before frames queue for it."""
_PACKED_KEPT: Final = 32
_TEXT: Final = 0x81  # a whole frame of text
_COMPRESSED: Final = 0x40
_TWO_BYTES: Final = 126  # in the place of the size: it follows in two bytes
_FLUSH_MARK: Final = b"\x00\x00\xff\xff"  # ends what was flushed, and is left out


class StreamDoor:
    """Serves WebSocket requests.

    Args:
        sessions: takes the conversations.
        heard: told of every text message that comes in.
    """

    def __init__(self, sessions: Sessions, heard: Callable[[str], None]) -> None:
        self._sessions = sessions
        self._heard = heard
        self._packer = _Packer()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection.

        Raises:
            Refused: 23003, there are too many connections.
        """
        ip = request.remote or ""
        self._sessions.admit(ip)
        response = web.WebSocketResponse(
            autoping=False,
            timeout=CLOSE_PATIENCE_S,
            max_msg_size=LARGEST_MESSAGE,
            compress=True,
        )
        await response.prepare(request)
        readonly = asks_readonly(request.query)
        cut = True
        try:
            cut = await self._sessions.serve(
                _WebSocket(response, request.transport, self._packer, self._heard),
                ip=ip,
                readonly=readonly,
            )
        finally:
            if cut and request.transport is not None:
                request.transport.abort()
        return response


class _Packer:
    """Frames as bytes on the wire, packed once for everybody who gets them.

    Each frame is compressed on its own: what refers to no earlier frame is the same
    for every connection (RFC 7692 leaves that to the sender).
    """

    def __init__(self) -> None:
        self._packed: dict[tuple[int, str], bytes] = {}

    def pack(self, frame: str, window_bits: int) -> bytes:
        """Return an unmasked text frame (RFC 6455), compressed unless bits are 0."""
        found = self._packed.get((window_bits, frame))
        if found is None:
            found = self._packed[window_bits, frame] = _packed(frame, window_bits)
            if len(self._packed) > _PACKED_KEPT:
                del self._packed[next(iter(self._packed))]
        return found


def _packed(frame: str, window_bits: int) -> bytes:
    payload, first = frame.encode(), _TEXT
    if window_bits:
        deflate = zlib.compressobj(zlib.Z_BEST_SPEED, zlib.DEFLATED, -window_bits)
        flushed = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
        payload, first = flushed[: -len(_FLUSH_MARK)], _TEXT | _COMPRESSED
    size = len(payload)
    if size < _TWO_BYTES:
        head = struct.pack("!BB", first, size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, _TWO_BYTES, size)
    else:
        head = struct.pack("!BBQ", first, _TWO_BYTES + 1, size)
    return head + payload


class _WebSocket:
    """`outgoing.Socket` over a connection of the server."""

    def __init__(
        self,
        response: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        packer: _Packer,
        heard: Callable[[str], None],
    ) -> None:
        self._response = response
        self._transport = transport
        self._packer = packer
        self._heard = heard
        self._window_bits = int(response.compress)

    async def send(self, frame: str | bytes) -> None:
        # Compressed on its own, as all are: no frame refers to an earlier one.
        bits = self._window_bits or None
        if isinstance(frame, str):
            await self._response.send_str(frame, compress=bits)
        else:
            await self._response.send_bytes(frame, compress=bits)

    def send_now(self, frame: str) -> bool:
        transport = self._transport
        if (
            transport is None
            or self._response.closed
            or transport.is_closing()
            or transport.get_write_buffer_size() > _MOST_UNSENT
        ):
            return False
        transport.write(self._packer.pack(frame, self._window_bits))
        return True

    async def receive(self) -> str | bytes | Ping | None:
        message = await self._response.receive()
        if message.type is WSMsgType.TEXT:
            self._heard(message.data)
            return str(message.data)
        if message.type is WSMsgType.BINARY:
            return bytes(message.data)
        if message.type is WSMsgType.PING:
            return Ping(partial(self._response.pong, message.data))
        if message.type is not WSMsgType.PONG:
            raise ConnectionResetError("the client has left")
        return None

    async def close(self, code: int, reason: str) -> None:
        await self._response.close(code=code, message=reason.encode())
