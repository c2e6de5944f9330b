"""The table of order states, the exchange's status words, and the diagram."""

from __future__ import annotations

import pytest

from wrappy._core.order_states import (
    ENDING_REPORTS,
    SENDING_EVENTS,
    TRANSITIONS,
    VENUE_STATUSES,
    OrderEvent,
    classify,
    mermaid,
)
from wrappy.errors import ProtocolError
from wrappy.model import OrderStatus

LIVE = [status for status in OrderStatus if not status.is_terminal]
REPORTS = [
    OrderEvent.REPORTED_OPEN,
    OrderEvent.REPORTED_PARTIAL,
    *ENDING_REPORTS,
]


def test_no_edge_leaves_a_terminal_state():
    assert not [status for status, _ in TRANSITIONS if status.is_terminal]


def test_every_state_can_be_reached():
    reached = {OrderStatus.QUEUED}
    while new := {to for (at, _), to in TRANSITIONS.items() if at in reached} - reached:
        reached |= new
    assert reached == set(OrderStatus)


@pytest.mark.parametrize("status", LIVE)
def test_every_live_state_has_an_exit_to_each_end(status):
    ends = {to for (at, _), to in TRANSITIONS.items() if at is status}
    assert ends >= {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED}


@pytest.mark.parametrize("status", LIVE)
@pytest.mark.parametrize("event", REPORTS)
def test_every_live_state_takes_every_report(status, event):
    assert (status, event) in TRANSITIONS


@pytest.mark.parametrize("status", [OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED])
def test_a_state_that_only_a_report_gives_has_no_sending_events(status):
    assert not [event for event in SENDING_EVENTS if (status, event) in TRANSITIONS]


@pytest.mark.parametrize("event", [OrderEvent.REPORTED_OPEN, OrderEvent.SENT])
def test_no_live_state_falls_back_when_news_come_late(event):
    for status in (OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_CANCEL):
        assert TRANSITIONS.get((status, event), status) is status


def test_the_exchange_has_seventeen_status_strings():
    assert len(VENUE_STATUSES) == 17


@pytest.mark.parametrize("text", VENUE_STATUSES)
def test_a_status_that_ends_an_order_unfilled_says_why(text):
    verdict = classify(text, 0)
    ended_unfilled = text.startswith("canceled")
    assert bool(verdict.reason) is ended_unfilled
    assert not verdict.reason.startswith("canceled-")


@pytest.mark.parametrize(
    ("text", "filled", "event"),
    [
        ("open", 0, OrderEvent.REPORTED_OPEN),
        ("pending", 0, OrderEvent.REPORTED_OPEN),
        ("open", 3, OrderEvent.REPORTED_PARTIAL),
        ("filled", 9, OrderEvent.REPORTED_FILLED),
        ("canceled", 3, OrderEvent.REPORTED_CANCELED),
        ("canceled-post-only", 0, OrderEvent.REPORTED_REJECTED),
        ("canceled-reduce-only", 0, OrderEvent.REPORTED_REJECTED),
        ("canceled-margin-not-allowed", 0, OrderEvent.REPORTED_REJECTED),
        ("canceled-margin-not-allowed", 3, OrderEvent.REPORTED_CANCELED),
        ("canceled-expired", 0, OrderEvent.REPORTED_CANCELED),
    ],
)
def test_a_status_means_what_the_fill_makes_of_it(text, filled, event):
    assert classify(text, filled).event is event


@pytest.mark.parametrize("filled", [0, 5])
def test_a_way_to_be_canceled_that_nobody_knew_is_an_end_all_the_same(filled):
    verdict = classify("canceled-by-a-new-rule", filled)
    assert verdict == (OrderEvent.REPORTED_CANCELED, "by a new rule")


def test_an_unknown_status_is_no_guess():
    with pytest.raises(ProtocolError, match="taken-by-aliens"):
        classify("taken-by-aliens", 0)


def test_the_diagram_is_drawn_from_the_table():
    lines = mermaid().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> queued"]
    assert "    queued --> unknown: lost" in lines
    assert "    filled --> [*]" in lines
    arrows = {(at, to) for (at, _), to in TRANSITIONS.items() if at is not to}
    assert len(lines) == 2 + len(arrows) + 3
