"""When tokens are renewed, and what time it is at the exchange."""

from __future__ import annotations

import pytest

from wrappy._core.token_life import (
    ASKED_LIFE_S,
    FRESH_S,
    JUMP_S,
    LARGE_SKEW_S,
    LONGEST_LIFE_S,
    RENEW_BEFORE_S,
    RETRY_S,
    ClockSkew,
    TokenLife,
)

EPOCH = 1_800_000_000
HALF = 0.5
"""The exchange cuts off half a second on average."""


# ------------------------------------------------------------------------- clocks


def measured(venue_s=EPOCH, *, now=100.0, unix_s=float(EPOCH), took_s=0.0):
    clock = ClockSkew()
    clock.read(venue_s, asked_at=now - took_s, now=now, unix_s=unix_s)
    return clock


def test_ours_stands_in_until_the_exchanges_clock_is_known():
    clock = ClockSkew()
    assert clock.skew_s is None
    assert clock.venue_s(now=5.0, unix_s=1234.0) == 1234.0
    assert clock.is_due(now=5.0, unix_s=1234.0)
    assert clock.seconds_to_look(now=5.0) == 0.0


def test_the_answer_is_as_old_as_half_its_way():
    clock = measured(EPOCH, unix_s=EPOCH - 300.0, took_s=4.0)
    assert clock.skew_s == 300 + HALF + 2.0
    assert clock.venue_s(now=100.0, unix_s=0.0) == EPOCH + HALF + 2.0


def test_between_looks_the_monotone_clock_carries_on():
    clock = measured(EPOCH)
    # Our own clock was set back meanwhile; the exchange's was not.
    assert clock.venue_s(now=110.0, unix_s=EPOCH - 7200.0) == EPOCH + 10 + HALF


def test_it_is_asked_again_every_hour():
    clock = measured(EPOCH)
    left_s = clock.seconds_to_look(now=100.0)
    assert FRESH_S < left_s < FRESH_S + 0.01
    assert not clock.is_due(now=100 + FRESH_S - 1, unix_s=EPOCH + FRESH_S - 1)
    assert clock.is_due(now=100 + left_s, unix_s=EPOCH + left_s)
    assert clock.seconds_to_look(now=100 + FRESH_S) == 0.0


@pytest.mark.parametrize("jump_s", [JUMP_S + 0.1, -JUMP_S - 0.1, 86_400.0])
def test_it_is_asked_again_when_a_clock_has_jumped(jump_s):
    clock = measured(EPOCH)
    assert not clock.is_due(now=110.0, unix_s=EPOCH + 10.0)
    assert clock.is_due(now=110.0, unix_s=EPOCH + 10.0 + jump_s)


def test_while_nobody_answers_what_was_known_stands_and_it_is_tried_again():
    clock = measured(EPOCH, unix_s=EPOCH - 300.0)
    later = 100 + FRESH_S
    clock.failed(now=later, unix_s=EPOCH - 300.0 + FRESH_S)
    assert clock.venue_s(now=later, unix_s=0.0) == EPOCH + FRESH_S + HALF
    assert not clock.is_due(now=later + 1, unix_s=EPOCH - 299.0 + FRESH_S)
    assert clock.is_due(now=later + RETRY_S, unix_s=EPOCH - 300 + FRESH_S + RETRY_S)


def test_after_a_sleep_the_later_of_two_clocks_counts_while_nobody_answers():
    clock = measured(EPOCH, unix_s=EPOCH - 300.0)
    # The machine slept for a day, in which the monotone clock stood still.
    clock.failed(now=110.0, unix_s=EPOCH - 300.0 + 86_400)
    assert clock.venue_s(now=110.0, unix_s=0.0) == EPOCH + 86_400 + HALF
    # Set back, it does not make the exchange earlier than it was.
    clock = measured(EPOCH)
    clock.failed(now=110.0, unix_s=EPOCH - 86_400.0)
    assert clock.venue_s(now=110.0, unix_s=0.0) == EPOCH + 10 + HALF


def test_a_clock_that_never_answered_has_not_jumped():
    clock = ClockSkew()
    clock.failed(now=100.0, unix_s=EPOCH)
    assert not clock.is_due(now=110.0, unix_s=EPOCH + 500.0)
    assert clock.venue_s(now=110.0, unix_s=EPOCH + 500.0) == EPOCH + 500.0


def test_a_doubt_has_it_asked_again_but_not_over_and_over():
    clock = measured(EPOCH)
    clock.doubt(now=101.0)
    assert not clock.is_due(now=101.0, unix_s=EPOCH + 1.0)
    clock.doubt(now=100 + RETRY_S)
    assert clock.is_due(now=100 + RETRY_S, unix_s=EPOCH + RETRY_S)


def test_a_large_difference_is_told_once_until_it_was_gone():
    def told(clock, skew_s):
        return clock.read(EPOCH, asked_at=1.0, now=1.0, unix_s=EPOCH + HALF + skew_s)

    clock = ClockSkew()
    assert not told(clock, LARGE_SKEW_S)
    assert told(clock, LARGE_SKEW_S + 1)
    assert not told(clock, LARGE_SKEW_S + 9)
    assert not told(clock, 0.0)
    assert told(clock, -LARGE_SKEW_S - 1)


# ------------------------------------------------------------------------- tokens


def lived(lifetime_s=ASKED_LIFE_S, *, at=EPOCH):
    life = TokenLife(lifetime_s)
    life.took(life.deadline_to_ask(venue_s=at), venue_s=at)
    return life


@pytest.mark.parametrize("lifetime_s", [0, -1, LONGEST_LIFE_S + 1])
def test_a_life_the_exchange_would_not_take_is_refused(lifetime_s):
    with pytest.raises(ValueError, match=f"lifetime_s: {lifetime_s} is outside"):
        TokenLife(lifetime_s)


def test_without_a_token_one_is_due():
    life = TokenLife()
    assert life.is_due(venue_s=EPOCH)
    assert not life.holds(venue_s=EPOCH)
    assert life.seconds_to_renewal(venue_s=EPOCH) == 0.0
    assert life.deadline_to_ask(venue_s=EPOCH + 0.9) == EPOCH + ASKED_LIFE_S


def test_half_an_hour_before_its_end_a_token_is_due():
    life = lived()
    due_at = EPOCH + ASKED_LIFE_S - RENEW_BEFORE_S
    assert not life.is_due(venue_s=due_at - 0.1)
    assert life.is_due(venue_s=due_at)
    left_s = life.seconds_to_renewal(venue_s=EPOCH)
    assert life.is_due(venue_s=EPOCH + left_s)
    assert left_s == pytest.approx(due_at - EPOCH, abs=0.01)


def test_of_a_short_life_the_last_quarter_is_kept():
    life = lived(100)
    assert not life.is_due(venue_s=EPOCH + 74.9)
    assert life.is_due(venue_s=EPOCH + 75)


def test_the_expiry_in_the_token_counts_not_the_one_asked_for():
    life = TokenLife()
    life.took(EPOCH + 7200, venue_s=EPOCH)
    assert not life.is_due(venue_s=EPOCH + 5399)
    assert life.is_due(venue_s=EPOCH + 5400)
    assert life.holds(venue_s=EPOCH + 7199)
    assert not life.holds(venue_s=EPOCH + 7200)


@pytest.mark.parametrize(
    ("left_s", "words"),
    [(0, "expired 0 s ago"), (-9, "expired 9 s ago"), (LONGEST_LIFE_S + 1, "takes")],
)
def test_an_expiry_that_is_of_no_use_is_refused_and_changes_nothing(left_s, words):
    life = lived()
    with pytest.raises(ValueError, match=words):
        life.took(EPOCH + left_s, venue_s=EPOCH)
    assert life.holds(venue_s=EPOCH + ASKED_LIFE_S - 1)


def test_a_dropped_token_is_due_at_once():
    life = lived()
    life.drop()
    assert life.is_due(venue_s=EPOCH)
    life.took(EPOCH + 7200, venue_s=EPOCH)
    assert not life.is_due(venue_s=EPOCH)


def test_what_still_holds_is_kept_when_no_new_one_can_be_made():
    life = lived()
    assert not TokenLife().failed(venue_s=EPOCH)
    at = EPOCH + ASKED_LIFE_S - RENEW_BEFORE_S
    assert life.failed(venue_s=at)
    assert not life.is_due(venue_s=at + RETRY_S - 1)
    assert life.seconds_to_renewal(venue_s=at) == pytest.approx(RETRY_S, abs=0.01)
    assert life.is_due(venue_s=at + RETRY_S)
    end = EPOCH + ASKED_LIFE_S
    assert life.failed(venue_s=end - 5)
    assert life.seconds_to_renewal(venue_s=end - 5) == pytest.approx(5, abs=0.01)
    assert life.is_due(venue_s=end)
    assert not life.failed(venue_s=end)


def test_a_drop_is_not_forgotten_when_no_new_one_can_be_made():
    life = lived()
    life.drop()
    assert life.failed(venue_s=EPOCH)
    assert not life.is_due(venue_s=EPOCH + 1)
    assert life.is_due(venue_s=EPOCH + RETRY_S)
    life.drop()
    assert life.is_due(venue_s=EPOCH + 1)
