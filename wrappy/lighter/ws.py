"""The overlay: account and market streams, an order cache, last traded prices."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from wrappy._core.stream import EventKind, StreamSession, StreamState
from wrappy.errors import (
    CredentialsError,
    StreamClosedError,
    UsageError,
    WrappyError,
)
from wrappy.lighter.asking.account import AccountReader
from wrappy.lighter.config import (
    DealerConfig,
    complete_address,
    load_config,
    ws_url_for,
)
from wrappy.lighter.environment import NATIVE
from wrappy.lighter.link import acquire_link, release_link
from wrappy.lighter.logs import as_sink
from wrappy.lighter.streaming.catch_up import CatchUp
from wrappy.lighter.streaming.hooks import HookRunner
from wrappy.lighter.streaming.overlay import BookView, OverlayState
from wrappy.lighter.streaming.stream import SupervisedStream
from wrappy.lighter.trading.arguments import checked_coi
from wrappy.lighter.trading.assembly import token_source
from wrappy.protocol.codes import INVALID_CHANNEL, error_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal
    from pathlib import Path
    from types import TracebackType

    from wrappy._core.stream import StreamEvent
    from wrappy.lighter.environment import Environment, RestConnection
    from wrappy.lighter.link import ExchangeLink
    from wrappy.lighter.results import OrderDict, TradeDict
    from wrappy.lighter.wire.token import TokenSource
    from wrappy.model import Market, Position


class WsInfo:
    """Streams of one market, and of one account if a key is given.

    Make one with `run_overlay`, `run_overlay_from_config` or
    `run_public_trades_simple`; each returns when the first snapshots have arrived.
    The connection is kept up until `aclose`.

    Attributes:
        market: the market's scales.
        on_orders: called with a list of orders as the exchange tells them.
        on_trades: called with a list of the account's own trades.
        on_public_trades: called with a list of the market's trades.

    Hooks may be plain functions or coroutines; they run in order, away from the
    socket.
    """

    def __init__(
        self,
        config: DealerConfig,
        *,
        market: Market,
        link: ExchangeLink,
        rest: RestConnection,
        environment: Environment,
        tokens: TokenSource | None,
        with_book: bool,
        ping_interval_s: float,
        logger: Any,
    ) -> None:
        """Wire the parts together; the `run_*` methods are the way to get one."""
        self.market = market
        self.on_orders: Callable[[list[OrderDict]], Any] | None = None
        self.on_trades: Callable[[list[TradeDict]], Any] | None = None
        self.on_public_trades: Callable[[list[TradeDict]], Any] | None = None
        self._config = config
        self._link = link
        self._rest = rest
        self._tokens = tokens
        self._log = as_sink(logger, "wrappy.ws")
        self._state = OverlayState(market, self._log, self._tell)
        self._catch_up: CatchUp | None = None
        if tokens is not None and config.account_index is not None:
            account = AccountReader(
                config.account_index, link=link, rest=rest, tokens=tokens
            )
            self._catch_up = CatchUp(self._state, account, self._log)
        self._with_book = with_book
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False
        self._failure: BaseException | None = None
        self._session = StreamSession(ping_interval_s=ping_interval_s)
        self._hooks = HookRunner(self._log)
        self._stream = SupervisedStream(
            environment.open_stream(ws_url_for(config.base_url or "")),
            self._session,
            tokens=tokens,
            on_event=self._on_event,
            on_closed=self._on_closed,
            log=self._log,
            unix_s=environment.unix_s,
            turn=link.pace.wait_message,
        )

    @classmethod
    async def run_overlay(
        cls,
        account_index: int | None = None,
        api_key_index: int | None = None,
        api_key_private_key: str | None = None,
        *,
        symbol: str | None = None,
        market_id: int | None = None,
        base_url: str | None = None,
        chain_id: int | None = None,
        ping_interval: float = 30.0,
        ready_timeout: float = 15.0,
        logger: Any = None,
        environment: Environment = NATIVE,
    ) -> WsInfo:
        """Stream an account and a market; return once the first snapshots are here.

        What is not given is taken from the environment (`LIGHTER_*`).

        Args:
            account_index: the account.
            api_key_index: slot of the key, 4..254.
            api_key_private_key: signs the tokens; never leaves the process.
            symbol: market by name; or
            market_id: market by index.
            base_url: REST address of the exchange; the stream's is derived from it.
            chain_id: derived from `base_url` if None.
            ping_interval: seconds of our own silence before a ping, below 120.
            ready_timeout: seconds to wait for the first snapshots.
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
            "symbol": symbol,
            "market_index": market_id,
            "base_url": base_url,
            "chain_id": chain_id,
        }
        config = load_config(None, overrides)
        return await cls._run(config, ping_interval, ready_timeout, logger, environment)

    @classmethod
    async def run_overlay_from_config(
        cls,
        path: str | Path = "config.json",
        overrides: Mapping[str, Any] | None = None,
        *,
        ping_interval: float = 30.0,
        ready_timeout: float = 15.0,
        logger: Any = None,
        environment: Environment = NATIVE,
    ) -> WsInfo:
        """Stream with settings from `overrides`, environment and a JSON file.

        `path` is as `LighterDealer.from_config` takes it; `overrides` are fields of
        `DealerConfig`, and `market_id`; the rest, and what is raised, is as in
        `run_overlay`.
        """
        config = load_config(path, overrides)
        return await cls._run(config, ping_interval, ready_timeout, logger, environment)

    @classmethod
    async def run_public_trades_simple(
        cls,
        symbol: str | None = None,
        market_id: int | None = None,
        *,
        base_url: str | None = None,
        ping_interval: float = 30.0,
        ready_timeout: float = 15.0,
        logger: Any = None,
        environment: Environment = NATIVE,
    ) -> WsInfo:
        """Stream a market's public trades; no key is needed.

        Raises:
            ConfigError, UnknownMarketError: no address, or no such market.
            StreamClosedError: no snapshot came in time.
        """
        bare = DealerConfig(base_url=base_url, symbol=symbol, market_index=market_id)
        config = complete_address(bare)
        return await cls._run(config, ping_interval, ready_timeout, logger, environment)

    @classmethod
    async def _run(
        cls,
        config: DealerConfig,
        ping_interval_s: float,
        ready_timeout_s: float,
        logger: Any,
        environment: Environment,
    ) -> WsInfo:
        link = acquire_link(config)
        rest = environment.open_rest(
            config.base_url or "",
            timeout_s=config.request_timeout_s,
            on_throttled=link.pace.throttled,
        )
        try:
            market = await link.market(rest, config, sends=False)
            tokens = token_source(config, environment)
            overlay = cls(
                config,
                market=market,
                link=link,
                rest=rest,
                environment=environment,
                tokens=tokens,
                with_book=tokens is not None,
                ping_interval_s=ping_interval_s,
                logger=logger,
            )
        except BaseException:
            await rest.aclose()
            release_link(link)
            raise
        try:
            await overlay._start(ready_timeout_s)
        except BaseException:
            await overlay.aclose()
            raise
        return overlay

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
        """Stop every task and close every connection."""
        if self._closed:
            return
        self._closed = True
        release_link(self._link)
        self._release_waiters("the overlay was closed meanwhile")
        self._ready.cancel()
        try:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._catch_up is not None:
                await self._catch_up.aclose()
        finally:
            await self._rest.aclose()

    @property
    def state(self) -> StreamState:
        """Where the connection is in its life."""
        return self._session.state

    @property
    def connects(self) -> int:
        """Connections made so far; more than one means there was an outage."""
        return self._stream.connects

    @property
    def hook_failures(self) -> int:
        """Hooks that raised so far."""
        return self._hooks.failures

    def book(self, symbol: str | None = None) -> BookView:
        """Return the market's order book; reading it while it is not sound raises.

        Args:
            symbol: the overlay's market; there is no other.

        Raises:
            UsageError: this overlay streams trades only, or another market.
        """
        if not self._with_book:
            raise UsageError("this overlay streams public trades only; no book")
        if symbol not in (None, self.market.symbol):
            raise UsageError(f"this overlay streams {self.market.symbol} only")
        return BookView(self._state.book)

    @property
    def positions(self) -> dict[str, Position]:
        """The account's open positions by symbol."""
        return {p.symbol: p for p in self._state.positions.values() if p.size}

    def get_ltp(self) -> Decimal | None:
        """Return the price of the market's newest trade in USDC, None before one."""
        return self._state.public.last_traded_price

    def get_recent_trades(
        self, n: int = 50, *, public: bool = False
    ) -> list[TradeDict]:
        """Return up to `n` of the latest trades, oldest first.

        Args:
            n: how many.
            public: the market's trades; otherwise the account's own.
        """
        rows = self._state.public_rows if public else self._state.own_trades
        return list(rows)[-n:] if n > 0 else []

    async def get_order_by_coi(self, client_order_index: int) -> OrderDict | None:
        """Return the latest word on an order, ended ones included; None if unknown."""
        return self._state.order(checked_coi(client_order_index))

    async def wait_order_by_coi(
        self, client_order_index: int, timeout: float | None = None
    ) -> OrderDict | None:
        """Return an order as soon as the stream has told of it.

        An order that is known already, also one that has ended, is returned at once.

        Args:
            client_order_index: the order.
            timeout: seconds to wait; None waits for ever.

        Returns:
            The order as the exchange tells it, or None when the time is over.

        Raises:
            StreamClosedError: the overlay is closed while waiting.
        """
        coi = checked_coi(client_order_index)
        known = self._state.order(coi)
        if known is not None:
            return known
        self._require_open()
        waiter: asyncio.Future[OrderDict] = asyncio.get_running_loop().create_future()
        self._state.waiters.setdefault(coi, []).append(waiter)
        try:
            return await asyncio.wait_for(waiter, timeout)
        except asyncio.TimeoutError:
            return None
        finally:
            remaining = self._state.waiters[coi]
            remaining.remove(waiter)
            if not remaining:
                del self._state.waiters[coi]

    async def _start(self, ready_timeout_s: float) -> None:
        market = self.market.market_id
        self._session.want(f"trade/{market}")
        if self._with_book:
            self._session.want(f"order_book/{market}")
        if self._tokens is not None:
            account = self._config.account_index
            for name in (
                "account_all_orders",
                "account_all_trades",
                "account_all_positions",
            ):
                self._session.want(f"{name}/{account}", private=True)
        self._tasks = [
            asyncio.create_task(self._stream.run(), name="wrappy-stream"),
            asyncio.create_task(self._hooks.run(), name="wrappy-hooks"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._stopped)
        done, _ = await asyncio.wait(
            [self._ready, *self._tasks],
            timeout=ready_timeout_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not done:
            raise StreamClosedError(f"no snapshot within {ready_timeout_s:g} s")
        for finished in done:
            finished.result()

    def _require_open(self) -> None:
        if self._closed:
            raise UsageError("the overlay is closed; run a new one")
        if self._failure is not None:
            raise StreamClosedError("the overlay stopped") from self._failure

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """Make a task that ended by itself everybody's failure, not nobody's."""
        if task.cancelled():
            return
        self._failure = task.exception() or StreamClosedError(
            f"{task.get_name()} ended"
        )
        self._log.error("the overlay stopped: %r", self._failure)
        self._on_closed()
        self._release_waiters("the overlay stopped")

    def _release_waiters(self, reason: str) -> None:
        for waiters in self._state.waiters.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(StreamClosedError(reason))

    def _on_event(self, event: StreamEvent) -> None:
        if event.kind is EventKind.READY:
            if not self._ready.done():
                self._ready.set_result(None)
        elif event.kind is EventKind.REFUSED:
            self._refused(event)
        elif event.kind in (EventKind.SNAPSHOT, EventKind.UPDATE):
            self._channel_event(event)

    def _on_closed(self) -> None:
        # Changes are missed from here on: no prices, rather than old ones.
        self._state.book.invalidate("the connection was lost")

    def _refused(self, event: StreamEvent) -> None:
        error = event.message.get("error")
        words = error.get("message", "") if isinstance(error, dict) else ""
        channel = event.channel or "stream"
        refusal: WrappyError = error_for(event.code, str(words), endpoint=channel)
        if event.code == INVALID_CHANNEL and channel.startswith("account_"):
            index = self._config.account_index
            refusal = CredentialsError(f"account_index: {index} has no {channel} here")
        self._log.error("subscription refused: %s", refusal)
        if not self._ready.done():
            self._ready.set_exception(refusal)

    def _channel_event(self, event: StreamEvent) -> None:
        channel = event.channel or ""
        name = channel.partition("/")[0]
        snapshot = event.kind is EventKind.SNAPSHOT
        if snapshot and self._catch_up is not None:
            self._catch_up.on_snapshot(name, event.message)
        if not self._state.take(name, event.message, snapshot=snapshot):
            self._session.resubscribe(channel)

    def _tell(self, name: str, value: Any) -> None:
        self._hooks.call(name, getattr(self, name), value)
