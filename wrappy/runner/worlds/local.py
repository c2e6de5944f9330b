"""The local exchange as a world: started here, or running already."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import tempfile
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wrappy.errors import ConfigError
from wrappy.lighter.config import ApiKeyConfig, complete
from wrappy.runner.worlds.intent import require_intent
from wrappy.runner.worlds.key_file import read_key_file
from wrappy.runner.worlds.world import World
from wrappy.venue import Venue
from wrappy.venue.accounts import make_accounts
from wrappy.venue.settings import VenueSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from wrappy.lighter.config import DealerConfig
    from wrappy.runner.worlds.settings import WorldSettings
    from wrappy.venue.accounts import VenueAccount


@contextlib.asynccontextmanager
async def open_local(settings: WorldSettings) -> AsyncIterator[World]:
    """Open a local exchange as a world, and close it in the end if it began here.

    Raises:
        ConfigError: something does not fit, or a `url` beyond this machine was not
            confirmed.
    """
    if settings.url is None:
        async with _embedded(settings) as world:
            yield world
    else:
        yield _running(settings, settings.url)


@contextlib.asynccontextmanager
async def _embedded(settings: WorldSettings) -> AsyncIterator[World]:
    venue = (
        Venue(settings=settings.settings)
        if settings.settings is not None
        else Venue(
            seed=settings.seed,
            symbols=settings.symbols or None,
            tape=settings.tape,
            tier=settings.tier,
        )
    )
    owner = account_of(venue.accounts, settings.account)
    with contextlib.ExitStack() as stack:
        folder = settings.dealer.state_dir
        if folder is None:
            # Nobody can go on with what ends with the exchange.
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="wrappy-venue-")
            )
        async with venue:
            config = dataclasses.replace(
                settings.dealer,
                base_url=venue.base_url,
                chain_id=venue.chain_id,
                state_dir=folder,
            )
            yield World(
                name="venue",
                config=owned(config, owner),
                environment=settings.environment,
                seed=settings.seed,
                accounts=venue.accounts,
                place=venue.page_url,
            )


def _running(settings: WorldSettings, url: str) -> World:
    given = settings.dealer
    if settings.key_file is not None:
        keys = read_key_file(settings.key_file)
        given = dataclasses.replace(
            given, account_index=keys.account_index, api_keys=keys.api_keys
        )
    given = dataclasses.replace(given, base_url=url)
    if given.dead_man_s is None:
        # It outlives us.
        given = dataclasses.replace(given, dead_man_s=settings.dead_man_s)
    if not is_loopback(url):
        config = complete(given)
        require_intent(settings, config, f"the exchange at {url}")
    elif given.api_keys:
        config = complete(given)
    else:
        # The accounts of a local exchange follow from its seed.
        count = max(2, settings.account + 1)
        made = make_accounts(VenueSettings(seed=settings.seed, account_count=count))
        owner = account_of(made, settings.account)
        config = complete(owned(given, owner))
    return World(
        name="venue",
        config=config,
        environment=settings.environment,
        seed=settings.seed,
        place=url,
    )


def account_of(accounts: Sequence[VenueAccount], number: int) -> VenueAccount:
    """Return one of a local exchange's accounts.

    Raises:
        ConfigError: there are not so many.
    """
    if number >= len(accounts):
        raise ConfigError(f"account: {number}, but there are only {len(accounts)}")
    return accounts[number]


def owned(config: DealerConfig, owner: VenueAccount) -> DealerConfig:
    """Return settings with an account of a local exchange in them."""
    return dataclasses.replace(
        config,
        account_index=owner.account_index,
        api_keys=tuple(
            ApiKeyConfig(key.api_key_index, key.api_key_private_key)
            for key in owner.api_keys
        ),
        standard_account=owner.tier == "standard",
    )


def is_loopback(url: str) -> bool:
    """Return whether an address is on this machine, whatever name servers say."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
