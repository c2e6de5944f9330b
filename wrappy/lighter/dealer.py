"""The dealer: orders by client order index, queued, then sent in signed batches."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING

from wrappy._core.scaling import PriceRounding
from wrappy.errors import InvalidOrderError
from wrappy.lighter.intents import (
    checked_coi,
    checked_order_index,
)
from wrappy.lighter.outbox import require_no_batch
from wrappy.lighter.results import BatchResult, OrderResult
from wrappy.lighter.session import AccountSession
from wrappy.protocol.transactions import CancelAllOrders

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from decimal import Decimal

    from wrappy.lighter.results import FlushResult
    from wrappy.model import Money
    from wrappy.protocol.transactions import CreateOrder


class LighterDealer(AccountSession):
    """Sends orders for one market of one account.

    Make one with `await LighterDealer.create(config)` or `from_config`, and close it
    with `aclose` or by `async with`. Orders are queued and go out together with
    `flush`; whatever is wrong with an order is found before it is queued. Several
    dealers of one process may share an API key.
    """

    async def create_limit_order(
        self,
        price: Money,
        size: Money,
        *,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> OrderResult:
        """Queue a limit order; `flush` sends it.

        Args:
            price: in USDC; placed on the nearest tick unless the settings say
                otherwise.
            size: in the base asset, positive buys, negative sells; rounded toward
                zero to whole lots.
            post_only: cancel it rather than let it trade at once.
            reduce_only: only shrink a position.

        Returns:
            The order's `client_order_index`, and price and size after rounding.

        Raises:
            InvalidOrderError: price or size cannot be sent; nothing is queued.
        """
        self._require_open()
        intent = self._build.limit(
            price,
            size,
            client_order_index=self._cois.next(),
            post_only=post_only,
            reduce_only=reduce_only,
        )
        return self._enter(intent)

    enqueue_limit = create_limit_order
    _enqueue_limit = create_limit_order

    async def create_market_order(
        self,
        size: Money,
        avg_execution_price: Money | None = None,
        *,
        reduce_only: bool = False,
    ) -> OrderResult:
        """Send a market order now, behind whatever is queued.

        Inside `batch()` it is queued like everything else. When the call raises,
        the order does not stay queued: trying again cannot send it twice, unless
        the error is a `SendOutcomeUnknownError`.

        Args:
            size: in the base asset, positive buys, negative sells.
            avg_execution_price: worst average price accepted, in USDC; None takes
                the best opposite price and `slippage_bps` of the settings.
            reduce_only: only shrink a position.

        Raises:
            InvalidOrderError: size or price cannot be sent, or there is no opposite
                price to take a bound from.
            VenueError, TransportError: see `flush`.
        """
        self._require_open()
        # A size that cannot be sent is found before the book is asked for.
        checked = self._build.at_market(
            size,
            1 if avg_execution_price is None else avg_execution_price,
            client_order_index=self._cois.next(),
            reduce_only=reduce_only,
        )
        if avg_execution_price is None:
            checked = self._build.at_market(
                size,
                await self._bound(buy=not checked.is_ask),
                client_order_index=checked.client_order_index,
                reduce_only=reduce_only,
            )
        result = self._enter(checked)
        if self._outbox.scope is None:
            try:
                await self._outbox.flush()
            except BaseException:
                # Sent by some later flush, it would come on top of a second try.
                self._outbox.withdraw(
                    checked.client_order_index, "the market order could not go out"
                )
                raise
            result["status"] = "dry_run" if self.config.prefer_high_level else "sent"
            record = self._outbox.orders.get(checked.client_order_index)
            if record is not None and record.tx_hash is not None:
                result["tx_hash"] = record.tx_hash
        return result

    async def cancel_order_by_coi(self, client_order_index: int) -> OrderResult:
        """Queue the cancellation of an order by its client order index.

        Raises:
            InvalidOrderError: not a client order index.
        """
        self._require_open()
        coi = checked_coi(client_order_index)
        self._outbox.put(self._build.cancel(coi), touches=coi, is_cancel=True)
        return OrderResult(client_order_index=coi, status="queued")

    async def update_order_by_coi(
        self,
        client_order_index: int,
        price: Money | None = None,
        quantity: Money | None = None,
        trigger_price: Money | None = None,
    ) -> OrderResult:
        """Queue the change of a live order; it keeps its number, not its place.

        Args:
            client_order_index: the order.
            price: new price; None keeps it.
            quantity: new total size, unsigned, filled part included; None keeps it.
            trigger_price: for orders that have a trigger.

        Returns:
            The order as it will be, or `{"error": "order_not_found_by_coi", ...}`
            when a part was to be kept, or rounding is `passive`, and the order is
            not known.

        Raises:
            InvalidOrderError: a value cannot be sent; nothing is queued.
        """
        self._require_open()
        coi = checked_coi(client_order_index)
        if price is None and quantity is None and trigger_price is None:
            raise InvalidOrderError(
                "price", None, "leaves nothing to change; give price or quantity"
            )
        known = self._outbox.aimed(coi)
        # Which side is passive depends on the order, so it must be known as well.
        blind = self.config.price_rounding is PriceRounding.PASSIVE
        if known is None and (price is None or quantity is None or blind):
            await self.fetch_open_orders()
            known = self._outbox.aimed(coi)
            if known is None:
                return OrderResult(
                    client_order_index=coi,
                    status="refused",
                    error="order_not_found_by_coi",
                )
        record = self._outbox.orders.get(coi)
        ticks, lots = known or (0, 0)
        intent = self._build.modify(
            coi,
            is_ask=record.is_ask if record else False,
            price=self.market.price(ticks) if price is None else price,
            quantity=self.market.size(lots) if quantity is None else quantity,
            trigger_price=trigger_price,
        )
        self._outbox.aim(coi, ticks=intent.price, lots=intent.base_amount)
        self._outbox.put(intent, touches=coi, is_cancel=False)
        return OrderResult(
            client_order_index=coi,
            status="queued",
            symbol=self.market.symbol,
            market_index=self.market.market_id,
            price=self.market.price(intent.price),
            size=self.market.size(intent.base_amount),
        )

    async def cancel_order(self, order_index: int) -> OrderResult:
        """Queue a cancellation by the exchange's own index. Deprecated."""
        _deprecated("cancel_order", "cancel_order_by_coi")
        self._require_open()
        index = checked_order_index(order_index)
        self._outbox.put(self._build.cancel(index), touches=index, is_cancel=True)
        return OrderResult(status="queued")

    async def update_order(
        self,
        order_index: int,
        price: Money,
        quantity: Money,
        trigger_price: Money | None = None,
    ) -> OrderResult:
        """Queue a change by the exchange's own index. Deprecated."""
        _deprecated("update_order", "update_order_by_coi")
        self._require_open()
        index = checked_order_index(order_index)
        intent = self._build.modify(
            index,
            is_ask=False,
            price=price,
            quantity=quantity,
            trigger_price=trigger_price,
        )
        self._outbox.put(intent, touches=index, is_cancel=False)
        return OrderResult(status="queued")

    async def cancel_all_orders(self) -> FlushResult:
        """Cancel every order of the account in this market, at once.

        Raises:
            UsageError: called inside `batch()`.
            VenueError, TransportError: see `flush`.
        """
        self._require_open()
        require_no_batch(self._outbox, "cancel_all_orders")
        scope = object()
        intent = CancelAllOrders(market_index=self.market.market_id)
        self._outbox.put_in(scope, intent, touches=None, is_cancel=True)
        return await self._outbox.flush(scope)

    async def batch_cancel_and_create(
        self,
        cancel_client_order_indices: Iterable[int] = (),
        new_limit_orders: Iterable[tuple[Money, Money]] = (),
        *,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> BatchResult:
        """Cancel and create together, cancels first, in one request up to 15.

        Args:
            cancel_client_order_indices: orders to cancel.
            new_limit_orders: pairs of price and signed size.
            post_only: for every new order.
            reduce_only: for every new order.

        Raises:
            UsageError: called inside `batch()`.
            InvalidOrderError: one of them cannot be sent, so none is.
            VenueError, TransportError: see `flush`.
        """
        self._require_open()
        require_no_batch(self._outbox, "batch_cancel_and_create")
        canceled = [
            checked_coi(coi, field="cancel_client_order_indices")
            for coi in cancel_client_order_indices
        ]
        intents = [
            self._build.limit(
                price,
                size,
                client_order_index=self._cois.next(),
                post_only=post_only,
                reduce_only=reduce_only,
            )
            for price, size in new_limit_orders
        ]
        scope = object()
        for coi in canceled:
            cancel = self._build.cancel(coi)
            self._outbox.put_in(scope, cancel, touches=coi, is_cancel=True)
        for intent in intents:
            self._outbox.put_in(
                scope, intent, touches=intent.client_order_index, is_cancel=False
            )
        flushed = await self._outbox.flush(scope)
        return BatchResult(
            **flushed,
            created=[intent.client_order_index for intent in intents],
            canceled=canceled,
        )

    @contextlib.asynccontextmanager
    async def batch(self) -> AsyncIterator[LighterDealer]:
        """Collect what this task queues and send it together at the end.

        Orders of other tasks are neither held nor swept along. A body that raises
        sends nothing.

        Raises:
            UsageError: a batch of this task is open already.
        """
        self._require_open()
        require_no_batch(self._outbox, "batch()")
        with self._outbox.open_scope() as scope:
            yield self
        await self._outbox.flush(scope)

    async def flush(self) -> FlushResult:
        """Send everything queued, in batches of at most `max_ws_batch`.

        Returns:
            Hashes and counts; a flush of nothing has count 0, and still settles
            what is in doubt.

        Raises:
            UsageError: called inside `batch()`.
            VenueError: the exchange refused a batch; its orders are rejected, what
                was not sent yet stays queued.
            SignerError, ConnectError, RateLimitedError: nothing arrived; everything
                stays queued, a later flush sends it.
            SendOutcomeUnknownError: no answer came; do not send it again. The next
                flush settles what became of it before it sends anything.
            LaneHeldError: that could not be found out yet; nothing was sent.
        """
        self._require_open()
        require_no_batch(self._outbox, "flush")
        return await self._outbox.flush()

    async def _bound(self, *, buy: bool) -> Decimal:
        best = await self._account.best_price(self.market.market_id, of_asks=buy)
        return self._build.bound(best, buy=buy, bps=self.config.slippage_bps)

    def _enter(self, intent: CreateOrder) -> OrderResult:
        self._outbox.put(intent, touches=intent.client_order_index, is_cancel=False)
        lots = -intent.base_amount if intent.is_ask else intent.base_amount
        return OrderResult(
            client_order_index=intent.client_order_index,
            status="queued",
            symbol=self.market.symbol,
            market_index=intent.market_index,
            side="sell" if intent.is_ask else "buy",
            price=self.market.price(intent.price),
            size=self.market.size(lots),
        )


def _deprecated(name: str, instead: str) -> None:
    warnings.warn(
        f"{name} needs the exchange's index; use {instead}",
        DeprecationWarning,
        stacklevel=3,
    )
