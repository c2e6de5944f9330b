"""Market maker: a bid and an ask around the middle, leaning against the inventory.

Idea. Buy a little below the middle of the book and sell a little above it. What is
held moves both quotes: long lowers them, so that the ask is taken sooner, short raises
them. Quotes are post-only. One is moved only when it is off by more than `requote_bps`:
a move loses its place in the queue and spends a request and quota, and a smaller step
does not pay for that.

Risks. Quotes are taken when the market moves against them, and the more so the slower
they follow. The position stays within `max_position`, and beyond it by at most one
`size`, when a quote is filled just as it is moved. It is left as it is in the end.

Try it:

    wrappy run --strategy examples/strategies/market_maker.py
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from wrappy.errors import BookGapError, ConfigError
from wrappy.runner.strategy import NOT_NOW, Context, OwnCount, Strategy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BUY, SELL = 1, -1
BPS = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketMakerParameters:
    """What can be tuned.

    Attributes:
        size: of each quote, in the base asset.
        max_position: most to hold, long or short, in the base asset.
        half_spread_bps: distance of each quote from the middle, 1e-4 of the price.
        skew_bps: how far both quotes lean at `max_position`, 1e-4 of the price.
        requote_bps: how far off a quote may be before it is moved.
        every_s: seconds between two looks at the book.
    """

    size: Decimal = Decimal("0.05")
    max_position: Decimal = Decimal("0.25")
    half_spread_bps: Decimal = Decimal(2)
    skew_bps: Decimal = Decimal(2)
    requote_bps: Decimal = Decimal("0.5")
    every_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 0 < self.size <= self.max_position:
            raise ConfigError(
                f"size: {self.size} is not above 0 and at most max_position "
                f"{self.max_position}"
            )
        for name in ("half_spread_bps", "skew_bps", "requote_bps"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: {getattr(self, name)} is below 0")
        if not self.every_s > 0:
            raise ConfigError(f"every_s: {self.every_s} is not above 0")


class MarketMaker(Strategy[MarketMakerParameters]):
    """Quotes both sides of one market."""

    market_data = "book"

    async def run(self, ctx: Context) -> None:
        """Look at the book again and again, and move what is worth moving."""
        count = OwnCount(ctx, ctx.symbols[0])
        comparing = asyncio.ensure_future(self.compare(ctx, count))
        try:
            await self.quote(ctx, count)
        finally:
            comparing.cancel()
            await asyncio.wait([comparing])

    async def compare(self, ctx: Context, count: OwnCount) -> None:
        """Ask the account what is held where two words on it differ.

        Beside the quotes: they must not wait for an answer.
        """
        while True:
            with contextlib.suppress(*NOT_NOW):
                await count.agrees()
            await ctx.sleep(self.parameters.every_s)

    async def quote(self, ctx: Context, count: OwnCount) -> None:
        """Keep the quotes where they belong."""
        own: dict[int, int] = {}
        while True:
            try:
                # Of two words on what is held each side believes the worse one.
                wanted = self.quotes(ctx, (ctx.position(), count.held))
            except BookGapError as error:
                # A quote that nobody watches is a gift to whoever knows the price.
                ctx.log.warning("no prices, no quotes: %s", error)
                wanted = {}
            try:
                await self.move(ctx, own, wanted)
            except NOT_NOW as error:
                # What has not left is old by now; what may have left is known by its
                # number, and the next look goes by that.
                ctx.dealer().drop_queued()
                ctx.log.warning("quotes were not moved: %s", error)
            await ctx.sleep(self.parameters.every_s)

    def quotes(self, ctx: Context, words: Sequence[Decimal]) -> Mapping[int, Decimal]:
        """Return the price to quote on each side; a side is missing where none is.

        Args:
            ctx: the context.
            words: what may be held, by everybody who knows.

        Raises:
            BookGapError: the book cannot be read now.
        """
        tuned, tick = self.parameters, ctx.market().tick_size
        bid, ask = ctx.ws.book().best_bid, ctx.ws.book().best_ask
        if bid is None or ask is None:
            return {}
        held = max(words, key=abs)
        middle = (bid.price + ask.price) / 2
        leaning = middle * (1 - tuned.skew_bps * BPS * held / tuned.max_position)
        half = middle * tuned.half_spread_bps * BPS
        found = {}
        if max(words) + tuned.size <= tuned.max_position:
            # Post-only: at the other side's price it would be canceled at once.
            found[BUY] = min(leaning - half, ask.price - tick)
        if min(words) - tuned.size >= -tuned.max_position:
            found[SELL] = max(leaning + half, bid.price + tick)
        return found

    async def move(
        self, ctx: Context, own: dict[int, int], wanted: Mapping[int, Decimal]
    ) -> None:
        """Bring the resting orders to the wanted prices, in one request.

        Args:
            ctx: the context.
            own: side by client order index of every order that may rest; changed here.
            wanted: price by side.

        Raises:
            VenueError, TransportError: see `flush`.
        """
        dealer, tuned = ctx.dealer(), self.parameters
        missing = dict(wanted)
        async with dealer.batch():
            for number, side in list(own.items()):
                order = dealer.orders.get(number)
                if order is None or order.status.is_terminal:
                    del own[number]
                    continue
                is_at = ctx.market().price(order.price_ticks)
                bound = tuned.requote_bps * BPS * is_at
                if side in missing and abs(missing[side] - is_at) <= bound:
                    del missing[side]
                else:
                    await dealer.cancel_order_by_coi(number)
            for side, price in missing.items():
                sent = await dealer.create_limit_order(
                    price, side * tuned.size, post_only=True
                )
                # From here on it may exist, whatever comes of the request.
                own[sent["client_order_index"]] = side
