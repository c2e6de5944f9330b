"""Settlement against a model exchange with loss, delay, late copies and strangers."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from wrappy._core.settlement import DoubtfulTx, SettledAs, Settlement, SettleStep

EPOCH_MS = 1_700_000_000_000
LIFE_S = 5.0
HASH_LAG_S = 0.9
CERTAIN_S = 2.0


class Venue:
    """Takes a batch whole, only with its next nonce, only before it expires."""

    def __init__(self, batch):
        self.batch = batch
        self.next_nonce = batch[0].nonce
        self.taken_at = None

    def deliver(self, now):
        """One copy arrives; return whether it is accepted."""
        late = EPOCH_MS + now * 1000 >= self.batch[0].expired_at_ms
        if late or self.next_nonce != self.batch[0].nonce:
            return False
        self.next_nonce = self.batch[-1].nonce + 1
        self.taken_at = now
        return True

    def stranger(self):
        """Somebody else uses the next nonce."""
        self.next_nonce += 1

    def knows(self, now):
        """Reads lag behind what was accepted."""
        return self.taken_at is not None and now >= self.taken_at + HASH_LAG_S


choices = st.integers(0, 99)


@settings(max_examples=300)
@given(data=st.data(), count=st.integers(1, 3), skew_ms=st.integers(-3000, 3000))
def test_the_verdict_is_the_truth_and_comes_in_time(data, count, skew_ms):
    loss = data.draw(st.sampled_from([5, 20, 60, 100]), label="loss %")
    healthy_at = data.draw(st.floats(0.0, 12.0), label="reads answer from")
    arrives_at = data.draw(st.none() | st.floats(0.0, 9.0), label="first copy")
    stranger_at = data.draw(st.none() | st.floats(0.0, 9.0), label="stranger")
    copies_fail = data.draw(st.booleans(), label="no copy of ours arrives")
    travel_s = data.draw(st.sampled_from([0.001, 0.05]), label="travel")
    expires_ms = EPOCH_MS + int(LIFE_S * 1000)
    batch = [DoubtfulTx(f"h{n}", 5 + n, expires_ms) for n in range(count)]
    venue, state, now = Venue(batch), Settlement(batch), 0.0
    pending = [(t, k) for t, k in ((arrives_at, "copy"), (stranger_at, "foreign"))]
    pending = sorted((t, k) for t, k in pending if t is not None)

    def advance(seconds):
        nonlocal now
        now += seconds
        while pending and pending[0][0] <= now:
            at, kind = pending.pop(0)
            if kind == "copy":
                venue.deliver(at)
            else:
                venue.stranger()

    def unix_ms():
        return EPOCH_MS + now * 1000 + skew_ms

    def lost():
        return now < healthy_at and data.draw(choices) < loss

    for _ in range(2_000):
        move = state.next(now, unix_ms())
        if move.step is SettleStep.DONE:
            break
        if move.step is SettleStep.WAIT:
            advance(max(0.0, move.until - now))
            continue
        is_copy = move.step is SettleStep.RESEND
        if lost() or (is_copy and copies_fail):  # the request
            advance(travel_s)
            answer = None
        else:
            advance(travel_s)
            if move.step is SettleStep.RESEND:
                answer = venue.deliver(now)
            elif move.step is SettleStep.ASK_NONCE:
                answer = venue.next_nonce
            elif move.step is SettleStep.ASK_CLOCK:
                answer = int((EPOCH_MS + now * 1000) // 1000 * 1000)
            else:
                answer = venue.knows(now)
            if lost():  # the answer
                answer = None
        advance(travel_s)
        if move.step is SettleStep.RESEND:
            state.resent(accepted=bool(answer))
        elif move.step is SettleStep.ASK_NONCE:
            state.nonce_read(answer)
        elif move.step is SettleStep.ASK_CLOCK:
            state.clock_read(answer, now, unix_ms())
        else:
            state.hash_read(known=answer, now=now)
        # Nothing may be said dead that can still be carried out or already was.
        for verdict in state.verdicts.values():
            if verdict is SettledAs.ACCEPTED:
                assert venue.taken_at is not None
            else:
                assert venue.taken_at is None

    ended_at = now
    assert not state.open, "it ends when reads answer"
    advance(100.0)
    executed = venue.taken_at is not None
    for verdict in state.verdicts.values():
        assert (verdict is SettledAs.ACCEPTED) == executed
    if abs(skew_ms) <= 200:
        assert ended_at <= max(LIFE_S, healthy_at + 5.0) + CERTAIN_S + 0.5
