"""Sending what is queued: nonces last, one key's order kept, every outcome named.

A batch goes through one lane at a time. The nonce is taken after everything that
can fail here has not failed; an answer that was lost holds the lane until the same
signed bytes have been settled.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from wrappy.errors import (
    LaneHeldError,
    NonceRejectedError,
    ProtocolError,
    RateLimitedError,
    SendOutcomeUnknownError,
    UsageError,
    VenueError,
    WrappyError,
)
from wrappy.lighter.doors import BATCH_PATH, SEND_PATH
from wrappy.lighter.link import DoubtfulBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from wrappy._core.batch import Queued
    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.doors import SendDoor, SendReply
    from wrappy.lighter.link import ExchangeLink, KeyLane
    from wrappy.lighter.transport import RestDoor
    from wrappy.protocol.transactions import Intent, SignedTx
    from wrappy.signing import Signer
    from wrappy.signing.worker import SigningThread

    Lost: TypeAlias = Callable[[Sequence[Queued[Intent]]], None]
    Settled: TypeAlias = Callable[[Sequence[Queued[Intent]], bool], None]

logger = logging.getLogger("LighterDealer.tx")

NONCE_PATH = "/api/v1/nextNonce"
TX_PATH = "/api/v1/tx"
TX_NOT_FOUND = 21500
EXPIRY_SLACK_MS = 5_000
"""Room for a clock that differs from the exchange's."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One batch that the exchange accepted, or that a dry run kept back.

    Attributes:
        entries: the intents, in sending order.
        transactions: what was signed for them.
        reply: the acceptance, None in a dry run.
    """

    entries: tuple[Queued[Intent], ...]
    transactions: tuple[SignedTx, ...]
    reply: SendReply | None


class Sender:
    """Signs and sends batches for one key."""

    def __init__(
        self,
        config: DealerConfig,
        *,
        link: ExchangeLink,
        lane: KeyLane,
        signer: Signer,
        worker: SigningThread,
        rest: RestDoor,
        door: SendDoor,
    ) -> None:
        self._config = config
        self._link = link
        self._lane = lane
        self._signer = signer
        self._worker = worker
        self._rest = rest
        self._door = door
        self._closed = False
        self._delivering: asyncio.Future[None] | None = None

    async def send(
        self,
        entries: Sequence[Queued[Intent]],
        *,
        on_lost: Lost,
        on_settled: Settled,
        overtakes: bool = False,
    ) -> Sent:
        """Send one batch and return what became of it.

        Args:
            entries: the intents, in sending order.
            on_lost: told, before the exception, that these entries left and their
                answer was lost, also when the caller was cancelled meanwhile.
            on_settled: told later what became of a batch whose answer was lost.
            overtakes: go before those who still wait for the pace.

        Raises:
            SignerError, ConnectError, RateLimitedError: nothing arrived; no nonce
                is spent, the same entries may be sent again.
            VenueError: the exchange refused the batch as a whole.
            SendOutcomeUnknownError: it may have arrived; the lane is held until
                the next call has found out.
            LaneHeldError: that could not be found out yet; nothing was sent.
            UsageError: the sender was closed while this waited; nothing was sent.
        """
        if overtakes:
            return await self._in_turn(entries, on_lost, on_settled)
        async with self._lane.line:
            return await self._in_turn(entries, on_lost, on_settled)

    async def _in_turn(
        self, entries: Sequence[Queued[Intent]], on_lost: Lost, on_settled: Settled
    ) -> Sent:
        path = SEND_PATH if len(entries) == 1 else BATCH_PATH
        urgent = all(entry.is_cancel for entry in entries)
        await self._link.pace.wait(path, urgent=urgent)
        async with self._lane.turn:
            # The one before us may have been told to pause.
            await self._link.pace.sit_out()
            await self._jitter()
            self._require_open()
            await self._settle()
            await self._sync()
            return await self._send_now(entries, on_lost, on_settled)

    async def settle(self) -> None:
        """Find out what became of a lost answer, if there is one; send nothing new.

        Raises:
            LaneHeldError: it is still not known.
            UsageError: the sender was closed while this waited.
        """
        if not self._lane.doubtful:
            return
        async with self._lane.line:
            await self._link.pace.wait(SEND_PATH)
            async with self._lane.turn:
                self._require_open()
                await self._settle()

    async def aclose(self) -> None:
        """Send nothing new; return when what is on its way has its answer."""
        self._closed = True
        if self._delivering is not None:
            await asyncio.wait([self._delivering])

    def _require_open(self) -> None:
        if self._closed:
            raise UsageError("the dealer was closed meanwhile; nothing was sent")

    async def _send_now(
        self, entries: Sequence[Queued[Intent]], on_lost: Lost, on_settled: Settled
    ) -> Sent:
        lane = self._lane
        nonces = lane.nonces.take(len(entries))
        try:
            signed = tuple(
                await self._worker.sign_many(
                    self._signer,
                    [entry.intent for entry in entries],
                    first_nonce=nonces.start,
                )
            )
            self._require_open()
        except BaseException:
            lane.nonces.give_back(nonces)  # nothing has left
            raise
        logger.debug(
            "sending: txs=%d nonces=%d..%d key=%d",
            len(signed),
            nonces[0],
            nonces[-1],
            self._signer.api_key_index,
        )
        if self._config.prefer_high_level:
            lane.nonces.give_back(nonces)
            return Sent(tuple(entries), signed, None)
        batch = DoubtfulBatch(
            nonces,
            signed,
            tuple(e.touches for e in entries if e.touches is not None),
            on_lost=partial(on_lost, tuple(entries)),
            on_settled=partial(on_settled, tuple(entries)),
        )
        self._delivering = asyncio.get_running_loop().create_future()
        try:
            reply = await self._deliver(batch)
        finally:
            self._delivering.set_result(None)
            self._delivering = None
        if reply.tx_hashes != tuple(tx.tx_hash for tx in signed):
            logger.warning("the exchange names other hashes than we computed")
        return Sent(tuple(entries), signed, reply)

    async def _deliver(self, batch: DoubtfulBatch) -> SendReply:
        """Send signed bytes and book the nonces by what came back."""
        ledger, nonces = self._lane.nonces, batch.nonces
        try:
            reply = await self._door.send(batch.transactions)
        except NonceRejectedError:
            ledger.suspect(nonces)
            raise
        except RateLimitedError as error:
            ledger.give_back(nonces)
            self._link.pace.throttled(error.retry_after_s)
            raise
        except WrappyError as error:
            if error.outcome == "unknown":
                raise self._doubt(batch) from error
            ledger.give_back(nonces)
            raise
        except BaseException:
            # Cancelled, or a failure nobody foresaw: the bytes may have left.
            self._doubt(batch)
            raise
        ledger.confirm(nonces)
        return reply

    def _doubt(self, batch: DoubtfulBatch) -> SendOutcomeUnknownError:
        self._lane.nonces.hold(batch.nonces)
        self._lane.doubtful.append(batch)
        batch.on_lost()
        return _unknown(batch)

    async def _settle(self) -> None:
        """Send the very same bytes again: they can be carried out once at most.

        Raises:
            LaneHeldError: it is still not known what became of them.
        """
        while self._lane.doubtful:
            batch = self._lane.doubtful[0]
            try:
                executed = await self._fate(batch)
            except WrappyError as error:
                raise LaneHeldError(
                    f"{len(batch.transactions)} transaction(s) sent before are still "
                    f"in doubt ({error}); nothing new was sent"
                ) from error
            self._lane.doubtful.pop(0)
            batch.on_settled(executed)
            logger.info(
                "settled: txs=%d first_nonce=%d accepted=%s",
                len(batch.transactions),
                batch.nonces[0],
                executed,
            )

    async def _fate(self, batch: DoubtfulBatch) -> bool:
        """Return whether the exchange has the batch and book its nonces.

        A batch is accepted or refused whole, so its first hash speaks for all.

        Raises:
            WrappyError: nobody knows yet.
        """
        first, nonces = batch.transactions[0], self._lane.nonces
        try:
            await self._door.send(batch.transactions)
        except RateLimitedError as error:
            self._link.pace.throttled(error.retry_after_s)
            raise
        except VenueError as error:
            if error.outcome == "unknown":
                raise
            # Refused. The first copy may have arrived, and made this one a repeat. The
            # hash is asked for last, so that whatever lands meanwhile is seen.
            expired = time.time() * 1000 > first.expired_at_ms + EXPIRY_SLACK_MS
            venue_next = await self._next_nonce()
            if not await self._is_known(first.tx_hash):
                if venue_next <= first.nonce and not expired:
                    raise  # a copy may still be on its way
                # Its nonce went to somebody else, or it is too old: these bytes
                # can never be carried out.
                nonces.resync(venue_next)
                return False
        nonces.settle(batch.nonces, executed=True)
        return True

    async def _is_known(self, tx_hash: str) -> bool:
        await self._link.pace.wait(TX_PATH)
        try:
            await self._rest.get(TX_PATH, {"by": "hash", "value": tx_hash})
        except VenueError as error:
            if error.code == TX_NOT_FOUND:
                return False
            raise
        return True

    async def _sync(self) -> None:
        if not self._lane.nonces.needs_sync:
            return
        foreign = self._lane.nonces.sync(await self._next_nonce())
        if foreign:
            logger.warning(
                "key %d: %d nonce(s) were used by somebody else; one key, one process",
                self._signer.api_key_index,
                foreign,
            )

    async def _next_nonce(self) -> int:
        await self._link.pace.wait(NONCE_PATH)
        answer = await self._rest.get(
            NONCE_PATH,
            {
                "account_index": self._signer.account_index,
                "api_key_index": self._signer.api_key_index,
            },
        )
        nonce = answer.get("nonce")
        if isinstance(nonce, bool) or not isinstance(nonce, int) or nonce < 0:
            raise ProtocolError(f"{NONCE_PATH}: nonce {nonce!r} is no nonce")
        return nonce

    async def _jitter(self) -> None:
        if self._config.jitter_ms is not None:
            low, high = self._config.jitter_ms
            await asyncio.sleep(random.uniform(low, high) / 1000)


def _unknown(batch: DoubtfulBatch) -> SendOutcomeUnknownError:
    hashes = [tx.tx_hash for tx in batch.transactions]
    return SendOutcomeUnknownError(batch.client_order_indices, hashes)
