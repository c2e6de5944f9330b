"""Shapes of the plain dicts that a dealer's calls return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from decimal import Decimal


class OrderResult(TypedDict, total=False):
    """What a call that makes, changes or cancels one order answers.

    Keys:
        client_order_index: the order's number; follow it with the overlay.
        status: `queued` until the flush, then `sent`; `dry_run` when nothing goes.
        symbol, market_index, side, price, size: the order as it will be sent, price
            and size as `Decimal` after rounding.
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
    tx_hash: str
    error: str


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
    """

    code: int
    count: int
    tx_hash: list[str]
    client_order_indices: list[int | None]
    predicted_execution_time_ms: int | None
    volume_quota_remaining: int | None
    batches: int
    dry_run: bool


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
