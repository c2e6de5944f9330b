"""Bodies of the candle channels: the live bar of trades, and of the mark price.

Changes are held back for half a second (official WebSocket reference); what is then
told are the bars that changed since, the finished one and the live one alike, with
the numbers that the `candles` endpoint has for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.channels import RESOLUTIONS_MS
from wrappy.venue.candles import render_candle, render_mark_price_candle
from wrappy.venue.events import MarketChanged, TradeExecuted
from wrappy.venue.orders import DELEVERAGE_TRADE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wrappy.protocol.channels import Channel
    from wrappy.venue.events import Event
    from wrappy.venue.floor import Floor

CANDLE_FLUSH_US: Final = 500_000
"""Candle changes are sent in batches of this length (official reference)."""


class CandleFrames:
    """What is told of candles on one floor, and when."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._marks = floor.mark_candles
        self._changed: dict[tuple[str, int], int] = {}
        self._due_us: int | None = None

    def due_us(self) -> int | None:
        """Return when held-back changes are to be told, or None if there are none."""
        return self._due_us

    def note(self, events: Iterable[Event], now_us: int) -> None:
        """Take in trades, which the floor's own bars have counted, and mark prices."""
        for event in events:
            if isinstance(event, TradeExecuted):
                trade = event.trade
                if trade.kind != DELEVERAGE_TRADE:
                    self._note("candle", trade.market_index, trade.at_us, now_us)
            elif isinstance(event, MarketChanged):
                self._note_mark_price(event.market_index, event.at_us, now_us)

    def _note_mark_price(self, market_index: int, at_us: int, now_us: int) -> None:
        price = self._floor.exchange.markets[market_index].mark_price
        if price:
            self._marks.put(market_index, at_us // 1_000, price, base=1)
            self._note("mark_price_candle", market_index, at_us, now_us)

    def forget_told(self, now_us: int) -> None:
        """Drop what was to be told by now, as nobody was there."""
        if self._due_us is not None and self._due_us <= now_us:
            self.take_changed()

    def _note(self, kind: str, market_index: int, at_us: int, now_us: int) -> None:
        self._changed.setdefault((kind, market_index), at_us // 1_000)
        if self._due_us is None:
            self._due_us = (now_us // CANDLE_FLUSH_US + 1) * CANDLE_FLUSH_US

    def take_changed(self) -> dict[tuple[str, int], int]:
        """Return what changed since the last call, and since when, unix milliseconds.

        Keys are the kind of channel and the market.
        """
        changed, self._changed, self._due_us = self._changed, {}, None
        return changed

    def snapshot(self, about: Channel) -> dict[str, Any]:
        """Return the body with the newest bar, or with none before the first."""
        return self._body(about, None)

    def update(self, about: Channel, since_ms: int) -> dict[str, Any]:
        """Return the body with every bar from the one at `since_ms` on."""
        return self._body(about, since_ms)

    def _body(self, about: Channel, since_ms: int | None) -> dict[str, Any]:
        market = self._floor.exchange.markets[about.market_index or 0].market
        resolution_ms = RESOLUTIONS_MS[about.resolution or ""]
        of_trades = about.kind.name == "candle"
        store = self._floor.candles if of_trades else self._marks
        render = render_candle if of_trades else render_mark_price_candle
        bars = store.newest(market.market_id, resolution_ms, since_ms=since_ms)
        return {"candles": [render(bar, market) for bar in bars]}
