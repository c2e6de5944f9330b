"""Watches a running engine and says when something is wrong.

Idea: every few seconds ask the engine `get_status` and its guard `get_risk_status`, and
compare both with thresholds. What is wrong is told once when it begins and once when
it is over, not at every look. What is not known, such as the account's worth before
the first answer, is told as unknown and never passed over.

Parameters: `--every` seconds, `--drawdown` as a part of the best equity, `--daily-loss`
in USDC, `--seconds` in all; `--drill` halts the guard after so many seconds, for two
looks, to see that the alert arrives where it should.

Risks: a watcher in the trading process dies with it. For what has to arrive when nobody
looks at the terminal, the package has alerts on a thread of their own, which also tell
of a loop that stands still; see the settings' section [alerts]. A drill is no game: a
halted guard takes the strategy's orders away. In the end orders are gone and the
position is closed.

Runs against a local exchange unless `--network testnet|mainnet` is given; mainnet also
wants `--live`.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strategies.mean_reversion import MeanReversion

from wrappy import UsageError
from wrappy.runner.command import OneLineParser, positive, run
from wrappy.runner.engine import TradingEngine
from wrappy.runner.risk import flatten
from wrappy.runner.risk.guard import AccountGuard
from wrappy.runner.risk.limits import RiskLimits
from wrappy.runner.worlds.opening import open_world

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from wrappy.runner.worlds.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When to speak.

    Attributes:
        drawdown: equity so far below its best, as a part of it.
        daily_loss: lost since 00:00 UTC, USDC.
        equity_age_s: the account's worth is older than this, seconds.
        unknown_orders: so many orders of unknown fate are too many.
    """

    drawdown: Decimal = Decimal("0.10")
    daily_loss: Decimal = Decimal(1000)
    equity_age_s: float = 60.0
    unknown_orders: int = 1


def problems(
    status: Mapping[str, Any], risk: Mapping[str, Any], limits: Thresholds
) -> dict[str, str]:
    """Return what is wrong, in words by a name that stays the same.

    Args:
        status: of the engine.
        risk: of its guard.
        limits: when to speak.
    """
    found: dict[str, str] = {}
    if not status["is_running"]:
        found["engine"] = "the engine does not run"
    for name, state in status["strategies"].items():
        if state == "crashed":
            found[f"strategy {name}"] = f"{name} has crashed"
    for note in status["notes"]:
        found[f"note {note}"] = note
    if risk["state"] != "active":
        found["guard"] = f"the guard is {risk['state']}: {risk['reason']}"
    if risk["unknown_orders"] >= limits.unknown_orders:
        found["unknown"] = f"{risk['unknown_orders']} order(s) of unknown fate"
    return found | money_problems(risk, limits)


def money_problems(risk: Mapping[str, Any], limits: Thresholds) -> dict[str, str]:
    """Return what is wrong with the account's money, in the same form."""
    drawdown, daily = risk["drawdown"], risk["daily_pnl"]
    if drawdown is None or daily is None:
        return {"equity": "the account's worth is not known"}
    found = {}
    if drawdown > limits.drawdown:
        found["drawdown"] = f"drawdown {drawdown:.2%}"
    if daily < -limits.daily_loss:
        found["daily loss"] = f"lost {-daily:.2f} USDC today"
    if risk["equity_age"] > limits.equity_age_s:
        found["equity"] = f"the account's worth is {risk['equity_age']:.0f} s old"
    return found


@dataclass
class Watcher:
    """Tells of a problem when it begins and when it is over."""

    told: dict[str, str] = field(default_factory=dict)

    def news(self, found: Mapping[str, str]) -> list[str]:
        """Return the lines that are new since the last look."""
        lines = [f"ALERT  {found[name]}" for name in found if name not in self.told]
        lines += [
            f"over   {self.told[name]}" for name in self.told if name not in found
        ]
        self.told = dict(found)
        return lines


async def watch(
    engine: TradingEngine, guard: AccountGuard, limits: Thresholds, *, every: float
) -> None:
    """Look again and again, for as long as this is not cancelled."""
    watcher = Watcher()
    while True:
        await asyncio.sleep(every)
        status, risk = engine.get_status(), guard.get_risk_status()
        for line in watcher.news(problems(status, risk, limits)):
            print(line)
        equity, daily = risk["current_equity"], risk["daily_pnl"]
        money = (
            "worth unknown"
            if equity is None
            else f"worth {equity:.2f}, day {daily:+.2f}"
        )
        orders = risk["open_orders_count"]
        print(f"{status['uptime']:5.0f} s  {risk['state']}, {money}, {orders} order(s)")


async def drill(guard: AccountGuard, *, after: float, lasts: float) -> None:
    """Halt the guard for a while, as a person would."""
    await asyncio.sleep(after)
    guard.halt("a drill")
    await asyncio.sleep(lasts)
    guard.resume()


async def trade(
    world: World,
    symbol: str,
    limits: Thresholds,
    *,
    seconds: float,
    every: float,
    drill_after: float | None = None,
) -> None:
    """Run one strategy and watch it; leave with no order and no position.

    Args:
        world: where.
        symbol: its market.
        limits: when to speak.
        seconds: how long.
        every: seconds between two looks.
        drill_after: when the guard is halted for two looks; None for never.

    Raises:
        UsageError: the strategy has crashed, or something is left.
    """
    guard = AccountGuard(RiskLimits(max_open_orders=10))
    engine = TradingEngine(world, guard=guard)
    engine.add_strategy(MeanReversion(symbols=[symbol]))
    await engine.start()
    beside = [watch(engine, guard, limits, every=every)]
    if drill_after is not None:
        beside.append(drill(guard, after=drill_after, lasts=2 * every))
    work = [asyncio.ensure_future(one) for one in beside]
    try:
        await asyncio.wait(work[:1], timeout=seconds)
    finally:
        for one in work:
            one.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        report = await engine.stop()
        left = await flatten(world, [symbol])
        print(f"stopped: {left}")
    if report.crashed or not report.is_clean or not left.is_clean:
        crashed = ", ".join(f"{name}: {why}" for name, why in report.crashed.items())
        raise UsageError(f"crashed: {crashed or 'nobody'}; {left}")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = OneLineParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--network", default="venue", help="venue, testnet, mainnet")
    parser.add_argument("--live", action="store_true", help="mean it on mainnet")
    parser.add_argument("--seed", type=int, default=1, help="the local market's")
    parser.add_argument("--symbol", default="ETH")
    parser.add_argument("--seconds", type=positive, default=Decimal(600))
    parser.add_argument("--every", type=positive, default=Decimal(10))
    parser.add_argument("--drill", type=positive, help="halt after so many seconds")
    parser.add_argument("--drawdown", type=positive, default=Decimal("0.10"))
    parser.add_argument("--daily-loss", type=positive, default=Decimal(1000))
    return parser.parse_args()


async def main(options: argparse.Namespace) -> None:
    """Open the network and trade on its first account."""
    limits = Thresholds(drawdown=options.drawdown, daily_loss=options.daily_loss)
    async with open_world(
        options.network,
        live=options.live,
        seed=options.seed,
        symbols=[options.symbol],
    ) as world:
        await trade(
            world,
            options.symbol,
            limits,
            seconds=float(options.seconds),
            every=float(options.every),
            drill_after=None if options.drill is None else float(options.drill),
        )


if __name__ == "__main__":
    sys.exit(run(main(arguments()), name=Path(__file__).name))
