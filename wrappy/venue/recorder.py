"""From an exchange's frames to the lines of a recording. Pure: no socket, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from wrappy.errors import ProtocolError
from wrappy.protocol.channels import channel, parse_channel
from wrappy.protocol.frames import envelope_of
from wrappy.protocol.market_frames import COUNT_MAX, Count, read_book_frame
from wrappy.venue.recording import (
    RecordedBook,
    RecordedDelta,
    RecordedEnd,
    RecordedGap,
    RecordedTrade,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.model import Market
    from wrappy.protocol.market_frames import BookLevel
    from wrappy.venue.recording import Level, Row

PONG: Final = '{"type":"pong"}'
"""Answer to the exchange's own ping."""

_SHOWN: Final = 200
"""Characters of a refusal that a message shows."""


class _Trade(msgspec.Struct):
    trade_id: Count
    price: str
    size: str
    is_maker_ask: bool


class _TradeFrame(msgspec.Struct):
    trades: list[_Trade] | None = None
    liquidation_trades: list[_Trade] | None = None


class _ErrorFrame(msgspec.Struct):
    error: msgspec.Raw = msgspec.Raw(b"null")


_TRADES: Final = msgspec.json.Decoder(_TradeFrame)
_ERROR: Final = msgspec.json.Decoder(_ErrorFrame)


class Heard(NamedTuple):
    """What one frame brings.

    Attributes:
        rows: lines to write.
        say: messages to send, as JSON text.
    """

    rows: tuple[Row, ...] = ()
    say: tuple[str, ...] = ()


class Recorder:
    """What is known of each market, and what is to be written of it.

    A change that does not follow the book before it ends what is known: a gap is
    written, and the book is asked for anew.

    Args:
        markets: what to record.

    Attributes:
        gaps: how often something was lost.
        trades: how many trades were written.
        changes: how many books and changes were written.
    """

    def __init__(self, markets: Sequence[Market]) -> None:
        self._nonces: dict[int, int | None] = {m.market_id: None for m in markets}
        self._last_trade = dict.fromkeys(self._nonces, -1)
        self._broken: set[int] = set()
        self.gaps = self.trades = self.changes = 0

    def opening(self) -> tuple[str, ...]:
        """Return what to send on a new connection."""
        return tuple(
            _wish("subscribe", kind, index)
            for index in self._nonces
            for kind in ("order_book", "trade")
        )

    def complete(self) -> bool:
        """Return whether the book of every market is known."""
        return None not in self._nonces.values()

    def hear(self, raw: bytes, now_us: int) -> Heard:
        """Take in a frame that was received at `now_us`, unix microseconds.

        Raises:
            ProtocolError: the exchange refuses something, or what it sends is not
                what the protocol says.
        """
        envelope = envelope_of(raw)
        if envelope is None:
            raise ProtocolError("frame: no JSON object with a type and a channel")
        if envelope.type == "ping":
            return Heard(say=(PONG,))
        _refused(raw)
        about = parse_channel(envelope.channel or "")
        index = None if about is None else about.market_index
        if about is None or index not in self._nonces:
            return Heard()
        action, _, _ = envelope.type.partition("/")
        if about.kind.name == "trade" and action == "update":
            return Heard(tuple(self._trades(raw, index, now_us)))
        if about.kind.name == "order_book" and action == "subscribed":
            return Heard((self._book(raw, index, now_us),))
        if about.kind.name == "order_book" and action == "update":
            return self._change(raw, index, now_us)
        return Heard()

    def lost(self, now_us: int, why: str) -> tuple[Row, ...]:
        """Take in that the connection ended; return the lines to write."""
        known = [index for index, nonce in self._nonces.items() if nonce is not None]
        return tuple(self._gap(index, now_us, why) for index in known)

    @staticmethod
    def end(now_us: int) -> tuple[Row, ...]:
        """Return the last line."""
        return (RecordedEnd(now_us),)

    def _book(self, raw: bytes, index: int, now_us: int) -> Row:
        book = read_book_frame(raw).order_book
        self._nonces[index] = book.nonce
        self.changes += 1
        after_gap = index in self._broken
        self._broken.discard(index)
        bids, asks = _levels(book.bids), _levels(book.asks)
        return RecordedBook(now_us, index, book.nonce, bids, asks, after_gap)

    def _change(self, raw: bytes, index: int, now_us: int) -> Heard:
        change, known = read_book_frame(raw).order_book, self._nonces[index]
        if known is None:
            return Heard()  # of a book that is still to come
        if change.begin_nonce != known:
            why = f"change of {change.begin_nonce} after {known}"
            off = _wish("unsubscribe", "order_book", index)
            on = _wish("subscribe", "order_book", index)
            return Heard((self._gap(index, now_us, why),), (off, on))
        self._nonces[index] = change.nonce
        self.changes += 1
        bids, asks = _levels(change.bids), _levels(change.asks)
        return Heard((RecordedDelta(now_us, index, known, change.nonce, bids, asks),))

    def _gap(self, index: int, now_us: int, why: str) -> Row:
        self._nonces[index] = None
        self._broken.add(index)
        self.gaps += 1
        return RecordedGap(now_us, index, why)

    def _trades(self, raw: bytes, index: int, now_us: int) -> list[Row]:
        try:
            frame = _TRADES.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProtocolError(f"trade frame: {error}") from error
        found = [*(frame.trades or ()), *(frame.liquidation_trades or ())]
        rows: list[Row] = []
        for trade in sorted(found, key=lambda one: one.trade_id):
            if self._last_trade[index] < trade.trade_id <= COUNT_MAX:
                self._last_trade[index] = trade.trade_id
                taker_sold = not trade.is_maker_ask
                told = (trade.trade_id, trade.price, trade.size, taker_sold)
                rows.append(RecordedTrade(now_us, index, *told))
        self.trades += len(rows)
        return rows


def _wish(kind: str, name: str, index: int) -> str:
    wish = {"type": kind, "channel": channel(name, index).request_name}
    return msgspec.json.encode(wish).decode()


def _levels(levels: list[BookLevel] | None) -> list[Level]:
    return [(level.price, level.size) for level in levels or ()]


def _refused(raw: bytes) -> None:
    try:
        error = bytes(_ERROR.decode(raw).error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return  # whoever reads the content says what is wrong
    if error != b"null":
        shown = error[:_SHOWN].decode("utf-8", "replace")
        raise ProtocolError(f"the exchange refuses: {shown}")
