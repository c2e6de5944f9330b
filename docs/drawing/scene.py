"""An exchange in virtual time, and what is seen there while something runs."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from drawing.paper import Marks
from wrappy.runner.engine import TradingEngine
from wrappy.runner.in_process import InProcessExchange, TravelTimes
from wrappy.runner.network import venue_configs
from wrappy.runner.worlds.world import World
from wrappy.venue import VenueSettings
from wrappy.venue.events import OrderChanged, TradeExecuted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from wrappy.runner.strategy import Strategy
    from wrappy.venue.flow_settings import FlowSettings

Points = list[tuple[float, float]]
MINUTE, HOUR = 60.0, 3_600.0


@dataclasses.dataclass(frozen=True, slots=True)
class OrderSeen:
    """An order as it was at a moment; sizes in the base asset."""

    at: float
    index: int
    market_id: int
    owner: int
    price: float
    is_ask: bool
    rests: bool
    covers: float


class Scene:
    """What an exchange shows while something runs at it.

    Attributes:
        prices: course of each market's middle, by symbol; seconds and USDC.
        orders: each change of an order.
        fills: time, symbol, signed size and price of an account's fills.
    """

    def __init__(self, exchange: InProcessExchange) -> None:
        self.exchange = exchange
        self.markets = {one.market_id: one for one in exchange.engine.markets}
        self.prices: dict[str, Points] = {m.symbol: [] for m in self.markets.values()}
        self.orders: list[OrderSeen] = []
        self.trades: list[tuple[float, Any]] = []
        self._begun = asyncio.get_running_loop().time()
        exchange.ledger.listen(self._hear)

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return asyncio.get_running_loop().time() - self._begun

    def _hear(self, event: object) -> None:
        if isinstance(event, TradeExecuted):
            self.trades.append((self.now, event.trade))
        elif isinstance(event, OrderChanged):
            order, market = event.order, self.markets[event.order.market_index]
            rests = order.status == "open"
            self.orders.append(
                OrderSeen(
                    self.now,
                    order.order_index,
                    order.market_index,
                    order.owner,
                    order.price / market.price_scale,
                    order.is_ask,
                    rests,
                    order.remaining / market.size_scale
                    if rests and order.reduce_only
                    else 0.0,
                )
            )

    async def watch(self, every_s: float) -> None:
        """Note the middle of every book, again and again."""
        states = self.exchange.engine.exchange.markets
        while True:
            for market_id, market in self.markets.items():
                book = states[market_id].engine
                if book.best_bid and book.best_ask:
                    middle = (book.best_bid + book.best_ask) / 2 / market.price_scale
                    self.prices[market.symbol].append((self.now, middle))
            await asyncio.sleep(every_s)

    def fills(self, place: int = 0) -> list[tuple[float, str, float, float]]:
        """Return time, symbol, signed size and price of one account's trades."""
        owner = self.exchange.accounts[place].account_index
        found = []
        for at, trade in self.trades:
            market = self.markets[trade.market_index]
            if owner in (trade.ask_account, trade.bid_account):
                sign = 1 if trade.bid_account == owner else -1
                size = sign * trade.base / market.size_scale
                price = trade.price / market.price_scale
                found.append((at, market.symbol, size, price))
        return found

    def position(self, symbol: str, ends: float, place: int = 0) -> Points:
        """Return what an account has bought less what it has sold."""
        course, held = [(0.0, 0.0)], 0.0
        for at, of, size, _ in self.fills(place):
            if of == symbol:
                held = round(held + size, 8)
                course.append((at, held))
        return [*course, (ends, held)]

    def covered(self, ends: float) -> Points:
        """Return the size of resting reduce-only orders."""
        live: dict[int, float] = {}
        course = [(0.0, 0.0)]
        for order in self.orders:
            live[order.index] = order.covers
            course.append((order.at, round(sum(live.values()), 8)))
        return [*course, (ends, course[-1][1])]

    def resting(self, ends: float) -> list[tuple[bool, Points]]:
        """Return each stretch of an order at one price, with whether it is an ask."""
        live: dict[int, OrderSeen] = {}
        found = []
        for order in self.orders:
            before = live.pop(order.index, None)
            if before and (not order.rests or order.price != before.price):
                found.append(
                    (
                        before.is_ask,
                        [(before.at, before.price), (order.at, before.price)],
                    )
                )
                before = None
            if order.rests:
                live[order.index] = before or order
        found += [(o.is_ask, [(o.at, o.price), (ends, o.price)]) for o in live.values()]
        return found


@contextlib.asynccontextmanager
async def scene(
    *symbols: str,
    flow: FlowSettings,
    seed: int = 3,
    travel_ms: tuple[int, int] = (5, 40),
    every_s: float = 1.0,
) -> AsyncIterator[Scene]:
    """Open an exchange with markets of a kind, and look at it while it is open."""
    settings = VenueSettings(
        seed=seed, symbols=symbols, verify=False, synthetic=(flow,)
    )
    travel = TravelTimes(request_ms=travel_ms, reply_ms=travel_ms)
    async with InProcessExchange(settings, repeats=True, travel=travel) as exchange:
        seen = Scene(exchange)
        watching = asyncio.ensure_future(seen.watch(every_s))
        try:
            yield seen
        finally:
            watching.cancel()


def world(seen: Scene) -> World:
    """Return the world of an engine that trades there."""
    exchange = seen.exchange
    return World(
        name="venue",
        config=venue_configs(exchange)[0],
        environment=exchange.environment,
    )


async def traded(seen: Scene, strategy: Strategy[Any], seconds: float) -> float:
    """Run a strategy for so long; return how long it was, with the stop."""
    engine = TradingEngine(world(seen))
    engine.add_strategy(strategy)
    await engine.start()
    await asyncio.sleep(seconds)
    report = await engine.stop()
    if report.crashed:
        raise next(iter(report.crashed.values()))
    return seen.now


def per(unit: float, points: Sequence[tuple[float, float]]) -> Points:
    """Return points with their time in a unit."""
    return [(at / unit, value) for at, value in points]


def fill_marks(seen: Scene, unit: float, *symbols: str) -> list[Marks]:
    """Return an account's buys and sells as marks."""
    rows = [one for one in seen.fills() if not symbols or one[1] in symbols]
    return [
        Marks(
            name=name,
            points=[
                (at / unit, price) for at, _, size, price in rows if size * sign > 0
            ],
            tone=tone,
            shape=shape,
        )
        for name, sign, tone, shape in (
            ("bought", 1, "good", "up"),
            ("sold", -1, "bad", "down"),
        )
    ]
