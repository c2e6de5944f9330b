"""Looking for what the exchange accepted and nobody ever reported.

`_core.lapses` knows when a look can tell something and what it proves. Here the lists
of the account's orders and the transactions are read, and what is dead is booked: an
order ends as never executed, the cancel of one that lives is queued again, a change is
told as an error.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, NamedTuple

from wrappy._core.coi import COI_MAX
from wrappy._core.lapses import (
    Lapse,
    LapseEnd,
    LapseKind,
    Lapses,
    has_no_reason,
)
from wrappy._core.receipts import is_all_read
from wrappy.errors import WrappyError
from wrappy.protocol.intents import ModifyOrder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from wrappy._core.batch import Queued
    from wrappy._core.orders import OrderRecord
    from wrappy.lighter.asking.account import AccountReader
    from wrappy.lighter.results import OrderDict
    from wrappy.lighter.sending.booking import OrderBooking
    from wrappy.protocol.intents import Intent

logger = logging.getLogger("LighterDealer.receipts")

MOST_PAGES = 15
"""Pages of a hundred ended orders that one look may read."""

SIGNS_TO_PROVE = 2
"""Of these: whole lists, a hash that is not known as carried out, and enough time."""

_NO_TARGET = (-1, -1)

MOST_ASKED = 20
"""Transactions that one look may ask for."""


class _Read(NamedTuple):
    """How far ended orders were read: the last page, rows in all, whether more."""

    rows: Sequence[OrderDict]
    total: int
    has_more: bool

    def is_whole(self, began_ms: int) -> bool:
        """Whether an order that was accepted then and has ended would be there."""
        return is_all_read(
            self.rows, began_ms, count=self.total, has_more=self.has_more
        )


class LapseWatch:
    """Ends what was accepted and dropped, soon after its time is over.

    Args:
        booking: where outcomes are entered; what is taken is heard of from now on.
        account: reads the account.
        market_index: the market of the orders.
        ask_s: asks for the exchange's clock, unix seconds rounded down.
        unix_s: our own clock, unix seconds.
    """

    def __init__(
        self,
        booking: OrderBooking,
        account: AccountReader,
        market_index: int,
        *,
        ask_s: Callable[[], Awaitable[int]],
        unix_s: Callable[[], float],
    ) -> None:
        self._booking = booking
        self._account = account
        self._market_index = market_index
        self._ask_s = ask_s
        self._unix_s = unix_s
        self._lapses = Lapses()
        self._entries: dict[tuple[str, int], Queued[Intent]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        booking.on_taken = self._taken
        booking.orders.tell(self._note)

    def __len__(self) -> int:
        return len(self._lapses)

    def hurry(self, client_order_index: int) -> None:
        """Spare no question about an order: somebody waits for its end."""
        self._lapses.hurry(client_order_index)
        self._arm()

    async def aclose(self) -> None:
        """Look no more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _taken(self, entry: Queued[Intent], tx_hash: str, ends_ms: int) -> None:
        """Wait for reports on what the exchange has just taken."""
        target, number = (0, 0), entry.touches
        if isinstance(entry.intent, ModifyOrder):
            kind = LapseKind.CHANGES
            target = entry.intent.price, entry.intent.base_amount
        else:
            kind = LapseKind.CANCELS if entry.is_cancel else LapseKind.CREATES
        # What acts on all orders, or on one by the exchange's number, is not followed.
        new = []
        numbers = entry.also or ((number,) if number and number <= COI_MAX else ())
        for coi in numbers:
            record = self._booking.orders.get(coi)
            if record is None or record.status.is_terminal:
                continue
            if kind is LapseKind.CREATES and record.reported is not None:
                continue
            shown = record.price_ticks, record.base_amount
            if target == shown and not self._lapses.changes(coi):
                continue  # the report was quicker than the answer
            now = asyncio.get_running_loop().time()
            lapse = Lapse(tx_hash, coi, kind, ends_ms, now, target)
            self._lapses.accepted(lapse)
            self._entries[tx_hash, coi] = entry
            new.append(lapse)
        self._arm(new)

    def _note(self, record: OrderRecord) -> None:
        number = record.client_order_index
        if record.status.is_terminal:
            self._lapses.ended(number)
        elif record.reported is not None:
            self._lapses.shown(number, (record.price_ticks, record.base_amount))

    def _arm(self, of: Sequence[Lapse] | None = None) -> None:
        """Have the next look taken when it is due, of these or of all."""
        busy = self._task is not None and not self._task.done()
        if self._closed or busy:
            return
        loop = asyncio.get_running_loop()
        at = self._lapses.wake_at(loop.time(), self._unix_s() * 1000, of)
        if self._timer is not None:
            if self._timer.when() <= at:
                return  # it arms itself anew
            self._timer.cancel()
            self._timer = None
        if not math.isinf(at):
            self._timer = loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        at = self._lapses.wake_at(loop.time(), self._unix_s() * 1000)
        if at > loop.time():
            self._entries = self._living()
            self._arm()
            return
        self._task = loop.create_task(self._look(), name="wrappy-lapses")
        self._task.add_done_callback(self._looked)

    def _looked(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("looking for silent orders failed", exc_info=error)
        self._task = None
        self._entries = self._living()
        self._arm()

    def _living(self) -> dict[tuple[str, int], Queued[Intent]]:
        open_now = self._lapses.keys()
        return {key: one for key, one in self._entries.items() if key in open_now}

    async def _look(self) -> None:
        loop, shown, brought = asyncio.get_running_loop(), 0, False
        try:
            shown, brought = await self._look_at(await self._due())
        except WrappyError as error:
            logger.warning("silent orders could not be looked for: %s", error)
        finally:
            self._lapses.rested(loop.time(), shown=shown, brought=brought)

    async def _due(self) -> list[Lapse]:
        loop, lapses = asyncio.get_running_loop(), self._lapses
        for _, number in self._entries:
            if self._booking.orders.get(number) is None:
                lapses.ended(number)  # forgotten: nothing more can be learned of it
        if lapses.wants_clock(loop.time(), self._unix_s() * 1000):
            try:
                venue_ms = 1000 * await self._ask_s()
            except WrappyError:
                if not lapses.due(loop.time(), self._unix_s() * 1000):
                    raise
            else:
                lapses.clock_read(venue_ms, loop.time(), self._unix_s() * 1000)
        return lapses.due(loop.time(), self._unix_s() * 1000)

    async def _look_at(self, due: Sequence[Lapse]) -> tuple[int, bool]:
        """Look once; return how many the lists told of, and whether it was of use."""
        if not due:
            return 0, False
        # Live ones first: an order that ends meanwhile is in the second list.
        rows = await self._account.open_orders(self._market_index)
        live = self._note_rows(rows, due, ended=False)
        seen = set(live)
        read = await self._read_ended(due, seen)
        left = [lapse for lapse in due if self._lapses.is_open(lapse)]
        moved = len(left) < len(due)
        asked, is_plain, loop = 0, False, asyncio.get_running_loop()
        for lapse in left:
            if not self._lapses.is_open(lapse):
                continue  # it was reported while another was asked for
            misses, is_live = lapse.misses, lapse.number in live
            is_whole = read.is_whole(self._began_ms([lapse]))
            is_unseen = lapse.number not in seen
            is_nowhere = is_whole and is_unseen
            report = None
            creates = lapse.kind is LapseKind.CREATES
            # That no list has an order is the proof. The transaction tells a reason
            # at most: where the first has none, a batch of others is not asked for.
            is_proven = creates and is_nowhere and (is_plain or not misses)
            if not is_proven and asked < MOST_ASKED:
                asked += 1
                report = await self._account.transaction(lapse.tx_hash)
                if not self._lapses.is_open(lapse):
                    continue
                is_plain |= creates and has_no_reason(report)
                is_long_over = self._lapses.is_long_over(
                    lapse, loop.time(), self._unix_s() * 1000
                )
                # Lists that do not reach back any more leave the word to the hash;
                # those that lack what was carried out may lag as it does.
                signs = (is_whole, has_no_reason(report), is_long_over)
                is_nowhere = is_unseen and sum(signs) >= SIGNS_TO_PROVE
            elif not is_proven:
                continue
            is_past = is_unseen and not is_whole
            end, words = self._lapses.looked(
                lapse, report, is_live=is_live, is_nowhere=is_nowhere, is_past=is_past
            )
            if end is LapseEnd.DONE and creates:
                logger.warning(
                    "order %d was carried out, but the exchange's lists do not reach "
                    "back to what became of it: look at it",
                    lapse.number,
                )
            moved |= end is not LapseEnd.OPEN or lapse.misses > misses
            if end is LapseEnd.DEAD:
                entry = self._entries[lapse.tx_hash, lapse.number]
                self._booking.lapsed(entry, lapse.number, words)
        return len(due) - len(left), moved

    def _began_ms(self, lapses: Sequence[Lapse]) -> int:
        now = asyncio.get_running_loop().time()
        return self._lapses.began_ms(lapses, now, self._unix_s() * 1000)

    async def _read_ended(self, due: Sequence[Lapse], seen: set[int]) -> _Read:
        """Read ended orders, as far back as these need it.

        Args:
            due: what is looked for.
            seen: orders that need not be looked for; those that are listed join it,
                whether their rows can be read or not.
        """
        began_ms = self._began_ms(due)
        cursor: str | None = None
        read = _Read((), 0, has_more=True)
        for _ in range(MOST_PAGES):
            sought = [lapse for lapse in due if lapse.number not in seen]
            if not sought:
                break
            rows, cursor = await self._account.ended_orders(cursor)
            seen |= self._note_rows(rows, sought, ended=True)
            read = _Read(rows, read.total + len(rows), has_more=bool(cursor))
            if not cursor or read.is_whole(began_ms):
                break
        return read

    def _note_rows(
        self, rows: Sequence[OrderDict], due: Sequence[Lapse], *, ended: bool
    ) -> set[int]:
        """Wait no longer for what rows show; return the orders that are in them.

        They are not entered into the table: a stream that is late tells of them in
        its own order, with the positions that belong to it.
        """
        sought, found = {lapse.number for lapse in due}, set()
        for row in rows:
            coi = row.get("client_order_index")
            if coi in sought and row.get("market_index") == self._market_index:
                found.add(coi)
                if ended:
                    self._lapses.ended(coi)
                else:
                    self._lapses.shown(coi, _NO_TARGET)
        return found
