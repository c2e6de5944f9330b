"""Where a command looks that trades nothing, and as whom."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from wrappy.errors import ConfigError
from wrappy.lighter.config import NETWORKS, DealerConfig
from wrappy.lighter.visit import AccountVisit, Visit, open_visit
from wrappy.runner.cli.place import open_place
from wrappy.runner.settings.reading import read_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from wrappy.runner.settings.sections import BotSettings, NetworkName

__all__ = [
    "open_account",
    "open_exchange",
    "public_config",
    "settings_for",
    "symbols_of",
]


def settings_for(
    config: Path | None, network: NetworkName | None, url: str | None
) -> BotSettings:
    """Return the settings of a file, with what the command line says instead.

    Args:
        config: the file; None takes every default.
        network: the network instead.
        url: address of a running local exchange instead.

    Raises:
        ConfigError: the file cannot be used, or the address goes with no such network.
    """
    settings = read_settings(config)
    if network is not None:
        settings = settings.on(network)
    if url is not None:
        if settings.network.name in NETWORKS:
            raise ConfigError(
                f"--url: {settings.network.name} has an address of its own; leave it "
                "out, or add --network venue"
            )
        section = dataclasses.replace(settings.network, url=url)
        settings = dataclasses.replace(settings, network=section)
    return settings


def symbols_of(settings: BotSettings) -> tuple[str, ...]:
    """Return every market of every strategy that is enabled, each once."""
    named = (s for row in settings.strategies if row.enabled for s in row.symbols)
    return tuple(dict.fromkeys(named))


def public_config(settings: BotSettings) -> DealerConfig | None:
    """Return settings that only hold an address; None for one that we start."""
    network = settings.network
    if network.url is not None:
        return DealerConfig(base_url=network.url)
    if network.name == "venue":
        return None
    # On paper it is mainnet's market that is traded, unless an address is given.
    return DealerConfig(base_url=NETWORKS["mainnet"])


@contextlib.asynccontextmanager
async def open_exchange(settings: BotSettings) -> AsyncIterator[Visit]:
    """Open a look at what everybody may see; a local exchange is started if need be.

    Raises:
        ConfigError: there is no such place.
    """
    config = public_config(_named(settings))
    if config is not None:
        async with open_visit(config) as visit:
            yield visit
        return
    async with (
        open_place(settings, symbols_of(settings)) as world,
        open_visit(world.config, world.environment) as visit,
    ):
        yield visit


@contextlib.asynccontextmanager
async def open_account(
    settings: BotSettings, *, outlives: bool = True
) -> AsyncIterator[AccountVisit]:
    """Open a look at the account of the settings; nothing is sent.

    Args:
        settings: of the bot.
        outlives: whether the account must have a life outside of this command.

    Raises:
        ConfigError: there is no account, or account or key are missing.
    """
    network = settings.network
    if network.name == "paper":
        raise ConfigError(
            "network: on paper there is no account to look at; name another with "
            "--network"
        )
    if outlives and network.name == "venue" and network.url is None:
        raise ConfigError(
            "network: a local exchange that is started here has nothing to look at "
            "yet; name a running one with --url, or a network with --network"
        )
    # Looking moves no money, so nobody has to be asked whether that is meant.
    async with (
        open_place(
            settings, symbols_of(settings), live=True, confirm=lambda _: True
        ) as world,
        open_visit(world.config, world.environment) as visit,
    ):
        if not isinstance(visit, AccountVisit):
            raise ConfigError("account_index: not given; there is no account")
        yield visit


def _named(settings: BotSettings) -> BotSettings:
    """Return settings in which a public network's own address stands."""
    network = settings.network
    if network.name not in NETWORKS:
        return settings
    section = dataclasses.replace(network, url=NETWORKS[network.name])
    return dataclasses.replace(settings, network=section)
