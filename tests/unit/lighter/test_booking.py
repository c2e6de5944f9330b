"""What a refusal and a proven end make of cancels, changes and orders."""

from __future__ import annotations

import logging

import pytest

from wrappy._core.batch import Queued
from wrappy._core.coi import COI_MAX
from wrappy._core.orders import OrderEvent
from wrappy.errors import OrderRejectedError
from wrappy.lighter.sending.booking import MOST_REPEATS, OrderBooking
from wrappy.model import OrderStatus
from wrappy.protocol.intents import (
    CancelAllOrders,
    CancelOrder,
    CreateOrder,
    ModifyOrder,
)

REFUSAL = OrderRejectedError(21733, "price too far off")


def create(coi):
    intent = CreateOrder(0, coi, 500, 100_000, False)
    return Queued(intent, coi, is_cancel=False, also=(coi,))


def cancel(number):
    return Queued(CancelOrder(0, number), number, is_cancel=True)


def change(coi, price):
    return Queued(ModifyOrder(0, coi, 500, price, 0), coi, is_cancel=False)


class Desk:
    """A booking whose order 7 was sent."""

    def __init__(self, *, closed=False):
        self.queued = []
        self.closed = closed
        self.booking = OrderBooking(
            logging.getLogger("LighterDealer.tx"),
            changed=lambda _: None,
            again=self.put,
        )
        self.booking.queue(create(7).intent)
        self.booking.orders.apply(7, OrderEvent.SENT)

    def put(self, entry):
        if not self.closed:
            self.queued.append(entry)
        return not self.closed

    def dead(self, entry):
        self.booking.settled(None, [entry], ["00"], [False])


def errors(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]


def test_a_dead_cancel_comes_back_a_few_times_and_is_then_told(caplog):
    desk = Desk()
    for _ in range(MOST_REPEATS + 1):
        desk.dead(cancel(7))
    assert desk.queued == [cancel(7)] * MOST_REPEATS
    (told,) = errors(caplog)
    assert "CancelOrder of order 7" in told


def test_a_dead_cancel_of_an_order_that_is_over_is_nobodys_concern(caplog):
    desk = Desk()
    desk.booking.orders.apply(7, OrderEvent.REFUSED)
    desk.dead(cancel(7))
    assert not desk.queued
    assert not errors(caplog)


def test_a_dead_cancel_by_the_exchanges_number_comes_back_too():
    desk = Desk()
    desk.dead(cancel(COI_MAX + 9))
    assert desk.queued == [cancel(COI_MAX + 9)]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (cancel(7), "CancelOrder of order 7"),
        (change(7, 100_100), "ModifyOrder of order 7"),
        (Queued(CancelAllOrders(), None, is_cancel=True), "CancelAllOrders of order"),
    ],
)
def test_what_is_dead_and_cannot_come_back_is_an_error(caplog, entry, words):
    desk = Desk(closed=True)
    desk.dead(entry)
    (told,) = errors(caplog)
    assert words in told


def test_a_dead_order_is_told_by_its_receipt_alone(caplog):
    desk = Desk()
    desk.booking.queue(create(8).intent)
    desk.booking.lost([create(8)], ["aa"])
    desk.dead(create(8))
    assert desk.booking.orders.get(8).status is OrderStatus.REJECTED
    assert not errors(caplog)


def test_a_refused_batch_gives_back_the_cancels_that_still_matter():
    desk = Desk()
    desk.booking.queue(create(8).intent)
    batch = [cancel(7), create(8), cancel(8)]
    assert desk.booking.refused(batch, REFUSAL) == [cancel(7)]
    reason = desk.booking.orders.get(8).reason
    assert "batch of 3 was refused as a whole, it does not say for which" in reason


def test_a_refusal_that_names_an_order_is_passed_on():
    desk = Desk()
    desk.booking.queue(create(81).intent)
    desk.booking.queue(create(82).intent)
    named = OrderRejectedError(21733, "order 82 is too far off")
    assert not desk.booking.refused([create(81), create(82)], named)
    assert "it names [82]" in desk.booking.orders.get(81).reason


def test_a_cancel_that_is_refused_alone_does_not_come_back():
    desk = Desk()
    assert not desk.booking.refused([cancel(7)], REFUSAL)


def test_a_change_is_stale_once_a_later_one_has_left():
    desk = Desk()
    aims = desk.booking.aims
    aims.left(7, 5)
    aims.left(7, 4)
    assert aims.is_stale(7, 4)
    assert not aims.is_stale(7, 6)
    aims.left(99, 5)  # not an order of ours
    assert not aims.is_stale(99, 1)
