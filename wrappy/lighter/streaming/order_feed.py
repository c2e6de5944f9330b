"""An account's orders as its stream tells of them, by client order index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrappy._core.orders import OrderTable
from wrappy.errors import WrappyError
from wrappy.lighter.asking.reading import report_order, rows_by_market
from wrappy.lighter.streaming.reading_frames import message_in

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Sequence

    from wrappy._core.orders import OrderRecord
    from wrappy.lighter.logs import LogSink
    from wrappy.lighter.results import OrderDict
    from wrappy.lighter.streaming.feed import Tell

ENDED_ORDERS_KEPT = 10_000


class OrderFeed:
    """The orders of one account, ended ones included.

    A snapshot holds live orders only. What ended while nobody listened is missing
    from it, and has to be asked for: `on_snapshot` hears what was listed before it
    is entered.

    Args:
        tell: told of `on_orders` with the rows as the exchange has them.
        log: where unreadable rows are told.

    Attributes:
        orders: the table.
        on_snapshot: called with the orders of each snapshot; None for nobody.
        newest_us: when the latest change happened that was told of, microseconds of
            the exchange's clock; None before the first.
    """

    def __init__(self, tell: Tell, log: LogSink) -> None:
        self.orders = OrderTable(capacity_terminal=ENDED_ORDERS_KEPT)
        self.on_snapshot: Callable[[list[OrderDict]], None] | None = None
        self.newest_us: int | None = None
        self._tell = tell
        self._log = log
        self._waiters: dict[int, list[asyncio.Future[OrderDict]]] = {}

    def take(self, raw: bytes, *, snapshot: bool) -> bool:
        """Enter what a frame says of orders; see `Feed`."""
        rows = rows_by_market(message_in(raw).get("orders"), "orders")
        if snapshot and self.on_snapshot is not None:
            self.on_snapshot(rows)
        self.enter(rows)
        return True

    def lost(self, reason: str) -> None:
        """Keep what is known: an order is what it last was until told otherwise."""

    def order(self, client_order_index: int) -> OrderDict | None:
        """Return the latest word on an order; None if nobody ever told of it."""
        record = self.orders.get(client_order_index)
        return None if record is None else _word(record)

    def live(self) -> list[OrderDict]:
        """Return the latest word on each order that can still trade."""
        words = map(_word, self.orders.live())
        return [word for word in words if word is not None]

    def missing(self, listed: Iterable[OrderDict]) -> list[int]:
        """Return the orders that are live here and not in a list of live orders."""
        present = {row.get("client_order_index") for row in listed}
        live = (record.client_order_index for record in self.orders.live())
        return [coi for coi in live if coi not in present]

    def vanished(self, listed: Sequence[OrderDict]) -> bool:
        """Whether a list of live orders lacks one that is live here or waited for."""
        present = {row.get("client_order_index") for row in listed}
        awaited = any(coi not in present for coi in self._waiters)
        return awaited or bool(self.missing(listed))

    def is_news(self, row: OrderDict, since_us: int | None) -> bool:
        """Whether an ended order is not known to have ended, nor older than all here.

        Args:
            row: as the exchange has it.
            since_us: unheard-of orders that ended before are left out; None for all
                that nobody waits for.
        """
        coi = row.get("client_order_index")
        record = self.orders.get(coi) if isinstance(coi, int) else None
        if record is not None:
            return not record.status.is_terminal
        return coi in self._waiters or (
            since_us is not None and time_of(row) > since_us
        )

    def enter(self, rows: Iterable[OrderDict]) -> None:
        """Enter the exchange's words on orders; unreadable ones are logged."""
        readable = []
        for row in rows:
            try:
                record = report_order(self.orders, row)
            except WrappyError as error:
                self._log.error("unreadable order: %s", error)
                continue
            readable.append(row)
            changed_us = time_of(row)
            if changed_us > (self.newest_us or 0):
                self.newest_us = changed_us
            if record is not None and self._waiters:
                self._hand_over(record)
        if readable:
            self._tell("on_orders", readable)

    def _hand_over(self, record: OrderRecord) -> None:
        word = _word(record)
        for waiter in self._waiters.get(record.client_order_index, ()):
            if word is not None and not waiter.done():
                waiter.set_result(dict(word))

    def wait_for(
        self, client_order_index: int, waiter: asyncio.Future[OrderDict]
    ) -> None:
        """Set a future as soon as an order is told of; pair with `wait_no_more`."""
        self._waiters.setdefault(client_order_index, []).append(waiter)

    def wait_no_more(
        self, client_order_index: int, waiter: asyncio.Future[OrderDict]
    ) -> None:
        """Forget a future that waits for an order."""
        remaining = self._waiters.get(client_order_index, [])
        if waiter in remaining:
            remaining.remove(waiter)
        if not remaining:
            self._waiters.pop(client_order_index, None)


def time_of(row: OrderDict) -> int:
    """Return when an order changed last, microseconds; 0 if the row does not say."""
    told = row.get("transaction_time")
    return told if isinstance(told, int) else 0


def _word(record: OrderRecord) -> OrderDict | None:
    return None if record.report is None else dict(record.report)
