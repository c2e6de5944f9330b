"""Public questions and their answers: what `GET` reads without a token."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

from wrappy.protocol.codes import OK
from wrappy.venue.exchange import Refused
from wrappy.venue.parameters import Parameters
from wrappy.venue.render import (
    render_api_key,
    render_details,
    render_exchange_row,
    render_order_book_entry,
    render_resting,
    render_trade,
)
from wrappy.venue.spot_render import render_spot_details
from wrappy.venue.sub_accounts import key_slot
from wrappy.venue.tx_render import event_info, render_tx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wrappy.venue.accounts import Account
    from wrappy.venue.events import Trade
    from wrappy.venue.exchange import TxRecord
    from wrappy.venue.floor import Floor
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.orders import VenueOrder

ALL_KEYS: Final = 255


def known_account(floor: Floor, index: int) -> Account:
    """Return an account by its index.

    Raises:
        Refused: 21100, there is none.
    """
    account = floor.exchange.accounts.get(index)
    if account is None:
        raise Refused(21100)
    return account


def known_market(floor: Floor, market_id: int) -> MarketState:
    """Return a market by its index.

    Raises:
        Refused: 21602, there is none.
    """
    state = floor.exchange.markets.get(market_id)
    if state is None:
        raise Refused(21602)
    return state


def trade_rows(floor: Floor, trades: Iterable[Trade]) -> list[dict[str, Any]]:
    """Return trades as the exchange prints them, in the order given."""
    markets = floor.exchange.markets
    return [render_trade(t, markets[t.market_index].market) for t in trades]


def transaction_row(floor: Floor, record: TxRecord) -> dict[str, Any]:
    """Return a transaction as the exchange prints it."""
    exchange = floor.exchange
    account = exchange.accounts[record.account]
    order = exchange.order(account.index, record.order_index)
    return render_tx(record, account.l1_address, told=event_info(record, order))


def row_list(floor: Floor, rows: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Return a list of public market data; an empty one is null if it is set so."""
    return rows if rows or floor.settings.empty_lists == "empty" else None


class PublicQueries:
    """Every endpoint that anybody may read."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def routes(self) -> dict[str, Callable[[Parameters], Any]]:
        """Return the answering method of each path."""
        v1 = "/api/v1/"
        return {
            "/": self._status,
            "/info": lambda _: {"contract_address": "0x" + "0" * 40},
            v1 + "nextNonce": self._next_nonce,
            v1 + "apikeys": self._api_keys,
            v1 + "account": self._account,
            v1 + "accountsByL1Address": self._accounts_by_address,
            v1 + "accountMetadata": self._account_metadata,
            v1 + "orderBooks": self._order_books,
            v1 + "orderBookDetails": self._order_book_details,
            v1 + "orderBookOrders": self._order_book_orders,
            v1 + "recentTrades": self._recent_trades,
            v1 + "tx": self._tx,
            v1 + "txs": self._txs,
            v1 + "exchangeStats": self._exchange_stats,
        }

    def _status(self, _: Parameters) -> Any:
        return {
            "status": OK,
            "network_id": self._floor.settings.chain_id,
            "timestamp": self._floor.now_us() // 1_000_000,
        }

    def _exchange_stats(self, _: Parameters) -> Any:
        states = self._floor.exchange.markets.values()
        return {
            "code": OK,
            "total": len(states),
            "order_book_stats": [render_exchange_row(state) for state in states],
            "daily_usd_volume": sum(s.day.quote for s in states) / 1_000_000,
            "daily_trades_count": sum(s.day.count for s in states),
        }

    def _next_nonce(self, query: Parameters) -> Any:
        account = known_account(self._floor, query.integer("account_index"))
        slot = query.integer("api_key_index", low=0, high=254)
        # A slot without a key answers too: its first key is signed with that nonce.
        key = key_slot(self._floor.settings, account, slot)
        return {"code": OK, "nonce": key.nonce}

    def _api_keys(self, query: Parameters) -> Any:
        account = known_account(self._floor, query.integer("account_index"))
        wanted = query.integer("api_key_index", ALL_KEYS, low=0, high=ALL_KEYS)
        keys = [
            render_api_key(account, key)
            for index, key in sorted(account.api_keys.items())
            if wanted in (index, ALL_KEYS)
        ]
        if wanted != ALL_KEYS and not keys:
            raise Refused(21109)
        return {"code": OK, "api_keys": keys}

    def _asked_accounts(self, query: Parameters) -> list[Account]:
        if query.choice("by", "index", "l1_address") == "index":
            index = Parameters({"value": query.text("value")}).integer("value")
            return [known_account(self._floor, index)]
        return self._of_address(query.text("value"))

    def _of_address(self, address: str) -> list[Account]:
        found = [
            account
            for account in self._floor.exchange.accounts.values()
            if account.l1_address.lower() == address.lower()
        ]
        if not found:
            raise Refused(21100)
        return found

    def _account(self, query: Parameters) -> Any:
        active_only = query.flag("active_only")
        accounts = [
            self._floor.statement(account).detailed(active_only=active_only)
            for account in self._asked_accounts(query)
        ]
        return {
            "code": OK,
            "total": len(accounts),
            "accounts": accounts,
            "next_cursor": "",
        }

    def _accounts_by_address(self, query: Parameters) -> Any:
        found = self._of_address(query.text("l1_address"))
        return {
            "code": OK,
            "l1_address": found[0].l1_address,
            "sub_accounts": [self._floor.statement(a).summary() for a in found],
            "next_cursor": "",
        }

    def _account_metadata(self, query: Parameters) -> Any:
        rows = [
            self._floor.statement(account).metadata()
            for account in self._asked_accounts(query)
        ]
        return {"code": OK, "account_metadatas": rows, "next_cursor": ""}

    def _asked_states(self, query: Parameters) -> list[MarketState]:
        market_id, types = query.market(), query.market_types("filter")
        states = list(self._floor.exchange.markets.values())
        if market_id is not None:
            states = [known_market(self._floor, market_id)]
        return [state for state in states if state.market.market_type in types]

    def _order_books(self, query: Parameters) -> Any:
        rows = [render_order_book_entry(s) for s in self._asked_states(query)]
        return {"code": OK, "order_books": rows}

    def _order_book_details(self, query: Parameters) -> Any:
        states = self._asked_states(query)
        perpetual = [render_details(s) for s in states if not s.market.is_spot]
        spot = [render_spot_details(s) for s in states if s.market.is_spot]
        return {
            "code": OK,
            "order_book_details": perpetual,
            "spot_order_book_details": spot,
        }

    def _order_book_orders(self, query: Parameters) -> Any:
        state = known_market(self._floor, query.integer("market_id"))
        limit = query.limit(250)
        asks, bids = (
            [
                # Whatever rests in the exchange's books is one of its own orders.
                render_resting(cast("VenueOrder", order), state.market)
                for order in islice(state.engine.orders(is_ask=is_ask), limit)
            ]
            for is_ask in (True, False)
        )
        return {
            "code": OK,
            "total_asks": len(asks),
            "asks": row_list(self._floor, asks),
            "total_bids": len(bids),
            "bids": row_list(self._floor, bids),
        }

    def _recent_trades(self, query: Parameters) -> Any:
        state = known_market(self._floor, query.integer("market_id"))
        newest = islice(reversed(state.trades), query.limit())
        rows = trade_rows(self._floor, newest)
        return {"code": OK, "trades": row_list(self._floor, rows)}

    def _tx(self, query: Parameters) -> Any:
        by, value = query.choice("by", "hash", "sequence_index"), query.text("value")
        record = (
            self._floor.exchange.transaction(value.lower().removeprefix("0x"))
            if by == "hash"
            else self._floor.exchange.transactions.by_sequence(
                Parameters({"value": value}).integer("value", low=0)
            )
        )
        if record is None:
            raise Refused(21500)
        extra = {"committed_at": 0, "verified_at": 0}
        return {"code": OK, **transaction_row(self._floor, record), **extra}

    def _txs(self, query: Parameters) -> Any:
        records = self._floor.exchange.transactions.newest(
            query.integer("index", 0, low=0), query.limit()
        )
        return {
            "code": OK,
            "txs": [transaction_row(self._floor, record) for record in records],
        }
