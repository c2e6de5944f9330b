"""The public exchange as a world: testnet, or mainnet when that is really meant."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import TYPE_CHECKING

from wrappy.errors import ConfigError
from wrappy.lighter.config import complete, complete_address
from wrappy.runner.worlds.intent import require_intent, require_live
from wrappy.runner.worlds.key_file import read_key_file
from wrappy.runner.worlds.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from wrappy.lighter.config import DealerConfig
    from wrappy.runner.worlds.settings import WorldSettings


@contextlib.asynccontextmanager
async def open_live(settings: WorldSettings) -> AsyncIterator[World]:
    """Open testnet or mainnet as a world; nothing is sent before it is used.

    Account and key come from `settings.dealer`, a key file, or `LIGHTER_*` variables.

    Raises:
        ConfigError: mainnet is not meant, the variables name another exchange, or
            account or key are missing.
    """
    if settings.name == "mainnet":
        require_live(settings, "mainnet")
    config = _config(settings)
    if settings.name == "mainnet":
        require_intent(settings, config, "mainnet")
    yield World(
        name=settings.name,
        config=config,
        environment=settings.environment,
        seed=settings.seed,
        place=config.base_url or "",
    )


def _config(settings: WorldSettings) -> DealerConfig:
    config = dataclasses.replace(
        settings.dealer, base_url=settings.networks[settings.name]
    )
    if config.dead_man_s is None:
        config = dataclasses.replace(config, dead_man_s=settings.dead_man_s)
    if settings.key_file is not None:
        keys = read_key_file(settings.key_file)
        config = dataclasses.replace(
            config, account_index=keys.account_index, api_keys=keys.api_keys
        )
    elif not config.api_keys:
        _check_same_exchange(settings.name, config)
    return complete(config)


def _check_same_exchange(name: str, config: DealerConfig) -> None:
    # A key for one exchange is not to be shown to another.
    named = os.environ.get("LIGHTER_BASE_URL")
    if not named:
        return
    theirs = dataclasses.replace(config, base_url=named, chain_id=None)
    ours = dataclasses.replace(config, chain_id=None)
    if complete_address(theirs).base_url != complete_address(ours).base_url:
        raise ConfigError(
            f"LIGHTER_BASE_URL: names another exchange than {name}, so its key may "
            "be another's too; unset it, or give a key file"
        )
