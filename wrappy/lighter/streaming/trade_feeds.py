"""Trades: a market's, and an account's own; each is told once, whatever repeats it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from wrappy._core.own_trades import OwnTrades
from wrappy._core.public_trades import PublicTrades
from wrappy.lighter.asking.reading import public_trade, rows_by_market, whole
from wrappy.lighter.streaming.reading_frames import message_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from decimal import Decimal

    from wrappy.lighter.results import TradeDict
    from wrappy.lighter.streaming.feed import Tell

ROWS_KEPT = 1000
IDS_KEPT = 10_000


class PublicTradesFeed:
    """The tape of one market.

    Args:
        tell: told of `on_public_trades` with rows as the exchange has them, oldest
            first.

    Attributes:
        rows: the latest, oldest first.
        baseline: highest trade number of the first snapshot; None before it.
    """

    def __init__(self, tell: Tell) -> None:
        self.rows: deque[TradeDict] = deque(maxlen=ROWS_KEPT)
        self.baseline: int | None = None
        self._trades = PublicTrades(ROWS_KEPT)
        self._tell = tell

    @property
    def last_traded_price(self) -> Decimal | None:
        """Price of the newest trade in USDC, None before the first."""
        return self._trades.last_traded_price

    def take(self, raw: bytes, *, snapshot: bool) -> bool:
        """Enter the trades of a frame; see `Feed`."""
        rows = rows_by_market(message_in(raw).get("trades"), "trades")
        by_id = {whole(row, "trade_id"): row for row in rows}
        fresh = self._trades.add(public_trade(row) for row in by_id.values())
        if snapshot and self.baseline is None:
            self.baseline = max(by_id, default=0)
        if fresh:
            new = [by_id[trade.trade_id] for trade in fresh]
            _enter(self.rows, new)
            self._tell("on_public_trades", new)
        return True

    def lost(self, reason: str) -> None:
        """Keep what was traded."""


class OwnTradesFeed:
    """The trades of one account.

    The exchange's snapshot holds none, so what was missed has to be asked for:
    `on_snapshot` hears of each.

    Args:
        tell: told of `on_trades` with rows as the exchange has them, oldest first.

    Attributes:
        rows: the latest, oldest first.
        on_snapshot: called at each snapshot; None for nobody.
    """

    def __init__(self, tell: Tell) -> None:
        self.rows: deque[TradeDict] = deque(maxlen=ROWS_KEPT)
        self.on_snapshot: Callable[[], None] | None = None
        self._known = OwnTrades(IDS_KEPT)
        self._tell = tell

    def take(self, raw: bytes, *, snapshot: bool) -> bool:
        """Enter the trades of a frame; see `Feed`."""
        if snapshot and self.on_snapshot is not None:
            self.on_snapshot()
        self.enter(rows_by_market(message_in(raw).get("trades"), "trades"))
        return True

    def lost(self, reason: str) -> None:
        """Keep what was traded."""

    @property
    def newest(self) -> int | None:
        """The highest number told so far; None before the first."""
        return self._known.newest

    def knows(self, trade_id: int) -> bool:
        """Whether a trade has been told, or is older than what is remembered."""
        return self._known.knows(trade_id)

    def enter(self, rows: Iterable[TradeDict]) -> None:
        """Enter trades, each once.

        Raises:
            ProtocolError: a row has no number; none of them is entered.
        """
        by_id = {whole(row, "trade_id"): row for row in rows}
        fresh = self._known.add(by_id)
        if fresh:
            new = [by_id[trade_id] for trade_id in fresh]
            _enter(self.rows, new)
            self._tell("on_trades", new)


def _enter(kept: deque[TradeDict], new: list[TradeDict]) -> None:
    """Add rows that are in order among themselves; late ones go where they belong."""
    rows = new
    if kept and new[0]["trade_id"] < kept[-1]["trade_id"]:
        rows = sorted((*kept, *new), key=lambda row: int(row["trade_id"]))
        kept.clear()
    kept.extend(rows)
