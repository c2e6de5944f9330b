"""From what a caller asks to what can be signed: rounding, bounds, expiry.

Everything that is wrong with an order is found here, before a nonce is taken.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wrappy._core.scaling import (
    PRICE_MAX,
    PriceRounding,
    check_largest,
    check_minimum,
    price_to_ticks,
    size_to_lots,
)
from wrappy.errors import InvalidOrderError
from wrappy.lighter.trading.arguments import (
    BASIS_POINTS,
    checked_flag,
    checked_whole,
    checked_word,
)
from wrappy.model import Market, Money, OrderType, Side, TimeInForce
from wrappy.protocol.intents import CancelOrder, CreateOrder, ModifyOrder

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

MINUTE_S = 60
DAY_S = 86_400
DEFAULT_LIFETIME_S = 28 * DAY_S
MIN_LIFETIME_S = 5 * MINUTE_S
MAX_LIFETIME_S = 30 * DAY_S
MAX_TWAP_S = DAY_S
TRIGGER_BAND_PERCENT = 5
"""Limit prices so far from their trigger were refused with 21735 (seen at clients)."""

SLACK_S = 5
"""Room for the way to the exchange and for a clock that differs from ours."""

TimeInForceWord = Literal["gtt", "ioc", "post_only"]
TIMES_IN_FORCE = {
    "gtt": TimeInForce.GOOD_TILL_TIME,
    "ioc": TimeInForce.IMMEDIATE_OR_CANCEL,
    "post_only": TimeInForce.POST_ONLY,
}

TriggerKind = Literal["stop_loss", "take_profit"]
TRIGGER_TYPES = {
    "stop_loss": (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT),
    "take_profit": (OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT),
}
"""Order types of each kind: traded at market, or as a limit order."""


def side_of(lots: int) -> Side:
    """Return the side of a signed size."""
    return Side.BUY if lots > 0 else Side.SELL


def triggers_above(kind: TriggerKind, side: Side) -> bool:
    """Return whether an order triggers when the price rises to its trigger.

    A sale takes profit above and stops a loss below; a purchase is its mirror.
    """
    return (kind == "take_profit") is side.is_ask


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
        time_in_force: TimeInForceWord = "gtt",
        expiry_s: int | None = None,
    ) -> CreateOrder:
        """Return a limit order.

        Raises:
            InvalidOrderError: an argument is wrong by itself or beside another.
        """
        kind = _time_in_force(time_in_force, post_only=post_only)
        checked_flag(reduce_only, field="reduce_only")
        lots = size_to_lots(size, self.market)
        side = side_of(lots)
        ticks = price_to_ticks(price, self.market, side=side, rounding=self.rounding)
        if kind is TimeInForce.IMMEDIATE_OR_CANCEL:
            if expiry_s is not None:
                raise InvalidOrderError(
                    "expiry_s", expiry_s, "has no use with 'ioc'; leave it out"
                )
            # The minimums hold for orders that can rest (prover circuits).
            check_largest(lots, ticks, self.market)
            expiry_ms = 0
        else:
            check_minimum(lots, ticks, self.market)
            expiry_ms = self.expiry_ms(expiry_s)
        return CreateOrder(
            market_index=self.market.market_id,
            client_order_index=client_order_index,
            base_amount=abs(lots),
            price=ticks,
            is_ask=side.is_ask,
            order_type=OrderType.LIMIT,
            time_in_force=kind,
            reduce_only=reduce_only,
            order_expiry=expiry_ms,
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
        checked_flag(reduce_only, field="reduce_only")
        lots = size_to_lots(size, self.market)
        side = side_of(lots)
        ticks = price_to_ticks(
            worst_average_price,
            self.market,
            side=side,
            rounding=PriceRounding.NEAREST,
            field="avg_execution_price",
        )
        check_largest(lots, ticks, self.market)
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

    def trigger(
        self,
        kind: TriggerKind,
        trigger_price: Money,
        lots: int,
        *,
        client_order_index: int,
        price: Money | None,
        slippage_bps: int,
        reduce_only: bool,
        expiry_ms: int,
        follows_parent: bool = False,
        fields: tuple[str, str] = ("trigger_price", "price"),
    ) -> CreateOrder:
        """Return an order that waits for the mark price to reach its trigger.

        Args:
            kind: what it is for.
            trigger_price: in USDC.
            lots: signed size; of a child that follows its parent, the parent's.
            client_order_index: its number.
            price: limit in USDC; None trades at market, bounded by `slippage_bps`
                from the trigger.
            slippage_bps: 0..10000.
            reduce_only: only shrink a position.
            expiry_ms: unix milliseconds.
            follows_parent: whether its size is its parent's fill: 0 on the wire.
            fields: names of the two price arguments, for errors.

        Raises:
            InvalidOrderError: an argument is wrong.
        """
        checked_flag(reduce_only, field="reduce_only")
        side = side_of(lots)
        trigger = price_to_ticks(
            trigger_price,
            self.market,
            side=side,
            rounding=_plain(self.rounding),
            field=fields[0],
        )
        at_market, as_limit = TRIGGER_TYPES[kind]
        if price is None:
            bound = self.bound(
                self.market.price(trigger), buy=not side.is_ask, bps=slippage_bps
            )
            ticks = price_to_ticks(bound, self.market, side=side, field=fields[1])
            check_largest(lots, ticks, self.market)
        else:
            ticks = price_to_ticks(
                price,
                self.market,
                side=side,
                rounding=self.rounding,
                field=fields[1],
            )
            check_minimum(lots, ticks, self.market)
            if abs(ticks - trigger) * 100 >= TRIGGER_BAND_PERCENT * trigger:
                raise InvalidOrderError(
                    fields[1],
                    price,
                    f"is {TRIGGER_BAND_PERCENT} % or more from the trigger "
                    f"{self.market.price(trigger)}, which the exchange refuses",
                )
        return CreateOrder(
            market_index=self.market.market_id,
            client_order_index=client_order_index,
            base_amount=0 if follows_parent else abs(lots),
            price=ticks,
            is_ask=side.is_ask,
            order_type=at_market if price is None else as_limit,
            time_in_force=(
                TimeInForce.IMMEDIATE_OR_CANCEL
                if price is None
                else TimeInForce.GOOD_TILL_TIME
            ),
            reduce_only=reduce_only,
            trigger_price=trigger,
            order_expiry=expiry_ms,
        )

    def check_trigger(
        self,
        kind: TriggerKind,
        order: CreateOrder,
        reference_ticks: int,
        *,
        field: str = "trigger_price",
    ) -> None:
        """Refuse a trigger that the price has passed already: it would fire at once.

        Args:
            kind: what the order is for.
            order: the order.
            reference_ticks: the price now, or the price of the parent.
            field: name of the argument, for the error.

        Raises:
            InvalidOrderError: it lies on the wrong side.
        """
        side = Side.SELL if order.is_ask else Side.BUY
        above = triggers_above(kind, side)
        ahead = order.trigger_price - reference_ticks
        if ahead > 0 if above else ahead < 0:
            return
        raise InvalidOrderError(
            field,
            self.market.price(order.trigger_price),
            f"would fire at once: a {kind.replace('_', '-')} that "
            f"{'sells' if order.is_ask else 'buys'} needs a trigger "
            f"{'above' if above else 'below'} {self.market.price(reference_ticks)}",
        )

    def twap(
        self,
        size: Money,
        price: Money,
        *,
        client_order_index: int,
        duration_s: int,
        reduce_only: bool,
    ) -> CreateOrder:
        """Return an order that is traded in slices until it expires.

        Raises:
            InvalidOrderError: an argument is wrong.
        """
        checked_flag(reduce_only, field="reduce_only")
        life = checked_whole(duration_s, MIN_LIFETIME_S, MAX_TWAP_S, field="duration_s")
        lots = size_to_lots(size, self.market)
        side = side_of(lots)
        ticks = price_to_ticks(price, self.market, side=side, rounding=self.rounding)
        check_largest(lots, ticks, self.market)
        return CreateOrder(
            market_index=self.market.market_id,
            client_order_index=client_order_index,
            base_amount=abs(lots),
            price=ticks,
            is_ask=side.is_ask,
            order_type=OrderType.TWAP,
            time_in_force=TimeInForce.GOOD_TILL_TIME,
            reduce_only=reduce_only,
            order_expiry=self._ends_ms(life, MAX_TWAP_S),
        )

    def modify(
        self,
        index: int,
        *,
        is_ask: bool,
        price: Money | int,
        quantity: Money | int | None,
        trigger_price: Money | None,
    ) -> ModifyOrder:
        """Return the change of an order to a new price and total size.

        A quantity of None is 0 on the wire, which leaves the size of an order with
        a trigger as it is (prover circuits).
        """
        side = Side.SELL if is_ask else Side.BUY
        lots = 0
        if quantity is not None:
            lots = abs(size_to_lots(quantity, self.market, field="quantity"))
        ticks = price_to_ticks(price, self.market, side=side, rounding=self.rounding)
        check_largest(lots, ticks, self.market, field="quantity")
        trigger = 0
        if trigger_price is not None:
            trigger = price_to_ticks(
                trigger_price,
                self.market,
                side=side,
                rounding=_plain(self.rounding),
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

    def bound(self, reference: Decimal, *, buy: bool, bps: int) -> Decimal:
        """Return the worst price of a market order: `bps` beyond a reference.

        It stays within the prices the wire can carry.
        """
        move = reference * bps / BASIS_POINTS
        worst = reference + move if buy else reference - move
        return min(max(worst, self.market.tick_size), self.market.price(PRICE_MAX))

    def expiry_ms(self, expiry_s: int | None = None) -> int:
        """Return when a resting order expires, unix milliseconds.

        Args:
            expiry_s: its life, 300 s to 30 days; None takes the settings'.

        Raises:
            InvalidOrderError: not a whole number of that range.
        """
        if expiry_s is not None:
            life = checked_whole(
                expiry_s, MIN_LIFETIME_S, MAX_LIFETIME_S, field="expiry_s"
            )
        else:
            life = DEFAULT_LIFETIME_S if self.lifetime_s is None else self.lifetime_s
        return self._ends_ms(life, MAX_LIFETIME_S)

    def _ends_ms(self, life_s: int, longest_s: int) -> int:
        # The exchange counts from the order's arrival, by its own clock.
        if life_s <= 2 * MIN_LIFETIME_S:
            life_s += SLACK_S
        life_s = min(life_s, longest_s - SLACK_S)
        return int((self.clock() + life_s) * 1000)


def _plain(rounding: PriceRounding) -> PriceRounding:
    # A trigger is no offer: which side is passive means nothing to it.
    return (
        PriceRounding.REFUSE
        if rounding is PriceRounding.REFUSE
        else PriceRounding.NEAREST
    )


def _time_in_force(word: object, *, post_only: object) -> TimeInForce:
    chosen = TIMES_IN_FORCE[checked_word(word, TIMES_IN_FORCE, field="time_in_force")]
    if not checked_flag(post_only, field="post_only"):
        return chosen
    if chosen is TimeInForce.IMMEDIATE_OR_CANCEL:
        raise InvalidOrderError(
            "time_in_force", word, "cannot be together with post_only=True"
        )
    return TimeInForce.POST_ONLY
