"""The best of many trials: how good it looks by chance alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

from wrappy.runner.performance.ratios import (
    DAYS_A_YEAR,
    deviation,
    sharpe,
    standard_moment,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_EULER_MASCHERONI: Final = 0.577_215_664_901_532_9


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFigures:
    """What a number of trials does to the best result.

    Attributes:
        trials: results that were compared, those without a Sharpe ratio included.
        expected_best: Sharpe ratio, by the year, that the best of so many trials
            without any skill is expected to show; None when it cannot be told.
        deflated_sharpe: probability, 0 to 1, that the true ratio of the best is above
            zero given that it was picked out of so many; None when it cannot be told.
    """

    trials: int
    expected_best: float | None
    deflated_sharpe: float | None


def expected_best_sharpe(trials: int, spread: float) -> float:
    """Return the Sharpe ratio that the best of `trials` shows without any skill.

    With V the variance of the trials' ratios, g Euler's constant 0.5772 and Z⁻¹ the
    inverse normal distribution (Bailey and López de Prado, 2014):

        SR₀ = sqrt(V) * ((1 - g) * Z⁻¹(1 - 1/N) + g * Z⁻¹(1 - 1/(N e)))

    One trial was not picked: 0.

    Args:
        trials: N, from 1.
        spread: sqrt(V), standard deviation of the trials' ratios, by the day.
    """
    if trials < 2:  # noqa: PLR2004 - one trial is not picked
        return 0.0
    normal = NormalDist()
    return spread * (
        (1 - _EULER_MASCHERONI) * normal.inv_cdf(1 - 1 / trials)
        + _EULER_MASCHERONI * normal.inv_cdf(1 - 1 / (trials * math.e))
    )


def trial_figures(
    best_returns: Sequence[float], trial_sharpes: Sequence[float | None]
) -> TrialFigures:
    """Return the deflated Sharpe ratio of the best of many trials.

    With SR the best's ratio and SR₀ from `expected_best_sharpe`, both by the day, T
    its days, s its skewness and k its kurtosis:

        DSR = Z((SR - SR₀) * sqrt(T - 1) / sqrt(1 - s * SR + (k - 1) / 4 * SR²))

    Trials that are alike count as many: the result is on the careful side then.

    Args:
        best_returns: daily returns of the best trial.
        trial_sharpes: Sharpe ratios of all trials, the best included, by the year as
            in `ReturnFigures`; None for a trial that has none.
    """
    count = max(len(trial_sharpes), 1)
    year = math.sqrt(DAYS_A_YEAR)
    known = [value / year for value in trial_sharpes if value is not None]
    spread = 0.0 if count == 1 else deviation(known)
    best = sharpe(best_returns, periods=1)
    skewness = standard_moment(best_returns, 3)
    kurtosis = standard_moment(best_returns, 4)
    if spread is None:
        return TrialFigures(trials=count, expected_best=None, deflated_sharpe=None)
    lucky = expected_best_sharpe(count, spread)
    deflated = None
    if best is not None and skewness is not None and kurtosis is not None:
        shape = 1 - skewness * best + (kurtosis - 1) / 4 * best**2
        if shape > 0:
            days = len(best_returns)
            score = (best - lucky) * math.sqrt(days - 1) / math.sqrt(shape)
            deflated = NormalDist().cdf(score)
    return TrialFigures(
        trials=count, expected_best=lucky * year, deflated_sharpe=deflated
    )
