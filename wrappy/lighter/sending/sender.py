"""Sending what is queued: nonces last, one key's order kept, every outcome named.

The nonce is taken after everything that can fail here has not failed, and the signed
bytes are in the journal before they leave. An answer that was lost holds the lane
until the same signed bytes have been settled, which happens in the background.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from wrappy._core.outcomes import NonceFate, verdict_of
from wrappy.errors import (
    ForeignNonceError,
    LaneHeldError,
    NonceRejectedError,
    RateLimitedError,
    UsageError,
    WrappyError,
)
from wrappy.lighter.persistence.journal import SendStage
from wrappy.lighter.sending.doubts import DoubtfulBatch, tell_known
from wrappy.lighter.sending.fences import FenceInk
from wrappy.lighter.sending.lane import Turn
from wrappy.lighter.sending.routing import is_urgent
from wrappy.lighter.sending.settling import LAST_TRY_S
from wrappy.lighter.sending.way import Way
from wrappy.lighter.wire.doors import BATCH_PATH, SEND_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from wrappy._core.batch import Queued
    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.environment import Environment, RestConnection
    from wrappy.lighter.link import ExchangeLink
    from wrappy.lighter.sending.lane import KeyLane
    from wrappy.lighter.wire.doors import SendDoor, SendReply
    from wrappy.protocol.intents import Intent, SignedTx
    from wrappy.signing import Signer

    Entries: TypeAlias = Sequence[Queued[Intent]]
    Lost: TypeAlias = Callable[[Entries, Sequence[str]], None]
    Settled: TypeAlias = Callable[[Entries, Sequence[str], Sequence[bool]], None]
    Admit: TypeAlias = Callable[[Entries], Entries]

logger = logging.getLogger("LighterDealer.tx")

NONCE_LAG_S = 0.4
"""How long the exchange's next nonce may lag behind what it has accepted."""

MOST_RETRIES = 3
"""How often a batch is signed anew that fell with one before it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One batch that the exchange accepted, or that a dry run kept back.

    Attributes:
        entries: the intents that were admitted, in sending order.
        transactions: what was signed for them.
        reply: the acceptance, None in a dry run or when nothing was admitted.
    """

    entries: tuple[Queued[Intent], ...]
    transactions: tuple[SignedTx, ...]
    reply: SendReply | None


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who decides and is told about a batch.

    Attributes:
        on_lost: told, before the exception, that entries left under these hashes and
            their answer was lost, also when the caller was cancelled meanwhile.
        on_settled: told later whether each of them was accepted after all.
        admit: asked last which entries may go now.
        on_signed: told what was signed before it leaves.
    """

    on_lost: Lost
    on_settled: Settled
    admit: Admit = tuple
    on_signed: Callable[[Sequence[SignedTx]], object] = len


class _FellWithOthersError(NonceRejectedError):
    """Refused only because a batch before it was."""


class Sender:
    """Signs and sends batches for one key."""

    def __init__(
        self,
        config: DealerConfig,
        *,
        link: ExchangeLink,
        lane: KeyLane,
        signer: Signer,
        environment: Environment,
        rest: RestConnection,
        door: SendDoor,
    ) -> None:
        self._config = config
        self._pace = link.pace
        self._lane = lane
        self._signer = signer
        self._worker = worker = environment.worker()
        self._unix_s = unix_s = environment.unix_s
        self._chance = environment.chance
        self._closing = asyncio.Event()
        self._delivering: set[asyncio.Future[None]] = set()
        self._way = Way(
            signer.account_index,
            signer.api_key_index,
            door=door,
            rest=rest,
            pace=link.pace,
            unix_s=unix_s,
            ink=FenceInk(signer, worker, unix_s, config, environment.order_numbers),
            timeout_s=config.request_timeout_s,
        )
        if not config.prefer_high_level:
            lane.settler.attach(self._way)

    @property
    def depth(self) -> int:
        """How many sends may be without an answer at a time."""
        return self._config.pipeline_depth if self._config.use_websocket else 1

    @property
    def crowded(self) -> bool:
        """Whether sends of this key wait for the pace."""
        return self._lane.line.locked()

    async def send(
        self, entries: Entries, listeners: Listeners, *, overtakes: bool = False
    ) -> Sent:
        """Send one batch and return what became of it.

        Args:
            entries: the intents, in sending order.
            listeners: who decides and is told about them.
            overtakes: go before those who still wait for the pace.

        Raises:
            SignerError, JournalError, ConnectError, RateLimitedError: nothing
                arrived; no nonce is spent, the same entries may be sent again.
            VenueError: the exchange refused the batch as a whole.
            SendOutcomeUnknownError: it may have arrived; the lane is held until
                that has been found out.
            LaneHeldError: it could not be found out in time; nothing was sent.
            ForeignNonceError: somebody else uses the key; nothing was sent.
            UsageError: the sender was closed while this waited; nothing was sent.
        """
        retries = 0
        while True:
            try:
                return await self._send(entries, listeners, overtakes=overtakes)
            except _FellWithOthersError:  # noqa: PERF203 - rare
                retries += 1
                if retries > MOST_RETRIES:
                    raise

    async def _send(
        self, entries: Entries, listeners: Listeners, *, overtakes: bool
    ) -> Sent:
        began = asyncio.get_running_loop().time()
        if overtakes:
            return await self._in_turn(entries, listeners, began)
        async with self._lane.line:
            turn = await self._next_turn(entries)
            if self.depth == 1:
                return await self._with(turn, entries, listeners, began)
        # The line is for those who wait for the pace; answers come later.
        return await self._with(turn, entries, listeners, began)

    async def _in_turn(
        self, entries: Entries, listeners: Listeners, began: float
    ) -> Sent:
        turn = await self._next_turn(entries)
        return await self._with(turn, entries, listeners, began)

    async def _next_turn(self, entries: Entries) -> Turn:
        path = SEND_PATH if len(entries) == 1 else BATCH_PATH
        urgent = all(map(is_urgent, entries))
        turn = Turn(self._lane.turn)
        while True:
            await self._pace.wait(path, urgent=urgent)
            await turn.take()
            try:
                # The one before us may have been told to pause.
                paused = await self._pace.sit_out()
            except BaseException:
                turn.give_up()
                raise
            if not paused:
                return turn
            # What was counted for us is out of the exchange's window by now.
            turn.give_up()

    async def _with(
        self, turn: Turn, entries: Entries, listeners: Listeners, began: float
    ) -> Sent:
        try:
            await self._jitter()
            self._require_open()
            await self._until_clear(began)
            self._require_sole_writer(entries)
            admitted = listeners.admit(entries)
            if not admitted:
                return Sent((), (), None)
            return await self._send_now(admitted, listeners, turn)
        finally:
            turn.give_up()

    async def settle(self) -> None:
        """Wait until nothing sent before is in doubt; send nothing new.

        Raises:
            LaneHeldError: it is still not known.
            UsageError: the sender was closed while this waited.
        """
        await self._until_settled(asyncio.get_running_loop().time())

    def ended(self, tx_hash: str) -> None:
        """Note in the journal that all orders of a transaction have ended."""
        self._lane.mark([tx_hash], SendStage.ENDED)

    async def aclose(self) -> None:
        """Send nothing new; return when what is on its way has its answer.

        The last sender on its lane waits a little for a doubt to be settled.
        """
        self._closing.set()
        if self._delivering:
            await asyncio.wait(self._delivering)
        await self._lane.settler.detach(
            self._way, last_try_s=min(LAST_TRY_S, self._config.request_timeout_s)
        )

    def _require_open(self) -> None:
        if self._closing.is_set():
            raise UsageError("the dealer was closed meanwhile; nothing was sent")

    def _require_sole_writer(self, entries: Entries) -> None:
        if self._lane.foreign.stopped and not all(e.is_cancel for e in entries):
            raise ForeignNonceError(
                f"api_key_index: somebody else sends with key "
                f"{self._signer.api_key_index} "
                f"({self._lane.foreign.count} nonce(s) so far), nothing new was sent; "
                f"stop them or use another key, then acknowledge the alarm or restart"
            )

    async def _until_clear(self, began: float) -> None:
        """Return when a nonce may be taken: nothing in doubt, the counter known."""
        lane = self._lane
        while True:
            await self._until_settled(began)
            # What is out came through one connection, or it may be overtaken.
            waits = lane.nonces.needs_sync or lane.flown_by is not self._way
            if not lane.flights or (not waits and lane.flights < self.depth):
                break
            lane.landed.clear()
            await lane.landed.wait()
            self._require_open()
        if lane.nonces.needs_sync:
            lane.adopt_counter(await self._way.next_nonce())
            self._require_open()

    async def _until_settled(self, began: float) -> None:
        lane = self._lane
        if not lane.doubtful:
            return
        deadline = max(began, lane.doubtful_since) + self._config.request_timeout_s
        await lane.settler.wait(deadline, unless=self._closing)
        self._require_open()
        if lane.doubtful:
            count = sum(len(batch.transactions) for batch in lane.doubtful)
            raise LaneHeldError(
                f"{count} transaction(s) sent before are still in doubt "
                f"({lane.settler.trouble}); nothing new was sent"
            )

    async def _send_now(
        self, entries: Entries, listeners: Listeners, turn: Turn
    ) -> Sent:
        lane, kept = self._lane, tuple(entries)
        nonces = lane.nonces.take(len(kept))
        try:
            signed = await self._sign(kept, nonces)
        except BaseException:
            lane.nonces.give_back(nonces)  # nothing has left
            raise
        if self._config.prefer_high_level:
            lane.nonces.give_back(nonces)
            return Sent(kept, signed, None)
        listeners.on_signed(signed)
        hashes = tuple(tx.tx_hash for tx in signed)
        batch = DoubtfulBatch(
            nonces,
            signed,
            tuple(e.touches for e in kept if e.touches is not None),
            urgent=all(map(is_urgent, kept)),
            on_lost=partial(listeners.on_lost, kept, hashes),
            on_settled=partial(tell_known, listeners.on_settled, kept, hashes),
        )
        logger.debug(
            "sending: txs=%d nonces=%d..%d key=%d",
            len(signed),
            nonces[0],
            nonces[-1],
            self._signer.api_key_index,
        )
        delivering = asyncio.get_running_loop().create_future()
        self._delivering.add(delivering)
        try:
            reply = await self._deliver(batch, turn)
        finally:
            self._delivering.discard(delivering)
            delivering.set_result(None)
        if reply.tx_hashes != hashes:
            logger.warning("the exchange names other hashes than we computed")
        return Sent(kept, signed, reply)

    async def _sign(
        self, entries: tuple[Queued[Intent], ...], nonces: range
    ) -> tuple[SignedTx, ...]:
        """Sign and put on disk; what is on disk and does not leave is struck out."""
        if self._config.prefer_high_level:
            intents = [entry.intent for entry in entries]
            work = partial(self._signer.sign_many, intents, first_nonce=nonces.start)
        else:
            work = partial(
                self._lane.sign,
                *(self._signer, entries),
                first_nonce=nonces.start,
                skip_nonce=self._config.skip_nonce,
                unix_ms=int(self._unix_s() * 1000),
            )
        signing = asyncio.ensure_future(self._worker.run(work))
        try:
            signed = await asyncio.shield(signing)
            self._require_open()
        except BaseException:
            # The thread goes on when its caller is cancelled, so it is waited for.
            await _finished(signing)
            if not signing.cancelled() and signing.exception() is None:
                hashes = [tx.tx_hash for tx in signing.result()]
                self._lane.mark(hashes, SendStage.REFUSED)
            raise
        return tuple(signed)

    async def _deliver(self, batch: DoubtfulBatch, turn: Turn) -> SendReply:
        """Send signed bytes and book the nonces by what came back."""
        lane = self._lane
        lane.flights += 1
        lane.flown_by = self._way
        try:
            written = None if self.depth == 1 else turn.give_up
            reply = await self._way.send(batch.transactions, written=written)
        except BaseException as error:
            verdict = verdict_of(error)
            if verdict.nonce is NonceFate.IN_DOUBT:
                lane.doubt(batch)
                if isinstance(error, WrappyError):
                    raise batch.unknown() from error
                raise  # cancelled, or a failure nobody foresaw
            if isinstance(error, NonceRejectedError):
                await self._nonce_refused(batch, error)
            elif isinstance(error, RateLimitedError) and not error.volume_quota:
                self._pace.throttled(error.retry_after_s)
            if verdict.nonce is NonceFate.FREE:
                self._fell(batch)
                lane.nonces.give_back(batch.nonces)
            lane.mark([tx.tx_hash for tx in batch.transactions], SendStage.REFUSED)
            raise
        finally:
            lane.land()
        lane.nonces.confirm(batch.nonces)
        lane.mark([tx.tx_hash for tx in batch.transactions], SendStage.ACCEPTED)
        return reply

    def _fell(self, batch: DoubtfulBatch) -> bool:
        """Note a refusal; return whether one before this one had been refused."""
        lane, start = self._lane, batch.nonces.start
        behind = lane.broken_from is not None and lane.broken_from < start
        if not behind:
            lane.broken_from = start
        return behind

    async def _nonce_refused(
        self, batch: DoubtfulBatch, error: NonceRejectedError
    ) -> None:
        """Book a nonce that was refused, so that the next one is right.

        The bytes may have come twice, and the first copy been accepted: when the
        counter has moved, the exchange is asked for the hash before they are taken
        for refused.

        Raises:
            SendOutcomeUnknownError: they may be accepted; it will be settled.
        """
        lane, nonces = self._lane, batch.nonces
        if self._fell(batch):
            lane.nonces.suspect(nonces)
            lane.mark([tx.tx_hash for tx in batch.transactions], SendStage.REFUSED)
            raise _FellWithOthersError(error.code, error.message, error.endpoint)
        try:
            venue_next = await self._way.next_nonce()
            if venue_next == nonces.start:
                await asyncio.sleep(NONCE_LAG_S)
                venue_next = await self._way.next_nonce()
            moved = venue_next > nonces.start
            known = moved and await self._way.is_known(batch.transactions[0].tx_hash)
        except BaseException as failure:
            lane.doubt(batch)
            if isinstance(failure, WrappyError):
                raise batch.unknown() from failure
            raise
        if known:
            lane.doubt(batch)
            raise batch.unknown() from error
        lane.nonces.suspect(nonces)
        if not lane.nonces.in_flight:
            lane.adopt_counter(venue_next)

    async def _jitter(self) -> None:
        if self._config.jitter_ms is not None:
            low, high = self._config.jitter_ms
            await asyncio.sleep((low + (high - low) * self._chance()) / 1000)


async def _finished(work: asyncio.Future[list[SignedTx]]) -> None:
    """Wait for work on a thread, which takes milliseconds, whoever cancels us."""
    while not work.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([work])
