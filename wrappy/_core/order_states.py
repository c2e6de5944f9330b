"""The life of our orders as a table, and what the exchange's words mean in it.

Two sources speak about an order: our own sending (sent, refused, lost) and the
exchange's reports. They arrive in any order and more than once, so two rules make
every order of arrival end alike. A terminal state is final. And once the exchange
has reported an order, what we infer about its sending no longer counts.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

from wrappy.errors import ProtocolError
from wrappy.model import OrderStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

QUEUED = OrderStatus.QUEUED
SENT = OrderStatus.SENT
OPEN = OrderStatus.OPEN
PARTIALLY_FILLED = OrderStatus.PARTIALLY_FILLED
PENDING_CANCEL = OrderStatus.PENDING_CANCEL
UNKNOWN = OrderStatus.UNKNOWN
FILLED = OrderStatus.FILLED
CANCELED = OrderStatus.CANCELED
REJECTED = OrderStatus.REJECTED


class OrderEvent(enum.Enum):
    """What can happen to an order, from our side or the exchange's."""

    SENT = "sent"
    """The exchange accepted the transaction; it is not executed yet."""

    DISCARDED = "discarded"
    """The order was dropped from the queue and never left."""

    REFUSED = "refused"
    """The exchange declined the transaction."""

    LOST = "lost"
    """The order left, but no answer came: it may exist."""

    PROVEN_DEAD = "proven dead"
    """It certainly never executed and never will."""

    CANCEL_SENT = "cancel sent"
    """The exchange accepted a cancel of the order."""

    CANCEL_REFUSED = "cancel refused"
    """The cancel was declined or had no effect."""

    REPORTED_OPEN = "reported open"
    """The exchange shows it live, without a fill."""

    REPORTED_PARTIAL = "reported partial"
    """The exchange shows it live, with a fill."""

    REPORTED_FILLED = "reported filled"
    """The exchange shows it complete."""

    REPORTED_CANCELED = "reported canceled"
    """The exchange shows it taken away; a part may be filled."""

    REPORTED_REJECTED = "reported rejected"
    """The exchange's rules ended it before it traded."""

    # As for the states: each event exists once.
    __hash__ = object.__hash__


SENDING_EVENTS = frozenset(
    {
        OrderEvent.SENT,
        OrderEvent.DISCARDED,
        OrderEvent.REFUSED,
        OrderEvent.LOST,
        OrderEvent.PROVEN_DEAD,
    }
)
"""What we infer about the sending; a report of the exchange outranks all of it."""

ENDING_REPORTS = {
    OrderEvent.REPORTED_FILLED: FILLED,
    OrderEvent.REPORTED_CANCELED: CANCELED,
    OrderEvent.REPORTED_REJECTED: REJECTED,
}
"""Reports that end an order, and the state they end it in."""

REPORTS = frozenset(
    {OrderEvent.REPORTED_OPEN, OrderEvent.REPORTED_PARTIAL, *ENDING_REPORTS}
)
"""All that the exchange says of an order."""

TRANSITIONS: Mapping[tuple[OrderStatus, OrderEvent], OrderStatus] = {
    (QUEUED, OrderEvent.SENT): SENT,
    (QUEUED, OrderEvent.DISCARDED): REJECTED,
    (QUEUED, OrderEvent.REFUSED): REJECTED,
    (QUEUED, OrderEvent.LOST): UNKNOWN,
    (QUEUED, OrderEvent.PROVEN_DEAD): REJECTED,
    # A cancel cannot take away what has not left; the order will still go out.
    (QUEUED, OrderEvent.CANCEL_SENT): QUEUED,
    (QUEUED, OrderEvent.CANCEL_REFUSED): QUEUED,
    # The stream can be quicker than the answer to our own request.
    (QUEUED, OrderEvent.REPORTED_OPEN): OPEN,
    (QUEUED, OrderEvent.REPORTED_PARTIAL): PARTIALLY_FILLED,
    (SENT, OrderEvent.SENT): SENT,
    (SENT, OrderEvent.REFUSED): REJECTED,
    (SENT, OrderEvent.LOST): UNKNOWN,
    # Accepted, but the sequencer dropped it without a report.
    (SENT, OrderEvent.PROVEN_DEAD): REJECTED,
    (SENT, OrderEvent.CANCEL_SENT): PENDING_CANCEL,
    (SENT, OrderEvent.CANCEL_REFUSED): SENT,
    (SENT, OrderEvent.REPORTED_OPEN): OPEN,
    (SENT, OrderEvent.REPORTED_PARTIAL): PARTIALLY_FILLED,
    (UNKNOWN, OrderEvent.SENT): SENT,
    (UNKNOWN, OrderEvent.REFUSED): REJECTED,
    (UNKNOWN, OrderEvent.LOST): UNKNOWN,
    (UNKNOWN, OrderEvent.PROVEN_DEAD): REJECTED,
    # The order may still land behind its cancel.
    (UNKNOWN, OrderEvent.CANCEL_SENT): UNKNOWN,
    (UNKNOWN, OrderEvent.CANCEL_REFUSED): UNKNOWN,
    (UNKNOWN, OrderEvent.REPORTED_OPEN): OPEN,
    (UNKNOWN, OrderEvent.REPORTED_PARTIAL): PARTIALLY_FILLED,
    (OPEN, OrderEvent.CANCEL_SENT): PENDING_CANCEL,
    (OPEN, OrderEvent.CANCEL_REFUSED): OPEN,
    (OPEN, OrderEvent.REPORTED_OPEN): OPEN,
    (OPEN, OrderEvent.REPORTED_PARTIAL): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, OrderEvent.CANCEL_SENT): PENDING_CANCEL,
    (PARTIALLY_FILLED, OrderEvent.CANCEL_REFUSED): PARTIALLY_FILLED,
    # A late frame from before the fill takes nothing back.
    (PARTIALLY_FILLED, OrderEvent.REPORTED_OPEN): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, OrderEvent.REPORTED_PARTIAL): PARTIALLY_FILLED,
    (PENDING_CANCEL, OrderEvent.SENT): PENDING_CANCEL,
    (PENDING_CANCEL, OrderEvent.REFUSED): REJECTED,
    # The cancel overtook its order, which may still land.
    (PENDING_CANCEL, OrderEvent.LOST): UNKNOWN,
    (PENDING_CANCEL, OrderEvent.PROVEN_DEAD): REJECTED,
    (PENDING_CANCEL, OrderEvent.CANCEL_SENT): PENDING_CANCEL,
    # Back to what is known without the cancel: what the exchange has reported of the
    # order is applied again right after this step.
    (PENDING_CANCEL, OrderEvent.CANCEL_REFUSED): SENT,
    (PENDING_CANCEL, OrderEvent.REPORTED_OPEN): PENDING_CANCEL,
    (PENDING_CANCEL, OrderEvent.REPORTED_PARTIAL): PENDING_CANCEL,
} | {
    (status, event): end
    for status in OrderStatus
    if not status.is_terminal
    for event, end in ENDING_REPORTS.items()
}
"""Next state by state and event; a pair that is missing cannot happen.

No terminal state is a key: nothing leaves it.
"""


class Verdict(NamedTuple):
    """Meaning of a status string of the exchange.

    Attributes:
        event: what it says of an order that has not traded.
        reason: why the order ended, in words; empty while it lives or when filled.
    """

    event: OrderEvent
    reason: str = ""


VENUE_STATUSES: Mapping[str, Verdict] = {
    "in-progress": Verdict(OrderEvent.REPORTED_OPEN),
    "pending": Verdict(OrderEvent.REPORTED_OPEN),
    "open": Verdict(OrderEvent.REPORTED_OPEN),
    "filled": Verdict(OrderEvent.REPORTED_FILLED),
    "canceled": Verdict(OrderEvent.REPORTED_CANCELED, "canceled on request"),
    "canceled-post-only": Verdict(
        OrderEvent.REPORTED_REJECTED, "post-only, but it would have traded at once"
    ),
    "canceled-reduce-only": Verdict(
        OrderEvent.REPORTED_REJECTED, "reduce-only, but there was no position to reduce"
    ),
    "canceled-position-not-allowed": Verdict(
        OrderEvent.REPORTED_REJECTED,
        "the position would have passed a position or open interest limit",
    ),
    "canceled-margin-not-allowed": Verdict(
        OrderEvent.REPORTED_REJECTED, "not enough margin"
    ),
    "canceled-too-much-slippage": Verdict(
        OrderEvent.REPORTED_CANCELED,
        "the average price would have been worse than allowed",
    ),
    "canceled-not-enough-liquidity": Verdict(
        OrderEvent.REPORTED_CANCELED, "the book had nothing left at the price"
    ),
    "canceled-self-trade": Verdict(
        OrderEvent.REPORTED_CANCELED, "it met an order of the same owner"
    ),
    "canceled-expired": Verdict(OrderEvent.REPORTED_CANCELED, "expired"),
    "canceled-oco": Verdict(
        OrderEvent.REPORTED_CANCELED, "the other order of its pair came first"
    ),
    "canceled-child": Verdict(
        OrderEvent.REPORTED_CANCELED, "the order it depends on ended"
    ),
    "canceled-liquidation": Verdict(
        OrderEvent.REPORTED_CANCELED, "the account was liquidated"
    ),
    "canceled-invalid-balance": Verdict(
        OrderEvent.REPORTED_REJECTED, "not enough balance"
    ),
}
"""The exchange's order statuses (official API documentation), by their string."""


_WHEN_TRADED = {
    OrderEvent.REPORTED_OPEN: OrderEvent.REPORTED_PARTIAL,
    OrderEvent.REPORTED_REJECTED: OrderEvent.REPORTED_CANCELED,
}

_OTHER_CANCELS = "canceled-"
"""Every status that begins so is an end, also one that was not documented yet."""

_TRADED_STATUSES = {
    text: verdict._replace(event=_WHEN_TRADED.get(verdict.event, verdict.event))
    for text, verdict in VENUE_STATUSES.items()
}


def classify(status_text: str, filled_base: int) -> Verdict:
    """Return what a status string of the exchange means.

    Args:
        status_text: `status` of an order.
        filled_base: lots filled so far; an order that has traded is canceled, not
            rejected, whatever ended it.

    Raises:
        ProtocolError: the string is not known, and says of no cancel.
    """
    table = VENUE_STATUSES if filled_base <= 0 else _TRADED_STATUSES
    verdict = table.get(status_text)
    if verdict is not None:
        return verdict
    if status_text.startswith(_OTHER_CANCELS):
        # Taken for live it would be one for ever.
        reason = status_text[len(_OTHER_CANCELS) :].replace("-", " ")
        return Verdict(OrderEvent.REPORTED_CANCELED, reason)
    raise ProtocolError(f"unknown order status {status_text!r}")


def mermaid() -> str:
    """Return the table as a mermaid state diagram.

    Events that leave a state as it is are left out, and so is an order's first
    report when it was placed elsewhere: that counts as one after `sent`.
    """
    arrows: dict[tuple[OrderStatus, OrderStatus], list[str]] = {}
    for (status, event), following in TRANSITIONS.items():
        if status is not following:
            arrows.setdefault((status, following), []).append(event.value)
    lines = ["stateDiagram-v2", f"    [*] --> {QUEUED.value}"]
    lines += [
        f"    {status.value} --> {following.value}: {', '.join(events)}"
        for (status, following), events in arrows.items()
    ]
    lines += [f"    {s.value} --> [*]" for s in OrderStatus if s.is_terminal]
    return "\n".join(lines) + "\n"
