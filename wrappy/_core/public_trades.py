"""Public trades of one market: each once, and the price of the newest.

Snapshots come in an order the exchange does not promise, and a reconnect repeats
what was seen. Trade ids grow with time, so the id alone says what is new and what is
newest.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from wrappy.model import Trade


class PublicTrades:
    """The latest trades of a market.

    Args:
        capacity: how many trades to keep.
    """

    def __init__(self, capacity: int = 1000) -> None:
        self._trades: deque[Trade] = deque(maxlen=capacity)
        self._seen: set[int] = set()
        self._capacity = capacity

    @property
    def last_traded_price(self) -> Decimal | None:
        """Price of the newest trade in USDC, None before the first."""
        return self._trades[-1].price if self._trades else None

    def add(self, trades: Iterable[Trade]) -> list[Trade]:
        """Take trades in any order; return those not seen before, oldest first.

        A trade older than everything remembered counts as seen.
        """
        floor = self._trades[0].trade_id if self._is_full else -1
        new = {
            trade.trade_id: trade
            for trade in trades
            if trade.trade_id > floor and trade.trade_id not in self._seen
        }
        fresh = [new[trade_id] for trade_id in sorted(new)]
        if not fresh:
            return []
        if self._trades and fresh[0].trade_id < self._trades[-1].trade_id:
            # Late ones go where they belong, so that only the oldest are let go.
            kept = sorted((*self._trades, *fresh), key=lambda trade: trade.trade_id)
            self._trades = deque(kept, maxlen=self._capacity)
            self._seen = {trade.trade_id for trade in self._trades}
            return fresh
        for trade in fresh:
            if self._is_full:
                self._seen.discard(self._trades[0].trade_id)
            self._trades.append(trade)
            self._seen.add(trade.trade_id)
        return fresh

    def recent(self, count: int) -> list[Trade]:
        """Return up to `count` of the latest trades, oldest first."""
        return list(self._trades)[-count:] if count > 0 else []

    @property
    def _is_full(self) -> bool:
        return len(self._trades) == self._capacity
