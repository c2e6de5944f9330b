"""What of a backtest's result is owed to what was assumed, and to the future."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

from wrappy.runner.backtest import (
    BacktestRun,
    BacktestSettings,
    CandleData,
    SensitivityRow,
    TapeData,
    decisions_on_prefixes,
    run_backtest,
)
from wrappy.runner.backtest.sensitivity import (
    crash_in_words,
    fill_cases,
    sensitivity_row,
)
from wrappy.runner.results_page.sensitivity import Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wrappy.runner.results_page import LookAhead
    from wrappy.runner.strategy.strategy import Strategy

_LEAST_MS: Final = 2_000
"""Tapes that are shorter tell nothing of the future."""


def under_other_fills(
    make_strategy: Callable[[], Strategy[Any]],
    data: Sequence[CandleData | TapeData],
    settings: BacktestSettings,
    done: BacktestRun,
) -> tuple[list[SensitivityRow], list[Variant]]:
    """Run again under other assumptions on fills.

    Args:
        make_strategy: makes the strategy.
        data: candles of its markets, or tapes.
        settings: what was assumed.
        done: what that came to; not run again.

    Returns:
        all assumptions for the terminal, and those that are not as set for the page.
    """
    known = {(settings, _queue(data)): done}
    rows, variants = [], []
    for name, (model, played) in fill_cases(settings, data).items():
        key = model, _queue(played)
        is_new = key not in known
        if is_new:
            known[key] = run_backtest(make_strategy, played, model)
        run = known[key]
        crash = crash_in_words(run.crashed)
        rows.append(sensitivity_row(name, model, run.results, crash))
        if is_new:
            variants.append(Variant(name=name, results=run.results))
    return rows, variants


def _queue(data: Sequence[CandleData | TapeData]) -> str:
    return data[0].queue if isinstance(data[0], TapeData) else ""


def look_ahead_test(
    make_strategy: Callable[[], Strategy[Any]],
    data: tuple[CandleData, ...] | tuple[TapeData, ...],
    settings: BacktestSettings,
) -> LookAhead:
    """Return whether a strategy does the same without the later half of its data."""
    if isinstance(data[0], TapeData):
        cut = _half_of_tapes(data)
        if cut is None:
            return "not run"
        found = decisions_on_prefixes(
            lambda _: make_strategy(), data, settings, cuts=(cut,)
        )
    else:
        cut = _half_of_candles(data, settings.warm_up)
        if cut is None:
            return "not run"
        found = decisions_on_prefixes(
            lambda _: make_strategy(), data, settings, cuts=(cut,)
        )
    return "failed" if found else "passed"


def _half_of_tapes(tapes: Sequence[TapeData]) -> int | None:
    """Return the middle of what is traded, in seconds of the first tape."""
    begin_ms = max(tape.begin_ms for tape in tapes)
    end_ms = min(tape.end_ms for tape in tapes)
    if end_ms - begin_ms < _LEAST_MS:
        return None
    return ((begin_ms + end_ms) // 2 - tapes[0].begin_ms) // 1_000


def _half_of_candles(tapes: Sequence[CandleData], warm_up: int) -> int | None:
    """Return the middle of what is traded, in candles of the first market."""
    if any(warm_up >= len(tape.rows) for tape in tapes):
        return None
    begin_ms = max(tape.rows[warm_up].start_ms for tape in tapes)
    end_ms = min(tape.end_ms for tape in tapes)
    counts = [
        bisect_left(tape.rows, (begin_ms + end_ms) // 2, key=lambda row: row.start_ms)
        for tape in tapes
    ]
    if min(counts) <= warm_up or counts[0] >= len(tapes[0].rows):
        return None
    return counts[0]
