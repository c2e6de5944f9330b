"""Asking by REST for what the stream could not tell: ended orders, missed trades.

A snapshot of the account's orders holds live orders only, and one of its trades
holds none, so what ended or traded while nobody listened has to be asked for.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from wrappy.lighter.asking.reading import whole
from wrappy.lighter.streaming.inquiry import Inquiry
from wrappy.lighter.streaming.order_feed import time_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wrappy.lighter.asking.account import AccountReader
    from wrappy.lighter.logs import LogSink
    from wrappy.lighter.results import OrderDict
    from wrappy.lighter.streaming.order_feed import OrderFeed
    from wrappy.lighter.streaming.taps import Taps
    from wrappy.lighter.streaming.trade_feeds import OwnTradesFeed

MOST_ORDER_PAGES = 50
"""Pages of a hundred ended orders that one catching up may ask for."""

MOST_PAGES = 100
"""Pages of a hundred trades that one catching up may ask for."""


class _Vanished(NamedTuple):
    """Orders that a list of live orders lacks: those live here, and unheard-of ones."""

    feed: OrderFeed
    gone: frozenset[int]
    listed: Sequence[OrderDict]
    since_us: int | None


class _Interruption(NamedTuple):
    """Trades may have been missed, but none up to this number."""

    feed: OwnTradesFeed
    told_up_to: int


class CatchUp:
    """Keeps an account's feeds complete over interruptions.

    Args:
        account: reads the account.
        log: where failures are told.
        baselines: returns, by market streamed, the highest trade number when that
            began, 0 where there was none. Numbers grow over all markets, so the
            highest of those that were there first divides what is news from what
            is older.
        taps: handed what was asked for as well.
    """

    def __init__(
        self,
        account: AccountReader,
        log: LogSink,
        baselines: Callable[[], Mapping[int, int]],
        taps: Taps,
    ) -> None:
        self._account = account
        self._log = log
        self._baselines = baselines
        self._taps = taps
        self._start: Mapping[int, int] = {}
        self._fetched_up_to = 0
        self._orders_began = False
        self._trades_began = False
        self._orders = Inquiry[_Vanished](
            "ended orders", self._ended_orders, _since_the_earlier, log
        )
        self._trades = Inquiry[_Interruption](
            "missed trades", self._missed_trades, _from_the_lower, log
        )

    def watch(self, orders: OrderFeed, trades: OwnTradesFeed) -> None:
        """Complete an account's feeds from now on; a second time changes nothing."""
        if orders.on_snapshot is None:
            self._orders_began = False
            orders.on_snapshot = partial(self._orders_listed, orders)
        if trades.on_snapshot is None:
            self._trades_began, self._start, self._fetched_up_to = False, {}, 0
            trades.on_snapshot = partial(self._trades_begin, trades)

    def _orders_listed(self, feed: OrderFeed, listed: list[OrderDict]) -> None:
        # An order may have come and gone while nobody listened.
        began, self._orders_began = self._orders_began, True
        since_us = feed.newest_us if began else None
        if since_us is not None or feed.vanished(listed):
            # Now, as what becomes live later is in no list of today.
            gone = frozenset(feed.missing(listed))
            self._orders.ask(_Vanished(feed, gone, listed, since_us))

    def _trades_begin(self, feed: OwnTradesFeed) -> None:
        # What markets begin with that are streamed later must not count here: trades
        # could have been missed before that.
        self._start = self._start or dict(self._baselines())
        began, self._trades_began = self._trades_began, True
        if not began:
            return
        told_up_to = max(feed.newest or 0, *self._start.values(), 0)
        self._trades.ask(_Interruption(feed, told_up_to))

    @property
    def is_asking(self) -> bool:
        """Whether something is being asked for."""
        return self._orders.is_asking or self._trades.is_asking

    async def settled(self) -> None:
        """Return when nothing is being asked for."""
        while self.is_asking:
            await asyncio.gather(self._orders.settled(), self._trades.settled())

    async def aclose(self) -> None:
        """Stop asking."""
        await asyncio.gather(self._orders.aclose(), self._trades.aclose())

    async def _ended_orders(self, vanished: _Vanished) -> None:
        feed, gone, since_us = vanished.feed, set(vanished.gone), vanished.since_us
        cursor: str | None = None
        for _ in range(MOST_ORDER_PAGES):
            rows, cursor = await self._account.ended_orders(cursor)
            news = [row for row in rows if feed.is_news(row, since_us)]
            self._hand_on("account_all_orders", "orders", news)
            feed.enter(news)
            gone.intersection_update(feed.missing(vanished.listed))
            reaches_back = since_us is None or any(
                time_of(row) <= since_us for row in rows
            )
            if not cursor or (reaches_back and not gone):
                break
        if gone:
            self._log.error("orders vanished without a trace: %s", sorted(gone))

    async def _missed_trades(self, interruption: _Interruption) -> None:
        feed = interruption.feed
        # What was fetched after an earlier interruption need not be fetched again.
        told_up_to = max(interruption.told_up_to, self._fetched_up_to)
        newest = 0
        missed: list[dict[str, Any]] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            rows, cursor = await self._account.own_trades(cursor)
            new = [row for row in rows if self._is_missed(feed, row)]
            missed += new
            numbers = [whole(row, "trade_id") for row in rows]
            newest, oldest = max(newest, *numbers, 0), min(numbers, default=0)
            # A page may hold nothing but what has been told since the interruption;
            # one that reaches beyond that and has no news is the last.
            if not cursor or (not new and oldest <= told_up_to):
                break
        else:
            self._log.error("more trades were missed than can be fetched")
        self._fetched_up_to = max(self._fetched_up_to, newest)
        self._hand_on("account_all_trades", "trades", missed)
        feed.enter(missed)

    def _hand_on(
        self, name: str, field: str, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        self._taps.recovered(name, self._account.account_index, field, rows)

    def _is_missed(self, feed: OwnTradesFeed, row: Mapping[str, Any]) -> bool:
        """Whether a trade is news: made since the start, and not told yet."""
        number = whole(row, "trade_id")
        if feed.knows(number):
            return False
        highest = max(self._start.values(), default=0)
        if highest:
            return number > highest
        # Those markets had no trades at the start, so all of their own came later.
        return row.get("market_id") in self._start


def _since_the_earlier(earlier: _Vanished, later: _Vanished) -> _Vanished:
    # A later list of live orders lacks all that an earlier one lacked.
    known = [t for t in (earlier.since_us, later.since_us) if t is not None]
    return later._replace(since_us=min(known, default=None))


def _from_the_lower(earlier: _Interruption, later: _Interruption) -> _Interruption:
    return later._replace(told_up_to=min(earlier.told_up_to, later.told_up_to))
