"""The nonce lane: what may be taken, and what each outcome leaves behind."""

from __future__ import annotations

import pytest

from wrappy._core.nonce import (
    NonceError,
    NonceInFlightError,
    NonceLaneHeldError,
    NonceLedger,
    NonceNotTakenError,
    NonceSyncNeededError,
    NonceWindowFullError,
)


@pytest.fixture
def ledger():
    ledger = NonceLedger()
    ledger.sync(5)
    return ledger


def test_a_new_ledger_asks_for_the_counter_first():
    ledger = NonceLedger()
    assert ledger.needs_sync
    assert ledger.next_nonce is None
    with pytest.raises(NonceSyncNeededError):
        ledger.take(1)
    assert ledger.sync(0) == 0
    assert ledger.take(2) == range(2)


def test_nonces_are_handed_out_one_after_the_other(ledger):
    assert ledger.take(3) == range(5, 8)
    assert ledger.take(1) == range(8, 9)
    assert ledger.in_flight == (5, 6, 7, 8)
    assert repr(ledger) == "NonceLedger(next=9, in_flight=[5, 6, 7, 8], held=False)"


def test_nobody_takes_less_than_one(ledger):
    with pytest.raises(NonceError, match="count"):
        ledger.take(0)


def test_the_window_bounds_what_is_without_an_answer():
    ledger = NonceLedger(window=3)
    ledger.sync(5)
    taken = ledger.take(3)
    with pytest.raises(NonceWindowFullError, match="window of 3"):
        ledger.take(1)
    ledger.confirm(taken)
    assert ledger.take(1) == range(8, 9)


def test_the_newest_nonces_given_back_are_handed_out_again(ledger):
    ledger.give_back(ledger.take(3))
    assert ledger.take(1) == range(5, 6)


def test_nonces_given_back_below_others_make_the_lane_ask_again(ledger):
    first, second = ledger.take(1), ledger.take(1)
    ledger.give_back(first)
    assert ledger.needs_sync
    with pytest.raises(NonceInFlightError, match="6"):
        ledger.sync(5)
    ledger.suspect(second)
    assert ledger.sync(5) == 0
    assert ledger.take(1) == range(5, 6)


def test_an_answer_of_the_exchange_that_lags_is_not_believed(ledger):
    first, second = ledger.take(2), ledger.take(1)
    third = ledger.take(1)
    ledger.confirm(first)
    ledger.give_back(second)
    ledger.give_back(third)
    ledger.sync(5)
    assert ledger.take(1) == range(7, 8)


def test_a_nonce_refusal_makes_the_lane_believe_the_exchange(ledger):
    ledger.confirm(ledger.take(2))
    ledger.suspect(ledger.take(1))
    assert ledger.needs_sync
    ledger.sync(6)
    assert ledger.take(1) == range(6, 7)


def test_a_second_writer_is_counted_at_the_sync(ledger):
    first, second = ledger.take(2), ledger.take(1)
    ledger.suspect(second)
    ledger.suspect(first)
    assert ledger.sync(9) == 4
    ledger.suspect(ledger.take(1))
    assert ledger.sync(9) == 0


def test_the_lowest_refusal_counts_for_a_second_writer(ledger):
    first, second = ledger.take(1), ledger.take(1)
    ledger.suspect(first)
    ledger.suspect(second)
    assert ledger.sync(6) == 1


def test_a_lost_answer_holds_the_lane_until_it_is_settled(ledger):
    taken = ledger.take(3)
    ledger.hold(taken)
    assert ledger.held
    assert ledger.held_nonces == (5, 6, 7)
    with pytest.raises(NonceLaneHeldError, match=r"\[5, 6, 7\]"):
        ledger.take(1)
    with pytest.raises(NonceInFlightError):
        ledger.sync(8)
    ledger.settle(taken, executed=True)
    assert not ledger.held
    assert ledger.take(1) == range(8, 9)


def test_a_batch_can_be_settled_in_parts(ledger):
    ledger.hold(ledger.take(3))
    ledger.settle(range(5, 6), executed=True)
    assert ledger.held_nonces == (6, 7)
    ledger.settle(range(6, 8), executed=False)
    assert ledger.take(1) == range(6, 7)


def test_a_later_answer_does_not_end_an_earlier_doubt(ledger):
    first, second = ledger.take(1), ledger.take(1)
    ledger.hold(first)
    ledger.confirm(second)
    assert ledger.held_nonces == (5,)


def test_a_resync_drops_what_can_no_longer_land(ledger):
    ledger.hold(ledger.take(3))
    assert ledger.resync(6) == 0
    assert not ledger.held
    assert ledger.take(1) == range(6, 7)


@pytest.mark.parametrize("end", ["confirm", "give_back", "suspect", "hold"])
def test_an_outcome_is_booked_once(ledger, end):
    taken = ledger.take(2)
    getattr(ledger, end)(taken)
    with pytest.raises(NonceNotTakenError, match="in flight"):
        getattr(ledger, end)(taken)


def test_only_a_held_nonce_can_be_settled(ledger):
    taken = ledger.take(1)
    with pytest.raises(NonceNotTakenError, match="not all held"):
        ledger.settle(taken, executed=True)
    assert ledger.in_flight == (5,)


def test_a_refusal_does_not_take_back_what_a_later_acceptance_proves():
    ledger = NonceLedger()
    ledger.sync(5)
    first, second = ledger.take(1), ledger.take(1)
    ledger.confirm(second)
    ledger.suspect(first)
    ledger.sync(5)  # the exchange's counter lags
    assert ledger.next_nonce == 7


def test_a_number_that_went_elsewhere_is_counted_as_foreign_and_needs_a_sync():
    ledger = NonceLedger()
    ledger.sync(5)
    nonces = ledger.take(1)
    ledger.hold(nonces)
    ledger.settle(nonces, executed=False, passed=True)
    assert ledger.needs_sync
    assert ledger.sync(6) == 1


def test_nonces_that_are_gone_free_the_lane_and_may_have_been_ours():
    ledger = NonceLedger()
    ledger.sync(5)
    gone, later = ledger.take(2), ledger.take(1)
    ledger.hold(gone)
    ledger.pass_by(gone)
    assert not ledger.held
    ledger.confirm(later)
    assert ledger.needs_sync
    assert ledger.sync(6) == 0, "the counter lags behind what was sent since"
    assert ledger.next_nonce == 8


def test_what_is_missing_beyond_nonces_that_are_gone_is_somebody_elses():
    ledger = NonceLedger()
    ledger.sync(5)
    gone = ledger.take(2)
    ledger.hold(gone)
    ledger.pass_by(gone)
    assert ledger.sync(9) == 2
    assert ledger.sync(11) == 0, "counted once"
