"""The order table: our own events and the exchange's reports about one order."""

from __future__ import annotations

import pytest

from wrappy._core.orders import OrderEvent, OrderTable
from wrappy.errors import ProtocolError, UsageError
from wrappy.model import OrderStatus

COI = 42


@pytest.fixture
def table():
    table = OrderTable()
    queue(table, COI)
    return table


def queue(table, coi):
    return table.queue(
        coi, market_index=0, is_ask=True, price_ticks=405_000, base_amount=1000
    )


def report(table, status, filled=0, *, coi=COI, version=1, **fields):
    facts = {
        "market_index": 0,
        "is_ask": True,
        "order_index": 2**48 + 7,
        "filled_base": filled,
        "price_ticks": 405_000,
        "base_amount": 1000,
        "version": version,
    }
    return table.report(coi, status, **(facts | fields))


def test_an_order_goes_from_the_queue_to_its_end(table):
    assert table.get(COI).status is OrderStatus.QUEUED
    assert table.apply(COI, OrderEvent.SENT, tx_hash="ab").status is OrderStatus.SENT
    opened = report(table, "open", version=1, report={"status": "open"})
    assert (opened.status, opened.order_index) == (OrderStatus.OPEN, 2**48 + 7)
    assert report(table, "open", 400, version=2).status is OrderStatus.PARTIALLY_FILLED
    filled = report(table, "filled", 1000, version=3)
    assert (filled.status, filled.filled_base) == (OrderStatus.FILLED, 1000)
    assert (filled.tx_hash, filled.reason) == ("ab", "")
    assert table.live() == []
    assert repr(table) == "OrderTable(live=0, ended=1)"


@pytest.mark.parametrize("coi", [0, -1, 2**48])
def test_an_index_off_the_wire_is_refused(coi):
    with pytest.raises(UsageError, match="within"):
        queue(OrderTable(), coi)


def test_an_index_is_used_once_even_after_its_order_ended(table):
    with pytest.raises(UsageError, match="used before"):
        queue(table, COI)
    table.apply(COI, OrderEvent.DISCARDED)
    with pytest.raises(UsageError, match="used before"):
        queue(table, COI)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (OrderEvent.DISCARDED, "not sent"),
        (OrderEvent.REFUSED, "refused by the exchange"),
        (OrderEvent.PROVEN_DEAD, "never executed"),
    ],
)
def test_an_order_that_ends_before_it_exists_is_rejected_with_a_reason(event, reason):
    table = OrderTable()
    queue(table, COI)
    queue(table, COI + 1)
    assert table.apply(COI, event).reason == reason
    assert table.apply(COI + 1, event, reason="21734 too far").reason == "21734 too far"
    assert table.get(COI).status is OrderStatus.REJECTED


def test_a_lost_answer_leaves_the_order_unknown_until_somebody_knows(table):
    table.apply(COI, OrderEvent.LOST, tx_hash="ab")
    assert [order.client_order_index for order in table.unknown()] == [COI]
    assert table.live() == table.unknown()
    assert table.apply(COI, OrderEvent.CANCEL_SENT).status is OrderStatus.UNKNOWN
    assert report(table, "open").status is OrderStatus.OPEN
    assert table.unknown() == []


def test_a_report_that_comes_before_our_own_bookkeeping_wins(table):
    opened = report(table, "open")
    for event in (OrderEvent.SENT, OrderEvent.LOST, OrderEvent.PROVEN_DEAD):
        assert table.apply(COI, event) is opened


def test_a_hash_is_kept_even_when_the_order_has_ended_by_then(table):
    report(table, "filled", 1000)
    kept = table.apply(COI, OrderEvent.SENT, tx_hash="ab")
    assert (kept.status, kept.tx_hash) == (OrderStatus.FILLED, "ab")
    assert table.apply(COI, OrderEvent.SENT, tx_hash="cd") is kept


def test_a_cancel_waits_for_the_report(table):
    report(table, "open")
    assert table.apply(COI, OrderEvent.CANCEL_SENT).status is OrderStatus.PENDING_CANCEL
    again = report(table, "open", 5, version=2)
    assert (again.status, again.filled_base) == (OrderStatus.PENDING_CANCEL, 5)
    ended = report(table, "canceled", 5, version=3)
    assert ended.status is OrderStatus.CANCELED
    assert ended.reason == "canceled on request"


@pytest.mark.parametrize(
    ("reported", "status"),
    [
        (None, OrderStatus.SENT),
        (0, OrderStatus.OPEN),
        (5, OrderStatus.PARTIALLY_FILLED),
    ],
)
def test_a_refused_cancel_falls_back_to_what_is_known(table, reported, status):
    table.apply(COI, OrderEvent.SENT)
    table.apply(COI, OrderEvent.CANCEL_SENT)
    if reported is not None:
        report(table, "open", reported)
    assert table.apply(COI, OrderEvent.CANCEL_REFUSED).status is status


def test_an_order_that_its_cancel_overtook_may_still_be_unknown(table):
    table.apply(COI, OrderEvent.SENT)
    table.apply(COI, OrderEvent.CANCEL_SENT)
    assert table.apply(COI, OrderEvent.LOST).status is OrderStatus.UNKNOWN


def test_an_event_that_cannot_happen_is_an_error_that_changes_nothing(table):
    sent = table.apply(COI, OrderEvent.SENT)
    with pytest.raises(UsageError, match="is sent; 'discarded'"):
        table.apply(COI, OrderEvent.DISCARDED)
    assert table.get(COI) is sent


def test_an_event_for_an_order_not_known_changes_nothing():
    assert OrderTable().apply(COI, OrderEvent.CANCEL_SENT) is None


def test_a_duplicate_report_changes_nothing(table):
    first = report(table, "open", 5)
    assert report(table, "open", 5) is first


def test_an_older_report_takes_nothing_back(table):
    report(table, "open", 400, version=9, price_ticks=7, report={"n": 9})
    late = report(table, "open", 0, version=3, price_ticks=6, report={"n": 3})
    assert late.status is OrderStatus.PARTIALLY_FILLED
    assert (late.filled_base, late.price_ticks, late.report) == (400, 7, {"n": 9})


def test_a_late_frame_cannot_bring_an_ended_order_back(table):
    ended = report(table, "canceled", version=5)
    assert report(table, "open", version=2) is ended
    assert not ended.contradicted


def test_an_order_declared_dead_here_and_reported_alive_is_pointed_out(table):
    table.apply(COI, OrderEvent.REFUSED)
    assert table.contradicted() == []
    alive = report(table, "open")
    assert alive.status is OrderStatus.REJECTED
    assert table.contradicted() == [alive]


@pytest.mark.parametrize(
    ("status", "filled", "contradicted"),
    [("canceled", 0, False), ("canceled", 5, True), ("filled", 1000, True)],
)
def test_a_dead_order_contradicts_only_when_it_traded(
    table, status, filled, contradicted
):
    table.apply(COI, OrderEvent.PROVEN_DEAD)
    assert report(table, status, filled).contradicted is contradicted


def test_an_order_placed_elsewhere_is_entered_as_reported():
    table = OrderTable()
    assert report(table, "open", coi=7).status is OrderStatus.OPEN
    assert report(table, "canceled-post-only", coi=8).status is OrderStatus.REJECTED
    assert [order.client_order_index for order in table.live()] == [7]


def test_an_order_without_an_index_is_not_kept():
    table = OrderTable()
    assert report(table, "open", coi=0) is None
    assert len(table) == 0


def test_an_unknown_status_is_an_error_that_changes_nothing(table):
    before = table.get(COI)
    with pytest.raises(ProtocolError):
        report(table, "vanished", 5)
    assert table.get(COI) is before


def test_a_report_without_an_order_index_keeps_the_one_known(table):
    assert report(table, "open", order_index=None).order_index is None
    assert report(table, "open").order_index == 2**48 + 7
    assert report(table, "open", order_index=None).order_index == 2**48 + 7


def test_the_oldest_ended_order_is_forgotten_first_and_a_live_one_never():
    table = OrderTable(capacity_terminal=2)
    for coi in range(1, 7):
        queue(table, coi)
    for coi in range(2, 6):
        table.apply(coi, OrderEvent.DISCARDED)
    assert [coi for coi in range(1, 7) if table.get(coi)] == [1, 4, 5, 6]
    assert len(table) == 4


def test_an_order_that_is_forgotten_is_gone_without_a_word():
    table = OrderTable()
    heard, also = [], []
    table.tell(heard.append)
    table.tell(also.append)
    table.queue(7, market_index=0, is_ask=False, price_ticks=1, base_amount=1)
    assert heard == also
    table.forget(7)
    table.forget(8)
    assert (table.get(7), len(table), len(heard)) == (None, 0, 1)


ROW = {"client_order_index": COI, "status": "open", "price": "4050.00", "nested": [1]}


def test_the_exchanges_words_come_back_while_the_order_lives_and_after(table):
    assert table.get(COI).report is None
    assert report(table, "open", version=1, report=ROW).report == ROW
    last = {**ROW, "status": "filled"}
    assert report(table, "filled", 1000, version=2, report=last).report == last
    assert report(table, "open", version=1, report=ROW).report == last
    assert list(table.get(COI).report) == list(last)


def test_words_that_cannot_be_packed_are_kept_as_they_are(table):
    odd = {"status": "canceled", "number": 2**70}
    assert report(table, "canceled", version=1, report=odd).report is odd


def test_words_on_an_order_that_we_know_to_have_ended_are_kept(table):
    table.apply(COI, OrderEvent.SENT)
    report(table, "open", version=1, report=ROW)
    table.queue(7, market_index=0, is_ask=True, price_ticks=1, base_amount=1)
    ended = table.apply(7, OrderEvent.DISCARDED)
    assert ended.report is None
    assert table.get(COI).report == ROW


def test_the_words_on_a_thousand_live_orders_come_back():
    table = OrderTable()
    for coi in range(1, 1001):
        row = {"client_order_index": coi, "status": "open"}
        report(table, "open", coi=coi, version=1, report=row)
    for order in table.live():
        coi = order.client_order_index
        assert order.report == {"client_order_index": coi, "status": "open"}
