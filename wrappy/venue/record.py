"""`python -m wrappy.venue record URL`: write what happens in markets to a file."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from wrappy.errors import ConfigError, ProtocolError, UnknownMarketError
from wrappy.protocol.markets import find_market, markets_from_details
from wrappy.venue.clocks import WallClock
from wrappy.venue.one_line import BAD_ARGUMENTS, OneLineParser
from wrappy.venue.recorder import Recorder
from wrappy.venue.recording import RecordingWriter

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from wrappy.model import Market
    from wrappy.venue.recording import Row

logger = logging.getLogger("wrappy.venue")

LARGEST_FRAME: Final = 32 * 1024 * 1024
_PROGRAM: Final = "python -m wrappy.venue record"
_PING_EVERY_S: Final = 30.0
_FLUSH_EVERY_S: Final = 2.0
_SHORTEST_WAIT_S: Final = 0.25
_LONGEST_WAIT_S: Final = 30.0
_PATIENCE_S: Final = 20.0
_PING: Final = '{"type":"ping"}'


class Recorded(NamedTuple):
    """What a recording has.

    Attributes:
        path: the file.
        changes: books and changes of books.
        trades: trades.
        gaps: how often something was lost.
    """

    path: Path
    changes: int
    trades: int
    gaps: int


class Addresses(NamedTuple):
    """Where an exchange is.

    Attributes:
        stream: of its WebSocket.
        details: of its list of markets.
        is_loopback: whether it is on this machine.
    """

    stream: str
    details: str
    is_loopback: bool


def addresses_of(url: str) -> Addresses:
    """Return where to connect, from the address of either interface.

    Args:
        url: such as `ws://127.0.0.1:8080/stream` or `http://127.0.0.1:8080`.

    Raises:
        ConfigError: it is no such address.
    """
    parts = urlsplit(url)
    secure = {"ws": "", "http": "", "wss": "s", "https": "s"}.get(parts.scheme)
    if secure is None or not parts.hostname:
        raise ConfigError(
            f"URL: {url!r} is no address, such as ws://127.0.0.1:8080/stream"
        )
    path = parts.path if parts.scheme.startswith("ws") else ""
    stream = f"ws{secure}://{parts.netloc}{path.rstrip('/') or '/stream'}"
    details = f"http{secure}://{parts.netloc}/api/v1/orderBookDetails"
    return Addresses(stream, details, _is_loopback(parts.hostname))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Recording:
    """One run: connects, writes, connects again."""

    def __init__(
        self,
        addresses: Addresses,
        path: Path,
        *,
        now_us: Callable[[], int],
        stop: asyncio.Event,
    ) -> None:
        self._addresses = addresses
        self._path = path
        self._now_us = now_us
        self._stop = stop
        self._recorder = Recorder(())
        self._writer: RecordingWriter | None = None
        self._flush_at = 0.0

    async def run(self, symbols: Sequence[str], seconds: float | None) -> Recorded:
        async with aiohttp.ClientSession() as session:
            markets = await _markets(session, self._addresses.details, symbols)
            self._recorder = Recorder(markets)
            self._writer = RecordingWriter(self._path, markets)
            stopper = asyncio.create_task(self._until_stopped(seconds))
            connecting = asyncio.create_task(self._stay_connected(session))
            try:
                await asyncio.wait(
                    {stopper, connecting}, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                for task in (stopper, connecting):
                    task.cancel()
                results = await asyncio.gather(
                    stopper, connecting, return_exceptions=True
                )
                try:
                    self._write(self._recorder.end(self._now_us()))
                finally:
                    self._close()
            failure = results[1]
            if isinstance(failure, Exception):
                raise failure
        found = self._recorder
        return Recorded(self._path, found.changes, found.trades, found.gaps)

    async def _until_stopped(self, seconds: float | None) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except (TimeoutError, asyncio.TimeoutError):
            return

    async def _stay_connected(self, session: aiohttp.ClientSession) -> None:
        wait_s = _SHORTEST_WAIT_S
        while True:
            before = self._recorder.changes
            why = "the connection ended"
            try:
                await self._listen(session)
            except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
                why = str(error) or type(error).__name__
            except ProtocolError as error:
                if not self._recorder.changes:
                    # It never worked: trying again would not help.
                    where = self._addresses.stream
                    raise ConfigError(f"URL: {where}: {error}") from error
                why = str(error)
            logger.warning("%s: %s", self._addresses.stream, why)
            self._write(self._recorder.lost(self._now_us(), why))
            if self._recorder.changes > before:
                wait_s = _SHORTEST_WAIT_S
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    async def _listen(self, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(
            self._addresses.stream,
            max_msg_size=LARGEST_FRAME,
            heartbeat=_PING_EVERY_S,
            autoping=True,
        ) as socket:
            for wish in self._recorder.opening():
                await socket.send_str(wish)
            keeper = asyncio.create_task(_keep_alive(socket.send_str))
            try:
                async for message in socket:
                    if message.type not in (
                        aiohttp.WSMsgType.TEXT,
                        aiohttp.WSMsgType.BINARY,
                    ):
                        return
                    data = message.data
                    raw = data.encode() if isinstance(data, str) else data
                    heard = self._recorder.hear(raw, self._now_us())
                    self._write(heard.rows)
                    for text in heard.say:
                        await socket.send_str(text)
            finally:
                keeper.cancel()
                await asyncio.gather(keeper, return_exceptions=True)

    def _close(self) -> None:
        # What the packing held back is written here: the disk may be full by now.
        if self._writer is not None:
            with self._told():
                self._writer.close()

    def _write(self, rows: Sequence[Row]) -> None:
        if self._writer is None:
            return
        with self._told():
            self._writer.write(rows)
            now = asyncio.get_running_loop().time()
            if now >= self._flush_at:
                self._flush_at = now + _FLUSH_EVERY_S
                self._writer.flush()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or error
            raise ConfigError(f"out: {self._path} cannot be written: {why}") from error


async def _keep_alive(say: Callable[[str], Awaitable[None]]) -> None:
    # The exchange closes whoever says nothing for two minutes.
    while True:
        await asyncio.sleep(_PING_EVERY_S)
        await say(_PING)


async def _markets(
    session: aiohttp.ClientSession, url: str, symbols: Sequence[str]
) -> list[Market]:
    timeout = aiohttp.ClientTimeout(total=_PATIENCE_S)
    try:
        async with session.get(url, timeout=timeout) as response:
            body = json.loads(await response.read())
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
        why = str(error) or type(error).__name__
        raise ConfigError(f"URL: {url} does not answer: {why}") from error
    except ValueError as error:
        raise ConfigError(f"URL: {url} does not answer in JSON") from error
    try:
        known = markets_from_details(body)
        return [find_market(known, symbol=symbol) for symbol in symbols]
    except ProtocolError as error:
        raise ConfigError(f"URL: {url} is no Lighter exchange: {error}") from error
    except UnknownMarketError as error:
        raise ConfigError(f"--symbols: {error}") from error


async def record(
    url: str,
    symbols: Sequence[str],
    out: Path,
    *,
    seconds: float | None = None,
    live_data: bool = False,
    stop: asyncio.Event | None = None,
    now_us: Callable[[], int] | None = None,
) -> Recorded:
    """Record markets until it is time to stop; return what was recorded.

    A lost connection is taken up again, with a gap in the recording.

    Args:
        url: address of an exchange's WebSocket, or of its REST interface.
        symbols: markets, such as `ETH`.
        out: the file; it must not exist. Packed if its name ends in `.gz`.
        seconds: how long; until `stop` when None.
        live_data: allows an exchange that is not on this machine.
        stop: ends the recording once it is set.
        now_us: what time it is, unix microseconds; this machine's by default.

    Raises:
        ConfigError: the address, a symbol or the file cannot work, or the file can be
            written no longer.
    """
    addresses = addresses_of(url)
    if not (addresses.is_loopback or live_data):
        raise ConfigError(
            f"URL: {url} is not on this machine; give --live-data to read from it"
        )
    if not symbols:
        raise ConfigError("--symbols: name at least one market, such as ETH,BTC")
    if seconds is not None and not seconds > 0:
        raise ConfigError(f"--seconds: {seconds} is not above 0")
    run = _Recording(
        addresses,
        out,
        now_us=now_us or WallClock().now_us,
        stop=stop or asyncio.Event(),
    )
    return await run.run(symbols, seconds)


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    found = OneLineParser(
        prog=_PROGRAM,
        description="Write books and trades of markets to a file that `--tape` plays.",
    )
    found.add_argument("url", metavar="URL", help="WebSocket of a Lighter exchange")
    found.add_argument("--symbols", required=True, help="markets, such as ETH,BTC")
    found.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="packed if it ends .gz"
    )
    found.add_argument(
        "--seconds", type=float, help="how long; until Ctrl-C if left out"
    )
    found.add_argument(
        "--live-data",
        action="store_true",
        help="read from an exchange that is not on this machine",
    )
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0 once recorded, 2 if an argument cannot work."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    try:
        done = asyncio.run(_run(arguments))
    except ConfigError as error:
        sys.stderr.write(f"{_PROGRAM}: {error}\n")
        return BAD_ARGUMENTS
    sys.stdout.write(
        f"{done.path}: {done.changes} books and changes, {done.trades} trades, "
        f"{done.gaps} gaps\n"
    )
    return 0


async def _run(arguments: argparse.Namespace) -> Recorded:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    names = (name.strip().upper() for name in arguments.symbols.split(","))
    return await record(
        arguments.url,
        tuple(dict.fromkeys(name for name in names if name)),
        arguments.out,
        seconds=arguments.seconds,
        live_data=arguments.live_data,
        stop=stop,
    )
