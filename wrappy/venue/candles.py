"""Candles of the local exchange: one-minute bars grown trade by trade."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from wrappy.model import Market
    from wrappy.venue.events import Trade

RESOLUTIONS_MS: Final[dict[str, int]] = {
    "1m": 60_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "4h": 14_400_000,
    "12h": 43_200_000,
    "1d": 86_400_000,
    "1w": 604_800_000,
}
"""Lengths of the documented resolutions, milliseconds."""

MOST_CANDLES: Final = 500
"""Candles in one answer (official API documentation)."""

MINUTES_KEPT: Final = 45_000
"""Minute bars of a market that are kept: a month of them."""

_MINUTE_MS: Final = 60_000


@dataclass(slots=True)
class Candle:
    """One bar in wire integers.

    Attributes:
        start_ms: unix milliseconds of its beginning.
        base: lots traded.
        quote: value traded, 1e-6 USDC.
        last_trade_id: newest trade in it.
    """

    start_ms: int
    open: int
    high: int
    low: int
    close: int
    base: int
    quote: int
    last_trade_id: int

    def absorb(self, later: Candle) -> None:
        """Take in a bar that follows this one in time."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.base += later.base
        self.quote += later.quote
        self.last_trade_id = later.last_trade_id


class CandleStore:
    """Minute bars of every market; longer ones are put together when asked for."""

    def __init__(self) -> None:
        self._minutes: dict[int, dict[int, Candle]] = {}

    def add(self, trade: Trade) -> None:
        """Count one trade."""
        start_ms = trade.at_us // 1_000 // _MINUTE_MS * _MINUTE_MS
        minutes = self._minutes.setdefault(trade.market_index, {})
        bar = Candle(
            start_ms,
            *(trade.price,) * 4,
            base=trade.base,
            quote=trade.quote,
            last_trade_id=trade.trade_id,
        )
        if start_ms in minutes:
            minutes[start_ms].absorb(bar)
        else:
            minutes[start_ms] = bar
            if len(minutes) > MINUTES_KEPT:
                del minutes[next(iter(minutes))]

    def read(
        self,
        market_index: int,
        resolution_ms: int,
        *,
        start_ms: int,
        end_ms: int,
        count: int,
    ) -> list[Candle]:
        """Return the newest `count` bars that begin within the two times, oldest first.

        A count of 0 asks for all of them. A bar without a trade does not exist.
        """
        minutes = self._minutes.get(market_index, {}).values()
        bars = []
        for start, members in groupby(
            minutes, lambda bar: bar.start_ms // resolution_ms * resolution_ms
        ):
            if not start_ms <= start <= end_ms:
                continue
            first, *rest = members
            bar = Candle(
                start,
                first.open,
                first.high,
                first.low,
                first.close,
                first.base,
                first.quote,
                first.last_trade_id,
            )
            for later in rest:
                bar.absorb(later)
            bars.append(bar)
        return bars[-min(count or MOST_CANDLES, MOST_CANDLES) :]


def render_candle(bar: Candle, market: Market) -> dict[str, Any]:
    """Return one bar as the `candles` endpoint spells it."""
    return {
        "t": bar.start_ms,
        "o": float(market.price(bar.open)),
        "h": float(market.price(bar.high)),
        "l": float(market.price(bar.low)),
        "c": float(market.price(bar.close)),
        "v": float(market.size(bar.base)),
        "V": bar.quote / 1_000_000,
        "i": bar.last_trade_id,
    }
