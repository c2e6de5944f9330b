"""Orders that wait or come in slices, and the closing of a position."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from wrappy._core.scaling import BASE_AMOUNT_MAX, price_to_ticks, size_to_lots
from wrappy.errors import InvalidOrderError
from wrappy.lighter.asking.reading import decimal
from wrappy.lighter.results import CloseReport, OrderResult
from wrappy.lighter.sending.flushing import require_no_batch
from wrappy.lighter.trading.arguments import checked_bps, checked_coi, checked_seconds
from wrappy.lighter.trading.controls import AccountControls
from wrappy.model import Side

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from wrappy._core.orders import OrderRecord
    from wrappy.lighter.trading.assembly import DealerParts
    from wrappy.lighter.trading.intents import TriggerKind
    from wrappy.model import Money
    from wrappy.protocol.intents import CreateOrder

TRIGGERS_KEPT = 2_000
"""Triggers of own orders that may stay until those of ended ones are swept."""


class Leg(NamedTuple):
    """A protective order as the caller words it.

    Attributes:
        kind: what it is for.
        trigger_price: in USDC.
        price: limit once triggered; None trades at market.
        price_field: how the caller calls that limit.
    """

    kind: TriggerKind
    trigger_price: Money
    price: Money | None
    price_field: str = "price"


class ConditionalOrders(AccountControls):
    """A session that can also place orders that wait for something."""

    def __init__(self, parts: DealerParts) -> None:
        """Take over assembled parts; `create` is the way to get a dealer."""
        super().__init__(parts)
        self._triggers: dict[int, int] = {}

    async def create_stop_loss(
        self,
        trigger_price: Money,
        size: Money,
        *,
        price: Money | None = None,
        slippage_bps: int | None = None,
        reduce_only: bool = True,
        expiry_s: int | None = None,
        client_order_index: int | None = None,
    ) -> OrderResult:
        """Queue an order that trades once the mark price has moved against you.

        Args:
            trigger_price: in USDC; below the price for a sale, above it for a
                purchase.
            size: in the base asset, positive buys, negative sells: the opposite of
                the position it protects.
            price: limit once triggered; None trades at market.
            slippage_bps: bound of the market form, 1e-4 of the trigger; None takes
                the settings'. The exchange is known to refuse 5 %.
            reduce_only: only shrink a position.
            expiry_s: life in seconds, 300 s to 30 days; None takes the settings'.
            client_order_index: a number of your own, never used before.

        Raises:
            InvalidOrderError: an argument is wrong, or the order would fire at once
                by an attached stream's price; nothing is queued.
        """
        leg = Leg("stop_loss", trigger_price, price)
        return await self._create_trigger(
            leg,
            size,
            slippage_bps=slippage_bps,
            reduce_only=reduce_only,
            expiry_s=expiry_s,
            number=client_order_index,
        )

    async def create_take_profit(
        self,
        trigger_price: Money,
        size: Money,
        *,
        price: Money | None = None,
        slippage_bps: int | None = None,
        reduce_only: bool = True,
        expiry_s: int | None = None,
        client_order_index: int | None = None,
    ) -> OrderResult:
        """Queue an order that trades once the mark price has moved in your favour.

        Args:
            trigger_price: in USDC; above the price for a sale, below it for a
                purchase.
            size: in the base asset, positive buys, negative sells: the opposite of
                the position it closes.
            price: limit once triggered; None trades at market.
            slippage_bps: bound of the market form, 1e-4 of the trigger.
            reduce_only: only shrink a position.
            expiry_s: life in seconds, 300 s to 30 days; None takes the settings'.
            client_order_index: a number of your own, never used before.

        Raises:
            InvalidOrderError: as in `create_stop_loss`; nothing is queued.
        """
        leg = Leg("take_profit", trigger_price, price)
        return await self._create_trigger(
            leg,
            size,
            slippage_bps=slippage_bps,
            reduce_only=reduce_only,
            expiry_s=expiry_s,
            number=client_order_index,
        )

    async def create_twap_order(
        self,
        size: Money,
        *,
        duration_s: int,
        price: Money | None = None,
        slippage_bps: int | None = None,
        reduce_only: bool = False,
        client_order_index: int | None = None,
    ) -> OrderResult:
        """Queue an order that the exchange trades in slices, one every 30 seconds.

        Args:
            size: in the base asset, positive buys, negative sells; all of it.
            duration_s: how long it may take, 300 to 86400 seconds.
            price: worst price of a slice; None takes the best opposite price and
                `slippage_bps`.
            slippage_bps: without a price; None takes the settings'.
            reduce_only: only shrink a position.
            client_order_index: a number of your own, never used before.

        Raises:
            InvalidOrderError: an argument is wrong, or there is no opposite price
                to take a bound from; nothing is queued.
        """
        self._require_open()
        bps = self._slippage(slippage_bps, price, field="price")
        number = self._number(client_order_index)

        def built(bound: Money) -> CreateOrder:
            return self._build.twap(
                size,
                bound,
                client_order_index=number,
                duration_s=duration_s,
                reduce_only=reduce_only,
            )

        # What cannot be sent is found before the book is asked for.
        intent = built(self.market.tick_size if price is None else price)
        if price is None:
            buy = not intent.is_ask
            best = await self._prices.opposite(buy=buy)
            intent = built(self._build.bound(best, buy=buy, bps=bps))
        await self._require_room([intent])
        return self._enter(intent)

    async def close_position(
        self,
        *,
        size: Money | None = None,
        slippage_bps: int | None = None,
        timeout_s: float = 5.0,
    ) -> CloseReport:
        """Close this market's position at market, at once, and see what is left.

        What is sent is reduce-only and never larger than the position, so that it
        cannot turn over, even if the position shrinks meanwhile. A position beyond
        the market's limit for one order goes in several. Flat means nothing is sent.

        Args:
            size: how much to close at most, unsigned; None closes all of it.
            slippage_bps: worst average price, 1e-4 of the best opposite price; None
                takes the settings'.
            timeout_s: longest wait for the orders to be executed.

        Returns:
            The position before and after. It can be open still: the book may be too
            thin within the bound.

        Raises:
            InvalidOrderError: an argument is wrong, or the book has no price.
            UsageError: inside `batch()`.
            VenueError, TransportError: see `flush`; nothing stays queued.
        """
        self._require_open()
        require_no_batch(self._outbox, "close_position")
        bps = checked_bps(slippage_bps, default=self.config.slippage_bps)
        wait_s = checked_seconds(timeout_s, field="timeout_s")
        most = None if size is None else abs(size_to_lots(size, self.market))
        symbol = self.market.symbol
        before = await self._account.position(symbol)
        held = abs(before) * self.market.size_scale
        lots = int(held) if most is None else min(int(held), most)
        if not lots:
            return CloseReport(symbol=symbol, before=before, after=before)
        buy = before < 0
        best = await self._prices.opposite(buy=buy)
        bound = self._build.bound(best, buy=buy, bps=bps)
        numbers = []
        with self._outbox.open_scope() as scope:
            for part in self._parts_of(lots, bound, buy=buy):
                intent = self._build.at_market(
                    self.market.size(part if buy else -part),
                    bound,
                    client_order_index=self._number(None),
                    reduce_only=True,
                )
                numbers.append(intent.client_order_index)
                self._outbox.put(intent, touches=numbers[-1], is_cancel=False)
        flushed = await self._outbox.flush(scope)
        if not flushed["dry_run"]:
            receipts = await asyncio.gather(
                *(self.wait_settled(coi, wait_s) for coi in numbers)
            )
        else:
            receipts = [found for coi in numbers if (found := self.receipt(coi))]
        return CloseReport(
            symbol=symbol,
            before=before,
            after=await self._account.position(symbol),
            orders=tuple(receipts),
        )

    # Shared with the dealer

    def _number(self, own: int | None) -> int:
        """Return a client order index for a new order, the caller's if given."""
        if own is None:
            number = self._cois.next()
            while self._outbox.orders.get(number) is not None:
                number = self._cois.next()
            return number
        number = checked_coi(own)
        known = self._outbox.orders.get(number) is not None
        if known or self._parts.has_journaled(number):
            raise InvalidOrderError(
                "client_order_index", own, "was used before; each order needs its own"
            )
        return number

    def _enter(self, intent: CreateOrder) -> OrderResult:
        """Queue a new order and say what it came to after rounding."""
        self._outbox.put(intent, touches=intent.client_order_index, is_cancel=False)
        self._note_trigger(intent.client_order_index, intent.trigger_price)
        lots = -intent.base_amount if intent.is_ask else intent.base_amount
        result = OrderResult(
            client_order_index=intent.client_order_index,
            status="queued",
            symbol=self.market.symbol,
            market_index=intent.market_index,
            side="sell" if intent.is_ask else "buy",
            price=self.market.price(intent.price),
            size=self.market.size(lots),
        )
        if intent.trigger_price:
            result["trigger_price"] = self.market.price(intent.trigger_price)
        return result

    def _slippage(
        self, slippage_bps: int | None, price: Money | None, *, field: str
    ) -> int:
        """Return the bound to take from a reference price; a price rules it out."""
        bps = checked_bps(slippage_bps, default=self.config.slippage_bps)
        if price is not None and slippage_bps is not None:
            raise InvalidOrderError(
                "slippage_bps", slippage_bps, f"has no use beside {field}"
            )
        return bps

    def _note_trigger(self, coi: int, ticks: int) -> None:
        """Remember the trigger of an own order, for changes of it."""
        if not ticks:
            return
        self._triggers[coi] = ticks
        if len(self._triggers) > TRIGGERS_KEPT:
            live = {record.client_order_index for record in self.orders.live()}
            self._triggers = {
                kept: value for kept, value in self._triggers.items() if kept in live
            }

    def _trigger_of(self, coi: int) -> int:
        """Return the trigger that an order has as far as is known, else 0."""
        told = _told_trigger(self._outbox.orders.get(coi), self.market.price_scale)
        return self._triggers.get(coi) or told

    # How the orders above are made

    async def _create_trigger(
        self,
        leg: Leg,
        size: Money,
        *,
        slippage_bps: int | None,
        reduce_only: bool,
        expiry_s: int | None,
        number: int | None,
    ) -> OrderResult:
        self._require_open()
        order = self._build.trigger(
            leg.kind,
            leg.trigger_price,
            size_to_lots(size, self.market),
            client_order_index=self._number(number),
            price=leg.price,
            slippage_bps=self._slippage(slippage_bps, leg.price, field="price"),
            reduce_only=reduce_only,
            expiry_ms=self._build.expiry_ms(expiry_s),
        )
        known = self._known_ticks()
        if known is not None:
            self._build.check_trigger(leg.kind, order, known)
        await self._require_room([order])
        return self._enter(order)

    def _known_ticks(self) -> int | None:
        """Return the price of the moment in ticks, if a stream tells it."""
        price = self._prices.known()
        if price is None:
            return None
        return price_to_ticks(price, self.market, side=Side.BUY)

    def _parts_of(self, lots: int, bound: Decimal, *, buy: bool) -> Iterator[int]:
        """Cut a size into what the market allows for one order at a price."""
        market = self.market
        side = Side.BUY if buy else Side.SELL
        ticks = price_to_ticks(bound, market, side=side)
        unit = int(10 ** (market.price_decimals + market.size_decimals))
        most = market.order_quote_limit * unit // (ticks * 10**6)
        largest = max(1, min(most, BASE_AMOUNT_MAX))
        while lots > 0:
            yield min(lots, largest)
            lots -= largest


def _told_trigger(record: OrderRecord | None, price_scale: int) -> int:
    """Return the trigger in an order's latest report, in ticks; 0 without one."""
    if record is None or record.report is None:
        return 0
    return int(decimal(record.report, "trigger_price") * price_scale)
