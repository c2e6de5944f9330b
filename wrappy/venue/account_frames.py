"""Bodies of the account channels' frames, without sockets or subscribers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy.venue.money_queries import render_position_funding
from wrappy.venue.render import render_order, render_trade
from wrappy.venue.spot_render import render_entry_prices
from wrappy.venue.tx_render import event_info, render_tx

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from wrappy.protocol.channels import Channel
    from wrappy.venue.accounts import Account
    from wrappy.venue.events import FundingPaid, Trade, TxExecuted
    from wrappy.venue.floor import Floor
    from wrappy.venue.orders import VenueOrder

_NO_VOLUMES: Final = {
    "daily_trades_count": 0,
    "daily_volume": 0,
    "weekly_trades_count": 0,
    "weekly_volume": 0,
    "monthly_trades_count": 0,
    "monthly_volume": 0,
    "total_trades_count": 0,
    "total_volume": 0,
}


class AccountFrames:
    """What accounts are told, from one floor's present state."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def _account(self, about: Channel) -> Account:
        return self._floor.exchange.accounts[about.account_index or 0]

    def order_rows(
        self, orders: Iterable[VenueOrder]
    ) -> dict[str, list[dict[str, Any]]]:
        """Return orders by market, in the order given."""
        rows: dict[str, list[dict[str, Any]]] = {}
        for order in orders:
            market = self._floor.exchange.markets[order.market_index].market
            rows.setdefault(str(order.market_index), []).append(
                render_order(order, market)
            )
        return rows

    def trade_rows(
        self, trades: Iterable[Trade], account: int
    ) -> dict[str, list[dict[str, Any]]]:
        """Return the account's own among `trades` by market, in the order given."""
        rows: dict[str, list[dict[str, Any]]] = {}
        for trade in trades:
            if account in (trade.ask_account, trade.bid_account):
                market = self._floor.exchange.markets[trade.market_index].market
                rows.setdefault(str(trade.market_index), []).append(
                    render_trade(trade, market)
                )
        return rows

    def funding_rows(
        self, paid: Iterable[FundingPaid], account: int
    ) -> dict[str, list[dict[str, Any]]]:
        """Return the account's own among `paid` by market, in the order given."""
        rows: dict[str, list[dict[str, Any]]] = {}
        for event in paid:
            if event.account == account:
                rows.setdefault(str(event.market_index), []).append(
                    render_position_funding(event, self._floor.exchange.markets)
                )
        return rows

    def orders_snapshot(self, about: Channel) -> dict[str, Any]:
        """Return the open orders, of one market or of all."""
        account, market_index = self._account(about), about.market_index
        rows = self.order_rows(
            order
            for order in account.open_orders.values()
            if market_index in (None, order.market_index)
        )
        if market_index is None:
            return {"orders": rows}
        return self.market_orders(account.index, market_index, rows)

    def market_orders(
        self, account: int, market_index: int, rows: Mapping[str, list[dict[str, Any]]]
    ) -> dict[str, Any]:
        """Return the body of `account_orders`: one market's orders among `rows`."""
        return {
            "account": account,
            "nonce": self._floor.exchange.markets[market_index].nonce,
            "orders": {str(market_index): rows.get(str(market_index), [])},
        }

    def trades_snapshot(self, _: Channel) -> dict[str, Any]:
        """Return the body with which `account_all_trades` begins: no trades."""
        return {**_NO_VOLUMES, "trades": []}

    def _positions(
        self, about: Channel, moved: Collection[int] | None
    ) -> dict[str, dict[str, Any]]:
        held = self._floor.statement(self._account(about)).open_positions()
        if moved is None or self._floor.settings.account_frames == "full":
            return held
        return {index: row for index, row in held.items() if int(index) in moved}

    def positions(
        self, about: Channel, moved: Collection[int] | None = None
    ) -> dict[str, Any]:
        """Return every position the account ever held, or those that `moved`."""
        return {
            "positions": self._positions(about, moved),
            "shares": [],
            "last_funding_round": None,
            "last_funding_discount": None,
        }

    def account_all(
        self,
        about: Channel,
        trades: Mapping[str, list[dict[str, Any]]] | None = None,
        fundings: Mapping[str, list[dict[str, Any]]] | None = None,
        moved: Collection[int] | None = None,
    ) -> dict[str, Any]:
        """Return balances, positions, new trades and new funding payments."""
        account = self._account(about)
        return {
            "account": account.index,
            **self.assets(about),
            **_NO_VOLUMES,
            "funding_histories": fundings or {},
            "positions": self._positions(about, moved),
            "shares": [],
            "trades": trades or {},
        }

    def account_market_snapshot(self, about: Channel) -> dict[str, Any]:
        """Return one market's open orders and position."""
        market_index = about.market_index
        rows = self.order_rows(
            order
            for order in self._account(about).open_orders.values()
            if order.market_index == market_index
        )
        return self.account_market(about, rows.get(str(market_index), []), [])

    def account_market(
        self,
        about: Channel,
        orders: Sequence[dict[str, Any]],
        trades: Sequence[dict[str, Any]],
    ) -> dict[str, Any]:
        """Return one market's changed orders, position and new trades."""
        account = self._account(about)
        statement = self._floor.statement(account)
        return {
            "account": account.index,
            **self.assets(about),
            "funding_history": {},
            "orders": orders,
            "position": statement.position(about.market_index or 0),
            "trades": trades,
        }

    def assets(self, about: Channel) -> dict[str, Any]:
        """Return the balances by asset."""
        rows = self._floor.statement(self._account(about)).assets()
        return {"assets": {str(row["asset_id"]): row for row in rows}}

    def entry_prices(self, about: Channel) -> dict[str, Any]:
        """Return what was paid on average for the assets of spot markets."""
        states = self._floor.exchange.markets.values()
        markets = [state.market for state in states]
        rows = render_entry_prices(self._account(about), markets)
        return {"avg_entry_prices": rows}

    def user_stats(self, about: Channel) -> dict[str, Any]:
        """Return the account's margin figures."""
        return {"stats": self._floor.statement(self._account(about)).stats()}

    def holds(self, account: int, markets: Iterable[int]) -> bool:
        """Return whether the account has a position in any of the markets."""
        ledger = self._floor.exchange.accounts[account].ledger
        return any(ledger.size(market) for market in markets)

    def transactions(self, event: TxExecuted) -> dict[str, Any]:
        """Return the body of `account_tx` after one execution."""
        exchange = self._floor.exchange
        record = exchange.transaction(event.tx_hash)
        if record is None:
            return {"txs": []}
        order = exchange.order(event.account, record.order_index)
        address = exchange.accounts[event.account].l1_address
        return {"txs": [render_tx(record, address, told=event_info(record, order))]}
