"""The exchange's frames as pybotters stores: `find`, `sorted`, `watch`, `wait`.

A row of a store is the exchange's own, in its own spelling; what is added to it is
named in the store's words.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from wrappy.errors import ProtocolError, UsageError, WrappyError
from wrappy.lighter.streaming.account_stores import (
    FillStore,
    OrderStore,
    PositionStore,
)
from wrappy.lighter.streaming.book_requests import BookRequests
from wrappy.lighter.streaming.book_store import BookStore
from wrappy.lighter.streaming.market_stores import (
    MarketStatsStore,
    TickerStore,
    TradeStore,
)
from wrappy.lighter.streaming.store_base import DataStoreCollection
from wrappy.lighter.streaming.store_rows import index_in, rows_in
from wrappy.protocol.channels import parse_channel
from wrappy.protocol.codes import error_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import aiohttp
    from pybotters.ws import ClientWebSocketResponse

    from wrappy.lighter.streaming.store_rows import Row
    from wrappy.protocol.channels import Channel

logger = logging.getLogger("wrappy.datastore")

OK = 200


class _Frame(NamedTuple):
    """One frame of a channel, whether it is the snapshot, and where it came from."""

    about: Channel
    message: Row
    snapshot: bool
    ws: ClientWebSocketResponse | None

    @property
    def account_index(self) -> int:
        return self.about.account_index or 0

    @property
    def market_index(self) -> int:
        return self.about.market_index or 0


class LighterDataStore(DataStoreCollection):
    """Lighter's streams as pybotters stores.

    Give `onmessage` to pybotters' `Client.ws_connect` as `hdlr_json`, or call it with
    the frames of a `WsInfo`. Frames may be repeated. What cannot be read is counted
    and changes nothing, except that a book is emptied.

    Args:
        on_gap: called with a channel as subscribed, such as `order_book/0`, and a
            reason in words, when changes of the channel are missed from now on.

    Attributes:
        on_gap: as given; may be set later.
        refused: error frames of the exchange so far, such as for a token that has
            expired; each is logged.
        hook_failures: how often `on_gap` raised; each is logged.

    When a book has a gap and the frame came with its connection, the book is
    unsubscribed and subscribed again through it: at once, then after growing pauses
    of 1 to 30 seconds. Other channels cannot tell a gap. A private channel needs a
    token, so it is yours to subscribe to again.
    """

    def __init__(self, *, on_gap: Callable[[str, str], None] | None = None) -> None:
        super().__init__()
        self.on_gap = on_gap
        self.refused = 0
        self.hook_failures = 0
        self._unreadable = 0
        self._requests = BookRequests(self.book.is_valid)
        self._channels: Mapping[str, Callable[[_Frame], None]] = {
            "order_book": self._take_book,
            "ticker": self._take_ticker,
            "market_stats": self._take_stats,
            "trade": self._take_trades,
            "account_all_orders": self._take_orders,
            "account_orders": self._take_orders,
            "account_all_positions": self._take_positions,
            "account_all_trades": self._take_fills,
        }
        self._answers: Mapping[str, Callable[[Row, int | None], None]] = {
            "/api/v1/accountActiveOrders": self._answered_orders,
            "/api/v1/accountInactiveOrders": self._answered_orders,
            "/api/v1/account": self._answered_account,
            "/api/v1/trades": self._answered_trades,
            "/api/v1/recentTrades": self._answered_trades,
        }

    def _init(self) -> None:
        self._create("orders", datastore_class=OrderStore)
        self._create("positions", datastore_class=PositionStore)
        self._create("fills", datastore_class=FillStore)
        self._create("trades", datastore_class=TradeStore)
        self._create("book", datastore_class=BookStore)
        self._create("ticker", datastore_class=TickerStore)
        self._create("market_stats", datastore_class=MarketStatsStore)

    @property
    def unreadable(self) -> int:
        """Frames, and rows of orders, that could not be read so far."""
        return self._unreadable + self.orders.unreadable

    @property
    def orders(self) -> OrderStore:
        """Orders that have not ended."""
        return self._get("orders", OrderStore)

    @property
    def positions(self) -> PositionStore:
        """Positions that are not flat."""
        return self._get("positions", PositionStore)

    @property
    def fills(self) -> FillStore:
        """The account's own trades."""
        return self._get("fills", FillStore)

    @property
    def trades(self) -> TradeStore:
        """Public trades."""
        return self._get("trades", TradeStore)

    @property
    def book(self) -> BookStore:
        """Order books."""
        return self._get("book", BookStore)

    @property
    def ticker(self) -> TickerStore:
        """Best bids and asks."""
        return self._get("ticker", TickerStore)

    @property
    def market_stats(self) -> MarketStatsStore:
        """Mark, index, funding and the day's figures."""
        return self._get("market_stats", MarketStatsStore)

    async def initialize(self, *aws: Awaitable[aiohttp.ClientResponse]) -> None:
        """Fill the stores from REST answers, awaited together, entered in order.

        Args:
            *aws: requests of `/api/v1/accountActiveOrders`,
                `/api/v1/accountInactiveOrders` or `/api/v1/trades` with
                `account_index`, of `/api/v1/account`, or of `/api/v1/recentTrades`.

        Live orders are added and ended ones taken away; none is deleted for being
        absent, as an answer may be older than what the stream has told.

        Raises:
            UsageError: a request that is none of these.
            VenueError: the exchange declined a request.
            ProtocolError: an answer cannot be read.
        """
        answers = await asyncio.gather(*aws, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            self._enter_answer(answer, await answer.read())
        self._set()

    def lost(self, reason: str = "the connection was lost") -> None:
        """Empty the books that were fed without a connection: changes are missed.

        For frames of a `WsInfo`; a connection of pybotters tells by itself.
        """
        self._begin_anew(None, reason)
        self._set()

    # -------------------------------------------------------------------- REST

    def _enter_answer(self, answer: aiohttp.ClientResponse, raw: bytes) -> None:
        path = answer.url.path
        take = self._answers.get(path)
        if take is None:
            raise UsageError(
                f"initialize: {path} is none of {', '.join(self._answers)}"
            )
        try:
            body = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            body = None
        told = body if isinstance(body, dict) else {}
        code = told.get("code", answer.status)
        if answer.status != OK or code != OK:
            words = str(told.get("message") or "")
            number = code if isinstance(code, int) else answer.status
            raise error_for(number, words, endpoint=path, http_status=answer.status)
        if body is not told:
            raise ProtocolError(f"{path}: the answer is no JSON object")
        account = answer.url.query.get("account_index", "")
        take(told, int(account) if account.isdecimal() else None)

    def _answered_orders(self, body: Row, account_index: int | None) -> None:
        if account_index is None:
            raise UsageError("initialize: the request names no account_index")
        self.orders.take(rows_in(body, "orders"), account_index)

    def _answered_account(self, body: Row, _account_index: int | None) -> None:
        for account in rows_in(body, "accounts"):
            rows = rows_in(account, "positions")
            self.positions.take(rows, index_in(account, "index"), complete=True)

    def _answered_trades(self, body: Row, account_index: int | None) -> None:
        rows = rows_in(body, "trades")
        if account_index is not None:
            self.fills.take(rows, account_index)
            return
        for market in sorted({index_in(row, "market_id") for row in rows}):
            self.trades.take([r for r in rows if r["market_id"] == market], market)

    # ------------------------------------------------------------------ frames

    def _onmessage(self, msg: Any, ws: ClientWebSocketResponse | None = None) -> None:
        try:
            self._take(msg, ws)
        except WrappyError as error:
            self._unreadable += 1
            logger.warning("unreadable frame: %s", error)

    def _take(self, message: object, ws: ClientWebSocketResponse | None) -> None:
        if not isinstance(message, dict):
            raise ProtocolError(f"a {type(message).__name__} is no frame")
        kind = message.get("type")
        refusal = message.get("error")
        if refusal is not None:
            self.refused += 1
            logger.warning("the exchange refused: %.200s", refusal)
        elif not isinstance(kind, str):
            raise ProtocolError("a frame without a type")
        elif kind == "ping" and ws is not None:
            self._requests.send(ws, {"type": "pong"})
        elif kind == "connected":
            self._begin_anew(ws, "the connection began anew")
        elif kind == "unsubscribed":
            self._unsubscribed(_channel(kind, message))
        else:
            self._take_channel(kind, message, ws)

    def _take_channel(
        self, kind: str, message: Row, ws: ClientWebSocketResponse | None
    ) -> None:
        manner, _, name = kind.partition("/")
        take = self._channels.get(name)
        if take is None or manner not in ("subscribed", "update"):
            return
        about = _channel(kind, message)
        if about.kind.name != name:
            raise ProtocolError(f"{kind}: a frame of the channel {about.reply_name}")
        take(_Frame(about, message, manner == "subscribed", ws))

    def _take_orders(self, frame: _Frame) -> None:
        rows = rows_in(frame.message, "orders")
        if frame.snapshot:
            self.orders.replace(rows, frame.account_index, frame.about.market_index)
        else:
            self.orders.take(rows, frame.account_index)

    def _take_positions(self, frame: _Frame) -> None:
        told = frame.message.get("positions")
        if isinstance(told, dict):
            told = list(told.values())
        self.positions.take(
            rows_in({"positions": told}, "positions"),
            frame.account_index,
            complete=frame.snapshot,
        )

    def _take_fills(self, frame: _Frame) -> None:
        self.fills.take(rows_in(frame.message, "trades"), frame.account_index)

    def _take_trades(self, frame: _Frame) -> None:
        rows = rows_in(frame.message, "trades", "liquidation_trades")
        self.trades.take(rows, frame.market_index)

    def _take_ticker(self, frame: _Frame) -> None:
        self.ticker.take(frame.message, frame.market_index, snapshot=frame.snapshot)

    def _take_stats(self, frame: _Frame) -> None:
        self.market_stats.take(frame.message.get("market_stats"))

    def _take_book(self, frame: _Frame) -> None:
        market = frame.market_index
        # Changes of a book that is broken already are no news.
        is_news = (
            frame.snapshot
            or self.book.is_valid(market)
            or not self.book.was_told_of(market)
        )
        try:
            self.book.take(
                frame.message.get("order_book"),
                market,
                snapshot=frame.snapshot,
                ws=frame.ws,
            )
        finally:
            reason = self.book.invalid_reason(market)
            if reason is not None and is_news:
                self._tell_gap(frame.about.request_name, reason)
            if reason is not None and frame.ws is not None and not frame.ws.closed:
                self._requests.ask(market, frame.ws)

    # -------------------------------------------------------------------- gaps

    def _begin_anew(self, ws: ClientWebSocketResponse | None, reason: str) -> None:
        for market in self.book.cut_off(ws):
            if self.book.empty(market, reason):
                self._tell_gap(f"order_book/{market}", reason)

    def _unsubscribed(self, about: Channel) -> None:
        reason = "unsubscribed"
        if about.kind.name == "order_book" and not self.book.empty(
            about.market_index or 0, reason
        ):
            return
        self._tell_gap(about.request_name, reason)

    def _tell_gap(self, channel: str, reason: str) -> None:
        logger.warning("changes of %s are missed: %s", channel, reason)
        if self.on_gap is None:
            return
        try:
            self.on_gap(channel, reason)
        except Exception:  # the caller's code may raise anything
            self.hook_failures += 1
            logger.exception("on_gap raised")


def _channel(kind: str, message: Mapping[str, Any]) -> Channel:
    text = message.get("channel")
    about = parse_channel(text) if isinstance(text, str) else None
    if about is None:
        raise ProtocolError(f"{kind}: there is no channel {text!r:.80}")
    return about
