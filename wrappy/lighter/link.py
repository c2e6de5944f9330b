"""What all dealers and overlays of one process share towards one exchange.

One address has one pace and one market list; one API key has one nonce authority,
however many dealers use it. Whoever is first makes a link, whoever is last lets it
go.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import (
    AuthRejectedError,
    ConfigError,
    ConnectError,
    CredentialsError,
    ProtocolError,
    RateLimitedError,
    RequestTimeoutError,
    TransportError,
    VenueError,
    VenueUnavailableError,
)
from wrappy.lighter.asking.reading import rows_by_market
from wrappy.lighter.pacing.limiter import RequestPace
from wrappy.lighter.pacing.shared_budget import SharedBudget
from wrappy.lighter.persistence.state_files import origin
from wrappy.lighter.sending.allowance import AccountAllowance
from wrappy.lighter.sending.lane import KeyLane
from wrappy.protocol.markets import (
    BUNDLED_MARKETS,
    find_market,
    markets_from_details,
)
from wrappy.protocol.networks import CHAIN_IDS, known_chain_id
from wrappy.protocol.tiers import TIERS, tier_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.environment import RestConnection
    from wrappy.lighter.streaming.hub import StreamHub
    from wrappy.lighter.wire.token import TokenSource
    from wrappy.model import Market
    from wrappy.signing import Signer

logger = logging.getLogger("wrappy.link")

MARKETS_FRESH_S = 300.0
DETAILS_PATH = "/api/v1/orderBookDetails"
LIMITS_PATH = "/api/v1/accountLimits"
KEYS_PATH = "/api/v1/apikeys"

AGAIN_AFTER_S: Final = (0.5, 1.0)
"""Pauses before a start's question is asked again because its answer got lost."""

AGAIN_WITHIN_S: Final = 15.0
"""So long after the first time it may be: whoever waits for the start is told then."""


class ExchangeLink:
    """Pace, market list and key lanes towards one address."""

    def __init__(self, config: DealerConfig) -> None:
        self._shared = _shared_budget(config)
        self.pace = RequestPace(
            standard=config.standard_account,
            weight_per_minute=config.ip_weight_per_minute,
            clock=asyncio.get_running_loop().time,
            shared=self._shared,
        )
        self.users = 0
        self._dealers = 0
        self._tiers_told: set[int] = set()
        self._paced_for: tuple[bool | None, int | None] | None = None
        self._lanes: dict[tuple[int, int], KeyLane] = {}
        self._allowances: dict[int, AccountAllowance] = {}
        self.hubs: dict[tuple[object, ...], StreamHub] = {}
        self._markets: tuple[Market, ...] = ()
        self._markets_at = 0.0
        self._asking = asyncio.Lock()
        self._chain_checked = False

    def pace_for(self, config: DealerConfig) -> None:
        """Pace as a dealer's settings say, whatever an overlay began with.

        The first dealer's settings stand; one that differs is told in the log.

        Raises:
            ConfigError: `ip_weight_per_minute` is too small.
        """
        self._dealers += 1
        if config.budget_redis_url and self._shared is None:
            logger.warning(
                "budget_redis_url: somebody here talked to the exchange before and "
                "does not share its budget; start the dealer first"
            )
        asked = (config.standard_account, config.ip_weight_per_minute)
        if self._paced_for is None:
            self.pace.plan(standard=asked[0], weight_per_minute=asked[1])
            self._paced_for = asked
        elif self._paced_for != asked:
            logger.warning(
                "pace: standard_account=%s, ip_weight_per_minute=%s of the first "
                "dealer at this address hold for all",
                *self._paced_for,
            )

    async def learn_tier(
        self, rest: RestConnection, config: DealerConfig, tokens: TokenSource
    ) -> None:
        """Ask the exchange for the account's tier, once, if no setting tells it.

        While nobody knows, the slowest pace stands in, and no order is counted out.
        The pace of the address is that of the first account told.
        """
        account = config.account_index or 0
        allowance = self.allowance(account)
        if config.standard_account is not None:
            if account not in self._tiers_told:
                name = "standard" if config.standard_account else "premium"
                allowance.adopt(TIERS[name])
            return
        async with self._asking:
            if account in self._tiers_told:
                return
            try:
                token = await tokens.get()
                slot = {"account_index": account}
                answer = await self._ask(rest, LIMITS_PATH, slot, token=token.text)
            except (VenueError, TransportError, ProtocolError) as error:
                logger.warning("pace: the tier is not known, so slowly (%s)", error)
                return
            tier = tier_of(answer)
            if not self._tiers_told:
                self.pace.adopt(tier)
            self._tiers_told.add(account)
            allowance.adopt(tier)

    async def leave(self) -> None:
        """Note that a dealer has closed; the last one lets go of the shared budget."""
        self._dealers -= 1
        shared, last = self._shared, not self._dealers
        if shared is not None and last:
            await shared.aclose()

    def lane(self, account_index: int, api_key_index: int) -> KeyLane:
        """Return the lane of a key, the same one for everybody."""
        key = (account_index, api_key_index)
        if key not in self._lanes:
            self._lanes[key] = KeyLane(account_index, api_key_index)
        return self._lanes[key]

    def allowance(self, account_index: int) -> AccountAllowance:
        """Return the quota and caps of an account, the same for everybody."""
        return self._allowances.setdefault(account_index, AccountAllowance())

    async def markets(self, rest: RestConnection) -> tuple[Market, ...]:
        """Return the exchange's markets, asked at most every five minutes.

        Once they are known, a failure to ask again is no reason to wait or to fail.
        """
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if not self._markets:
                details = await self._ask(rest, DETAILS_PATH)
                self._markets = markets_from_details(details)
                self._markets_at = now
            elif now - self._markets_at > MARKETS_FRESH_S:
                self._markets_at = now
                await self.pace.wait(DETAILS_PATH)
                try:
                    self._markets = markets_from_details(await rest.get(DETAILS_PATH))
                except (VenueError, TransportError, ProtocolError) as error:
                    logger.warning("markets: the list stays as it was (%s)", error)
        return self._markets

    async def _ask(
        self,
        rest: RestConnection,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        token: str | None = None,
    ) -> dict[str, Any]:
        """Ask what a start has to know, again if the answer got lost or garbled.

        Not where no connection was made: nobody may be there at all.
        """
        loop = asyncio.get_running_loop()
        again_until = loop.time() + AGAIN_WITHIN_S
        for pause_s in AGAIN_AFTER_S:
            await self.pace.wait(path)
            try:
                return await rest.get(path, params, token=token)
            except ConnectError:
                raise
            except (TransportError, VenueUnavailableError, ProtocolError) as error:
                if loop.time() > again_until:
                    raise
                logger.warning("%s; asking again", error)
            await asyncio.sleep(pause_s)
        await self.pace.wait(path)
        return await rest.get(path, params, token=token)

    async def market(
        self, rest: RestConnection, config: DealerConfig, *, sends: bool
    ) -> Market:
        """Return the market that a config names.

        When the exchange cannot tell, the bundled table stands in, with a warning;
        for a dealer only if the config names both scales, because a wrong scale is
        a wrong price.

        Args:
            rest: where to ask.
            config: names the market.
            sends: whether orders will be sent with it.

        Raises:
            UnknownMarketError: no such market.
            ConfigError: the market is inactive or has other scales.
            VenueError, TransportError: the exchange cannot tell and the table may
                not stand in.
        """
        try:
            known = await self.markets(rest)
        except (RateLimitedError, VenueUnavailableError, RequestTimeoutError) as error:
            if sends and None in (config.price_scale, config.size_scale):
                raise
            logger.warning("markets: the bundled table stands in (%s)", error)
            known = BUNDLED_MARKETS
        market = find_market(known, symbol=config.symbol, market_id=config.market_index)
        for field_name in ("price_scale", "size_scale"):
            expected, actual = getattr(config, field_name), getattr(market, field_name)
            if expected is not None and expected != actual:
                raise ConfigError(
                    f"{field_name}: {expected} is not {market.symbol}'s, which is "
                    f"{actual}; leave it out"
                )
        if sends and not market.active:
            raise ConfigError(f"symbol: {market.symbol} is not active here")
        return market

    async def check_key(
        self, rest: RestConnection, signer: Signer, lane: KeyLane
    ) -> None:
        """Compare our key with the exchange's, once, before anything is signed.

        Raises:
            CredentialsError: the slot holds another key, or none.
            ProtocolError: the answer cannot be read.
        """
        async with self._asking:
            if lane.key_checked:
                return
            where = f"account {signer.account_index}, key {signer.api_key_index}"
            slot = {
                "account_index": signer.account_index,
                "api_key_index": signer.api_key_index,
            }
            try:
                answer = await self._ask(rest, KEYS_PATH, slot)
            except AuthRejectedError as error:
                raise CredentialsError(
                    f"api_key_index: no such key at {where}: {error.message}"
                ) from error
            rows = rows_by_market(answer.get("api_keys"), "api_keys")
            if not rows:
                raise CredentialsError(f"api_key_index: no such key at {where}")
            registered = str(rows[0].get("public_key", "")).removeprefix("0x").lower()
            if registered != signer.public_key:
                raise CredentialsError(
                    f"api_key_private_key: is not the key registered for {where}"
                )
            lane.key_checked = True

    async def check_chain(self, rest: RestConnection, config: DealerConfig) -> None:
        """Ask an exchange at an unknown address which chain it is.

        Raises:
            ConfigError: it is not the chain we would sign for.
        """
        base_url = config.base_url or ""
        if self._chain_checked or known_chain_id(base_url) is not None:
            return
        network = (await self._ask(rest, "/")).get("network_id")
        if network in CHAIN_IDS.values() and network != config.chain_id:
            raise ConfigError(
                f"chain_id: {config.chain_id} is not the chain of {base_url}, "
                f"which is {network}"
            )
        if not isinstance(network, int):
            raise ProtocolError(f"{base_url}/: network_id {network!r} is no number")
        self._chain_checked = True


def _shared_budget(config: DealerConfig) -> SharedBudget | None:
    if not config.budget_redis_url:
        return None
    return SharedBudget(
        config.budget_redis_url,
        host=origin(config.base_url or ""),
        owner=f"account {config.account_index}",
        clock=asyncio.get_running_loop().time,
    )


_links: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[str, ExchangeLink]
] = weakref.WeakKeyDictionary()


def acquire_link(config: DealerConfig) -> ExchangeLink:
    """Return the link of a complete config's address; pair with `release_link`."""
    mine = _links.setdefault(asyncio.get_running_loop(), {})
    address = origin(config.base_url or "")
    link = mine.get(address)
    if link is None:
        link = mine[address] = ExchangeLink(config)
    link.users += 1
    return link


def release_link(link: ExchangeLink) -> None:
    """Let go of a link; the last one to do so forgets its nonces and markets."""
    link.users -= 1
    if link.users:
        return
    mine = _links.get(asyncio.get_running_loop(), {})
    for address in [name for name, known in mine.items() if known is link]:
        del mine[address]
