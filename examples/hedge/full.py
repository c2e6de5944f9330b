"""The two-account hedge, both legs in one process.

Idea: leg A quotes as a maker, leg B takes the other side of each fill at the market, so
that the pair is long and short the same amount. See leg_a.py and leg_b.py.

Parameters: `--size`, `--rounds`, `--seed`; or `--config` with two accounts of a real
network. Risks: those of both legs; with REDIS_URL the messages go through Redis.

Try it: python -m examples.hedge.full --rounds 2
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from examples.hedge.base import open_post, say
from examples.hedge.journal import HedgeJournal
from examples.hedge.leg_a import LegA
from examples.hedge.leg_b import LegB
from examples.hedge.settings import StrategySettings, open_bus, read_settings
from wrappy import ConfigError
from wrappy.lighter.config import NETWORKS
from wrappy.lighter.environment import NATIVE
from wrappy.runner.command import OneLineParser, positive, run
from wrappy.runner.network import open_network

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from wrappy import DealerConfig
    from wrappy.lighter.environment import Environment
    from wrappy.runner.bus import MessageBus


async def hedge(
    configs: tuple[DealerConfig, DealerConfig],
    strategy: StrategySettings,
    bus: MessageBus,
    *,
    environment: Environment = NATIVE,
    journal: Path | None = None,
    tell: Callable[[str], None] = say,
) -> tuple[int, int]:
    """Run both legs until leg A has done its rounds; return both positions in lots.

    Raises:
        HedgeHaltedError: the pair could not be brought into balance.
    """
    first, second = configs
    accounts = (first.account_index or 0, second.account_index or 0)
    async with (
        open_post(
            first, accounts, strategy, bus, environment=environment, tell=tell
        ) as post_a,
        open_post(
            second, accounts, strategy, bus, environment=environment, tell=tell
        ) as post_b,
    ):
        leg_b = await LegB.create(post_b, HedgeJournal(journal))
        leg_a = await LegA.create(post_a)
        work = [asyncio.ensure_future(leg.run()) for leg in (leg_b, leg_a)]
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            for one in work:
                one.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        position, reading = await post_a.positions()
        if not position and reading.exposure:
            # Less than the smallest order was carried along: nothing to carry it for.
            await post_b.dealer.close_position()
            position, reading = await post_a.positions()
        return position, reading.exposure - position


async def main(options: argparse.Namespace) -> None:
    """Trade on the local exchange, or on the accounts of a settings file."""
    async with contextlib.AsyncExitStack() as stack:
        if options.network == "venue":
            network = await stack.enter_async_context(open_network(seed=options.seed))
            strategy = StrategySettings()
            first, second = (
                dataclasses.replace(one, symbol=strategy.market)
                for one in network.accounts[:2]
            )
        else:
            if options.network == "mainnet" and not options.live:
                raise ConfigError("network: mainnet trades real money; add --live")
            if options.config is None or options.network not in NETWORKS:
                raise ConfigError("network: venue, or testnet, mainnet with --config")
            settings = read_settings(options.config)
            if settings.base_url != NETWORKS[options.network]:
                raise ConfigError(f"lighter.base_url: is not {options.network}'s")
            strategy = settings.strategy
            first, second = settings.dealer_config("a"), settings.dealer_config("b")
        given = {"size": options.size, "rounds": options.rounds}
        given = {name: value for name, value in given.items() if value is not None}
        strategy = dataclasses.replace(strategy, **given)
        bus = open_bus()
        stack.push_async_callback(bus.aclose)
        say(f"{options.network}: {first.base_url}, market {strategy.market}")
        a, b = await hedge((first, second), strategy, bus, journal=options.journal)
        say(f"done: A holds {a} lots, B holds {b}")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = OneLineParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--network", default="venue", help="venue, testnet, mainnet")
    parser.add_argument("--live", action="store_true", help="mean it on mainnet")
    parser.add_argument("--config", type=Path, help="settings in YAML")
    parser.add_argument("--size", type=positive, help="of leg A's orders")
    parser.add_argument("--rounds", type=int, help="open and close so often")
    parser.add_argument("--journal", type=Path, help="file of the fills acted on")
    parser.add_argument("--seed", type=int, default=1, help="the local market's")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(run(main(arguments()), name="hedge"))
