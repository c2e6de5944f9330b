"""What an account can ask for, in wire integers, and what it becomes when signed."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from wrappy.model import OrderType, TimeInForce

_WITHOUT_TRIGGER = frozenset({OrderType.LIMIT, OrderType.MARKET})


class TxType(enum.IntEnum):
    """Transaction types an account can sign, by their number on the wire."""

    CHANGE_PUB_KEY = 8
    CREATE_SUB_ACCOUNT = 9
    TRANSFER = 12
    WITHDRAW = 13
    CREATE_ORDER = 14
    CANCEL_ORDER = 15
    CANCEL_ALL_ORDERS = 16
    MODIFY_ORDER = 17
    UPDATE_LEVERAGE = 20
    CREATE_GROUPED_ORDERS = 28
    UPDATE_MARGIN = 29
    UPDATE_ACCOUNT_CONFIG = 41
    UPDATE_ACCOUNT_ASSET_CONFIG = 42
    APPROVE_INTEGRATOR = 45


@dataclass(frozen=True, slots=True)
class CreateOrder:
    """A new order, in wire integers.

    Attributes:
        market_index: market, 0..4095.
        client_order_index: the caller's own number, `1..2**48-1`; 0 for none.
        base_amount: size in lots, `0..2**48-1`.
        price: limit or worst price in ticks, `1..2**32-1`.
        is_ask: whether the order sells.
        order_type: 0 limit, 1 market, 2..5 stop and take-profit orders, 6 TWAP.
        time_in_force: 0 immediate or cancel, 1 good till time, 2 post only.
        reduce_only: whether the order may only shrink a position.
        trigger_price: in ticks; 0 for none.
        order_expiry: unix milliseconds, 0 for immediate or cancel, -1 for 28 days
            from the moment of signing.
    """

    tx_type: ClassVar[TxType] = TxType.CREATE_ORDER

    market_index: int
    client_order_index: int
    base_amount: int
    price: int
    is_ask: bool
    order_type: int = 0
    time_in_force: int = 1
    reduce_only: bool = False
    trigger_price: int = 0
    order_expiry: int = 0


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """The cancellation of one order.

    Attributes:
        market_index: market of the order.
        index: client order index (`1..2**48-1`) or order index
            (`2**48..2**60-1`).
    """

    tx_type: ClassVar[TxType] = TxType.CANCEL_ORDER

    market_index: int
    index: int


@dataclass(frozen=True, slots=True)
class ModifyOrder:
    """New numbers for a live order.

    Attributes:
        market_index: market of the order.
        index: client order index (`1..2**48-1`) or order index
            (`2**48..2**60-1`).
        base_amount: new size in lots.
        price: new price in ticks, `1..2**32-1`.
        trigger_price: new trigger in ticks; 0 for none.
    """

    tx_type: ClassVar[TxType] = TxType.MODIFY_ORDER

    market_index: int
    index: int
    base_amount: int
    price: int
    trigger_price: int = 0


@dataclass(frozen=True, slots=True)
class CancelAllOrders:
    """The cancellation of every order of the account.

    Attributes:
        time_in_force: 0 now, 1 at `time_ms`, 2 withdraws a scheduled one.
        time_ms: unix milliseconds of a scheduled one, else 0.
        market_index: only this market's orders (with `time_in_force` 0); `None`
            for all.
    """

    tx_type: ClassVar[TxType] = TxType.CANCEL_ALL_ORDERS

    time_in_force: int = 0
    time_ms: int = 0
    market_index: int | None = None


@dataclass(frozen=True, slots=True)
class UpdateLeverage:
    """A market's margin setting.

    Attributes:
        market_index: the market.
        initial_margin_fraction: in 1e-4, 1..10000 (500 is 20x).
        margin_mode: 0 cross, 1 isolated.
    """

    tx_type: ClassVar[TxType] = TxType.UPDATE_LEVERAGE

    market_index: int
    initial_margin_fraction: int
    margin_mode: int


@dataclass(frozen=True, slots=True)
class CreateGroupedOrders:
    """Two or three orders of one market that depend on each other.

    Attributes:
        grouping_type: 1 one triggers the other, 2 one cancels the other, 3 one
            triggers a pair that cancels each other.
        orders: two, or three with `grouping_type` 3, each as `CreateOrder` has
            it, the parent first. What the parent triggers has a `base_amount` of 0:
            it follows the parent's fills.
    """

    tx_type: ClassVar[TxType] = TxType.CREATE_GROUPED_ORDERS

    grouping_type: int
    orders: tuple[CreateOrder, ...]


@dataclass(frozen=True, slots=True)
class UpdateMargin:
    """Collateral moved into or out of an isolated position.

    Attributes:
        market_index: the position's market.
        usdc_amount: 1e-6 USDC, `1..2**60-1`.
        direction: 0 takes out, 1 puts in.
    """

    tx_type: ClassVar[TxType] = TxType.UPDATE_MARGIN

    market_index: int
    usdc_amount: int
    direction: int


Intent = (
    CreateOrder
    | CreateGroupedOrders
    | CancelOrder
    | ModifyOrder
    | CancelAllOrders
    | UpdateLeverage
    | UpdateMargin
)
"""What a signer can be asked to sign."""


def takes_at_once(intent: Intent) -> bool:
    """Return whether an intent is meant to trade the moment it is executed.

    That is a limit or market order that is immediate or cancel, alone or in a
    group; a stop or take-profit order waits for its trigger first.
    """
    orders = intent.orders if isinstance(intent, CreateGroupedOrders) else (intent,)
    return any(
        isinstance(order, CreateOrder)
        and order.time_in_force == TimeInForce.IMMEDIATE_OR_CANCEL
        and order.order_type in _WITHOUT_TRIGGER
        for order in orders
    )


@dataclass(frozen=True, slots=True)
class SignedTx:
    """A signed transaction, ready to be sent any number of times.

    Attributes:
        tx_type: its type.
        tx_info: the exact JSON text that goes on the wire.
        tx_hash: 80 hex digits; the exchange knows the transaction by it.
        nonce: the nonce it spends.
        expired_at_ms: unix milliseconds after which it can no longer be executed.
        account_index: the account that signed.
        api_key_index: the key that signed.
    """

    tx_type: TxType
    tx_info: str
    tx_hash: str
    nonce: int
    expired_at_ms: int
    account_index: int
    api_key_index: int
