"""Candles as an exchange tells them: by REST what was, by the stream what comes."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from wrappy.errors import (
    ProtocolError,
    StreamClosedError,
    TransportError,
    VenueError,
)
from wrappy.runner.history.values import resolution_ms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from wrappy.lighter.ws import WsInfo
    from wrappy.model import Candle

logger = logging.getLogger("wrappy.candles")

GRACE_S: Final = 0.5
"""How long after a candle's end its last trade may still be on its way."""

FRESH_S: Final = 5.0
"""Silence of the stream after which its candle is not taken on trust."""

AGAIN_S: Final = 2.0
"""Pause after a question that got no answer."""

MOST_MISSED: Final = 500
"""Candles that one question can bring back after an outage."""


class CandleTeller(Protocol):
    """What asks the exchange for candles of one market: a dealer, for one."""

    async def fetch_candles(
        self, resolution: str, count: int = 100, *, until_s: float | None = None
    ) -> list[Candle]:
        """Return candles that were over by then, oldest first."""
        ...

    def now_ms(self) -> int:
        """Return unix milliseconds."""
        ...


class ExchangeCandles:
    """Candles of a strategy's markets, told by the exchange it trades at.

    A candle is told `GRACE_S` after its end: the stream's, if it was followed from
    its beginning and is alive, or else the one that the exchange answers. Candles
    that ended during an outage are told after it.

    Args:
        dealers: by symbol; they ask.
        ws: the overlay that streams.
    """

    def __init__(self, dealers: Mapping[str, CandleTeller], ws: WsInfo) -> None:
        self._dealers = dealers
        self._ws = ws

    async def history(self, symbol: str, resolution: str, count: int) -> list[Candle]:
        """Return up to `count` candles that are over by now, oldest first."""
        return await self._dealers[symbol].fetch_candles(resolution, count)

    async def follow(self, symbol: str, resolution: str) -> AsyncIterator[Candle]:
        """Yield each candle that ends from now on, once it has ended."""
        length = resolution_ms(resolution)
        dealer = self._dealers[symbol]
        stop = await self._ws.watch(f"candles:{resolution}", symbol)
        try:
            start_ms = dealer.now_ms() // length * length
            # The stream did not see its beginning.
            first_whole_ms = start_ms + length
            logger.info(
                "%s: waiting for candles of %s; the first is over in %.0f s",
                symbol,
                resolution,
                (first_whole_ms - dealer.now_ms()) / 1_000,
            )
            while True:
                await _until(dealer, start_ms + length)
                told = self._told(symbol, resolution, start_ms)
                # A connection that died unnoticed may have missed its last trades.
                fresh = self._ws.age_s <= FRESH_S
                if told is not None and fresh and start_ms >= first_whole_ms:
                    yield told
                    start_ms += length
                    continue
                now_ms = dealer.now_ms()
                missed = min(max(1, (now_ms - start_ms) // length), MOST_MISSED)
                try:
                    rows = await dealer.fetch_candles(
                        resolution, missed, until_s=now_ms / 1_000
                    )
                except (TransportError, VenueError, ProtocolError) as error:
                    logger.warning("%s: no candles for now: %s", symbol, error)
                    await asyncio.sleep(AGAIN_S)
                    continue
                for candle in rows:
                    if candle.start_ms >= start_ms:
                        yield candle
                # In those that are missing nobody traded.
                start_ms += missed * length
        finally:
            stop()

    def _told(self, symbol: str, resolution: str, start_ms: int) -> Candle | None:
        try:
            candles = self._ws.candles(resolution, symbol)
        except StreamClosedError:
            return None
        found = (candle for candle in reversed(candles) if candle.start_ms == start_ms)
        told = next(found, None)
        return None if told is None else replace(told, closed=True)


async def _until(dealer: CandleTeller, end_ms: int) -> None:
    # The clock may be set while this sleeps; whoever asks then looks at it again.
    await asyncio.sleep(max(0.0, (end_ms - dealer.now_ms()) / 1_000 + GRACE_S))
