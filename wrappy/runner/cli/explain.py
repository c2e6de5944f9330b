"""`wrappy explain`: the life of one order."""

from __future__ import annotations

import asyncio
import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wrappy.errors import ConfigError
from wrappy.runner.cli.columns import one_line, table
from wrappy.runner.cli.looking import open_account, settings_for
from wrappy.runner.command import FAILED
from wrappy.runner.explain.asking import explain as ask

if TYPE_CHECKING:
    from wrappy.runner.explain.life import OrderLife
    from wrappy.runner.settings.sections import BotSettings

_LARGEST = (1 << 48) - 1


def explain(
    order: int,
    config: Path | None = None,
    *,
    network: Literal["venue", "testnet", "mainnet"] | None = None,
    url: str | None = None,
    json: bool = False,
) -> int:
    """Tell the life of one order: sent, taken, traded, ended, and why.

    The journal and the exchange are asked; a bot may run meanwhile. Journal times
    are by this machine's clock, the others by the exchange's.

    Args:
        order: its client order index.
        config: settings file in TOML or YAML.
        network: the network instead.
        url: address of a running local exchange instead.
        json: print it as JSON.
    """
    if not 1 <= order <= _LARGEST:
        raise ConfigError(f"order: {order} is outside 1..{_LARGEST}")
    settings = settings_for(config, network, url)
    life = asyncio.run(_explained(settings, order))
    if life is None:
        sys.stderr.write(
            f"wrappy: order {order}: no journal here and no list of the exchange has "
            "it; the exchange lists the last thousand that ended\n"
        )
        return FAILED
    sys.stdout.write(dumps(life.as_json(), indent=2) + "\n" if json else as_text(life))
    return 0


async def _explained(settings: BotSettings, order: int) -> OrderLife | None:
    async with open_account(settings) as visit:
        return await ask(visit, order)


def as_text(life: OrderLife) -> str:
    """Return an order's life for people."""
    rows = [(e.at, e.source, one_line(e.words)) for e in life.events]
    head = f"order {life.client_order_index} {life.symbol}: {one_line(life.state)}"
    return f"{head}\n{table(('time (UTC)', 'told by', 'what'), rows)}\n"
