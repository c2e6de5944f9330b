"""Arbitrage: buy where it is cheap, sell where it is dear, wait until both agree.

Idea. Two markets of one asset, such as the perpetual ETH and the spot market ETH/USDC,
drift apart and come back. When what is received here exceeds what is paid there by
more than the way in and the way out cost, take both sides; when the prices have met
again, give both back. Prices are those of the whole size, as the books have it.

Risks. The prices may part further, or for good, and the perpetual be liquidated
meanwhile. The second leg may fail after the first; what has no counterpart is given
back at the market as soon as both legs are known. They are counted by the own fills:
nobody else may trade the asset on the account. Spot sales come out of what it owns.

Try it:

    wrappy run --strategy arbitrage --duration 600
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from wrappy.errors import ConfigError
from wrappy.model import OrderStatus
from wrappy.runner.strategy import NOT_NOW, Context, OwnCount, Strategy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wrappy.model import PriceLevel

DOUBTFUL = {OrderStatus.QUEUED, OrderStatus.SENT, OrderStatus.UNKNOWN}
NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArbitrageParameters:
    """What can be tuned. All but size and time are parts of the price.

    Attributes:
        size: of the pair, in the base asset.
        fees: taker fees of both markets together.
        slippage: lost on each trade besides what the book shows.
        gain: what has to be left after both ways to open.
        leave: difference of the prices at which the pair is closed.
        look_s: pause between two looks at the books, seconds.
    """

    size: Decimal = Decimal("0.1")
    fees: Decimal = Decimal("0.00056")
    slippage: Decimal = Decimal("0.00005")
    gain: Decimal = Decimal("0.0003")
    leave: Decimal = Decimal("0.0001")
    look_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.size <= 0 or self.look_s <= 0:
            raise ConfigError("size, look_s: both have to be above 0")
        if min(self.fees, self.slippage, self.gain) < 0:
            raise ConfigError("fees, slippage, gain: none of them can be negative")


class Quote(NamedTuple):
    """What the whole size is bought and sold for, a piece."""

    buy: Decimal
    sell: Decimal


def average(levels: Sequence[PriceLevel], size: Decimal) -> Decimal | None:
    """Return the mean price of a size taken off one side of a book, best first."""
    left, paid = size, NOTHING
    for level in levels:
        part = min(left, level.size)
        left, paid = left - part, paid + part * level.price
        if not left:
            return paid / size
    return None


def decide(
    first: Quote,
    second: Quote,
    held: Decimal,
    tuned: ArbitrageParameters,
    *,
    owned: bool,
) -> Decimal:
    """Return how much of the first market to hold; of the second the opposite.

    `held` is what is held of the first now, `owned` whether there is something to
    sell in the second.
    """
    up, down = second.sell / first.buy - 1, first.sell / second.buy - 1
    if held:
        return NOTHING if (down if held > 0 else up) >= -tuned.leave else held
    wanted = 2 * (tuned.fees + 2 * tuned.slippage) + tuned.leave + tuned.gain
    if owned and up >= wanted:
        return tuned.size
    return -tuned.size if down >= wanted else NOTHING


class Arbitrage(Strategy[ArbitrageParameters]):
    """Holds as much of one market as it owes in the other, or nothing of both."""

    market_data = "book"
    watch = ("assets",)

    def __init__(
        self,
        parameters: ArbitrageParameters | None = None,
        *,
        symbols: Sequence[str] = ("ETH",),
    ) -> None:
        """Take the spot market of the asset where only one market is named."""
        if len(symbols) == 1:
            symbols = (symbols[0], f"{symbols[0]}/USDC")
        super().__init__(parameters, symbols=symbols)
        self._kept: dict[str, str] = {}
        self.counts: dict[str, OwnCount] = {}

    def save(self) -> Mapping[str, Any]:
        """Return how much of a spot asset is not the pair's."""
        return self._kept

    def load(self, state: Mapping[str, Any]) -> None:
        """Take that back after a restart."""
        self._kept = dict(state)

    async def run(self, ctx: Context) -> None:
        """Compare the two books at every look."""
        if ctx.market().is_spot:
            raise ConfigError(f"symbols: {ctx.symbols[0]} is spot; name it second")
        first, second = ctx.symbols
        told = (lambda: self.told(ctx)) if ctx.market(second).is_spot else None
        self.counts[first] = OwnCount(ctx, first)
        self.counts[second] = OwnCount(ctx, second, told=told)
        while True:
            await ctx.sleep(self.parameters.look_s)
            look = asyncio.ensure_future(self._look(ctx))
            try:
                await asyncio.shield(look)
            except NOT_NOW as error:
                # Whatever was sent is looked at again before anything else is.
                ctx.log.warning("this look ends: %s", error)
            finally:
                # Whoever is stopped between the two legs trades the second one.
                await asyncio.wait([look])

    async def _look(self, ctx: Context) -> None:
        for dealer in map(ctx.dealer, ctx.symbols):
            if any(order.status in DOUBTFUL for order in dealer.orders.live()):
                return await dealer.reconcile()
        first, second = ctx.symbols
        legs = self.counts[first], self.counts[second]
        sure = [await leg.agrees() for leg in legs]
        held, opposite = (leg.held for leg in legs)
        surplus, known = held + opposite, all(leg.is_known for leg in legs)
        if known and abs(surplus) >= ctx.market(second).lot_size:
            symbol = first if abs(held) > abs(opposite) else second
            ctx.log.warning("%s %s have no counterpart", surplus, symbol)
            await self._trade(ctx, symbol, -surplus)
        elif all(sure) and (target := self._wanted(ctx, held)) != held:
            ctx.log.info("pair from %s to %s", held, target)
            if done := await self._trade(ctx, first, target - held):
                await self._trade(ctx, second, -done)
        return None

    def told(self, ctx: Context) -> Decimal:
        """Return what the pair holds of the spot asset, as the stream tells it."""
        symbol = ctx.symbols[1]
        asset = ctx.ws.assets.get(symbol.partition("/")[0])
        balance = NOTHING if asset is None else asset.balance
        return balance - Decimal(self._kept.setdefault(symbol, str(balance)))

    def _wanted(self, ctx: Context, held: Decimal) -> Decimal:
        first, second = (self._quote(ctx, symbol) for symbol in ctx.symbols)
        if first is None or second is None:
            return held  # a book that lacks the size says nothing
        symbol = ctx.symbols[1]
        asset = ctx.ws.assets.get(symbol.partition("/")[0])
        free = NOTHING if asset is None else asset.balance - asset.locked
        owned = not ctx.market(symbol).is_spot or free >= self.parameters.size
        return decide(first, second, held, self.parameters, owned=owned)

    def _quote(self, ctx: Context, symbol: str) -> Quote | None:
        sides = ctx.ws.book(symbol).depth(20)
        sell, buy = (average(side, self.parameters.size) for side in sides)
        return None if buy is None or sell is None else Quote(buy=buy, sell=sell)

    async def _trade(self, ctx: Context, symbol: str, size: Decimal) -> Decimal:
        """Trade at the market; return what was filled."""
        before, dealer = self.counts[symbol].held, ctx.dealer(symbol)
        sent = await dealer.create_market_order(size)
        await dealer.wait_settled(sent["client_order_index"], 60.0)
        return self.counts[symbol].held - before
