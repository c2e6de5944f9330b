"""Shapes of what a dealer's calls return.

The first calls of the API return plain dicts; everything newer returns frozen
dataclasses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from decimal import Decimal

    from wrappy.model import Receipt, Side


class OrderResult(TypedDict, total=False):
    """What a call that makes, changes or cancels one order answers.

    Keys:
        client_order_index: the order's number; follow it with the overlay.
        status: `queued` until the flush, then `sent`; `dry_run` when nothing goes.
        symbol, market_index, side, price, size: the order as it will be sent, price
            and size as `Decimal` after rounding.
        trigger_price: of an order that waits for one.
        tx_hash: hash of the transaction, once it is sent.
        error: why nothing was done, in one word; only `order_not_found_by_coi`.
    """

    client_order_index: int
    status: str
    symbol: str
    market_index: int
    side: str
    price: Decimal
    size: Decimal
    trigger_price: Decimal
    tx_hash: str
    error: str


class OrderOutcome(TypedDict):
    """What became of one transaction of a flush.

    Keys:
        client_order_index: the order it acts on, None where it acts on no single one.
        tx_hash: its hash.
        outcome: `accepted`, or `dry_run` when it was kept back.
    """

    client_order_index: int | None
    tx_hash: str
    outcome: str


class FlushResult(TypedDict):
    """What a flush answers.

    Keys:
        code: 200; anything else raises.
        count: transactions sent.
        tx_hash: their hashes, in sending order.
        client_order_indices: the orders they act on, None where they act on no
            single one.
        predicted_execution_time_ms: the exchange's guess for the last batch.
        volume_quota_remaining: the exchange's count, if it tells.
        batches: how many requests it took.
        dry_run: whether everything was kept back.
        orders: the outcome of each transaction, in sending order.
    """

    code: int
    count: int
    tx_hash: list[str]
    client_order_indices: list[int | None]
    predicted_execution_time_ms: int | None
    volume_quota_remaining: int | None
    batches: int
    dry_run: bool
    orders: list[OrderOutcome]


class BatchResult(FlushResult):
    """What `batch_cancel_and_create` answers.

    Keys:
        created: numbers of the new orders, in the order of the request.
        canceled: numbers whose cancels were sent.
    """

    created: list[int]
    canceled: list[int]


class BalanceResult(TypedDict):
    """An account's money, in USDC.

    Keys:
        collateral: cash, without open profit and loss.
        available_balance: what new positions may use.
        total_asset_value: collateral and open profit and loss.
    """

    collateral: Decimal
    available_balance: Decimal
    total_asset_value: Decimal


OrderDict = dict[str, Any]
"""An order as the exchange tells it: `status`, `price`, `filled_base_amount`, ..."""

TradeDict = dict[str, Any]
"""A trade as the exchange tells it: `trade_id`, `price`, `size`, `timestamp`, ..."""

MarginMode = Literal["cross", "isolated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedOrders:
    """Numbers of orders that were queued as one transaction.

    Attributes:
        entry: the order that the others wait for, None without one.
        take_profit: None without one.
        stop_loss: None without one.
        status: `queued` until the flush.
    """

    entry: int | None = None
    take_profit: int | None = None
    stop_loss: int | None = None
    status: str = "queued"

    @property
    def client_order_indices(self) -> tuple[int, ...]:
        """The numbers that there are, the entry's first."""
        numbers = (self.entry, self.take_profit, self.stop_loss)
        return tuple(number for number in numbers if number is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseReport:
    """What closing a position came to.

    Attributes:
        symbol: the market.
        before: signed position at the start, in the base asset.
        after: signed position at the end, as the exchange tells it.
        orders: receipts of what was sent, as they stood at the end.
    """

    symbol: str
    before: Decimal
    after: Decimal
    orders: tuple[Receipt, ...] = ()

    @property
    def is_flat(self) -> bool:
        """Whether nothing is left."""
        return not self.after

    @property
    def closed(self) -> Decimal:
        """How much smaller the position has become, unsigned."""
        return abs(self.before) - abs(self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginSetting:
    """How one market's position is margined.

    Attributes:
        initial_margin_fraction: in 1e-4 of the position's value; 500 is 20x.
        margin_mode: `cross` or `isolated`.
        allocated_margin: USDC set aside for an isolated position.
    """

    initial_margin_fraction: int
    margin_mode: MarginMode
    allocated_margin: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """The exchange's word on one order.

    Attributes:
        client_order_index: 0 for an order that was placed without one.
        order_index: the exchange's own number.
        market_index: its market.
        side: which way it goes.
        order_type: in the exchange's words, such as `limit` or `stop-loss`.
        status: in the exchange's words, such as `open` or `canceled-expired`.
        is_live: whether it can still trade.
        price: in USDC.
        size: total size in the base asset, unsigned.
        filled: traded so far, unsigned.
        average_price: of what has traded, in USDC; None before the first trade.
        trigger_price: None for an order without one.
        reduce_only: whether it may only shrink a position.
        parent_order_index: the order it depends on, None without one.
    """

    client_order_index: int
    order_index: int
    market_index: int
    side: Side
    order_type: str
    status: str
    is_live: bool
    price: Decimal
    size: Decimal
    filled: Decimal
    average_price: Decimal | None
    trigger_price: Decimal | None
    reduce_only: bool
    parent_order_index: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One trade of the account.

    Attributes:
        trade_id: grows with time; the natural key against duplicates.
        market_index: its market.
        client_order_index: our order; 0 if it was placed without one.
        order_index: our order, by the exchange's number.
        side: our side.
        price: in USDC.
        size: in the base asset, unsigned.
        is_maker: whether our order rested.
        fee: our fee in USDC; what is negative was paid to us.
        timestamp_ms: the exchange's time, unix milliseconds.
    """

    trade_id: int
    market_index: int
    client_order_index: int
    order_index: int
    side: Side
    price: Decimal
    size: Decimal
    is_maker: bool
    fee: Decimal
    timestamp_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadManState:
    """The dead man's switch of an account, as its dealer knows it.

    Attributes:
        horizon_s: how long the dealer may be silent.
        armed_until_s: unix seconds at which every order of the account is
            canceled unless it is renewed; None while nothing is armed.
        renewals: schedules the exchange accepted so far.
        last_error: why the latest try failed; empty when it did not.
    """

    horizon_s: int
    armed_until_s: float | None
    renewals: int
    last_error: str
