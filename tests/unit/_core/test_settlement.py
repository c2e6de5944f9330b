"""What proves that a lost transaction was accepted or is dead, and what does not."""

from __future__ import annotations

import pytest

from wrappy._core.outcomes import (
    ACCEPTED,
    REFUSED,
    UNKNOWN,
    NonceFate,
    SendOutcome,
    SendVerdict,
)
from wrappy._core.settlement import (
    ALONE_MS,
    FENCE_AFTER_S,
    GRACE_MS,
    HASH_LAG_MS,
    LINGER_FIRST_S,
    LINGER_LONGEST_S,
    LONGEST_PAUSE_S,
    PATIENCE_S,
    ROUNDING_S,
    DoubtfulTx,
    SettledAs,
    Settlement,
    SettleStep,
)

EPOCH_MS = 1_700_000_000_000
EXPIRES_MS = EPOCH_MS + 10_000
FENCE_LIVES_MS = 20_000
WRONG_NONCE = SendVerdict(SendOutcome.REFUSED, NonceFate.SUSPECT)
THROTTLED = SendVerdict(SendOutcome.THROTTLED, NonceFate.FREE)


class Desk:
    """Drives a settlement on a clock of its own."""

    def __init__(self, count=1, expires_ms=EXPIRES_MS, *, creates=False):
        self.now = 100.0
        self.skew_ms = 0
        self.steps = []
        self.fenced = []
        self.state = Settlement(
            DoubtfulTx(f"h{n}", 5 + n, expires_ms, creates) for n in range(count)
        )

    @property
    def unix_ms(self):
        return EPOCH_MS + (self.now - 100.0) * 1000 + self.skew_ms

    @property
    def venue_ms(self):
        return int((EPOCH_MS + (self.now - 100.0) * 1000) // 1000 * 1000)

    def move(self):
        assert len(self.steps) < 1_000, "it goes on for ever"
        move = self.state.next(self.now, self.unix_ms)
        self.steps.append(move.step)
        return move

    def fence(self, nonces):
        """Return what takes the nonces: the same bytes for the same nonces."""
        late = EXPIRES_MS + FENCE_LIVES_MS
        return [DoubtfulTx(f"f{nonce}", nonce, late) for nonce in nonces]

    def round(
        self,
        *,
        resend=WRONG_NONCE,
        nonce=None,
        clock=None,
        known=None,
        shown=None,
        whole=True,
        fence=UNKNOWN,
    ):
        """Answer everything until the settlement waits or is done; return that."""
        known = known or {}
        while True:
            move = self.move()
            if move.step is SettleStep.RESEND:
                self.state.resent(resend)
            elif move.step is SettleStep.FENCE:
                self.fenced.append(move.nonces)
                self.state.fenced(self.fence(move.nonces), fence)
            elif move.step is SettleStep.ASK_NONCE:
                self.state.nonce_read(nonce)
            elif move.step is SettleStep.ASK_CLOCK:
                told = self.venue_ms if clock == "told" else clock
                self.state.clock_read(told, self.now, self.unix_ms)
            elif move.step is SettleStep.ASK_HASH:
                self.state.hash_read(known=known.get(move.tx_hash))
            elif move.step is SettleStep.ASK_ORDERS:
                self.state.orders_read(shown=shown, is_whole=whole)
            else:
                return move


def test_a_copy_that_is_accepted_ends_the_doubt():
    desk = Desk(count=2)
    assert desk.round(resend=ACCEPTED).step is SettleStep.DONE
    assert desk.steps == [SettleStep.RESEND, SettleStep.DONE]
    assert set(desk.state.verdicts.values()) == {SettledAs.ACCEPTED}
    assert desk.state.open == []


def test_a_known_hash_ends_the_doubt():
    desk = Desk()
    assert desk.round(known={"h0": True}).step is SettleStep.DONE
    assert desk.state.verdicts == {"h0": SettledAs.ACCEPTED}


def test_an_unknown_hash_proves_nothing_while_its_nonce_is_next():
    desk = Desk()
    for _ in range(5):
        wait = desk.round(nonce=5, known={"h0": False})
        assert wait.step is SettleStep.WAIT
        desk.now = wait.until
    assert desk.state.open == ["h0"]


def test_failed_reads_prove_nothing_also_long_after_the_expiry():
    desk = Desk()
    desk.now += 3600.0
    wait = desk.round()
    assert wait.step is SettleStep.WAIT
    assert SettleStep.RESEND not in desk.steps, "nobody can take it any more"
    assert desk.state.open == ["h0"]


def until_done(desk, **answers):
    """Answer the same until everything is settled; return how long that took."""
    began = desk.now
    while (wait := desk.round(**answers)).step is SettleStep.WAIT:
        desk.now = wait.until
    return desk.now - began


def test_a_nonce_that_is_gone_frees_the_key_and_proves_nothing_else():
    desk = Desk(creates=True)
    assert desk.state.holds
    for _ in range(4):
        wait = desk.round(nonce=6, known={"h0": False}, shown=False)
        assert wait.step is SettleStep.WAIT
        assert not desk.state.holds
        assert desk.state.passed == {"h0"}
        desk.now = wait.until
    assert desk.state.open == ["h0"]
    assert desk.steps.count(SettleStep.RESEND) == 1, "a copy could not be taken"
    assert desk.steps.count(SettleStep.ASK_NONCE) == 1, "it has told all it knows"


def test_counters_lag_and_never_lead():
    desk = Desk()
    desk.round(nonce=6, known={"h0": False})
    desk.state.nonce_read(3)
    assert not desk.state.holds


def test_what_lingers_is_asked_about_with_growing_pauses():
    desk = Desk(expires_ms=EPOCH_MS + 600_000, creates=True)
    pauses = []
    for _ in range(8):
        wait = desk.round(nonce=6, known={"h0": False}, shown=False)
        pauses.append(wait.until - desk.now)
        desk.now = wait.until
    assert pauses[0] == pytest.approx(LINGER_FIRST_S)
    assert pauses == sorted(pauses)
    assert pauses[-1] == LINGER_LONGEST_S


def test_what_lingers_is_accepted_as_soon_as_its_hash_is_known():
    desk = Desk()
    desk.round(nonce=6, known={"h0": False})
    desk.now += 2.0
    desk.round(known={"h0": True})
    assert desk.state.verdicts == {"h0": SettledAs.ACCEPTED}


def test_an_order_that_the_account_shows_was_accepted_whatever_the_hash_says():
    desk = Desk(creates=True)
    done = desk.round(nonce=6, known={"h0": False}, shown=True)
    assert done.step is SettleStep.DONE
    assert desk.state.verdicts == {"h0": SettledAs.ACCEPTED}


def test_an_order_whose_nonce_is_gone_is_dead_when_all_reads_after_its_time_say_so():
    desk = Desk(creates=True)
    took = until_done(desk, nonce=6, clock="told", known=UNSEEN, shown=False)
    assert desk.state.verdicts == {"h0": SettledAs.PASSED}
    assert 10.0 + GRACE_MS / 1000 <= took <= 12.5


def test_an_order_that_the_lists_have_left_behind_is_judged_by_its_hash_and_the_lag():
    desk = Desk(creates=True)
    answers = {"clock": "told", "known": UNSEEN, "shown": False}
    took = until_done(desk, nonce=6, whole=False, **answers)
    assert desk.state.verdicts == {"h0": SettledAs.PASSED}
    least = 10.0 + (GRACE_MS + HASH_LAG_MS) / 1000
    assert least <= took <= least + 1.5


def test_its_nonce_that_nobody_has_taken_proves_the_same_at_once():
    desk = Desk(creates=True)
    answers = {"clock": "told", "known": UNSEEN, "shown": False}
    took = until_done(desk, nonce=5, whole=False, **answers)
    assert desk.state.verdicts == {"h0": SettledAs.EXPIRED}
    assert took <= 12.5


def test_lists_that_reach_back_once_are_enough():
    desk = Desk(creates=True)
    answers = {"nonce": 6, "clock": "told", "known": UNSEEN, "shown": False}
    desk.now += 12.5
    assert desk.round(whole=False, **answers).step is SettleStep.WAIT
    desk.now += 1.0
    assert desk.round(**answers).step is SettleStep.DONE


@pytest.mark.parametrize(
    "missing", [{"shown": None}, {"known": {"h0": None}}, {"clock": None}]
)
def test_one_read_that_fails_after_its_time_keeps_an_order_in_doubt(missing):
    desk = Desk(creates=True)
    answers = {"nonce": 6, "clock": "told", "known": UNSEEN, "shown": False}
    desk.round(**answers)
    desk.now += 20.0
    desk.round(**{**answers, **missing})
    assert desk.state.open == ["h0"]
    desk.now += 20.0
    assert desk.round(**answers).step is SettleStep.DONE


def test_reads_made_before_its_time_was_over_do_not_count():
    desk = Desk(creates=True)
    desk.now += 9.0
    desk.round(nonce=6, known=UNSEEN, shown=False)
    desk.now += 11.0
    desk.round(nonce=6, clock="told", known=UNSEEN, shown=None)
    assert desk.state.open == ["h0"]


def test_what_creates_nothing_and_whose_nonce_is_gone_waits_for_the_lag_as_well():
    desk = Desk()
    took = until_done(desk, nonce=6, clock="told", known=UNSEEN)
    assert desk.state.verdicts == {"h0": SettledAs.PASSED}
    least = 10.0 + (GRACE_MS + HASH_LAG_MS) / 1000
    assert least <= took <= least + 1.5


def test_an_expired_order_is_dead_only_when_its_counter_was_read_after_that_too():
    desk = Desk(creates=True)
    desk.now += 12.0
    answers = {"clock": "told", "known": UNSEEN, "shown": False}
    desk.round(nonce=None, **answers)
    assert desk.state.holds, "it may have taken its nonce"
    desk.now += 1.5
    assert desk.round(nonce=5, **answers).step is SettleStep.DONE
    assert desk.state.verdicts == {"h0": SettledAs.EXPIRED}


def test_an_expired_order_that_cannot_be_looked_for_does_not_hold_the_key():
    desk = Desk(creates=True)
    desk.now += 12.0
    desk.round(nonce=5, clock="told", known=UNSEEN, shown=None)
    assert desk.state.open == ["h0"]
    assert not desk.state.holds
    assert desk.state.passed == frozenset()
    desk.now += 2.0
    desk.round(known=UNSEEN, shown=False)
    assert desk.state.verdicts == {"h0": SettledAs.EXPIRED}


def test_an_expiry_counts_by_the_exchanges_clock_and_a_read_after_it():
    desk = Desk()
    desk.now += 11.25
    assert desk.round(nonce=5, clock="told", known={"h0": None}).step is (
        SettleStep.WAIT
    )
    assert desk.state.open == ["h0"], "the read failed"
    desk.now += 0.3
    assert desk.round(nonce=5, known={"h0": False}).step is SettleStep.DONE
    assert desk.state.verdicts == {"h0": SettledAs.EXPIRED}
    assert desk.steps.count(SettleStep.ASK_CLOCK) == 1


def test_a_clock_of_ours_that_is_ahead_does_not_bury_what_still_can_land():
    desk = Desk()
    desk.skew_ms = 8_000
    desk.now += 4.0  # by our clock it is over
    for _ in range(20):
        wait = desk.round(nonce=5, clock="told", known={"h0": False})
        if wait.step is SettleStep.DONE:
            break
        desk.now = wait.until
    assert desk.state.verdicts == {"h0": SettledAs.EXPIRED}
    assert desk.now - 100.0 >= 10.0 + GRACE_MS / 1000


def test_a_clock_that_agrees_still_has_to_say_that_the_time_is_over():
    desk = Desk()
    desk.now += 11.25
    early = EXPIRES_MS
    assert desk.round(nonce=5, clock=early, known={"h0": False}).step is (
        SettleStep.WAIT
    )
    assert desk.state.open == ["h0"]


def test_without_the_exchanges_clock_ours_counts_much_later():
    desk = Desk()
    desk.now += 10.0 + (GRACE_MS + ALONE_MS) / 1000 - 0.1
    assert desk.round(nonce=5, known={"h0": False}).step is SettleStep.WAIT
    desk.now += 0.2
    while (wait := desk.round(nonce=5, known={"h0": False})).step is SettleStep.WAIT:
        desk.now = wait.until
    assert desk.state.verdicts == {"h0": SettledAs.EXPIRED}


def test_an_older_clock_reading_takes_nothing_back():
    desk = Desk()
    desk.state.clock_read(EXPIRES_MS + 5_000, desk.now, desk.unix_ms)
    desk.state.clock_read(EXPIRES_MS - 5_000, desk.now, desk.unix_ms)
    assert desk.round(nonce=5, known={"h0": False}).step is SettleStep.DONE


def test_each_transaction_of_a_batch_is_settled_alone():
    desk = Desk(count=3)
    wait = desk.round(nonce=6, known={"h0": True, "h1": False, "h2": False})
    assert desk.state.verdicts == {"h0": SettledAs.ACCEPTED}
    assert desk.state.open == ["h1", "h2"]
    assert wait.step is SettleStep.WAIT
    desk.now += 12.0
    desk.round(nonce=6, clock="told", known={"h1": False, "h2": True})
    assert desk.state.verdicts == {
        "h0": SettledAs.ACCEPTED,
        "h1": SettledAs.EXPIRED,
        "h2": SettledAs.ACCEPTED,
    }


def test_the_pauses_grow_up_to_a_ceiling_and_end_early_at_an_expiry():
    desk = Desk(expires_ms=EPOCH_MS + 60_000)
    pauses = []
    for _ in range(8):
        wait = desk.round(nonce=5, known={"h0": False})
        pauses.append(wait.until - desk.now)
        assert desk.move() is wait, "it is not time yet"
        desk.now = wait.until
    assert pauses[0] == pytest.approx(0.25)
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S
    desk.now = 100.0 + 61.0
    wait = desk.round(nonce=5, known={"h0": False})
    assert wait.until == pytest.approx(desk.now + 0.2 + ROUNDING_S)


# -------------------------------------------------------------------------- fences

UNSEEN = {"h0": False, "h1": False, "h2": False}


def test_a_copy_refused_for_another_reason_than_its_nonce_is_fenced_at_once():
    desk = Desk(count=3)
    done = desk.round(resend=REFUSED, nonce=5, known=UNSEEN, fence=ACCEPTED)
    assert done.step is SettleStep.DONE
    assert desk.fenced == [range(5, 8)]
    assert set(desk.state.verdicts.values()) == {SettledAs.FENCED}
    assert set(desk.state.fence_verdicts) == {"f5", "f6", "f7"}
    assert desk.now == 100.0


@pytest.mark.parametrize(
    "answers",
    [
        {"resend": WRONG_NONCE, "nonce": 5, "known": UNSEEN},
        {"resend": THROTTLED, "nonce": 5, "known": UNSEEN},
        {"resend": UNKNOWN, "nonce": 5, "known": UNSEEN},
        {"resend": REFUSED, "nonce": None, "known": UNSEEN},
        {"resend": REFUSED, "nonce": 7, "known": UNSEEN},
        {"resend": REFUSED, "nonce": 4, "known": UNSEEN},
    ],
    ids=[
        "nonce refused",
        "throttled",
        "lost",
        "counter unread",
        "counter beyond",
        "counter before",
    ],
)
def test_without_every_sign_of_its_being_stuck_nothing_is_fenced(answers):
    desk = Desk(count=2)
    assert desk.round(**answers).step is SettleStep.WAIT
    assert desk.fenced == []


def test_copies_that_get_no_answer_are_fenced_after_a_while():
    desk = Desk()
    while not desk.fenced:
        wait = desk.round(resend=UNKNOWN, nonce=5, known=UNSEEN, fence=ACCEPTED)
        if wait.step is SettleStep.WAIT:
            desk.now = wait.until
    assert desk.state.verdicts == {"h0": SettledAs.FENCED}
    assert FENCE_AFTER_S <= desk.now - 100.0 < 2 * FENCE_AFTER_S


def test_signs_of_an_earlier_round_do_not_count():
    desk = Desk()
    desk.now = desk.round(resend=REFUSED, known=UNSEEN).until
    desk.round(resend=THROTTLED, nonce=5, known=UNSEEN)
    assert desk.fenced == []


def test_a_fence_waits_for_no_look_at_hashes():
    desk = Desk(count=12)
    desk.round(resend=REFUSED, nonce=5, fence=ACCEPTED)
    assert desk.steps == [
        SettleStep.RESEND,
        SettleStep.ASK_NONCE,
        SettleStep.FENCE,
        SettleStep.DONE,
    ]
    assert set(desk.state.verdicts.values()) == {SettledAs.FENCED}


def test_while_the_counter_stands_still_the_first_of_a_batch_is_looked_for():
    desk = Desk(count=12)
    for nonce in (5, None):
        del desk.steps[:]
        desk.now = desk.round(resend=UNKNOWN, nonce=nonce, known=UNSEEN).until
        assert desk.steps.count(SettleStep.ASK_HASH) == 1
    del desk.steps[:]
    desk.round(resend=UNKNOWN, nonce=5, known={"h0": True})
    assert desk.steps.count(SettleStep.ASK_HASH) == 12


def test_the_key_goes_on_when_the_time_is_over_and_the_counter_has_not_come():
    desk = Desk(count=12)
    desk.now += 60.0
    desk.round(clock="told", nonce=5)
    assert not desk.state.holds
    assert len(desk.state.open) == 12, "what became of them is another question"


def test_a_round_that_takes_long_does_not_keep_the_key():
    desk = Desk(count=12)
    assert desk.move().step is SettleStep.RESEND
    desk.state.resent(UNKNOWN)
    assert desk.move().step is SettleStep.ASK_NONCE
    assert not desk.state.frees(desk.now + PATIENCE_S), "it is not free"
    desk.state.nonce_read(17)
    assert desk.move().step is SettleStep.ASK_HASH
    assert not desk.state.frees(desk.now), "the next read may tell more"
    assert desk.state.frees(desk.now + PATIENCE_S)


def test_a_fence_refused_for_its_nonce_asks_again():
    desk = Desk(count=2)
    desk.round(resend=REFUSED, nonce=5, known=UNSEEN, fence=WRONG_NONCE)
    assert desk.steps[-3:-1] == [SettleStep.ASK_NONCE, SettleStep.ASK_HASH]
    assert desk.state.open == ["h0", "h1"]
    desk.now += 5.0
    desk.round(nonce=7, known={"h0": True, "h1": True})
    assert set(desk.state.verdicts.values()) == {SettledAs.ACCEPTED}
    assert desk.state.fence_verdicts == {}


def test_a_fence_refused_otherwise_leaves_it_to_the_expiry():
    desk = Desk()
    while True:
        wait = desk.round(
            resend=REFUSED, nonce=5, clock="told", known=UNSEEN, fence=REFUSED
        )
        if wait.step is SettleStep.DONE:
            break
        desk.now = wait.until
    assert desk.fenced == [range(5, 6)], "once is enough"
    assert desk.state.verdicts == {"h0": SettledAs.EXPIRED}
    assert desk.steps.count(SettleStep.RESEND) > 2, "copies are tried again"


def test_a_fence_without_an_answer_is_sent_again_and_no_copy_competes_with_it():
    desk = Desk(count=2)
    desk.now = desk.round(resend=REFUSED, nonce=5, known=UNSEEN).until
    assert desk.state.fence_verdicts == {"f5": None, "f6": None}
    desk.now = desk.round(resend=ACCEPTED, known=UNSEEN, fence=THROTTLED).until
    done = desk.round(resend=ACCEPTED, nonce=None, known=UNSEEN, fence=ACCEPTED)
    assert done.step is SettleStep.DONE
    assert desk.fenced == [range(5, 7)] * 3
    assert desk.steps.count(SettleStep.RESEND) == 1
    assert set(desk.state.verdicts.values()) == {SettledAs.FENCED}
    assert set(desk.state.fence_verdicts.values()) == {SettledAs.ACCEPTED}


def test_a_fence_whose_hash_is_known_was_taken():
    desk = Desk()
    desk.now = desk.round(resend=REFUSED, nonce=5, known=UNSEEN).until
    done = desk.round(nonce=6, known={"h0": False, "f5": True})
    assert done.step is SettleStep.DONE
    assert desk.state.verdicts == {"h0": SettledAs.FENCED}
    assert desk.state.fence_verdicts == {"f5": SettledAs.ACCEPTED}


def test_an_order_that_was_there_before_its_fence_is_accepted():
    desk = Desk()
    desk.now = desk.round(resend=REFUSED, nonce=5, known=UNSEEN).until
    done = desk.round(nonce=6, known={"h0": True, "f5": False})
    assert done.step is SettleStep.DONE
    assert desk.state.verdicts == {"h0": SettledAs.ACCEPTED}
    assert desk.state.fence_verdicts == {"f5": SettledAs.PASSED}


def test_the_rest_of_a_batch_is_fenced_when_its_first_nonce_is_gone():
    desk = Desk(count=3)
    desk.round(nonce=6, known=UNSEEN, fence=ACCEPTED)
    assert desk.fenced == [range(6, 8)]
    assert desk.state.verdicts == {"h1": SettledAs.FENCED, "h2": SettledAs.FENCED}
    assert not desk.state.holds
    assert desk.state.open == ["h0"]
    assert desk.state.passed == {"h0"}


def test_a_nonce_that_went_to_a_stranger_is_neither_ours_nor_the_fences():
    desk = Desk()
    wait = desk.round(resend=REFUSED, nonce=5, known=UNSEEN)
    while wait.step is SettleStep.WAIT:
        desk.now = wait.until
        wait = desk.round(nonce=6, known={"h0": False, "f5": False})
    assert desk.fenced == [range(5, 6)], "it could not be taken any more"
    assert desk.state.verdicts == {"h0": SettledAs.PASSED}
    assert desk.state.fence_verdicts == {"f5": SettledAs.PASSED}


def test_a_dead_orders_nonce_is_free_only_when_its_fence_is_settled_too():
    desk = Desk()
    desk.now = desk.round(resend=REFUSED, nonce=5, known=UNSEEN).until
    desk.now = 100.0 + 12.0
    unseen = {"h0": False, "f5": False}
    wait = desk.round(nonce=5, clock="told", known=unseen)
    assert desk.state.open == []
    while wait.step is SettleStep.WAIT:
        desk.now = wait.until
        wait = desk.round(nonce=5, clock="told", known=unseen)
    assert desk.state.verdicts == {"h0": SettledAs.EXPIRED}
    assert desk.state.fence_verdicts == {"f5": SettledAs.EXPIRED}
    assert desk.now - 100.0 >= (10_000 + FENCE_LIVES_MS + GRACE_MS) / 1000


def test_a_dead_order_whose_fence_shows_up_late_has_no_free_nonce():
    desk = Desk()
    desk.now = desk.round(resend=REFUSED, nonce=5, known=UNSEEN).until
    desk.now = 100.0 + 12.0
    desk.round(nonce=5, clock="told", known={"h0": False, "f5": False})
    desk.now += 10.0
    done = desk.round(nonce=6, known={"f5": True})
    assert done.step is SettleStep.DONE
    assert desk.state.verdicts == {"h0": SettledAs.FENCED}


def test_a_lost_fence_that_is_then_refused_lets_copies_go_again():
    desk = Desk()
    desk.now = desk.round(resend=REFUSED, nonce=5, known=UNSEEN).until
    desk.now = desk.round(nonce=5, known=UNSEEN, fence=REFUSED).until
    assert desk.round(resend=ACCEPTED).step is SettleStep.DONE
    assert desk.state.verdicts == {"h0": SettledAs.ACCEPTED}
    assert desk.state.fence_verdicts == {"f5": SettledAs.PASSED}


def test_what_is_too_old_to_be_taken_needs_no_fence():
    desk = Desk()
    desk.state.resent(REFUSED)
    desk.now += 10.5
    desk.round(nonce=5, known=UNSEEN)
    assert desk.fenced == []


def test_a_new_fence_that_is_accepted_buries_an_old_one_in_doubt():
    desk = Desk()
    desk.round(resend=REFUSED, nonce=5, known=UNSEEN)
    desk.state.fenced([DoubtfulTx("g5", 5, EXPIRES_MS + FENCE_LIVES_MS)], ACCEPTED)
    assert desk.move().step is SettleStep.DONE
    assert desk.state.verdicts == {"h0": SettledAs.FENCED}
    assert desk.state.fence_verdicts == {
        "f5": SettledAs.PASSED,
        "g5": SettledAs.ACCEPTED,
    }


def test_a_clock_of_ours_that_has_jumped_kills_nothing_before_the_exchanges_is_asked():
    desk = Desk(creates=True)
    desk.skew_ms = 3_600_000
    desk.round(nonce=5, clock="told", known={"h0": False}, shown=False)
    assert SettleStep.ASK_CLOCK in desk.steps
    assert desk.state.verdicts == {}
