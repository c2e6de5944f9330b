"""A flush in batches: one after the other or several at a time, and summed up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wrappy.errors import UsageError
from wrappy.lighter.results import FlushResult, OrderOutcome
from wrappy.lighter.sending.allowance import one_by_one

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeAlias

    from wrappy._core.batch import Queued
    from wrappy.errors import VenueError
    from wrappy.lighter.sending.allowance import AccountAllowance
    from wrappy.lighter.sending.outbox import Outbox
    from wrappy.lighter.sending.sender import Sender, Sent
    from wrappy.protocol.intents import Intent

    Portion: TypeAlias = Callable[
        ["Attempt", Sequence[Queued[Intent]], Sequence[Queued[Intent]]],
        Awaitable[None],
    ]


@dataclass(slots=True)
class Attempt:
    """One batch of a flush and what came of it.

    Attributes:
        sender: the key it goes by.
        batch: the entries.
        back: what goes back to the queue if the flush fails; all, until it is tried.
        whole: all of it goes or nothing.
        sent: what the exchange accepted; several when quota let it go in portions.
    """

    sender: Sender
    batch: Sequence[Queued[Intent]]
    back: Sequence[Queued[Intent]]
    whole: bool = False
    sent: list[Sent] = field(default_factory=list)


class QuotaGate:
    """Lets batches pass as far as the account's volume quota goes.

    Args:
        allowance: the account's.
        closed: whether nothing is sent any more.
        free: whether an entry may go before all others of its batch.
    """

    def __init__(
        self,
        allowance: AccountAllowance,
        *,
        closed: Callable[[], bool],
        free: Callable[[Queued[Intent]], bool],
    ) -> None:
        self._allowance = allowance
        self._closed = closed
        self._free = free

    async def book(self, entries: Sequence[Queued[Intent]]) -> bool:
        """Wait for quota and book it; see `AccountAllowance.book`."""
        return await self._allowance.book(entries, closed=self._closed)

    async def send(self, attempt: Attempt, send: Portion) -> None:
        """Send a batch whole, or in portions when quota is short.

        Args:
            attempt: the batch.
            send: sends what was booked, told what of the batch is still behind it.

        Raises:
            UsageError: closed meanwhile.
        """
        batch = attempt.batch
        turn = await self._allowance.turn(batch)
        try:
            if await self.book(batch):
                turn.give_up()
                await send(attempt, batch, ())
                return
            # The turn is kept, so that nothing that spends passes what waits.
            first = [entry for entry in batch if self._free(entry)]
            rest = [entry for entry in batch if not self._free(entry)]
            portions = one_by_one([*first, *rest])
            while portions:
                portion = portions.pop(0)
                await self.book(portion)
                await send(attempt, portion, [e for p in portions for e in p])
        finally:
            turn.give_up()


async def try_all(
    attempts: Sequence[Attempt], send: Callable[[Attempt], Awaitable[None]]
) -> None:
    """Send batch after batch, or several at a time where the keys' doors can.

    The first failure ends it, and is raised; what is out by then is waited for.
    """
    depth = min((attempt.sender.depth for attempt in attempts), default=1)
    if depth == 1:
        for attempt in attempts:
            await send(attempt)
        return
    tasks: list[asyncio.Future[None]] = []
    try:
        for attempt in attempts:
            running = [task for task in tasks if not task.done()]
            if len(running) >= depth:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            if any(task.done() and _failed(task) for task in tasks):
                break
            tasks.append(asyncio.ensure_future(send(attempt)))
        await asyncio.wait(tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        task.result()


def _failed(task: asyncio.Future[None]) -> bool:
    return task.cancelled() or task.exception() is not None


def is_final(error: VenueError) -> bool:
    """Whether the exchange has refused what was sent, and would again."""
    return error.outcome == "refused" and not error.retryable


def with_cancels_named(error: VenueError, attempts: Sequence[Attempt]) -> VenueError:
    """Return the error, with what it kept from being cancelled in its words."""
    sent = {id(e) for attempt in attempts for s in attempt.sent for e in s.entries}
    kept = [
        entry.touches
        for attempt in attempts
        for entry in attempt.batch
        if entry.is_cancel and entry.touches is not None and id(entry) not in sent
    ]
    if not kept or not is_final(error):
        return error
    return type(error)(
        error.code,
        f"{error.message}; refused as a whole, so these were not cancelled: {kept}",
        error.endpoint,
    )


def flush_result(sent: Sequence[Sent], *, dry_run: bool) -> FlushResult:
    """Return what a flush answers, from the batches that were accepted."""
    last = next((batch.reply for batch in reversed(sent) if batch.reply), None)
    return FlushResult(
        code=200,
        count=sum(len(batch.entries) for batch in sent),
        tx_hash=[tx.tx_hash for batch in sent for tx in batch.transactions],
        client_order_indices=[e.touches for batch in sent for e in batch.entries],
        predicted_execution_time_ms=last.predicted_execution_time_ms if last else None,
        volume_quota_remaining=last.volume_quota_remaining if last else None,
        batches=sum(bool(batch.entries) for batch in sent),
        dry_run=dry_run,
        orders=[
            OrderOutcome(
                client_order_index=entry.touches,
                tx_hash=tx.tx_hash,
                outcome="dry_run" if batch.reply is None else "accepted",
            )
            for batch in sent
            for entry, tx in zip(batch.entries, batch.transactions, strict=True)
        ],
    )


def without(
    entries: Sequence[Queued[Intent]], others: Sequence[Queued[Intent]]
) -> list[Queued[Intent]]:
    """Return entries that are not among others, in their order."""
    gone = {id(entry) for entry in others}
    return [entry for entry in entries if id(entry) not in gone]


def require_no_batch(outbox: Outbox, call: str) -> None:
    """Raise if this task has a batch open.

    Raises:
        UsageError: it has.
    """
    if outbox.scope is not None:
        raise UsageError(f"{call} inside batch(): the batch sends at its end")
