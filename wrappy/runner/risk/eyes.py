"""What a guard sees of the streams: prices, how old data is, the account's words."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wrappy.errors import BookGapError, StreamClosedError, UsageError
from wrappy.lighter.risk_desk import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from wrappy.lighter.risk_desk import AccountRisk, RiskDesk, RiskMarket
    from wrappy.lighter.ws import WsInfo
    from wrappy.model import Market
    from wrappy.runner.risk.limits import RiskLimits
    from wrappy.runner.worlds.simulation import Simulation
    from wrappy.runner.worlds.world import World


@dataclass(slots=True)
class _View:
    """One overlay, and what of it belongs to how many dealers."""

    ws: WsInfo
    users: int = 0
    wires: list[Callable[[], None]] = field(default_factory=list)


class Eyes:
    """Reads prices and ages from the overlays of all strategies.

    Args:
        limits: what has to be watched for them.
    """

    def __init__(self, limits: RiskLimits) -> None:
        self._limits = limits
        self._rules = limits.rules()
        self._views: dict[int, _View] = {}
        self._sights: dict[int, list[tuple[WsInfo, Market]]] = {}
        self._traded_at: dict[int, float] = {}
        self._simulation: Simulation | None = None
        self._silence_tells = True

    def live_in(self, world: World) -> None:
        """Take note of where the overlays are; do it before one is opened.

        Where no connection gives signs of life, nothing follows from its silence: it
        is up or it is not.
        """
        self._simulation = world.simulation
        self._silence_tells = world.environment.keeps_alive

    async def open(
        self,
        ws: WsInfo,
        market: Market,
        *,
        on_orders: Callable[[Any], object],
        on_positions: Callable[[Any], object],
        on_equity: Callable[[Decimal], object],
        on_state: Callable[[Any], object],
    ) -> Callable[[], None]:
        """Look through an overlay; return what ends it.

        Args:
            ws: the overlay.
            market: one of its markets.
            on_orders: called with the account's orders as the exchange tells them.
            on_positions: called with its open positions by symbol.
            on_equity: called with its worth in USDC.
            on_state: called when the overlay's state is another one.

        Raises:
            VenueError, TransportError: a stream that is needed was not to be had.
        """
        wires: list[Callable[[], None]] = []

        def close() -> None:
            while wires:
                wires.pop()()

        try:
            view = self._views.setdefault(id(ws), _View(ws))
            view.users += 1
            wires.append(lambda: self._leave(ws))
            if view.users == 1:
                hooks = {
                    "on_orders": on_orders,
                    "on_positions": on_positions,
                    "on_state": on_state,
                }
                view.wires += [ws.add_hook(name, hook) for name, hook in hooks.items()]
                if self._limits.max_trades_age_s is not None:
                    view.wires.append(ws.add_hook("on_public_trades", self._traded))
                await self._watch_equity(view, on_equity)
            if self._rules.needs_prices and self._simulation is None:
                wires.append(await ws.watch("market_stats", market.symbol))
        except BaseException:
            close()
            raise
        sights = self._sights.setdefault(market.market_id, [])
        sight = (ws, market)
        sights.append(sight)
        wires.append(lambda: sights.remove(sight))
        self._traded_at.setdefault(market.market_id, asyncio.get_running_loop().time())
        return close

    async def _watch_equity(
        self, view: _View, on_equity: Callable[[Decimal], object]
    ) -> None:
        if not self._rules.needs_equity or self._simulation is not None:
            return
        view.wires.append(
            view.ws.add_hook(
                "on_user_stats", lambda stats: on_equity(stats.portfolio_value)
            )
        )
        view.wires.append(await view.ws.watch("user_stats"))

    def _leave(self, ws: WsInfo) -> None:
        view = self._views[id(ws)]
        view.users -= 1
        if not view.users:
            del self._views[id(ws)]
            while view.wires:
                view.wires.pop()()

    def _traded(self, rows: Any) -> None:
        now = asyncio.get_running_loop().time()
        for index in {row.get("market_id") for row in rows}:
            self._traded_at[index] = now

    def equity(self) -> Decimal | None:
        """Return the account's worth as a live stream tells it, in USDC."""
        told = (_worth(view.ws) for view in self._views.values())
        return next((worth for worth in told if worth is not None), None)

    def look(self, risk: AccountRisk, market: RiskMarket, now: float) -> None:
        """Bring a market's price and the age of data up to date."""
        risk.see(ACCOUNT, self._account_problem(), now)
        sights = self._sights.get(market.index, ())
        problems = [self._problem(ws, market, now) for ws, _ in sights]
        fine = not problems or None in problems
        risk.see(market.symbol, None if fine else problems[0], now)
        if self._rules.needs_prices:
            market.mark = self._mark(market.index)

    def marks(self, desk: RiskDesk, told: Mapping[str, Decimal]) -> dict[int, int]:
        """Return prices of the moment in ticks, whether a limit depends on them or not.

        Args:
            desk: knows the markets.
            told: prices by symbol for where no overlay has one; nothing is judged
                by them.
        """
        found = {}
        for index, market in desk.risk.markets.items():
            mark = self._mark(index)
            if mark is None and market.symbol in told:
                mark = round(told[market.symbol] * desk.market(index).price_scale)
            if mark:
                found[index] = mark
        return found

    def _mark(self, index: int) -> int | None:
        if self._simulation is not None:
            return self._simulation.mark(index)
        ticks = (self._ticks(ws, one) for ws, one in self._sights.get(index, ()))
        return next((found for found in ticks if found), None)

    def _account_problem(self) -> str | None:
        """Return what is wrong with all streams of the account; None if one is well."""
        oldest = float(self._limits.max_data_age_s)
        problem = None
        for view in self._views.values():
            if not view.ws.is_ready:
                problem = "the account's stream is not up"
            elif self._silence_tells and view.ws.age_s > oldest:
                problem = f"nothing was heard of the exchange for {oldest:g} s"
            else:
                return None
        return problem

    def _problem(self, ws: WsInfo, market: RiskMarket, now: float) -> str | None:
        oldest = self._limits.max_trades_age_s
        silent_s = now - self._traded_at.get(market.index, -math.inf)
        if oldest is not None and silent_s > oldest:
            return f"no trade in {market.symbol} for {oldest} s"
        try:
            book = ws.book(market.symbol)
        except UsageError:
            return None  # this strategy streams none
        return None if book.is_valid else f"the book of {market.symbol} is not sound"

    def _ticks(self, ws: WsInfo, market: Market) -> int | None:
        price = _price(ws, market.symbol)
        return None if price is None else round(price * market.price_scale)


def _worth(ws: WsInfo) -> Decimal | None:
    try:
        return ws.user_stats.portfolio_value
    except (StreamClosedError, UsageError):
        return None


def _price(ws: WsInfo, symbol: str) -> Decimal | None:
    """Return a market's mark price, or else what comes nearest to it."""
    try:
        stats = ws.market_stats(symbol)
    except (StreamClosedError, UsageError):
        pass
    else:
        if stats.mark_price is not None:
            return stats.mark_price
    try:
        book = ws.book(symbol)
        bid, ask = book.best_bid, book.best_ask
    except (BookGapError, UsageError):
        return None
    if bid is None or ask is None:
        return None
    return (bid.price + ask.price) / 2
