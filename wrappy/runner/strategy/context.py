"""What a strategy is given: its dealers and streams, candles, time, chance, a log."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

from wrappy.errors import UsageError

if TYPE_CHECKING:
    import logging
    import random
    from collections.abc import AsyncIterator, Callable, Mapping

    from wrappy.lighter.dealer import LighterDealer
    from wrappy.lighter.ws import WsInfo
    from wrappy.model import Candle, Market
    from wrappy.runner.worlds.candle_source import CandleSource


class Context:
    """A strategy's hands and eyes; the same in every world.

    Where a symbol can be named and is not, the strategy's first market is meant.

    Attributes:
        name: the strategy's name in this engine.
        ws: streams of the account and of the strategy's markets.
        rng: chance, seeded by the world's seed and the strategy's name.
        log: the strategy's own logger.
        doubts: symbols of which `go_to_position` cannot rely on the stream yet, with
            orders whose end it does not know.
    """

    def __init__(
        self,
        name: str,
        *,
        dealers: Mapping[str, LighterDealer],
        ws: WsInfo,
        candles: CandleSource,
        unix_s: Callable[[], float],
        rng: random.Random,
        log: logging.Logger,
    ) -> None:
        self.name = name
        self.ws = ws
        self.rng = rng
        self.log = log
        self.doubts: dict[str, tuple[int, ...]] = {}
        self._dealers = dict(dealers)
        self._first = next(iter(self._dealers))
        self._candles = candles
        self._unix_s = unix_s

    @property
    def symbols(self) -> tuple[str, ...]:
        """The strategy's markets."""
        return tuple(self._dealers)

    def dealer(self, symbol: str | None = None) -> LighterDealer:
        """Return what sends orders to a market.

        Raises:
            UsageError: the strategy does not trade that market.
        """
        return self._dealers[self._known(symbol)]

    def market(self, symbol: str | None = None) -> Market:
        """Return a market's scales and minimums.

        Raises:
            UsageError: the strategy does not trade that market.
        """
        return self.dealer(symbol).market

    def now(self) -> float:
        """Return unix seconds: the world's clock."""
        return self._unix_s()

    async def sleep(self, seconds: float) -> None:
        """Let so much of the world's time pass.

        Raises:
            UsageError: a negative or unusable number of seconds.
        """
        if not 0 <= seconds < float("inf"):
            raise UsageError(f"sleep: {seconds!r} seconds cannot pass")
        await asyncio.sleep(seconds)

    def position(self, symbol: str | None = None) -> Decimal:
        """Return a position's signed size as the stream told it last; 0 when flat.

        Raises:
            UsageError: the strategy does not trade that market.
        """
        held = self.ws.positions.get(self._known(symbol))
        return Decimal(0) if held is None else held.size

    async def equity(self) -> Decimal:
        """Ask for the account's money with its open profit, in USDC.

        Raises:
            VenueError, TransportError: the exchange could not be asked.
        """
        balance = await self.dealer().fetch_my_balance()
        return balance["total_asset_value"]

    async def history(
        self, resolution: str, count: int, symbol: str | None = None
    ) -> list[Candle]:
        """Return up to `count` candles that are over, oldest first.

        Args:
            resolution: such as `1m`.
            count: how many at most.
            symbol: the market.

        Raises:
            UsageError: no such resolution or market.
            VenueError, TransportError: the exchange could not be asked.
        """
        return await self._candles.history(self._known(symbol), resolution, count)

    async def candles(
        self, resolution: str, symbol: str | None = None, *, history: int = 0
    ) -> AsyncIterator[Candle]:
        """Yield candles, each once and only when it is over, for as long as they come.

        One that nobody traded in may be missing.

        Args:
            resolution: such as `1m`.
            symbol: the market.
            history: how many that are over already to begin with.

        Raises:
            UsageError: no such resolution or market.
            VenueError, TransportError: the exchange could not be asked.
        """
        known = self._known(symbol)
        last = -1
        if history:
            for candle in await self._candles.history(known, resolution, history):
                last = candle.start_ms
                yield candle
        async for candle in self._candles.follow(known, resolution):
            if candle.start_ms > last:
                last = candle.start_ms
                yield candle

    def _known(self, symbol: str | None) -> str:
        if symbol is None:
            return self._first
        if symbol not in self._dealers:
            raise UsageError(
                f"symbol: {self.name} trades {', '.join(self._dealers)}, not {symbol}"
            )
        return symbol
