"""What the overlay knows: orders, trades, positions and the book, fed by frames."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from wrappy._core.book import OrderBook
from wrappy._core.orders import OrderTable
from wrappy._core.public_trades import PublicTrades
from wrappy._core.scaling import fixed_to_int
from wrappy.errors import ProtocolError, WrappyError
from wrappy.lighter.asking.reading import (
    position_of,
    public_trade,
    report_order,
    rows_by_market,
    whole,
)
from wrappy.model import PriceLevel

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from decimal import Decimal

    from wrappy._core.book import Level
    from wrappy.lighter.logs import LogSink
    from wrappy.lighter.results import OrderDict, TradeDict
    from wrappy.model import Market, Position

ROWS_KEPT = 1000
ENDED_ORDERS_KEPT = 10_000


class BookView:
    """A live view of the market's book in USDC and base asset.

    Every reading raises `BookGapError` while the book is not sound: between a gap
    and the fresh snapshot there are no prices, rather than old ones.
    """

    def __init__(self, book: OrderBook) -> None:
        self._book = book

    def __repr__(self) -> str:
        return repr(self._book)

    @property
    def is_valid(self) -> bool:
        """Whether the book can be read now."""
        return self._book.is_valid

    @property
    def best_bid(self) -> PriceLevel | None:
        """Highest price somebody buys at, None when nobody does."""
        return self._level(self._book.best_bid)

    @property
    def best_ask(self) -> PriceLevel | None:
        """Lowest price somebody sells at, None when nobody does."""
        return self._level(self._book.best_ask)

    @property
    def mid_price(self) -> Decimal | None:
        """Middle of best bid and best ask in USDC, None when a side is empty."""
        return self._book.mid

    @property
    def micro_price(self) -> Decimal | None:
        """Middle weighted by the opposite sizes, None when a side is empty."""
        return self._book.micro_price

    def depth(self, levels: int) -> tuple[list[PriceLevel], list[PriceLevel]]:
        """Return up to `levels` bids and asks, best first."""
        bids, asks = self._book.depth(levels)
        return [self._made(level) for level in bids], [self._made(a) for a in asks]

    def _level(self, level: Level | None) -> PriceLevel | None:
        return None if level is None else self._made(level)

    def _made(self, level: Level) -> PriceLevel:
        return PriceLevel(self._book.price(level.ticks), self._book.size(level.lots))


class OverlayState:
    """Caches of one market and one account.

    Args:
        market: scales of the book.
        log: where unreadable rows are told.
        tell: called with a hook's name and what is new.

    Attributes:
        orders: by client order index, ended ones included.
        positions: by market index.
        book: the market's book.
        public: the market's trades.
        public_rows: the same as the exchange told them, oldest first.
        own_trades: the account's trades, oldest first.
        waiters: who waits for an order to be told of.
    """

    def __init__(
        self, market: Market, log: LogSink, tell: Callable[[str, Any], None]
    ) -> None:
        self.market = market
        self.orders = OrderTable(capacity_terminal=ENDED_ORDERS_KEPT)
        self.positions: dict[int, Position] = {}
        self.book = OrderBook(market.price_decimals, market.size_decimals)
        self.public = PublicTrades(ROWS_KEPT)
        self.public_rows: deque[TradeDict] = deque(maxlen=ROWS_KEPT)
        self.own_trades: deque[TradeDict] = deque(maxlen=ROWS_KEPT)
        self.waiters: dict[int, list[asyncio.Future[OrderDict]]] = {}
        self._own_trade_ids: set[int] = set()
        self._log = log
        self._tell = tell
        self._handlers: dict[str, Callable[[Mapping[str, Any], bool], bool]] = {
            "trade": self._take_trades,
            "order_book": self._take_book,
            "account_all_orders": self._take_orders,
            "account_all_trades": self._take_own_trades,
            "account_all_positions": self._take_positions,
        }

    def take(self, name: str, message: Mapping[str, Any], *, snapshot: bool) -> bool:
        """Take one frame of a channel.

        Returns:
            Whether the channel is sound; if not, it needs a fresh snapshot.
        """
        handler = self._handlers.get(name)
        if handler is None:
            return True
        try:
            return handler(message, snapshot)
        except WrappyError as error:
            self._log.error("unreadable %s frame: %s", name, error)
            if name == "order_book":
                self.book.invalidate(str(error))
            return name != "order_book"

    def order(self, coi: int) -> OrderDict | None:
        """Return the latest word on an order; None if the stream never told of it."""
        record = self.orders.get(coi)
        return None if record is None or record.report is None else dict(record.report)

    def missing(self, listed: Iterable[OrderDict]) -> list[int]:
        """Return the orders that are live here and not in a list of live orders."""
        present = {row.get("client_order_index") for row in listed}
        live = (record.client_order_index for record in self.orders.live())
        return [coi for coi in live if coi not in present]

    def vanished(self, listed: Sequence[OrderDict]) -> bool:
        """Whether a list of live orders lacks one that is live here or waited for."""
        present = {row.get("client_order_index") for row in listed}
        awaited = any(coi not in present for coi in self.waiters)
        return awaited or bool(self.missing(listed))

    def knows_trade(self, trade_id: int) -> bool:
        """Whether a trade of the account has been told."""
        return trade_id in self._own_trade_ids

    def enter_orders(self, rows: Iterable[OrderDict]) -> None:
        """Enter the exchange's words on orders; unreadable ones are logged."""
        readable = []
        for row in rows:
            try:
                record = report_order(self.orders, row)
            except WrappyError as error:
                self._log.error("unreadable order: %s", error)
                continue
            readable.append(row)
            if record is None or record.report is None:
                continue
            for waiter in self.waiters.get(record.client_order_index, ()):
                if not waiter.done():
                    waiter.set_result(dict(record.report))
        if readable:
            self._tell("on_orders", readable)

    def _take_orders(self, message: Mapping[str, Any], _snapshot: bool) -> bool:  # noqa: FBT001 - handlers share one shape
        self.enter_orders(rows_by_market(message.get("orders"), "orders"))
        return True

    def _take_trades(self, message: Mapping[str, Any], _snapshot: bool) -> bool:  # noqa: FBT001 - handlers share one shape
        rows = rows_by_market(message.get("trades"), "trades")
        by_id = {whole(row, "trade_id"): row for row in rows}
        fresh = self.public.add(public_trade(row) for row in by_id.values())
        if fresh:
            new = [by_id[trade.trade_id] for trade in fresh]
            _enter(self.public_rows, new)
            self._tell("on_public_trades", new)
        return True

    def _take_book(self, message: Mapping[str, Any], snapshot: bool) -> bool:  # noqa: FBT001 - handlers share one shape
        body = message.get("order_book")
        if not isinstance(body, dict):
            raise ProtocolError("order_book: the frame has no book")
        bids, asks = self._levels(body.get("bids")), self._levels(body.get("asks"))
        nonce = whole(body, "nonce")
        if snapshot:
            return self.book.snapshot(bids, asks, nonce)
        sound = self.book.apply(bids, asks, whole(body, "begin_nonce"), nonce)
        if not sound:
            self._log.warning("book to be rebuilt: %s", self.book.invalid_reason)
        return sound

    def _levels(self, rows: object) -> list[tuple[int, int]]:
        price_decimals = self.market.price_decimals
        size_decimals = self.market.size_decimals
        return [
            (
                fixed_to_int(str(row.get("price")), price_decimals),
                fixed_to_int(str(row.get("size")), size_decimals),
            )
            for row in rows_by_market(rows, "levels")
        ]

    def _take_own_trades(self, message: Mapping[str, Any], _snapshot: bool) -> bool:  # noqa: FBT001 - handlers share one shape
        rows = rows_by_market(message.get("trades"), "trades")
        by_id = {whole(row, "trade_id"): row for row in rows}
        fresh = sorted(by_id.keys() - self._own_trade_ids)
        if fresh:
            new = [by_id[trade_id] for trade_id in fresh]
            _enter(self.own_trades, new)
            self._own_trade_ids.update(fresh)
            if len(self._own_trade_ids) > 10 * ROWS_KEPT:
                keep = sorted(self._own_trade_ids)[-5 * ROWS_KEPT :]
                self._own_trade_ids = set(keep)
            self._tell("on_trades", new)
        return True

    def _take_positions(self, message: Mapping[str, Any], snapshot: bool) -> bool:  # noqa: FBT001 - handlers share one shape
        value = message.get("positions")
        rows = list(value.values()) if isinstance(value, dict) else value
        told = [position_of(row) for row in rows_by_market(rows, "positions")]
        if snapshot:
            # What a snapshot leaves out is flat; an update speaks of what it names.
            self.positions.clear()
        self.positions.update({position.market_id: position for position in told})
        return True


def _enter(kept: deque[TradeDict], new: list[TradeDict]) -> None:
    """Add rows that are in order among themselves; late ones go where they belong."""
    rows = new
    if kept and new[0]["trade_id"] < kept[-1]["trade_id"]:
        rows = sorted((*kept, *new), key=lambda row: int(row["trade_id"]))
        kept.clear()
    kept.extend(rows)
