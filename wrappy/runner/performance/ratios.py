"""Ratios of daily returns, each None where its definition gives no number.

A year has 365 days: the market never closes. The interest rate without risk is 0.
Sums are exact before they are rounded once, so the order of days does not matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

DAYS_A_YEAR: Final = 365
DAYS_A_CALENDAR_YEAR: Final = 365.25
LEAST_DAYS: Final = 2
"""A run that is shorter is not put on a year: an hour's gain would become a fortune."""
ENOUGH: Final = 30
"""Fewer days or trades than this say little; figures of them come with a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnFigures:
    """What the daily returns and the whole run say.

    Attributes:
        total: end capital over start capital, less 1.
        days: length of the run in days.
        n: daily returns.
        mean_daily: their mean.
        volatility: their standard deviation, by the year.
        sharpe: mean over standard deviation, by the year.
        sharpe_se: standard error of `sharpe`.
        sortino: mean over downside deviation, by the year.
        cagr: growth by the year; None of fewer than `LEAST_DAYS` days.
        calmar: `cagr` over the deepest drawdown.
        skewness: of the daily returns.
        kurtosis: of the daily returns; 3 for normal ones.
    """

    total: float
    days: float
    n: int
    mean_daily: float | None
    volatility: float | None
    sharpe: float | None
    sharpe_se: float | None
    sortino: float | None
    cagr: float | None
    calmar: float | None
    skewness: float | None
    kurtosis: float | None


def daily_returns(equity: Sequence[int]) -> list[float]:
    """Return the change from each value to the next, as a share of the former.

    It is empty when equity was zero or below: a share of nothing means nothing.
    """
    if any(value <= 0 for value in equity[:-1]):
        return []
    return [(after - before) / before for before, after in pairwise(equity)]


def mean(values: Sequence[float]) -> float | None:
    """Return the arithmetic mean; None of nothing."""
    return math.fsum(values) / len(values) if values else None


def deviation(values: Sequence[float]) -> float | None:
    """Return the sample standard deviation (n - 1); None of fewer than two.

    Equal values have exactly 0.
    """
    if len(values) < 2:  # noqa: PLR2004 - n - 1 must not be 0
        return None
    middle = math.fsum(values) / len(values)
    if min(values) == max(values):
        return 0.0
    squares = math.fsum((value - middle) ** 2 for value in values)
    return math.sqrt(squares / (len(values) - 1))


def sharpe(returns: Sequence[float], *, periods: float = DAYS_A_YEAR) -> float | None:
    """Return mean / standard deviation (n - 1) * sqrt(periods), without interest.

    Args:
        returns: one a period.
        periods: in a year; 365 for days.
    """
    middle, spread = mean(returns), deviation(returns)
    if middle is None or not spread:
        return None
    return middle / spread * math.sqrt(periods)


def sharpe_se(returns: Sequence[float]) -> float | None:
    """Return the standard error of `sharpe`: sqrt((1 + SR² / 2) / n) * sqrt(365).

    SR is the ratio of single days, not of the year.
    """
    daily = sharpe(returns, periods=1)
    if daily is None:
        return None
    return math.sqrt((1 + daily**2 / 2) / len(returns) * DAYS_A_YEAR)


def sortino(returns: Sequence[float]) -> float | None:
    """Return mean / downside deviation * sqrt(365).

    The downside deviation is sqrt(sum(min(r, 0)²) / N) with N all days, not only the
    losing ones. None of fewer than two days or without a losing one.
    """
    middle = mean(returns)
    if middle is None or len(returns) < 2:  # noqa: PLR2004 - as for the Sharpe ratio
        return None
    squares = math.fsum(min(value, 0.0) ** 2 for value in returns)
    downside = math.sqrt(squares / len(returns))
    return middle / downside * math.sqrt(DAYS_A_YEAR) if downside else None


def cagr(start: int, end: int, days: float) -> float | None:
    """Return (end / start) ** (365.25 / days) - 1.

    None of fewer than `LEAST_DAYS` days, with debts at the end, or where the gain, put
    on a year, is no number any more.
    """
    if days < LEAST_DAYS or end < 0 or start <= 0:
        return None
    try:
        return float((end / start) ** (DAYS_A_CALENDAR_YEAR / days)) - 1
    except OverflowError:
        return None


def standard_moment(values: Sequence[float], order: int) -> float | None:
    """Return mean((x - mean)^order) / sigma^order with sigma over n.

    Order 3 is the skewness, order 4 the kurtosis (3 for a normal distribution). None
    of fewer than two values or without spread.
    """
    if not deviation(values):
        return None
    middle = math.fsum(values) / len(values)
    squares = math.fsum((value - middle) ** 2 for value in values) / len(values)
    powers = math.fsum((value - middle) ** order for value in values) / len(values)
    spread = squares ** (order / 2)
    return powers / spread if spread else None


def return_figures(
    equity: Sequence[int],
    *,
    start: int,
    end: int,
    days: float,
    deepest_drawdown: float,
) -> ReturnFigures:
    """Return all figures of a run.

    Args:
        equity: start capital, then the value at every 00:00 UTC, 1e-6 USDC.
        start: start capital.
        end: end capital.
        days: length of the run.
        deepest_drawdown: 0 or negative.
    """
    returns = daily_returns(equity)
    spread = deviation(returns)
    growth = cagr(start, end, days)
    return ReturnFigures(
        total=(end - start) / start,
        days=days,
        n=len(returns),
        mean_daily=mean(returns),
        volatility=None if spread is None else spread * math.sqrt(DAYS_A_YEAR),
        sharpe=sharpe(returns),
        sharpe_se=sharpe_se(returns),
        sortino=sortino(returns),
        cagr=growth,
        calmar=(
            growth / abs(deepest_drawdown)
            if growth is not None and deepest_drawdown
            else None
        ),
        skewness=standard_moment(returns, 3),
        kurtosis=standard_moment(returns, 4),
    )
