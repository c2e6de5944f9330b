"""Recordings of markets: one JSON object a line, of one or several markets.

The first line tells the format and the markets. Each other line has a `kind`, a
`market` (its number) and `us`, when it was received in microseconds since 1970:

- `book`: all levels, at the exchange's count `nonce`. `after_gap` is true where
  something was lost before it.
- `delta`: levels that changed since the book at `begin_nonce`, each with its new
  size; a zero takes a level away.
- `trade`: `id`, `price`, `size` and whether the taker sold (`is_ask`).
- `gap`: from here to the next `book` the market is not known; `why` in a few words.
- `end`: nothing is missing after this line. Without it the recorder was cut off.

Prices and sizes are texts, as the exchange prints them. A name that ends in `.gz`
makes the file a packed one. Equal lines in equal order make equal books.
"""

from __future__ import annotations

import gzip
import io
import zlib
from typing import IO, TYPE_CHECKING, Annotated, Final

import msgspec

from wrappy.errors import ConfigError
from wrappy.protocol.market_frames import COUNT_MAX

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from wrappy.model import Market

FORMAT: Final = 1
"""Number in the first line; another one is another format."""

_GZIP_MAGIC: Final = b"\x1f\x8b"
_FIRST_BYTES: Final = 4_096
_MARK: Final = b'{"recording":'

Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)]
Level = tuple[str, str]
"""(price, size), as the exchange prints them."""


class RecordedMarket(msgspec.Struct, frozen=True):
    """One market of a recording.

    Attributes:
        symbol: name such as `ETH`.
        market: its number in the lines.
        price_decimals: decimals of its prices.
        size_decimals: decimals of its sizes.
    """

    symbol: str
    market: int
    price_decimals: int
    size_decimals: int


class Header(msgspec.Struct, frozen=True):
    """The first line."""

    recording: int
    markets: list[RecordedMarket]


class RecordedBook(msgspec.Struct, frozen=True, tag_field="kind", tag="book"):
    """All levels of a book; see the module."""

    us: Count
    market: int
    nonce: Count
    bids: list[Level]
    asks: list[Level]
    after_gap: bool = False


class RecordedDelta(msgspec.Struct, frozen=True, tag_field="kind", tag="delta"):
    """Levels that changed; see the module."""

    us: Count
    market: int
    begin_nonce: Count
    nonce: Count
    bids: list[Level]
    asks: list[Level]


class RecordedTrade(msgspec.Struct, frozen=True, tag_field="kind", tag="trade"):
    """One trade; see the module."""

    us: Count
    market: int
    id: Count
    price: str
    size: str
    is_ask: bool


class RecordedGap(msgspec.Struct, frozen=True, tag_field="kind", tag="gap"):
    """From here on the market is not known; see the module."""

    us: Count
    market: int
    why: str


class RecordedEnd(msgspec.Struct, frozen=True, tag_field="kind", tag="end"):
    """The recording ends as it should."""

    us: Count


Row = RecordedBook | RecordedDelta | RecordedTrade | RecordedGap | RecordedEnd
"""One line after the first."""

_HEADER: Final = msgspec.json.Decoder(Header)
_ROW: Final = msgspec.json.Decoder(Row)


class RecordingWriter:
    """Writes a recording line by line.

    Args:
        path: where; packed if the name ends in `.gz`. An existing file is refused:
            what was recorded cannot be recorded again.
        markets: what will be recorded.

    Raises:
        ConfigError: it cannot be written there.
    """

    def __init__(self, path: Path, markets: Sequence[Market]) -> None:
        try:
            raw = path.open("xb")
        except FileExistsError as error:
            raise ConfigError(f"out: {path} exists; give another name") from error
        except OSError as error:
            why = error.strerror or error
            raise ConfigError(f"out: {path} cannot be written: {why}") from error
        self._raw: IO[bytes] = raw
        # No name and no time in it: equal recordings are equal files.
        packed = path.suffix == ".gz"
        self._file: IO[bytes] | gzip.GzipFile = (
            gzip.GzipFile("", "wb", 6, raw, mtime=0) if packed else raw
        )
        told = [
            RecordedMarket(
                market.symbol,
                market.market_id,
                market.price_decimals,
                market.size_decimals,
            )
            for market in markets
        ]
        self._write(Header(FORMAT, told))

    def write(self, rows: Sequence[Row]) -> None:
        """Add lines.

        Raises:
            OSError: the disk is full, for one.
        """
        for row in rows:
            self._write(row)

    def _write(self, line: Header | Row) -> None:
        self._file.write(msgspec.json.encode(line) + b"\n")

    def flush(self) -> None:
        """Hand what was written to the system, so that less is lost by a cut.

        Raises:
            OSError: the disk is full, for one.
        """
        self._file.flush()
        self._raw.flush()

    def close(self) -> None:
        """Close the file; a second call does nothing.

        Raises:
            OSError: the disk is full, for one.
        """
        try:
            self._file.close()
        finally:
            self._raw.close()


class RecordingReader:
    """Reads a recording line by line.

    Args:
        path: the file, plain or packed.

    Attributes:
        markets: what was recorded.
        cut_off: whether the file ends without its last line: known once everything
            was read. A last line that is torn is left out.

    Raises:
        ConfigError: it cannot be read, or is no recording.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.cut_off = False
        header = _head(path)
        self.markets = tuple(header.markets)

    def rows(self) -> Generator[tuple[int, Row], None, None]:
        """Yield every line after the first, with its number.

        Raises:
            ConfigError: a line is damaged; the message has its number.
        """
        number, ended = 1, False
        try:
            with _open(self._path) as file:
                file.readline()
                for number, line in enumerate(file, 2):
                    if not line.endswith(b"\n"):
                        break
                    row = _ROW.decode(line)
                    ended = isinstance(row, RecordedEnd)
                    yield number, row
        except (EOFError, zlib.error):
            ended = False  # a packed file of somebody who was killed
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"tape: {self._path}: line {number}: {error}") from error
        except OSError as error:
            why = error.strerror or error
            raise ConfigError(f"tape: {self._path} cannot be read: {why}") from error
        self.cut_off = not ended


def is_recording(path: Path) -> bool:
    """Return whether a file begins as a recording does.

    Raises:
        ConfigError: it cannot be read.
    """
    return _first_line(path).startswith(_MARK)


def recording_markets(path: Path) -> tuple[RecordedMarket, ...]:
    """Return the markets of a recording.

    Raises:
        ConfigError: it cannot be read, or is no recording.
    """
    return tuple(_head(path).markets)


def _head(path: Path) -> Header:
    line = _first_line(path)
    try:
        header = _HEADER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"tape: {path}: line 1: no recording: {error}") from error
    if header.recording != FORMAT:
        raise ConfigError(
            f"tape: {path}: recording: {header.recording} is not format {FORMAT}"
        )
    if not header.markets:
        raise ConfigError(f"tape: {path}: markets: the recording is of none")
    return header


def _first_line(path: Path) -> bytes:
    try:
        with _open(path) as file:
            return file.readline()
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return b""  # whoever reads it as a tape says what is wrong
    except OSError as error:
        why = error.strerror or error
        raise ConfigError(f"tape: {path} cannot be read: {why}") from error


def _open(path: Path) -> IO[bytes]:
    raw = path.open("rb")
    if raw.peek(2)[:2] != _GZIP_MAGIC:
        return raw
    # Closes the file below as well, and stops quietly where the packing is cut.
    return io.BufferedReader(_Unpacked(raw))


class _Unpacked(io.RawIOBase):
    """Unpacks as far as there is something to unpack.

    A packed file that was cut off in the middle gives what it has, to the last byte.
    """

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._unpacker = zlib.decompressobj(wbits=31)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = len(buffer)
        while True:
            source = self._unpacker.unconsumed_tail or self._raw.read(_FIRST_BYTES * 16)
            found = self._unpacker.decompress(source, wanted)
            if found:
                buffer[: len(found)] = found
                return len(found)
            if not source or self._unpacker.eof:
                return 0

    def close(self) -> None:
        self._raw.close()
        super().close()
