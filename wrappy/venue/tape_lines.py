"""Lines of a captured exchange stream, read one by one.

The format is one message a line: local receive time in nanoseconds, a space, the raw
JSON of a Binance USD-M futures stream (diff depth, trades, best quotes) and one REST
depth snapshot, which may come some messages late. Plain text or gzip.
"""

from __future__ import annotations

import gzip
import zlib
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from wrappy.errors import ConfigError
from wrappy.venue.tape_book import located

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SNAPSHOT_WITHIN_LINES: Final = 20_000
"""Lines in which the snapshot must come; a start stays a matter of a moment."""

_GZIP_MAGIC: Final = b"\x1f\x8b"
_QUOTE_ASSETS: Final = ("USD_PERP", "FDUSD", "BUSD", "USDT", "USDC", "USD")


class DepthUpdate(msgspec.Struct, frozen=True):
    """One diff: absolute sizes by price, and its place in the sequence."""

    first: int = msgspec.field(name="U")
    last: int = msgspec.field(name="u")
    previous: int = msgspec.field(name="pu")
    bids: list[tuple[str, str]] = msgspec.field(name="b")
    asks: list[tuple[str, str]] = msgspec.field(name="a")


class TapeTrade(msgspec.Struct, frozen=True):
    """One trade of the tape."""

    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")


class Snapshot(msgspec.Struct, frozen=True):
    """The REST depth snapshot a replay starts from."""

    last_update_id: int = msgspec.field(name="lastUpdateId")
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class _Envelope(msgspec.Struct, frozen=True):
    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")


class TapeLine(NamedTuple):
    """One line: where it stands, when it was received, and what it says.

    `symbol` is None for a snapshot; `message` is None for streams that do not
    matter to a replay.
    """

    number: int
    received_ns: int
    symbol: str | None
    message: DepthUpdate | TapeTrade | Snapshot | None


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_SNAPSHOT: Final = msgspec.json.Decoder(Snapshot)
_DEPTH: Final = msgspec.json.Decoder(DepthUpdate)
_TRADE: Final = msgspec.json.Decoder(TapeTrade)


def read_tape(path: Path) -> Iterator[TapeLine]:
    """Yield the lines of a tape, one read at a time.

    Raises:
        ConfigError: the file cannot be read, or a line is of another format; the
            message names the line.
    """
    number = 0
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == _GZIP_MAGIC
            lines: Iterable[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw
            for number, line in enumerate(lines, start=1):
                yield _parse(line, number, path)
    except (OSError, EOFError, zlib.error) as error:
        where = f" after line {number}" if number else ""
        why = (isinstance(error, OSError) and error.strerror) or error
        raise ConfigError(f"tape: {path} cannot be read{where}: {why}") from error
    if number == 0:
        raise ConfigError(f"tape: {path} is empty")


def tape_symbol(path: Path) -> str:
    """Return the base symbol a tape was recorded from, such as `ETH` of `ETHUSDT`.

    Raises:
        ConfigError: the file is missing, empty or of another format.
    """
    for line in islice(read_tape(path), SNAPSHOT_WITHIN_LINES):
        if line.symbol is not None:
            return line.symbol
    raise ConfigError(f"tape: {path} names no symbol: it holds no stream messages")


def _parse(line: bytes, number: int, path: Path) -> TapeLine:
    received, _, body = line.partition(b" ")
    with located(path, number):
        if not (received.isdigit() and body):
            raise ValueError("not a receive time in nanoseconds, a space and JSON")
        # msgspec's errors are ValueErrors and say which field is at fault.
        envelope = _ENVELOPE.decode(body)
        received_ns = int(received)
        if envelope.stream is None:
            return TapeLine(number, received_ns, None, _SNAPSHOT.decode(body))
        name, _, kind = envelope.stream.partition("@")
        symbol = _base_symbol(name)
        if kind == "depth" or kind.startswith("depth@"):
            return TapeLine(number, received_ns, symbol, _DEPTH.decode(envelope.data))
        if kind == "trade":
            return TapeLine(number, received_ns, symbol, _TRADE.decode(envelope.data))
        return TapeLine(number, received_ns, symbol, None)


def _base_symbol(name: str) -> str:
    upper = name.upper()
    for quote in _QUOTE_ASSETS:
        if upper.endswith(quote) and upper != quote:
            return upper[: -len(quote)]
    return upper
