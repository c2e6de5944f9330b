"""Private questions: what an account may read of itself with a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wrappy.protocol.codes import OK
from wrappy.venue.exchange import Refused
from wrappy.venue.parameters import LATEST_MS, Parameters, page, wrong
from wrappy.venue.queries import known_market, trade_rows, transaction_row
from wrappy.venue.render import render_limits, render_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wrappy.venue.accounts import Account
    from wrappy.venue.events import Trade
    from wrappy.venue.floor import Floor
    from wrappy.venue.orders import VenueOrder

NOBODY = -1
"""Account index of a trades query that is about everybody."""
_TRADE_KINDS = ("all", "trade", "liquidation", "deleverage", "market-settlement")


class AccountQueries:
    """Every endpoint that needs a token; the caller has checked it already."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def routes(self) -> dict[str, Callable[[Account, Parameters], Any]]:
        """Return the answering method of each path."""
        v1 = "/api/v1/"
        return {
            v1 + "accountActiveOrders": self._active_orders,
            v1 + "accountInactiveOrders": self._inactive_orders,
            v1 + "accountOrders": self._account_orders,
            v1 + "accountLimits": lambda account, _: render_limits(account),
            v1 + "accountTxs": self._account_txs,
        }

    def _orders_body(
        self, orders: Iterable[VenueOrder], next_cursor: str = ""
    ) -> dict[str, Any]:
        markets = self._floor.exchange.markets
        rows = [render_order(o, markets[o.market_index].market) for o in orders]
        return {"code": OK, "next_cursor": next_cursor, "orders": rows}

    def _asked_market(self, query: Parameters) -> int | None:
        market_id = query.market()
        if market_id is not None:
            known_market(self._floor, market_id)
        return market_id

    def _active_orders(self, account: Account, query: Parameters) -> Any:
        market_id = self._asked_market(query)
        return self._orders_body(
            order
            for order in account.open_orders.values()
            if market_id in (None, order.market_index)
        )

    def _inactive_orders(self, account: Account, query: Parameters) -> Any:
        limit, market_id = query.limit(), self._asked_market(query)
        ask_filter = query.integer("ask_filter", -1, low=-1, high=1)
        low, high = _between(query.text("between_timestamps", ""))
        matching = [
            order
            for order in reversed(account.history)
            if market_id in (None, order.market_index)
            and ask_filter in (-1, int(order.is_ask))
            and low <= order.updated_us // 1_000 <= high
        ]
        return self._orders_body(*page(matching, query, limit))

    def _account_orders(self, account: Account, query: Parameters) -> Any:
        limit = query.integer("limit", 100, low=1, high=100)
        market_id = self._asked_market(query)
        numbers = _numbers(query.text("client_order_indexes", ""))
        orders = [*reversed(account.open_orders.values()), *reversed(account.history)]
        matching = [
            order
            for order in orders
            if market_id in (None, order.market_index)
            and (not numbers or order.client_order_index in numbers)
        ]
        return self._orders_body(*page(matching, query, limit))

    def _account_txs(self, account: Account, query: Parameters) -> Any:
        newest_first = list(reversed(account.transactions))
        start = query.integer("index", 0, low=0)
        wanted = newest_first[start : start + query.limit()]
        records = [self._floor.exchange.transaction(tx_hash) for tx_hash in wanted]
        rows = [
            transaction_row(self._floor, record)
            for record in records
            if record is not None
        ]
        return {"code": OK, "txs": rows}

    def trades(self, account: Account | None, query: Parameters) -> Any:
        """Answer the `trades` query, about one account or (None) about everybody.

        Raises:
            Refused: a parameter cannot be used.
        """
        query.choice("sort_by", "block_height", "timestamp", "trade_id")
        query.choice("sort_dir", "desc", default="desc")
        limit, market_id = query.limit(), self._asked_market(query)
        role = query.choice("role", "all", "maker", "taker", default="all")
        kind = query.choice("type", *_TRADE_KINDS, default="all")
        order_index = query.integer("order_index", 0, low=0)
        since_ms = query.integer("from", -1)
        matching = [
            trade
            for trade in self._newest_trades(account)
            if market_id in (None, trade.market_index)
            and order_index in (0, trade.ask_order_index, trade.bid_order_index)
            and trade.at_us // 1_000 >= since_ms
            and (account is None or _plays(trade, account.index, role))
            and kind in ("all", trade.kind)
        ]
        wanted, next_cursor = page(matching, query, limit)
        rows = trade_rows(self._floor, wanted)
        return {"code": OK, "next_cursor": next_cursor, "trades": rows}

    def _newest_trades(self, account: Account | None) -> Iterable[Trade]:
        if account is not None:
            return reversed(account.trades)
        states = self._floor.exchange.markets.values()
        everybody = (trade for state in states for trade in state.trades)
        return sorted(everybody, key=lambda trade: -trade.trade_id)


def _between(text: str) -> tuple[int, int]:
    if not text:
        return 0, LATEST_MS
    low, _, high = text.partition("-")
    bounds = Parameters({"from": low, "to": high})
    try:
        return bounds.integer("from", low=0), bounds.integer("to", low=0)
    except Refused:
        problem = "must read from-to in milliseconds"
        raise wrong("between_timestamps", problem) from None


def _numbers(text: str) -> set[int]:
    numbers = [Parameters({"one": name}) for name in text.split(",") if name]
    try:
        return {number.integer("one", low=0) for number in numbers}
    except Refused:
        problem = "must be integers with commas between"
        raise wrong("client_order_indexes", problem) from None


def _plays(trade: Trade, account_index: int, role: str) -> bool:
    if role == "all":
        return True
    maker = trade.ask_account if trade.is_maker_ask else trade.bid_account
    return (maker == account_index) == (role == "maker")
