"""The WebSocket door on a socket: frames of a connection for `venue.sessions`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from aiohttp import WSMsgType, web

from wrappy.venue.conversation import CLOSE_PATIENCE_S
from wrappy.venue.outgoing import Ping

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.venue.sessions import Sessions

LARGEST_MESSAGE: Final = 512 * 1024


class StreamDoor:
    """Serves WebSocket requests.

    Args:
        sessions: takes the conversations.
        heard: told of every text message that comes in.
    """

    def __init__(self, sessions: Sessions, heard: Callable[[str], None]) -> None:
        self._sessions = sessions
        self._heard = heard

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
        readonly = request.query.get("readonly", "").lower() == "true"
        cut = True
        try:
            cut = await self._sessions.serve(
                _WebSocket(response, self._heard), ip=ip, readonly=readonly
            )
        finally:
            if cut and request.transport is not None:
                request.transport.abort()
        return response


class _WebSocket:
    """`outgoing.Socket` over a connection of the server."""

    def __init__(
        self, response: web.WebSocketResponse, heard: Callable[[str], None]
    ) -> None:
        self._response = response
        self._heard = heard

    async def send(self, frame: str | bytes) -> None:
        if isinstance(frame, str):
            await self._response.send_str(frame)
        else:
            await self._response.send_bytes(frame)

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
