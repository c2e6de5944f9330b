"""How far positions can get."""

from __future__ import annotations

import pytest

from wrappy._core.exposure import ENDED_KEPT, ExposureBook, LiveOrder, OrderKey, Reach

KEY = OrderKey(0, 1)


def book_with(position=0):
    book = ExposureBook()
    book.anchor(0, position)
    book.has_begun = True
    return book


def buy(lots, **more):
    return LiveOrder(is_ask=False, lots=lots, **{"ticks": 100, **more})


def sell(lots, **more):
    return LiveOrder(is_ask=True, lots=lots, **{"ticks": 100, **more})


def enter(book, number, order):
    book.order(OrderKey(0, number), order, order.filled, is_ask=order.is_ask)


def bounds(book, mark=0):
    reach = book.market(0).reach(mark, 1)
    return reach.low, reach.high


def test_all_orders_of_a_side_count_as_filled_and_the_other_side_as_not():
    book = book_with(3)
    enter(book, 1, buy(5))
    enter(book, 2, sell(4))
    enter(book, 3, buy(2, is_unknown=True))
    assert bounds(book) == (-1, 10)
    assert book.live() == 3
    assert book.unknown() == 1


def test_a_fill_moves_from_the_order_to_the_position_and_the_worst_case_stays():
    book = book_with(0)
    enter(book, 1, buy(5))
    before = bounds(book)[1]
    enter(book, 1, buy(5, filled=2))
    assert book.market(0).implied == 2
    assert bounds(book)[1] == before


def test_the_worse_of_stream_and_fills_counts_until_they_agree():
    book = book_with(0)
    enter(book, 1, buy(5))
    book.order(KEY, None, 5, is_ask=False)
    assert book.disputed() == [0]
    assert bounds(book) == (0, 5)
    book.position(0, 5)
    assert book.disputed() == []
    assert bounds(book) == (5, 5)


def test_a_position_that_is_asked_for_ends_a_dispute():
    book = book_with(0)
    book.position(0, -7)
    assert bounds(book) == (-7, 0)
    book.anchor(0, -7)
    assert bounds(book) == (-7, -7)


def test_a_fill_told_twice_or_late_counts_once():
    book = book_with(0)
    enter(book, 1, sell(5, filled=3))
    enter(book, 1, sell(5, filled=1))
    book.order(KEY, None, 3, is_ask=True)
    book.order(KEY, None, 3, is_ask=True)
    assert book.market(0).implied == -3
    book.order(KEY, None, 5, is_ask=True)
    assert book.market(0).implied == -5


def test_fills_that_the_position_has_in_it_are_not_added():
    book = book_with(3)
    book.has_counted(KEY, 3, is_ask=False)
    enter(book, 1, buy(5, filled=3))
    assert bounds(book) == (3, 5)
    book.has_counted(KEY, 5, is_ask=False)
    assert book.market(0).orders[KEY].filled == 3


def test_reduce_only_orders_never_grow_a_position_but_make_room_for_what_does():
    book = book_with(-5)
    book.position(0, -5)
    enter(book, 1, buy(5, reduce_only=True))
    assert bounds(book) == (-5, 0)
    enter(book, 2, buy(3))
    assert bounds(book) == (-5, 3)
    long = book_with(5)
    long.position(0, 5)
    enter(long, 1, sell(2, reduce_only=True))
    enter(long, 2, sell(4))
    assert bounds(long) == (-1, 5)


def test_a_change_under_way_counts_with_the_larger_size_until_it_is_shown():
    book = book_with(0)
    enter(book, 1, buy(5))
    order = book.market(0).orders[KEY]
    order.aims += [(101, 9), (99, 2)]
    assert bounds(book)[1] == 9
    assert (order.dearest, order.cheapest) == (101, 99)
    enter(book, 1, buy(5, filled=1))  # another word on what it was before
    assert bounds(book)[1] == 9
    enter(book, 1, LiveOrder(is_ask=False, lots=9, ticks=101, filled=1))
    assert bounds(book)[1] == 9
    enter(book, 1, LiveOrder(is_ask=False, lots=2, ticks=99, filled=1))
    assert bounds(book)[1] == 2
    assert book.market(0).orders[KEY].aims == []


def test_what_follows_another_order_counts_with_the_size_of_that():
    book = book_with(0)
    enter(book, 1, sell(0, least=6))
    assert bounds(book) == (-6, 0)


def test_worth_is_taken_at_the_higher_of_mark_and_own_price():
    book = book_with(2)
    book.position(0, 2)
    enter(book, 1, buy(3, ticks=90))
    enter(book, 2, sell(4, ticks=150))
    reach = book.market(0).reach(100, 10)
    assert reach == Reach(5, -2, (2 + 3) * 100 * 10, (4 * 150 - 2 * 100) * 10)
    assert reach.value == reach.long_value


def test_exits_are_the_reduce_only_orders_of_the_other_side_a_pair_once():
    book = book_with(10)
    book.position(0, 10)
    enter(book, 1, sell(4, reduce_only=True, group=1))
    enter(book, 2, sell(6, reduce_only=True, group=1))
    enter(book, 3, sell(1, reduce_only=True))
    enter(book, 4, sell(9, reduce_only=True, is_unknown=True))
    enter(book, 5, sell(9))
    enter(book, 6, buy(9, reduce_only=True))
    assert book.market(0).exits() == 7
    short = book_with(-3)
    short.position(0, -3)
    enter(short, 1, buy(2, reduce_only=True))
    assert short.market(0).exits() == 2


def test_before_the_beginning_nothing_is_known_and_then_what_is_not_told_is_flat():
    book = ExposureBook()
    assert not book.market(0).is_known
    assert not book.market(0).is_disputed
    assert bounds(book) == (0, 0)
    book.order(KEY, buy(5, filled=2), 2, is_ask=False)
    assert book.market(0).implied is None
    book.has_begun = True
    assert book.market(1).is_known


@pytest.mark.parametrize("value", [-7, 7])
def test_other_markets_count_with_their_worth(value):
    book = ExposureBook()
    book.other(5, value)
    book.other(6, 1)
    assert book.value_of_others == 8


def test_of_ended_orders_only_the_latest_are_remembered():
    book = book_with(0)
    for number in range(1, ENDED_KEPT + 3):
        book.order(OrderKey(0, number), None, 1, is_ask=False)
    first = ENDED_KEPT + 2
    book.order(OrderKey(0, first), None, 1, is_ask=False)
    assert book.market(0).implied == ENDED_KEPT + 2
    book.order(OrderKey(0, 1), None, 1, is_ask=False)
    assert book.market(0).implied == ENDED_KEPT + 3
