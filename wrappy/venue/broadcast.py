"""From events to frames: what each channel is told, encoded once per channel.

Pure of sockets: `Broadcast` collects events, and hands finished frames to whoever
subscribed. A subscriber is anything with an `offer` method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from wrappy.protocol.channels import Channel, channel
from wrappy.venue.account_events import Transferred, Withdrawn
from wrappy.venue.account_frames import AccountFrames
from wrappy.venue.candle_frames import CandleFrames
from wrappy.venue.events import (
    Announced,
    BalanceChanged,
    BlockMade,
    FundingPaid,
    LevelChanged,
    MarketChanged,
    OrderChanged,
    PositionChanged,
    TradeExecuted,
    TxExecuted,
)
from wrappy.venue.market_frames import (
    best_of,
    book_body,
    changed_book_body,
    ticker_body,
    trade_body,
)
from wrappy.venue.render import render_notification
from wrappy.venue.stats_frames import StatsFrames

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wrappy.venue.events import Event, Trade
    from wrappy.venue.floor import Floor
    from wrappy.venue.market_frames import Best
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.orders import VenueOrder

FLUSH_US: Final = 50_000
"""Book changes are sent in batches of this length (official API documentation)."""

SNAPSHOT_TRADES: Final = 50
"""Trades in a snapshot; the exchange's own number is not documented."""

_CANDLES: Final = frozenset({"candle", "mark_price_candle"})

_OF_MARKETS: Final = frozenset(
    {"order_book", "ticker", "trade", "market_stats", "height", *_CANDLES}
)


class Subscriber(Protocol):
    """Whoever frames are handed to."""

    def offer(self, frame: str) -> None:
        """Take a frame without waiting."""
        ...


def encode(frame: Any) -> str:
    """Return a frame as JSON text."""
    return msgspec.json.encode(frame).decode()


def _touched(event: Event) -> tuple[int, ...]:
    # Accounts whose balance changed without a position.
    if isinstance(event, (Transferred, Withdrawn, BalanceChanged)):
        return event.touched
    return ()


class Broadcast:
    """Every channel's state and subscribers on one floor.

    Attributes:
        subscribers: by the channel's request name.
    """

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._accounts = accounts = AccountFrames(floor)
        self.subscribers: dict[str, list[Subscriber]] = {}
        self._listeners = self._market_listeners = self._mark_listeners = 0
        self._levels: dict[int, dict[tuple[bool, int], int]] = {}
        self._restless: set[int] = set()
        self._sent_nonce: dict[int, int] = {}
        self._tickers: dict[int, Best] = {}
        self._flush_at_us: int | None = None
        self._candles = candles = CandleFrames(floor)
        self._stats = stats = StatsFrames(floor)
        self._snapshots: dict[str, Callable[[Channel], dict[str, Any]]] = {
            "order_book": self._book_snapshot,
            "ticker": self._ticker_frame,
            "trade": self._trade_snapshot,
            "market_stats": stats.snapshot,
            "spot_market_stats": stats.snapshot,
            "height": lambda _: {"height": floor.exchange.height},
            "account_all": accounts.account_all,
            "account_all_positions": accounts.positions,
            "account_all_trades": accounts.trades_snapshot,
            "account_all_assets": accounts.assets,
            "account_all_orders": accounts.orders_snapshot,
            "account_orders": accounts.orders_snapshot,
            "account_market": accounts.account_market_snapshot,
            "account_tx": lambda _: {"txs": []},
            "user_stats": accounts.user_stats,
            "account_spot_avg_entry_prices": accounts.entry_prices,
            "notification": lambda _: {"notifs": []},
            "candle": candles.snapshot,
            "mark_price_candle": candles.snapshot,
        }

    # ------------------------------------------------------------ subscriptions

    def exists(self, wanted: Channel) -> bool:
        """Return whether the channel's market and account exist here.

        A channel that nothing here is told on, such as statistics of spot markets
        where there are none, is like one of an unknown market.
        """
        if wanted.kind.name not in self._snapshots or not self._stats.exists(wanted):
            return False
        market, account = wanted.market_index, wanted.account_index
        exchange = self._floor.exchange
        return (market is None or market in exchange.markets) and (
            account is None or account in exchange.accounts
        )

    def join(self, wanted: Channel, subscriber: Subscriber) -> None:
        """Send the channel's snapshot and every update after it."""
        if not self._market_listeners + self._mark_listeners:
            self._start_listening()
        if not self._market_listeners:
            self._candles.forget_told(self._floor.now_us())
        self._count(wanted, 1)
        if wanted.kind.name == "order_book":
            # Everybody gets to the present first: the snapshot's nonce is then the
            # one that the next update begins with.
            self._flush_book(int(wanted.parameters[0]), self._floor.now_us())
        self.subscribers.setdefault(wanted.request_name, []).append(subscriber)
        body = self._snapshots[wanted.kind.name](wanted)
        subscriber.offer(self._frame("subscribed", wanted, body))

    def hears_markets(self) -> bool:
        """Return whether anybody listens to what happens in markets."""
        return self._market_listeners > 0

    def hears_marks(self) -> bool:
        """Return whether anybody is told of equity as prices move."""
        return self._mark_listeners > 0

    def leave(self, wanted: Channel, subscriber: Subscriber) -> None:
        """Send that subscriber no more of the channel."""
        remaining = self.subscribers.get(wanted.request_name, [])
        if subscriber in remaining:
            remaining.remove(subscriber)
            self._count(wanted, -1)

    def _count(self, wanted: Channel, change: int) -> None:
        self._listeners += change
        if wanted.kind.name in _OF_MARKETS:
            self._market_listeners += change
        elif wanted.kind.name == "user_stats":
            self._mark_listeners += change

    def _start_listening(self) -> None:
        # While nobody listened nothing was held back: what is told from here on
        # begins with the present.
        self._levels.clear()
        self._restless.clear()
        for index, state in self._floor.exchange.markets.items():
            self._sent_nonce[index] = state.book_nonce

    def _frame(
        self, kind: str, about: Channel, body: dict[str, Any], at_us: int | None = None
    ) -> str:
        head = {
            "type": f"{kind}/{about.kind.name}",
            "channel": about.reply_name,
            "timestamp": (self._floor.now_us() if at_us is None else at_us) // 1_000,
        }
        return encode({**body, **head})

    def _wanted(self, about: Channel) -> bool:
        return bool(self.subscribers.get(about.request_name))

    def _update(
        self, about: Channel, body: dict[str, Any], at_us: int | None = None
    ) -> None:
        audience = self.subscribers.get(about.request_name)
        if not audience:
            return
        frame = self._frame("update", about, body, at_us)
        for subscriber in tuple(audience):
            subscriber.offer(frame)

    # ------------------------------------------------------------------- events

    def publish(self, events: Sequence[Event], now_us: int) -> None:
        """Tell the channels what happened; books and statistics wait for `flush`."""
        watched = self._market_listeners + self._mark_listeners
        if not self._market_listeners:
            self._candles.forget_told(now_us)
        self._candles.note(events, now_us)
        if not self._listeners:
            return
        orders, moved, trades, executed = self._take_in(events)
        if not watched:
            # Nobody is told of prices: nothing has to be held back.
            self._levels.clear()
            self._restless.clear()
        if orders:
            self._tell_orders(orders)
        if trades:
            self._tell_trades(trades)
        if moved or orders:
            paid = [event for event in events if isinstance(event, FundingPaid)]
            self._tell_accounts(moved, orders, trades, paid)
        if executed:
            self._tell_transactions(executed)
        for index in self._levels:
            self._tell_ticker(index)
        if (self._levels or self._restless) and self._flush_at_us is None:
            self._flush_at_us = (now_us // FLUSH_US + 1) * FLUSH_US

    def _take_in(
        self, events: Sequence[Event]
    ) -> tuple[
        dict[int, dict[int, VenueOrder]],
        dict[int, set[int]],
        list[Trade],
        list[TxExecuted],
    ]:
        # Tells what cannot wait, keeps levels and prices for later, and returns orders
        # and moved markets by account, trades, and what was executed.
        orders: dict[int, dict[int, VenueOrder]] = {}
        moved: dict[int, set[int]] = {}
        trades: list[Trade] = []
        executed: list[TxExecuted] = []
        for event in events:
            if isinstance(event, LevelChanged):
                _, index, is_ask, price, base = event
                self._levels.setdefault(index, {})[is_ask, price] = base
            elif isinstance(event, TradeExecuted):
                trades.append(event.trade)
            elif isinstance(event, OrderChanged):
                order = event.order
                orders.setdefault(order.owner, {})[order.order_index] = order
            elif isinstance(event, PositionChanged):
                moved.setdefault(event.account, set()).add(event.market_index)
            elif isinstance(event, MarketChanged):
                self._restless.add(event.market_index)
            elif isinstance(event, TxExecuted):
                executed.append(event)
            else:
                for account in _touched(event):
                    moved.setdefault(account, set())
                self._tell_at_once(event)
        return orders, moved, trades, executed

    def _tell_at_once(self, event: Event) -> None:
        if isinstance(event, BlockMade):
            self._update(channel("height"), {"height": event.height})
        elif isinstance(event, Announced):
            rows = [render_notification(event)]
            self._update(channel("notification", event.account), {"notifs": rows})

    def due_us(self) -> int | None:
        """Return when held-back changes are to be sent, or None if there are none."""
        due = self._flush_at_us
        candles_due = self._candles.due_us() if self._market_listeners else None
        if due is None or (candles_due is not None and candles_due < due):
            return candles_due
        return due

    def flush(self, now_us: int) -> None:
        """Send the book changes, statistics and candles held back until now."""
        if self._flush_at_us is not None and self._flush_at_us <= now_us:
            self._flush_at_us = None
            self._flush_markets()
        candles_due_us = self._candles.due_us()
        if candles_due_us is not None and candles_due_us <= now_us:
            self._flush_candles()

    def _flush_candles(self) -> None:
        changed = self._candles.take_changed()
        for name, audience in self.subscribers.items():
            kind, _, rest = name.partition("/")
            if not audience or kind not in _CANDLES:
                continue
            about = channel(kind, *rest.split("/"))
            since_ms = changed.get((kind, about.market_index or 0))
            if since_ms is not None:
                self._update(about, self._candles.update(about, since_ms))

    def _flush_markets(self) -> None:
        # One moment for all: what is sent together was looked at together.
        at_us = self._floor.now_us()
        for index in tuple(self._levels):
            self._flush_book(index, at_us)
        if not self._restless:
            return
        restless, self._restless = self._restless, set()
        for about in self._stats.concerned(restless):
            if self._wanted(about):
                self._update(about, self._stats.body(about, sorted(restless)))
        self._tell_marked_accounts(restless)

    # ------------------------------------------------------------------ markets

    def _state(self, index: int) -> MarketState:
        return self._floor.exchange.markets[index]

    def _book_snapshot(self, about: Channel) -> dict[str, Any]:
        state = self._state(int(about.parameters[0]))
        bids, asks = state.engine.depth()
        self._sent_nonce.setdefault(state.market.market_id, state.book_nonce)
        return book_body(
            state,
            bids,
            asks,
            begin_nonce=0,
            nonce=self._sent_nonce[state.index],
            at_us=self._floor.now_us(),
        )

    def _flush_book(self, index: int, at_us: int) -> None:
        levels = self._levels.pop(index, None)
        if not levels:
            return
        state = self._state(index)
        begin_nonce = self._sent_nonce.get(index, 0)
        self._sent_nonce[index] = state.book_nonce
        about = channel("order_book", index)
        if self._wanted(about):
            body = changed_book_body(
                state,
                levels.items(),
                begin_nonce=begin_nonce,
                nonce=state.book_nonce,
                at_us=at_us,
            )
            self._update(about, body, at_us)

    def _ticker_frame(self, about: Channel) -> dict[str, Any]:
        state = self._state(int(about.parameters[0]))
        best = self._tickers[state.index] = best_of(state)
        return ticker_body(state, best, self._floor.now_us())

    def _tell_ticker(self, index: int) -> None:
        about = channel("ticker", index)
        if self._wanted(about):
            best = best_of(self._state(index))
            if self._tickers.get(index) != best:
                self._update(about, self._ticker_frame(about))

    def _trade_snapshot(self, about: Channel) -> dict[str, Any]:
        state = self._state(int(about.parameters[0]))
        newest_first = list(state.trades)[: -SNAPSHOT_TRADES - 1 : -1]
        return trade_body(state, newest_first)

    def _tell_trades(self, trades: Sequence[Trade]) -> None:
        by_market: dict[int, list[Trade]] = {}
        for trade in reversed(trades):
            by_market.setdefault(trade.market_index, []).append(trade)
            self._restless.add(trade.market_index)
        for index, newest_first in by_market.items():
            about = channel("trade", index)
            if self._wanted(about):
                body = trade_body(self._state(index), newest_first)
                self._update(about, body)

    # ----------------------------------------------------------------- accounts

    def _tell_orders(self, changed: dict[int, dict[int, VenueOrder]]) -> None:
        for account, orders in changed.items():
            markets = dict.fromkeys(order.market_index for order in orders.values())
            everything = channel("account_all_orders", account)
            told = [channel("account_orders", market, account) for market in markets]
            if not any(map(self._wanted, (everything, *told))):
                continue
            rows = self._accounts.order_rows(orders.values())
            self._update(everything, {"orders": rows})
            for about, market in zip(told, markets, strict=True):
                body = self._accounts.market_orders(account, market, rows)
                self._update(about, body)

    def _tell_accounts(
        self,
        moved: dict[int, set[int]],
        orders: dict[int, dict[int, VenueOrder]],
        trades: Sequence[Trade],
        paid: Sequence[FundingPaid],
    ) -> None:
        frames = self._accounts
        for account in sorted({*moved, *orders}):
            rows = frames.trade_rows(reversed(trades), account)
            if rows:
                self._update(channel("account_all_trades", account), {"trades": rows})
            if account in moved:
                about = channel("account_all_positions", account)
                if self._wanted(about):
                    self._update(about, frames.positions(about, moved[account]))
                self._tell(channel("account_all_assets", account), frames.assets)
                self._tell(channel("user_stats", account), frames.user_stats)
                if any(self._state(int(index)).market.is_spot for index in rows):
                    prices = channel("account_spot_avg_entry_prices", account)
                    self._tell(prices, frames.entry_prices)
                about = channel("account_all", account)
                if self._wanted(about):
                    fundings = frames.funding_rows(paid, account)
                    self._update(
                        about, frames.account_all(about, rows, fundings, moved[account])
                    )
            changed = frames.order_rows(orders.get(account, {}).values())
            for market in sorted({*map(str, moved.get(account, ())), *changed}):
                about = channel("account_market", market, account)
                if self._wanted(about):
                    own, new = changed.get(market, []), rows.get(market, [])
                    self._update(about, frames.account_market(about, own, new))

    def _tell(self, about: Channel, body: Callable[[Channel], dict[str, Any]]) -> None:
        if self._wanted(about):
            self._update(about, body(about))

    def _tell_marked_accounts(self, markets: set[int]) -> None:
        # A new mark price moves the equity of whoever holds a position.
        for name, audience in self.subscribers.items():
            kind, _, account = name.partition("/")
            told = kind == "user_stats" and audience
            if told and self._accounts.holds(int(account), markets):
                about = channel("user_stats", account)
                self._update(about, self._accounts.user_stats(about))

    def _tell_transactions(self, executed: Sequence[TxExecuted]) -> None:
        for event in executed:
            about = channel("account_tx", event.account)
            if self._wanted(about):
                self._update(about, self._accounts.transactions(event))
