"""What a strategy holds, counted by the fills of its own orders."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from wrappy.model import TERMINAL_STATUSES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wrappy.model import OrderStatus
    from wrappy.runner.strategy.context import Context

ASK_EVERY_S: Final = 10.0

PATIENCE_S: Final = 30.0
"""How long the exchange has to answer something else than the own fills come to."""

STREAM_PATIENCE_S: Final = 300.0
"""The same where there is nothing but a stream."""

ENDED_KEPT: Final = 10_000
"""Orders that are over and may still be told of: as many as the exchange lists."""


class OwnCount:
    """What is held of a market in which nobody else trades.

    The stream may be late, and whoever acts on what it told last trades twice. The
    orders know their fills before that: a position is what it was at the beginning,
    and what they have filled since. An order that was over when it was first heard of
    is of an earlier run, and part of the beginning. What somebody else does to it,
    such as a liquidation, is taken over once the exchange has told the same of it for
    long; not from a stream, though, that tells what it told before the latest orders.

    Args:
        ctx: the strategy's context.
        symbol: the market.
        told: returns what a stream tells is held, where that is no position and the
            exchange cannot be asked for it, as in a spot market; None for a position.
    """

    def __init__(
        self,
        ctx: Context,
        symbol: str,
        *,
        told: Callable[[], Decimal] | None = None,
    ) -> None:
        self._ctx = ctx
        self._symbol = symbol
        self._told = told or (lambda: ctx.position(symbol))
        self._ask: Callable[[], Awaitable[Decimal]] | None = None
        self._patience_s = STREAM_PATIENCE_S
        if told is None:
            self._ask = ctx.dealer(symbol).fetch_my_position
            self._patience_s = PATIENCE_S
        self._base: Decimal | None = None
        self._traded = 0
        self._live: dict[int, int] = {}
        self._ended: dict[int, int] = {}  # in the order of their ends
        self._agreed: Decimal | None = None
        self._differs: tuple[Decimal, float] | None = None
        self._asked_at = -ASK_EVERY_S
        orders = ctx.dealer(symbol).orders
        for order in orders.live():
            # What an earlier run left: only what it fills from here on is news.
            filled = order.filled_base
            self._live[order.client_order_index] = -filled if order.is_ask else filled
        orders.tell(
            lambda order: self._hear(
                order.client_order_index,
                -order.filled_base if order.is_ask else order.filled_base,
                order.status,
            )
        )

    @property
    def is_known(self) -> bool:
        """Whether it is known what was held at the beginning."""
        return self._base is not None

    @property
    def held(self) -> Decimal:
        """What is held now; 0 before it is known."""
        traded = self._ctx.market(self._symbol).size(self._traded)
        return (self._base or Decimal(0)) + traded

    def _hear(self, number: int, lots: int, status: OrderStatus) -> None:
        is_over = status in TERMINAL_STATUSES
        before = self._live.pop(number, None)
        if before is None:
            before = self._ended.get(number, lots if is_over else 0)
        self._traded += lots - before
        if not is_over:
            self._live[number] = lots
            return
        self._ended[number] = lots
        if len(self._ended) > ENDED_KEPT:
            del self._ended[next(iter(self._ended))]

    async def agrees(self) -> bool:
        """Return whether the exchange tells the same; until then nothing is sure.

        Call it when no order is under way. Where the stream tells something else, the
        exchange is asked, every ten seconds at most.

        Raises:
            VenueError, TransportError: it could not be asked.
        """
        told, now = self._told(), self._ctx.now()
        if self.is_known and told == self.held:
            self._agreed, self._differs = told, None
            return True
        if self._ask is not None:
            if now - self._asked_at < ASK_EVERY_S:
                return False
            self._asked_at, streamed, traded = now, told, self._traded
            told = await self._ask()
            if traded != self._traded or not (self.is_known or told == streamed):
                return False  # nobody knows whether the answer has what came meanwhile
        if not self.is_known:
            self._take(told)
        elif told == self.held:
            self._differs = None
        elif self._differs is None or self._differs[0] != told - self.held:
            # Not the answer alone: old ones are alike where it goes back and forth.
            self._differs = told - self.held, now
            self._ctx.log.warning(
                "%s: own fills come to %s, the exchange tells %s",
                *(self._symbol, self.held, told),
            )
        elif now - self._differs[1] >= self._patience_s and self._is_news(told):
            self._ctx.log.error(
                "%s: %s are held and not %s: somebody else has traded",
                *(self._symbol, told, self.held),
            )
            self._take(told)
        return told == self.held

    def _is_news(self, told: Decimal) -> bool:
        return self._ask is not None or told != self._agreed

    def _take(self, held: Decimal) -> None:
        traded = self._ctx.market(self._symbol).size(self._traded)
        self._base, self._agreed, self._differs = held - traded, held, None
