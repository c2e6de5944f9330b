"""What the closed trades say: wins, losses, expectancy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal  # noqa: TC003 - a field's type, read at run time
from typing import TYPE_CHECKING

from wrappy.model import usdc
from wrappy.runner.performance.ratios import deviation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.runner.performance.round_trips import RoundTrip


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeFigures:
    """Closed trades; money in USDC, after fees and funding.

    Attributes:
        method: how fills became trades: `flat` or `fifo`.
        closed: trades that are over.
        still_open: trades, or lots, that are not.
        wins: with a profit above zero.
        losses: with a profit below zero.
        win_rate: wins over closed, 0 to 1; a trade of exactly zero is no win.
        profit_factor: all wins over all losses; None without losses.
        expectancy: mean profit of a trade.
        average_win: mean of the wins.
        average_loss: mean of the losses, negative.
        best: largest profit.
        worst: smallest profit.
        mean_held_s: mean time from first to last fill, seconds.
        sqn: sqrt(closed) * mean / standard deviation of the profits.
    """

    method: str
    closed: int
    still_open: int
    wins: int
    losses: int
    win_rate: float | None
    profit_factor: float | None
    expectancy: Decimal | None
    average_win: Decimal | None
    average_loss: Decimal | None
    best: Decimal | None
    worst: Decimal | None
    mean_held_s: float | None
    sqn: float | None


def trade_figures(
    trips: Sequence[RoundTrip], *, method: str, still_open: int
) -> TradeFigures:
    """Return all figures of closed trades."""
    profits = [trip.pnl for trip in trips]
    wins = [profit for profit in profits if profit > 0]
    losses = [profit for profit in profits if profit < 0]
    held_ms = sum(trip.closed_ms - trip.opened_ms for trip in trips)
    count = len(profits)
    spread = deviation(profits)
    return TradeFigures(
        method=method,
        closed=count,
        still_open=still_open,
        wins=len(wins),
        losses=len(losses),
        win_rate=len(wins) / count if count else None,
        profit_factor=sum(wins) / -sum(losses) if losses else None,
        expectancy=_mean_usdc(profits),
        average_win=_mean_usdc(wins),
        average_loss=_mean_usdc(losses),
        best=usdc(max(profits)) if profits else None,
        worst=usdc(min(profits)) if profits else None,
        mean_held_s=held_ms / count / 1_000 if count else None,
        sqn=math.sqrt(count) * (sum(profits) / count) / spread if spread else None,
    )


def _mean_usdc(amounts: Sequence[int]) -> Decimal | None:
    """Return the mean in USDC, rounded to the exchange's 1e-6."""
    if not amounts:
        return None
    total, count = sum(amounts), len(amounts)
    # To the nearest, halves away from zero, without a float.
    half = (2 * abs(total) + count) // (2 * count)
    return usdc(half if total >= 0 else -half)
