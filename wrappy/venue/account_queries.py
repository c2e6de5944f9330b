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

    def _asked_markets(self, query: Parameters) -> set[int]:
        # The one that is named, or all; and of these, those of the type asked for.
        market_id, types = query.market(), query.market_types()
        if market_id is not None:
            known_market(self._floor, market_id)
        return {
            index
            for index, state in self._floor.exchange.markets.items()
            if market_id in (None, index) and state.market.market_type in types
        }

    def _active_orders(self, account: Account, query: Parameters) -> Any:
        markets = self._asked_markets(query)
        return self._orders_body(
            order
            for order in account.open_orders.values()
            if order.market_index in markets
        )

    def _inactive_orders(self, account: Account, query: Parameters) -> Any:
        limit, markets = query.limit(), self._asked_markets(query)
        ask_filter = query.integer("ask_filter", -1, low=-1, high=1)
        low, high = _between(query.text("between_timestamps", ""))
        matching = [
            order
            for order in reversed(account.history)
            if order.market_index in markets
            and ask_filter in (-1, int(order.is_ask))
            and low <= order.updated_us // 1_000 <= high
        ]
        return self._orders_body(*page(matching, query, limit, key=_ended))

    def _account_orders(self, account: Account, query: Parameters) -> Any:
        limit = query.integer("limit", 100, low=1, high=100)
        markets = self._asked_markets(query)
        numbers = _numbers(query.text("client_order_indexes", ""))
        orders = [*account.open_orders.values(), *account.history]
        matching = [
            order
            for order in orders
            if order.market_index in markets
            and (not numbers or order.client_order_index in numbers)
        ]
        # By creation, which an order keeps when it ends between two pages.
        matching.sort(key=_created, reverse=True)
        return self._orders_body(*page(matching, query, limit, key=_created))

    def _account_txs(self, account: Account, query: Parameters) -> Any:
        newest_first = reversed(account.transactions)
        start, limit = query.integer("index", 0, low=0), query.limit()
        types = _numbers(query.text("types", ""), "types")
        records = [self._floor.exchange.transaction(one) for one in newest_first]
        found = [
            record
            for record in records
            if record is not None and (not types or record.tx_type in types)
        ]
        wanted = found[start : start + limit]
        rows = [transaction_row(self._floor, record) for record in wanted]
        return {"code": OK, "txs": rows}

    def trades(self, account: Account | None, query: Parameters) -> Any:
        """Answer the `trades` query, about one account or (None) about everybody.

        Raises:
            Refused: a parameter cannot be used.
        """
        query.choice("sort_by", "block_height", "timestamp", "trade_id")
        query.choice("sort_dir", "desc", default="desc")
        limit, markets = query.limit(), self._asked_markets(query)
        role = query.choice("role", "all", "maker", "taker", default="all")
        kind = query.choice("type", *_TRADE_KINDS, default="all")
        order_index = query.integer("order_index", 0, low=0)
        ask_filter = query.integer("ask_filter", -1, low=-1, high=1)
        query.flag("aggregate")
        skipped = {
            Parameters({name: text}).integer(name, low=0)
            for name in ("skip_ask_order_id", "skip_bid_order_id")
            if (text := query.text(name, ""))
        }
        since_ms = query.integer("from", -1)
        matching = [
            trade
            for trade in self._newest_trades(account)
            if trade.market_index in markets
            and order_index in (0, trade.ask_order_index, trade.bid_order_index)
            and trade.at_us // 1_000 >= since_ms
            and (account is None or _plays(trade, account.index, role))
            and kind in ("all", trade.kind)
            and ask_filter in (-1, _sells(trade, account))
            and not skipped & {trade.ask_order_index, trade.bid_order_index}
        ]
        wanted, next_cursor = page(
            matching, query, limit, key=lambda trade: (trade.trade_id,)
        )
        rows = trade_rows(self._floor, wanted)
        return {"code": OK, "next_cursor": next_cursor, "trades": rows}

    def _newest_trades(self, account: Account | None) -> Iterable[Trade]:
        if account is not None:
            return reversed(account.trades)
        states = self._floor.exchange.markets.values()
        everybody = (trade for state in states for trade in state.trades)
        return sorted(everybody, key=lambda trade: -trade.trade_id)


def _ended(order: VenueOrder) -> tuple[int, int]:
    return order.updated_us, order.order_index


def _created(order: VenueOrder) -> tuple[int, int]:
    return order.created_us, order.order_index


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


def _numbers(text: str, name: str = "client_order_indexes") -> set[int]:
    numbers = [Parameters({"one": name}) for name in text.split(",") if name]
    try:
        return {number.integer("one", low=0) for number in numbers}
    except Refused:
        problem = "must be integers with commas between"
        raise wrong(name, problem) from None


def _sells(trade: Trade, account: Account | None) -> int:
    """Return 1 where the account sold; of anybody's trades, where the taker did."""
    if account is None:
        return int(not trade.is_maker_ask)
    return int(trade.ask_account == account.index)


def _plays(trade: Trade, account_index: int, role: str) -> bool:
    if role == "all":
        return True
    maker = trade.ask_account if trade.is_maker_ask else trade.bid_account
    return (maker == account_index) == (role == "maker")
