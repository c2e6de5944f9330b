"""Mark prices for a watcher: what a position is worth that no strategy has a price of.

Each market has a stream of its own, on the connection that is there anyway: one that
cannot be had takes nothing else with it, and no trading depends on any.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from wrappy.errors import StreamClosedError, UsageError, WrappyError
from wrappy.lighter.ws import WsInfo

if TYPE_CHECKING:
    from decimal import Decimal

    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.environment import Environment

logger = logging.getLogger("wrappy.monitor")

AGAIN_S: Final = 60.0
"""Pause after a stream that could not be opened: a missing price is no emergency."""


class PriceView:
    """Mark prices of markets that are named one after another.

    Args:
        config: complete settings of the account.
        environment: of the world.
    """

    def __init__(self, config: DealerConfig, environment: Environment) -> None:
        self._config = config
        self._environment = environment
        self._streams: dict[str, WsInfo] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def add(self, symbol: str) -> None:
        """Stream a market's price from now on; a second call does nothing."""
        if symbol not in self._tasks:
            self._tasks[symbol] = asyncio.ensure_future(self._keep(symbol))

    def prices(self) -> dict[str, Decimal]:
        """Return the prices that are live, in USDC by symbol."""
        found = {}
        for symbol, ws in self._streams.items():
            with contextlib.suppress(StreamClosedError, UsageError):
                mark = ws.market_stats(symbol).mark_price
                if mark is not None:
                    found[symbol] = mark
        return found

    async def aclose(self) -> None:
        """End all streams."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _keep(self, symbol: str) -> None:
        while True:
            try:
                ws = await self._opened(symbol)
            except WrappyError as error:
                logger.info("no price of %s for the monitor: %s", symbol, error)
                await asyncio.sleep(AGAIN_S)
                continue
            self._streams[symbol] = ws
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                del self._streams[symbol]
                await ws.aclose()

    async def _opened(self, symbol: str) -> WsInfo:
        config = self._config
        key = config.api_keys[0]
        return await WsInfo.run_overlay(
            config.account_index,
            key.api_key_index,
            key.api_key_private_key,
            symbol=symbol,
            market_data="none",
            watch=("market_stats",),
            base_url=config.base_url,
            chain_id=config.chain_id,
            environment=self._environment,
        )
