"""Values that every room shares: markets, orders, fills, positions.

Prices and sizes inside are integers: ticks and lots of the market. `Decimal`
stands only in what a caller sees.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

Money: TypeAlias = float | int | str | Decimal
"""What callers may pass as a price or a size."""


class Side(enum.Enum):
    """Direction of an order."""

    BUY = "buy"
    SELL = "sell"

    @property
    def is_ask(self) -> bool:
        """Whether this is the selling side."""
        return self is Side.SELL


class OrderType(enum.IntEnum):
    """Order types by their number on the wire (official signer's list)."""

    LIMIT = 0
    MARKET = 1
    STOP_LOSS = 2
    STOP_LOSS_LIMIT = 3
    TAKE_PROFIT = 4
    TAKE_PROFIT_LIMIT = 5
    TWAP = 6


class TimeInForce(enum.IntEnum):
    """Times in force by their number on the wire."""

    IMMEDIATE_OR_CANCEL = 0
    GOOD_TILL_TIME = 1
    POST_ONLY = 2


class SelfTrade(enum.IntEnum):
    """What happens when an order meets an order of the same owner (attribute 6)."""

    EXPIRE_MAKER = 0
    EXPIRE_TAKER = 1
    EXPIRE_BOTH = 2
    REDUCE = 3


class OrderStatus(enum.Enum):
    """Life of one of our orders, as this client knows it."""

    QUEUED = "queued"
    SENT = "sent"
    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    UNKNOWN = "unknown"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"

    # Each state exists once. The inherited hash is computed in Python, and half of
    # the time that a report of the exchange takes would go there.
    __hash__ = object.__hash__

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can happen to the order any more."""
        return self in TERMINAL_STATUSES


TERMINAL_STATUSES = frozenset(
    {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED}
)


class ReceiptStage(enum.Enum):
    """How far an order's first transaction is known to have come."""

    QUEUED = "queued"
    """It waits here for a flush."""

    ACCEPTED = "accepted"
    """The exchange has checked and numbered it; it is not executed yet."""

    EXECUTED = "executed"
    """It was carried out: the order rests, traded or was taken away since."""

    REJECTED = "rejected"
    """The exchange said no, at the door or when it was carried out."""

    UNKNOWN = "unknown"
    """It left, no answer came back: it may exist."""

    NOT_SENT = "not_sent"
    """It never left this program and will not."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing about the first transaction is open any more."""
        return self in _SETTLED_STAGES


_SETTLED_STAGES = frozenset(
    {ReceiptStage.EXECUTED, ReceiptStage.REJECTED, ReceiptStage.NOT_SENT}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What is known of one order: accepted or not, executed or not.

    Attributes:
        client_order_index: the order.
        stage: how far its first transaction has come.
        status: where the order itself stands.
        tx_hash: hash of its first transaction; None while it is not known.
        filled: traded so far, in the base asset, unsigned.
        price: limit or worst price in USDC; None when not known.
        size: total size in the base asset, unsigned; None when not known.
        reason: what went wrong or ended it, in words; empty while nothing did.
        queued_at_s: when it was queued here; None for an order placed elsewhere.
            Times are unix seconds by this machine's clock.
        accepted_at_s: when the acceptance was known here, None before.
        settled_at_s: when execution or rejection was known here, None before.
    """

    client_order_index: int
    stage: ReceiptStage
    status: OrderStatus
    tx_hash: str | None
    filled: Decimal
    price: Decimal | None
    size: Decimal | None
    reason: str
    queued_at_s: float | None
    accepted_at_s: float | None
    settled_at_s: float | None


@dataclass(frozen=True, slots=True)
class Market:
    """One market's facts, as `orderBookDetails` tells them.

    Attributes:
        symbol: name such as `ETH`, of a spot market such as `ETH/USDC`.
        market_id: index on the wire; 0..254 perpetuals, 2048..4094 spot markets.
        price_decimals: a tick is 10**-price_decimals USDC.
        size_decimals: a lot is 10**-size_decimals of the base asset.
        min_base_amount: smallest resting order, in lots.
        min_quote_amount: smallest resting order's value, in 1e-6 USDC.
        order_quote_limit: largest order's value, in 1e-6 USDC.
        initial_margin_fraction: default initial margin, in 1e-4.
        min_initial_margin_fraction: initial margin at the highest leverage, in 1e-4.
        maintenance_margin_fraction: in 1e-4.
        closeout_margin_fraction: in 1e-4.
        active: whether the market trades.
        market_type: `perp` or `spot`; margin fractions mean nothing in a spot market.
        base_asset_id: number of the asset that is bought and sold; 0 for perpetuals.
        quote_asset_id: number of the asset it is paid with; 0 for perpetuals.
    """

    symbol: str
    market_id: int
    price_decimals: int
    size_decimals: int
    min_base_amount: int = 1
    min_quote_amount: int = 0
    order_quote_limit: int = 281_474_976_710_655
    initial_margin_fraction: int = 500
    min_initial_margin_fraction: int = 200
    maintenance_margin_fraction: int = 120
    closeout_margin_fraction: int = 80
    active: bool = True
    market_type: str = "perp"
    base_asset_id: int = 0
    quote_asset_id: int = 0

    @property
    def is_spot(self) -> bool:
        """Whether assets change hands here, and not positions."""
        return self.market_type == "spot"

    @property
    def base_symbol(self) -> str:
        """Name of the asset that sizes count, such as `ETH`."""
        return self.symbol.partition("/")[0]

    @property
    def price_scale(self) -> int:
        """Ticks in one USDC."""
        return int(10**self.price_decimals)

    @property
    def size_scale(self) -> int:
        """Lots in one unit of the base asset."""
        return int(10**self.size_decimals)

    @property
    def tick_size(self) -> Decimal:
        """Smallest price step in USDC."""
        return Decimal(1).scaleb(-self.price_decimals)

    @property
    def lot_size(self) -> Decimal:
        """Smallest size step in the base asset."""
        return Decimal(1).scaleb(-self.size_decimals)

    @property
    def quote_multiplier(self) -> int:
        """Quote units (1e-6 USDC) in one lot at a price of one tick."""
        return int(10 ** (6 - self.price_decimals - self.size_decimals))

    def price(self, price_int: int) -> Decimal:
        """Return `price_int` ticks in USDC."""
        return Decimal(price_int).scaleb(-self.price_decimals)

    def size(self, base_amount: int) -> Decimal:
        """Return `base_amount` lots in the base asset."""
        return Decimal(base_amount).scaleb(-self.size_decimals)


def usdc(quote_amount: int) -> Decimal:
    """Return `quote_amount` (1e-6 USDC) in USDC."""
    return Decimal(quote_amount).scaleb(-6)


@dataclass(frozen=True, slots=True)
class Trade:
    """One public trade.

    Attributes:
        trade_id: grows with time; the natural key against duplicates.
        market_id: market of the trade.
        price: in USDC.
        size: in the base asset, unsigned.
        side: side of the taker.
        timestamp_ms: venue time, unix milliseconds.
    """

    trade_id: int
    market_id: int
    price: Decimal
    size: Decimal
    side: Side
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Position:
    """One market's position of an account.

    Attributes:
        market_id: market of the position.
        symbol: its name.
        size: signed, positive when long, in the base asset.
        average_entry_price: in USDC; 0 when flat.
        realized_pnl: in USDC.
        unrealized_pnl: in USDC at the mark price.
    """

    market_id: int
    symbol: str
    size: Decimal
    average_entry_price: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal


@dataclass(frozen=True, slots=True)
class PriceLevel:
    """One price of a book.

    Attributes:
        price: in USDC.
        size: all that rests there, in the base asset.
    """

    price: Decimal
    size: Decimal


@dataclass(frozen=True, slots=True)
class Ticker:
    """The best prices of a market.

    Attributes:
        symbol: name of the market.
        market_id: its index.
        bid: best price somebody buys at, None when nobody does.
        ask: best price somebody sells at, None when nobody does.
        nonce: number of the change in the matching engine, growing; None if not
            told.
        updated_us: when the book changed last, unix microseconds of the exchange's
            clock; 0 before its first change.
    """

    symbol: str
    market_id: int
    bid: PriceLevel | None
    ask: PriceLevel | None
    nonce: int | None
    updated_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketStats:
    """A market's figures; None is what the exchange does not say.

    Prices are in USDC. Spot markets have no mark price, interest and funding.

    Attributes:
        market_id: index of the market.
        symbol: its name.
        index_price: of the oracles.
        mark_price: that positions are valued at.
        mid_price: between best bid and best ask.
        best_bid_price: best price somebody buys at.
        best_ask_price: best price somebody sells at.
        last_trade_price: of the newest trade.
        open_interest: as the exchange tells it.
        open_interest_limit: its cap.
        funding_rate: of the last payment, in percent.
        current_funding_rate: estimate for the next payment, in percent.
        funding_timestamp_ms: time of the last payment, unix milliseconds.
        daily_base_volume: traded within a day, in the base asset.
        daily_quote_volume: traded within a day, in USDC.
        daily_low: lowest price within a day.
        daily_high: highest price within a day.
        daily_change: of the price within a day, in percent.
        timestamp_ms: when the exchange said so, unix milliseconds of its clock;
            does not count for equality.
    """

    market_id: int
    symbol: str
    index_price: Decimal | None
    mark_price: Decimal | None
    mid_price: Decimal | None
    best_bid_price: Decimal | None
    best_ask_price: Decimal | None
    last_trade_price: Decimal | None
    open_interest: Decimal | None
    open_interest_limit: Decimal | None
    funding_rate: Decimal | None
    current_funding_rate: Decimal | None
    funding_timestamp_ms: int | None
    daily_base_volume: Decimal | None
    daily_quote_volume: Decimal | None
    daily_low: Decimal | None
    daily_high: Decimal | None
    daily_change: Decimal | None
    timestamp_ms: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Candle:
    """Prices and volumes of one stretch of time.

    Attributes:
        start_ms: its beginning, unix milliseconds of the exchange's clock.
        open: first price in USDC.
        high: highest price in USDC.
        low: lowest price in USDC.
        close: last price in USDC.
        base_volume: traded, in the base asset.
        quote_volume: traded, in USDC.
        last_trade_id: newest trade in it.
        closed: whether a later candle was seen, so that this one is over.
    """

    start_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    base_volume: Decimal
    quote_volume: Decimal
    last_trade_id: int
    closed: bool
