"""What is known of each of our orders, live or lately ended.

The states and their table are in `order_states`; here a step through the table is
turned into records that never change, kept by client order index.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - a field's type, read at run time
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from wrappy._core.coi import COI_MAX
from wrappy._core.order_states import (
    ENDING_REPORTS,
    REPORTS,
    SENDING_EVENTS,
    TRANSITIONS,
    OrderEvent,
    classify,
    mermaid,
)
from wrappy._core.packed_rows import RowPacker, unpacked
from wrappy.errors import UsageError
from wrappy.model import TERMINAL_STATUSES, OrderStatus

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OrderEvent", "OrderRecord", "OrderTable", "mermaid"]

_PASSING = "in-progress"

# Live orders whose report is kept as it came; those beyond are packed.
_MOST_UNPACKED = 256

_OWN_REASONS = {
    OrderEvent.DISCARDED: "not sent",
    OrderEvent.REFUSED: "refused by the exchange",
    OrderEvent.PROVEN_DEAD: "never executed",
}


def _strongest(reported: OrderEvent | None, event: OrderEvent) -> OrderEvent | None:
    if event in ENDING_REPORTS or event is OrderEvent.REPORTED_PARTIAL:
        return event
    if event is OrderEvent.REPORTED_OPEN:
        return reported or event
    return reported


def _following(
    status: OrderStatus, reported: OrderEvent | None
) -> tuple[OrderStatus, OrderEvent | None]:
    if status is OrderStatus.SENT and reported is not None:
        status = TRANSITIONS[status, reported]
    return status, reported


# State and strongest report before, and what happens, to both after. Worked out
# once, as each report of the exchange asks for one of these.
_STEPS = {
    (before, reported, event): _following(after, _strongest(reported, event))
    for (before, event), after in TRANSITIONS.items()
    for reported in (None, *OrderEvent)
    if reported is None or reported in REPORTS
}


class OrderRecord(msgspec.Struct, frozen=True, gc=False):
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
        told_status: the exchange's own word for the state in the report kept.
        told_names: names of that report's fields if it is packed; see `report`.
        told: what they hold, packed, or the report as it was given.
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
    told_status: str = ""
    told_names: tuple[str, ...] | None = None
    told: bytes | Mapping[str, Any] | None = None

    @property
    def report(self) -> Mapping[str, Any] | None:
        """The exchange's latest own words, `None` before the first."""
        told = self.told
        if isinstance(told, bytes):
            return unpacked(self.told_names or (), told)
        return told


class OrderTable:
    """Records by client order index: all live orders, and the latest ended ones.

    An ended order stays as a tombstone, so that a late frame cannot bring it back.
    The oldest tombstone goes first when there are too many; a live order never
    goes.
    """

    __slots__ = ("_capacity", "_listeners", "_live", "_packer", "_tombstones")

    def __init__(self, capacity_terminal: int = 1000) -> None:
        self._capacity = capacity_terminal
        self._listeners: list[Callable[[OrderRecord], None]] = []
        self._live: dict[int, OrderRecord] = {}
        self._packer = RowPacker()
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
            record = _stepped(record, event, reason or _OWN_REASONS.get(event, ""))
            if record.status.is_terminal and record.told_names is None:
                names, told = self._packed(record.report)
                record = replace(record, told_names=names, told=told)
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
            report: the exchange's order object, of which a packed copy is kept.

        Returns:
            The order's record, the very same object when nothing changed; `None`
            for an order without a client order index, which is not kept.

        Raises:
            ProtocolError: the status is not known; nothing has changed.
        """
        verdict = classify(status_text, filled_base)
        if client_order_index == 0:
            return None
        before = self._live.get(client_order_index)
        before = before or self._tombstones.get(client_order_index)
        record = before or OrderRecord(
            client_order_index, market_index, is_ask, status=OrderStatus.SENT
        )
        status, reported = record.status, record.reported
        reason, ended_by = record.reason, record.ended_by
        contradicted = record.contradicted
        if status not in TERMINAL_STATUSES:
            # The table has a next state for every report of a live order.
            status, reported = _STEPS[status, reported, verdict.event]
            if status in TERMINAL_STATUSES:
                reason, ended_by = verdict.reason, verdict.event
        elif reported is None and _is_alive(verdict.event, filled_base):
            contradicted = True
        filled_base = max(filled_base, record.filled_base)
        if record.order_index is not None:
            order_index = record.order_index
        told_status = record.told_status
        told_names, told = record.told_names, record.told
        # Leaving the engine need not count as a change of its own.
        passing = told_status == _PASSING != status_text
        if version > record.version or (passing and version == record.version):
            told_status = status_text
            told_names, told = None, report
            # An ended order stays for long, and a few live ones cost little as they
            # are; packing each of their reports would take a third of the time.
            if status in TERMINAL_STATUSES or len(self._live) >= _MOST_UNPACKED:
                told_names, told = self._packed(report)
        elif (
            status is record.status
            and reported is record.reported
            and filled_base == record.filled_base
            and order_index == record.order_index
            and contradicted is record.contradicted
        ):
            return record
        else:
            price_ticks, base_amount = record.price_ticks, record.base_amount
            version = record.version
        # One new record instead of one for each field: this is what every frame of
        # the account's stream costs.
        return self._store(
            before,
            # In the order of the fields: sixteen names would double its cost.
            OrderRecord(
                client_order_index,
                record.market_index,
                record.is_ask,
                price_ticks,
                base_amount,
                status,
                order_index,
                filled_base,
                reason,
                ended_by,
                record.tx_hash,
                reported,
                version,
                contradicted,
                told_status,
                told_names,
                told,
            ),
        )

    def _packed(
        self, report: Mapping[str, Any] | None
    ) -> tuple[tuple[str, ...] | None, bytes | Mapping[str, Any] | None]:
        packed = None if report is None else self._packer.pack(report)
        return packed or (None, report)

    def _store(self, before: OrderRecord | None, record: OrderRecord) -> OrderRecord:
        if record is before:
            return record
        key = record.client_order_index
        if record.status in TERMINAL_STATUSES:
            self._live.pop(key, None)
            self._tombstones[key] = record
            while len(self._tombstones) > self._capacity:
                del self._tombstones[next(iter(self._tombstones))]
        else:
            self._live[key] = record
        for on_change in self._listeners:
            on_change(record)
        return record


def _stepped(record: OrderRecord, event: OrderEvent, reason: str) -> OrderRecord:
    following = _STEPS.get((record.status, record.reported, event))
    if following is None:
        raise UsageError(
            f"order {record.client_order_index} is {record.status.value}; "
            f"'{event.value}' cannot happen to it"
        )
    status, reported = following
    if following == (record.status, record.reported):
        return record
    if not status.is_terminal:
        return replace(record, status=status, reported=reported)
    return replace(
        record, status=status, reported=reported, reason=reason, ended_by=event
    )


def _is_alive(event: OrderEvent, filled_base: int) -> bool:
    ended = event in {OrderEvent.REPORTED_CANCELED, OrderEvent.REPORTED_REJECTED}
    return filled_base > 0 or not ended
