"""Orders that depend on each other, sent as one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrappy._core.scaling import size_to_lots
from wrappy.errors import InvalidOrderError
from wrappy.lighter.results import GroupedOrders
from wrappy.lighter.trading.arguments import checked_bps
from wrappy.lighter.trading.conditional import ConditionalOrders, Leg
from wrappy.protocol.intents import CreateGroupedOrders

if TYPE_CHECKING:
    from wrappy.model import Money
    from wrappy.protocol.intents import CreateOrder

ONE_TRIGGERS_OTHER, ONE_CANCELS_OTHER, ONE_TRIGGERS_PAIR = 1, 2, 3
"""Grouping types by their number on the wire (official signer constants)."""


class OrderGroups(ConditionalOrders):
    """A session that can also place orders that depend on each other."""

    async def create_bracket(
        self,
        price: Money,
        size: Money,
        *,
        take_profit: Money,
        stop_loss: Money,
        take_profit_price: Money | None = None,
        stop_loss_price: Money | None = None,
        slippage_bps: int | None = None,
        post_only: bool = False,
        expiry_s: int | None = None,
    ) -> GroupedOrders:
        """Queue a limit order with its take-profit and stop-loss, as one transaction.

        The two protect what the entry trades, in the size of its fills, and one
        cancels the other.

        Args:
            price: of the entry, in USDC.
            size: of the entry, positive buys, negative sells.
            take_profit: trigger price; above `price` for a purchase.
            stop_loss: trigger price; below `price` for a purchase.
            take_profit_price: limit once triggered; None trades at market.
            stop_loss_price: the same for the stop-loss.
            slippage_bps: bound of the market forms, 1e-4 of their triggers.
            post_only: cancel the entry rather than let it trade at once.
            expiry_s: life of all three, 300 s to 30 days; None takes the settings'.

        Raises:
            InvalidOrderError: an argument is wrong; nothing is queued.
        """
        legs = (
            Leg("take_profit", take_profit, take_profit_price, "take_profit_price"),
            Leg("stop_loss", stop_loss, stop_loss_price, "stop_loss_price"),
        )
        return await self._create_entry(
            legs,
            price,
            size,
            slippage_bps=slippage_bps,
            expiry_s=expiry_s,
            post_only=post_only,
        )

    async def create_oto(
        self,
        price: Money,
        size: Money,
        *,
        take_profit: Money | None = None,
        stop_loss: Money | None = None,
        child_price: Money | None = None,
        slippage_bps: int | None = None,
        post_only: bool = False,
        expiry_s: int | None = None,
    ) -> GroupedOrders:
        """Queue a limit order with one protective order, as one transaction.

        Args:
            price: of the entry, in USDC.
            size: of the entry, positive buys, negative sells.
            take_profit: trigger price; or
            stop_loss: trigger price; exactly one of the two.
            child_price: its limit once triggered; None trades at market.
            slippage_bps: bound of the market form, 1e-4 of the trigger.
            post_only: cancel the entry rather than let it trade at once.
            expiry_s: life of both, 300 s to 30 days; None takes the settings'.

        Raises:
            InvalidOrderError: an argument is wrong; nothing is queued.
        """
        if take_profit is not None and stop_loss is None:
            leg = Leg("take_profit", take_profit, child_price, "child_price")
        elif stop_loss is not None and take_profit is None:
            leg = Leg("stop_loss", stop_loss, child_price, "child_price")
        else:
            raise InvalidOrderError(
                "stop_loss",
                stop_loss,
                "give it, or take_profit, and not both; `create_bracket` takes both",
            )
        return await self._create_entry(
            (leg,),
            price,
            size,
            slippage_bps=slippage_bps,
            expiry_s=expiry_s,
            post_only=post_only,
        )

    async def create_oco(
        self,
        size: Money,
        *,
        take_profit: Money,
        stop_loss: Money,
        take_profit_price: Money | None = None,
        stop_loss_price: Money | None = None,
        slippage_bps: int | None = None,
        expiry_s: int | None = None,
    ) -> GroupedOrders:
        """Queue a take-profit and a stop-loss of which one cancels the other.

        Both are reduce-only and protect a position that is there already.

        Args:
            size: of both, positive buys, negative sells: the opposite of the
                position.
            take_profit: trigger price; above `stop_loss` for a sale.
            stop_loss: trigger price.
            take_profit_price: limit once triggered; None trades at market.
            stop_loss_price: the same for the stop-loss.
            slippage_bps: bound of the market forms, 1e-4 of their triggers.
            expiry_s: life of both, 300 s to 30 days; None takes the settings'.

        Raises:
            InvalidOrderError: an argument is wrong; nothing is queued.
        """
        self._require_open()
        bps = checked_bps(slippage_bps, default=self.config.slippage_bps)
        lots = size_to_lots(size, self.market)
        expiry_ms = self._build.expiry_ms(expiry_s)
        profit, loss = (
            self._leg(leg, lots, bps, expiry_ms)
            for leg in (
                Leg("take_profit", take_profit, take_profit_price, "take_profit_price"),
                Leg("stop_loss", stop_loss, stop_loss_price, "stop_loss_price"),
            )
        )
        # Otherwise one of the two would fire at once, wherever the price stands.
        self._build.check_trigger(
            "take_profit", profit, loss.trigger_price, field="take_profit"
        )
        known = self._known_ticks()
        if known is not None:
            self._build.check_trigger("take_profit", profit, known, field="take_profit")
            self._build.check_trigger("stop_loss", loss, known, field="stop_loss")
        await self._enter_group(ONE_CANCELS_OTHER, (profit, loss))
        return GroupedOrders(
            take_profit=profit.client_order_index, stop_loss=loss.client_order_index
        )

    # How the groups above are made

    async def _create_entry(
        self,
        legs: tuple[Leg, ...],
        price: Money,
        size: Money,
        *,
        slippage_bps: int | None,
        expiry_s: int | None,
        post_only: bool,
    ) -> GroupedOrders:
        """Queue an entry and the one or two orders that wait for its fills."""
        self._require_open()
        bps = checked_bps(slippage_bps, default=self.config.slippage_bps)
        entry = self._build.limit(
            price,
            size,
            client_order_index=self._number(None),
            post_only=post_only,
            reduce_only=False,
            expiry_s=expiry_s,
        )
        lots = entry.base_amount if entry.is_ask else -entry.base_amount
        children = {}
        for leg in legs:
            child = self._leg(leg, lots, bps, entry.order_expiry, follows_parent=True)
            self._build.check_trigger(leg.kind, child, entry.price, field=leg.kind)
            children[leg.kind] = child
        grouping = ONE_TRIGGERS_PAIR if len(legs) > 1 else ONE_TRIGGERS_OTHER
        await self._enter_group(grouping, (entry, *children.values()))
        numbers = {k: child.client_order_index for k, child in children.items()}
        return GroupedOrders(
            entry=entry.client_order_index,
            take_profit=numbers.get("take_profit"),
            stop_loss=numbers.get("stop_loss"),
        )

    def _leg(
        self,
        leg: Leg,
        lots: int,
        bps: int,
        expiry_ms: int,
        *,
        follows_parent: bool = False,
    ) -> CreateOrder:
        return self._build.trigger(
            leg.kind,
            leg.trigger_price,
            lots,
            client_order_index=self._number(None),
            price=leg.price,
            slippage_bps=bps,
            reduce_only=True,
            expiry_ms=expiry_ms,
            follows_parent=follows_parent,
            fields=(leg.kind, leg.price_field),
        )

    async def _enter_group(
        self, grouping: int, orders: tuple[CreateOrder, ...]
    ) -> None:
        group = CreateGroupedOrders(grouping, orders)
        await self._require_room([group])
        self._outbox.put(group, touches=orders[0].client_order_index, is_cancel=False)
        for order in orders:
            self._note_trigger(order.client_order_index, order.trigger_price)
