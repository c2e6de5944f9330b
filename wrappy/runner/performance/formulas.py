"""How every figure is defined, in one line of text each."""

from __future__ import annotations

from typing import Final

FORMULAS: Final[dict[str, str]] = {
    "returns.total": "end capital / start capital - 1",
    "returns.days": "(end - start) / 24 h",
    "returns.n": "values at 00:00 UTC after the start; days without trades count",
    "returns.mean_daily": "mean(r), r = E[d] / E[d-1] - 1 at 00:00 UTC",
    "returns.volatility": "std(r, n-1) * sqrt(365)",
    "returns.sharpe": "mean(r) / std(r, n-1) * sqrt(365), interest 0",
    "returns.sharpe_se": "sqrt((1 + SR_daily^2 / 2) / n) * sqrt(365)",
    "returns.sortino": "mean(r) / sqrt(sum(min(r, 0)^2) / N) * sqrt(365), N all days",
    "returns.cagr": "(end / start)^(365.25 / days) - 1, from 2 days on",
    "returns.calmar": "CAGR / |max drawdown|",
    "returns.skewness": "mean((r - mean)^3) / std(r, n)^3",
    "returns.kurtosis": "mean((r - mean)^4) / std(r, n)^4; normal: 3",
    "drawdown.deepest": "min(E / max(E so far) - 1), at every event",
    "drawdown.began_ms": "first event below the peak of the deepest",
    "drawdown.bottom_ms": "event of the deepest",
    "drawdown.recovered_ms": "first event at that peak again",
    "drawdown.duration_s": "recovery (or end) - beginning of the deepest",
    "drawdown.longest_s": "longest time below a peak",
    "drawdown.time_under_water": "time below a peak / time",
    "trades.method": "flat: from flat to flat; fifo: lot by lot, oldest first",
    "trades.closed": "trades that are over",
    "trades.still_open": "trades that are not",
    "trades.wins": "trades with PnL > 0, after fees and funding",
    "trades.losses": "trades with PnL < 0",
    "trades.win_rate": "wins / closed; zero is not a win",
    "trades.profit_factor": "sum(wins) / |sum(losses)| in USDC",
    "trades.expectancy": "mean(PnL)",
    "trades.average_win": "mean of the wins",
    "trades.average_loss": "mean of the losses",
    "trades.best": "max(PnL)",
    "trades.worst": "min(PnL)",
    "trades.mean_held_s": "mean(last fill - first fill)",
    "trades.sqn": "sqrt(closed) * mean(PnL) / std(PnL, n-1)",
    "costs.traded": "sum(|value of fills|)",
    "costs.turnover": "traded / mean equity over time",
    "costs.turnover_per_day": "turnover / days",
    "costs.fees": "sum(fees); positive when paid",
    "costs.liquidation_fees": "sum(liquidation fees); positive when paid",
    "costs.funding": "sum(funding); positive when received",
    "costs.maker_share": "value traded as maker / traded",
    "costs.slippage_at_decision_bps": (
        "sum(side * (fill - mid at decision)) / sum(mid) * 10000, by value"
    ),
    "costs.slippage_at_arrival_bps": "the same with the mid price at arrival",
    "costs.slippage_unknown": "fills without a mid price at the decision",
    "activity.orders": "orders sent",
    "activity.filled_orders": "orders that traded at all",
    "activity.fills": "executions",
    "activity.fill_ratio": "filled orders / orders",
    "activity.orders_per_fill": "orders / fills",
    "activity.canceled": "orders canceled",
    "activity.rejected": "orders the exchange refused",
    "activity.risk_blocks": "orders a risk limit refused before sending",
    "activity.transactions": "transactions sent",
    "activity.quota_used": "volume quota spent",
    "activity.unknown_orders": "times an order's fate was not known",
    "activity.unknown_s": "time with at least one such order",
    "activity.exposure": "time with a position / time",
    "activity.mean_leverage": "mean over time of |value held| / equity",
    "trials.trials": "results that were compared",
    "trials.expected_best": (
        "Sharpe ratio of the best of N trials without skill: "
        "std(SR) * ((1 - g) * Zinv(1 - 1/N) + g * Zinv(1 - 1/(N e)))"
    ),
    "trials.deflated_sharpe": (
        "Z((SR - SR0) * sqrt(T - 1) / sqrt(1 - skew * SR + (kurt - 1) / 4 * SR^2))"
    ),
}
"""Formula of every figure, by the names that `Results.figures` has."""
