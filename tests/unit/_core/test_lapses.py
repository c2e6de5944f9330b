"""What was accepted and never heard of: when it is looked for, what looks prove."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy._core.lapses import (
    LONGEST_PAUSE_S,
    SECOND_LOOK_S,
    SPARED_S,
    Lapse,
    LapseEnd,
    LapseKind,
    Lapses,
    has_no_reason,
)
from wrappy._core.receipts import TransactionFate, TransactionReport
from wrappy._core.settlement import HASH_LAG_MS
from wrappy._core.venue_clock import ALONE_MS, GRACE_MS, SLACK_MS

EPOCH_MS = 1_700_000_000_000
LIFE_MS = 10_000
OVER_S = (LIFE_MS + GRACE_MS + SLACK_MS) / 1000
CREATES, CANCELS, CHANGES = LapseKind
PENDING, EXECUTED, FAILED = TransactionFate


def lapse(number=7, kind=CREATES, since=0.0, target=(0, 0), tx_hash="aa"):
    ends_ms = int(EPOCH_MS + since * 1000) + LIFE_MS
    return Lapse(tx_hash, number, kind, ends_ms, since, target)


def waiting(*lapses):
    state = Lapses()
    for one in lapses:
        state.accepted(one)
    return state


def report(fate, reason=""):
    return TransactionReport(fate, reason, None)


def unix_ms(now):
    return EPOCH_MS + now * 1000


def test_nothing_to_wait_for_is_never_looked_for():
    state = Lapses()
    assert state.wake_at(0.0, EPOCH_MS) == math.inf
    assert not state.wants_clock(1e6, unix_ms(1e6))
    assert len(state) == 0


def test_a_creation_is_looked_for_when_its_time_is_over():
    state = waiting(lapse())
    assert state.wake_at(0.0, EPOCH_MS) == pytest.approx(OVER_S, abs=0.01)
    assert state.wake_at(3.0, unix_ms(3.0)) == pytest.approx(OVER_S, abs=0.01)
    assert repr(state) == "Lapses(1)"


@pytest.mark.parametrize("kind", [CANCELS, CHANGES])
def test_what_creates_nothing_is_looked_for_later(kind):
    state = waiting(lapse(kind=kind))
    due_s = OVER_S + HASH_LAG_MS / 1000
    assert state.wake_at(0.0, EPOCH_MS) == pytest.approx(due_s, abs=0.01)


def test_it_can_be_asked_about_some_only():
    late = lapse(8, since=50.0)
    state = waiting(lapse(), late)
    assert state.wake_at(0.0, EPOCH_MS, [late]) == pytest.approx(50 + OVER_S, abs=0.01)


def test_nothing_is_due_before_the_exchanges_clock_is_past():
    state, now = waiting(lapse()), OVER_S + 0.001
    assert state.due(now, unix_ms(now)) == []
    assert state.wants_clock(now, unix_ms(now))
    # Ours runs ahead: the exchange is not there yet.
    state.clock_read(EPOCH_MS, now, unix_ms(now))
    assert state.due(now, unix_ms(now)) == []
    state.clock_read(EPOCH_MS + LIFE_MS + GRACE_MS, now, unix_ms(now))
    (due,) = state.due(now, unix_ms(now))
    assert due.number == 7
    assert not state.wants_clock(now, unix_ms(now))


def test_an_exchange_without_a_clock_is_waited_for_longer():
    state = waiting(lapse())
    late_ms = EPOCH_MS + LIFE_MS + GRACE_MS + ALONE_MS
    assert state.due(1.0, late_ms - 1) == []
    assert len(state.due(1.0, late_ms)) == 1


def test_those_that_are_due_come_in_the_order_of_their_acceptance():
    state = waiting(lapse(7, CANCELS, 3.0), lapse(8, since=2.0), lapse(7, since=1.0))
    due = state.due(1e6, unix_ms(1e6))
    assert [(one.number, one.kind) for one in due] == [
        (7, CREATES),
        (8, CREATES),
        (7, CANCELS),
    ]
    assert state.keys() == {("aa", 7), ("aa", 8)}


def test_a_report_ends_the_wait_for_a_creation_and_for_the_change_it_shows():
    state = waiting(lapse(), lapse(kind=CANCELS), lapse(kind=CHANGES, target=(100, 5)))
    state.shown(7, (99, 5))
    assert len(state) == 2
    state.shown(7, (100, 5))
    assert [one.kind for one in state.due(1e6, unix_ms(1e6))] == [CANCELS]
    state.shown(8, (1, 1))
    state.ended(7)
    state.ended(7)
    assert len(state) == 0


def test_of_several_changes_the_latest_counts():
    old, new = lapse(kind=CHANGES, tx_hash="aa"), lapse(kind=CHANGES, tx_hash="bb")
    state = waiting(old, new)
    assert not state.is_open(old)
    assert state.is_open(new)


def test_the_moment_of_acceptance_is_told_by_the_exchanges_clock():
    early, late = lapse(since=10.0), lapse(8, since=20.0)
    state = waiting(early, late)
    # Nobody has told the time: ours stands in.
    assert state.began_ms([late, early], 30.0, unix_ms(30.0)) == EPOCH_MS + 10_000
    # Ours is five minutes ahead.
    state.clock_read(EPOCH_MS + 30_000, 30.0, unix_ms(330.0))
    assert state.began_ms([late, early], 30.0, unix_ms(330.0)) == EPOCH_MS + 10_000


def judge(state, one, fate, *, is_live=False, is_nowhere=True, looks=1, reason=""):
    told = None if fate is None else report(fate, reason)
    return [
        state.looked(one, told, is_live=is_live, is_nowhere=is_nowhere)
        for _ in range(looks)
    ][-1]


OPEN = (LapseEnd.OPEN, "")


@pytest.mark.parametrize("fate", [None, PENDING])
def test_an_order_that_two_looks_do_not_show_never_happened(fate):
    one = lapse()
    state = waiting(one)
    assert judge(state, one, fate) == OPEN
    assert state.is_open(one)
    assert judge(state, one, fate) == (LapseEnd.DEAD, "never executed")
    assert not state.is_open(one)


def test_lists_that_do_not_go_back_far_enough_prove_nothing():
    one = lapse()
    state = waiting(one)
    assert judge(state, one, None, is_nowhere=False, looks=9) == OPEN
    # A live order that could not be read is not gone.
    assert judge(state, one, None, is_live=True, is_nowhere=False, looks=9) == OPEN


def test_its_hash_counts_alone_only_when_the_read_of_it_cannot_lag_any_more():
    one = lapse()
    state = waiting(one)
    over = one.ends_ms + HASH_LAG_MS
    for seconds, expected in ((0, False), (60, True)):
        now = (over - EPOCH_MS) / 1000 + seconds
        state.clock_read(over + seconds * 1000, now, unix_ms(now))
        assert state.is_long_over(one, now, unix_ms(now)) is expected


@pytest.mark.parametrize("kind", LapseKind)
def test_a_transaction_that_failed_is_dead_at_once(kind):
    one = lapse(kind=kind)
    state = waiting(one)
    end = judge(state, one, FAILED, is_nowhere=False, reason="no margin")
    assert end == (LapseEnd.DEAD, "no margin")
    assert (
        judge(waiting(one), one, FAILED)[1] == "the transaction failed, no reason "
        "was given"
    )


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("", "executed without leaving an order"),
        ("odd", "executed without leaving an order: odd"),
    ],
)
def test_an_executed_transaction_without_an_order_is_told_as_that(reason, words):
    one = lapse()
    end = judge(waiting(one), one, EXECUTED, looks=2, reason=reason)
    assert end == (LapseEnd.DEAD, words)


@pytest.mark.parametrize("kind", [CANCELS, CHANGES])
def test_what_should_have_acted_on_a_live_order_did_not(kind):
    one = lapse(kind=kind)
    state = waiting(one)
    stands = {"is_live": True, "is_nowhere": False}
    assert judge(state, one, PENDING, **stands) == OPEN
    assert judge(state, one, PENDING, **stands) == (LapseEnd.DEAD, "never executed")


@pytest.mark.parametrize("kind", [CANCELS, CHANGES])
def test_of_an_order_that_no_list_has_nothing_more_is_expected(kind):
    one = lapse(kind=kind)
    assert judge(waiting(one), one, None, looks=2) == (LapseEnd.DONE, "")


@pytest.mark.parametrize("kind", [CREATES, CANCELS])
def test_what_was_carried_out_beyond_the_lists_is_not_looked_for_for_ever(kind):
    one = lapse(kind=kind)
    state = waiting(one)
    past = {"is_live": False, "is_nowhere": False, "is_past": True}
    assert state.looked(one, None, **past) == OPEN
    assert state.looked(one, report(EXECUTED), **past) == OPEN
    assert state.looked(one, report(EXECUTED), **past) == (LapseEnd.DONE, "")
    assert not state.is_open(one)


def test_our_clock_does_not_count_alone_where_nobody_asked_for_the_exchanges():
    state = waiting(lapse())
    asleep_s = 3_600.0
    assert state.due(1.0, unix_ms(asleep_s))
    assert state.wants_clock(1.0, unix_ms(asleep_s))
    state.clock_read(EPOCH_MS + 1_000, 1.0, unix_ms(asleep_s))
    assert state.due(1.0, unix_ms(asleep_s)) == []


def test_an_executed_cancel_is_no_dead_one_however_long_lists_lag():
    one = lapse(kind=CANCELS)
    end = judge(waiting(one), one, EXECUTED, is_live=True, is_nowhere=False, looks=2)
    assert end == (LapseEnd.DONE, "")


def test_an_executed_change_is_done_whatever_the_order_is_by_now():
    one = lapse(kind=CHANGES)
    end = judge(waiting(one), one, EXECUTED, is_live=True, is_nowhere=False)
    assert end == (LapseEnd.DONE, "")


def test_looks_that_bring_nothing_come_ever_more_rarely():
    state, now, pauses = waiting(lapse()), 100.0, []
    for _ in range(9):
        state.rested(now, shown=0, brought=False)
        pauses.append(state.wake_at(now, unix_ms(now)) - now)
    assert pauses[0] == SECOND_LOOK_S
    assert pauses[-1] == LONGEST_PAUSE_S
    assert pauses == sorted(pauses)
    state.rested(now, shown=0, brought=True)
    assert state.wake_at(now, unix_ms(now)) == now + SECOND_LOOK_S


def test_where_only_looks_tell_of_orders_they_keep_apart():
    missed, awaited, other = lapse(1), lapse(2), lapse(3)
    state = waiting(other)
    state.rested(100.0, shown=4, brought=True)
    assert state.wake_at(100.0, unix_ms(100.0)) == 100.0 + SPARED_S
    state.accepted(missed)
    missed.misses = 1
    assert state.wake_at(100.0, unix_ms(100.0)) == 100.0 + SECOND_LOOK_S
    state.drop(missed)
    state.accepted(awaited)
    state.hurry(2)
    assert state.wake_at(100.0, unix_ms(100.0)) == 100.0 + SECOND_LOOK_S


def test_a_reason_is_worth_asking_for_where_there_may_be_one():
    assert has_no_reason(None)
    assert has_no_reason(report(PENDING))
    assert not has_no_reason(report(FAILED))
    assert not has_no_reason(report(EXECUTED))


@given(
    off_s=st.integers(-300, 300),
    lived_s=st.floats(0, 40, allow_nan=False),
    told_at=st.floats(0, 40, allow_nan=False),
)
def test_however_wrong_our_clock_is_none_is_due_while_it_can_still_happen(
    off_s, lived_s, told_at
):
    """The exchange's clock is ours less `off_s`; it tells whole seconds."""
    one = Lapse("aa", 7, CREATES, EPOCH_MS + LIFE_MS, 0.0)
    state = waiting(one)
    told_ms = int(unix_ms(told_at)) // 1000 * 1000
    if told_at <= lived_s:
        state.clock_read(told_ms, told_at, unix_ms(told_at + off_s))
    due = state.due(lived_s, unix_ms(lived_s + off_s))
    is_told = told_at <= lived_s
    if due and (is_told or off_s * 1000 <= ALONE_MS):
        assert unix_ms(lived_s) >= EPOCH_MS + LIFE_MS


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, *TransactionFate]), st.booleans(), st.booleans()
        ),
        max_size=6,
    ),
    st.sampled_from(LapseKind),
)
def test_only_absence_confirmed_or_a_failure_makes_anything_dead(looks, kind):
    one = lapse(kind=kind)
    state = waiting(one)
    absent = 0
    for fate, is_live, is_whole in looks:
        nowhere = is_whole and not is_live
        end, words = judge(state, one, fate, is_live=is_live, is_nowhere=nowhere)
        absent += nowhere or (is_live and kind is not CREATES)
        assert (end is LapseEnd.DEAD) == bool(words)
        if end is LapseEnd.DEAD:
            assert fate is FAILED or absent >= 2
            assert fate is not EXECUTED or kind is CREATES
        assert state.is_open(one) == (end is LapseEnd.OPEN)
        if end is not LapseEnd.OPEN:
            break
