"""The dealer: orders by client order index, queued, then sent in signed batches."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from wrappy._core.order_states import OrderEvent
from wrappy._core.scaling import PriceRounding
from wrappy.errors import InvalidOrderError, RiskDeniedError, RiskRule
from wrappy.lighter.results import BatchResult, OrderResult
from wrappy.lighter.sending.flushing import require_no_batch
from wrappy.lighter.trading.arguments import (
    candle_length_ms,
    checked_coi,
    checked_order_index,
    checked_seconds,
    checked_whole,
)
from wrappy.lighter.trading.grouped import OrderGroups
from wrappy.lighter.trading.session import MOST_ROWS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from wrappy.lighter.results import FlushResult
    from wrappy.lighter.trading.intents import TimeInForceWord
    from wrappy.model import Candle, Money

CANDLES_PER_PAGE = 500
"""Candles in one answer at most (official API documentation)."""


class LighterDealer(OrderGroups):
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
        time_in_force: TimeInForceWord = "gtt",
        expiry_s: int | None = None,
        client_order_index: int | None = None,
    ) -> OrderResult:
        """Queue a limit order; `flush` sends it.

        Args:
            price: in USDC; placed on the nearest tick unless the settings say
                otherwise.
            size: in the base asset, positive buys, negative sells; rounded toward
                zero to whole lots.
            post_only: cancel it rather than let it trade at once.
            reduce_only: only shrink a position.
            time_in_force: `gtt` rests until it expires, `ioc` trades at once and
                is gone, `post_only` is `gtt` with `post_only=True`.
            expiry_s: life in seconds, 300 s to 30 days; None takes the settings'.
            client_order_index: a number of your own, `1..2**48-1`, that no order of
                the account ever had; None takes the next one.

        Returns:
            The order's `client_order_index`, and price and size after rounding.

        Raises:
            InvalidOrderError: an argument is wrong; nothing is queued.
            RiskDeniedError: the account has as many orders as its tier allows;
                nothing is queued.
        """
        self._require_open()
        intent = self._build.limit(
            price,
            size,
            client_order_index=self._number(client_order_index),
            post_only=post_only,
            reduce_only=reduce_only,
            time_in_force=time_in_force,
            expiry_s=expiry_s,
        )
        await self._require_room([intent])
        return self._enter(intent)

    enqueue_limit = create_limit_order
    _enqueue_limit = create_limit_order

    async def create_market_order(
        self,
        size: Money,
        avg_execution_price: Money | None = None,
        *,
        reduce_only: bool = False,
        slippage_bps: int | None = None,
        client_order_index: int | None = None,
    ) -> OrderResult:
        """Send a market order now, behind whatever is queued.

        Inside `batch()` it is queued like everything else. When the call raises,
        the order does not stay queued: trying again cannot send it twice, unless
        the error is a `SendOutcomeUnknownError`.

        Args:
            size: in the base asset, positive buys, negative sells.
            avg_execution_price: worst average price accepted, in USDC; None takes
                the best opposite price and `slippage_bps`.
            reduce_only: only shrink a position.
            slippage_bps: bound without a price, 1e-4 of the best opposite price, of
                an attached stream or else asked for; None takes the settings'.
            client_order_index: a number of your own, never used before.

        Raises:
            InvalidOrderError: an argument is wrong, or there is no opposite price
                to take a bound from.
            RiskDeniedError: `cancel_all_orders` came first; nothing was sent.
            VenueError, TransportError: see `flush`.
        """
        self._require_open()
        bps = self._slippage(
            slippage_bps, avg_execution_price, field="avg_execution_price"
        )
        # What cannot be sent is found before the book is asked for.
        checked = self._build.at_market(
            size,
            self.market.tick_size
            if avg_execution_price is None
            else avg_execution_price,
            client_order_index=self._number(client_order_index),
            reduce_only=reduce_only,
        )
        if avg_execution_price is None:
            buy = not checked.is_ask
            best = await self._prices.opposite(buy=buy)
            checked = self._build.at_market(
                size,
                self._build.bound(best, buy=buy, bps=bps),
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
            if (
                result["status"] == "sent"
                and record
                and record.ended_by is OrderEvent.DISCARDED
            ):
                raise RiskDeniedError(record.reason, rule=RiskRule.STOPPED)
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
        # A change has to repeat the trigger that it keeps.
        trigger = self._trigger_of(coi) if trigger_price is None else 0
        kept_size = self.market.size(lots) if lots else None
        intent = self._build.modify(
            coi,
            is_ask=record.is_ask if record else False,
            price=self.market.price(ticks) if price is None else price,
            quantity=kept_size if quantity is None else quantity,
            trigger_price=self.market.price(trigger) if trigger else trigger_price,
        )
        self._outbox.put(intent, touches=coi, is_cancel=False)
        # What the guard denies must not be built upon.
        self._outbox.aim(coi, ticks=intent.price, lots=intent.base_amount)
        self._note_trigger(coi, intent.trigger_price)
        result = OrderResult(
            client_order_index=coi,
            status="queued",
            symbol=self.market.symbol,
            market_index=self.market.market_id,
            price=self.market.price(intent.price),
            size=self.market.size(intent.base_amount),
        )
        if intent.trigger_price:
            result["trigger_price"] = self.market.price(intent.trigger_price)
        return result

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
            RiskDeniedError: the account's tier has no place for all of them, the
                canceled ones not yet taken off; nothing is sent.
            VenueError: refused as a whole; the message names the orders that were
                not cancelled because of that.
            TransportError: see `flush`.
        """
        self._require_open()
        require_no_batch(self._outbox, "batch_cancel_and_create")
        canceled = [
            checked_coi(coi, field="cancel_client_order_indices")
            for coi in _listed(
                cancel_client_order_indices, "cancel_client_order_indices"
            )
        ]
        intents = [
            self._build.limit(
                *_pair(pair),
                client_order_index=self._number(None),
                post_only=post_only,
                reduce_only=reduce_only,
            )
            for pair in _listed(new_limit_orders, "new_limit_orders")
        ]
        await self._require_room(intents)
        # A denied order takes the others of its batch along.
        with self._outbox.open_scope() as scope:
            for coi in canceled:
                cancel = self._build.cancel(coi)
                self._outbox.put(cancel, touches=coi, is_cancel=True)
            for intent in intents:
                self._outbox.put(
                    intent, touches=intent.client_order_index, is_cancel=False
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

    async def fetch_candles(
        self, resolution: str, count: int = 100, *, until_s: float | None = None
    ) -> list[Candle]:
        """Return the market's latest candles that are over, oldest first.

        One in which nobody traded may be missing.

        Args:
            resolution: `1m`, `5m`, `15m`, `30m`, `1h`, `4h`, `12h`, `1d` or `1w`.
            count: how many at most, 1..10000; five hundred are one request.
            until_s: only such as were over by then, unix seconds; None means now.

        Raises:
            InvalidOrderError: an argument is wrong.
        """
        self._require_open()
        length = candle_length_ms(resolution)
        most = checked_whole(count, 1, MOST_ROWS, field="count")
        now_ms = self.now_ms()
        if until_s is not None:
            told_s = checked_seconds(until_s, field="until_s", most=1e11)
            now_ms = min(now_ms, int(told_s * 1_000))
        end_ms = now_ms // length * length
        found: list[Candle] = []
        while len(found) < most and end_ms > 0:
            page = min(CANDLES_PER_PAGE, most - len(found))
            rows = await self._account.candles(
                self.market.market_id, resolution, end_ms=end_ms, count=page
            )
            over = [row for row in rows if row.start_ms + length <= end_ms]
            if not over:
                break
            found = [replace(row, closed=True) for row in over] + found
            end_ms = over[0].start_ms
        return found[-most:]

    def now_ms(self) -> int:
        """Return unix milliseconds by the clock that this dealer goes by."""
        return int(self._parts.environment.unix_s() * 1_000)

    async def flush(self) -> FlushResult:
        """Send everything queued, in batches of at most `max_ws_batch`.

        While the account's volume quota is used up, cancels go at once and the rest
        one by one, every 15 s; the flush takes as long as that.

        Returns:
            Hashes and counts; a flush of nothing has count 0, and waits until what
            was sent before is no longer in doubt.

        Raises:
            UsageError: called inside `batch()`.
            VenueError: the exchange refused a batch; its orders are rejected, its
                cancels were sent on their own, what was not sent yet stays queued.
            SignerError, ConnectError, RateLimitedError: nothing arrived; everything
                stays queued, a later flush sends it.
            SendOutcomeUnknownError: no answer came; do not send it again. What became
                of it is found out in the background, and nothing else leaves with
                the key until then.
            LaneHeldError: that is still not known; nothing was sent.
            ForeignNonceError: somebody else uses the key; cancels were sent, the rest
                stays queued.
        """
        self._require_open()
        require_no_batch(self._outbox, "flush")
        return await self._outbox.flush()


def _listed(values: object, field: str) -> list[object]:
    # A text and a mapping can be gone through as well, but not in this sense.
    if isinstance(values, (str, bytes, dict)) or not isinstance(values, Iterable):
        raise InvalidOrderError(field, values, "is no list")
    return list(values)


def _pair(value: object) -> tuple[Money, Money]:
    if not isinstance(value, (tuple, list)) or len(value) != len(("price", "size")):
        raise InvalidOrderError(
            "new_limit_orders", value, "is no pair of price and size"
        )
    price, size = value
    return price, size


def _deprecated(name: str, instead: str) -> None:
    warnings.warn(
        f"{name} needs the exchange's index; use {instead}",
        DeprecationWarning,
        stacklevel=3,
    )
