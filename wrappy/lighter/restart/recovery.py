"""The restart: journal and exchange agree before the first order is sent.

What a process that died may have sent is settled for each key, and live orders that
nobody here knows are dealt with as the settings say.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from wrappy._core.backoff import Backoff
from wrappy._core.journal_rows import SendStage
from wrappy._core.receipts import TransactionFate
from wrappy._core.recovery import (
    EXPIRY_SLACK_MS,
    FENCE_REACH,
    AskHash,
    AskNonce,
    AskOrders,
    Fence,
    OpenSend,
    Recovery,
)
from wrappy.errors import (
    ConnectError,
    JournalError,
    LaneHeldError,
    NonceRejectedError,
    ProtocolError,
    RateLimitedError,
    TransportError,
    VenueError,
)
from wrappy.lighter.asking.order_search import CREATIONS, CreatedOrder, OrderSearch
from wrappy.lighter.asking.reading import transaction_in
from wrappy.lighter.restart.inherited import leave_lingering
from wrappy.lighter.restart.left_orders import (
    CLOCK_SLACK_MS,
    LeftOrders,
    check_open_orders,
    numbers_of,
)
from wrappy.lighter.sending.fences import FenceMaker
from wrappy.lighter.sending.way import TX_NOT_FOUND, TX_PATH, Way
from wrappy.lighter.wire.doors import BATCH_PATH, SEND_PATH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from wrappy._core.journal_rows import JournalEntry
    from wrappy._core.recovery import Step
    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.environment import RestConnection
    from wrappy.lighter.pacing.limiter import RequestPace
    from wrappy.lighter.persistence.journal import Journal
    from wrappy.lighter.results import OrderDict
    from wrappy.lighter.sending.lane import KeyLane
    from wrappy.lighter.wire.doors import SendDoor
    from wrappy.signing import Signer
    from wrappy.signing.worker import SigningThread

_T = TypeVar("_T")

__all__ = ["Recovered", "check_open_orders", "recover"]

logger = logging.getLogger("wrappy.recovery")

LONGEST_PAUSE_S = 5.0
LISTED = 5

_STAGES = {
    TransactionFate.PENDING: SendStage.ACCEPTED,
    TransactionFate.EXECUTED: SendStage.EXECUTED,
    TransactionFate.FAILED: SendStage.ENDED,
}
"""What the exchange's word on a transaction makes of its row."""

_PASSING = (VenueError, TransportError, ProtocolError)
"""Failures of a question, after which it is asked again."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the restart found out about one key.

    Attributes:
        complete: nothing is in doubt any more; False only for a dry run, which
            sends nothing and so may find nothing out.
        settled: transactions that were in doubt and are not any more, by what became
            of them.
        fences: harmless transactions that were signed to prove others dead.
        live: orders of this key's journal that are live now, of all markets, as the
            exchange tells them.
        lingering: transactions whose numbers are gone and of which nobody can tell yet
            what became; they stay in the journal, and the lane goes on asking.
        unseen: client order indices that the exchange accepted and that it shows
            neither live nor ended yet; the next restart looks again.
    """

    complete: bool = True
    settled: tuple[tuple[SendStage, int], ...] = ()
    fences: int = 0
    live: tuple[OrderDict, ...] = ()
    unseen: tuple[int, ...] = ()
    lingering: int = 0


async def recover(
    lane: KeyLane,
    *,
    signer: Signer,
    rest: RestConnection,
    pace: RequestPace,
    door: SendDoor,
    worker: SigningThread,
    unix_s: Callable[[], float],
    config: DealerConfig,
) -> Recovered:
    """Settle what an earlier process left behind on a key, before it is used again.

    Nothing is sent but fences: cancels that spend the number of a transaction in
    doubt, so that it can never be carried out. The order it wanted is not placed
    again; the strategy that wanted it is gone.

    Args:
        lane: the key's lane, with its journal open and nothing in flight.
        signer: signs for the key.
        rest: where to ask.
        pace: when to ask.
        door: where fences go.
        worker: signs and writes off the event loop.
        unix_s: unix seconds.
        config: complete settings.

    Raises:
        LaneHeldError: after `reconcile_timeout_s` something is still not known; the
            message names the orders and the fix. The next start goes on from there.
        JournalError: the journal cannot be read, or not be written before a fence.
        SignerError: a fence cannot be signed.
    """
    journal = lane.journal
    if journal is None:
        return Recovered()
    run = _Restart(
        lane,
        journal,
        signer=signer,
        rest=rest,
        pace=pace,
        door=door,
        worker=worker,
        unix_s=unix_s,
        config=config,
    )
    try:
        return await asyncio.wait_for(run.run(), config.reconcile_timeout_s)
    except asyncio.TimeoutError:
        raise LaneHeldError(run.what_is_missing()) from run.last_error


class _Restart:
    """One attempt to settle one key."""

    def __init__(
        self,
        lane: KeyLane,
        journal: Journal,
        *,
        signer: Signer,
        rest: RestConnection,
        pace: RequestPace,
        door: SendDoor,
        worker: SigningThread,
        unix_s: Callable[[], float],
        config: DealerConfig,
    ) -> None:
        self._lane = lane
        self._journal = journal
        self._signer = signer
        self._way = Way(
            signer.account_index, signer.api_key_index, door, rest, pace, unix_s
        )
        self._rest = rest
        self._pace = pace
        self._search = OrderSearch(
            signer=signer, rest=rest, pace=pace, worker=worker, unix_s=unix_s
        )
        self._door = door
        self._worker = worker
        self._unix_s = unix_s
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._backoff = Backoff(ceiling_s=LONGEST_PAUSE_S)
        self._entries: dict[str, JournalEntry] = {}
        self._machine = Recovery((), fence_limit=1)
        self._settled: dict[SendStage, int] = {}
        self._fences = self._fence_maker(())
        # Unix milliseconds of the exchange when the loop's clock was 0, rounded down.
        self._venue_epoch_ms = 0
        self.last_error: Exception | None = None

    async def run(self) -> Recovered:
        """Settle everything, adopt the counter, look for the orders."""
        entries = await self._worker.run(self._journal.unresolved)
        self._entries = {entry.tx_hash: entry for entry in entries}
        if entries and self._config.prefer_high_level:
            logger.warning(
                "%d transaction(s) of an earlier run are in doubt; a dry run sends "
                "nothing and leaves them so",
                len(entries),
            )
            return Recovered(complete=False)
        self._machine = Recovery(
            (
                OpenSend(
                    entry.nonce,
                    entry.tx_hash,
                    entry.expired_at_ms,
                    creates=bool(_created(entry)),
                )
                for entry in entries
            ),
            fence_limit=self._config.max_ws_batch,
        )
        self._fences = self._fence_maker(entries)
        if entries:
            await self._read_clock()
        while (step := self._machine.step(self._loop.time(), self._venue_ms())) is not (
            None
        ):
            await self._do(step)
            self._book()
        if self._machine.lingering:
            # Nothing else is unresolved any more.
            left = await self._worker.run(self._journal.unresolved)
            leave_lingering(self._lane, left)
        await self._adopt_counter()
        orders = LeftOrders(
            self._journal,
            signer=self._signer,
            rest=self._rest,
            pace=self._pace,
            worker=self._worker,
            unix_s=self._unix_s,
        )
        live, unseen = await self._persist(orders.look)
        await self._tidy()
        if entries:
            logger.info(
                "restart: %d transaction(s) of an earlier run (%s), fences=%d, "
                "still in doubt=%d",
                len(entries),
                ", ".join(f"{s.name.lower()}={n}" for s, n in self._settled.items()),
                self._fences.made,
                len(self._machine.lingering),
            )
        return Recovered(
            settled=tuple(sorted(self._settled.items())),
            fences=self._fences.made,
            live=tuple(live),
            unseen=tuple(unseen),
            lingering=len(self._machine.lingering),
        )

    def what_is_missing(self) -> str:
        """Return what is not known after the longest wait, and what to do."""
        opened = self._machine.open
        entries = [
            self._entries[send.tx_hash]
            for send in opened
            if send.tx_hash in self._entries
        ]
        listed = ", ".join(_in_words(entry) for entry in entries[:LISTED])
        if len(entries) > LISTED:
            listed += f" and {len(entries) - LISTED} more"
        begun = (
            f"journal and exchange do not agree after "
            f"{self._config.reconcile_timeout_s:g} s; nothing new was sent"
        )
        cause = f" (last: {self.last_error})" if self.last_error else ""
        if not opened:
            return (
                f"{begun}: the exchange's answers on orders are missing{cause}; "
                "start again when it answers, or raise reconcile_timeout_s"
            )
        fix = "start again when the exchange answers"
        if not self._machine.can_fence:
            last_ms = max(send.expired_at_ms for send in opened)
            left_s = max(0, last_ms + EXPIRY_SLACK_MS - self._venue_ms()) // 1000 + 1
            fix = f"start again in {left_s} s, when the last of them has expired"
        return f"{begun}: in doubt: {listed or 'fences'}{cause}; {fix}"

    async def _do(self, step: Step) -> None:
        """Do one step and tell the machine; a failed question is put off."""
        machine = self._machine
        try:
            if isinstance(step, AskNonce):
                machine.nonce_read(await self._way.next_nonce())
            elif isinstance(step, AskHash):
                await self._ask(step.tx_hash)
            elif isinstance(step, AskOrders):
                await self._look_for(step.tx_hashes)
            elif isinstance(step, Fence):
                await self._send_fence(step.nonces)
                return
            else:
                await asyncio.sleep(step.until_s - self._loop.time())
                return
        except _PASSING as error:
            wait_s = self._pause_after(error)
            machine.put_off(self._loop.time(), wait_s=wait_s)
        else:
            self._backoff.reset()

    async def _ask(self, tx_hash: str) -> None:
        await self._pace.wait(TX_PATH)
        asked_at_s, unix_ms = self._loop.time(), self._venue_ms()
        try:
            answer = await self._rest.get(TX_PATH, {"by": "hash", "value": tx_hash})
        except VenueError as error:
            if error.code != TX_NOT_FOUND:
                raise
            self._machine.hash_unknown(tx_hash, asked_at_s=asked_at_s, unix_ms=unix_ms)
        else:
            fate = transaction_in(answer).fate
            self._machine.hash_known(tx_hash, _STAGES[fate])

    async def _look_for(self, tx_hashes: Sequence[str]) -> None:
        """Look for the orders of transactions and tell the machine."""
        unix_ms = self._venue_ms()
        wanted = {
            order: self._entries[tx_hash].written_ms - CLOCK_SLACK_MS
            for tx_hash in tx_hashes
            for order in _created(self._entries[tx_hash])
        }
        found, is_whole = await self._search.shown(wanted)
        shown = [h for h in tx_hashes if found.intersection(_created(self._entries[h]))]
        self._machine.orders_read(tx_hashes, shown, unix_ms=unix_ms, is_whole=is_whole)

    async def _send_fence(self, nonces: range) -> None:
        """Send a fence and tell the machine what came of it."""
        machine = self._machine
        fence = await self._fences.make(nonces)
        sends = [OpenSend(tx.nonce, tx.tx_hash, tx.expired_at_ms) for tx in fence]
        path = SEND_PATH if len(fence) == 1 else BATCH_PATH
        try:
            await self._pace.wait(path, urgent=True)
            await self._door.send(fence)
        except (ConnectError, RateLimitedError) as error:
            if isinstance(error, RateLimitedError) and not error.volume_quota:
                self._pace.throttled(error.retry_after_s)
            machine.put_off(self._loop.time(), wait_s=self._pause_after(error))
        except _PASSING as error:
            wait_s, now_s = self._pause_after(error), self._loop.time()
            if error.outcome == "unknown":
                machine.fence_lost(sends, now_s, wait_s=wait_s)
                return
            self._fences.forget()
            refused_for_nonce = isinstance(error, NonceRejectedError)
            machine.fence_refused(
                sends, now_s, wait_s=wait_s, for_nonce=refused_for_nonce
            )
        else:
            self._fences.forget()
            self._backoff.reset()
            machine.fence_accepted(sends)

    def _fence_maker(self, entries: Sequence[JournalEntry]) -> FenceMaker:
        return FenceMaker(
            entries,
            journal=self._journal,
            signer=self._signer,
            worker=self._worker,
            unix_s=self._unix_s,
            config=self._config,
        )

    async def _read_clock(self) -> None:
        """Ask for the exchange's time: expiry is by its clock, not by ours."""
        venue_ms = await self._persist(self._way.venue_ms)
        self._venue_epoch_ms = venue_ms - math.ceil(self._loop.time() * 1000)

    async def _persist(self, question: Callable[[], Awaitable[_T]]) -> _T:
        """Ask until there is an answer; `recover` ends this when it takes too long."""
        while True:
            try:
                return await question()
            except _PASSING as error:  # noqa: PERF203 - it waits anyway
                await asyncio.sleep(self._pause_after(error))

    async def _adopt_counter(self) -> None:
        """Tell the lane the next nonce; a lagging read does not take it back."""
        last = self._journal.last_nonce()
        if last is None or not self._lane.nonces.needs_sync:
            return  # the lane asks when it needs to
        read = await self._persist(self._way.next_nonce)
        known = max(last + 1, self._machine.next_nonce or 0)
        # Much further on than the exchange is a journal of another history.
        self._lane.nonces.sync(known if 0 < known - read < FENCE_REACH else read)

    async def _tidy(self) -> None:
        try:
            await self._worker.run(self._journal.tidy)
        except JournalError as error:
            # The marks are kept; were they lost, the rows were only settled again.
            logger.warning("what the restart found out is not on disk: %s", error)

    def _book(self) -> None:
        for tx_hash, stage in self._machine.take_settled().items():
            self._journal.mark([tx_hash], stage)
            if tx_hash in self._entries:
                self._settled[stage] = self._settled.get(stage, 0) + 1

    def _pause_after(self, error: Exception) -> float:
        self.last_error = error
        return self._backoff.next(random.random())

    def _venue_ms(self) -> int:
        """Return the exchange's clock; it may be a little behind, never ahead."""
        return self._venue_epoch_ms + int(self._loop.time() * 1000)


def _created(entry: JournalEntry) -> list[CreatedOrder]:
    """Return the orders that a row creates, or would have."""
    if entry.tx_type not in CREATIONS:
        return []
    market = entry.market_index or 0
    return [CreatedOrder(market, number) for number in numbers_of(entry)]


def _in_words(entry: JournalEntry) -> str:
    order = f"order {entry.client_order_index} " if entry.client_order_index else ""
    return f"{order}(nonce {entry.nonce}, {entry.tx_hash[:12]}...)"
