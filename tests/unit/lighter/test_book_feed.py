"""The book of a channel: continuous and lately heard of, or not to be read."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrappy.errors import BookGapError, ProtocolError, StaleBookError
from wrappy.lighter.streaming.book_feed import MAX_AGE_S, MOST_OLD_FRAMES, BookFeed
from wrappy.model import Market, PriceLevel

ETH = Market("ETH", 0, 2, 4)
WHOLE = Market("PEPE", 4, 6, 0)


class Log:
    def __init__(self):
        self.lines = []

    def warning(self, msg, *args):
        self.lines.append(msg % args)


class Setup:
    def __init__(self, market=ETH, **settings):
        self.now = 100.0
        self.told = []
        self.log = Log()
        self.feed = BookFeed(
            market, self.tell, self.log, clock=lambda: self.now, **settings
        )
        self.view = self.feed.view

    def tell(self, event, value):
        self.told.append((event, value))

    def snapshot(self, nonce=10, bids=(("20.00", "1.0"),), asks=(("21.00", "3.0"),)):
        return self.feed.take(frame(nonce, None, bids, asks), snapshot=True)

    def update(self, begin, nonce, bids=(), asks=()):
        return self.feed.take(frame(nonce, begin, bids, asks), snapshot=False)

    def gaps(self):
        return [value for event, value in self.told if event == "on_gap"]


def frame(nonce, begin, bids=(), asks=(), **outside):
    book = {"nonce": nonce, "bids": rows(bids), "asks": rows(asks), "offset": nonce}
    if begin is not None:
        book["begin_nonce"] = begin
    return json.dumps({"order_book": book, "timestamp": 5000, **outside}).encode()


def rows(levels):
    return [{"price": price, "size": size} for price, size in levels]


@pytest.fixture
def setup():
    setup = Setup()
    assert setup.snapshot()
    setup.told.clear()
    return setup


def test_a_snapshot_and_its_updates_can_be_read(setup):
    assert setup.update(10, 14, [("20.50", "2.5000")], [("21.00", "0.0000")])
    assert setup.update(14, 15, [], [("21.50", "0.1")])
    view = setup.view
    assert view.is_valid
    assert view.best_bid == PriceLevel(Decimal("20.50"), Decimal("2.5"))
    assert view.best_ask == PriceLevel(Decimal("21.50"), Decimal("0.1"))
    assert view.mid_price == Decimal(21)
    assert Decimal("20.5") < view.micro_price < Decimal("21.5")
    bids, asks = view.depth(5)
    assert [level.price for level in bids] == [Decimal("20.50"), Decimal("20.00")]
    assert [level.price for level in asks] == [Decimal("21.50")]
    assert (view.symbol, view.nonce, view.timestamp_ms) == ("ETH", 15, 5000)
    assert setup.told == [("on_book", view)] * 2


def test_an_empty_side_has_no_best_price():
    setup = Setup()
    assert setup.snapshot(bids=(), asks=())
    view = setup.view
    assert (view.best_bid, view.best_ask, view.mid_price) == (None, None, None)


def test_nothing_can_be_read_before_the_first_snapshot():
    setup = Setup()
    assert not setup.update(10, 11)
    assert not setup.view.is_valid
    assert setup.view.nonce is None
    with pytest.raises(BookGapError, match="no snapshot yet"):
        _ = setup.view.best_bid
    assert setup.told == []


def test_a_gap_is_told_and_makes_the_book_unreadable_in_the_same_frame(setup):
    assert not setup.update(12, 13)
    (gap,) = setup.gaps()
    assert (gap.symbol, gap.expected_nonce, gap.got_nonce) == ("ETH", 10, 12)
    assert "begins at 12, not at 10" in gap.reason
    assert not setup.view.is_valid
    for read in ("best_bid", "best_ask", "mid_price", "micro_price"):
        with pytest.raises(BookGapError, match="begins at 12"):
            getattr(setup.view, read)
    with pytest.raises(BookGapError):
        setup.view.depth(1)
    assert "ETH" in setup.log.lines[0]
    assert setup.feed.gaps == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        gap.reason = "another"


def test_updates_between_a_gap_and_the_snapshot_are_no_further_gaps(setup):
    setup.update(12, 13)
    assert not setup.update(13, 14)
    assert not setup.update(10, 11)
    assert setup.feed.gaps == 1
    assert setup.snapshot(20)
    assert setup.update(20, 21)


def test_a_jump_of_the_offset_is_no_gap(setup):
    raw = frame(11, 10, offset=10**9)
    assert setup.feed.take(raw, snapshot=False)
    assert setup.gaps() == []


def test_a_repeated_or_late_update_is_dropped_and_changes_nothing(setup):
    change = [("20.50", "2.0")]
    assert setup.update(10, 14, change)
    assert setup.update(14, 16, [("20.50", "0")])
    setup.told.clear()
    assert setup.update(10, 14, change)
    assert setup.update(14, 16, [("20.75", "9")])
    assert setup.view.best_bid.price == Decimal("20.00")
    assert setup.told == []
    assert setup.feed.repeats == 2


def test_an_overtaking_update_is_a_gap_and_the_late_one_does_not_mend_it(setup):
    assert not setup.update(14, 16)
    assert not setup.update(10, 14)
    assert not setup.view.is_valid


def test_an_update_that_is_half_in_the_book_is_a_gap(setup):
    assert not setup.update(8, 12)
    assert setup.gaps()[0].got_nonce == 8


def test_many_old_updates_in_a_row_mean_that_the_count_began_anew(setup):
    for number in range(MOST_OLD_FRAMES):
        assert setup.update(1 + number % 3, 2 + number % 3)
    assert not setup.update(1, 2)
    assert setup.feed.gaps == 1


def test_a_sound_update_ends_a_row_of_old_ones(setup):
    nonce = 10
    for _ in range(3 * MOST_OLD_FRAMES):
        assert setup.update(1, 2)
        assert setup.update(nonce, nonce + 1)
        nonce += 1
    assert setup.feed.gaps == 0


def test_a_crossed_book_is_a_gap_at_the_update_that_crossed_it(setup):
    assert not setup.update(10, 12, [("21.00", "1")])
    (gap,) = setup.gaps()
    assert (gap.expected_nonce, gap.got_nonce) == (10, 12)
    assert gap.reason.startswith("crossed")


def test_a_lost_connection_makes_the_book_unreadable_once(setup):
    setup.feed.lost("the connection closed")
    setup.feed.lost("again")
    (gap,) = setup.gaps()
    assert (gap.reason, gap.got_nonce) == ("the connection closed", None)
    with pytest.raises(BookGapError, match="the connection closed"):
        _ = setup.view.best_bid


@pytest.mark.parametrize("side", ["bids", "asks"])
@pytest.mark.parametrize(
    "level",
    [
        ("NaN", "1"),
        ("Infinity", "1"),
        ("-20.00", "1"),
        ("0.00", "1"),
        ("2e1", "1"),
        ("20.001", "1"),
        ("", "1"),
        ("42949672.96", "1"),
        ("9" * 100, "1"),
        ("20.00", "NaN"),
        ("20.00", "inf"),
        ("20.00", "-1.0000"),
        ("20.00", "1e3"),
        ("20.00", "0.00001"),
        ("20.00", ""),
        ("20.00", "."),
        ("20.00", ".5000"),
        ("20.00", "1.2.3000"),
        ("20.00", "1_0.0000"),
        ("20.00", "+1.0000"),
        ("20.00", " 1.0000"),
        ("20.00", "\u0661.0000"),
        ("20.00", "\u00b2.0000"),
        ("20.00", "900719925474.0992"),
        ("20.00", "9" * 100 + ".0000"),
    ],
)
def test_a_number_that_is_none_is_refused_and_the_book_with_it(setup, side, level):
    with pytest.raises(ProtocolError):
        setup.update(10, 11, **{side: [level]})
    assert not setup.view.is_valid
    assert len(setup.gaps()) == 1
    with pytest.raises(ProtocolError):
        setup.snapshot(12, **{side: [level]})
    assert not setup.view.is_valid
    assert setup.feed.gaps == 1


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("900719925474.0991", "900719925474.0991"),
        ("1", "1"),
        ("1.5", "1.5"),
        ("1.50000", "1.5"),
        ("00001.5000", "1.5"),
    ],
)
def test_sizes_are_read_exactly(setup, text, size):
    assert setup.update(10, 11, [("20.50", text)])
    assert setup.view.best_bid.size == Decimal(size)


@pytest.mark.parametrize(("text", "size"), [("7", 7), ("7.000", 7), ("70", 70)])
def test_a_market_without_size_decimals_has_whole_sizes(text, size):
    setup = Setup(WHOLE)
    assert setup.snapshot(bids=[("0.004000", text)], asks=())
    assert setup.view.best_bid == PriceLevel(Decimal("0.004"), Decimal(size))
    with pytest.raises(ProtocolError):
        setup.update(10, 11, [("0.004000", "7.")])


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'{"order_book":{}}'])
@pytest.mark.parametrize("snapshot", [True, False])
def test_garbage_is_refused_and_the_book_with_it(setup, raw, snapshot):
    with pytest.raises(ProtocolError):
        setup.feed.take(raw, snapshot=snapshot)
    assert not setup.view.is_valid
    assert setup.feed.gaps == 1


def test_an_update_must_say_what_it_builds_on(setup):
    with pytest.raises(ProtocolError, match="begin_nonce is missing"):
        setup.update(None, 11)
    assert not setup.view.is_valid


def test_a_book_without_a_sign_of_life_is_stale_and_not_served(setup):
    setup.now += MAX_AGE_S
    assert setup.view.is_valid
    setup.now += 0.1
    assert not setup.view.is_valid
    assert setup.view.age_s == pytest.approx(MAX_AGE_S + 0.1)
    with pytest.raises(StaleBookError, match=r"ETH is stale: .* 45\.1 s"):
        _ = setup.view.best_bid
    with pytest.raises(BookGapError):
        setup.view.depth(1)
    assert setup.gaps() == []


def test_any_sign_of_life_keeps_a_quiet_book_fresh(setup):
    for _ in range(5):
        setup.now += MAX_AGE_S - 1
        setup.feed.alive(setup.now)
        assert setup.view.best_bid is not None
    setup.now += MAX_AGE_S + 1
    assert setup.update(1, 2), "an old frame is a sign of life as well"
    assert setup.view.is_valid


def test_a_connection_that_keeps_its_own_time_of_life_is_asked_for_it():
    setup = Setup(heard_at=lambda: 140.0)
    setup.snapshot()
    setup.now = 150.0
    assert setup.view.age_s == pytest.approx(10.0)
    setup.now = 140.0 + MAX_AGE_S + 1
    assert not setup.view.is_valid


def test_a_gap_is_told_rather_than_the_age(setup):
    setup.feed.lost("the connection closed")
    setup.now += 10 * MAX_AGE_S
    with pytest.raises(BookGapError, match="the connection closed") as caught:
        _ = setup.view.best_bid
    assert not isinstance(caught.value, StaleBookError)


def test_the_limit_of_age_can_be_left_out():
    setup = Setup(max_age_s=None)
    setup.snapshot()
    setup.now += 1e9
    assert setup.view.is_valid


def test_what_is_printed_names_market_and_state(setup):
    assert repr(setup.feed).startswith("BookFeed(ETH, OrderBook(nonce=10, bids=1")
    assert repr(setup.view).endswith("valid), age_s=0.0)")


FAULTS = st.lists(
    st.sampled_from(["pass", "pass", "pass", "drop", "twice", "swap", "late"]),
    max_size=40,
)


@settings(max_examples=200)
@given(FAULTS)
def test_under_any_faults_a_readable_book_is_the_exchanges_book(faults):
    """Frame n sets a bid at price n % 7 + 1 to n; what is read must be a true state."""
    setup = Setup()
    frames = []
    truth = {0: ()}
    book: dict[int, int] = {}
    for number in range(1, len(faults) + 1):
        ticks = number % 7 + 1
        book[ticks] = number
        truth[number] = tuple(sorted(book.items(), reverse=True))
        change = [(f"0.0{ticks}", f"0.{number:04}")]
        frames.append(frame(number, number - 1, change))
    sent = []
    for number, fault in enumerate(faults):
        if fault == "drop":
            continue
        sent.append(frames[number])
        if fault == "twice":
            sent.append(frames[number])
        elif fault == "swap" and len(sent) > 1:
            sent[-2:] = sent[:-3:-1]
        elif fault == "late":
            sent.append(frames[number // 2])
    assert setup.snapshot(0, (), ())
    last = 0
    for raw in sent:
        sound = setup.feed.take(raw, snapshot=False)
        assert sound is setup.view.is_valid
        if not sound:
            return
        assert setup.view.nonce >= last
        last = setup.view.nonce
        assert setup.feed.book.depth(99)[0] == truth[last]
