"""Where a strategy trades: the local exchange by default, a real one on request.

Nothing leaves the machine unless the caller names a network, and nothing reaches
mainnet unless it is told a second time.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wrappy.errors import ConfigError
from wrappy.lighter.config import NETWORKS, ApiKeyConfig, DealerConfig, complete
from wrappy.venue import Venue
from wrappy.venue.tape import tape_symbol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Network:
    """A place to trade.

    Attributes:
        name: `venue`, `testnet` or `mainnet`.
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
            and key from `LIGHTER_*` variables.
        live: needed for mainnet as well: real money.
        seed: seed of the local exchange.
        tape: recorded market that the local exchange replays.
        tier: account tier at the local exchange.

    Raises:
        ConfigError: no such network, or mainnet without `live`.
    """
    if name == "venue":
        async with Venue(seed=seed, tape=tape, tier=tier) as venue:
            symbol = "ETH" if tape is None else tape_symbol(tape)
            yield Network(name, venue_configs(venue), symbol, venue)
        return
    if name not in NETWORKS:
        raise ConfigError(f"network: {name!r} is none of venue, testnet, mainnet")
    if name == "mainnet" and not live:
        raise ConfigError("network: mainnet trades real money; add --live to mean it")
    config = complete(DealerConfig(base_url=NETWORKS[name]))
    yield Network(name, (config,))


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
