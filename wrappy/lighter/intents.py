"""From what a caller asks to what can be signed: rounding, bounds, expiry.

Everything that is wrong with an order is found here, before a nonce is taken.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wrappy._core.coi import COI_MAX
from wrappy._core.scaling import (
    PriceRounding,
    check_minimum,
    price_to_ticks,
    size_to_lots,
)
from wrappy.errors import InvalidOrderError
from wrappy.model import Market, Money, OrderType, Side, TimeInForce
from wrappy.protocol.transactions import CancelOrder, CreateOrder, ModifyOrder

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

DEFAULT_LIFETIME_S = 28 * 86_400
MAX_ORDER_INDEX = (1 << 60) - 1
BASIS_POINTS = 10_000


def side_of(lots: int) -> Side:
    """Return the side of a signed size."""
    return Side.BUY if lots > 0 else Side.SELL


@dataclass(frozen=True, slots=True)
class IntentBuilder:
    """Makes the intents of one market.

    Attributes:
        market: scales and minimums.
        rounding: how prices between two ticks are placed.
        lifetime_s: life of resting orders, seconds; None takes 28 days.
        clock: unix seconds.
    """

    market: Market
    rounding: PriceRounding = PriceRounding.NEAREST
    lifetime_s: int | None = None
    clock: Callable[[], float] = time.time

    def limit(
        self,
        price: Money,
        size: Money,
        *,
        client_order_index: int,
        post_only: bool,
        reduce_only: bool,
    ) -> CreateOrder:
        """Return a resting limit order.

        Raises:
            InvalidOrderError: price or size is no number, or outside the market's
                limits.
        """
        lots = size_to_lots(size, self.market)
        side = side_of(lots)
        ticks = price_to_ticks(price, self.market, side=side, rounding=self.rounding)
        check_minimum(lots, ticks, self.market)
        return CreateOrder(
            market_index=self.market.market_id,
            client_order_index=client_order_index,
            base_amount=abs(lots),
            price=ticks,
            is_ask=side.is_ask,
            order_type=OrderType.LIMIT,
            time_in_force=(
                TimeInForce.POST_ONLY if post_only else TimeInForce.GOOD_TILL_TIME
            ),
            reduce_only=reduce_only,
            order_expiry=self._expiry_ms(),
        )

    def at_market(
        self,
        size: Money,
        worst_average_price: Money,
        *,
        client_order_index: int,
        reduce_only: bool,
    ) -> CreateOrder:
        """Return a market order whose average price is bounded.

        Raises:
            InvalidOrderError: price or size is no number or out of range.
        """
        lots = size_to_lots(size, self.market)
        side = side_of(lots)
        ticks = price_to_ticks(
            worst_average_price,
            self.market,
            side=side,
            rounding=PriceRounding.NEAREST,
            field="avg_execution_price",
        )
        return CreateOrder(
            market_index=self.market.market_id,
            client_order_index=client_order_index,
            base_amount=abs(lots),
            price=ticks,
            is_ask=side.is_ask,
            order_type=OrderType.MARKET,
            time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
            reduce_only=reduce_only,
        )

    def modify(
        self,
        index: int,
        *,
        is_ask: bool,
        price: Money | int,
        quantity: Money | int,
        trigger_price: Money | None,
    ) -> ModifyOrder:
        """Return the change of an order to a new price and total size."""
        side = Side.SELL if is_ask else Side.BUY
        lots = abs(size_to_lots(quantity, self.market, field="quantity"))
        ticks = price_to_ticks(price, self.market, side=side, rounding=self.rounding)
        trigger = 0
        if trigger_price is not None:
            trigger = price_to_ticks(
                trigger_price,
                self.market,
                side=side,
                rounding=PriceRounding.NEAREST,
                field="trigger_price",
            )
        return ModifyOrder(
            market_index=self.market.market_id,
            index=index,
            base_amount=lots,
            price=ticks,
            trigger_price=trigger,
        )

    def cancel(self, index: int) -> CancelOrder:
        """Return the cancellation of a checked order number."""
        return CancelOrder(market_index=self.market.market_id, index=index)

    def bound(self, best_opposite: Decimal, *, buy: bool, bps: int) -> Decimal:
        """Return the worst price of a market order: `bps` beyond the best one."""
        move = best_opposite * bps / BASIS_POINTS
        return best_opposite + move if buy else best_opposite - move

    def _expiry_ms(self) -> int:
        life = DEFAULT_LIFETIME_S if self.lifetime_s is None else self.lifetime_s
        # The exchange wants five minutes at least when the order arrives.
        slack = 5 if life <= 600 else 0  # noqa: PLR2004 - ten minutes
        return int((self.clock() + life + slack) * 1000)


def checked_coi(value: object, *, field: str = "client_order_index") -> int:
    """Return a client order index.

    Raises:
        InvalidOrderError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidOrderError(field, value, "is not a whole number")
    if not 1 <= value <= COI_MAX:
        raise InvalidOrderError(field, value, f"is outside 1..{COI_MAX}")
    return value


def checked_order_index(value: object) -> int:
    """Return an index the exchange gave an order.

    Raises:
        InvalidOrderError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidOrderError("order_index", value, "is not a whole number")
    if not COI_MAX < value <= MAX_ORDER_INDEX:
        raise InvalidOrderError(
            "order_index", value, f"is outside {COI_MAX + 1}..{MAX_ORDER_INDEX}"
        )
    return value
