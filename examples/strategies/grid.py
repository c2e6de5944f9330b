"""Grid: resting orders on equally spaced lines, each fill answered one line further.

Idea. Around the price at the start lie `levels` lines below, with buys, and as many
above, with sells. When a buy is filled, a sell goes to the line above it; when a sell
is filled, a buy to the line below. Every swing across a line and back earns one step.

Risks. A grid bets on a market that swings. In a trend it buys all the way down, or
sells all the way up, to `levels` times `size`, and stands there with an open loss:
choose both so that you can live with that. A step has to be wider than what a fill
costs. The position is left as it is in the end; a restart lays a new grid.

Every order has its place at the start, or none is sent: the account's tier and your
limits allow only so many at a time. Where there is no such place it ends; where a guard
lets nothing pass just then, because it has halted or data is old, it waits.

Try it:

    wrappy run --strategy examples/strategies/grid.py
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from wrappy.errors import (
    ConfigError,
    ProtocolError,
    RiskDeniedError,
    TransportError,
    VenueError,
)
from wrappy.runner.strategy import Context, Strategy

if TYPE_CHECKING:
    from collections.abc import Sequence

BUY, SELL = 1, -1
BPS = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class GridParameters:
    """What can be tuned.

    Attributes:
        levels: lines on each side of the price at the start.
        step_bps: from line to line, 1e-4 of the price at the start.
        size: of each order, in the base asset.
        every_s: seconds between two looks at what was filled.
    """

    levels: int = 5
    step_bps: Decimal = Decimal(5)
    size: Decimal = Decimal("0.05")
    every_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.levels < 1:
            raise ConfigError(f"levels: {self.levels} is below 1")
        if not 0 < self.levels * self.step_bps < 5_000:
            raise ConfigError(
                f"step_bps: {self.step_bps} times {self.levels} levels is not above 0 "
                "and below 5000, half the price"
            )
        if self.size <= 0:
            raise ConfigError(f"size: {self.size} is not above 0")
        if not self.every_s > 0:
            raise ConfigError(f"every_s: {self.every_s} is not above 0")


class Grid(Strategy[GridParameters]):
    """Keeps a grid of orders in one market.

    The lines have numbers, 0 at the price of the start. One of them is empty, the
    centre: each sell that is filled moves it up by one, each buy down.

    Attributes:
        traded: what the orders that are over have bought, less what they have sold.
        numbers: client order index of the order on a line.
    """

    market_data = "book"

    def __init__(
        self,
        parameters: GridParameters | None = None,
        *,
        symbols: Sequence[str] = ("ETH",),
    ) -> None:
        super().__init__(parameters, symbols=symbols)
        self.traded = Decimal(0)
        self.numbers: dict[int, int] = {}

    @property
    def centre(self) -> int:
        """The empty line."""
        return -int(self.traded / self.parameters.size)

    def side(self, line: int) -> int:
        """Return which side a line is to have; 0 for the empty one."""
        return (line < self.centre) - (line > self.centre)

    async def run(self, ctx: Context) -> None:
        """Lay the grid, and keep every line filled."""
        tuned = self.parameters
        anchor: Decimal | None = None
        is_laid = False
        while True:
            try:
                anchor = anchor or ctx.ws.book().mid_price
                if anchor is not None:
                    await self.fill_lines(ctx, anchor)
                    is_laid = True
            except RiskDeniedError as error:
                if not is_laid and not error.rule.is_passing:
                    told = f"levels: {tuned.levels} on each side do not fit: {error}"
                    raise ConfigError(told) from error
                ctx.log.warning("not every line has its order: %s", error)
            except (VenueError, TransportError, ProtocolError) as error:
                # What has not left is dropped; what may have left is known by its
                # number, and the next look goes by that.
                ctx.dealer().drop_queued()
                ctx.log.warning("lines were not filled: %s", error)
            await ctx.sleep(tuned.every_s)
            self.count_fills(ctx)

    def count_fills(self, ctx: Context) -> None:
        """Take orders that are over off their lines, and count what they traded."""
        orders, market = ctx.dealer().orders, ctx.market()
        for line, number in list(self.numbers.items()):
            order = orders.get(number)
            if order is not None and not order.status.is_terminal:
                continue
            del self.numbers[line]
            if order is not None and order.filled_base:
                filled = market.size(order.filled_base)
                self.traded += -filled if order.is_ask else filled
                ctx.log.info("line %d filled, the centre is %d", line, self.centre)

    def room(self, ctx: Context, side: int) -> int:
        """Return how many more orders of a side there may be.

        Should all that is on the lines be filled, unheard of or on its way out, no
        more may be held than `levels` times `size`.
        """
        tuned, orders = self.parameters, ctx.dealer().orders
        resting = sum(
            order is not None and order.is_ask == (side == SELL)
            for order in map(orders.get, self.numbers.values())
        )
        return int(tuned.levels - side * self.traded / tuned.size) - resting

    async def fill_lines(self, ctx: Context, anchor: Decimal) -> None:
        """Put an order on every line that lacks one and is on its side of the market.

        Raises:
            ProtocolError: the book, or an answer, cannot be read now.
            RiskDeniedError: there is no place for all of them, or a guard lets none
                pass now; none is sent.
            VenueError, TransportError: see `flush`.
        """
        tuned, dealer = self.parameters, ctx.dealer()
        bid, ask = ctx.ws.book().best_bid, ctx.ws.book().best_ask
        new, placed = {}, {BUY: 0, SELL: 0}
        async with dealer.batch():
            for line in range(-tuned.levels, tuned.levels + 1):
                price = anchor * (1 + line * tuned.step_bps * BPS)
                side = self.side(line)
                number = self.numbers.get(line)
                order = None if number is None else dealer.orders.get(number)
                if number is not None:
                    if order is not None and side != (SELL if order.is_ask else BUY):
                        await dealer.cancel_order_by_coi(number)
                    continue
                # Post-only: on the wrong side it would be canceled at once.
                crosses = (side == BUY and ask is not None and price >= ask.price) or (
                    side == SELL and bid is not None and price <= bid.price
                )
                if side and not crosses and self.room(ctx, side) > placed[side]:
                    sent = await dealer.create_limit_order(
                        price, side * tuned.size, post_only=True
                    )
                    new[line] = sent["client_order_index"]
                    placed[side] += 1
            # From here on they may exist, whatever comes of the request.
            self.numbers.update(new)
