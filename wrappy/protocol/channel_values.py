"""Numbers in frames, and the payloads of the market channels, as typed values.

Amounts come as decimal text or as JSON numbers; both become `Decimal` digit by
digit, without a `float` in between. What is no finite number of sensible length is
refused here, so nobody behind has to ask. Source of the fields: official WebSocket
reference, recorded frames.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Final, TypeVar

import msgspec

from wrappy.errors import ProtocolError
from wrappy.model import Candle, MarketStats, PriceLevel, Ticker
from wrappy.protocol.market_frames import COUNT_MAX

T = TypeVar("T")

_DIGITS: Final = rb"-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?"
_NUMBER: Final = re.compile(rb'"(%b)"|(%b)' % (_DIGITS, _DIGITS))
"""A number, bare or as text: 40 digits are more than any amount has."""

_ABSENT: Final = (b"null", b'""')
_SHOWN: Final = 40
"""Characters of a wrong value that a message shows."""

MOST_ADJUSTED: Final = 40
"""Power of ten beyond which a number counts as nonsense."""

Unread = msgspec.Raw
"""An amount as it stands in the frame, read by `amount`."""

NOT_TOLD: Final = Unread(b"null")
"""What an amount that is missing counts as."""

Index = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)]
"""A whole number that is not negative; beyond the limit JSON readers disagree."""


def amount(value: Unread, name: str, *, signed: bool = False) -> Decimal | None:
    """Return an amount, None if the exchange does not tell it (`null` or "").

    Args:
        value: the amount as it stands in the frame.
        name: of the field, for the message.
        signed: whether it may be negative.

    Raises:
        ProtocolError: no number, not finite, beyond all measure, or negative.
    """
    raw = bytes(value)
    match = _NUMBER.fullmatch(raw)
    if match is None:
        if raw in _ABSENT:
            return None
        shown = raw[:_SHOWN].decode("utf-8", "replace")
        raise ProtocolError(f"{name}: {shown} is not a decimal number")
    number = Decimal((match[1] or match[2]).decode("ascii"))
    if number and abs(number.adjusted()) > MOST_ADJUSTED:
        raise ProtocolError(f"{name}: {number} is beyond all measure")
    if number < 0 and not signed:
        raise ProtocolError(f"{name}: {number} is negative")
    return number


def required(value: Unread, name: str, *, signed: bool = False) -> Decimal:
    """Return an amount that must be told; see `amount`.

    Raises:
        ProtocolError: it is missing, or `amount` refuses it.
    """
    number = amount(value, name, signed=signed)
    if number is None:
        raise ProtocolError(f"{name}: missing")
    return number


def read_frame(decoder: msgspec.json.Decoder[T], raw: bytes, name: str) -> T:
    """Return a frame's content.

    Raises:
        ProtocolError: the frame is no JSON, or a field has the wrong type; the
            message names the field.
    """
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"{name}: {error}") from error


class _Level(msgspec.Struct):
    price: Unread = NOT_TOLD
    size: Unread = NOT_TOLD


class _Ticker(msgspec.Struct):
    a: _Level | None
    b: _Level | None
    s: str = ""
    last_updated_at: Index | None = None


class _TickerFrame(msgspec.Struct):
    ticker: _Ticker
    nonce: Index | None = None


_TICKER: Final = msgspec.json.Decoder(_TickerFrame)


def read_ticker(raw: bytes, market_id: int) -> Ticker:
    """Return the best prices that a frame of `ticker` tells.

    Raises:
        ProtocolError: the frame cannot be read.
    """
    frame = read_frame(_TICKER, raw, "ticker")
    told = frame.ticker
    return Ticker(
        symbol=told.s,
        market_id=market_id,
        bid=_level(told.b, "ticker.b"),
        ask=_level(told.a, "ticker.a"),
        nonce=frame.nonce,
        updated_us=told.last_updated_at or 0,
    )


def _level(told: _Level | None, name: str) -> PriceLevel | None:
    """Return one side's best level; an empty side is printed as empty texts."""
    if told is None:
        return None
    price = amount(told.price, f"{name}.price")
    size = amount(told.size, f"{name}.size")
    if not price and not size:
        return None
    if not price or not size:
        raise ProtocolError(f"{name}: price {price} with size {size} is no level")
    return PriceLevel(price, size)


class _Stats(msgspec.Struct):
    market_id: Index
    symbol: str = ""
    index_price: Unread = NOT_TOLD
    mark_price: Unread = NOT_TOLD
    mid_price: Unread = NOT_TOLD
    best_bid_price: Unread = NOT_TOLD
    best_ask_price: Unread = NOT_TOLD
    last_trade_price: Unread = NOT_TOLD
    open_interest: Unread = NOT_TOLD
    open_interest_limit: Unread = NOT_TOLD
    funding_rate: Unread = NOT_TOLD
    current_funding_rate: Unread = NOT_TOLD
    funding_timestamp: Index | None = None
    daily_base_token_volume: Unread = NOT_TOLD
    daily_quote_token_volume: Unread = NOT_TOLD
    daily_price_low: Unread = NOT_TOLD
    daily_price_high: Unread = NOT_TOLD
    daily_price_change: Unread = NOT_TOLD


class _StatsFrame(msgspec.Struct):
    market_stats: _Stats | None = None
    spot_market_stats: _Stats | None = None
    timestamp: Index | None = None


class _AllStatsFrame(msgspec.Struct):
    market_stats: dict[str, _Stats | None] | None = None
    spot_market_stats: dict[str, _Stats | None] | None = None
    timestamp: Index | None = None


_STATS: Final = msgspec.json.Decoder(_StatsFrame)
_ALL_STATS: Final = msgspec.json.Decoder(_AllStatsFrame)


def read_market_stats(raw: bytes, market_id: int) -> MarketStats:
    """Return the figures that a frame of one market tells, perpetual or spot.

    Raises:
        ProtocolError: the frame cannot be read, or tells of another market.
    """
    frame = read_frame(_STATS, raw, "market_stats")
    told = frame.market_stats or frame.spot_market_stats
    if told is None:
        raise ProtocolError("market_stats: missing")
    if told.market_id != market_id:
        raise ProtocolError(
            f"market_stats.market_id: {told.market_id} is not market {market_id}"
        )
    return _market_stats(told, frame.timestamp)


def read_all_market_stats(raw: bytes) -> dict[int, MarketStats]:
    """Return the figures of every market a frame of `all` names, by market index.

    Raises:
        ProtocolError: the frame cannot be read.
    """
    frame = read_frame(_ALL_STATS, raw, "market_stats")
    rows = frame.market_stats or frame.spot_market_stats or {}
    return {
        told.market_id: _market_stats(told, frame.timestamp)
        for told in rows.values()
        if told is not None
    }


def _market_stats(told: _Stats, timestamp_ms: int | None) -> MarketStats:
    return MarketStats(
        market_id=told.market_id,
        symbol=told.symbol,
        index_price=amount(told.index_price, "index_price"),
        mark_price=amount(told.mark_price, "mark_price"),
        mid_price=amount(told.mid_price, "mid_price"),
        best_bid_price=amount(told.best_bid_price, "best_bid_price"),
        best_ask_price=amount(told.best_ask_price, "best_ask_price"),
        last_trade_price=amount(told.last_trade_price, "last_trade_price"),
        open_interest=amount(told.open_interest, "open_interest"),
        open_interest_limit=amount(told.open_interest_limit, "open_interest_limit"),
        funding_rate=amount(told.funding_rate, "funding_rate", signed=True),
        current_funding_rate=amount(
            told.current_funding_rate, "current_funding_rate", signed=True
        ),
        funding_timestamp_ms=told.funding_timestamp,
        daily_base_volume=amount(
            told.daily_base_token_volume, "daily_base_token_volume"
        ),
        daily_quote_volume=amount(
            told.daily_quote_token_volume, "daily_quote_token_volume"
        ),
        daily_low=amount(told.daily_price_low, "daily_price_low"),
        daily_high=amount(told.daily_price_high, "daily_price_high"),
        daily_change=amount(told.daily_price_change, "daily_price_change", signed=True),
        timestamp_ms=timestamp_ms,
    )


class _Candle(msgspec.Struct):
    start: Index = msgspec.field(name="t")
    open: Unread = msgspec.field(name="o")
    high: Unread = msgspec.field(name="h")
    low: Unread = msgspec.field(name="l")
    close: Unread = msgspec.field(name="c")
    base: Unread = msgspec.field(name="v", default=NOT_TOLD)
    quote: Unread = msgspec.field(name="V", default=NOT_TOLD)
    last_trade: Index | None = msgspec.field(name="i", default=None)


class _CandleFrame(msgspec.Struct):
    candles: list[_Candle | None] | None = None


_CANDLES: Final = msgspec.json.Decoder(_CandleFrame)


def read_candles(raw: bytes) -> list[Candle]:
    """Return the candles of a frame of `candle`, oldest first, none of them closed.

    Raises:
        ProtocolError: the frame cannot be read.
    """
    rows = read_frame(_CANDLES, raw, "candle").candles or []
    candles = [
        Candle(
            start_ms=row.start,
            open=required(row.open, "candles.o"),
            high=required(row.high, "candles.h"),
            low=required(row.low, "candles.l"),
            close=required(row.close, "candles.c"),
            base_volume=amount(row.base, "candles.v") or Decimal(0),
            quote_volume=amount(row.quote, "candles.V") or Decimal(0),
            last_trade_id=row.last_trade or 0,
            closed=False,
        )
        for row in rows
        if row is not None
    ]
    return sorted(candles, key=lambda candle: candle.start_ms)
