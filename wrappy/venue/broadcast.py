"""From events to frames: what each channel is told, encoded once per channel.

Pure of sockets: `Broadcast` collects events, and hands finished frames to whoever
subscribed. A subscriber is anything with an `offer` method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from wrappy.protocol.channels import Channel, channel
from wrappy.venue.account_frames import AccountFrames
from wrappy.venue.candle_frames import CandleFrames
from wrappy.venue.events import (
    Announced,
    BlockMade,
    FundingPaid,
    LevelChanged,
    MarketChanged,
    OrderChanged,
    PositionChanged,
    TradeExecuted,
    TxExecuted,
)
from wrappy.venue.orders import DELEVERAGE_TRADE, TRADE
from wrappy.venue.render import (
    render_levels,
    render_market_stats,
    render_notification,
    render_trade,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from wrappy.venue.events import Event, Trade
    from wrappy.venue.floor import Floor
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.orders import VenueOrder

FLUSH_US: Final = 50_000
"""Book changes are sent in batches of this length (official API documentation)."""

SNAPSHOT_TRADES: Final = 50
"""Trades in a snapshot; the exchange's own number is not documented."""

_CANDLES: Final = frozenset({"candle", "mark_price_candle"})
_EMPTY_SIDE: Final = {"price": "", "size": ""}


class Subscriber(Protocol):
    """Whoever frames are handed to."""

    def offer(self, frame: str) -> None:
        """Take a frame without waiting."""
        ...


def encode(frame: Any) -> str:
    """Return a frame as JSON text."""
    return msgspec.json.encode(frame).decode()


class Broadcast:
    """Every channel's state and subscribers on one floor.

    Attributes:
        subscribers: by the channel's request name.
    """

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._accounts = accounts = AccountFrames(floor)
        self.subscribers: dict[str, list[Subscriber]] = {}
        self._levels: dict[int, dict[tuple[bool, int], int]] = {}
        self._restless: set[int] = set()
        self._sent_nonce: dict[int, int] = {}
        self._tickers: dict[int, tuple[Any, Any]] = {}
        self._flush_at_us: int | None = None
        self._candles = candles = CandleFrames(floor)
        self._snapshots: dict[str, Callable[[Channel], dict[str, Any]]] = {
            "order_book": self._book_snapshot,
            "ticker": self._ticker_frame,
            "trade": self._trade_snapshot,
            "market_stats": self._stats_snapshot,
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
            "account_spot_avg_entry_prices": lambda _: {"avg_entry_prices": {}},
            "notification": lambda _: {"notifs": []},
            "candle": candles.snapshot,
            "mark_price_candle": candles.snapshot,
        }

    # ------------------------------------------------------------ subscriptions

    def exists(self, wanted: Channel) -> bool:
        """Return whether the channel's market and account exist here.

        A kind of channel that nothing here is told on, such as statistics of spot
        markets, is like one of an unknown market.
        """
        if wanted.kind.name not in self._snapshots:
            return False
        market, account = wanted.market_index, wanted.account_index
        exchange = self._floor.exchange
        return (market is None or market in exchange.markets) and (
            account is None or account in exchange.accounts
        )

    def join(self, wanted: Channel, subscriber: Subscriber) -> None:
        """Send the channel's snapshot and every update after it."""
        if wanted.kind.name == "order_book":
            # Everybody gets to the present first: the snapshot's nonce is then the
            # one that the next update begins with.
            self._flush_book(int(wanted.parameters[0]))
        self.subscribers.setdefault(wanted.request_name, []).append(subscriber)
        body = self._snapshots[wanted.kind.name](wanted)
        subscriber.offer(self._frame("subscribed", wanted, body))

    def leave(self, wanted: Channel, subscriber: Subscriber) -> None:
        """Send that subscriber no more of the channel."""
        remaining = self.subscribers.get(wanted.request_name, [])
        if subscriber in remaining:
            remaining.remove(subscriber)

    def _frame(self, kind: str, about: Channel, body: dict[str, Any]) -> str:
        head = {
            "type": f"{kind}/{about.kind.name}",
            "channel": about.reply_name,
            "timestamp": self._floor.now_us() // 1_000,
        }
        return encode({**body, **head})

    def _wanted(self, about: Channel) -> bool:
        return bool(self.subscribers.get(about.request_name))

    def _update(self, about: Channel, body: dict[str, Any]) -> None:
        audience = self.subscribers.get(about.request_name)
        if not audience:
            return
        frame = self._frame("update", about, body)
        for subscriber in tuple(audience):
            subscriber.offer(frame)

    # ------------------------------------------------------------------- events

    def publish(self, events: Sequence[Event], now_us: int) -> None:
        """Tell the channels what happened; books and statistics wait for `flush`."""
        orders: dict[int, dict[int, VenueOrder]] = {}
        moved: dict[int, set[int]] = {}
        for event in events:
            if isinstance(event, LevelChanged):
                levels = self._levels.setdefault(event.market_index, {})
                levels[event.is_ask, event.price] = event.base
            elif isinstance(event, OrderChanged):
                order = event.order
                orders.setdefault(order.owner, {})[order.order_index] = order
            elif isinstance(event, PositionChanged):
                moved.setdefault(event.account, set()).add(event.market_index)
            elif isinstance(event, MarketChanged):
                self._restless.add(event.market_index)
                self._candles.note_mark_price(event.market_index, event.at_us, now_us)
            else:
                self._tell_at_once(event)
        trades = [event.trade for event in events if isinstance(event, TradeExecuted)]
        for trade in trades:
            if trade.kind != DELEVERAGE_TRADE:
                self._candles.note_trade(trade, now_us)
        self._tell_orders(orders)
        self._tell_trades(trades)
        paid = [event for event in events if isinstance(event, FundingPaid)]
        self._tell_accounts(moved, orders, trades, paid)
        self._tell_transactions([e for e in events if isinstance(e, TxExecuted)])
        for index in self._levels:
            self._tell_ticker(index)
        if (self._levels or self._restless) and self._flush_at_us is None:
            self._flush_at_us = (now_us // FLUSH_US + 1) * FLUSH_US

    def _tell_at_once(self, event: Event) -> None:
        if isinstance(event, BlockMade):
            self._update(channel("height"), {"height": event.height})
        elif isinstance(event, Announced):
            rows = [render_notification(event)]
            self._update(channel("notification", event.account), {"notifs": rows})

    def due_us(self) -> int | None:
        """Return when held-back changes are to be sent, or None if there are none."""
        dues = (self._flush_at_us, self._candles.due_us())
        return min((due for due in dues if due is not None), default=None)

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
        for index in tuple(self._levels):
            self._flush_book(index)
        restless, self._restless = self._restless, set()
        for index in sorted(restless):
            self._update(
                channel("market_stats", index), {"market_stats": self._stats(index)}
            )
        everything = channel("market_stats", "all")
        if restless and self._wanted(everything):
            rows = {str(index): self._stats(index) for index in sorted(restless)}
            self._update(everything, {"market_stats": rows})
        self._tell_marked_accounts(restless)

    # ------------------------------------------------------------------ markets

    def _state(self, index: int) -> MarketState:
        return self._floor.exchange.markets[index]

    def _book_body(
        self,
        state: MarketState,
        bids: Iterable[tuple[int, int]],
        asks: Iterable[tuple[int, int]],
        begin_nonce: int,
    ) -> dict[str, Any]:
        at_us = self._floor.now_us()
        nonce = self._sent_nonce[state.market.market_id]
        return {
            "offset": nonce,
            "last_updated_at": at_us,
            "order_book": {
                "code": 0,
                "asks": render_levels(asks, state.market),
                "bids": render_levels(bids, state.market),
                "offset": nonce,
                "nonce": nonce,
                "last_updated_at": at_us,
                "begin_nonce": begin_nonce,
            },
        }

    def _book_snapshot(self, about: Channel) -> dict[str, Any]:
        state = self._state(int(about.parameters[0]))
        bids, asks = state.engine.depth()
        self._sent_nonce.setdefault(state.market.market_id, state.book_nonce)
        return self._book_body(state, bids, asks, 0)

    def _flush_book(self, index: int) -> None:
        levels = self._levels.pop(index, None)
        if not levels:
            return
        state = self._state(index)
        begin_nonce = self._sent_nonce.get(index, 0)
        self._sent_nonce[index] = state.book_nonce
        about = channel("order_book", index)
        if self._wanted(about):
            # Best price first on both sides, whatever the order of the changes.
            asks = sorted((p, b) for (is_ask, p), b in levels.items() if is_ask)
            bids = sorted(
                ((p, b) for (is_ask, p), b in levels.items() if not is_ask),
                reverse=True,
            )
            self._update(about, self._book_body(state, bids, asks, begin_nonce))

    def _best(self, state: MarketState) -> tuple[Any, Any]:
        bids, asks = state.engine.depth(1)
        return bids[0] if bids else None, asks[0] if asks else None

    def _ticker_frame(self, about: Channel) -> dict[str, Any]:
        state = self._state(int(about.parameters[0]))
        bid, ask = self._best(state)
        self._tickers[state.market.market_id] = (bid, ask)
        sides = [
            render_levels([level], state.market)[0] if level else dict(_EMPTY_SIDE)
            for level in (ask, bid)
        ]
        at_us = self._floor.now_us()
        return {
            "last_updated_at": at_us,
            "nonce": state.book_nonce,
            "ticker": {
                "s": state.market.symbol,
                "a": sides[0],
                "b": sides[1],
                "last_updated_at": at_us,
            },
        }

    def _tell_ticker(self, index: int) -> None:
        about = channel("ticker", index)
        if self._wanted(about) and self._tickers.get(index) != self._best(
            self._state(index)
        ):
            self._update(about, self._ticker_frame(about))

    def _trade_body(
        self, state: MarketState, newest_first: Iterable[Trade]
    ) -> dict[str, Any]:
        free: list[dict[str, Any]] = []
        forced: list[dict[str, Any]] = []
        for trade in newest_first:
            rows = free if trade.kind == TRADE else forced
            rows.append(render_trade(trade, state.market))
        return {"liquidation_trades": forced, "nonce": state.nonce, "trades": free}

    def _trade_snapshot(self, about: Channel) -> dict[str, Any]:
        state = self._state(int(about.parameters[0]))
        newest_first = list(state.trades)[: -SNAPSHOT_TRADES - 1 : -1]
        return self._trade_body(state, newest_first)

    def _stats(self, index: int) -> dict[str, Any]:
        return render_market_stats(self._state(index), self._floor.now_us())

    def _stats_snapshot(self, about: Channel) -> dict[str, Any]:
        if about.parameters[0] != "all":
            return {"market_stats": self._stats(int(about.parameters[0]))}
        markets = self._floor.exchange.markets
        return {"market_stats": {str(index): self._stats(index) for index in markets}}

    def _tell_trades(self, trades: Sequence[Trade]) -> None:
        by_market: dict[int, list[Trade]] = {}
        for trade in reversed(trades):
            by_market.setdefault(trade.market_index, []).append(trade)
            self._restless.add(trade.market_index)
        for index, newest_first in by_market.items():
            about = channel("trade", index)
            if self._wanted(about):
                body = self._trade_body(self._state(index), newest_first)
                self._update(about, body)

    # ----------------------------------------------------------------- accounts

    def _tell_orders(self, changed: dict[int, dict[int, VenueOrder]]) -> None:
        for account, orders in changed.items():
            rows = self._accounts.order_rows(orders.values())
            self._update(channel("account_all_orders", account), {"orders": rows})
            for market in rows:
                about = channel("account_orders", market, account)
                body = self._accounts.market_orders(account, int(market), rows)
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
                self._tell(channel("account_all_positions", account), frames.positions)
                self._tell(channel("account_all_assets", account), frames.assets)
                self._tell(channel("user_stats", account), frames.user_stats)
                about = channel("account_all", account)
                if self._wanted(about):
                    fundings = frames.funding_rows(paid, account)
                    self._update(about, frames.account_all(about, rows, fundings))
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
