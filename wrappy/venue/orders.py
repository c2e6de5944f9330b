"""An order as the exchange keeps it: the matching engine's part and the wire's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from wrappy._core.matching import BookOrder
from wrappy.model import OrderType
from wrappy.protocol.intents import TxType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.venue.integrators import IntegratorTerms

OPEN: Final = "open"
PENDING: Final = "pending"
CANCELED: Final = "canceled"
CANCELED_OCO: Final = "canceled-oco"
CANCELED_CHILD: Final = "canceled-child"
CANCELED_LIQUIDATION: Final = "canceled-liquidation"
CANCELED_BALANCE: Final = "canceled-invalid-balance"
CANCELED_POSITION: Final = "canceled-position-not-allowed"
NOT_TRIGGERED_BY: Final = "na"
"""Trigger status of an order that waits for nothing."""
AWAITS_MARK: Final = "mark-price"
AWAITS_PARENT: Final = "parent-order"
AWAITS_SLICE: Final = "twap"
TWAP_SUB: Final = 7
"""Order type of one slice of a TWAP order; nobody can send it."""
LIQUIDATION: Final = 8
"""Order type with which the exchange closes a position; nobody can send it."""
TRADE: Final = "trade"
LIQUIDATION_TRADE: Final = "liquidation"
DELEVERAGE_TRADE: Final = "deleverage"

STOP_TYPES: Final = frozenset({OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT})
TRIGGER_TYPES: Final = STOP_TYPES | {OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT}
LIMITED_TRIGGER_TYPES: Final = frozenset(
    {OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT}
)
PENDING_TYPES: Final = TRIGGER_TYPES | {OrderType.TWAP}
AVERAGE_PRICE_TYPES: Final = frozenset(
    {OrderType.MARKET, OrderType.STOP_LOSS, OrderType.TAKE_PROFIT, TWAP_SUB}
)
"""Types whose price bounds the average of their fills, not each of them."""


def created_orders(
    tx_type: int, info: Mapping[str, Any]
) -> tuple[Mapping[str, Any], ...]:
    """Return the orders that a transaction asks for, each in its wire fields."""
    if tx_type == TxType.CREATE_ORDER:
        return (info,)
    if tx_type == TxType.CREATE_GROUPED_ORDERS:
        return tuple(info["Orders"])
    return ()


@dataclass(slots=True, kw_only=True, eq=False)
class VenueOrder(BookOrder):
    """A pending, resting or finished order.

    The matching fields (order_index, owner, is_ask, price, remaining, ...) come from
    `BookOrder`; here is what the wire needs besides.

    Attributes:
        client_order_index: the owner's number for it; 0 when it has none.
        market_index: its market.
        order_type: number of `OrderType`.
        initial_base: lots asked for; 0 while it is not known yet: the whole position
            at the moment of its trigger, or what the parent order will have filled.
        filled_base: lots executed.
        filled_quote: 1e-6 USDC executed.
        trigger_price: ticks; 0 for orders without a trigger.
        trigger_status: what it waits for, a word of the wire: `na`, `mark-price`,
            `parent-order` or `twap`.
        trigger_us: venue time of its trigger, microseconds; 0 before.
        parent_index: order whose child or slice it is; 0 when none.
        to_trigger: orders that its end brings to life, or to their own end.
        to_cancel: order that is canceled when this one triggers; 0 when none.
        status: word of the wire, such as `open` or `canceled-post-only`.
        nonce: its market's count of orders when it was made or last modified: asks
            count up from 1, bids down from 2^48-1; 0 while it is pending.
        block_height: block of that change.
        created_us: venue time of its creation, microseconds.
        updated_us: venue time of the last change, microseconds; no two changes
            share one.
        tx_hash: transaction that made it.
        integrator: who takes a fee of its own on the fills, or None.
        version: how often it was modified, where that is counted.
    """

    client_order_index: int = 0
    market_index: int = 0
    order_type: int = 0
    initial_base: int = 0
    filled_base: int = 0
    filled_quote: int = 0
    trigger_price: int = 0
    trigger_status: str = NOT_TRIGGERED_BY
    trigger_us: int = 0
    parent_index: int = 0
    to_trigger: tuple[int, ...] = ()
    to_cancel: int = 0
    status: str = "in-progress"
    nonce: int = 0
    block_height: int = 0
    created_us: int = 0
    updated_us: int = 0
    tx_hash: str = ""
    # Not in the text that a ledger's hash is made of: the transaction says it there.
    integrator: IntegratorTerms | None = field(default=None, repr=False)
    version: int = field(default=0, repr=False)

    @property
    def is_pending(self) -> bool:
        """Whether it waits outside the book."""
        return self.status == PENDING

    @property
    def is_tied(self) -> bool:
        """Whether it ends when the position it would shrink closes or turns.

        Source: the published prover circuits count every reduce-only order so, except
        children whose parent has not been filled.
        """
        return self.reduce_only and self.trigger_status != AWAITS_PARENT

    def is_crossed(self, mark_price: int) -> bool:
        """Return whether a mark price, in ticks, has reached the trigger.

        Stops sell at or below it and buy at or above it, take-profits the other way
        round. A mark price of 0 is unknown and reaches nothing.
        """
        if not mark_price:
            return False
        if self.is_ask == (self.order_type in STOP_TYPES):
            return mark_price <= self.trigger_price
        return mark_price >= self.trigger_price
