"""An account's profit over time, and its trades and funding as a file."""

from __future__ import annotations

import base64
import csv
import io
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.channels import RESOLUTIONS_MS
from wrappy.protocol.codes import OK
from wrappy.protocol.markets import USDC_ASSET
from wrappy.venue.chart_queries import DAY_MS
from wrappy.venue.money_queries import render_position_funding
from wrappy.venue.parameters import LATEST_MS, asked_resolution, span, wrong
from wrappy.venue.queries import known_market
from wrappy.venue.render import price_text, size_text, usdc_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from wrappy.venue.accounts import Account
    from wrappy.venue.events import Trade
    from wrappy.venue.floor import Floor
    from wrappy.venue.parameters import Parameters

RESOLUTIONS: Final[dict[str, int]] = {
    name: RESOLUTIONS_MS[name] for name in ("1m", "5m", "15m", "1h", "4h", "1d")
}
"""Lengths of the steps that a course of profit can have, milliseconds."""
MOST_ENTRIES: Final = 500
EXPORT_FROM_MS: Final = 1_735_689_600_000
EXPORT_TO_MS: Final = 1_830_297_600_000
"""Bounds of an export's timestamps (official OpenAPI file)."""
_MILLION: Final = 1_000_000
_SIDES: Final = ("all", "long", "short")
_ROLES: Final = ("all", "maker", "taker")
_KINDS: Final = ("all", "trade", "liquidation", "deleverage", "market-settlement")
_NOTHING_ELSE: Final = (
    "pool_pnl",
    "pool_inflow",
    "pool_outflow",
    "pool_total_shares",
    "spot_inflow",
    "spot_outflow",
    "staked_lit",
    "staking_inflow",
    "staking_outflow",
    "staking_pnl",
    "trade_spot_pnl",
)
_TRADE_COLUMNS: Final = (
    "trade_id",
    "timestamp",
    "market",
    "side",
    "role",
    "type",
    "size",
    "price",
    "usd_amount",
    "fee",
    "realized_pnl",
)


def _own_side(trade: Trade, account: Account) -> tuple[bool, bool]:
    """Return whether the account sold, and whether it was the maker."""
    is_ask = trade.ask_account == account.index
    return is_ask, is_ask == trade.is_maker_ask


def _gain(trade: Trade, account: Account) -> int:
    """Return what a trade brought the account, fees paid, 1e-6 USDC."""
    is_ask, is_maker = _own_side(trade, account)
    fee = trade.maker_fee_amount if is_maker else trade.taker_fee_amount
    return (trade.ask_pnl if is_ask else trade.bid_pnl) - fee


def data_url(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV inside an address that needs no second request."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    packed = base64.b64encode(text.getvalue().encode()).decode()
    return f"data:text/csv;base64,{packed}"


class ProfitQueries:
    """Endpoints about what an account made, for whoever has its token.

    Profit is what trades and funding realized, fees paid; the newest entry counts
    what is open now as well. It goes back as far as the account's own lists do.
    """

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def account_routes(self) -> dict[str, Callable[[Account, Parameters], Any]]:
        """Return the answering method of each path that needs a token."""
        v1 = "/api/v1/"
        return {
            v1 + "pnl": self._pnl,
            v1 + "equity_history/pnl": self._pnl,
            v1 + "export": self._export,
        }

    def bearer_routes(self) -> dict[str, Callable[[Account, Parameters], Any]]:
        """Return the answering method of each path that names no account."""
        return {"/api/v1/export/historicalTrades": self._historical}

    # ---------------------------------------------------------------- over time

    def _pnl(self, account: Account, query: Parameters) -> Any:
        query.choice("by", "index")
        resolution = asked_resolution(query, RESOLUTIONS)
        length_ms = RESOLUTIONS[resolution]
        start_ms, end_ms = span(query)
        count = query.integer("count_back", low=0) or MOST_ENTRIES
        moves = [*self._moves(account)]
        if not query.flag("ignore_transfers"):
            moves += self._transfers(account)
        now_ms = self._floor.now_us() // 1_000
        moves.append((now_ms, "trade_pnl", self._open_gain(account)))
        sums = dict.fromkeys(("trade_pnl", "inflow", "outflow", "volume"), 0)
        entries: dict[int, dict[str, Any]] = {}
        for at_ms, name, amount in sorted(moves, key=lambda move: move[0]):
            sums[name] += amount
            entries[at_ms // length_ms * length_ms] = dict(sums)
        rows = [
            {
                "timestamp": at_ms // 1_000,
                **{name: value / _MILLION for name, value in entry.items()},
                **dict.fromkeys(_NOTHING_ELSE, 0),
            }
            for at_ms, entry in entries.items()
            if start_ms <= at_ms <= end_ms
        ]
        rows = rows[-min(count, MOST_ENTRIES) :]
        return {"code": OK, "resolution": resolution, "pnl": rows}

    def _moves(self, account: Account) -> Iterator[tuple[int, str, int]]:
        for trade in account.trades:
            at_ms = trade.at_us // 1_000
            yield at_ms, "trade_pnl", _gain(trade, account)
            yield at_ms, "volume", trade.quote
        for paid in account.fundings:
            yield paid.at_us // 1_000, "trade_pnl", paid.change

    def _transfers(self, account: Account) -> Iterator[tuple[int, str, int]]:
        for moved in account.profile.transfers:
            if moved.asset == USDC_ASSET and moved.sender != moved.receiver:
                came = moved.receiver == account.index
                name = "inflow" if came else "outflow"
                yield moved.at_us // 1_000, name, moved.amount
        for left in account.profile.withdrawals:
            if left.asset == USDC_ASSET:
                yield left.at_us // 1_000, "outflow", left.amount

    def _open_gain(self, account: Account) -> int:
        exchange, ledger = self._floor.exchange, account.ledger
        return sum(
            ledger.unrealized_pnl(index, exchange.lot_values[index])
            for index in ledger.positions
        )

    # ------------------------------------------------------------------- a file

    def _export(self, account: Account, query: Parameters) -> Any:
        market_id = query.market()
        if market_id is not None:
            known_market(self._floor, market_id)
        low_ms, high_ms = (
            query.integer(name, default, low=EXPORT_FROM_MS, high=EXPORT_TO_MS)
            for name, default in (
                ("start_timestamp", EXPORT_FROM_MS),
                ("end_timestamp", EXPORT_TO_MS),
            )
        )
        side = query.choice("side", *_SIDES, default="all")
        role = query.choice("role", *_ROLES, default="all")
        kind = query.choice("trade_type", *_KINDS, default="all")
        query.flag("aggregate")
        if query.choice("type", "funding", "trade") == "funding":
            return self._funding_file(account, market_id, side, low_ms, high_ms)
        trades = (
            trade
            for trade in account.trades
            if market_id in (None, trade.market_index)
            and low_ms <= trade.at_us // 1_000 <= high_ms
            and kind in ("all", trade.kind)
        )
        rows = [
            row
            for row in map(self._trade_cells, trades, [account] * len(account.trades))
            if side in ("all", "short" if row[3] == "sell" else "long")
            and role in ("all", row[4])
        ]
        return {"code": OK, "data_url": data_url(_TRADE_COLUMNS, rows)}

    def _trade_cells(self, trade: Trade, account: Account) -> tuple[object, ...]:
        market = self._floor.exchange.markets[trade.market_index].market
        is_ask, is_maker = _own_side(trade, account)
        fee = trade.maker_fee_amount if is_maker else trade.taker_fee_amount
        return (
            trade.trade_id,
            trade.at_us // 1_000,
            market.symbol,
            "sell" if is_ask else "buy",
            "maker" if is_maker else "taker",
            trade.kind,
            size_text(trade.base, market),
            price_text(trade.price, market),
            usdc_text(trade.quote),
            usdc_text(fee),
            usdc_text(trade.ask_pnl if is_ask else trade.bid_pnl),
        )

    def _funding_file(
        self,
        account: Account,
        market_id: int | None,
        side: str,
        low_ms: int,
        high_ms: int,
    ) -> Any:
        states = self._floor.exchange.markets
        rows = [
            render_position_funding(paid, states)
            for paid in account.fundings
            if market_id in (None, paid.market_index)
            and low_ms <= paid.at_us // 1_000 <= high_ms
            and side in ("all", "long" if paid.size > 0 else "short")
        ]
        columns = (
            "timestamp",
            "market_id",
            "funding_id",
            "change",
            "rate",
            "position_size",
            "position_side",
        )
        cells = ([row[column] for column in columns] for row in rows)
        return {"code": OK, "data_url": data_url(columns, cells)}

    def _historical(self, account: Account, query: Parameters) -> Any:
        text = query.text("date")
        try:
            day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc)
        except ValueError:
            raise wrong("date", "must read like 2026-01-31") from None
        first_ms = int(day.timestamp()) * 1_000
        last_ms = min(first_ms + DAY_MS, LATEST_MS)
        trades = [
            trade
            for trade in account.trades
            if first_ms <= trade.at_us // 1_000 < last_ms
        ]
        rows = [self._trade_cells(trade, account) for trade in trades]
        now = datetime.fromtimestamp(self._floor.now_us() // _MILLION, tz=timezone.utc)
        expires = (now + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        url = data_url(_TRADE_COLUMNS, rows)
        return {"code": OK, "data_url": url, "expires_at": expires}
