"""What a record and a transaction prove about an order's first transaction."""

from __future__ import annotations

import pytest

from wrappy._core.orders import OrderEvent, OrderTable
from wrappy._core.receipts import (
    FAILED_SILENTLY,
    IN_DOUBT,
    NO_TRACE,
    Misses,
    TransactionFate,
    TransactionReport,
    is_all_read,
    last_ms_of,
    reaches_back,
    reason_of,
    stage_of,
    verdict,
    was_accepted,
)
from wrappy.model import OrderStatus, ReceiptStage

COI = 7
NOW_MS = 1_777_941_383_576


@pytest.fixture
def table():
    made = OrderTable()
    made.queue(COI, market_index=0, is_ask=False, price_ticks=100, base_amount=5)
    return made


def report(table, status, *, filled=0, version=1):
    row = {"status": status}
    return table.report(
        COI,
        status,
        market_index=0,
        is_ask=False,
        order_index=1 << 50,
        filled_base=filled,
        price_ticks=100,
        base_amount=5,
        version=version,
        report=row,
    )


@pytest.mark.parametrize(
    ("events", "stage", "accepted"),
    [
        ([], ReceiptStage.QUEUED, False),
        ([OrderEvent.CANCEL_SENT], ReceiptStage.QUEUED, False),
        ([OrderEvent.DISCARDED], ReceiptStage.NOT_SENT, False),
        ([OrderEvent.REFUSED], ReceiptStage.REJECTED, False),
        ([OrderEvent.LOST], ReceiptStage.UNKNOWN, False),
        ([OrderEvent.LOST, OrderEvent.SENT], ReceiptStage.ACCEPTED, True),
        ([OrderEvent.LOST, OrderEvent.PROVEN_DEAD], ReceiptStage.REJECTED, False),
        ([OrderEvent.SENT], ReceiptStage.ACCEPTED, True),
        ([OrderEvent.SENT, OrderEvent.CANCEL_SENT], ReceiptStage.ACCEPTED, True),
        ([OrderEvent.SENT, OrderEvent.PROVEN_DEAD], ReceiptStage.REJECTED, False),
    ],
)
def test_what_happened_here_decides_the_stage(table, events, stage, accepted):
    for event in events:
        table.apply(COI, event)
    record = table.get(COI)
    assert stage_of(record) is stage
    assert was_accepted(record) is accepted


@pytest.mark.parametrize(
    ("status", "filled", "stage"),
    [
        ("open", 0, ReceiptStage.EXECUTED),
        ("open", 2, ReceiptStage.EXECUTED),
        ("pending", 0, ReceiptStage.EXECUTED),
        ("in-progress", 0, ReceiptStage.ACCEPTED),
        ("in-progress", 2, ReceiptStage.EXECUTED),
        ("filled", 5, ReceiptStage.EXECUTED),
        ("canceled", 0, ReceiptStage.EXECUTED),
        ("canceled-not-enough-liquidity", 0, ReceiptStage.EXECUTED),
        ("canceled-post-only", 0, ReceiptStage.REJECTED),
        ("canceled-margin-not-allowed", 3, ReceiptStage.EXECUTED),
    ],
)
@pytest.mark.parametrize("before", [None, OrderEvent.SENT, OrderEvent.LOST])
def test_the_exchanges_word_decides_whatever_was_known_here(
    table, status, filled, stage, before
):
    if before is not None:
        table.apply(COI, before)
    record = report(table, status, filled=filled)
    assert stage_of(record) is stage
    assert was_accepted(record)


def test_an_order_in_the_engine_becomes_executed_with_the_next_report(table):
    assert stage_of(report(table, "in-progress")) is ReceiptStage.ACCEPTED
    entered = table.get(COI)
    assert report(table, "in-progress") is entered
    assert stage_of(report(table, "open", version=2)) is ReceiptStage.EXECUTED


def test_leaving_the_engine_counts_without_a_version_of_its_own(table):
    report(table, "in-progress")
    assert stage_of(report(table, "open")) is ReceiptStage.EXECUTED
    assert stage_of(report(table, "in-progress")) is ReceiptStage.EXECUTED


def test_an_executed_order_stays_executed_while_its_cancel_is_on_the_way(table):
    report(table, "open")
    table.apply(COI, OrderEvent.CANCEL_SENT)
    record = table.get(COI)
    assert record.status is OrderStatus.PENDING_CANCEL
    assert stage_of(record) is ReceiptStage.EXECUTED


def test_an_order_that_is_shown_after_all_was_executed_and_says_so(table):
    table.apply(COI, OrderEvent.SENT)
    table.apply(COI, OrderEvent.PROVEN_DEAD, reason=NO_TRACE)
    record = report(table, "open")
    assert stage_of(record) is ReceiptStage.EXECUTED
    assert NO_TRACE in reason_of(record)
    assert "yet the exchange has shown it" in reason_of(record)


def test_the_reason_is_empty_while_nothing_is_wrong(table):
    assert reason_of(table.get(COI)) == ""
    table.apply(COI, OrderEvent.LOST)
    assert reason_of(table.get(COI)) == IN_DOUBT
    table.apply(COI, OrderEvent.REFUSED, reason="invalid price")
    assert reason_of(table.get(COI)) == "invalid price"


def missed_at(*moments):
    misses = Misses()
    for began in moments:
        misses.missed(began)
    return misses


@pytest.mark.parametrize(
    ("fate", "reason", "looks_at", "expected"),
    [
        ("pending", "", (0, 9, 99), (OrderEvent.SENT, "")),
        ("executed", "", (7,), (OrderEvent.SENT, "")),
        ("executed", "", (7, 8, 9, 16.9), (OrderEvent.SENT, "")),
        ("executed", "", (7, 17), (OrderEvent.PROVEN_DEAD, NO_TRACE)),
        ("executed", "odd", (7,), (OrderEvent.SENT, "")),
        ("executed", "odd", (7, 8), (OrderEvent.PROVEN_DEAD, f"{NO_TRACE}: odd")),
        ("failed", "", (), (OrderEvent.PROVEN_DEAD, FAILED_SILENTLY)),
        ("failed", "expired", (), (OrderEvent.PROVEN_DEAD, "expired")),
    ],
)
def test_a_transaction_proves_no_more_than_it_says(fate, reason, looks_at, expected):
    told = TransactionReport(TransactionFate(fate), reason, NOW_MS)
    assert verdict(told, missed_at(*looks_at)) == expected


def test_a_transaction_nobody_knows_proves_nothing():
    assert verdict(None, missed_at(0, 9, 99)) == (None, "")


def test_a_look_that_was_not_full_begins_the_count_anew():
    told = TransactionReport(TransactionFate.EXECUTED, "", NOW_MS)
    misses = missed_at(0, 9)
    misses.broken()
    misses.missed(10)
    misses.missed(19)
    assert not misses.proves(told)
    misses.missed(20)
    assert misses.proves(told)


@pytest.mark.parametrize(
    ("oldest", "queued_at_ms", "enough"),
    [
        (NOW_MS - 60_001, NOW_MS, True),
        (NOW_MS - 60_000, NOW_MS, False),
        (NOW_MS, NOW_MS, False),
        (NOW_MS // 1000 - 61, NOW_MS, True),  # seconds
        (NOW_MS // 1000 - 60, NOW_MS, False),  # it may be its last millisecond
        (NOW_MS * 1000, NOW_MS, False),  # microseconds
        (NOW_MS * 1000 - 60_001_000, NOW_MS, True),
        (0, NOW_MS, False),
        (1, NOW_MS, False),
        (None, NOW_MS, False),
        ("1", NOW_MS, False),
        (NOW_MS - 60_001, None, False),
    ],
)
def test_a_list_reaches_back_when_its_end_is_older_than_the_order(
    oldest, queued_at_ms, enough
):
    assert reaches_back(oldest, queued_at_ms) is enough


@pytest.mark.parametrize(
    ("told", "last_ms"),
    [
        (10**9, 10**12 + 999),
        (1_767_225_600, 1_767_225_600_999),
        (1_767_225_600_123, 1_767_225_600_123),
        (1_767_225_600_123_456, 1_767_225_600_123),
        (10**9 - 1, None),
        (10**18, None),
        (1.5e9, None),
        (None, None),
    ],
)
def test_a_time_is_understood_in_each_unit_the_exchange_tells_it_in(told, last_ms):
    assert last_ms_of(told) == last_ms


@pytest.mark.parametrize(
    ("rows", "count", "has_more", "enough"),
    [
        ([{"updated_at": NOW_MS - 60_001}], 5_000, True, True),
        ([{"updated_at": NOW_MS}], 999, True, False),
        ([{"updated_at": NOW_MS}], 999, False, True),
        # As many as the exchange keeps: older ones may have been left out.
        ([{"updated_at": NOW_MS}], 1_000, False, False),
        ([], 0, False, True),
        ([{}], 1, True, False),
    ],
)
def test_ended_orders_are_all_read_when_the_page_is_old_or_the_list_is_short(
    rows, count, has_more, enough
):
    assert is_all_read(rows, NOW_MS, count=count, has_more=has_more) is enough


def test_one_listener_hears_every_change_and_nothing_else():
    table, heard = OrderTable(), []
    table.tell(heard.append)
    table.queue(COI, market_index=0, is_ask=False, price_ticks=1, base_amount=1)
    table.apply(COI, OrderEvent.SENT)
    table.apply(COI, OrderEvent.SENT)
    report(table, "canceled")
    assert [record.status.value for record in heard] == ["queued", "sent", "canceled"]
    assert [record.ended_by for record in heard] == [
        None,
        None,
        OrderEvent.REPORTED_CANCELED,
    ]
