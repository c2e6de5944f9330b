"""A book fed with snapshot and updates is the book of a fresh snapshot."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrappy._core.book import OrderBook
from wrappy.errors import BookGapError


def levels(low, high):
    """Few prices and many zeros, so that levels come and go."""
    return st.lists(
        st.tuples(st.integers(low, high), st.sampled_from([0, 0, 1, 5])), max_size=8
    )


# The two ranges overlap a little, so that some books cross.
BIDS, ASKS = levels(1, 11), levels(10, 20)
UPDATES = st.lists(st.tuples(BIDS, ASKS), max_size=12)


def merged(half, changes):
    kept = dict(half) | dict(changes)
    return {ticks: lots for ticks, lots in kept.items() if lots}


@settings(max_examples=300)
@given(BIDS, ASKS, UPDATES)
def test_updates_add_up_to_the_snapshot_of_the_same_moment(bids, asks, updates):
    book = OrderBook(2, 4)
    model = merged({}, bids), merged({}, asks)
    valid = book.snapshot(bids, asks, 0)
    for number, (more_bids, more_asks) in enumerate(updates):
        if not valid:
            break
        model = merged(model[0], more_bids), merged(model[1], more_asks)
        valid = book.apply(more_bids, more_asks, number, number + 1)
    fresh = OrderBook(2, 4)
    assert fresh.snapshot(model[0].items(), model[1].items(), 0) is valid
    assert book.is_valid is valid
    if not valid:
        with pytest.raises(BookGapError):
            book.depth(1)
        return
    assert book.depth(99) == fresh.depth(99)
    assert book.depth(99)[0] == tuple(sorted(model[0].items(), reverse=True))
    assert book.depth(99)[1] == tuple(sorted(model[1].items()))
    assert (book.mid, book.micro_price) == (fresh.mid, fresh.micro_price)
    if book.best_bid and book.best_ask:
        assert book.best_bid.ticks < book.best_ask.ticks
        assert book.price(book.best_bid.ticks) < book.micro_price
        assert book.micro_price < book.price(book.best_ask.ticks)


@given(st.lists(st.integers(-1, 1), max_size=12))
def test_a_missed_doubled_or_swapped_update_is_always_noticed(slips):
    """Frame n builds on n and ends at n + 1; any stream but 0, 1, 2 ... has a gap."""
    book = OrderBook(2, 4)
    book.snapshot([(1, 1)], [(2, 1)], 0)
    for position, slip in enumerate(slips):
        number = position + slip
        if slip:
            assert not book.apply([], [], number, number + 1)
            assert not book.is_valid
            assert not book.apply([], [], position, position + 1)
            return
        assert book.apply([], [], number, number + 1)
