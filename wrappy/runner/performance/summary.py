"""The summary on the terminal: the lines an operator knows, with their formulas."""

from __future__ import annotations

from datetime import datetime, timezone
from textwrap import wrap
from typing import TYPE_CHECKING, Final

from wrappy.runner.performance.formulas import FORMULAS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from wrappy.runner.performance.results import Baseline, Results

WIDTH: Final = 40
COLUMNS: Final = 88
"""Where sentences are broken unless told otherwise."""

_LABEL: Final = 20
UNDEFINED: Final = "-"
"""Stands where a figure has no value."""


def summary_text(
    results: Results, *, formulas: bool = True, columns: int = COLUMNS
) -> str:
    """Return a run's summary, a line a figure.

    Args:
        results: what the run came to.
        formulas: whether each ratio's definition stands beside it.
        columns: where sentences are broken.
    """
    rule = "=" * WIDTH
    parts = [
        [rule, "Backtest summary" if _is_backtest(results) else "Summary", rule],
        _period_lines(results),
        [rule],
        _result_lines(results, formulas=formulas),
        [rule],
        _more_lines(results, formulas=formulas),
        [rule],
    ]
    if results.baselines:
        parts += [["Instead:"], [_baseline_line(one) for one in results.baselines]]
        parts.append([rule])
    if results.warnings:
        parts += [["Mind:"], _warnings(results, columns), [rule]]
    return "\n".join(line for part in parts for line in part) + "\n"


def fitted(lines: Iterable[str], columns: int = COLUMNS) -> list[str]:
    """Return lines of which none is wider than a terminal, where words allow it.

    What goes on in the next line stands deeper than its beginning.

    Args:
        lines: sentences, and whatever is short enough anyway.
        columns: of the terminal; it is taken to have 40 at least.
    """
    width, found = max(columns, WIDTH), []
    for line in lines:
        if len(line) <= width:
            found.append(line)
            continue
        indent = line[: len(line) - len(line.lstrip())]
        found += wrap(
            line.strip(),
            width,
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return found


def _warnings(results: Results, columns: int) -> list[str]:
    return fitted((f"  {words}" for words in results.warnings), columns)


def _is_backtest(results: Results) -> bool:
    return results.about.world == "backtest"


def _period_lines(results: Results) -> list[str]:
    about = results.about
    return [
        _line("Strategy", about.strategy or UNDEFINED),
        _line("Period", f"{day(results.start_ms)} to {day(results.end_ms)}"),
        _line("Initial capital", money(results.start_capital)),
        _line("Final capital", money(results.end_capital)),
    ]


def _result_lines(results: Results, *, formulas: bool) -> list[str]:
    returns, trades = results.returns, results.trades
    sharpe = ratio(returns.sharpe)
    if returns.sharpe_se is not None:
        sharpe += f" +/- {returns.sharpe_se:.2f} (n {returns.n})"
    rows = [
        ("Return", percent(returns.total), "returns.total"),
        ("Sharpe ratio", sharpe, "returns.sharpe"),
        ("Max drawdown", percent(results.drawdown.deepest), "drawdown.deepest"),
        ("Winning trades", str(trades.wins), ""),
        ("Losing trades", str(trades.losses), ""),
        ("Win rate", percent(trades.win_rate), "trades.win_rate"),
    ]
    return [_line(name, text, key if formulas else "") for name, text, key in rows]


def _more_lines(results: Results, *, formulas: bool) -> list[str]:
    returns, trades, costs = results.returns, results.trades, results.costs
    drawdown, activity = results.drawdown, results.activity
    rows = [
        ("Sortino ratio", ratio(returns.sortino), "returns.sortino"),
        ("Volatility", percent(returns.volatility), "returns.volatility"),
        ("CAGR", percent(returns.cagr), "returns.cagr"),
        ("Calmar ratio", ratio(returns.calmar), "returns.calmar"),
        ("Drawdown lasted", span(drawdown.duration_s), "drawdown.duration_s"),
        ("Under water", percent(drawdown.time_under_water), ""),
        ("Profit factor", ratio(trades.profit_factor), "trades.profit_factor"),
        ("Expectancy", money(trades.expectancy), "trades.expectancy"),
        ("Exposure", percent(activity.exposure), "activity.exposure"),
        ("Turnover per day", ratio(costs.turnover_per_day), "costs.turnover"),
        ("Fees", money(costs.fees), "costs.fees"),
        ("Funding", money(costs.funding), "costs.funding"),
        ("Maker share", percent(costs.maker_share), "costs.maker_share"),
        (
            "Slippage (bps)",
            ratio(costs.slippage_at_decision_bps),
            "costs.slippage_at_decision_bps",
        ),
        ("Orders : fills", f"{activity.orders} : {activity.fills}", ""),
        ("Risk blocks", str(activity.risk_blocks), ""),
        ("Unknown for", span(activity.unknown_s), ""),
    ]
    trials = results.trials
    if trials is not None:
        rows += [
            ("Trials", str(trials.trials), ""),
            ("Best by chance", ratio(trials.expected_best), "trials.expected_best"),
            (
                "Deflated Sharpe",
                percent(trials.deflated_sharpe),
                "trials.deflated_sharpe",
            ),
        ]
    return [_line(name, text, key if formulas else "") for name, text, key in rows]


def _baseline_line(baseline: Baseline) -> str:
    return (
        f"  {baseline.name}: return {percent(baseline.returns.total)}, Sharpe "
        f"{ratio(baseline.returns.sharpe)}, max drawdown "
        f"{percent(baseline.drawdown.deepest)}"
    )


def _line(name: str, text: str, key: str = "") -> str:
    line = f"{name + ':':<{_LABEL}}{text}"
    return f"{line:<{WIDTH + 6}}  {FORMULAS[key]}" if key else line


def day(at_ms: int) -> str:
    """Return the day of a time, UTC, as 2024-10-01."""
    return datetime.fromtimestamp(at_ms / 1_000, timezone.utc).date().isoformat()


def money(amount: Decimal | None) -> str:
    """Return USDC with two digits."""
    return UNDEFINED if amount is None else f"{amount:.2f}"


def percent(part: float | None) -> str:
    """Return a share in percent with two digits."""
    return UNDEFINED if part is None else f"{part * 100:.2f}%"


def ratio(value: float | None) -> str:
    """Return a ratio with two digits."""
    return UNDEFINED if value is None else f"{value:.2f}"


def span(seconds: float) -> str:
    """Return a length of time in its largest sensible unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
