"""Putting a dealer together: settings checked against the exchange, parts wired."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wrappy.lighter.account import AccountReader
from wrappy.lighter.config import complete, ws_url_for
from wrappy.lighter.doors import RestSendDoor, StreamSendDoor
from wrappy.lighter.link import acquire_link, release_link
from wrappy.lighter.logs import as_sink
from wrappy.lighter.outbox import Outbox
from wrappy.lighter.sender import Sender
from wrappy.lighter.token import TokenSource
from wrappy.lighter.transport import RestDoor, StreamDoor
from wrappy.signing.sdk import SdkSigner
from wrappy.signing.worker import signing_thread

if TYPE_CHECKING:
    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.link import ExchangeLink
    from wrappy.model import Market


@dataclass(frozen=True, slots=True)
class DealerParts:
    """What a dealer is made of.

    Attributes:
        config: complete settings.
        market: the market, as the exchange tells it.
        link: what is shared with others on this exchange.
        rest: this dealer's REST session.
        stream: the sending WebSocket, None when sending by REST.
        outbox: queue and order table.
        account: reads of the account.
    """

    config: DealerConfig
    market: Market
    link: ExchangeLink
    rest: RestDoor
    stream: StreamSendDoor | None
    outbox: Outbox
    account: AccountReader

    async def aclose(self) -> None:
        """Close every connection."""
        try:
            if self.stream is not None:
                await self.stream.aclose()
        finally:
            release_link(self.link)
            await self.rest.aclose()


def key_signer(config: DealerConfig) -> SdkSigner:
    """Return the signer of a complete config's first key."""
    key = config.api_keys[0]
    return SdkSigner(
        key.api_key_private_key,
        account_index=config.account_index or 0,
        api_key_index=key.api_key_index,
        chain_id=config.chain_id or 0,
    )


def token_source(config: DealerConfig) -> TokenSource | None:
    """Return where tokens come from, None for a config without account or key."""
    if not config.api_keys or config.account_index is None:
        return None
    return TokenSource(key_signer(config), signing_thread(), clock=time.time)


async def assemble(config: DealerConfig, logger: Any) -> DealerParts:
    """Check market, key and chain with the exchange and wire the parts.

    Raises:
        ConfigError: the settings do not fit; nothing was sent but questions.
        VenueError, TransportError: the exchange could not be asked.
    """
    full = complete(config)
    signer = key_signer(full)
    link = acquire_link(full)
    rest = RestDoor(
        full.base_url or "",
        timeout_s=full.request_timeout_s,
        on_throttled=link.pace.throttled,
    )
    try:
        link.pace_for(full)
        await link.check_chain(rest, full)
        market = await link.market(rest, full, sends=True)
        lane = link.lane(signer.account_index, signer.api_key_index)
        await link.check_key(rest, signer, lane)
    except BaseException:
        await rest.aclose()
        release_link(link)
        raise
    stream = None
    if full.use_websocket:
        door = StreamDoor(
            ws_url_for(full.base_url or ""), timeout_s=full.request_timeout_s
        )
        stream = StreamSendDoor(door, timeout_s=full.request_timeout_s)
    sender = Sender(
        full,
        link=link,
        lane=lane,
        signer=signer,
        worker=signing_thread(),
        rest=rest,
        door=stream or RestSendDoor(rest),
    )
    account = AccountReader(
        signer.account_index,
        link=link,
        rest=rest,
        tokens=TokenSource(signer, signing_thread(), clock=time.time),
    )
    outbox = Outbox(full, sender, as_sink(logger, "LighterDealer.tx"))
    return DealerParts(full, market, link, rest, stream, outbox, account)
