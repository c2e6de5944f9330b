"""Trading on paper: a real market, mirrored into an exchange in this process.

Books and trades come from public streams, without an account; our orders never leave
the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from typing import TYPE_CHECKING, Final

from wrappy.errors import BookGapError, ConfigError, StreamClosedError
from wrappy.lighter.config import NETWORKS
from wrappy.lighter.ws import WsInfo
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.worlds.local import owned
from wrappy.runner.worlds.mirror_flow import MirrorFlow
from wrappy.runner.worlds.public_candles import PublicCandles
from wrappy.runner.worlds.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from wrappy.runner.worlds.settings import WorldSettings

logger = logging.getLogger("wrappy.paper")

LOOK_EVERY_S: Final = 0.25
"""Pause between two looks whether the public streams can be trusted."""

PINGS_A_SILENCE: Final = 3
"""Pings before a silence counts: one may be lost."""


@contextlib.asynccontextmanager
async def open_paper(settings: WorldSettings) -> AsyncIterator[World]:
    """Mirror a public market and return the world in which it can be traded.

    Raises:
        ConfigError, UnknownMarketError: no address, or no such market there.
        StreamClosedError: the first books did not come in time.
        TransportError, VenueError: the public exchange could not be asked.
    """
    paper, address = settings.paper, _address(settings)
    async with contextlib.AsyncExitStack() as stack:
        public: dict[str, WsInfo] = {}
        for symbol in settings.symbols:
            ws = await WsInfo.run_public_trades_simple(
                symbol,
                base_url=address,
                book=True,
                watch=("market_stats",),
                ping_interval=paper.stale_after_s / PINGS_A_SILENCE,
                ready_timeout=paper.ready_timeout_s,
                environment=settings.environment,
            )
            stack.push_async_callback(ws.aclose)
            public[ws.market.symbol] = ws
        markets = [ws.market for ws in public.values()]
        flow = MirrorFlow(markets)
        loop = asyncio.get_running_loop()
        exchange = InProcessExchange(
            paper.venue(tuple(public), seed=settings.seed),
            travel=paper.travel,
            flow=flow,
            repeats=True,
            markets=markets,
            epoch_s=settings.environment.unix_s() - loop.time(),
        )
        await stack.enter_async_context(exchange)
        flow.follow(lambda: exchange.engine.age_us, exchange.engine.wake)
        for ws in public.values():
            stack.callback(ws.tap(flow.take))
        watch = PublicWatch(flow, public, stale_after_s=paper.stale_after_s)
        stack.push_async_callback(watch.aclose)
        await watch.start(paper.ready_timeout_s)
        candles = PublicCandles(address, public, settings.environment)
        stack.push_async_callback(candles.aclose)
        config = dataclasses.replace(
            settings.dealer, base_url=exchange.base_url, chain_id=exchange.chain_id
        )
        yield World(
            name="paper",
            config=owned(config, exchange.accounts[0]),
            environment=exchange.environment,
            candles=lambda _, __: candles,
            seed=settings.seed,
            accounts=exchange.accounts,
            place=address,
            notes=watch.notes,
        )


class PublicWatch:
    """Halts mirrored markets whose public stream cannot be trusted.

    Args:
        flow: the markets.
        public: their streams by symbol.
        stale_after_s: silence after which nothing is known.
    """

    def __init__(
        self, flow: MirrorFlow, public: Mapping[str, WsInfo], *, stale_after_s: float
    ) -> None:
        self._flow = flow
        self._public = public
        self._stale_after_s = stale_after_s
        self._told: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    def notes(self) -> tuple[str, ...]:
        """Return which markets stand still and why, a line each."""
        return tuple(
            f"{symbol} stands still: {reason}"
            for symbol, reason in self._flow.halts.items()
        )

    async def start(self, timeout_s: float) -> None:
        """Begin to look; return when every market lives.

        Raises:
            StreamClosedError: one did not come to life in time.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + timeout_s
        self._task = asyncio.create_task(self._keep_looking(), name="wrappy-paper")
        while self._flow.halts:
            if loop.time() >= ends_at:
                raise StreamClosedError(f"paper: {'; '.join(self.notes())}")
            await asyncio.sleep(LOOK_EVERY_S / 10)

    async def aclose(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep_looking(self) -> None:
        while True:
            for symbol, ws in self._public.items():
                self._flow.judge(symbol, self._trouble(ws))
            self._tell()
            await asyncio.sleep(LOOK_EVERY_S)

    def _trouble(self, ws: WsInfo) -> str:
        book = ws.book()
        try:
            # Reading is what a book that is not sound refuses.
            book.depth(1)
        except BookGapError as error:
            return str(error)
        if book.age_s > self._stale_after_s:
            return f"nothing was heard of it for {self._stale_after_s:g} s"
        return ""

    def _tell(self) -> None:
        halts = self._flow.halts
        for symbol, reason in halts.items():
            if symbol not in self._told:
                logger.warning("%s stands still on paper: %s", symbol, reason)
        for symbol in self._told.keys() - halts.keys():
            logger.info("%s goes on, on paper", symbol)
        self._told = halts


def _address(settings: WorldSettings) -> str:
    named = settings.url or "mainnet"
    if named in settings.networks:
        return settings.networks[named]
    if "://" not in named:
        raise ConfigError(
            f"url: {named!r} is none of {', '.join(NETWORKS)}, and no address"
        )
    return named
