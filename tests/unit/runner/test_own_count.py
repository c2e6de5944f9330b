"""What a strategy holds by its own fills, and whom it believes that says otherwise."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import tracemalloc
from decimal import Decimal

import pytest

from wrappy.model import OrderStatus
from wrappy.runner.strategy import OwnCount


@dataclasses.dataclass
class Record:
    client_order_index: int
    filled_base: int
    is_ask: bool = False
    status: OrderStatus = OrderStatus.OPEN


class Place:
    """Stands for a context, its only dealer, that one's orders and market."""

    def __init__(self, streamed="0"):
        self.symbols, self.orders, self.log = ("ETH",), self, logging.getLogger("test")
        self.streamed = self.true = Decimal(streamed)
        self.at_s, self.asked, self.listeners = 1_000.0, 0, []
        self.left, self.meanwhile = [], False

    def dealer(self, _):
        return self

    def market(self, _):
        return self

    def size(self, lots):
        return Decimal(lots).scaleb(-4)

    def tell(self, listener):
        self.listeners.append(listener)

    def live(self):
        return self.left

    def told(self, number, lots, status, *, is_ask=False):
        for listener in self.listeners:
            listener(Record(number, lots, is_ask, status))

    def filled(self, number, lots, *, is_ask=False):
        self.told(number, lots, OrderStatus.OPEN, is_ask=is_ask)
        self.true += self.size(-lots if is_ask else lots)

    def position(self, _):
        return self.streamed

    def now(self):
        return self.at_s

    async def fetch_my_position(self):
        self.asked += 1
        answer = self.true
        if self.meanwhile:
            self.filled(self.asked, 2_000, is_ask=self.asked % 2 == 0)
        return answer


def agrees(count, place, *, after_s=0.0):
    place.at_s += after_s
    return asyncio.run(count.agrees())


def test_it_begins_when_stream_and_exchange_tell_the_same():
    place = Place("0.2")
    place.true = Decimal("0.1")
    count = OwnCount(place, "ETH")
    assert not agrees(count, place)
    assert (count.is_known, count.held) == (False, 0)
    place.streamed = place.true
    assert not agrees(count, place, after_s=9), "it asks every ten seconds at most"
    assert agrees(count, place, after_s=1)
    assert (count.is_known, count.held, place.asked) == (True, Decimal("0.1"), 2)


def test_fills_count_before_the_stream_tells_them_and_the_exchange_confirms():
    place = Place()
    count = OwnCount(place, "ETH")
    assert agrees(count, place)
    place.filled(1, 1_000)
    place.filled(2, 400, is_ask=True)
    assert count.held == Decimal("0.06")
    assert agrees(count, place, after_s=10), "asked, it tells what was filled"
    assert not agrees(count, place, after_s=1), "not asked again so soon"
    place.streamed = Decimal("0.06")
    assert agrees(count, place)
    assert place.asked == 2


def test_the_same_fill_told_twice_is_one():
    place = Place()
    count = OwnCount(place, "ETH")
    assert agrees(count, place)
    place.filled(1, 400)
    place.filled(1, 1_000)
    assert count.held == Decimal("0.1")


def test_what_somebody_else_did_is_taken_over_when_the_exchange_tells_it_for_long():
    place = Place("0.5")
    count = OwnCount(place, "ETH")
    assert agrees(count, place)
    place.streamed = place.true = Decimal(0)
    assert not agrees(count, place, after_s=10)
    assert not agrees(count, place, after_s=20)
    assert count.held == Decimal("0.5")
    assert agrees(count, place, after_s=10)
    assert count.held == 0


def test_another_difference_has_its_own_time():
    place = Place("0.5")
    count = OwnCount(place, "ETH")
    assert agrees(count, place)
    for step in range(5):
        place.streamed = place.true = Decimal(step)
        assert not agrees(count, place, after_s=29)
    assert count.held == Decimal("0.5")


@pytest.mark.parametrize("news", [True, False])
def test_of_a_stream_alone_only_news_are_taken_over(news):
    place = Place()
    told = [Decimal(7)]
    count = OwnCount(place, "ETH", told=lambda: told[0])
    assert agrees(count, place)
    place.filled(1, 10_000)
    if news:
        told[0] = Decimal("7.9")
    for _ in range(10):
        assert not agrees(count, place, after_s=30)
    assert agrees(count, place, after_s=30) is news
    assert count.held == (Decimal("7.9") if news else 8)
    assert place.asked == 0


def test_what_an_earlier_run_filled_is_part_of_the_beginning():
    place = Place("0.3")
    place.left = [Record(1, 3_000), Record(2, 500, is_ask=True)]
    count = OwnCount(place, "ETH")
    assert agrees(count, place)
    place.told(1, 3_000, OrderStatus.CANCELED)
    place.told(2, 700, OrderStatus.FILLED, is_ask=True)
    place.told(9, 4_000, OrderStatus.FILLED)  # on a page of ended orders
    assert count.held == Decimal("0.28")


def test_answers_that_fills_have_overtaken_prove_nothing():
    place = Place()
    count = OwnCount(place, "ETH")
    assert agrees(count, place)
    place.filled(99, 1_000)
    place.meanwhile, place.streamed = True, Decimal(7)
    for _ in range(10):
        place.true = Decimal(0)  # an answer from between two of the fills
        assert not agrees(count, place, after_s=11)
        assert abs(count.held) == Decimal("0.1")


def test_the_same_answer_to_another_count_is_another_difference():
    place = Place()
    count = OwnCount(place, "ETH")
    assert agrees(count, place)
    place.filled(99, 1_000)
    place.streamed = Decimal(7)
    for number in range(10):
        place.filled(number, 2_000, is_ask=number % 2 == 0)
        place.true = Decimal(0)
        assert not agrees(count, place, after_s=11)
        assert abs(count.held) == Decimal("0.1")


def test_an_end_is_counted_once_however_often_it_is_told():
    place = Place()
    count = OwnCount(place, "ETH")
    assert agrees(count, place)
    place.told(1, 0, OrderStatus.QUEUED)
    for _ in range(3):
        place.told(1, 1_000, OrderStatus.FILLED)
    place.told(2, 0, OrderStatus.QUEUED)
    place.told(2, 0, OrderStatus.CANCELED)
    place.told(2, 200, OrderStatus.CANCELED)  # the exchange took its word back
    assert count.held == Decimal("0.12")


def test_it_does_not_grow_with_every_order():
    place = Place()
    count = OwnCount(place, "ETH")
    assert agrees(count, place)

    def orders(start, end):
        for number in range(start, end):
            place.told(number, 0, OrderStatus.QUEUED)
            place.told(number, number % 2, OrderStatus.CANCELED)

    orders(0, 20_000)
    tracemalloc.start()
    try:
        orders(20_000, 40_000)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 1_500_000
    assert count.held == 2
