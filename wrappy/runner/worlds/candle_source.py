"""Where candles come from, whatever the world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from wrappy.model import Candle


class CandleSource(Protocol):
    """Candles of the markets of one strategy."""

    async def history(self, symbol: str, resolution: str, count: int) -> list[Candle]:
        """Return up to `count` candles that are over by now, oldest first."""
        ...

    def follow(self, symbol: str, resolution: str) -> AsyncIterator[Candle]:
        """Yield each candle that ends from now on, once it has ended."""
        ...
