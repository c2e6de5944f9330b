"""What charts draw, worked out of results, candles and fills."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from wrappy.model import Side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.model import Candle, Market
    from wrappy.runner.performance.fills import Fill
    from wrappy.runner.performance.results import Results

_MICRO: Final = 1_000_000
MOST_CANDLES: Final = 1_200
"""Candles that are drawn; where there are more, neighbours are joined."""
MOST_MARKS: Final = 3_000
"""Fills that are drawn on either side; of more, the largest are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketTape:
    """Prices of a market and what was traded there.

    Attributes:
        market: tells ticks and lots.
        candles: oldest first.
        fills: executions; those of other markets are left out.
    """

    market: Market
    candles: Sequence[Candle]
    fills: Sequence[Fill] = ()


@dataclass(frozen=True, slots=True)
class EquitySeries:
    """Equity for drawing, USDC; drawdowns as shares, 0 or negative."""

    at_ms: list[int]
    equity: list[float]
    low: list[float]
    high: list[float]
    drawdown: list[float]


def equity_series(results: Results) -> EquitySeries:
    """Return the equity and how far its lowest point lay below the peak before.

    Within a stretch nothing tells whether its low or its high came first: the peak
    is that of the stretches before. The figure of the deepest drawdown is exact.
    """
    points = results.curve
    peak, drawdown = points[0].equity if points else 0, []
    for point in points:
        drawdown.append(min(point.low / peak - 1, 0.0) if peak > 0 else 0.0)
        peak = max(peak, point.high)
    return EquitySeries(
        [point.at_ms for point in points],
        [point.equity / _MICRO for point in points],
        [point.low / _MICRO for point in points],
        [point.high / _MICRO for point in points],
        drawdown,
    )


@dataclass(frozen=True, slots=True)
class CandleSeries:
    """Candles for drawing, a list a field."""

    at_ms: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    joined: int


def candle_series(
    candles: Sequence[Candle], *, most: int = MOST_CANDLES
) -> CandleSeries:
    """Return candles for drawing; `joined` of them make one."""
    each = -(-len(candles) // most) or 1
    groups = [candles[at : at + each] for at in range(0, len(candles), each)]
    return CandleSeries(
        [group[0].start_ms for group in groups],
        [float(group[0].open) for group in groups],
        [float(max(one.high for one in group)) for group in groups],
        [float(min(one.low for one in group)) for group in groups],
        [float(group[-1].close) for group in groups],
        each,
    )


@dataclass(frozen=True, slots=True)
class MarkSeries:
    """Fills on one side for drawing; `left_out` of them are not."""

    at_ms: list[int]
    price: list[float]
    words: list[str]
    left_out: int


def mark_series(tape: MarketTape, side: Side, *, most: int = MOST_MARKS) -> MarkSeries:
    """Return a market's fills on one side."""
    market = tape.market
    fills = [
        one
        for one in tape.fills
        if one.market_id == market.market_id and one.side is side
    ]
    drawn = sorted(fills, key=lambda one: -one.quote)[:most]
    drawn.sort(key=lambda one: one.at_ms)
    words = [
        f"{'bought' if side is Side.BUY else 'sold'} {market.size(one.size)} at "
        f"{fill_price(one, market):.{market.price_decimals}f}, "
        f"{'maker' if one.is_maker else 'taker'}, fee {Decimal(one.fee) / _MICRO:.2f}"
        for one in drawn
    ]
    return MarkSeries(
        [one.at_ms for one in drawn],
        [float(fill_price(one, market)) for one in drawn],
        words,
        len(fills) - len(drawn),
    )


def fill_price(fill: Fill, market: Market) -> Decimal:
    """Return a fill's price in USDC."""
    return Decimal(fill.quote * market.size_scale) / (fill.size * _MICRO)


def hold_series(results: Results, candles: Sequence[Candle]) -> list[float]:
    """Return what the start capital would be, had it followed the price.

    One value a candle of `candle_series`, without fees.
    """
    drawn = candle_series(candles)
    if not drawn.close:
        return []
    start = float(results.start_capital)
    return [start * close / drawn.open[0] for close in drawn.close]
