"""Recorded markets: a captured exchange stream, replayed as market life.

The format is one message a line: local receive time in nanoseconds, a space, the raw
JSON of a Binance USD-M futures stream (diff depth, trades, best quotes) and one REST
depth snapshot, which may come some messages late. Plain text or gzip.
"""

from __future__ import annotations

import gzip
import math
import zlib
from bisect import bisect_left
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from wrappy.errors import BookGapError, ConfigError
from wrappy.venue.events import SetIndexPrice, SetLevel, Take

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

    from wrappy.model import Market
    from wrappy.venue.events import FlowAction

BAND_LEVELS: Final = 50
"""Best price levels a side that are shown by default."""

INDEX_INTERVAL_US: Final = 500_000
"""Venue time between two index prices, at least."""

LOOP_PAUSE_US: Final = 1_000_000
"""Venue time between the end of a tape and its next pass."""

SNAPSHOT_WITHIN_LINES: Final = 20_000
"""Lines in which the snapshot must come; a start stays a matter of a moment."""

_FINE_DECIMALS: Final = 12
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


class TapeBook:
    """The recorded exchange's book, in ticks and lots of a market of ours.

    Where the market's tick is coarser than the tape's, bids round down and asks round
    up, and what falls together adds up: the spread never shrinks. Sizes round down to
    lots; a level below one lot does not show.
    """

    def __init__(self, market: Market) -> None:
        self._bids = _TapeSide(market, is_ask=False)
        self._asks = _TapeSide(market, is_ask=True)
        self._snapshot_id = 0
        self._last_id: int | None = None

    def load(self, snapshot: Snapshot) -> None:
        """Start from a snapshot."""
        self._snapshot_id = snapshot.last_update_id
        self._bids.update(snapshot.bids)
        self._asks.update(snapshot.asks)

    def apply(self, update: DepthUpdate) -> bool:
        """Apply the next diff; return False for one that the snapshot contains.

        The exchange documents the sequence: diffs that end before the snapshot are
        dropped, the first one applied spans it, each further one names its
        predecessor.

        Raises:
            BookGapError: the diff does not follow what was applied before.
        """
        if self._last_id is None:
            if update.last < self._snapshot_id:
                return False
            follows = update.first <= self._snapshot_id
        else:
            follows = update.previous == self._last_id
        if not follows:
            raise BookGapError(
                f"update {update.first}..{update.last} (after {update.previous}) does "
                f"not follow {self._last_id or self._snapshot_id}"
            )
        self._last_id = update.last
        self._bids.update(update.bids)
        self._asks.update(update.asks)
        return True

    def best(self, levels: int) -> tuple[dict[int, int], dict[int, int]]:
        """Return lots by tick of the best `levels` bids and asks, best first."""
        return self._bids.best(levels), self._asks.best(levels)


class _TapeSide:
    def __init__(self, market: Market, *, is_ask: bool) -> None:
        self._sign = 1 if is_ask else -1  # ranks ascend from the best price
        self._tick = int(10 ** (_FINE_DECIMALS - market.price_decimals))
        self._lot = int(10 ** (_FINE_DECIMALS - market.size_decimals))
        self._recorded: dict[int, int] = {}  # exact price: exact size
        self._sizes: dict[int, int] = {}  # rank: exact size of all prices in it
        self._ranks: list[int] = []

    def update(self, levels: Iterable[tuple[str, str]]) -> None:
        for price_text, size_text in levels:
            price, size = _fine(price_text), _fine(size_text)
            rank = -(-self._sign * price // self._tick)
            change = size - self._recorded.pop(price, 0)
            if size:
                self._recorded[price] = size
            if change:
                self._change(rank, change)

    def _change(self, rank: int, change: int) -> None:
        total = self._sizes.pop(rank, 0)
        if not total:
            self._ranks.insert(bisect_left(self._ranks, rank), rank)
        if total + change:
            self._sizes[rank] = total + change
        else:
            del self._ranks[bisect_left(self._ranks, rank)]

    def best(self, levels: int) -> dict[int, int]:
        shown = (
            (self._sign * rank, lots)
            for rank in self._ranks
            if rank and (lots := self._sizes[rank] // self._lot)
        )
        return dict(islice(shown, levels))


class TapeFlow:
    """A tape, replayed: its book as levels, its trades as takers.

    Replay begins at the snapshot; messages before it only complete it. The best
    `levels` prices a side are shown: as the market moves, levels that come into this
    band appear and those that leave it go. Trades print at the tape's price even
    where nothing rests. The index price is the tape's mid price. Nothing reacts to
    what users do.

    The file is read as the replay goes on. A damaged line ends the replay with the
    error of the step that reaches it.

    Args:
        path: the tape, plain or gzip.
        market: the market it is played into; the tape must be of its symbol.
        speed: venue time runs at the tape's pace times this, above 0.
        loop: start over at the end, `LOOP_PAUSE_US` later.
        levels: prices a side that are shown.

    Raises:
        ConfigError: the file is missing, empty, of another format or symbol, or has
            no snapshot.
        BookGapError: a diff is missing from the tape.
    """

    def __init__(
        self,
        path: Path,
        market: Market,
        *,
        speed: float = 1.0,
        loop: bool = False,
        levels: int = BAND_LEVELS,
    ) -> None:
        if not (math.isfinite(speed) and speed > 0):
            raise ConfigError(f"speed: {speed!r} is not above 0")
        if levels < 1:
            raise ConfigError(f"levels: {levels} is below 1")
        self._path = path
        self._market = market
        self._ns_per_us = 1_000 * speed
        self._levels = levels
        self._shown: tuple[dict[int, int], dict[int, int]] = ({}, {})  # bids, asks
        self._eaten: tuple[set[int], set[int]] = (set(), set())
        self._index_due_us = 0
        self._schedule = self._passes(loop=loop)
        self._next = next(self._schedule, None)

    def next_at_us(self) -> int | None:
        """Return when the next message is due, or None at the end of the tape."""
        return None if self._next is None else self._next[0]

    def step(self, now_us: int) -> list[FlowAction]:
        """Return the actions of all messages due up to and including `now_us`."""
        actions: list[FlowAction] = []
        while self._next is not None and self._next[0] <= now_us:
            actions += self._next[1]
            self._next = None  # a reading error ends the flow
            self._next = next(self._schedule, None)
        return actions

    def close(self) -> None:
        """End the replay and close the file."""
        self._next = None
        self._schedule.close()

    def _passes(
        self, *, loop: bool
    ) -> Generator[tuple[int, list[FlowAction]], None, None]:
        start_us = 0
        while True:
            at_us = start_us
            for at_us, actions in self._one_pass(start_us):
                yield at_us, actions
            if not loop:
                return
            start_us = at_us + LOOP_PAUSE_US

    def _one_pass(self, start_us: int) -> Iterator[tuple[int, list[FlowAction]]]:
        lines = self._own_lines()
        book = TapeBook(self._market)
        begin = self._begin(lines, book)
        at_us = start_us
        with _located(self._path, begin.number):
            actions = self._quotes(book, at_us)
        yield at_us, actions
        for line in lines:
            elapsed_us = round((line.received_ns - begin.received_ns) / self._ns_per_us)
            at_us = max(at_us, start_us + elapsed_us)  # a clock set back stands still
            with _located(self._path, line.number):
                actions = self._actions(line.message, book, at_us)
            if actions:
                yield at_us, actions

    def _own_lines(self) -> Iterator[TapeLine]:
        for line in read_tape(self._path):
            if line.symbol not in (None, self._market.symbol):
                raise ConfigError(
                    f"tape: {self._path}: line {line.number} is of {line.symbol}; "
                    f"play it into that market, not into {self._market.symbol}"
                )
            yield line

    def _begin(self, lines: Iterator[TapeLine], book: TapeBook) -> TapeLine:
        # The recorder subscribes first and fetches the snapshot then, so diffs that
        # the snapshot lacks may stand before it.
        early: list[tuple[int, DepthUpdate]] = []
        for line in islice(lines, SNAPSHOT_WITHIN_LINES):
            if isinstance(line.message, DepthUpdate):
                early.append((line.number, line.message))
            elif isinstance(line.message, Snapshot):
                with _located(self._path, line.number):
                    book.load(line.message)
                for number, update in early:
                    with _located(self._path, number):
                        book.apply(update)
                return line
        raise ConfigError(
            f"tape: {self._path} has no depth snapshot in its first "
            f"{SNAPSHOT_WITHIN_LINES:,} lines"
        )

    def _actions(
        self,
        message: DepthUpdate | TapeTrade | Snapshot | None,
        book: TapeBook,
        at_us: int,
    ) -> list[FlowAction]:
        if isinstance(message, TapeTrade):
            return self._trade(message)
        if isinstance(message, DepthUpdate) and book.apply(message):
            return self._quotes(book, at_us)
        return []  # a later snapshot tells nothing that the diffs did not

    def _trade(self, trade: TapeTrade) -> list[FlowAction]:
        price = _rounded(_fine(trade.price), self._market.price_decimals)
        base = _fine(trade.quantity) // 10 ** (
            _FINE_DECIMALS - self._market.size_decimals
        )
        if not (price and base):
            return []
        is_ask = trade.buyer_is_maker
        makers = self._shown[0 if is_ask else 1]
        # The exchange lets the trade eat what we show, the tape tells later what was
        # left: until then the levels in reach are not known to stand.
        self._eaten[0 if is_ask else 1].update(
            tick for tick in makers if (tick >= price if is_ask else tick <= price)
        )
        return [Take(self._market.market_id, is_ask, price, base, print_rest=True)]

    def _quotes(self, book: TapeBook, at_us: int) -> list[FlowAction]:
        wanted = book.best(self._levels)
        bids, asks = wanted
        if bids and asks and next(iter(bids)) >= next(iter(asks)):
            raise ValueError("the recorded book crosses itself")
        # Whatever shrinks goes first, on both sides: no quote meets a stale one.
        shrinking: list[FlowAction] = []
        growing: list[FlowAction] = []
        for is_ask, new in enumerate(wanted):
            old, eaten = self._shown[is_ask], self._eaten[is_ask]
            for price, base in old.items():
                left = new.get(price, 0)
                if left < base:
                    shrinking.append(self._level(is_ask, price, left))
            for price, base in new.items():
                shown = old.get(price, 0)
                if base > shown or (base == shown and price in eaten):
                    growing.append(self._level(is_ask, price, base))
            eaten.clear()
        self._shown = wanted
        actions = shrinking + growing
        if bids and asks and at_us >= self._index_due_us:
            mid = (next(iter(bids)) + next(iter(asks))) // 2
            actions.append(SetIndexPrice(self._market.market_id, mid))
            self._index_due_us = at_us + INDEX_INTERVAL_US
        return actions

    def _level(self, is_ask: int, price: int, base: int) -> SetLevel:
        return SetLevel(self._market.market_id, bool(is_ask), price, base)


@contextmanager
def _located(path: Path, number: int) -> Iterator[None]:
    try:
        yield
    except BookGapError as error:
        raise BookGapError(f"tape: {path}: line {number}: {error}") from error
    except ValueError as error:
        raise ConfigError(f"tape: {path}: line {number}: {error}") from error


def _parse(line: bytes, number: int, path: Path) -> TapeLine:
    received, _, body = line.partition(b" ")
    with _located(path, number):
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


def _fine(text: str) -> int:
    whole, _, part = text.partition(".")
    if not (whole + part).isdecimal() or len(part) > _FINE_DECIMALS:
        raise ValueError(f"{text!r} is not a decimal number")
    return int(whole + part.ljust(_FINE_DECIMALS, "0"))


def _rounded(fine: int, decimals: int) -> int:
    unit = int(10 ** (_FINE_DECIMALS - decimals))
    return (2 * fine + unit) // (2 * unit)
