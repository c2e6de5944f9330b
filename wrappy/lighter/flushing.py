"""A flush in batches: one after the other or several at a time, and summed up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wrappy.lighter.results import FlushResult, OrderOutcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from wrappy._core.batch import Queued
    from wrappy.lighter.sender import Sender, Sent
    from wrappy.protocol.intents import Intent


@dataclass(slots=True)
class Attempt:
    """One batch of a flush and what came of it.

    Attributes:
        sender: the key it goes by.
        batch: the entries.
        back: what goes back to the queue if the flush fails; all, until it is tried.
        sent: what the exchange accepted.
    """

    sender: Sender
    batch: Sequence[Queued[Intent]]
    back: Sequence[Queued[Intent]]
    sent: Sent | None = None


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
