"""What answers rounded to a second say about an expiry."""

from __future__ import annotations

from wrappy._core.venue_clock import ALONE_MS, GRACE_MS, SLACK_MS, VenueClock

EPOCH_MS = 1_700_000_000_000


def test_without_an_answer_our_clock_counts_much_later():
    clock = VenueClock()
    over_ms = EPOCH_MS + GRACE_MS + ALONE_MS
    assert not clock.is_over(EPOCH_MS, 0.0, over_ms - 1)
    assert clock.is_over(EPOCH_MS, 0.0, over_ms)


def test_an_answer_holds_on_with_the_time_that_passed_since():
    clock = VenueClock()
    clock.read(EPOCH_MS, 100.0, EPOCH_MS - 60_000)
    assert not clock.is_over(EPOCH_MS, 100.9, 0.0)
    assert clock.is_over(EPOCH_MS, 101.0, 0.0)


def test_an_older_answer_takes_nothing_back():
    clock = VenueClock()
    clock.read(EPOCH_MS + 5_000, 100.0, EPOCH_MS)
    clock.read(EPOCH_MS - 5_000, 100.0, EPOCH_MS)
    assert clock.is_over(EPOCH_MS, 100.0, EPOCH_MS)


def test_clocks_that_agree_tell_the_rest_of_the_second():
    late_ms = EPOCH_MS + GRACE_MS + SLACK_MS
    for told_ms, is_over in ((EPOCH_MS + 1_000, True), (EPOCH_MS, False)):
        clock = VenueClock()
        clock.read(told_ms, 100.0, EPOCH_MS + 1_199)
        assert clock.is_over(EPOCH_MS + 700, 100.0, late_ms + 700) is is_over


def test_what_it_can_have_been_at_least_is_carried_on_and_back():
    clock = VenueClock()
    assert clock.least_ms(100.0) is None
    clock.read(EPOCH_MS, 100.0, EPOCH_MS + 300_000)
    assert clock.least_ms(90.0) == EPOCH_MS - 10_000
    assert clock.least_ms(101.5) == EPOCH_MS + 1_500
