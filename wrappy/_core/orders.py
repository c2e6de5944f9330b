"""What is known of each of our orders, live or lately ended.

The states and their table are in `order_states`; here a step through the table is
turned into records that never change, kept by client order index.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wrappy._core.coi import COI_MAX
from wrappy._core.order_states import (
    ENDING_REPORTS,
    SENDING_EVENTS,
    TRANSITIONS,
    OrderEvent,
    classify,
    mermaid,
)
from wrappy.errors import UsageError
from wrappy.model import OrderStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["OrderEvent", "OrderRecord", "OrderTable", "mermaid"]

_OWN_REASONS = {
    OrderEvent.DISCARDED: "not sent",
    OrderEvent.REFUSED: "refused by the exchange",
    OrderEvent.PROVEN_DEAD: "never executed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """What is known of one order; a change makes a new record.

    Attributes:
        client_order_index: the key, 1..2**48-1.
        market_index: market of the order.
        is_ask: whether it sells.
        price_ticks: price, 0 when not known.
        base_amount: total size in lots, 0 when not known.
        status: where it stands.
        order_index: the exchange's own number, `None` before its first report.
        filled_base: lots filled; never shrinks.
        reason: why it ended, in words; empty while it lives or when filled.
        ended_by: what ended it, `None` while it lives.
        tx_hash: hash of the creating transaction, if it is known.
        reported: strongest live report so far, `None` before the first report; a
            terminal report counts too.
        version: version of the report whose fields are kept.
        contradicted: the order ended by our own inference, and the exchange
            reported it alive or traded afterwards. Someone must look at it.
        report: the exchange's latest own words, unchanged.
    """

    client_order_index: int
    market_index: int
    is_ask: bool
    price_ticks: int = 0
    base_amount: int = 0
    status: OrderStatus = OrderStatus.QUEUED
    order_index: int | None = None
    filled_base: int = 0
    reason: str = ""
    ended_by: OrderEvent | None = None
    tx_hash: str | None = None
    reported: OrderEvent | None = None
    version: int = -1
    contradicted: bool = False
    report: Mapping[str, Any] | None = None


class OrderTable:
    """Records by client order index: all live orders, and the latest ended ones.

    An ended order stays as a tombstone, so that a late frame cannot bring it back.
    The oldest tombstone goes first when there are too many; a live order never
    goes.
    """

    __slots__ = ("_capacity", "_listeners", "_live", "_tombstones")

    def __init__(self, capacity_terminal: int = 1000) -> None:
        self._capacity = capacity_terminal
        self._listeners: list[Callable[[OrderRecord], None]] = []
        self._live: dict[int, OrderRecord] = {}
        self._tombstones: dict[int, OrderRecord] = {}

    def __len__(self) -> int:
        return len(self._live) + len(self._tombstones)

    def __repr__(self) -> str:
        return f"OrderTable(live={len(self._live)}, ended={len(self._tombstones)})"

    def tell(self, on_change: Callable[[OrderRecord], None]) -> None:
        """Have every new or changed record told from now on, in order of asking."""
        self._listeners.append(on_change)

    def get(self, client_order_index: int) -> OrderRecord | None:
        """Return the order, `None` when it is not known or forgotten."""
        live = self._live.get(client_order_index)
        return live or self._tombstones.get(client_order_index)

    def live(self) -> list[OrderRecord]:
        """Return the orders that have not ended, those in doubt included."""
        return list(self._live.values())

    def unknown(self) -> list[OrderRecord]:
        """Return the orders that left without an answer."""
        return [
            order
            for order in self._live.values()
            if order.status is OrderStatus.UNKNOWN
        ]

    def forget(self, client_order_index: int) -> None:
        """Drop an order that nothing more can be learned of; no listener is told."""
        self._live.pop(client_order_index, None)
        self._tombstones.pop(client_order_index, None)

    def contradicted(self) -> list[OrderRecord]:
        """Return ended orders that the exchange has reported alive or traded since."""
        return [order for order in self._tombstones.values() if order.contradicted]

    def queue(
        self,
        client_order_index: int,
        *,
        market_index: int,
        is_ask: bool,
        price_ticks: int,
        base_amount: int,
    ) -> OrderRecord:
        """Enter a new order of ours.

        Raises:
            UsageError: the index is out of range or was used before.
        """
        if not 1 <= client_order_index <= COI_MAX:
            raise UsageError(
                f"client_order_index: {client_order_index} must be within 1..{COI_MAX}"
            )
        if self.get(client_order_index) is not None:
            raise UsageError(
                f"client_order_index: {client_order_index} was used before"
            )
        record = OrderRecord(
            client_order_index=client_order_index,
            market_index=market_index,
            is_ask=is_ask,
            price_ticks=price_ticks,
            base_amount=base_amount,
        )
        return self._store(None, record)

    def apply(
        self,
        client_order_index: int,
        event: OrderEvent,
        *,
        reason: str | None = None,
        tx_hash: str | None = None,
    ) -> OrderRecord | None:
        """Apply something that happened on our side.

        Args:
            client_order_index: the order.
            event: one that is not a report; those go through `report`.
            reason: why the order ended; a plain one is used if there is none.
            tx_hash: hash of the creating transaction, kept from its first mention.

        Returns:
            The order's record, the very same object when nothing changed; `None`
            when the order is not known.

        Raises:
            UsageError: the event cannot happen in the order's state.
        """
        before = self.get(client_order_index)
        if before is None:
            return None
        record = before
        if tx_hash is not None and record.tx_hash is None:
            record = replace(record, tx_hash=tx_hash)
        outranked = event in SENDING_EVENTS and record.reported is not None
        if not record.status.is_terminal and not outranked:
            record = _step(record, event, reason or _OWN_REASONS.get(event, ""))
        return self._store(before, record)

    def report(
        self,
        client_order_index: int,
        status_text: str,
        *,
        market_index: int,
        is_ask: bool,
        order_index: int | None,
        filled_base: int,
        price_ticks: int,
        base_amount: int,
        version: int,
        report: Mapping[str, Any] | None = None,
    ) -> OrderRecord | None:
        """Apply the exchange's word on an order, from the stream or from a read.

        An order that was placed elsewhere is entered as reported.

        Args:
            client_order_index: the order; 0 means it has none.
            status_text: the exchange's `status`.
            market_index: market of the order.
            is_ask: whether it sells.
            order_index: the exchange's own number.
            filled_base: lots filled.
            price_ticks: price, which a modification changes.
            base_amount: total size in lots, which a modification changes.
            version: anything that grows with each change of the order, such as
                its transaction time; older words do not replace newer ones.
            report: the exchange's order object, kept as it is.

        Returns:
            The order's record, the very same object when nothing changed; `None`
            for an order without a client order index, which is not kept.

        Raises:
            ProtocolError: the status is not known; nothing has changed.
        """
        verdict = classify(status_text, filled_base)
        if client_order_index == 0:
            return None
        before = self.get(client_order_index)
        record = before or OrderRecord(
            client_order_index=client_order_index,
            market_index=market_index,
            is_ask=is_ask,
            status=OrderStatus.SENT,
        )
        passing = (record.report or {}).get("status") == "in-progress"
        # Leaving the engine need not count as a change of its own.
        left = passing and status_text != "in-progress" and version == record.version
        if version > record.version or left:
            record = replace(
                record,
                price_ticks=price_ticks,
                base_amount=base_amount,
                version=version,
                report=report,
            )
        if order_index is not None and record.order_index is None:
            record = replace(record, order_index=order_index)
        if filled_base > record.filled_base:
            record = replace(record, filled_base=filled_base)
        if not record.status.is_terminal:
            record = _step(record, verdict.event, verdict.reason)
        elif record.reported is None and _is_alive(verdict.event, filled_base):
            record = replace(record, contradicted=True)
        return self._store(before, record)

    def _store(self, before: OrderRecord | None, record: OrderRecord) -> OrderRecord:
        if record is before:
            return record
        key = record.client_order_index
        if record.status.is_terminal:
            self._live.pop(key, None)
            self._tombstones[key] = record
            while len(self._tombstones) > self._capacity:
                del self._tombstones[next(iter(self._tombstones))]
        else:
            self._live[key] = record
        for on_change in self._listeners:
            on_change(record)
        return record


def _step(record: OrderRecord, event: OrderEvent, reason: str) -> OrderRecord:
    status = TRANSITIONS.get((record.status, event))
    if status is None:
        raise UsageError(
            f"order {record.client_order_index} is {record.status.value}; "
            f"'{event.value}' cannot happen to it"
        )
    reported = record.reported
    if event in ENDING_REPORTS or event is OrderEvent.REPORTED_PARTIAL:
        reported = event
    elif event is OrderEvent.REPORTED_OPEN:
        reported = reported or event
    if status is OrderStatus.SENT and reported is not None:
        status = TRANSITIONS[status, reported]
    if (status, reported) == (record.status, record.reported):
        return record
    if not status.is_terminal:
        return replace(record, status=status, reported=reported)
    return replace(
        record, status=status, reported=reported, reason=reason, ended_by=event
    )


def _is_alive(event: OrderEvent, filled_base: int) -> bool:
    ended = event in {OrderEvent.REPORTED_CANCELED, OrderEvent.REPORTED_REJECTED}
    return filled_base > 0 or not ended
