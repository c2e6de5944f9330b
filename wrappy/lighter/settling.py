"""Settling lost answers in the background, one lane's doubts after another.

`_core.settlement` decides; here it is asked what to do, and that is done through
whatever dealer on the lane is open. The one task lives as long as there is a doubt and
a way to ask; who closes last makes one bounded last try.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from wrappy._core.outcomes import SendOutcome, verdict_of
from wrappy._core.settlement import (
    DoubtfulTx,
    SettledAs,
    Settlement,
    SettleMove,
    SettleStep,
)
from wrappy.errors import RateLimitedError, WrappyError
from wrappy.lighter.doors import BATCH_PATH, SEND_PATH
from wrappy.lighter.journal import SendStage

if TYPE_CHECKING:
    from wrappy.lighter.lane import DoubtfulBatch, KeyLane
    from wrappy.lighter.way import Way

logger = logging.getLogger("LighterDealer.tx")

AFTER_FAILURE_S = 1.0
"""Pause before settling is taken up again that failed in a way nobody foresaw."""

LAST_TRY_S = 5.0
"""Longest that closing waits for a doubt to be settled."""


class LaneSettler:
    """Settles the doubts of one lane, in the background.

    Attributes:
        trouble: why the last attempt could not tell, in words.
    """

    def __init__(self, lane: KeyLane) -> None:
        self._lane = lane
        self._ways: list[Way] = []
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._rest_s = 0.0
        self.trouble = "no answer came"

    def attach(self, way: Way) -> None:
        """Use a dealer's way to the exchange as well."""
        self._ways.append(way)
        self.wake()

    def wake(self) -> None:
        """Settle what is in doubt; called when there is something."""
        if not self._lane.doubtful or not self._ways:
            return
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="wrappy-settling")
            self._task.add_done_callback(self._ended)

    async def wait(self, deadline: float, *, unless: asyncio.Event) -> bool:
        """Return whether nothing is in doubt, at the deadline at the latest.

        Args:
            deadline: of the running loop's clock.
            unless: return at once when this is set.
        """
        loop = asyncio.get_running_loop()
        while self._lane.doubtful and not unless.is_set():
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
        return not self._lane.doubtful

    async def detach(self, way: Way, *, last_try_s: float) -> None:
        """Stop using a way before it is closed; the last one is tried once more.

        What is still in doubt then is told in the log and stays in the journal, if
        there is one, for the next start.
        """
        if way not in self._ways:
            return
        try:
            if len(self._ways) == 1 and self._lane.doubtful:
                deadline = asyncio.get_running_loop().time() + last_try_s
                await self.wait(deadline, unless=asyncio.Event())
        finally:
            self._ways.remove(way)
            if not self._ways:
                await self._stop()

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for batch in self._lane.doubtful:
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
        while self._lane.doubtful and self._ways:
            batch = self._lane.doubtful[0]
            await self._settle(batch)
            self._news.set()

    async def _settle(self, batch: DoubtfulBatch) -> None:
        loop = asyncio.get_running_loop()
        state = Settlement(
            DoubtfulTx(tx.tx_hash, tx.nonce, tx.expired_at_ms)
            for tx in batch.transactions
        )
        while True:
            way = self._ways[0]
            move = state.next(loop.time(), way.unix_s() * 1000)
            if move.step is SettleStep.DONE:
                break
            if move.step is SettleStep.WAIT:
                await asyncio.sleep(max(0.0, move.until - loop.time()))
            else:
                await self._perform(move, state, batch, way)
        self._lane.settled(batch, state.verdicts)
        logger.info(
            "settled: txs=%d first_nonce=%d accepted=%d",
            len(batch.transactions),
            batch.nonces[0],
            sum(v is SettledAs.ACCEPTED for v in state.verdicts.values()),
        )

    async def _perform(
        self, move: SettleMove, state: Settlement, batch: DoubtfulBatch, way: Way
    ) -> None:
        """Take one step and tell the state what came of it."""
        loop = asyncio.get_running_loop()
        if move.step is SettleStep.RESEND:
            state.resent(accepted=await self._resend(batch, way))
            return
        nonce = venue_ms = known = None
        try:
            if move.step is SettleStep.ASK_NONCE:
                nonce = await way.next_nonce()
            elif move.step is SettleStep.ASK_CLOCK:
                venue_ms = await way.venue_ms()
            else:
                known = await way.is_known(move.tx_hash)
        except WrappyError as error:
            self._note(error, way)
        if move.step is SettleStep.ASK_NONCE:
            state.nonce_read(nonce)
        elif move.step is SettleStep.ASK_CLOCK:
            state.clock_read(venue_ms, loop.time(), way.unix_s() * 1000)
        else:
            state.hash_read(known=known, now=loop.time())

    async def _resend(self, batch: DoubtfulBatch, way: Way) -> bool:
        """Send the very same bytes again: they can be carried out once at most."""
        path = SEND_PATH if len(batch.transactions) == 1 else BATCH_PATH
        await way.pace.wait(path, urgent=batch.urgent)
        try:
            await way.door.send(batch.transactions)
        except WrappyError as error:
            self._note(error, way)
            return verdict_of(error).outcome is SendOutcome.ACCEPTED
        return True

    def _note(self, error: WrappyError, way: Way) -> None:
        self.trouble = str(error)
        if isinstance(error, RateLimitedError):
            way.pace.throttled(error.retry_after_s)


def stage_of_verdict(verdict: SettledAs) -> SendStage:
    """Return what the journal notes of a settled transaction."""
    accepted = verdict is SettledAs.ACCEPTED
    return SendStage.ACCEPTED if accepted else SendStage.DEAD
