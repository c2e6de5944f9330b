"""What is known of an order's first transaction, decided from the order's record.

Accepted is not executed: an answer 200 says that a transaction was checked and
numbered. Whether it was carried out is told by the exchange's reports on the order
or on the transaction, and nothing here concludes it from silence.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wrappy._core.order_states import OrderEvent
from wrappy.model import OrderStatus, ReceiptStage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wrappy._core.orders import OrderRecord

IN_DOUBT = "no answer came back; it may exist"
NO_TRACE = "executed without leaving an order"
FAILED_SILENTLY = "the transaction failed, no reason was given"

LOOKS_TO_PROVE = 2
"""Full looks without the order before it counts as gone: lists can lag behind."""

LISTS_LAG_S = 10.0
"""So long after it was executed an order may be on no list, if nothing says why."""

LEAST_S, LEAST_MS, LEAST_US = 10**9, 10**12, 10**15
"""Times since 2001, in seconds, milliseconds and microseconds: sizes that differ."""

KEPT_ORDERS = 1_000
"""Ended orders that the exchange lists at least; a longer list may be cut off."""

SLACK_MS = 60_000
"""Room for times that different parts of the exchange wrote."""

_BY_STATUS = {
    OrderStatus.QUEUED: ReceiptStage.QUEUED,
    OrderStatus.UNKNOWN: ReceiptStage.UNKNOWN,
    OrderStatus.REJECTED: ReceiptStage.REJECTED,
}
"""Stages that the status alone decides, as long as nothing else is known."""


class TransactionFate(enum.Enum):
    """What the exchange says of a transaction."""

    PENDING = "pending"
    EXECUTED = "executed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TransactionReport:
    """The exchange's word on one transaction.

    Attributes:
        fate: what became of it.
        reason: what the engine objected to, in words; empty when nothing.
        queued_at_ms: when it was accepted, unix milliseconds of the exchange's
            clock; None if it does not say.
    """

    fate: TransactionFate
    reason: str
    queued_at_ms: int | None


@dataclass(slots=True)
class Misses:
    """Full looks in a row without the order of an executed transaction.

    Attributes:
        looks: how many.
        since: when the first of them began, monotone seconds.
        lasted_s: from there to the beginning of the last.
    """

    looks: int = 0
    since: float = 0.0
    lasted_s: float = 0.0

    def missed(self, began: float) -> None:
        """Count a look.

        Args:
            began: when it began, monotone seconds.
        """
        if not self.looks:
            self.since = began
        self.looks += 1
        self.lasted_s = began - self.since

    def broken(self) -> None:
        """Begin anew: a look was not full, or the transaction is not executed."""
        self.looks, self.lasted_s = 0, 0.0

    def proves(self, report: TransactionReport) -> bool:
        """Whether there is no order and never will be.

        A reason speaks for itself; without one the lists may just not have it yet.
        """
        least_s = 0.0 if report.reason else LISTS_LAG_S
        return self.looks >= LOOKS_TO_PROVE and self.lasted_s >= least_s


def stage_of(record: OrderRecord) -> ReceiptStage:
    """Return how far the order's first transaction is known to have come."""
    if record.contradicted:
        # It counts as ended by our own inference, but the exchange has shown it.
        return ReceiptStage.EXECUTED
    if record.ended_by is OrderEvent.DISCARDED:
        return ReceiptStage.NOT_SENT
    if record.status in _BY_STATUS:
        return _BY_STATUS[record.status]
    return ReceiptStage.EXECUTED if _was_executed(record) else ReceiptStage.ACCEPTED


def was_accepted(record: OrderRecord) -> bool:
    """Whether the exchange is known to have accepted the first transaction."""
    accepted = stage_of(record) in {ReceiptStage.ACCEPTED, ReceiptStage.EXECUTED}
    return accepted or record.reported is not None


def reason_of(record: OrderRecord) -> str:
    """Return what went wrong with an order, in words; empty when nothing did."""
    if record.contradicted:
        return f"counted as ended ({record.reason}), yet the exchange has shown it"
    if record.status is OrderStatus.UNKNOWN:
        return IN_DOUBT
    return record.reason


def _was_executed(record: OrderRecord) -> bool:
    if record.reported is OrderEvent.REPORTED_OPEN:
        # On its way through the engine: it may still be refused there.
        return (record.report or {}).get("status") != "in-progress"
    return record.reported is not None


def verdict(
    report: TransactionReport | None, misses: Misses
) -> tuple[OrderEvent | None, str]:
    """Return what a transaction proves about its order, and the words for it.

    Args:
        report: the exchange's word on the transaction, None if it knows none such.
        misses: how often in a row, and for how long, every list of orders was read in
            full, after the transaction was known to be executed, without the order.

    Returns:
        `SENT` when it was accepted, `PROVEN_DEAD` when there is no order and never
        will be, None when nothing is proven.
    """
    if report is None:
        return None, ""
    if report.fate is TransactionFate.FAILED:
        return OrderEvent.PROVEN_DEAD, report.reason or FAILED_SILENTLY
    if report.fate is TransactionFate.EXECUTED and misses.proves(report):
        words = f"{NO_TRACE}: {report.reason}" if report.reason else NO_TRACE
        return OrderEvent.PROVEN_DEAD, words
    return OrderEvent.SENT, ""


def last_ms_of(told: object) -> int | None:
    """Return the last unix millisecond that a time can mean; None if it is no time.

    The exchange's answers give the times of orders in seconds or in milliseconds;
    both were recorded.

    Args:
        told: a time out of an answer, in seconds, milliseconds or microseconds.
    """
    if not isinstance(told, int) or not LEAST_S <= told < LEAST_US * 1000:
        return None
    if told >= LEAST_US:
        return told // 1000
    # A second is over when its last millisecond is.
    return told if told >= LEAST_MS else told * 1000 + 999


def reaches_back(oldest_change: object, queued_at_ms: int | None) -> bool:
    """Whether a list of ended orders, newest first, must hold an order by now.

    Args:
        oldest_change: `updated_at` of the last order read; anything that is no time
            proves nothing.
        queued_at_ms: when the order's transaction was accepted.
    """
    oldest_ms = last_ms_of(oldest_change)
    if oldest_ms is None or queued_at_ms is None:
        return False
    return oldest_ms < queued_at_ms - SLACK_MS


def is_all_read(
    rows: Sequence[Mapping[str, object]],
    queued_at_ms: int | None,
    *,
    count: int,
    has_more: bool,
) -> bool:
    """Whether ended orders, read newest first, must have shown an order by now.

    Args:
        rows: the page read last.
        queued_at_ms: when the order's transaction was accepted; None if nobody knows.
        count: rows read so far, this page's among them.
        has_more: whether the exchange has named another page.
    """
    oldest = rows[-1].get("updated_at") if rows else None
    if reaches_back(oldest, queued_at_ms):
        return True
    return not has_more and count < KEPT_ORDERS
