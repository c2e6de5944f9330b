"""The overlay: account and market streams, an order cache, last traded prices."""

from __future__ import annotations

import asyncio
import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from typing_extensions import Self

from wrappy._core.stream import StreamState
from wrappy.errors import ConfigError
from wrappy.lighter.config import DealerConfig, complete_address, load_config
from wrappy.lighter.environment import NATIVE
from wrappy.lighter.link import acquire_link, release_link
from wrappy.lighter.logs import as_sink
from wrappy.lighter.streaming.book_feed import MAX_AGE_S, BookFeed, BookView
from wrappy.lighter.streaming.hub import acquire_hub, release_hub
from wrappy.lighter.streaming.loop_watch import acquire_watch, release_watch
from wrappy.lighter.streaming.membership import Membership
from wrappy.lighter.streaming.menu import OF_ACCOUNTS
from wrappy.lighter.streaming.order_feed import OrderFeed
from wrappy.lighter.streaming.overlay import Overlay
from wrappy.lighter.streaming.position_feed import PositionFeed
from wrappy.lighter.streaming.trade_feeds import OwnTradesFeed, PublicTradesFeed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from wrappy.lighter.environment import Environment
    from wrappy.lighter.link import ExchangeLink
    from wrappy.lighter.logs import LogSink
    from wrappy.lighter.streaming.feed import Tell
    from wrappy.lighter.streaming.hub import StreamHub
    from wrappy.lighter.streaming.loop_watch import LoopWatch
    from wrappy.model import Market

__all__ = ["BookView", "MarketData", "WsInfo"]

MarketData = Literal["book", "trades", "none"]
"""What of a market an overlay streams from the start; `book` is with its trades."""

LONGEST_PING_S = 110.0
"""The exchange closes after two minutes of our silence (official WebSocket reference).
"""


@dataclasses.dataclass(frozen=True)
class _Wishes:
    """What the `run_*` methods take besides the settings."""

    symbols: Sequence[str] = ()
    watch: Sequence[str] = ()
    ping_interval_s: float = 30.0
    ready_timeout_s: float = 15.0
    hook_timeout_s: float = 30.0
    logger: Any = None
    environment: Environment = NATIVE
    market_data: MarketData = "book"

    def __post_init__(self) -> None:
        for name in ("symbols", "watch"):
            value = getattr(self, name)
            listed = isinstance(value, (list, tuple))
            if not listed or not all(isinstance(one, str) for one in value):
                raise ConfigError(f"{name}: {value!r} is no list of names; give [...]")
        # Callers without a type checker pass anything.
        if self.market_data not in get_args(MarketData):
            words = ", ".join(map(repr, get_args(MarketData)))
            raise ConfigError(f"market_data: {self.market_data!r} is none of {words}")
        times: tuple[tuple[str, Any, float], ...] = (
            ("ping_interval", self.ping_interval_s, LONGEST_PING_S),
            ("ready_timeout", self.ready_timeout_s, 3_600.0),
            ("hook_timeout", self.hook_timeout_s, 3_600.0),
        )
        for name, seconds, most in times:
            is_number = isinstance(seconds, (int, float)) and seconds is not True
            if not is_number or not 0 < seconds <= most:
                raise ConfigError(
                    f"{name}: {seconds!r} is not above 0 and at most {most:g} seconds"
                )


class WsInfo(Overlay):
    """Streams of some markets, and of one account if a key is given.

    Make one with `run_overlay`, `run_overlay_from_config` or
    `run_public_trades_simple`; each returns when the first snapshots have arrived.
    The connection is kept up until `aclose`. Overlays of one process that stream the
    same account, or none, from one exchange share a connection.

    Hooks (`on_orders` and the others) may be plain functions or coroutines; each goes
    at its own pace, away from the socket.
    """

    _link: ExchangeLink
    _watch: LoopWatch | None = None

    @classmethod
    async def run_overlay(
        cls,
        account_index: int | None = None,
        api_key_index: int | None = None,
        api_key_private_key: str | None = None,
        *,
        auth_token: str | None = None,
        symbol: str | None = None,
        market_id: int | None = None,
        symbols: Sequence[str] = (),
        watch: Sequence[str] = (),
        market_data: MarketData = "book",
        base_url: str | None = None,
        chain_id: int | None = None,
        ping_interval: float = 30.0,
        ready_timeout: float = 15.0,
        hook_timeout: float = 30.0,
        logger: Any = None,
        environment: Environment = NATIVE,
    ) -> WsInfo:
        """Stream an account and a market; return once the first snapshots are here.

        What is not given is taken from the environment (`LIGHTER_*`).

        Args:
            account_index: the account.
            api_key_index: slot of the key, 4..254.
            api_key_private_key: signs the tokens; never leaves the process.
            auth_token: a read-only token instead of a key; it cannot be renewed.
            symbol: market by name; or
            market_id: market by index.
            symbols: more markets.
            watch: more to stream from the start, as `watch` takes it; what is about
                a market is streamed of each.
            market_data: what of each market is streamed from the start: book and
                trades, `trades` only, or `none`.
            base_url: REST address of the exchange; the stream's is derived from it.
            chain_id: derived from `base_url` if None.
            ping_interval: seconds of our own silence before a ping, below 120.
            ready_timeout: seconds to wait for the first snapshots.
            hook_timeout: seconds after which a call of an async hook is cancelled.
            logger: a `logging.Logger`, or an object with `log_info` and the like.
            environment: clocks and connections; a simulation brings its own.

        Raises:
            ConfigError, UnknownMarketError, CredentialsError: settings do not fit.
            VenueError: a subscription was refused.
            StreamClosedError: no snapshot came in time.
        """
        overrides = {
            "account_index": account_index,
            "api_key_index": api_key_index,
            "api_key_private_key": api_key_private_key,
            "auth_token": auth_token,
            "symbol": symbol,
            "market_index": market_id,
            "base_url": base_url,
            "chain_id": chain_id,
        }
        wishes = _Wishes(
            symbols,
            watch,
            ping_interval,
            ready_timeout,
            hook_timeout,
            logger,
            environment,
            market_data,
        )
        return await cls._run(load_config(None, overrides), wishes)

    @classmethod
    async def run_overlay_from_config(
        cls,
        path: str | Path = "config.json",
        overrides: Mapping[str, Any] | None = None,
        *,
        symbols: Sequence[str] = (),
        watch: Sequence[str] = (),
        market_data: MarketData = "book",
        ping_interval: float = 30.0,
        ready_timeout: float = 15.0,
        hook_timeout: float = 30.0,
        logger: Any = None,
        environment: Environment = NATIVE,
    ) -> WsInfo:
        """Stream with settings from `overrides`, environment and a JSON file.

        `path` is as `LighterDealer.from_config` takes it; `overrides` are fields of
        `DealerConfig`, and `market_id`; the rest, and what is raised, is as in
        `run_overlay`.
        """
        wishes = _Wishes(
            symbols,
            watch,
            ping_interval,
            ready_timeout,
            hook_timeout,
            logger,
            environment,
            market_data,
        )
        return await cls._run(load_config(path, overrides), wishes)

    @classmethod
    async def run_public_trades_simple(
        cls,
        symbol: str | None = None,
        market_id: int | None = None,
        *,
        symbols: Sequence[str] = (),
        watch: Sequence[str] = (),
        book: bool = False,
        base_url: str | None = None,
        ping_interval: float = 30.0,
        ready_timeout: float = 15.0,
        hook_timeout: float = 30.0,
        logger: Any = None,
        environment: Environment = NATIVE,
    ) -> WsInfo:
        """Stream public trades; no key is needed.

        Arguments are as in `run_overlay`; with `book` the order books are streamed
        as well.

        Raises:
            ConfigError, UnknownMarketError: no address, or no such market.
            StreamClosedError: no snapshot came in time.
        """
        bare = DealerConfig(base_url=base_url, symbol=symbol, market_index=market_id)
        wishes = _Wishes(
            symbols,
            watch,
            ping_interval,
            ready_timeout,
            hook_timeout,
            logger,
            environment,
            "book" if book else "trades",
        )
        return await cls._run(complete_address(bare), wishes)

    @property
    def is_ready(self) -> bool:
        """Whether everything that is watched is live."""
        return self.state is StreamState.READY

    @property
    def age_s(self) -> float:
        """Seconds since the last sign of life of the connection."""
        return asyncio.get_running_loop().time() - self._hub.heard_at

    @property
    def unreadable_frames(self) -> int:
        """Frames of the connection so far that made no sense; they were left out."""
        return self._hub.unreadable_frames

    def refresh_account(self) -> None:
        """Subscribe the account's channels anew: all of them are told from the start.

        For whoever has reason to believe that one has fallen silent. At most once in
        ten seconds; what is asked for sooner comes then. Until the snapshots are here
        the overlay is not ready.
        """
        self._part.retell_account()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leave the connection, end all hooks, and close it if nobody else has it."""
        if self._part.closed:
            return
        self._part.leave()
        try:
            await self._hooks.aclose()
        finally:
            if self._watch is not None:
                release_watch(self._watch)
            try:
                await release_hub(self._link, self._hub)
            finally:
                release_link(self._link)

    @classmethod
    async def _run(cls, config: DealerConfig, wishes: _Wishes) -> WsInfo:
        link = acquire_link(config)
        try:
            hub = acquire_hub(
                config,
                link=link,
                environment=wishes.environment,
                ping_interval_s=wishes.ping_interval_s,
                logger=wishes.logger,
            )
        except BaseException:
            release_link(link)
            raise
        try:
            overlay = await cls._joined(config, wishes, link, hub)
        except BaseException:
            try:
                await release_hub(link, hub)
            finally:
                release_link(link)
            raise
        try:
            await overlay._subscribe(wishes)  # noqa: SLF001 - our own
        except BaseException:
            await overlay.aclose()
            raise
        return overlay

    @classmethod
    async def _joined(
        cls,
        config: DealerConfig,
        wishes: _Wishes,
        link: ExchangeLink,
        hub: StreamHub,
    ) -> WsInfo:
        named = [
            config,
            *(
                dataclasses.replace(config, symbol=symbol, market_index=None)
                for symbol in wishes.symbols
            ),
        ]
        markets: dict[str, Market] = {}
        for one in named:
            if one is config and wishes.symbols and not _names_market(config):
                continue
            market = await link.market(hub.rest, one, sends=False)
            markets[market.symbol] = market
        part = Membership(
            hub,
            as_sink(wishes.logger, "wrappy.ws"),
            hook_timeout_s=wishes.hook_timeout_s,
        )
        overlay = cls(
            list(markets.values()),
            account_index=config.account_index,
            hub=hub,
            part=part,
            with_book=wishes.market_data == "book",
        )
        overlay._link = link
        if wishes.environment.watches_loop:
            overlay._watch = acquire_watch(as_sink(wishes.logger, "wrappy.ws"))
        return overlay

    async def _subscribe(self, wishes: _Wishes) -> None:
        part, log = self._part, as_sink(wishes.logger, "wrappy.ws")
        # Nothing follows from silence where no connection gives signs of life.
        oldest_s = MAX_AGE_S if wishes.environment.keeps_alive else None
        for symbol, market in self._markets.items():
            index = market.market_id
            if wishes.market_data != "none":
                self._tapes[symbol] = part.subscribe(
                    f"trade/{index}", PublicTradesFeed, private=False
                )
            if self._with_book:
                self._books[symbol] = part.subscribe(
                    f"order_book/{index}",
                    partial(self._book_feed, market, log, oldest_s),
                    private=False,
                )
        if self._hub.account is not None:
            account = self._account()
            self._orders = part.subscribe(
                f"account_all_orders/{account}",
                lambda tell: OrderFeed(tell, log),
                private=True,
            )
            self._own_trades = part.subscribe(
                f"account_all_trades/{account}", OwnTradesFeed, private=True
            )
            self._positions = part.subscribe(
                f"account_all_positions/{account}", PositionFeed, private=True
            )
            self._hub.complete(self._orders, self._own_trades)
        for what in wishes.watch:
            if what in OF_ACCOUNTS:
                self._order_dish(what, None)
                continue
            for symbol in self._markets:
                self._order_dish(what, symbol)
        await self.ready(wishes.ready_timeout_s)

    def _book_feed(
        self, market: Market, log: LogSink, oldest_s: float | None, tell: Tell
    ) -> BookFeed:
        hub = self._hub
        return BookFeed(
            market,
            tell,
            log,
            clock=asyncio.get_running_loop().time,
            heard_at=lambda: hub.heard_at,
            max_age_s=oldest_s,
        )


def _names_market(config: DealerConfig) -> bool:
    return config.symbol is not None or config.market_index is not None
