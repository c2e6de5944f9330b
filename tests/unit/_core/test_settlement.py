"""What proves that a lost transaction was accepted or is dead, and what does not."""

from __future__ import annotations

import pytest

from wrappy._core.settlement import (
    ALONE_MS,
    GRACE_MS,
    LONGEST_PAUSE_S,
    SECOND_LOOK_S,
    DoubtfulTx,
    SettledAs,
    Settlement,
    SettleStep,
)

EPOCH_MS = 1_700_000_000_000
EXPIRES_MS = EPOCH_MS + 10_000


class Desk:
    """Drives a settlement on a clock of its own."""

    def __init__(self, count=1, expires_ms=EXPIRES_MS):
        self.now = 100.0
        self.skew_ms = 0
        self.steps = []
        self.state = Settlement(
            DoubtfulTx(f"h{n}", 5 + n, expires_ms) for n in range(count)
        )

    @property
    def unix_ms(self):
        return EPOCH_MS + (self.now - 100.0) * 1000 + self.skew_ms

    @property
    def venue_ms(self):
        return int((EPOCH_MS + (self.now - 100.0) * 1000) // 1000 * 1000)

    def move(self):
        move = self.state.next(self.now, self.unix_ms)
        self.steps.append(move.step)
        return move

    def round(self, *, resend=False, nonce=None, clock=None, known=None):
        """Answer everything until the settlement waits or is done; return that."""
        known = known or {}
        while True:
            move = self.move()
            if move.step is SettleStep.RESEND:
                self.state.resent(accepted=resend)
            elif move.step is SettleStep.ASK_NONCE:
                self.state.nonce_read(nonce)
            elif move.step is SettleStep.ASK_CLOCK:
                told = self.venue_ms if clock == "told" else clock
                self.state.clock_read(told, self.now, self.unix_ms)
            elif move.step is SettleStep.ASK_HASH:
                self.state.hash_read(known=known.get(move.tx_hash), now=self.now)
            else:
                return move


def test_a_copy_that_is_accepted_ends_the_doubt():
    desk = Desk(count=2)
    assert desk.round(resend=True).step is SettleStep.DONE
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


def test_a_nonce_that_passed_needs_two_looks_a_second_apart():
    desk = Desk()
    wait = desk.round(nonce=6, known={"h0": False})
    assert wait.until == pytest.approx(desk.now + 0.25)
    desk.now = wait.until
    wait = desk.round(nonce=6, known={"h0": False})
    assert wait.step is SettleStep.WAIT
    assert desk.steps.count(SettleStep.RESEND) == 1, "a copy could not be taken"
    desk.now = wait.until
    while (wait := desk.round(nonce=6, known={"h0": False})).step is SettleStep.WAIT:
        desk.now = wait.until
    assert desk.state.verdicts == {"h0": SettledAs.PASSED}
    assert SECOND_LOOK_S <= desk.now - 100.0 < SECOND_LOOK_S + 0.1


def test_a_look_that_failed_between_two_others_does_not_count():
    desk = Desk()
    desk.round(nonce=6, known={"h0": False})
    desk.now += 1.5
    assert desk.round(nonce=None, known={"h0": None}).step is SettleStep.WAIT
    desk.now += 1.5
    assert desk.round(nonce=3, known={"h0": False}).step is SettleStep.DONE
    assert desk.state.verdicts == {"h0": SettledAs.PASSED}, "counters lag, never lead"


def test_what_shows_up_at_the_second_look_was_accepted():
    desk = Desk()
    desk.round(nonce=6, known={"h0": False})
    desk.now += 2.0
    desk.round(nonce=6, known={"h0": True})
    assert desk.state.verdicts == {"h0": SettledAs.ACCEPTED}


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


def test_a_passed_nonce_of_expired_bytes_needs_no_second_look():
    desk = Desk()
    desk.now += 20.0
    assert desk.round(nonce=6, clock="told", known={"h0": False}).step is (
        SettleStep.DONE
    )
    assert desk.state.verdicts == {"h0": SettledAs.PASSED}


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
    assert wait.until == pytest.approx(desk.now + 0.2)
