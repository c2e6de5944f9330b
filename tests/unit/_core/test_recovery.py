"""What became of sends that a dead process left: concluded from proof only."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy._core.journal_rows import SendStage
from wrappy._core.recovery import (
    EXPIRY_SLACK_MS,
    FENCE_REACH,
    HASH_LAG_MS,
    READS_APART_S,
    AskHash,
    AskNonce,
    AskOrders,
    Fence,
    OpenSend,
    Recovery,
    Wait,
)

LATER_MS = 10_000_000


def send(nonce, name=None, expired_at_ms=LATER_MS, *, creates=False):
    return OpenSend(nonce, name or f"old{nonce}", expired_at_ms, creates)


def recovery(*sends, limit=15):
    return Recovery(sends, fence_limit=limit)


def unknown(machine, name, at_s=0.0, unix_ms=0):
    machine.hash_unknown(name, asked_at_s=at_s, unix_ms=unix_ms)


def test_nothing_in_doubt_needs_nothing():
    assert recovery().step(0.0, 0) is None


def test_a_transaction_the_exchange_knows_was_sent():
    machine = recovery(send(5))
    assert machine.step(0.0, 0) == AskNonce()
    machine.nonce_read(6)
    assert machine.step(0.0, 0) == AskHash("old5")
    machine.hash_known("old5", SendStage.EXECUTED)
    assert machine.step(0.0, 0) is None
    assert machine.take_settled() == {"old5": SendStage.EXECUTED}
    assert machine.take_settled() == {}


def missed_twice(machine, name="old5"):
    """Have two looks a second apart miss a transaction whose number is gone."""
    machine.nonce_read(6)
    assert machine.step(0.0, 0) == AskHash(name)
    unknown(machine, name, at_s=0.0)
    assert machine.step(0.1, 0) == Wait(READS_APART_S)
    unknown(machine, name, at_s=0.5)  # too soon to count
    assert machine.open
    assert machine.step(READS_APART_S, 0) == AskHash(name)
    unknown(machine, name, at_s=READS_APART_S)


def test_a_number_that_is_gone_and_two_looks_that_miss_it_prove_nothing():
    machine = recovery(send(5))
    missed_twice(machine)
    assert machine.step(READS_APART_S, 0) is None
    assert machine.take_settled() == {}
    assert [left.tx_hash for left in machine.lingering] == ["old5"]


@pytest.mark.parametrize("shown", [True, False])
def test_the_orders_of_what_two_looks_missed_are_looked_for(shown):
    machine = recovery(send(5, creates=True))
    missed_twice(machine)
    assert machine.step(READS_APART_S, 0) == AskOrders(("old5",))
    machine.orders_read(["old5"], {"old5"} if shown else (), unix_ms=0)
    assert machine.step(READS_APART_S, 0) is None
    assert machine.take_settled() == ({"old5": SendStage.ACCEPTED} if shown else {})
    assert len(machine.lingering) == (not shown)


PAST_MS = EXPIRY_SLACK_MS + 1


@pytest.mark.parametrize("venue_next", [5, 6])
def test_an_expired_order_is_dead_when_the_account_does_not_show_it(venue_next):
    machine = recovery(send(5, expired_at_ms=0, creates=True))
    assert machine.step(0.0, PAST_MS) == AskNonce()
    machine.nonce_read(venue_next)
    assert machine.step(0.0, PAST_MS) == AskHash("old5")
    unknown(machine, "old5", unix_ms=PAST_MS)
    assert machine.step(0.0, PAST_MS) == AskOrders(("old5",))
    machine.orders_read(["old5"], (), unix_ms=PAST_MS)
    assert machine.step(0.0, PAST_MS) is None
    assert machine.take_settled() == {"old5": SendStage.DEAD}


@pytest.mark.parametrize("later_ms", [0, HASH_LAG_MS])
def test_what_creates_nothing_is_dead_only_when_no_lag_can_hide_it(later_ms):
    machine = recovery(send(5, expired_at_ms=0))
    machine.nonce_read(6)
    unknown(machine, "old5", unix_ms=PAST_MS + later_ms)
    assert machine.step(0.0, PAST_MS) is None
    settled = {"old5": SendStage.DEAD} if later_ms else {}
    assert machine.take_settled() == settled
    assert len(machine.lingering) == (not later_ms)


@pytest.mark.parametrize(
    ("venue_next", "later_ms", "is_dead"),
    [(5, 0, True), (6, 0, False), (6, HASH_LAG_MS, True)],
)
def test_lists_that_do_not_reach_back_leave_the_word_to_the_hash(
    venue_next, later_ms, is_dead
):
    machine, now_ms = recovery(send(5, expired_at_ms=0, creates=True)), PAST_MS
    assert machine.step(0.0, now_ms) == AskNonce()
    machine.nonce_read(venue_next)
    unknown(machine, "old5", unix_ms=now_ms + later_ms)
    assert machine.step(0.0, now_ms) == AskOrders(("old5",))
    machine.orders_read(["old5"], (), unix_ms=now_ms, is_whole=False)
    assert machine.step(0.0, now_ms) is None, "it does not ask for ever"
    assert machine.take_settled() == ({"old5": SendStage.DEAD} if is_dead else {})
    assert len(machine.lingering) == (not is_dead)


def test_a_list_that_does_not_reach_back_tells_of_what_it_shows():
    machine = recovery(send(5, expired_at_ms=0, creates=True))
    machine.nonce_read(6)
    unknown(machine, "old5", unix_ms=PAST_MS + HASH_LAG_MS)
    machine.orders_read(["old5"], {"old5"}, unix_ms=PAST_MS, is_whole=False)
    assert machine.take_settled() == {"old5": SendStage.ACCEPTED}


def test_a_look_for_orders_before_the_expiry_lets_them_linger():
    machine = recovery(send(5, expired_at_ms=0, creates=True))
    machine.nonce_read(6)
    unknown(machine, "old5", unix_ms=PAST_MS)
    machine.orders_read(["old5", "another"], (), unix_ms=0)
    assert machine.take_settled() == {}
    assert len(machine.lingering) == 1


def test_what_lingers_is_dead_when_its_number_turns_out_to_be_anothers():
    machine = recovery(send(5), send(5, "fence"))
    machine.nonce_read(6)
    unknown(machine, "old5", at_s=0.0)
    unknown(machine, "old5", at_s=READS_APART_S)
    assert [left.tx_hash for left in machine.lingering] == ["old5"]
    machine.hash_known("fence", SendStage.EXECUTED)
    assert machine.step(9.0, 0) is None
    assert machine.take_settled() == {
        "fence": SendStage.EXECUTED,
        "old5": SendStage.DEAD,
    }
    assert machine.lingering == ()


def test_a_number_still_free_is_fenced_after_one_look():
    machine = recovery(send(5))
    machine.nonce_read(5)
    unknown(machine, "old5")
    assert machine.step(0.0, 0) == Fence(range(5, 6))
    machine.fence_accepted([send(5, "fence")])
    assert machine.step(0.0, 0) is None
    assert machine.take_settled() == {
        "fence": SendStage.ACCEPTED,
        "old5": SendStage.DEAD,
    }
    assert machine.next_nonce == 6


def test_a_lost_batch_takes_one_question_and_one_fence():
    machine = recovery(*(send(nonce) for nonce in range(5, 20)))
    machine.nonce_read(5)
    unknown(machine, "old5")
    assert machine.step(0.0, 0) == Fence(range(5, 20))
    machine.fence_accepted([send(nonce, f"fence{nonce}") for nonce in range(5, 20)])
    assert machine.step(0.0, 0) is None
    assert machine.next_nonce == 20


def test_a_long_row_is_fenced_in_pieces_and_holes_are_filled():
    machine = recovery(send(5), send(8), limit=2)
    machine.nonce_read(5)
    unknown(machine, "old5")
    assert machine.step(0.0, 0) == Fence(range(5, 7))
    machine.fence_accepted([send(5, "f5"), send(6, "f6")])
    assert machine.step(0.0, 0) == AskHash("old8")
    unknown(machine, "old8")
    assert machine.step(0.0, 0) == Fence(range(7, 9))


def test_a_fence_refused_for_its_number_sends_us_back_to_asking():
    machine = recovery(send(5), send(6))
    machine.nonce_read(5)
    unknown(machine, "old5")
    fence = [send(5, "f5"), send(6, "f6")]
    machine.fence_refused(fence, 1.0, wait_s=0.5, for_nonce=True)
    assert machine.take_settled() == {
        "f5": SendStage.REFUSED,
        "f6": SendStage.REFUSED,
    }
    assert machine.step(1.0, 0) == Wait(1.5)
    assert machine.step(1.5, 0) == AskNonce()
    machine.nonce_read(5)  # it lags
    assert machine.step(1.5, 0) == AskHash("old5")
    unknown(machine, "old5", at_s=1.5)
    assert machine.step(1.5, 0) == AskHash("old6")  # now each is asked for
    machine.hash_known("old6", SendStage.ACCEPTED)
    assert machine.step(1.6, 0) == AskHash("old5")  # its number has passed
    assert machine.can_fence


def test_a_lost_fence_is_in_doubt_itself_and_kills_what_it_fences_once_it_is_known():
    machine = recovery(send(5))
    machine.nonce_read(5)
    unknown(machine, "old5")
    machine.fence_lost([send(5, "fence")], 1.0, wait_s=0.5)
    assert {open_send.tx_hash for open_send in machine.open} == {"old5", "fence"}
    assert machine.step(1.5, 0) == AskNonce()
    machine.nonce_read(6)
    machine.hash_known("fence", SendStage.EXECUTED)
    assert machine.step(1.5, 0) is None
    assert machine.take_settled() == {
        "fence": SendStage.EXECUTED,
        "old5": SendStage.DEAD,
    }


def test_a_lost_fence_is_not_dead_because_its_second_copy_is_refused():
    machine = recovery(send(5))
    machine.nonce_read(5)
    unknown(machine, "old5")
    machine.fence_lost([send(5, "fence")], 0.0, wait_s=0.1)
    machine.fence_refused([send(5, "fence")], 1.0, wait_s=0.1, for_nonce=True)
    assert machine.take_settled() == {}
    assert len(machine.open) == 2


def test_a_lost_fence_that_is_taken_the_second_time_ends_both_doubts():
    machine = recovery(send(5))
    machine.nonce_read(5)
    unknown(machine, "old5")
    machine.fence_lost([send(5, "fence")], 0.0, wait_s=0.1)
    machine.fence_accepted([send(5, "fence")])
    assert machine.step(1.0, 0) is None
    assert machine.take_settled()["fence"] is SendStage.ACCEPTED


def test_an_exchange_that_takes_no_fence_leaves_the_expiry_as_proof():
    expired_at_ms = 20_000
    machine = recovery(send(5, expired_at_ms=expired_at_ms))
    machine.nonce_read(5)
    unknown(machine, "old5")
    machine.fence_refused([send(5, "fence")], 0.0, wait_s=0.1, for_nonce=False)
    assert not machine.can_fence
    machine.step(0.0, 0)
    assert machine.step(1.0, 1_000) == AskNonce()
    machine.nonce_read(5)
    assert machine.step(1.0, 1_000) == AskHash("old5")
    unknown(machine, "old5", at_s=1.0, unix_ms=1_000)
    wait = machine.step(1.0, 1_000)
    assert isinstance(wait, Wait)
    assert machine.step(wait.until_s, 3_000) == AskNonce()
    machine.nonce_read(5)
    past_ms = expired_at_ms + EXPIRY_SLACK_MS + 1
    assert machine.step(30.0, past_ms) == AskHash("old5")
    unknown(machine, "old5", at_s=30.0, unix_ms=past_ms)
    assert machine.open, "the counter may have moved since"
    assert machine.step(30.0, past_ms) == AskNonce()
    machine.nonce_read(5)
    assert machine.take_settled()["old5"] is SendStage.DEAD


def test_what_expired_long_ago_needs_one_look_and_no_fence():
    machine = recovery(send(5, expired_at_ms=0))
    assert machine.step(0.0, EXPIRY_SLACK_MS + 1) == AskNonce()
    machine.nonce_read(5)
    assert machine.step(0.0, EXPIRY_SLACK_MS + 1) == AskHash("old5")
    unknown(machine, "old5", unix_ms=EXPIRY_SLACK_MS + 1)
    assert machine.step(0.0, EXPIRY_SLACK_MS + 1) is None


def test_a_look_made_before_the_expiry_proves_nothing_after_it():
    machine = recovery(send(5, expired_at_ms=0))
    machine.nonce_read(5)
    unknown(machine, "old5", unix_ms=EXPIRY_SLACK_MS)
    assert machine.open
    assert machine.step(0.0, EXPIRY_SLACK_MS + 1) == AskHash("old5")


def test_a_number_of_another_history_is_not_fenced():
    machine = recovery(send(5 + FENCE_REACH))
    machine.nonce_read(5)
    unknown(machine, f"old{5 + FENCE_REACH}")
    assert isinstance(machine.step(0.0, 0), Wait)


def test_a_transaction_that_failed_in_the_engine_says_nothing_about_its_number():
    machine = recovery(send(5), send(5, "fence"))
    machine.nonce_read(6)
    machine.hash_known("old5", SendStage.ENDED)
    assert [open_send.tx_hash for open_send in machine.open] == ["fence"]
    assert machine.take_settled() == {"old5": SendStage.ENDED}


def test_words_on_what_is_settled_already_are_passed_over():
    machine = recovery(send(5))
    machine.hash_known("old5", SendStage.ACCEPTED)
    machine.hash_known("old5", SendStage.ENDED)
    unknown(machine, "old5")
    assert machine.take_settled() == {"old5": SendStage.ACCEPTED}


def test_a_failed_question_is_asked_again_after_the_pause():
    machine = recovery(send(5))
    machine.put_off(3.0, wait_s=2.0)
    assert machine.step(3.0, 0) == Wait(5.0)
    assert machine.step(5.0, 0) == AskNonce()


def test_the_counter_never_falls():
    machine = recovery(send(5))
    machine.nonce_read(9)
    machine.nonce_read(5)
    assert machine.next_nonce == 9


# A model of an exchange whose reads lag, whose network loses and delays.

LAG_S = 0.9


@dataclass
class ModelExchange:
    """Takes each number once, in order; knows when it did."""

    next_nonce: int
    now: float = 0.0
    taken: dict[str, float] = field(default_factory=dict)
    counted: list[tuple[float, int]] = field(default_factory=list)
    flying: list[tuple[float, list[OpenSend]]] = field(default_factory=list)

    def advance(self, until):
        for at, batch in sorted(self.flying, key=lambda item: item[0]):
            if at <= until:
                self.flying.remove((at, batch))
                self.arrive(batch, at)
        self.now = until

    def arrive(self, batch, at):
        nonces = [item.nonce for item in batch]
        wanted = list(range(self.next_nonce, self.next_nonce + len(batch)))
        fits = all(at * 1000 < item.expired_at_ms for item in batch)
        if nonces != wanted or not fits:
            return False
        for item in batch:
            self.taken[item.tx_hash] = at
        self.next_nonce += len(batch)
        self.counted.append((at, self.next_nonce))
        return True

    def knows(self, tx_hash, lag):
        return self.taken.get(tx_hash, float("inf")) <= self.now - lag


@given(data=st.data())
def test_no_verdict_is_ever_wrong_and_one_is_always_found(data):
    draw = data.draw
    first = 5
    count = draw(st.integers(1, 6), "rows")
    exchange = ModelExchange(first)
    limit = draw(st.integers(1, 4), "limit")
    can_fence = draw(st.booleans(), "can fence")
    rows = [
        send(
            first + number,
            expired_at_ms=draw(st.integers(1, 60)) * 1000,
            creates=draw(st.booleans(), "creates"),
        )
        for number in range(count)
    ]
    for row in rows:
        # Each is on its way still, landed before, or lost for ever.
        lands = draw(st.sampled_from([0.0, 0.3, 1.5, 4.0, 20.0, None]), "lands")
        if lands is not None:
            exchange.flying.append((lands, [row]))
    exchange.advance(0.0)
    machine = Recovery(rows, fence_limit=limit)
    settled: dict[str, SendStage] = {}
    fences = 0
    trouble = draw(st.integers(0, 12), "failures")
    hash_lag = draw(st.sampled_from([LAG_S, 3.0, 10.0]), "hash lag")

    def fails():
        nonlocal trouble
        if trouble and draw(st.booleans(), "fails"):
            trouble -= 1
            return True
        return False

    for _ in range(2_000):
        step = machine.step(exchange.now, int(exchange.now * 1000))
        settled.update(machine.take_settled())
        if step is None:
            break
        if isinstance(step, Wait):
            assert step.until_s >= exchange.now
            exchange.advance(step.until_s)
            continue
        asked_at = exchange.now
        exchange.advance(exchange.now + 0.05)
        lag = draw(st.sampled_from([0.0, LAG_S]), "lag")
        if isinstance(step, Fence):
            assert len(step.nonces) <= limit
            fences += 1
            fence = [send(n, f"fence{fences}-{n}", LATER_MS) for n in step.nonces]
            if not can_fence:
                machine.fence_refused(fence, exchange.now, wait_s=0.3, for_nonce=False)
            elif fails():
                delay = draw(st.sampled_from([0.0, 2.0, None]), "fence delay")
                if delay is not None:
                    exchange.flying.append((exchange.now + delay, fence))
                machine.fence_lost(fence, exchange.now, wait_s=0.3)
            elif exchange.arrive(fence, exchange.now):
                machine.fence_accepted(fence)
            else:
                machine.fence_refused(fence, exchange.now, wait_s=0.3, for_nonce=True)
        elif fails():
            machine.put_off(exchange.now, wait_s=0.25)
        elif isinstance(step, AskNonce):
            seen = [n for at, n in exchange.counted if at <= exchange.now - lag]
            machine.nonce_read(max(seen, default=first))
        elif isinstance(step, AskOrders):
            assert {r.tx_hash for r in rows if r.creates}.issuperset(step.tx_hashes)
            shown = {name for name in step.tx_hashes if exchange.knows(name, lag)}
            machine.orders_read(step.tx_hashes, shown, unix_ms=int(asked_at * 1000))
        elif exchange.knows(step.tx_hash, hash_lag if lag else 0.0):
            machine.hash_known(step.tx_hash, SendStage.ACCEPTED)
        else:
            machine.hash_unknown(
                step.tx_hash, asked_at_s=asked_at, unix_ms=int(asked_at * 1000)
            )
    else:
        pytest.fail("it never came to an end")
    ended_at = exchange.now
    exchange.advance(1e6)  # whatever is on its way still arrives
    lingering = {left.tx_hash for left in machine.lingering}
    assert {row.tx_hash for row in rows} <= set(settled) | lingering
    assert not lingering & set(settled)
    taken_nonces = range(first, exchange.next_nonce)
    assert all(left.nonce in taken_nonces for left in machine.lingering)
    for tx_hash, stage in settled.items():
        taken = stage in (SendStage.ACCEPTED, SendStage.EXECUTED)
        assert (tx_hash in exchange.taken) is taken, (tx_hash, stage)
    if can_fence:
        assert ended_at < 30
    assert ended_at < 60 + EXPIRY_SLACK_MS / 1000 + 20
