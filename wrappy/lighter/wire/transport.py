"""The one door to the network: REST requests and the WebSocket, errors mapped once.

Everything that can fail on the wire leaves here as an exception of `wrappy.errors`
whose `outcome` says whether the exchange may have acted.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from wrappy.errors import (
    ConnectError,
    ProtocolError,
    RateLimitedError,
    RequestTimeoutError,
    StreamClosedError,
    TransportError,
)
from wrappy.lighter.wire.within import within
from wrappy.protocol.codes import OK, error_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_CONNECT_ERRORS = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_CONTENT = frozenset({aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY})
MAX_FRAME_BYTES = 16 * 1024 * 1024


@contextlib.contextmanager
def _mapped(endpoint: str, base_url: str = "") -> Iterator[None]:
    """Translate the HTTP client's exceptions, once for the whole package."""
    try:
        yield
    except _CONNECT_ERRORS as error:
        raise ConnectError(
            f"no connection to {base_url}{endpoint}: {_cause(error)}; does the "
            "exchange run there? base_url says where"
        ) from error
    except (asyncio.TimeoutError, aiohttp.ServerTimeoutError) as error:
        raise RequestTimeoutError(f"no answer from {endpoint} in time") from error
    except aiohttp.ClientError as error:
        raise TransportError(f"{endpoint}: {error}") from error


def _cause(error: Exception) -> str:
    """Return why there is no connection, in the system's words where it has some."""
    words = error.strerror if isinstance(error, OSError) else None
    return words or str(error) or type(error).__name__


def read_body(
    body: bytes, *, status: int, endpoint: str, retry_after: str | None = None
) -> dict[str, Any]:
    """Return a successful answer's object.

    Args:
        body: the answer as it came.
        status: status line of the answer.
        endpoint: what was asked, for the message.
        retry_after: the header of that name, in seconds.

    Raises:
        VenueError: the exchange declined; the class tells how.
        ProtocolError: status 200, but not an answer that can be read.
    """
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    fields: dict[str, Any] = answer if isinstance(answer, dict) else {}
    code = fields.get("code")
    message = fields.get("message")
    words = message if isinstance(message, str) else ""
    if status != OK or (isinstance(code, int) and code != OK):
        number = code if isinstance(code, int) and code != OK else status
        error = error_for(number, words, endpoint=endpoint, http_status=status)
        if isinstance(error, RateLimitedError) and (retry_after or "").isdecimal():
            error.retry_after_s = float(retry_after or 0)
        raise error
    if not isinstance(answer, dict):
        raise ProtocolError(f"{endpoint}: the answer is not a JSON object")
    return fields


class RestDoor:
    """REST requests over one session.

    Args:
        base_url: address of the exchange, without a trailing slash.
        timeout_s: longest wait for one answer.
        on_throttled: called with the seconds to wait, if told, whenever the exchange
            refuses a request for the rate; not for want of volume quota.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 10.0,
        on_throttled: Callable[[float | None], None] | None = None,
    ) -> None:
        self._base_url = base_url
        self._on_throttled = on_throttled
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session, made at first use: construction does no I/O.

        Raises:
            ConnectError: the door was closed.
        """
        if self._closed:
            raise ConnectError("the connection was closed here; nothing was sent")
        if self._session is None:
            # trust_env costs two thread hops a request; proxies are not supported.
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, trust_env=False, auto_decompress=True
            )
        return self._session

    async def get(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        token: str | None = None,
    ) -> dict[str, Any]:
        """Ask and return the answer's object.

        Raises:
            VenueError, TransportError, ProtocolError: see `wrappy.errors`.
        """
        headers = {"authorization": token} if token else None
        return await self._ask("GET", path, params=params, headers=headers)

    async def post_form(self, path: str, form: str) -> dict[str, Any]:
        """Send an urlencoded form and return the answer's object."""
        return await self._ask("POST", path, data=form.encode(), headers=_FORM)

    async def _ask(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        with _mapped(path, self._base_url):
            async with self.session.request(
                # An API does not redirect: key and order must not follow one.
                *(method, self._base_url + path),
                allow_redirects=False,
                **content,
            ) as response:
                body = await response.read()
        try:
            return read_body(
                body,
                status=response.status,
                endpoint=path,
                retry_after=response.headers.get("Retry-After"),
            )
        except RateLimitedError as error:
            # A volume quota that is used up is one owner's, and no rate.
            if self._on_throttled is not None and not error.volume_quota:
                self._on_throttled(error.retry_after_s)
            raise

    async def aclose(self) -> None:
        """Close the session; nothing is asked any more."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class StreamDoor:
    """One WebSocket connection.

    Args:
        url: where to connect.
        timeout_s: longest wait for the handshake.
        compress: offer compression: it pays where much is received, and costs time
            where little is sent that must be there soon.
    """

    def __init__(
        self, url: str, *, timeout_s: float = 10.0, compress: bool = True
    ) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._window_bits = 15 if compress else 0
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse[bool] | None = None

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return self._socket is not None and not self._socket.closed

    async def connect(self) -> None:
        """Open the connection, closing an earlier one.

        Raises:
            ConnectError: the exchange did not answer the handshake.
        """
        await self.disconnect()
        try:
            with _mapped(self._url):
                await within(self._timeout_s, self._open())
        except TransportError as error:
            # A handshake that failed has carried no request of ours.
            raise ConnectError(str(error)) from error

    async def _open(self) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=False)
        self._socket = await self._session.ws_connect(
            self._url,
            max_msg_size=MAX_FRAME_BYTES,
            compress=self._window_bits,
            decode_text=False,
        )

    async def send(self, frame: bytes) -> None:
        """Send one JSON frame.

        Raises:
            StreamClosedError: the connection is gone.
        """
        if self._socket is None:
            raise StreamClosedError("the stream is not connected")
        try:
            await self._socket.send_str(frame.decode())
        except (aiohttp.ClientError, ConnectionError) as error:
            raise StreamClosedError(f"the stream is gone: {error}") from error

    async def receive(self, timeout_s: float | None) -> bytes | None:
        """Return the next frame, or None when none came in time.

        Raises:
            StreamClosedError: the connection ended; the message has the close code.
        """
        if self._socket is None:
            raise StreamClosedError("the stream is not connected")
        try:
            message = await self._socket.receive(timeout=timeout_s)
        except (asyncio.TimeoutError, aiohttp.ServerTimeoutError):
            return None
        if message.type in _CONTENT:
            data: bytes = message.data
            return data
        raise StreamClosedError(f"the stream ended with {self._socket.close_code}")

    async def disconnect(self) -> None:
        """Close the connection, keeping the session for the next one."""
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    async def aclose(self) -> None:
        """Close connection and session."""
        await self.disconnect()
        if self._session is not None:
            await self._session.close()
            self._session = None
