"""What an overlay can be asked: orders, trades, books, figures, and its connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal, cast

from wrappy.errors import StreamClosedError, UsageError
from wrappy.lighter.streaming.hook_slots import HookSlot
from wrappy.lighter.streaming.menu import OF_ACCOUNTS, of_account, of_market
from wrappy.lighter.streaming.one_market import OneMarket
from wrappy.lighter.trading.arguments import checked_coi

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal

    from wrappy._core.stream import StreamState
    from wrappy.lighter.results import OrderDict, TradeDict
    from wrappy.lighter.streaming.account_feeds import (
        AssetsFeed,
        NotificationFeed,
        TransactionFeed,
        UserStatsFeed,
    )
    from wrappy.lighter.streaming.book_feed import BookFeed, BookView
    from wrappy.lighter.streaming.feed import Feed
    from wrappy.lighter.streaming.hook_calls import HookStats
    from wrappy.lighter.streaming.hub import StreamHub
    from wrappy.lighter.streaming.market_feeds import (
        CandleFeed,
        MarketStatsFeed,
        TickerFeed,
    )
    from wrappy.lighter.streaming.membership import Membership
    from wrappy.lighter.streaming.order_feed import OrderFeed
    from wrappy.lighter.streaming.position_feed import PositionFeed
    from wrappy.lighter.streaming.trade_feeds import OwnTradesFeed, PublicTradesFeed
    from wrappy.lighter.trading.session import AccountSession
    from wrappy.model import Candle, Market, MarketStats, Position, Ticker
    from wrappy.protocol.account_values import Asset, UserStats


class Overlay:
    """Streams of some markets, and of one account if a key is given.

    Attributes:
        market: the first market; what takes a symbol means this one without it.
        on_orders: called with a list of orders as the exchange tells them.
        on_trades: called with a list of the account's own trades.
        on_public_trades: called with a list of a market's trades.
        on_book: called with a book that has changed.
        on_gap: called with a `BookGap` when a book became unreadable.
        on_ticker, on_market_stats, on_candle: called with figures that have changed.
        on_positions: called with the open positions by symbol.
        on_assets, on_user_stats: called with figures of the account.
        on_transactions, on_notifications: called with a list of new ones.
        on_state: called with the `StreamState` whenever it is another one.
        on_reconnect: called with the number of connections when everything is live
            again after an outage.
    """

    on_orders = HookSlot()
    on_trades = HookSlot()
    on_public_trades = HookSlot()
    on_book = HookSlot()
    on_gap = HookSlot()
    on_ticker = HookSlot()
    on_market_stats = HookSlot()
    on_candle = HookSlot()
    on_positions = HookSlot()
    on_assets = HookSlot()
    on_user_stats = HookSlot()
    on_transactions = HookSlot()
    on_notifications = HookSlot()
    on_state = HookSlot()
    on_reconnect = HookSlot()

    def __init__(
        self,
        markets: Sequence[Market],
        *,
        account_index: int | None,
        hub: StreamHub,
        part: Membership,
        with_book: bool,
    ) -> None:
        """Wire the parts together; `WsInfo` has the ways to get one."""
        self.market = markets[0]
        self._markets = {market.symbol: market for market in markets}
        self._account_index = account_index
        self._hub = hub
        self._hooks = part.hooks
        self._part = part
        self._with_book = with_book
        self._feeds: dict[tuple[str, int | None], Feed] = {}
        self._guests: dict[tuple[str, int | None], set[object]] = {}
        self._tapes: dict[str, PublicTradesFeed] = {}
        self._books: dict[str, BookFeed] = {}
        self._orders: OrderFeed | None = None
        self._own_trades: OwnTradesFeed | None = None
        self._positions: PositionFeed | None = None

    @property
    def state(self) -> StreamState:
        """Where the overlay is in its life; ready when all its channels are live."""
        return self._part.state

    async def ready(self, timeout: float | None = None) -> None:
        """Return when everything that is watched is live, also after an outage.

        Args:
            timeout: seconds to wait; None waits for ever.

        Raises:
            StreamClosedError: the time is over, or the overlay has stopped.
            VenueError, CredentialsError: a subscription was refused.
        """
        await self._part.until_ready(timeout)

    @property
    def connects(self) -> int:
        """Connections made so far; more than one means there was an outage."""
        return self._hub.connects

    def add_hook(self, event: str, hook: Callable[[Any], Any]) -> Callable[[], None]:
        """Have a function called for an event, besides others.

        Each hook goes at its own pace: one that raises, hangs or is slow holds up no
        other, and not the stream.

        Args:
            event: name of an `on_...` attribute.
            hook: a plain or coroutine function.

        Returns:
            What takes it away again.

        Raises:
            UsageError: there is no such event, or the hook cannot be called.
        """
        return self._hooks.add(event, hook)

    @property
    def hook_stats(self) -> tuple[HookStats, ...]:
        """What each hook did so far: calls, failures, timeouts, what waits."""
        return self._hooks.stats()

    @property
    def hook_failures(self) -> int:
        """Hooks that raised so far."""
        return self._hooks.failures

    def attach(self, dealer: AccountSession) -> Callable[[], None]:
        """Wire a dealer of the same account to this overlay.

        It hears of its orders, takes prices of the moment from here if it trades one
        of the markets, and looks through its orders after each outage.

        Args:
            dealer: a `LighterDealer`.

        Returns:
            What takes the wires away again.

        Raises:
            UsageError: this overlay streams no account, or another one.
        """
        mine, its = self._account_index, dealer.config.account_index
        if self._orders is None or mine != its:
            raise UsageError(
                f"attach: the dealer's account is {its}, this overlay streams "
                f"{'none' if self._orders is None else mine}"
            )

        def reconcile(_: int) -> Any:
            return dealer.reconcile()

        wires = [
            self._hooks.add("on_orders", dealer.feed_ws_orders),
            self._hooks.add("on_reconnect", reconcile),
        ]
        market = self._markets.get(dealer.market.symbol)
        if market is not None and self._tapes:
            dealer.attach_prices(OneMarket(self, market))
            wires.append(lambda: dealer.attach_prices(None))
        dealer.feed_ws_orders(self._orders.live())

        def detach() -> None:
            while wires:
                wires.pop()()

        return detach

    def tap(self, take: Callable[[dict[str, Any]], Any]) -> Callable[[], None]:
        """Hand every frame of this overlay's channels on, decoded, as it comes.

        For stores that read the exchange's own frames. It is called from the reader,
        so it has to be quick and must not raise. What is returned ends it.
        """
        return self._part.tap(take)

    async def watch(
        self, what: str, symbol: str | None = None, *, timeout: float | None = 15.0
    ) -> Callable[[], None]:
        """Stream something more; return when its first snapshot is here.

        Args:
            what: `ticker`, `market_stats`, `candles:1m` (or 5m 15m 30m 1h 4h 12h 1d)
                of a market; `assets`, `user_stats`, `transactions`, `notifications`
                of the account.
            symbol: one of this overlay's markets, for what is about a market.
            timeout: seconds to wait for the snapshot.

        Returns:
            What ends it.

        Raises:
            UsageError: there is no such thing, or no account here.
            StreamClosedError: no snapshot came in time.
            VenueError, CredentialsError: the exchange refused.
        """
        self._require_open()
        channel, stop = self._order_dish(what, symbol)
        try:
            await self._part.until_ready(timeout, channel)
        except BaseException:
            stop()
            raise
        return stop

    def _order_dish(
        self, what: str, symbol: str | None
    ) -> tuple[str, Callable[[], None]]:
        index: int | None = None
        if what in OF_ACCOUNTS:
            dish = of_account(what, self._account())
        else:
            market = self._market(symbol)
            dish, index = of_market(what, market), market.market_id
        key = what, index
        if key not in self._feeds:
            self._feeds[key] = self._part.subscribe(
                dish.channel, dish.make, private=dish.private and self._has_tokens
            )
            self._guests[key] = set()
        # Who stops ends it for nobody else, and only once.
        guest, guests = object(), self._guests[key]
        guests.add(guest)

        def stop() -> None:
            if guest not in guests:
                return
            guests.remove(guest)
            if not guests:
                del self._feeds[key], self._guests[key]
                self._part.unsubscribe(dish.channel)

        return dish.channel, stop

    @property
    def _has_tokens(self) -> bool:
        return self._hub.account is not None

    def book(self, symbol: str | None = None) -> BookView:
        """Return a market's order book; reading it while it is not sound raises.

        Raises:
            UsageError: this overlay streams trades only, or not that market.
        """
        if not self._with_book:
            raise UsageError(
                "no book is streamed here; run with market_data='book', or book=True"
            )
        return self._books[self._market(symbol).symbol].view

    def get_ltp(self, symbol: str | None = None) -> Decimal | None:
        """Return the price of a market's newest trade in USDC, None before one.

        Raises:
            UsageError: this overlay streams no trades, or not that market.
        """
        return self._tape(symbol).last_traded_price

    def get_recent_trades(
        self, n: int = 50, *, public: bool = False, symbol: str | None = None
    ) -> list[TradeDict]:
        """Return up to `n` of the latest trades, oldest first.

        Args:
            n: how many.
            public: a market's trades; otherwise the account's own.
            symbol: only this market's; None for the first market's public trades,
                and for own trades of all markets.

        Raises:
            UsageError: this overlay does not stream that market.
        """
        if public:
            rows = list(self._tape(symbol).rows)
        else:
            rows = list(self._own_trades.rows) if self._own_trades is not None else []
            if symbol is not None:
                index = self._market(symbol).market_id
                rows = [row for row in rows if row.get("market_id") == index]
        return rows[-n:] if n > 0 else []

    def ticker(self, symbol: str | None = None) -> Ticker:
        """Return a market's best prices as its ticker tells them.

        Raises:
            UsageError: it is not watched; `watch("ticker")` first.
            StreamClosedError: there is no live value.
        """
        market = self._market(symbol)
        return cast("TickerFeed", self._watched("ticker", market)).current()

    def market_stats(self, symbol: str | None = None) -> MarketStats:
        """Return a market's mark and index price, funding and volumes.

        Raises:
            UsageError: they are not watched; `watch("market_stats")` first.
            StreamClosedError: there is no live value.
        """
        market = self._market(symbol)
        return cast("MarketStatsFeed", self._watched("market_stats", market)).current()

    def candles(self, resolution: str, symbol: str | None = None) -> list[Candle]:
        """Return a market's candles, oldest first; the last one is not closed yet.

        Args:
            resolution: such as `1m`.
            symbol: the market.

        Raises:
            UsageError: they are not watched; `watch("candles:1m")` first.
            StreamClosedError: there is no live candle.
        """
        market = self._market(symbol)
        feed = cast("CandleFeed", self._watched(f"candles:{resolution}", market))
        return [*feed.closed(), feed.current()]

    @property
    def positions(self) -> dict[str, Position]:
        """The account's open positions by symbol."""
        return {} if self._positions is None else self._positions.open()

    @property
    def assets(self) -> Mapping[str, Asset]:
        """The account's assets by symbol; `UsageError` when they are not watched."""
        return cast("AssetsFeed", self._watched("assets")).current()

    @property
    def user_stats(self) -> UserStats:
        """The account's collateral and leverage; `UsageError` when not watched."""
        return cast("UserStatsFeed", self._watched("user_stats")).current()

    def recent(
        self, what: Literal["transactions", "notifications"]
    ) -> Sequence[object]:
        """Return the account's latest transactions or notifications, oldest first.

        Raises:
            UsageError: they are not watched; `watch` them first.
        """
        feed = self._watched(what)
        return cast("TransactionFeed | NotificationFeed", feed).recent()

    async def get_order_by_coi(self, client_order_index: int) -> OrderDict | None:
        """Return the latest word on an order, ended ones included; None if unknown."""
        coi = checked_coi(client_order_index)
        return None if self._orders is None else self._orders.order(coi)

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
        known = await self.get_order_by_coi(coi)
        if known is not None:
            return known
        self._require_open()
        waiter: asyncio.Future[OrderDict] = asyncio.get_running_loop().create_future()
        self._part.waits(waiter)
        feed = self._orders
        if feed is not None:
            feed.wait_for(coi, waiter)
        try:
            # `wait_for` loses a cancellation that comes together with the order.
            await asyncio.wait([waiter], timeout=timeout)
            return waiter.result() if waiter.done() else None
        finally:
            waiter.cancel()
            if feed is not None:
                feed.wait_no_more(coi, waiter)

    def _watched(self, what: str, market: Market | None = None) -> Feed:
        index = None if market is None else market.market_id
        feed = self._feeds.get((what, index))
        if feed is None:
            of = "" if market is None else f" of {market.symbol}"
            raise UsageError(
                f"{what}{of} is not watched here; await ws.watch({what!r}) first"
            )
        return feed

    def _market(self, symbol: str | None) -> Market:
        if symbol is None:
            return self.market
        found = self._markets.get(symbol)
        if found is None:
            raise UsageError(
                f"symbol: this overlay streams {', '.join(self._markets)}, not {symbol}"
            )
        return found

    def _tape(self, symbol: str | None) -> PublicTradesFeed:
        tape = self._tapes.get(self._market(symbol).symbol)
        if tape is None:
            raise UsageError(
                "no trades are streamed here; run with market_data='trades' or 'book'"
            )
        return tape

    def _account(self) -> int:
        if self._account_index is None or not self._has_tokens:
            raise UsageError("this overlay streams no account; give it a key")
        return self._account_index

    def _require_open(self) -> None:
        if self._part.closed:
            raise UsageError("the overlay is closed; run a new one")
        if self._hub.failure is not None:
            raise StreamClosedError("the overlay stopped") from self._hub.failure
