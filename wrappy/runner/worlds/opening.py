"""Opens a world by its name: one way in, whichever world it is."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import UsageError
from wrappy.runner.worlds.dry_run import DryRunLog
from wrappy.runner.worlds.live import open_live
from wrappy.runner.worlds.local import open_local
from wrappy.runner.worlds.paper import open_paper
from wrappy.runner.worlds.settings import WorldSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from wrappy.runner.worlds.world import World, WorldName

_OPENERS: Final[
    dict[str, Callable[[WorldSettings], AbstractAsyncContextManager[World]]]
] = {
    "venue": open_local,
    "paper": open_paper,
    "testnet": open_live,
    "mainnet": open_live,
}


@contextlib.asynccontextmanager
async def open_world(
    wanted: WorldName | WorldSettings = "venue", **more: Any
) -> AsyncIterator[World]:
    """Open a world and close it in the end.

        async with open_world("venue", seed=1, symbols=["ETH"]) as world:
            engine = TradingEngine(world)

    Nothing leaves this machine unless the name says so, and nothing reaches mainnet
    unless it is meant twice, see `WorldSettings`.

    Args:
        wanted: the world's name, or all its settings.
        more: fields of `WorldSettings`, besides a name.

    Raises:
        ConfigError: settings that cannot work, or real money that was not confirmed;
            nothing was sent.
        StreamClosedError: paper: the public market did not come in time.
    """
    if isinstance(wanted, WorldSettings):
        if more:
            raise UsageError(f"{next(iter(more))}: write it into the settings")
        settings = wanted
    else:
        settings = WorldSettings(name=wanted, **more)
    async with _OPENERS[settings.name](settings) as world:
        yield _dry(world) if settings.dry_run else world


def _dry(world: World) -> World:
    shown = DryRunLog()
    return dataclasses.replace(
        world,
        # A dry run has nothing that a switch would have to take away.
        config=dataclasses.replace(
            world.config, prefer_high_level=True, dead_man_s=None
        ),
        environment=shown.noted(world.environment),
        shown=shown,
    )
