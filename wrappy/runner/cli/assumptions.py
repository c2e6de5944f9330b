"""What of a backtest's result is owed to what was assumed, and to the future."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wrappy.runner.backtest import (
    BacktestRun,
    BacktestSettings,
    CandleData,
    SensitivityRow,
    decisions_on_prefixes,
    run_backtest,
)
from wrappy.runner.backtest.sensitivity import fill_models
from wrappy.runner.results_page.sensitivity import Variant

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.runner.results_page import LookAhead
    from wrappy.runner.strategy.strategy import Strategy


def under_other_fills(
    make_strategy: Callable[[], Strategy[Any]],
    data: CandleData,
    settings: BacktestSettings,
    done: BacktestRun,
) -> tuple[list[SensitivityRow], list[Variant]]:
    """Run again under other assumptions on fills.

    Args:
        make_strategy: makes the strategy.
        data: candles of its market.
        settings: what was assumed.
        done: what that came to; not run again.

    Returns:
        all assumptions for the terminal, and those that are not as set for the page.
    """
    known = {settings: done}
    rows, variants = [], []
    for name, model in fill_models(settings, data).items():
        is_new = model not in known
        if is_new:
            known[model] = run_backtest(make_strategy, data, model)
        run = known[model]
        results = run.results
        rows.append(
            SensitivityRow(
                name=name,
                settings=model,
                total_return=results.returns.total,
                sharpe=results.returns.sharpe,
                max_drawdown=results.drawdown.deepest,
                fills=results.activity.fills,
                fees=results.costs.fees,
                crashed=run.crashed is not None,
            )
        )
        if is_new:
            variants.append(Variant(name=name, results=results))
    return rows, variants


def look_ahead_test(
    make_strategy: Callable[[], Strategy[Any]],
    data: CandleData,
    settings: BacktestSettings,
) -> LookAhead:
    """Return whether a strategy does the same without the later half of its candles."""
    cut = (settings.warm_up + len(data.rows)) // 2
    if not settings.warm_up < cut < len(data.rows):
        return "not run"
    found = decisions_on_prefixes(
        lambda _: make_strategy(), data, settings, cuts=(cut,)
    )
    return "failed" if found else "passed"
