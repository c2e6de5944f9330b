"""Putting a dealer together: settings checked against the exchange, parts wired."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from wrappy._core.order_states import OrderEvent
from wrappy.lighter.asking.account import AccountReader
from wrappy.lighter.config import complete, ws_url_for
from wrappy.lighter.environment import NATIVE
from wrappy.lighter.link import acquire_link, release_link
from wrappy.lighter.logs import as_sink
from wrappy.lighter.persistence.journal import known_client_order_indices
from wrappy.lighter.persistence.key_lock import check_folder
from wrappy.lighter.restart.inherited import inherit
from wrappy.lighter.restart.left_orders import check_open_orders, numbers_of
from wrappy.lighter.restart.recovery import recover
from wrappy.lighter.restart.seeding import patiently, seed, sent_lately
from wrappy.lighter.sending.lane import state_folder, to_its_end
from wrappy.lighter.sending.lapsing import LapseWatch
from wrappy.lighter.sending.outbox import Outbox
from wrappy.lighter.sending.sender import Sender
from wrappy.lighter.sending.sweeping import OrderSweep
from wrappy.lighter.wire.doors import FallbackDoor, RestSendDoor, StreamSendDoor
from wrappy.lighter.wire.token import GivenToken, TokenSource
from wrappy.lighter.wire.venue_time import VenueTime, ask_venue_s
from wrappy.protocol.intents import CancelOrder
from wrappy.signing.python import PythonSigner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.environment import Environment, RestConnection
    from wrappy.lighter.link import ExchangeLink
    from wrappy.lighter.pacing.limiter import RequestPace
    from wrappy.lighter.results import OrderDict
    from wrappy.lighter.sending.allowance import AccountAllowance
    from wrappy.lighter.sending.lane import KeyLane
    from wrappy.lighter.wire.doors import SendDoor
    from wrappy.lighter.wire.token import AuthTokens
    from wrappy.model import Market
    from wrappy.signing import Signer


@dataclass(frozen=True, slots=True)
class DealerParts:
    """What a dealer is made of.

    Attributes:
        config: complete settings.
        environment: clocks, connections and signers.
        market: the market, as the exchange tells it.
        link: what is shared with others on this exchange.
        lanes: the lane of each key, in the settings' order.
        rest: this dealer's REST session.
        stream: the sending WebSocket, None when sending by REST.
        outbox: queue and order table.
        account: reads of the account.
        sweep: ends in bulk what nobody reports.
        lapses: ends what was accepted and dropped.
    """

    config: DealerConfig
    environment: Environment
    market: Market
    link: ExchangeLink
    lanes: tuple[KeyLane, ...]
    rest: RestConnection
    stream: StreamSendDoor | None
    outbox: Outbox
    account: AccountReader
    sweep: OrderSweep
    lapses: LapseWatch

    @property
    def allowance(self) -> AccountAllowance:
        """Volume quota and order caps of the account."""
        return self.link.allowance(self.account.account_index)

    def has_journaled(self, client_order_index: int) -> bool:
        """Whether this run or an earlier one has signed an order of that number."""
        return any(
            lane.journal is not None and lane.journal.knows(client_order_index)
            for lane in self.lanes
        )

    def watch_foreign_nonces(self, hook: Callable[[int], None]) -> None:
        """Have `hook(count)` called whenever somebody else has used a nonce."""
        for lane in self.lanes:
            lane.on_foreign.append(hook)

    def unwatch_foreign_nonces(self, hook: Callable[[int], None]) -> None:
        """Call a hook no more."""
        for lane in self.lanes:
            if hook in lane.on_foreign:
                lane.on_foreign.remove(hook)

    def acknowledge_foreign_nonces(self) -> None:
        """Let new orders out again: somebody has looked who else uses a key."""
        for lane in self.lanes:
            lane.foreign.acknowledge()

    async def aclose(self) -> None:
        """Close every connection."""
        try:
            await self.lapses.aclose()
            await self.sweep.aclose()
            if self.stream is not None:
                await self.stream.aclose()
        finally:
            try:
                await _close_lanes(self.config, self.environment, self.lanes)
                await self.link.leave()
            finally:
                release_link(self.link)
                await self.rest.aclose()


def token_source(
    config: DealerConfig,
    environment: Environment,
    rest: RestConnection,
    pace: RequestPace,
) -> AuthTokens | None:
    """Return where tokens come from, None for a config without account or key.

    Raises:
        CredentialsError: the given token is malformed, another account's or over.
    """
    account = config.account_index
    if account is None:
        return None
    clock = environment.unix_s
    time = VenueTime(partial(ask_venue_s, rest, pace), unix_s=clock)
    if config.api_keys:
        signer = environment.make_signer(config, config.api_keys[0])
        return TokenSource(signer, environment.worker(), clock=clock, time=time)
    if config.auth_token is None:
        return None
    return GivenToken(config.auth_token, account_index=account, clock=clock, time=time)


async def assemble(
    config: DealerConfig, logger: Any, environment: Environment = NATIVE
) -> DealerParts:
    """Check market, keys and chain with the exchange and wire the parts.

    What an earlier run left in doubt is settled, and live orders that nobody knows
    are dealt with, before anything else can be sent.

    Raises:
        ConfigError: the settings do not fit, a key is in use elsewhere, or there are
            unknown orders.
        JournalError: the journal of a key cannot be used.
        LaneHeldError: what an earlier run sent is still in doubt.
        VenueError, TransportError: the exchange could not be asked.
    """
    full = complete(config)
    if not environment.keeps_files:
        full = replace(full, journal=False)
    signers = [environment.make_signer(full, key) for key in full.api_keys]
    for signer in signers:
        if isinstance(signer, PythonSigner):
            environment.worker().keep_prepared(signer)
    if environment.keeps_files and not full.prefer_high_level:
        # What cannot work is found before the exchange is asked anything.
        await environment.worker().run(partial(check_folder, state_folder(full)))
    link = acquire_link(full)
    async with contextlib.AsyncExitStack() as undo:
        undo.callback(release_link, link)
        rest = environment.open_rest(
            full.base_url or "",
            timeout_s=full.request_timeout_s,
            on_throttled=link.pace.throttled,
        )
        undo.push_async_callback(rest.aclose)
        link.pace_for(full)
        undo.push_async_callback(link.leave)
        # By our own clock: hours of margin are enough for what asks again anyway, and
        # a question for the time must not keep a close waiting.
        tokens = TokenSource(signers[0], environment.worker(), clock=environment.unix_s)
        await _seed_pace(full, environment, link)
        insist = partial(patiently, pace=link.pace, timeout_s=full.reconcile_timeout_s)
        await insist(partial(link.check_chain, rest, full))
        market = await insist(partial(link.market, rest, full, sends=True))
        lanes = [link.lane(s.account_index, s.api_key_index) for s in signers]
        for signer, lane in zip(signers, lanes, strict=True):
            await insist(partial(link.check_key, rest, signer, lane))
        await link.learn_tier(rest, full, tokens)
        await _open_lanes(full, environment, lanes)
        undo.push_async_callback(_close_lanes, full, environment, lanes)
        stream, door = _doors(full, environment, rest)
        if stream is not None:
            undo.push_async_callback(stream.aclose)
        made = _Wiring(full, environment, link, rest, door, market)
        for signer, lane in zip(signers, lanes, strict=True):
            await insist(partial(made.restart, signer, lane))
        senders = [
            made.sender(signer, lane)
            for signer, lane in zip(signers, lanes, strict=True)
        ]
        account = AccountReader(
            signers[0].account_index,
            link=link,
            rest=rest,
            tokens=tokens,
            chance=environment.chance,
        )
        outbox = Outbox(
            full,
            senders,
            as_sink(logger, "LighterDealer.tx"),
            link.allowance(signers[0].account_index),
        )
        undo.push_async_callback(outbox.aclose, "the dealer did not start")
        of_lanes = dict(zip(senders, lanes, strict=True))
        await insist(partial(made.take_over, account, outbox, of_lanes))
        undo.pop_all()
    return DealerParts(
        config=full,
        environment=environment,
        market=market,
        link=link,
        lanes=tuple(lanes),
        rest=rest,
        stream=stream,
        outbox=outbox,
        account=account,
        sweep=OrderSweep(
            outbox.orders,
            account,
            market.market_id,
            enter=outbox.report,
            forget=outbox.forget,
        ),
        lapses=LapseWatch(
            outbox.booking,
            account,
            market.market_id,
            ask_s=partial(ask_venue_s, rest, link.pace),
            unix_s=environment.unix_s,
        ),
    )


@dataclass(frozen=True, slots=True)
class _Wiring:
    """What every key of a dealer is wired with."""

    config: DealerConfig
    environment: Environment
    link: ExchangeLink
    rest: RestConnection
    door: SendDoor
    market: Market

    def sender(self, signer: Signer, lane: KeyLane) -> Sender:
        return Sender(
            self.config,
            link=self.link,
            lane=lane,
            signer=signer,
            environment=self.environment,
            rest=self.rest,
            door=self.door,
        )

    async def restart(self, signer: Signer, lane: KeyLane) -> None:
        """Settle what an earlier run left on a key; once for each lane."""
        async with lane.opening:
            if lane.recovered or self.config.prefer_high_level:
                return  # a dry run sends nothing, so it spoils nothing
            worker = self.environment.worker()
            found = await recover(
                lane,
                signer=signer,
                rest=self.rest,
                pace=self.link.pace,
                door=self.door,
                worker=worker,
                unix_s=self.environment.unix_s,
                config=self.config,
            )
            if found.live and lane.journal is not None:
                entries = await worker.run(lane.journal.open_orders)
                alive = {row.get("client_order_index") for row in found.live}
                lane.left = {
                    coi: entry.tx_hash
                    for entry in entries
                    for coi in numbers_of(entry)
                    if coi in alive
                }
            lane.recovered = True

    async def take_over(
        self,
        account: AccountReader,
        outbox: Outbox,
        lanes: Mapping[Sender, KeyLane],
    ) -> None:
        """Enter what lives of earlier runs, and deal with what nobody knows."""
        for sender, lane in lanes.items():
            inherit(outbox, sender, lane, self.market.market_id)
        if any(lane.left for lane in lanes.values()):
            for row in await account.open_orders(self.market.market_id):
                coi = row.get("client_order_index")
                for sender, lane in lanes.items():
                    if coi in lane.left:
                        outbox.report(row)
                        tx_hash = lane.left[coi]
                        # It tells what our journals know from what others placed.
                        outbox.orders.apply(coi, OrderEvent.SENT, tx_hash=tx_hash)
                        outbox.follow(sender, tx_hash, [coi])
        for row in await self.unknown_orders(account, outbox):
            outbox.report(row)

    async def unknown_orders(
        self, account: AccountReader, outbox: Outbox
    ) -> Sequence[OrderDict]:
        """Deal with live orders that no journal of the account knows."""
        if self.config.prefer_high_level:
            return []
        cois: frozenset[int] = frozenset()
        if self.config.journal:
            cois = await self.environment.worker().run(
                partial(
                    known_client_order_indices,
                    state_folder(self.config),
                    base_url=self.config.base_url or "",
                    account_index=self.config.account_index or 0,
                )
            )

        async def cancel(order_indices: Sequence[int]) -> None:
            scope = object()  # sent in batches
            for index in order_indices:
                intent = CancelOrder(self.market.market_id, index)
                outbox.put_in(scope, intent, touches=index, is_cancel=True)
            await outbox.flush(scope)

        return await check_open_orders(
            account=account,
            known=cois.__contains__,
            config=self.config,
            market=self.market,
            cancel=cancel,
        )


def _doors(
    config: DealerConfig, environment: Environment, rest: RestConnection
) -> tuple[StreamSendDoor | None, SendDoor]:
    if not config.use_websocket:
        return None, RestSendDoor(rest)
    connection = environment.open_stream(
        ws_url_for(config.base_url or ""),
        timeout_s=config.request_timeout_s,
        # Signatures do not shrink, and every one of them would wait for the attempt.
        compress=False,
    )
    stream = StreamSendDoor(connection, timeout_s=config.request_timeout_s)
    return stream, FallbackDoor(stream, RestSendDoor(rest))


async def _seed_pace(
    config: DealerConfig, environment: Environment, link: ExchangeLink
) -> None:
    """Count what earlier processes have sent within the last minute."""
    if not config.journal or link.pace.requests:
        return
    lately = partial(
        sent_lately,
        state_folder(config),
        base_url=config.base_url or "",
        account_index=config.account_index or 0,
        now_ms=int(environment.unix_s() * 1000),
    )
    seed(link.pace, await environment.worker().run(lately))


async def _open_lanes(
    config: DealerConfig, environment: Environment, lanes: Sequence[KeyLane]
) -> None:
    """Open every lane or none; a dry run sends nothing and needs no lock."""
    if config.prefer_high_level:
        return
    opened: list[KeyLane] = []
    try:
        for lane in lanes:
            await lane.open(config, environment.worker(), locks=environment.keeps_files)
            opened.append(lane)
    except BaseException:
        await _close_lanes(config, environment, opened)
        raise


async def _close_lanes(
    config: DealerConfig, environment: Environment, lanes: Sequence[KeyLane]
) -> None:
    if config.prefer_high_level:
        return
    closing = [lane.close(environment.worker()) for lane in lanes]
    closed = asyncio.gather(*closing, return_exceptions=True)
    for result in await to_its_end(closed):
        if isinstance(result, BaseException):
            raise result
