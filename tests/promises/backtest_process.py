"""Runs one backtest and prints its ledger hash: for other processes to compare."""

from __future__ import annotations

import random
import sys
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_MS = 1_800_000_000_000
LENGTH_MS = 60_000

sys.path[:0] = [str(ROOT), str(ROOT / "examples" / "strategies")]

from momentum import Momentum, MomentumParameters  # noqa: E402 - found above

from wrappy.model import Candle  # noqa: E402
from wrappy.runner.backtest import (  # noqa: E402
    BacktestSettings,
    CandleData,
    run_backtest,
)


def walk(count, seed=5, price=300_000):
    """Return candles of a random walk, in whole cents."""
    chance = random.Random(f"walk {seed}")
    rows = []
    for number in range(count):
        points = [price]
        for _ in range(4):
            points.append(max(1_000, points[-1] + chance.randint(-300, 300)))
        price = points[-1]
        told = (points[0], max(points), min(points), points[-1])
        rows.append(
            Candle(
                START_MS + number * LENGTH_MS,
                *(Decimal(one) / 100 for one in told),
                Decimal(chance.randint(1, 500)) / 10,
                Decimal(0),
                0,
                True,
            )
        )
    return rows


def make():
    """Return the strategy that is run."""
    return Momentum(MomentumParameters(threshold=0.0005))


def run(seed=3):
    """Return the run."""
    settings = BacktestSettings(seed=seed, request_ms=(5, 60), reply_ms=(5, 60))
    return run_backtest(make, CandleData("ETH", "1m", walk(300)), settings)


if __name__ == "__main__":
    done = run()
    sys.stdout.write(f"{done.ledger_hash} {len(done.fills)}\n")
