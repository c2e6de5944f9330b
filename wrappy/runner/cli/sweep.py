"""`wrappy sweep`: a strategy over recorded markets with many sets of parameters."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, Final, Literal

from wrappy.errors import ConfigError
from wrappy.runner.backtest import TapeData
from wrappy.runner.cli.choosing import chosen
from wrappy.runner.cli.file_backtest import backtest_of
from wrappy.runner.cli.log_output import BriefLog
from wrappy.runner.cli.overrides import named_texts, overrides
from wrappy.runner.cli.recorded import DAY_MS, Recorded, assumed, check_folders
from wrappy.runner.command import FAILED
from wrappy.runner.history.values import ResolutionError
from wrappy.runner.performance.recorder import PerformanceRecorder
from wrappy.runner.performance.summary import COLUMNS, fitted, span
from wrappy.runner.results_page import write_sweep_page
from wrappy.runner.settings.reading import read_settings
from wrappy.runner.strategy.parameters import written
from wrappy.runner.sweep import (
    RichProgress,
    Space,
    SweepStoppedError,
    TrialStore,
    Window,
    cluster_executor,
    read_range,
    rolling_windows,
    walk_forward,
)
from wrappy.runner.sweep import sweep as try_all
from wrappy.runner.sweep.rehearsal import rehearse
from wrappy.runner.sweep.sweep import OBJECTIVE

if TYPE_CHECKING:
    from wrappy.runner.backtest import CandleData
    from wrappy.runner.strategy.strategy import Strategy
    from wrappy.runner.sweep import StrategyBacktest, SweepResult, WalkForward

_EXAMPLE: Final = "lookback=10:30:10"

CHOSEN_ON: Final = 2
"""Parts of the data that a choice is made on, for each part it is looked at on."""

MINUTE_MS: Final = 60_000

BY_THE_YEAR: Final = ("returns.cagr", "returns.calmar")
"""Figures that a window of less than two days has none of."""

_CAPITAL: Final = 10**9

FEW_DAYS: Final = 30
"""Days out of sample below which their figures are chance."""


def sweep(
    strategy: str | None = None,
    *,
    over: tuple[str, ...] | None = None,
    config: Path | None = None,
    candles: tuple[str, ...] | None = None,
    tape: tuple[str, ...] | None = None,
    queue: Literal["risk-averse", "prob", "front"] | None = None,
    market: tuple[str, ...] | None = None,
    resolution: str | None = None,
    days: int | None = None,
    capital: str | None = None,
    set_: tuple[str, ...] | None = None,
    method: Literal["grid", "random", "optuna"] = "grid",
    trials: int | None = None,
    seed: int = 1,
    objective: str = OBJECTIVE,
    minimize: bool = False,
    split: int | None = None,
    store: Path | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    report: Path | None = None,
) -> int:
    """Run a strategy over recorded markets with many sets of parameters.

    The best of many looks good by chance: the summary says how good, and with --split
    what the choice came to on data it was not made on. With --store every trial is
    kept as it ends; after Ctrl-C the same command goes on from there.

    Args:
        strategy: a name in the settings, an example's name, path.py, path.py:Class or
            module:Class.
        over: NAME=VALUES, a parameter to vary, such as lookback=10:30:10 (from, to,
            step), size=0.1:10:log or threshold=1.5,2,2.5; any number of times.
        config: settings file; its section [backtest] says what is assumed.
        candles: file of candles, CSV or Parquet; for several markets SYMBOL=FILE, once
            for each.
        tape: recorded market or markets to trade on instead of candles; several files
            as SYMBOL=FILE.
        queue: where orders stand at their price on a tape; risk-averse unless the
            settings say otherwise.
        market: the market that is traded; any number of times.
        resolution: length of the candles, such as 5m; found out if not given. On a
            tape that of the charts' candles.
        days: only the last so many days of the candles.
        capital: start capital in USDC.
        set_: NAME=VALUE, a parameter that is the same in all trials; any number of
            times.
        method: all combinations (grid), some of them (random), or those that look
            promising (optuna).
        trials: how many; needed but for a grid.
        seed: of the choice of trials.
        objective: the figure that is looked for; those of the file that
            `wrappy backtest --output` writes.
        minimize: look for the least of it.
        split: choose on one part of the data and look at the next, so many times.
        store: keep the trials in this file and use those that are in it.
        workers: how many runs at a time; all processors without.
        cluster: address of a Dask scheduler whose workers run them.
        report: write a page with the heat map and all trials there, as HTML.
    """
    settings, said = read_settings(config), overrides(set_)
    found = chosen(settings, strategy, market, said)
    if len(found) > 1:
        names = ", ".join(name for name, _ in found)
        raise ConfigError(f"strategy: one at a time; there are {names}")
    ((_, made),) = found
    space = _space(made, over, said)
    _check_objective(objective)
    models = assumed(settings, capital=capital)
    recorded = Recorded.of(
        settings,
        candles=candles,
        tape=tape,
        queue=queue,
        resolution=resolution,
        days=days,
    )
    recorded.check(made.symbols)
    check_folders(store, report)
    run = backtest_of(type(made), recorded.read(made.symbols), models)
    windows = () if split is None else _windows(run, split)
    _check_length(objective, run, windows)
    arguments: dict[str, Any] = {
        "method": method,
        "trials": trials,
        "seed": seed,
        "workers": workers,
        "objective": objective,
        "maximize": not minimize,
    }
    walked: WalkForward[Any] | None = None
    with ExitStack() as stack:
        arguments["store"] = stack.enter_context(TrialStore(store))
        if cluster is not None:
            executor = stack.enter_context(cluster_executor(cluster))
            arguments["executor"] = executor
        stack.enter_context(BriefLog()).be_silent()
        arguments["progress"] = stack.enter_context(RichProgress())
        try:
            _check_candles(run, space)
            swept = try_all(run, space, **arguments)
            if windows:
                walked = walk_forward(run, space, windows, **arguments)
        except SweepStoppedError as stopped:
            if store is not None:
                raise
            raise SweepStoppedError(
                "stopped; nothing is kept: with --store FILE the same command would "
                "go on from here"
            ) from stopped
    told = _told(swept, walked).splitlines()
    columns = get_terminal_size((COLUMNS, 24)).columns
    sys.stdout.writelines(f"{line}\n" for line in fitted(told, columns))
    if report is not None:
        try:
            write_sweep_page(report, swept, walked=walked)
        except OSError as error:
            raise ConfigError(
                f"{report}: cannot be written: {error.strerror}"
            ) from error
        sys.stdout.write(f"wrote {report}\n")
    return FAILED if swept.best is None else 0


def _space(
    strategy: Strategy[Any], over: tuple[str, ...] | None, said: dict[str, Any]
) -> Space[Any]:
    """Return what is tried; everything else is as the strategy has it."""
    if not over:
        raise ConfigError(f"--over: nothing varies; give such as --over {_EXAMPLE}")
    tried = {}
    for name, text in named_texts("--over", over, example=_EXAMPLE).items():
        if name in said:
            raise ConfigError(f"--over {name}: is given with --set as well; choose one")
        try:
            tried[name] = read_range(text)
        except ConfigError as error:
            raise ConfigError(f"--over {name}: {error}") from None
    fixed = written(strategy.parameters)
    try:
        return Space(
            strategy.parameters_type(),
            tried,
            {name: value for name, value in fixed.items() if name not in tried},
        )
    except ConfigError as error:
        raise ConfigError(f"--over {error}") from None


def _check_objective(name: str) -> None:
    """Refuse what is no figure before everything has been run for it."""
    known = PerformanceRecorder(start_ms=0, capital=1).finish(DAY_MS).figures()
    numbers = [one for one, value in known.items() if not isinstance(value, str)]
    if name not in numbers:
        raise ConfigError(
            f"--objective: {name!r} is no figure; choose one of {', '.join(numbers)}"
        )


def _check_candles(run: StrategyBacktest[Any], space: Space[Any]) -> None:
    """Refuse candles that the data cannot make before every trial finds out."""
    try:
        rehearse(run, space)
    except ResolutionError as error:
        if any(error.asked in axis.options for axis in space.axes):
            raise ConfigError(
                f"--over: {error.asked} candles cannot be made of the data's "
                f"{error.recorded} ones; try {error.recorded} and multiples of it only"
            ) from error
        raise


def _check_length(
    objective: str, run: StrategyBacktest[Any], windows: tuple[Window, ...]
) -> None:
    """Refuse a figure of returns that what is chosen on is too short for."""
    begins = [_begin_ms(one, run.settings.warm_up) for one in run.data]
    begin_ms, end_ms = max(begins), max(one.end_ms for one in run.data)
    looked_at = [("the data", begin_ms, end_ms, "take more of it")]
    for one in windows[:1]:
        begin, middle, end = one.train_begin_ms, one.test_begin_ms, one.test_end_ms
        fix = "take more of the data or fewer splits"
        looked_at.append(("what --split chooses on", begin, middle, fix))
        if objective in BY_THE_YEAR:
            looked_at.append(("what --split looks at", middle, end, fix))
    for what, begin, end, fix in looked_at:
        if _is_empty(objective, begin, end):
            raise ConfigError(
                f"--objective: {what} is {span((end - begin) / 1_000)} long, too short "
                f"for {objective}; {fix}, or look for returns.total"
            )


def _is_empty(objective: str, begin_ms: int, end_ms: int) -> bool:
    """Whether a figure of returns is none even where equity goes up and down."""
    if not objective.startswith("returns."):
        return False
    recorder = PerformanceRecorder(start_ms=begin_ms, capital=_CAPITAL)
    midnights = range((begin_ms // DAY_MS + 1) * DAY_MS, end_ms + 1, DAY_MS)
    for number, at_ms in enumerate(midnights):
        recorder.sample(at_ms, _CAPITAL + (-1) ** number * (number + 1), 0)
    recorder.sample(end_ms, _CAPITAL - 1, 0)
    return recorder.finish(end_ms).figure(objective) is None


def _windows(run: StrategyBacktest[Any], split: int) -> tuple[Window, ...]:
    """Return windows that follow each other.

    They are of whole days, so that daily figures are; on a tape that is too short for
    that, of whole minutes.
    """
    if split < 1:
        raise ConfigError(f"--split: {split} is below 1")
    first_ms = max(_begin_ms(one, run.settings.warm_up) for one in run.data)
    end_ms = min(one.end_ms for one in run.data)
    parts, unit_ms, unit = split + CHOSEN_ON, DAY_MS, "day"
    if isinstance(run.data[0], TapeData) and not _part_ms(
        first_ms, end_ms, parts, unit_ms
    ):
        unit_ms, unit = MINUTE_MS, "minute"
    part_ms = _part_ms(first_ms, end_ms, parts, unit_ms)
    if part_ms < unit_ms:
        raise ConfigError(
            f"--split: {split} needs {parts} parts of a {unit} each at least; take "
            f"{'more candles' if unit_ms == DAY_MS else 'a longer tape'} or fewer "
            "splits"
        )
    # What does not make whole parts is left out at the beginning: it is the oldest.
    begin_ms = end_ms // unit_ms * unit_ms - part_ms * parts
    return rolling_windows(
        begin_ms,
        begin_ms + part_ms * parts,
        train_ms=CHOSEN_ON * part_ms,
        test_ms=part_ms,
    )


def _begin_ms(data: CandleData | TapeData, warm_up: int) -> int:
    if isinstance(data, TapeData):
        return data.begin_ms
    if warm_up >= len(data.rows):
        raise ConfigError(f"backtest.warm_up: there are only {len(data.rows)} candles")
    return data.rows[warm_up].start_ms


def _part_ms(first_ms: int, end_ms: int, parts: int, unit_ms: int) -> int:
    """Return the length of each of so many parts in whole units, 0 for too little."""
    whole = end_ms // unit_ms - -(-first_ms // unit_ms)
    return max(0, whole // parts) * unit_ms


def _told(swept: SweepResult[Any], walked: WalkForward[Any] | None) -> str:
    """Return what it came to, for a terminal."""
    lines = [swept.summary()]
    if walked is not None:
        lines.append(f"\n{walked.summary()}")
        if len(walked.returns()) < FEW_DAYS:
            lines.append(f"fewer than {FEW_DAYS} days say little\n")
    best = swept.best
    if best is not None:
        if walked is None:
            lines.append(
                "out of sample: not looked at; --split 3 chooses on one part of the "
                "data and looks at the next\n"
            )
        again = " ".join(f"--set {one}={best.parameters[one]}" for one in swept.varied)
        lines.append(f"the best again: wrappy backtest ... {again}\n")
    return "".join(lines)
