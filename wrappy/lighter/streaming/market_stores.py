"""Stores of what is public: trades, tickers, market stats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wrappy._core.own_trades import OwnTrades
from wrappy.errors import ProtocolError
from wrappy.lighter.streaming.store_base import DataStore
from wrappy.lighter.streaming.store_rows import (
    NO_LIMIT,
    stats_rows,
    ticker_row,
    trades_by_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TRADES_KEPT = 10_000
TRADE_IDS_KEPT = 2_000
"""Per market; many times what a snapshot repeats."""


class TradeStore(DataStore):
    """Public trades of all markets, each once, up to the latest 10,000.

    Key: `trade_id`. Liquidations are among them; `type` tells.
    """

    _KEYS = ["trade_id"]  # noqa: RUF012 - as the base has it
    _MAXLEN = TRADES_KEPT

    def _init(self) -> None:
        self._told: dict[int, OwnTrades] = {}

    def take(self, values: Iterable[object], market_id: int) -> None:
        """Take trades of a market, in any order and any number of times.

        Raises:
            ProtocolError: a row cannot be read, or is another market's; nothing has
                changed.
        """
        rows = trades_by_id(values)
        if any(row["market_id"] != market_id for row in rows.values()):
            raise ProtocolError(f"trades: a row is not of market {market_id}")
        told = self._told.setdefault(market_id, OwnTrades(TRADE_IDS_KEPT))
        self._insert([rows[trade_id] for trade_id in told.add(rows)])


class TickerStore(DataStore):
    """Best bid and ask: the exchange's `ticker`, with `market_id` and `nonce` added.

    Key: `market_id`. An empty side has an empty price.
    """

    _KEYS = ["market_id"]  # noqa: RUF012 - as the base has it
    _MAXLEN = NO_LIMIT

    def take(
        self, message: Mapping[str, Any], market_id: int, *, snapshot: bool
    ) -> None:
        """Take a frame; an update that is older than what is known is dropped.

        Raises:
            ProtocolError: it cannot be read; nothing has changed.
        """
        row = ticker_row(message, market_id)
        known = self.get(row)
        if known is None:
            self._insert([row])
        elif row != known and (snapshot or row["nonce"] >= known["nonce"]):
            self._update([row])


class MarketStatsStore(DataStore):
    """Mark, index, funding and the day's figures of markets.

    Key: `market_id`.
    """

    _KEYS = ["market_id"]  # noqa: RUF012 - as the base has it
    _MAXLEN = NO_LIMIT

    def take(self, body: object) -> None:
        """Take the stats of one market, or of several by market.

        Raises:
            ProtocolError: a row cannot be read; nothing has changed.
        """
        for row in stats_rows(body):
            known = self.get(row)
            if known is None:
                self._insert([row])
            elif {**known, **row} != known:
                self._update([row])
