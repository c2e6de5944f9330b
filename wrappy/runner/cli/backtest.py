"""`wrappy backtest`: a strategy over recorded markets, and its figures."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, Final, Literal

from wrappy.errors import ConfigError
from wrappy.runner.backtest import run_backtest, sensitivity_text
from wrappy.runner.charts import write_charts
from wrappy.runner.cli.assumptions import look_ahead_test, under_other_fills
from wrappy.runner.cli.choosing import chosen
from wrappy.runner.cli.log_output import BriefLog
from wrappy.runner.cli.overrides import overrides
from wrappy.runner.cli.recorded import Recorded, assumed, check_folders
from wrappy.runner.cli.stop_signals import ended_at_once
from wrappy.runner.command import FAILED
from wrappy.runner.performance.summary import COLUMNS, summary_text
from wrappy.runner.results_page import LookAhead, MarketTape, write_results_page
from wrappy.runner.settings.reading import read_settings
from wrappy.venue.bundled import market_named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wrappy.runner.backtest import (
        BacktestRun,
        BacktestSettings,
        CandleData,
        TapeData,
    )
    from wrappy.runner.results_page import Variant
    from wrappy.runner.strategy.strategy import Strategy

_LOOK_AHEAD: Final[dict[LookAhead, str]] = {
    "passed": "passed; on the first half alone it does the same",
    "failed": "FAILED; on the first half alone it does something else: it sees what it "
    "cannot know, and every figure here is void",
    "not run": "not tested; there is too little to cut in halves",
}


def backtest(
    strategy: str | None = None,
    *,
    config: Path | None = None,
    candles: tuple[str, ...] | None = None,
    tape: tuple[str, ...] | None = None,
    queue: Literal["risk-averse", "prob", "front"] | None = None,
    market: tuple[str, ...] | None = None,
    resolution: str | None = None,
    days: int | None = None,
    capital: str | None = None,
    seed: int | None = None,
    set_: tuple[str, ...] | None = None,
    quick: bool = False,
    report: Path | None = None,
    charts: Path | None = None,
    output: Path | None = None,
    formulas: bool = False,
) -> int:
    """Run strategies over recorded markets and print what it came to.

    It is run again under other assumptions on fills, and on the first half of the
    data alone: what comes out otherwise is owed to an assumption, or to the future.

    Args:
        strategy: a name in the settings, `all` of them one after the other, an
            example's name, path.py, path.py:Class or module:Class.
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
        seed: of chance, such as travel times.
        set_: NAME=VALUE, a parameter of the strategy; any number of times.
        quick: run it once only.
        report: write a page with charts there, as HTML; with several strategies their
            names are put in front of the file's.
        charts: write charts into this folder, as PNG; with several strategies into
            folders of their names in it.
        output: write the results there, as JSON; names as for the page.
        formulas: print each figure's definition beside it.
    """
    settings, said = read_settings(config), overrides(set_)
    # Whatever is wrong, before anything is read.
    found = chosen(settings, strategy, market, said)
    names = [name for name, _ in found]
    recorded = Recorded.of(
        settings,
        candles=candles,
        tape=tape,
        queue=queue,
        resolution=resolution,
        days=days,
    )
    recorded.check([symbol for _, made in found for symbol in made.symbols])
    models = assumed(settings, capital=capital, seed=seed)
    check_folders(output, report)
    if charts is not None and charts.exists() and not charts.is_dir():
        raise ConfigError(f"--charts: {charts} is no folder")
    several, failed = len(names) > 1, False
    for number, name in enumerate(names):

        def make(number: int = number) -> Strategy[Any]:
            return chosen(settings, strategy, market, said)[number][1]

        data = recorded.read(make().symbols)
        with ended_at_once():
            tested = _tested(name, make, data, models, formulas=formulas, quick=quick)
        failed = failed or tested.run.crashed is not None
        try:
            paths = _written(
                tested,
                output=_own(output, name) if several else output,
                report=_own(report, name) if several else report,
                charts=charts / name if several and charts is not None else charts,
            )
        except OSError as error:
            raise ConfigError(
                f"{error.filename}: cannot be written: {error.strerror}"
            ) from error
        sys.stdout.writelines(f"wrote {path}\n" for path in paths)
    return FAILED if failed else 0


def _own(path: Path | None, name: str) -> Path | None:
    return None if path is None else path.with_name(f"{name}-{path.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tested:
    """A run, and what was found out about it.

    Attributes:
        run: as it was assumed.
        variants: under other assumptions.
        look_ahead: what came of that test.
    """

    run: BacktestRun
    variants: Sequence[Variant] = ()
    look_ahead: LookAhead = "not run"


def _tested(
    name: str,
    make: Callable[[], Strategy[Any]],
    data: tuple[CandleData, ...] | tuple[TapeData, ...],
    models: BacktestSettings,
    *,
    formulas: bool,
    quick: bool,
) -> _Tested:
    """Run a strategy, and again in order to doubt it; print what comes out."""
    with BriefLog():
        run = run_backtest(make, data, models)
    if isinstance(run.crashed, ConfigError) and not run.fills:
        # What it was told cannot be, as it found out on these data.
        raise ConfigError(f"{name}: {run.crashed}") from run.crashed
    columns = get_terminal_size((COLUMNS, 24)).columns
    told = summary_text(run.results, formulas=formulas, columns=columns)
    sys.stdout.write(told)
    sys.stdout.write(f"Ledger hash: {run.ledger_hash}\n")
    sys.stdout.flush()
    if run.crashed is not None:
        words = f"{type(run.crashed).__name__}: {run.crashed}"
        sys.stderr.write(f"wrappy: {name} crashed: {words}\n")
        return _Tested(run=run)
    if quick:
        return _Tested(run=run)
    with BriefLog() as log:
        log.be_silent()
        rows, variants = under_other_fills(make, data, models, run)
        sys.stdout.write(f"\n{sensitivity_text(rows)}\n")
        sys.stdout.flush()
        look_ahead = look_ahead_test(make, data, models)
    sys.stdout.write(f"\nLook-ahead: {_LOOK_AHEAD[look_ahead]}\n")
    return _Tested(run=run, variants=variants, look_ahead=look_ahead)


def _written(
    tested: _Tested, *, output: Path | None, report: Path | None, charts: Path | None
) -> list[Path]:
    """Write what is wanted and return the files."""
    run, found = tested.run, []
    tapes = [
        MarketTape(market=market_named(tape.symbol), candles=tape.rows, fills=run.fills)
        for tape in run.data
    ]
    if output is not None:
        run.results.save(output)
        found.append(output)
    if report is not None:
        found.append(
            write_results_page(
                report,
                run.results,
                tapes=tapes,
                sensitivity=tested.variants,
                look_ahead=tested.look_ahead,
            )
        )
    if charts is not None:
        found += write_charts(run.results, charts, tapes=tapes)
    return found
