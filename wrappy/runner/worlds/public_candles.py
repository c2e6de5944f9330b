"""Candles of public markets, told without an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wrappy.errors import UsageError
from wrappy.lighter.config import DealerConfig, complete_address
from wrappy.lighter.link import acquire_link, release_link
from wrappy.runner.history.download import CandleDownload
from wrappy.runner.history.values import resolution_ms
from wrappy.runner.worlds.exchange_candles import ExchangeCandles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from wrappy.lighter.environment import Environment
    from wrappy.lighter.ws import WsInfo
    from wrappy.model import Candle, Market


class PublicCandles:
    """A `CandleSource` of markets that are watched without an account.

    Args:
        base_url: REST address of the exchange.
        streams: one overlay for each market, by symbol.
        environment: clock and connections.
    """

    def __init__(
        self, base_url: str, streams: Mapping[str, WsInfo], environment: Environment
    ) -> None:
        self._link = acquire_link(complete_address(DealerConfig(base_url=base_url)))
        self._rest = environment.open_rest(
            base_url, on_throttled=self._link.pace.throttled
        )
        self._sources = {
            symbol: ExchangeCandles(
                {symbol: _Questions(ws.market, self._ask, environment.unix_s)}, ws
            )
            for symbol, ws in streams.items()
        }

    async def history(self, symbol: str, resolution: str, count: int) -> list[Candle]:
        """Return up to `count` candles that are over by now, oldest first."""
        return await self._of(symbol).history(symbol, resolution, count)

    def follow(self, symbol: str, resolution: str) -> AsyncIterator[Candle]:
        """Yield each candle that ends from now on, once it has ended."""
        return self._of(symbol).follow(symbol, resolution)

    async def aclose(self) -> None:
        """Ask nothing any more."""
        try:
            await self._rest.aclose()
        finally:
            release_link(self._link)

    def _of(self, symbol: str) -> ExchangeCandles:
        found = self._sources.get(symbol)
        if found is None:
            raise UsageError(
                f"symbol: there are {', '.join(self._sources)}, no {symbol}"
            )
        return found

    async def _ask(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        await self._link.pace.wait(path)
        return await self._rest.get(path, parameters)


class _Questions:
    """`CandleTeller` of one market."""

    def __init__(
        self,
        market: Market,
        ask: Callable[[str, Mapping[str, str]], Awaitable[dict[str, Any]]],
        unix_s: Callable[[], float],
    ) -> None:
        self._market = market
        self._ask = ask
        self._unix_s = unix_s

    async def fetch_candles(
        self, resolution: str, count: int = 100, *, until_s: float | None = None
    ) -> list[Candle]:
        length = resolution_ms(resolution)
        now_ms = self.now_ms()
        if until_s is not None:
            now_ms = min(now_ms, int(until_s * 1_000))
        end_ms = now_ms // length * length
        download = CandleDownload(
            self._ask,
            market_id=self._market.market_id,
            resolution=resolution,
            start_ms=max(1, end_ms - count * length),
            end_ms=end_ms,
            now_ms=now_ms,
            symbol=self._market.symbol,
        )
        return [candle async for candle in download][-count:]

    def now_ms(self) -> int:
        return int(self._unix_s() * 1_000)
