"""What all dealers and overlays of one process share towards one exchange.

One address has one pace and one market list; one API key has one nonce authority,
however many dealers use it. Whoever is first makes a link, whoever is last lets it
go.
"""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from wrappy._core.nonce import NonceLedger
from wrappy.errors import (
    AuthRejectedError,
    ConfigError,
    CredentialsError,
    ProtocolError,
    RateLimitedError,
    RequestTimeoutError,
    VenueUnavailableError,
)
from wrappy.lighter.limiter import RequestPace
from wrappy.protocol.markets import (
    BUNDLED_MARKETS,
    find_market,
    markets_from_details,
)
from wrappy.protocol.networks import CHAIN_IDS, known_chain_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.transport import RestDoor
    from wrappy.model import Market
    from wrappy.protocol.transactions import SignedTx
    from wrappy.signing import Signer

logger = logging.getLogger("wrappy.link")

MARKETS_FRESH_S = 300.0
LARGEST_BATCH = 50
"""Most that `max_ws_batch` may be: one batch is without an answer at a time."""
DETAILS_PATH = "/api/v1/orderBookDetails"
KEYS_PATH = "/api/v1/apikeys"


@dataclass(slots=True)
class DoubtfulBatch:
    """Transactions on their way, with what is needed to settle a lost answer.

    Attributes:
        nonces: their numbers, in sending order.
        transactions: the signed bytes.
        client_order_indices: orders they act on.
        on_lost: called when the answer is lost.
        on_settled: called when it is known whether they were accepted after all.
    """

    nonces: range
    transactions: tuple[SignedTx, ...]
    client_order_indices: tuple[int, ...]
    on_lost: Callable[[], None]
    on_settled: Callable[[bool], None]


@dataclass(slots=True)
class KeyLane:
    """The one order of sending for an API key.

    Attributes:
        nonces: numbers of this key.
        line: held by who waits for the pace, which keeps the order of waiting.
        turn: held from taking a nonce until the answer, which keeps the order.
        doubtful: batches that have to be settled before anything else is signed.
        key_checked: whether the exchange knows our public key for this slot.
    """

    nonces: NonceLedger = field(
        default_factory=partial(NonceLedger, window=LARGEST_BATCH)
    )
    line: asyncio.Lock = field(default_factory=asyncio.Lock)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    doubtful: list[DoubtfulBatch] = field(default_factory=list)
    key_checked: bool = False


class ExchangeLink:
    """Pace, market list and key lanes towards one address."""

    def __init__(self, config: DealerConfig) -> None:
        self.pace = RequestPace(
            standard=config.standard_account,
            weight_per_minute=config.ip_weight_per_minute,
            clock=time.monotonic,
        )
        self.users = 0
        self._paced_for: tuple[bool, int | None] | None = None
        self._lanes: dict[tuple[int, int], KeyLane] = {}
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

    def lane(self, account_index: int, api_key_index: int) -> KeyLane:
        """Return the lane of a key, the same one for everybody."""
        return self._lanes.setdefault((account_index, api_key_index), KeyLane())

    async def markets(self, rest: RestDoor) -> tuple[Market, ...]:
        """Return the exchange's markets, asked at most every five minutes."""
        async with self._asking:
            now = time.monotonic()
            if not self._markets or now - self._markets_at > MARKETS_FRESH_S:
                await self.pace.wait(DETAILS_PATH)
                self._markets = markets_from_details(await rest.get(DETAILS_PATH))
                self._markets_at = now
        return self._markets

    async def market(
        self, rest: RestDoor, config: DealerConfig, *, sends: bool
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

    async def check_key(self, rest: RestDoor, signer: Signer, lane: KeyLane) -> None:
        """Compare our key with the exchange's, once, before anything is signed.

        Raises:
            CredentialsError: the slot holds another key, or none.
        """
        async with self._asking:
            if lane.key_checked:
                return
            await self.pace.wait(KEYS_PATH)
            where = f"account {signer.account_index}, key {signer.api_key_index}"
            slot = {
                "account_index": signer.account_index,
                "api_key_index": signer.api_key_index,
            }
            try:
                answer = await rest.get(KEYS_PATH, slot)
            except AuthRejectedError as error:
                raise CredentialsError(
                    f"api_key_index: no such key at {where}: {error.message}"
                ) from error
            rows = answer.get("api_keys") or []
            if not rows:
                raise CredentialsError(f"api_key_index: no such key at {where}")
            registered = str(rows[0].get("public_key", "")).removeprefix("0x").lower()
            if registered != signer.public_key:
                raise CredentialsError(
                    f"api_key_private_key: is not the key registered for {where}"
                )
            lane.key_checked = True

    async def check_chain(self, rest: RestDoor, config: DealerConfig) -> None:
        """Ask an exchange at an unknown address which chain it is.

        Raises:
            ConfigError: it is not the chain we would sign for.
        """
        base_url = config.base_url or ""
        if self._chain_checked or known_chain_id(base_url) is not None:
            return
        await self.pace.wait("/")
        network = (await rest.get("/")).get("network_id")
        if network in CHAIN_IDS.values() and network != config.chain_id:
            raise ConfigError(
                f"chain_id: {config.chain_id} is not the chain of {base_url}, "
                f"which is {network}"
            )
        if not isinstance(network, int):
            raise ProtocolError(f"{base_url}/: network_id {network!r} is no number")
        self._chain_checked = True


_links: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[str, ExchangeLink]
] = weakref.WeakKeyDictionary()


def acquire_link(config: DealerConfig) -> ExchangeLink:
    """Return the link of a complete config's address; pair with `release_link`."""
    mine = _links.setdefault(asyncio.get_running_loop(), {})
    address = config.base_url or ""
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
