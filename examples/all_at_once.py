"""Every strategy on one account at once, and one more that joins while they run.

Idea: one `TradingEngine`, one account, one key. Mean reversion, momentum and arbitrage
start together; UT Bot is added while they trade. Each has orders of its own and keeps
them apart from those of the others. Whoever crashes is taken down alone.

Parameters: `--seconds` in all, `--join` after how many of them UT Bot comes in,
`--resolution` of the candles that the strategies look at.

Risks: an account has one position in each market, whoever wanted it. So every strategy
has a market of its own here; two in one market would undo each other's trades. The
risk guard stands before all of them together. In the end orders are gone and positions
are closed, except for a pair of arbitrage: each side of it covers the other, and to
close one alone would be a bet.

Runs against a local exchange unless `--network testnet|mainnet` is given; mainnet also
wants `--live`.
"""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strategies.arbitrage import Arbitrage
from strategies.mean_reversion import MeanReversion, MeanReversionParameters
from strategies.momentum import Momentum, MomentumParameters
from strategies.ut_bot import UTBotParameters, UTBotStrategy

from wrappy import UsageError
from wrappy.runner.command import OneLineParser, positive, run
from wrappy.runner.engine import TradingEngine
from wrappy.runner.risk import flatten
from wrappy.runner.risk.guard import AccountGuard
from wrappy.runner.risk.limits import RiskLimits
from wrappy.runner.worlds.opening import open_world

if TYPE_CHECKING:
    import argparse

    from wrappy.runner.strategy import Strategy
    from wrappy.runner.worlds.world import World

SYMBOLS = ("ETH", "ETH/USDC", "BTC", "SOL", "BNB")
CLOSED_IN_THE_END = ("BTC", "SOL", "BNB")
LIMITS = RiskLimits(max_total_notional=Decimal(20_000), max_open_orders=20)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = OneLineParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--network", default="venue", help="venue, testnet, mainnet")
    parser.add_argument("--live", action="store_true", help="mean it on mainnet")
    parser.add_argument("--seed", type=int, default=1, help="the local market's")
    parser.add_argument("--seconds", type=positive, default=Decimal(600))
    parser.add_argument("--join", type=positive, default=Decimal(60))
    parser.add_argument("--resolution", default="1m", help="of candles: %(default)s")
    return parser.parse_args()


def first_three(resolution: str) -> list[Strategy[Any]]:
    """Return the strategies that start with the engine, each in its own market."""
    reverting = MeanReversionParameters(resolution=resolution, size=Decimal("0.003"))
    following = MomentumParameters(resolution=resolution, size=Decimal("0.5"))
    return [
        Arbitrage(symbols=["ETH", "ETH/USDC"]),
        MeanReversion(reverting, symbols=["BTC"]),
        Momentum(following, symbols=["SOL"]),
    ]


def latecomer(resolution: str) -> Strategy[Any]:
    """Return the strategy that joins them."""
    turning = UTBotParameters(resolution=resolution, size=Decimal("0.5"))
    return UTBotStrategy(turning, symbols=["BNB"])


async def trade(world: World, *, seconds: float, join: float, resolution: str) -> None:
    """Let all of them trade, then leave with no order and nothing but pairs.

    Raises:
        UsageError: a strategy has crashed, or something is left.
    """
    engine = TradingEngine(world, guard=AccountGuard(LIMITS))
    for strategy in first_three(resolution):
        engine.add_strategy(strategy)
    await engine.start()
    try:
        await asyncio.sleep(min(join, seconds))
        tell(engine, "before")
        name = engine.add_strategy(latecomer(resolution))
        print(f"added     {name}, while the others run")
        await asyncio.sleep(max(seconds - join, 1.0))
        tell(engine, "after")
    finally:
        pair = engine.get_status()["positions"].get("ETH")
        report = await engine.stop()
        left = await flatten(world, CLOSED_IN_THE_END)
        print(f"stopped   in {report.took_s:.1f} s")
        print(f"          {', '.join(CLOSED_IN_THE_END)}: {left}")
        if pair:
            print(f"          {pair} ETH stays, against as much of ETH/USDC")
    if report.crashed or not report.is_clean or not left.is_clean:
        crashed = ", ".join(f"{name}: {why}" for name, why in report.crashed.items())
        raise UsageError(f"crashed: {crashed or 'nobody'}; {left}")


def tell(engine: TradingEngine, when: str) -> None:
    """Print what the engine says of itself."""
    status = engine.get_status()
    states = [f"{name} {state}" for name, state in status["strategies"].items()]
    held = [f"{size} {symbol}" for symbol, size in status["positions"].items() if size]
    print(f"{when:<9} {status['uptime']:.0f} s: {', '.join(states)}")
    print(f"          positions: {', '.join(held) or 'none'}")


async def main(options: argparse.Namespace) -> None:
    """Open the network and run all strategies on its first account."""
    async with open_world(
        options.network, live=options.live, seed=options.seed, symbols=SYMBOLS
    ) as world:
        print(f"{world.name}: {world.config.base_url}\n")
        await trade(
            world,
            seconds=float(options.seconds),
            join=float(options.join),
            resolution=options.resolution,
        )


if __name__ == "__main__":
    sys.exit(run(main(arguments()), name=Path(__file__).name))
