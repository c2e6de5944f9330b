"""The order book: continuity, reading, and refusing to be read."""

from __future__ import annotations

import decimal
from decimal import Decimal

import pytest

from wrappy._core.book import Level, OrderBook
from wrappy.errors import BookGapError, ProtocolError


@pytest.fixture
def book():
    book = OrderBook(2, 4)
    assert book.snapshot([(100, 5), (99, 7), (98, 0)], [(103, 2), (102, 15)], 10)
    return book


def test_a_snapshot_can_be_read(book):
    assert book.is_valid
    assert book.nonce == 10
    assert book.best_bid == Level(100, 5)
    assert book.best_ask == Level(102, 15)
    assert book.mid == Decimal("1.01")
    assert book.micro_price == Decimal("1.005")
    assert repr(book) == "OrderBook(nonce=10, bids=2, asks=2, valid)"


def test_the_last_word_on_a_price_counts_in_a_snapshot(book):
    assert book.snapshot([(9, 5), (8, 1), (9, 0)], [], 11)
    assert book.depth(9)[0] == (Level(8, 1),)


def test_depth_starts_with_the_best(book):
    assert book.depth(1) == ((Level(100, 5),), (Level(102, 15),))
    assert book.depth(9)[0] == (Level(100, 5), Level(99, 7))
    assert book.depth(0) == ((), ())


def test_prices_and_sizes_leave_as_decimals(book):
    assert book.price(100) == Decimal("1.00")
    assert book.size(5) == Decimal("0.0005")


def test_the_decimal_context_of_the_caller_changes_no_price():
    book = OrderBook(2, 4)
    book.snapshot([(123_456, 1)], [(123_457, 1)], 1)
    with decimal.localcontext() as context:
        context.prec = 2
        assert book.mid == book.micro_price
        assert str(book.mid) == "1234.565"


def test_an_update_sets_adds_and_removes_levels(book):
    assert book.apply([(100, 0), (101, 4), (97, 0)], [(102, 1)], 10, 14)
    assert book.depth(5) == (
        (Level(101, 4), Level(99, 7)),
        (Level(102, 1), Level(103, 2)),
    )
    assert book.nonce == 14
    assert book.apply([], [], 14, 15)


@pytest.mark.parametrize("gone", [97, 98, 99])
def test_any_level_can_be_removed(gone):
    book = OrderBook(2, 4)
    book.snapshot([(97, 1), (98, 2), (99, 3)], [], 1)
    assert book.apply([(gone, 0)], [], 1, 2)
    assert [ticks for ticks, _ in book.depth(9)[0]] == sorted(
        {97, 98, 99} - {gone}, reverse=True
    )


@pytest.mark.parametrize("begin_nonce", [9, 11])
def test_a_gap_makes_the_book_unreadable_at_once(book, begin_nonce):
    assert not book.apply([(101, 1)], [], begin_nonce, 12)
    assert not book.is_valid
    assert book.invalid_reason == f"an update begins at {begin_nonce}, not at 10"
    for read in (
        lambda: book.best_bid,
        lambda: book.best_ask,
        lambda: book.mid,
        lambda: book.micro_price,
        lambda: book.depth(1),
    ):
        with pytest.raises(BookGapError, match="an update begins at"):
            read()


def test_an_update_that_goes_back_makes_the_book_unreadable(book):
    assert not book.apply([], [], 10, 9)
    assert book.invalid_reason == "an update goes back from 10 to 9"


def test_updates_before_a_snapshot_are_dropped():
    book = OrderBook(2, 4)
    assert not book.apply([(101, 1)], [], 0, 1)
    assert book.nonce is None
    with pytest.raises(BookGapError, match="no snapshot yet"):
        book.depth(1)


def test_a_snapshot_after_a_gap_makes_the_book_readable_again(book):
    book.apply([], [], 5, 6)
    assert not book.apply([], [], 10, 11)
    assert book.snapshot([(50, 1)], [], 20)
    assert book.invalid_reason is None
    assert book.best_bid == Level(50, 1)


def test_a_crossed_update_makes_the_book_unreadable(book):
    assert not book.apply([(102, 1)], [], 10, 11)
    assert book.invalid_reason == "crossed: bid 102 against ask 102"


def test_a_crossed_snapshot_is_not_valid():
    book = OrderBook(2, 4)
    assert not book.snapshot([(11, 1)], [(10, 1)], 1)


@pytest.mark.parametrize("level", [(0, 1), (-3, 1), (5, -1)])
def test_an_impossible_level_makes_the_book_unreadable(book, level):
    with pytest.raises(ProtocolError):
        book.apply([level], [], 10, 11)
    assert book.invalid_reason == "an update could not be read"
    with pytest.raises(ProtocolError):
        book.snapshot([level], [], 12)
    assert book.invalid_reason == "a snapshot could not be read"


def test_an_empty_side_has_no_best_and_no_middle():
    book = OrderBook(2, 4)
    assert book.snapshot([(10, 1)], [], 1)
    assert book.best_ask is None
    assert book.mid is None
    assert book.micro_price is None
    assert book.snapshot([], [(10, 1)], 2)
    assert book.best_bid is None
    assert book.mid is None
    assert book.micro_price is None


def test_the_first_reason_for_distrust_stays(book):
    book.invalidate("the stream ended")
    book.invalidate("later")
    assert book.invalid_reason == "the stream ended"
    assert repr(book) == "OrderBook(nonce=10, bids=2, asks=2, the stream ended)"
