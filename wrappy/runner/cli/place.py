"""From settings to a world: which exchange, whose account, how careful."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from wrappy.errors import ConfigError
from wrappy.lighter.config import (
    NETWORKS,
    ApiKeyConfig,
    DealerConfig,
    read_environment,
)
from wrappy.lighter.config_checks import check_base_url
from wrappy.runner.cli.bot_files import BotFacts, state_dir_of
from wrappy.runner.worlds.key_file import read_key_file
from wrappy.runner.worlds.opening import open_world
from wrappy.runner.worlds.settings import WorldSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from wrappy.runner.settings.sections import BotSettings
    from wrappy.runner.worlds.world import World


def world_settings(
    settings: BotSettings,
    symbols: Sequence[str],
    *,
    live: bool = False,
    confirm: Callable[[str], bool] | None = None,
    dry_run: bool = False,
    key_file: Path | None = None,
) -> WorldSettings:
    """Return what the world of a settings file is opened with.

    Args:
        settings: the file's.
        symbols: markets that are traded.
        live: real money is meant.
        confirm: is asked about it.
        dry_run: nothing is sent.
        key_file: another key than the settings'.

    Raises:
        ConfigError: an address does not go with the network.
    """
    network, engine = settings.network, settings.engine
    dealer: dict[str, Any] = {
        "account_index": network.account_index,
        "unknown_orders": engine.unknown_orders,
        "use_websocket": engine.use_websocket,
        "standard_account": engine.standard_account,
        "slippage_bps": engine.slippage_bps,
    }
    if not _ends_with_us(settings):
        dealer["state_dir"] = str(state_dir_of(settings))
    keys = key_file or _key_file(settings)
    if keys is None and network.name == "venue" and network.url is not None:
        dealer["api_keys"] = _keys_of_environment()
    return WorldSettings(
        name=network.name,
        symbols=tuple(symbols),
        seed=network.seed,
        url=_url(settings),
        tape=None if network.tape is None else settings.place(network.tape),
        live=live,
        confirm=confirm,
        key_file=None if _ends_with_us(settings) else keys,
        dry_run=dry_run,
        dead_man_s=engine.dead_man_s or None,
        dealer=DealerConfig(**dealer),
    )


@contextlib.asynccontextmanager
async def open_place(
    settings: BotSettings,
    symbols: Sequence[str],
    *,
    live: bool = False,
    confirm: Callable[[str], bool] | None = None,
    dry_run: bool = False,
) -> AsyncIterator[World]:
    """Open the world of a settings file and close it in the end.

    Raises:
        ConfigError: see `open_world`.
    """
    wanted = world_settings(
        settings, symbols, live=live, confirm=confirm, dry_run=dry_run
    )
    async with open_world(wanted) as world:
        yield world


def facts_of(settings: BotSettings, world: World, symbols: Sequence[str]) -> BotFacts:
    """Return what has to be known to go on without the bot."""
    config = world.config
    return BotFacts(
        network=settings.network.name,
        base_url=config.base_url or "",
        account_index=config.account_index or 0,
        api_key_index=config.api_keys[0].api_key_index if config.api_keys else 0,
        symbols=tuple(symbols),
        outlives=not _ends_with_us(settings),
    )


def secrets_of(settings: BotSettings) -> set[str]:
    """Return the keys and tokens that a bot may hold, to keep them out of its log.

    Files are read where the bot needs them: an exchange in this process has accounts
    of its own.

    Raises:
        ConfigError: a file that is needed cannot be used.
    """
    said = read_environment()
    names = ("api_key_private_key", "l1_private_key", "auth_token")
    found = {said[name] for name in names if name in said}
    if _ends_with_us(settings):
        return found
    spare = settings.network.spare_key_file
    for file in (_key_file(settings), None if spare is None else settings.place(spare)):
        if file is not None:
            keys = read_key_file(file).api_keys
            found |= {key.api_key_private_key for key in keys}
    return found


def _ends_with_us(settings: BotSettings) -> bool:
    """Whether the exchange is part of this process, and nothing outlives it."""
    network = settings.network
    return network.name == "paper" or (network.name == "venue" and network.url is None)


def _key_file(settings: BotSettings) -> Path | None:
    """Return the file of the key, unless the environment has one."""
    name = settings.network.key_file
    if name is None or os.environ.get("LIGHTER_API_KEY"):
        return None
    return settings.place(name)


def _keys_of_environment() -> tuple[ApiKeyConfig, ...]:
    said = read_environment()
    key, index = said.get("api_key_private_key"), said.get("api_key_index")
    if key is None:
        return ()
    if index is None:
        raise ConfigError("LIGHTER_API_KEY_INDEX: missing beside LIGHTER_API_KEY")
    return (ApiKeyConfig(index, key),)


def _url(settings: BotSettings) -> str | None:
    network = settings.network
    if network.url is None or network.name not in NETWORKS:
        return network.url
    if check_base_url(network.url) != check_base_url(NETWORKS[network.name]):
        raise ConfigError(
            f"network.url: {network.url} is not {network.name}; leave it out (and "
            "unset LIGHTER_BASE_URL), or name the network it belongs to"
        )
    return None
