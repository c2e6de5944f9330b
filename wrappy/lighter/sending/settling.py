"""Settling lost answers in the background, one lane's doubts after another.

`_core.settlement` decides; here it is asked what to do, and that is done through
whatever dealer on the lane is open. The one task lives as long as there is a doubt and
a way to ask; who closes last makes one bounded last try. Of doubts that hold the lane
the lowest nonce goes first: nothing above it can be taken before it is settled. Those
that only linger are asked about in between.
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wrappy._core.outcomes import SendOutcome, verdict_of
from wrappy._core.settlement import (
    DoubtfulTx,
    SettledAs,
    Settlement,
    SettleMove,
    SettleStep,
)
from wrappy.errors import (
    ConfigError,
    JournalError,
    RateLimitedError,
    SignerError,
    WrappyError,
)
from wrappy.lighter.asking.order_search import OrderSearch, created_orders
from wrappy.lighter.persistence.journal import SendStage
from wrappy.lighter.wire.doors import BATCH_PATH, SEND_PATH
from wrappy.protocol.intents import TxType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy._core.outcomes import SendVerdict
    from wrappy.lighter.sending.doubts import DoubtfulBatch
    from wrappy.lighter.sending.fences import FenceMaker
    from wrappy.lighter.sending.lane import KeyLane
    from wrappy.lighter.sending.way import Way
    from wrappy.protocol.intents import SignedTx

logger = logging.getLogger("LighterDealer.tx")

LEAST_REST_S = 0.001
"""Timers fire up to a clock's resolution early: a shorter rest might pass no time."""

AFTER_FAILURE_S = 1.0
"""Pause before settling is taken up again that failed in a way nobody foresaw."""

LAST_TRY_S = 5.0
"""Longest that closing waits for a doubt to be settled."""

LINGERING_TRY_S = 1.0
"""Longest that closing waits for one that only lingers."""

SEARCH_BACK_MS = 60_000
"""Room for clocks that differ, when orders are looked for that may be older."""


@dataclass(slots=True)
class _Case:
    """A doubt that is being settled; it outlives a settler that was closed."""

    batch: DoubtfulBatch
    state: Settlement
    since_ms: int
    maker: FenceMaker | None = None


class LaneSettler:
    """Settles the doubts of one lane, in the background.

    Attributes:
        trouble: why the last attempt could not tell, in words.
    """

    def __init__(self, lane: KeyLane) -> None:
        self._lane = lane
        self._ways: list[Way] = []
        self._task: asyncio.Task[None] | None = None
        self._cases: list[_Case] = []
        self._news = asyncio.Event()
        self._stir = asyncio.Event()
        self._search: tuple[Way, OrderSearch | None] | None = None
        self._rest_s = 0.0
        self.trouble = "no answer came"

    def attach(self, way: Way) -> None:
        """Use a dealer's way to the exchange as well."""
        self._ways.append(way)
        self.wake()

    def wake(self) -> None:
        """Settle what is in doubt; called when there is something."""
        if not self._in_doubt() or not self._ways:
            return
        self._stir.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="wrappy-settling")
            self._task.add_done_callback(self._ended)

    async def wait(
        self, deadline: float, *, unless: asyncio.Event, lingering: bool = False
    ) -> bool:
        """Return whether no doubt holds the lane, at the deadline at the latest.

        Args:
            deadline: of the running loop's clock.
            unless: return at once when this is set.
            lingering: wait for doubts that only linger as well.
        """
        loop = asyncio.get_running_loop()

        def waited_for() -> bool:
            return self._in_doubt() if lingering else bool(self._lane.doubtful)

        while waited_for() and not unless.is_set():
            self.wake()
            left = deadline - loop.time()
            if left <= 0:
                return False
            self._news.clear()
            waits = [
                asyncio.ensure_future(event.wait()) for event in (self._news, unless)
            ]
            try:
                await asyncio.wait(
                    waits, timeout=left, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                for waiting in waits:
                    waiting.cancel()
                await asyncio.gather(*waits, return_exceptions=True)
        return not waited_for()

    async def detach(self, way: Way, *, last_try_s: float) -> None:
        """Stop using a way before it is closed; the last one is tried once more.

        What is still in doubt then is told in the log and stays in the journal, if
        there is one, for the next start.
        """
        if way not in self._ways:
            return
        try:
            if len(self._ways) == 1 and self._in_doubt():
                now, never = asyncio.get_running_loop().time(), asyncio.Event()
                await self.wait(now + last_try_s, unless=never)
                soon = now + min(last_try_s, LINGERING_TRY_S)
                await self.wait(soon, unless=never, lingering=True)
        finally:
            self._ways.remove(way)
            if not self._ways:
                await self._stop()

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for batch in [*self._lane.doubtful, *self._lane.lingering]:
            if batch.is_told:
                continue  # only its fence is in doubt, which does no harm
            logger.error(
                "closed while in doubt (%s): orders %s, transactions %s; %s",
                self.trouble,
                list(batch.client_order_indices),
                [tx.tx_hash for tx in batch.transactions],
                "the journal has them for the next start"
                if self._lane.journal is not None
                else "look for them at the exchange before you send them again",
            )

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Tell of a failure nobody foresaw; the doubt stays, and so does the hold."""
        self._news.set()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.trouble = repr(error)
            logger.error("settling failed", exc_info=error)
            self._rest_s = AFTER_FAILURE_S
            self.wake()

    async def _run(self) -> None:
        rest_s, self._rest_s = self._rest_s, 0.0
        await asyncio.sleep(rest_s)
        while self._in_doubt() and self._ways:
            self._stir.clear()
            until = await self._step()
            left = until - asyncio.get_running_loop().time()
            if left > 0:
                # Something may come into doubt meanwhile, and is more urgent.
                await _either(self._stir, max(left, LEAST_REST_S))

    def _in_doubt(self) -> bool:
        return bool(self._lane.doubtful or self._lane.lingering)

    async def _step(self) -> float:
        """Take one step of the first case that has one; return when to go on."""
        loop, way, until = asyncio.get_running_loop(), self._ways[0], math.inf
        for case in self._in_order(way):
            move = case.state.next(loop.time(), way.unix_s() * 1000)
            self._book(case, frees=case.state.frees(loop.time()))
            if move.step is SettleStep.DONE:
                self._close(case)
                return loop.time()
            if move.step is not SettleStep.WAIT:
                await self._perform(move, case, way)
                return loop.time()
            until = min(until, move.until)
        return until

    def _in_order(self, way: Way) -> list[_Case]:
        """Return the case of the lowest nonces that are held, and all that linger.

        Of the former, one of which only the fence is in doubt waits for those who
        wait for news.
        """
        held = sorted(
            self._lane.doubtful, key=lambda one: (one.is_told, one.nonces.start)
        )
        everything = [*self._lane.doubtful, *self._lane.lingering]
        open_now = {id(batch) for batch in everything}
        self._cases = [case for case in self._cases if id(case.batch) in open_now]
        return [
            self._case_of(batch, way) for batch in [*held[:1], *self._lane.lingering]
        ]

    def _case_of(self, batch: DoubtfulBatch, way: Way) -> _Case:
        """Return the case of a batch; it goes on where it was."""
        for case in self._cases:
            if case.batch is batch:
                return case
        state = Settlement(
            DoubtfulTx(tx.tx_hash, tx.nonce, tx.expired_at_ms, bool(created_orders(tx)))
            for tx in batch.transactions
        )
        unix_ms = batch.signed_ms
        if unix_ms is None:
            age_s = asyncio.get_running_loop().time() - batch.made_at
            unix_ms = int((way.unix_s() - age_s) * 1000)
        else:
            state.nonce_read(batch.nonces.stop)
        self._cases.append(_Case(batch, state, unix_ms - SEARCH_BACK_MS))
        return self._cases[-1]

    def _book(self, case: _Case, *, frees: bool) -> None:
        """Tell what is known by now, and let the lane go on as soon as it can."""
        batch, state = case.batch, case.state
        told = len(batch.told)
        self._lane.tell(batch, state.verdicts)
        released = frees and batch in self._lane.doubtful
        if released:
            self._lane.release(batch, state.verdicts, state.passed)
        if released and state.open:
            logger.warning(
                "%d transaction(s) can take no nonce any more, and the exchange does "
                "not tell of them yet: orders %s stay in doubt, the key goes on",
                len(state.open),
                list(batch.client_order_indices),
            )
        if released or told < len(batch.told):
            self._news.set()

    def _close(self, case: _Case) -> None:
        """Book what a case has come to."""
        batch, state = case.batch, case.state
        self._cases.remove(case)
        for tx_hash, verdict in state.fence_verdicts.items():
            if verdict is not None:
                self._lane.mark([tx_hash], stage_of_verdict(verdict))
        self._lane.settled(batch, state.verdicts)
        self._news.set()
        ends = list(state.verdicts.values())
        logger.info(
            "settled: txs=%d first_nonce=%d accepted=%d fenced=%d",
            len(batch.transactions),
            batch.nonces[0],
            ends.count(SettledAs.ACCEPTED),
            ends.count(SettledAs.FENCED),
        )

    async def _perform(self, move: SettleMove, case: _Case, way: Way) -> None:
        """Take one step and tell the state what came of it."""
        loop = asyncio.get_running_loop()
        state, batch = case.state, case.batch
        if move.step is SettleStep.RESEND:
            # The very same bytes: they can be carried out once at most.
            sent = await self._send(batch.transactions, case, way, urgent=batch.urgent)
            state.resent(sent)
            return
        if move.step is SettleStep.FENCE:
            await self._fence(move.nonces, case, way)
            return
        nonce = venue_ms = known = shown = None
        is_whole = True
        try:
            if move.step is SettleStep.ASK_NONCE:
                nonce = await way.next_nonce()
            elif move.step is SettleStep.ASK_CLOCK:
                venue_ms = await way.venue_ms()
            elif move.step is SettleStep.ASK_HASH:
                known = await way.is_known(move.tx_hash)
            else:
                shown, is_whole = await self._shows(move.tx_hash, case, way)
        except WrappyError as error:
            self._note(error, way)
        if move.step is SettleStep.ASK_NONCE:
            state.nonce_read(nonce)
        elif move.step is SettleStep.ASK_CLOCK:
            state.clock_read(venue_ms, loop.time(), way.unix_s() * 1000)
        elif move.step is SettleStep.ASK_HASH:
            state.hash_read(known=known)
        else:
            state.orders_read(shown=shown, is_whole=is_whole)

    async def _shows(
        self, tx_hash: str, case: _Case, way: Way
    ) -> tuple[bool | None, bool]:
        """Return whether the account shows what a transaction creates, and would."""
        if self._search is None or self._search[0] is not way:
            self._search = way, OrderSearch.by(way)
        _, search = self._search
        if search is None:
            return None, False
        tx = next(tx for tx in case.batch.transactions if tx.tx_hash == tx_hash)
        wanted = dict.fromkeys(created_orders(tx), case.since_ms)
        found = await search.shown(wanted)
        return bool(found.orders), found.is_whole

    async def _fence(self, nonces: range, case: _Case, way: Way) -> None:
        """Have harmless transactions take the nonces of a case."""
        if case.maker is None and way.ink is not None:
            case.maker = way.ink.maker(case.batch.transactions, self._lane.journal)
        if case.maker is None:
            return
        try:
            fence = await case.maker.make(nonces)
        except (SignerError, JournalError, ConfigError) as error:
            self._note(error, way)
            return
        logger.info("fencing: nonces=%d..%d", nonces[0], nonces[-1])
        verdict = await self._send(fence, case, way, urgent=True)
        sends = [DoubtfulTx(tx.tx_hash, tx.nonce, tx.expired_at_ms) for tx in fence]
        case.state.fenced(sends, verdict)
        lost = case.state.fence_verdicts
        if verdict.outcome is SendOutcome.REFUSED and fence[0].tx_hash not in lost:
            # No copy of it is under way, so that it is over and not used again.
            case.maker.forget()
            self._lane.mark([tx.tx_hash for tx in fence], SendStage.REFUSED)

    async def _send(
        self, transactions: Sequence[SignedTx], case: _Case, way: Way, *, urgent: bool
    ) -> SendVerdict:
        """Send signed bytes and return what the answer means for them."""
        # A fence without an answer must not keep us from asking what is to be known.
        over_ms = max(tx.expired_at_ms for tx in case.batch.transactions)
        path = SEND_PATH if len(transactions) == 1 else BATCH_PATH
        await way.pace.wait(path, urgent=urgent)
        try:
            await way.send(transactions, expired_at_ms=over_ms)
        except WrappyError as error:
            self._note(error, way)
            return verdict_of(error)
        return verdict_of(None)

    def _note(self, error: WrappyError, way: Way) -> None:
        self.trouble = str(error)
        if isinstance(error, RateLimitedError) and not error.volume_quota:
            way.pace.throttled(error.retry_after_s)


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Return when the event is set, or after so long."""
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait([waiting], timeout=seconds)
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


def stage_of_verdict(verdict: SettledAs) -> SendStage:
    """Return what the journal notes of a settled transaction."""
    accepted = verdict is SettledAs.ACCEPTED
    return SendStage.ACCEPTED if accepted else SendStage.DEAD


def is_carried_out(tx: SignedTx, verdict: SettledAs) -> bool:
    """Return whether what a transaction was to do is done, or will be.

    The fence of a cancel is the same cancel again, so that it comes about all the
    same.
    """
    is_cancel = tx.tx_type == TxType.CANCEL_ORDER
    return verdict is SettledAs.ACCEPTED or (verdict is SettledAs.FENCED and is_cancel)
