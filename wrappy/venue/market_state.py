"""What the exchange knows of one market besides its rules: book, prices, statistics."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from wrappy._core.matching import MatchingEngine
from wrappy.venue.funding import MarketFunding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.model import Market
    from wrappy.venue.events import BarTraded, Trade
    from wrappy.venue.orders import VenueOrder

RECENT_TRADES: Final = 1_000
MARKET_INDEX_SHIFT: Final = 48
ORDER_NONCE_MASK: Final = (1 << MARKET_INDEX_SHIFT) - 1
DAY_US: Final = 86_400_000_000


def is_client_order_index(index: int) -> bool:
    """Return whether a number is a client's own for an order, not the exchange's."""
    return index < 1 << MARKET_INDEX_SHIFT


@dataclass(slots=True)
class DayStatistics:
    """Trading since midnight UTC, in wire integers.

    Attributes:
        day: days since 1970 that the figures are of.
        base: lots traded.
        quote: value traded, 1e-6 USDC.
        open: first price in ticks; 0 before the first trade.
        high: highest price in ticks; 0 before the first trade.
        low: lowest price in ticks; 0 before the first trade.
        count: number of trades.
    """

    day: int = 0
    base: int = 0
    quote: int = 0
    open: int = 0
    high: int = 0
    low: int = 0
    count: int = 0

    def add(self, trade: Trade) -> None:
        """Count one trade; a new day starts from nothing."""
        day = trade.at_us // DAY_US
        if day != self.day or not self.count:
            self.day = day
            self.base = self.quote = self.count = 0
            self.open = self.high = self.low = trade.price
        self.base += trade.base
        self.quote += trade.quote
        self.count += 1
        self.high = max(self.high, trade.price)
        self.low = min(self.low, trade.price)

    def add_bar(self, bar: BarTraded, count: int) -> None:
        """Count a whole bar of so many trades."""
        day = bar.at_us // DAY_US
        if day != self.day or not self.count:
            self.day = day
            self.base = self.quote = self.count = 0
            self.open, self.high, self.low = bar.open, bar.high, bar.low
        self.base += bar.base
        self.quote += bar.quote
        self.count += count
        self.high = max(self.high, bar.high)
        self.low = min(self.low, bar.low)


@dataclass(slots=True)
class MarketState:
    """One market, live.

    Attributes:
        market: its facts.
        engine: its book.
        index_price: ticks; 0 while unknown.
        mark_price: ticks; 0 while unknown.
        last_trade_price: ticks; 0 before the first trade.
        trades: the latest trades, newest last.
        day: statistics of the day.
        open_interest: lots held long (and as many short).
        open_interest_limit: 1e-6 USDC that it may be worth; 0 for any.
        nonce: engine nonce of the last change of any kind here.
        book_nonce: engine nonce of the last change of the book's levels.
        flow_levels: the flow's own resting orders by (is_ask, price), oldest first.
        armed: orders that wait for the mark price, by order index, oldest first.
        funding: samples and payments.
        halted: why new orders are refused; empty while they are not.
    """

    market: Market
    engine: MatchingEngine = field(default_factory=MatchingEngine)
    index_price: int = 0
    mark_price: int = 0
    last_trade_price: int = 0
    trades: deque[Trade] = field(default_factory=lambda: deque(maxlen=RECENT_TRADES))
    day: DayStatistics = field(default_factory=DayStatistics)
    open_interest: int = 0
    open_interest_limit: int = 0
    nonce: int = 0
    book_nonce: int = 0
    flow_levels: dict[tuple[bool, int], list[VenueOrder]] = field(default_factory=dict)
    armed: dict[int, VenueOrder] = field(default_factory=dict)
    funding: MarketFunding = field(default_factory=MarketFunding)
    halted: str = ""
    _asks_made: int = 0
    _bids_made: int = 0

    @property
    def index(self) -> int:
        """The market's number on the wire."""
        return self.market.market_id

    def new_order_index(self, *, is_ask: bool) -> int:
        """Return the next order index: asks count up from 1, bids down from the top.

        Source: the published prover circuits.
        """
        if is_ask:
            self._asks_made += 1
            number = self._asks_made
        else:
            self._bids_made += 1
            number = (1 << MARKET_INDEX_SHIFT) - self._bids_made
        return ((self.index + 1) << MARKET_INDEX_SHIFT) | number

    def is_met(self, order: Mapping[str, Any]) -> bool:
        """Return whether a new order would meet a resting one at once."""
        if order["IsAsk"]:
            best = self.engine.best_bid
            return best is not None and order["Price"] <= best
        best = self.engine.best_ask
        return best is not None and order["Price"] >= best

    def reckon_mark_price(self) -> int:
        """Return the median of index price, book middle and last trade, as known."""
        bid, ask = self.engine.best_bid, self.engine.best_ask
        middle = 0 if bid is None or ask is None else (bid + ask) // 2
        known = [
            price
            for price in (self.index_price, middle, self.last_trade_price)
            if price
        ]
        if not known:
            return 0
        known.sort()
        half = len(known) // 2
        return known[half] if len(known) % 2 else (known[half - 1] + known[half]) // 2
