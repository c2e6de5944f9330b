"""Receipts: when each order was queued, accepted and settled, and waiting for that.

The order table tells every change. Where nothing feeds it, the orders somebody waits
for are asked for by REST: the transaction first, then the order itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from wrappy._core.order_states import OrderEvent
from wrappy._core.receipts import (
    Misses,
    TransactionFate,
    is_all_read,
    reason_of,
    stage_of,
    verdict,
    was_accepted,
)
from wrappy.errors import UsageError, WrappyError
from wrappy.model import Receipt, ReceiptStage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wrappy._core.orders import OrderRecord, OrderTable
    from wrappy.lighter.asking.account import AccountReader
    from wrappy.lighter.results import OrderDict
    from wrappy.model import Market

logger = logging.getLogger("LighterDealer.receipts")

QUIET_S = 0.5
"""Silence before the first question: a stream is usually quicker."""

PAUSE_S = 1.0
MOST_PAGES = 5
"""Pages of a hundred ended orders that one look may read."""

FORGOTTEN_KEPT = 100
"""Times of forgotten orders that may stay until they are swept."""


@dataclass(slots=True)
class _Times:
    """Moments of one order, unix seconds of this machine."""

    queued_s: float | None = None
    accepted_s: float | None = None
    settled_s: float | None = None


@dataclass(slots=True)
class _Watch:
    """Somebody waits for an order: what wakes them, and who asks meanwhile."""

    settled: asyncio.Future[OrderRecord]
    asking: asyncio.Task[None]
    waiters: int = 0


class Receipts:
    """Times of a dealer's orders, and those who wait for them.

    Args:
        orders: the order table, whose changes are listened to from now on.
        account: reads the account, paced and authenticated.
        market: scales of prices and sizes.
        enter: enters the exchange's word on an order into the table.
        hurry: called with an order that somebody begins to wait for.
        unix_s: unix seconds.
        quiet_s: silence before the first question.
        pause_s: from one round of questions to the next.
    """

    def __init__(
        self,
        orders: OrderTable,
        account: AccountReader,
        market: Market,
        *,
        enter: Callable[[OrderDict], None],
        hurry: Callable[[int], object] = bool,
        unix_s: Callable[[], float] = time.time,
        quiet_s: float = QUIET_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._orders = orders
        self._account = account
        self._market = market
        self._enter = enter
        self._hurry = hurry
        self._unix_s = unix_s
        self._quiet_s = quiet_s
        self._pause_s = pause_s
        self._times: dict[int, _Times] = {}
        self._watches: dict[int, _Watch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        orders.tell(self._note)

    def __len__(self) -> int:
        return len(self._times)

    def receipt(self, coi: int) -> Receipt | None:
        """Return what is known of an order; None if it is not in the table."""
        record = self._orders.get(coi)
        return None if record is None else self._receipt(record)

    async def wait(self, coi: int, timeout_s: float) -> Receipt:
        """Return the receipt when the order is settled, or as it stands in the end.

        Raises:
            UsageError: the order is not known or still queued, or `aclose` was
                called meanwhile.
        """
        record = self._orders.get(coi)
        if record is None:
            raise UsageError(f"order {coi} is not known to this dealer")
        stage = stage_of(record)
        if stage is ReceiptStage.QUEUED:
            raise UsageError(
                f"order {coi} still waits here to be sent; `await dealer.flush()` first"
            )
        if stage.is_settled:
            return self._receipt(record)
        watch = self._watches.get(coi) or self._begin(coi)
        watch.waiters += 1
        try:
            await asyncio.wait([watch.settled], timeout=timeout_s)
            if watch.settled.done():
                record = watch.settled.result()
        finally:
            watch.waiters -= 1
            if not watch.waiters:
                watch.asking.cancel()
                if self._watches.get(coi) is watch:
                    del self._watches[coi]
        # More may have happened since; or the table was busy and has forgotten it.
        return self._receipt(self._orders.get(coi) or record)

    async def aclose(self) -> None:
        """Stop asking and release whoever waits."""
        for watch in self._watches.values():
            if not watch.settled.done():
                watch.settled.set_exception(
                    UsageError("the dealer was closed while this waited")
                )
                watch.settled.exception()  # heard, also if all waiters just left
        self._watches.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _note(self, record: OrderRecord) -> None:
        """Keep the moments of a change and wake who waits for it."""
        now, coi = self._unix_s(), record.client_order_index
        stage = stage_of(record)
        times = self._times.setdefault(coi, _Times())
        if stage is ReceiptStage.QUEUED and times.queued_s is None:
            times.queued_s = now
        if times.accepted_s is None and was_accepted(record):
            times.accepted_s = now
        if stage.is_settled:
            if times.settled_s is None:
                times.settled_s = now
            watch = self._watches.get(coi)
            if watch is not None and not watch.settled.done():
                watch.settled.set_result(record)
        if len(self._times) > len(self._orders) + FORGOTTEN_KEPT:
            self._times = {
                kept: times
                for kept, times in self._times.items()
                if self._orders.get(kept) is not None
            }

    def _receipt(self, record: OrderRecord) -> Receipt:
        times = self._times.get(record.client_order_index, _Times())
        market = self._market
        return Receipt(
            client_order_index=record.client_order_index,
            stage=stage_of(record),
            status=record.status,
            tx_hash=record.tx_hash,
            filled=market.size(record.filled_base),
            price=market.price(record.price_ticks) if record.price_ticks else None,
            size=market.size(record.base_amount) if record.base_amount else None,
            reason=reason_of(record),
            queued_at_s=times.queued_s,
            accepted_at_s=times.accepted_s,
            settled_at_s=times.settled_s,
        )

    def _begin(self, coi: int) -> _Watch:
        asking = asyncio.create_task(self._keep_asking(coi), name=f"wrappy ask {coi}")
        watch = _Watch(asyncio.get_running_loop().create_future(), asking)
        self._watches[coi] = watch
        self._hurry(coi)
        self._tasks.add(asking)
        asking.add_done_callback(partial(self._asked, watch))
        return watch

    def _asked(self, watch: _Watch, task: asyncio.Task[None]) -> None:
        """Hand a failure nobody foresaw to those who wait."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not watch.settled.done():
            watch.settled.set_exception(error)

    async def _keep_asking(self, coi: int) -> None:
        await asyncio.sleep(self._quiet_s)
        misses = Misses()
        while self._is_open(coi):
            try:
                await self._look(coi, misses)
            except WrappyError as error:
                # Silence proves nothing; the next round asks again.
                logger.warning("order %d could not be asked for: %s", coi, error)
            await asyncio.sleep(self._pause_s)

    async def _look(self, coi: int, misses: Misses) -> None:
        """Ask once, and count it if an executed transaction shows no order."""
        record = self._orders.get(coi)
        if record is None:
            return
        known = record.tx_hash
        report = await self._account.transaction(known) if known else None
        self._conclude(coi, *verdict(report, Misses()))
        if report is not None and report.fate is not TransactionFate.EXECUTED:
            misses.broken()
            return
        began = asyncio.get_running_loop().time()
        # Live ones first: an order that ends meanwhile is in the second list.
        rows = await self._account.open_orders(record.market_index)
        queued_at_ms = None if report is None else report.queued_at_ms
        is_nowhere = not self._found(coi, rows) and await self._is_nowhere(
            coi, queued_at_ms
        )
        if report is None or not is_nowhere:
            misses.broken()
            return
        misses.missed(began)
        self._conclude(coi, *verdict(report, misses))

    async def _is_nowhere(self, coi: int, queued_at_ms: int | None) -> bool:
        """Whether the ended orders were read far enough back, without this one."""
        cursor: str | None = None
        count = 0
        for _ in range(MOST_PAGES):
            rows, cursor = await self._account.ended_orders(cursor)
            if self._found(coi, rows):
                return False
            count += len(rows)
            if is_all_read(rows, queued_at_ms, count=count, has_more=bool(cursor)):
                return True
            if not cursor:
                break
        return False

    def _found(self, coi: int, rows: Iterable[OrderDict]) -> bool:
        """Enter the order from rows of any orders; return whether it is there."""
        market = self._market.market_id
        for row in rows:
            mine = row.get("client_order_index") == coi
            if mine and row.get("market_index") == market:
                self._enter(row)
                return True
        return False

    def _conclude(self, coi: int, event: OrderEvent | None, words: str) -> None:
        if event is OrderEvent.PROVEN_DEAD:
            # It did get in, whatever its answer said.
            self._orders.apply(coi, OrderEvent.SENT)
        if event is not None:
            self._orders.apply(coi, event, reason=words)

    def _is_open(self, coi: int) -> bool:
        record = self._orders.get(coi)
        return record is not None and not stage_of(record).is_settled
