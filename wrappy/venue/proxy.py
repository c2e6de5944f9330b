"""A proxy on this machine that breaks TCP connections on purpose.

What the exchange does wrong is the business of `venue.faults`; here goes wrong what
lies between: connections reset, half open, slow, or with their bytes in shreds. It
knows nothing of what it carries.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from wrappy.errors import ConfigError, UsageError
from wrappy.venue.page import is_local
from wrappy.venue.tcp_faults import ENDING, TcpFault, TcpFaults, TcpFiring, Way

if TYPE_CHECKING:
    from types import TracebackType

_LOOPBACK: Final = "127.0.0.1"
_MOST_BYTES: Final = 64 * 1024
_PIECES_PER_S: Final = 20
_NO_LINGER: Final = struct.pack("ii", 1, 0)

_Ending = Literal["", "reset", "cut"]


class TcpProxy:
    """Stands between clients and a local exchange, and breaks their connections.

    Use it as an async context manager:

        async with Venue(seed=1) as venue, TcpProxy(venue.base_url) as proxy:
            proxy.add(TcpFault(act="reset", after_bytes=100, times=1))
            ...  # clients use proxy.base_url

    It listens on the loopback interface and connects to nothing else.

    Args:
        target: address of the exchange, such as `venue.base_url`.
        seed: decides which connections are hit where a rule leaves that to chance.
        port: port to listen on; 0 takes a free one.

    Raises:
        ConfigError: a target that is not on this machine, or no address.
    """

    def __init__(self, target: str, *, seed: int = 1, port: int = 0) -> None:
        self._target = _address(target)
        self._port = port
        self._faults = TcpFaults(seed)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0

    # ------------------------------------------------------------------- rules

    def add(self, rule: TcpFault) -> int:
        """Add a rule, also for the connections that are open; return its handle."""
        return self._faults.add(rule)

    def clear(self) -> None:
        """Forget every rule; what acts on a connection stops acting."""
        self._faults.clear()

    def fired(self, handle: int) -> int:
        """Return how many connections a rule has hit."""
        return self._faults.fired(handle)

    @property
    def firings(self) -> tuple[TcpFiring, ...]:
        """Every fault that happened, oldest first."""
        return tuple(self._faults.firings)

    @property
    def connections(self) -> int:
        """Connections that were made so far."""
        return self._connections

    @property
    def open_connections(self) -> int:
        """Connections that are open now."""
        return len(self._tasks)

    # ---------------------------------------------------------------- lifetime

    @property
    def base_url(self) -> str:
        """Address of the REST interface through the proxy.

        Raises:
            UsageError: the proxy is not running.
        """
        return f"http://{_LOOPBACK}:{self._listening_port()}"

    @property
    def ws_url(self) -> str:
        """Address of the WebSocket interface through the proxy.

        Raises:
            UsageError: the proxy is not running.
        """
        return f"ws://{_LOOPBACK}:{self._listening_port()}/stream"

    def _listening_port(self) -> int:
        if not self._port:
            raise UsageError("the proxy is not running: use `async with TcpProxy(...)`")
        return self._port

    async def __aenter__(self) -> TcpProxy:  # noqa: PYI034 - typing.Self needs 3.11
        await self.listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def listen(self) -> None:
        """Open the door, on the port it had before if there was one.

        Raises:
            UsageError: it is open.
        """
        if self._server is not None:
            raise UsageError("the proxy listens already")
        self._server = await asyncio.start_server(
            self._arrived, _LOOPBACK, self._port, limit=_MOST_BYTES
        )
        self._port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Close the door: new connections find nobody listening, open ones go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def aclose(self) -> None:
        """Close the door and every connection; a second call does nothing."""
        self.shut()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------- connections

    def _arrived(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._connections += 1
        task = asyncio.create_task(
            self._carry(self._connections, reader, writer), name="wrappy-tcp-proxy"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        ending: _Ending = "reset"
        try:
            if not self._faults.refuses(number):
                with contextlib.suppress(ConnectionError):
                    ending = await self._carry_both_ways(number, reader, writer)
        finally:
            if ending == "reset":
                _reset(writer)
            else:
                writer.close()

    async def _carry_both_ways(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> _Ending:
        theirs, ours = await asyncio.open_connection(*self._target, limit=_MOST_BYTES)
        for end in (writer, ours):
            end.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
            )
        pumps = [
            asyncio.create_task(self._pump(Way(number, "up"), reader, ours)),
            asyncio.create_task(self._pump(Way(number, "down"), theirs, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ours.close()
            for pump in pumps:
                pump.cancel()
            outcomes = await asyncio.gather(*pumps, return_exceptions=True)
        # A side that was reset is passed on as a reset, an end as an end.
        lost = any(isinstance(outcome, ConnectionError) for outcome in outcomes)
        return "reset" if lost or "reset" in outcomes else "cut"

    async def _pump(
        self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> _Ending:
        while data := await reader.read(_MOST_BYTES):
            while data:
                size, handle = self._faults.room(way, len(data))
                await self._pass_on(way, data[:size], writer)
                data = data[size:]
                if handle is None:
                    continue
                rule = self._faults.start(way, handle)
                if rule.act in ENDING:
                    return "reset" if rule.act == "reset" else "cut"
        if any(rule.act == "half_open" for rule in self._faults.acting(way)):
            # The other side must not learn of the end either.
            await asyncio.get_running_loop().create_future()
        return ""

    async def _pass_on(
        self, way: Way, data: bytes, writer: asyncio.StreamWriter
    ) -> None:
        if not data:
            return
        size, rate = len(data), 0
        for rule in self._faults.acting(way):
            if rule.act == "half_open":
                way.passed += len(data)
                return
            if rule.act == "delay":
                await asyncio.sleep(self._faults.delay_s(way, rule))
            elif rule.act == "slice":
                size = 1
            else:
                size = min(size, max(1, rule.bytes_per_s // _PIECES_PER_S))
                rate = min(rate or rule.bytes_per_s, rule.bytes_per_s)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            writer.write(piece)
            await writer.drain()
            way.passed += len(piece)
            if rate or size < len(data):
                await asyncio.sleep(len(piece) / rate if rate else 0)


def _reset(writer: asyncio.StreamWriter) -> None:
    # Without lingering, closing tells the other side of a reset and drops the rest.
    end = writer.get_extra_info("socket")
    if not writer.transport.is_closing():
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()


def _address(target: str) -> tuple[str, int]:
    parts = urlsplit(target)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme not in ("http", "ws") or host is None or port is None:
        raise ConfigError(
            f"target: {target!r} is no address; give venue.base_url, such as "
            "http://127.0.0.1:8000"
        )
    if host != "localhost" and not is_local(host):
        raise ConfigError(f"target: {host} is not this machine; a proxy stays on it")
    return host, port
