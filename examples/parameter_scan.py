"""Tries a strategy with a small grid of parameters, and the best of them once more.

Idea: mean reversion with three lookbacks and three thresholds over the earlier part of
the candles; then the best of the nine over the later part, which had no say in the
choice. A result that does not come back there was luck.

Parameters: `--candles` is a file of candles of `--symbol`; without one they are made
up, by `--seed`. `--later` is the part that is kept back. `--workers` run side by side.

Risks: nothing is sent anywhere. The best of many trials looks better than it is, which
is why the table says how good the best would be without any skill.

    python examples/parameter_scan.py --candles ETHUSDT_5m.csv
"""

from __future__ import annotations

import random
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from strategies.mean_reversion import MeanReversion, MeanReversionParameters

from wrappy import UsageError
from wrappy.errors import WrappyError
from wrappy.model import Candle
from wrappy.runner.backtest import BacktestSettings, CandleData
from wrappy.runner.command import BAD_ARGUMENTS, OneLineParser
from wrappy.runner.history import CandleFile
from wrappy.runner.sweep import (
    Space,
    StrategyBacktest,
    SweepResult,
    ThisProcess,
    sweep,
)

if TYPE_CHECKING:
    import argparse

    from wrappy.runner.performance.results import Results

LOOKBACKS = [10, 20, 30]
THRESHOLDS = [1.5, 2.0, 2.5]
WARM_UP = 30
BEGIN_MS = 1_767_225_600_000
STEP_MS = 300_000


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = OneLineParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--candles", type=Path, help="CSV or Parquet")
    parser.add_argument("--symbol", default="ETH")
    parser.add_argument("--count", type=int, default=1_000, help="of made-up candles")
    parser.add_argument("--seed", type=int, default=1, help="of made-up candles")
    parser.add_argument("--later", type=float, default=0.3, help="part kept back")
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args()


def made_up(symbol: str, count: int, seed: int) -> CandleData:
    """Return candles of a price that swings around its anchor, as nothing real does."""
    chance = random.Random(seed)
    rows, price = [], 3_100.0
    for at in range(count):
        path = [price]
        for _ in range(3):
            pull = (3_100.0 - path[-1]) * 0.02
            path.append(path[-1] + pull + chance.gauss(0.0, 6.0))
        price = path[-1]
        first, high, low, last = (
            Decimal(f"{value:.2f}")
            for value in (path[0], max(path), min(path), path[-1])
        )
        volume = Decimal(chance.randint(50, 500))
        start_ms = BEGIN_MS + at * STEP_MS
        rows.append(
            Candle(start_ms, first, high, low, last, volume, volume * last, at, True)
        )
    return CandleData(symbol, "5m", rows, notes=(f"made up, seed {seed}",))


def from_file(path: Path, symbol: str) -> CandleData:
    """Return a file's candles."""
    reading = CandleFile(path, symbol=symbol)
    rows = list(reading)
    return CandleData(symbol, reading.series.resolution, rows, (f"from {path.name}",))


def scan(
    run: StrategyBacktest[MeanReversionParameters], resolution: str, workers: int
) -> SweepResult[MeanReversionParameters]:
    """Run the whole grid and return every trial."""
    space = Space(
        MeanReversionParameters,
        {"lookback": LOOKBACKS, "threshold": THRESHOLDS},
        fixed={"resolution": resolution},
    )
    executor = ThisProcess() if workers == 1 else None
    return sweep(
        run, space, executor=executor, workers=workers, objective="returns.total"
    )


def table(swept: SweepResult[MeanReversionParameters]) -> str:
    """Return every trial as a line, best first."""
    lines = ["lookback  threshold   return  drawdown  trades     fees"]
    for trial in swept.ranked():
        results = trial.results
        if results is not None:
            lines.append(
                f"{trial.parameters['lookback']:>8}  {trial.parameters['threshold']:>9}"
                f"  {figures(results)}"
            )
    return "\n".join(lines)


def figures(results: Results) -> str:
    """Return what a run came to, as columns."""
    trades = results.trades.wins + results.trades.losses
    return (
        f"{results.returns.total:>7.2%}  {results.drawdown.deepest:>8.2%}"
        f"  {trades:>6}  {results.costs.fees:>7.2f}"
    )


def main(options: argparse.Namespace) -> None:
    """Scan, choose, and try the choice on what had no say in it.

    Raises:
        UsageError: no trial has a result.
    """
    data = (
        made_up(options.symbol, options.count, options.seed)
        if options.candles is None
        else from_file(options.candles, options.symbol)
    )
    run = StrategyBacktest(
        strategy=MeanReversion,
        data=(data,),
        settings=BacktestSettings(warm_up=WARM_UP),
    )
    kept_back = int(len(data.rows) * (1 - options.later))
    border_ms = data.rows[kept_back].start_ms
    swept = scan(
        run.between(data.begin_ms, border_ms), data.resolution, options.workers
    )
    best = swept.best_parameters()
    if best is None:
        raise UsageError(swept.summary())
    print(f"{data.symbol} {data.resolution}: {kept_back} candles, {data.notes[0]}\n")
    print(table(swept), "\n")
    print(swept.summary(listed=0))
    later = run.between(border_ms, data.end_ms)(best)
    rest = len(data.rows) - kept_back
    print(f"best: lookback {best.lookback}, threshold {best.threshold}")
    print(f"over the {rest} candles after that:  {figures(later)}")


if __name__ == "__main__":
    try:
        main(arguments())
    except WrappyError as error:
        sys.stderr.write(f"{Path(__file__).name}: {error}\n")
        sys.exit(BAD_ARGUMENTS)
