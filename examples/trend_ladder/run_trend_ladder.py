"""Runs the trend ladder: settings from the environment, a local exchange by default.

Idea: entries in steps on one side, a take profit on every fill of them, and a position
that is always covered; `ladder_strategy.py` says it all.

Parameters: `TREND_LADDER_SIDE`, `_SIZE`, `_TAKE_PROFIT` and the others of
`LadderParameters`, and `TREND_LADDER_SYMBOL`; account and key of a real network come
from `LIGHTER_*`. Risks: see `ladder_strategy.py`. Ctrl-C takes the orders away and
leaves the position; `--seconds` ends flat.

    TREND_LADDER_CARD=card.html python examples/trend_ladder/run_trend_ladder.py
"""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ladder_settings import from_environment
from ladder_strategy import TrendLadder

from wrappy import UsageError
from wrappy.runner.command import OneLineParser, positive, run
from wrappy.runner.engine import TradingEngine
from wrappy.runner.worlds.opening import open_world

if TYPE_CHECKING:
    import argparse


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = OneLineParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--network", default="venue", help="venue, paper, testnet, ...")
    parser.add_argument("--live", action="store_true", help="mean it on mainnet")
    parser.add_argument("--confirm", help="what mainnet asks to have typed")
    parser.add_argument("--seconds", type=positive, help="end flat after so long")
    parser.add_argument("--seed", type=int, default=1, help="the local market's")
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    parser.add_argument("--log-level", choices=levels, default="INFO")
    return parser.parse_args()


async def main(options: argparse.Namespace) -> None:
    """Run the ladder until it ends or is interrupted."""
    tuned, symbol = from_environment(os.environ)
    if options.seconds is not None:
        tuned = dataclasses.replace(tuned, seconds=float(options.seconds))
    async with open_world(
        options.network,
        live=options.live,
        confirm=options.confirm,
        seed=options.seed,
        symbols=[symbol],
    ) as world:
        print(f"{world.name}: {world.config.base_url}, market {symbol}")
        engine = TradingEngine(world)
        engine.add_strategy(TrendLadder(tuned, symbols=[symbol]))
        await engine.start()
        try:
            await engine.wait()
        finally:
            report = await engine.stop()
        for error in report.crashed.values():
            raise error
        if not report.is_clean:
            raise UsageError(f"orders that may still rest: {report.left}")


if __name__ == "__main__":
    chosen = arguments()
    words = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(level=chosen.log_level, format=words)
    sys.exit(run(main(chosen), name=Path(__file__).name))
