"""Where a strategy trades: the local exchange by default, a real one on request.

Nothing leaves the machine unless the caller names a network, and nothing reaches
mainnet unless it is told a second time.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wrappy.errors import ConfigError
from wrappy.lighter.config import NETWORKS, ApiKeyConfig, DealerConfig, complete
from wrappy.lighter.config_checks import check_base_url
from wrappy.venue import Venue
from wrappy.venue.tape import tape_symbol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Network:
    """A place to trade.

    Attributes:
        name: `venue`, `testnet`, `mainnet`, or an address.
        accounts: ready settings, one for each account, without a market.
        symbol: market to trade unless somebody names one: the tape's, or ETH.
        venue: the local exchange, if that is what it is.
    """

    name: str
    accounts: tuple[DealerConfig, ...]
    symbol: str = "ETH"
    venue: Venue | None = None


@contextlib.asynccontextmanager
async def open_network(
    name: str = "venue",
    *,
    live: bool = False,
    seed: int = 1,
    tape: Path | None = None,
    tier: str = "premium",
) -> AsyncIterator[Network]:
    """Open a place to trade and close it in the end.

    Args:
        name: `venue` starts a local exchange; `testnet` and `mainnet` take account
            and key from `LIGHTER_*` variables; so does an address, such as that of
            a local exchange that runs already.
        live: needed for mainnet, and for an address that is not of this machine:
            real money.
        seed: seed of the local exchange.
        tape: recorded market that the local exchange replays.
        tier: account tier at the local exchange.

    Raises:
        ConfigError: no such network, or real money without `live`.
    """
    if name == "venue":
        async with Venue(seed=seed, tape=tape, tier=tier) as venue:
            symbol = "ETH" if tape is None else tape_symbol(tape)
            yield Network(name, venue_configs(venue), symbol, venue)
        return
    address = address_of(name)
    require_live(address, live=live, name=name)
    config = complete(DealerConfig(base_url=address))
    yield Network(name, (config,))


def address_of(name: str) -> str:
    """Return the address of an exchange that runs somewhere: a network's, or itself.

    Raises:
        ConfigError: it is neither a network nor an address.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    if not name.startswith(("http://", "https://")):
        raise ConfigError(
            f"network: {name!r} is none of venue, testnet, mainnet, and no address"
        )
    return check_base_url(name)


def require_live(address: str, *, live: bool, name: str | None = None) -> None:
    """Refuse real money unless it is meant.

    Args:
        address: of an exchange; only testnet's and those of this machine are known
            to be harmless.
        live: whether real money is meant.
        name: what the person called it; None for the address itself.

    Raises:
        ConfigError: it may be real money, and is not meant.
    """
    if not live and not _is_play_money(address):
        raise ConfigError(
            f"network: {name or address} trades real money; add --live to mean it"
        )


def _is_play_money(address: str) -> bool:
    # What is not known to be harmless may be the real one by another name.
    local = urlsplit(address).hostname in ("localhost", "127.0.0.1", "::1")
    return local or address == NETWORKS["testnet"]


def venue_configs(venue: Venue) -> tuple[DealerConfig, ...]:
    """Return settings for every account of a local exchange."""
    return tuple(
        DealerConfig(
            base_url=venue.base_url,
            chain_id=venue.chain_id,
            account_index=account.account_index,
            api_keys=tuple(
                ApiKeyConfig(key.api_key_index, key.api_key_private_key)
                for key in account.api_keys
            ),
            standard_account=account.tier == "standard",
        )
        for account in venue.accounts
    )
