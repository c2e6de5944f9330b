"""Settlement against a model exchange with loss, delay, late copies and strangers."""

from __future__ import annotations

from hypothesis import event, given, settings
from hypothesis import strategies as st

from wrappy._core.outcomes import (
    ACCEPTED,
    REFUSED,
    UNKNOWN,
    NonceFate,
    SendOutcome,
    SendVerdict,
)
from wrappy._core.settlement import (
    FENCE_AFTER_S,
    LONGEST_PAUSE_S,
    DoubtfulTx,
    SettledAs,
    Settlement,
    SettleStep,
)

EPOCH_MS = 1_700_000_000_000
LIFE_S = 5.0
LONG_LIFE_S = 600.0
LAG_S = 0.9
CERTAIN_S = 2.0
WRONG_NONCE = SendVerdict(SendOutcome.REFUSED, NonceFate.SUSPECT)


class Venue:
    """Takes a batch whole, only with its next nonce, only before it expires.

    It keeps the orders that the batch creates, one for each nonce; a fence cancels
    the order of its nonce when it is carried out.
    """

    def __init__(
        self,
        batch,
        *,
        refuses_copies,
        refuses_fences,
        counter_lags,
        hash_lag_s,
        forgets,
    ):
        self.batch = batch
        self.refuses_copies = refuses_copies  # from, until
        self.refuses_fences = refuses_fences
        self.counter_lags = counter_lags
        self.hash_lag_s = hash_lag_s
        self.forgets = (
            forgets  # too many orders have ended: the lists do not reach back
        )
        self.counter = [(-1e9, batch[0].nonce)]
        self.taken_at = {}
        self.orders = set()
        self.created = set()

    @property
    def next_nonce(self):
        return self.counter[-1][1]

    def deliver(self, sent, now):
        """Return the answer to transactions that arrive."""
        if EPOCH_MS + now * 1000 >= sent[0].expired_at_ms:
            return REFUSED
        is_fence = sent[0] not in self.batch
        begins, ends = self.refuses_copies
        if is_fence and self.refuses_fences:
            return REFUSED
        # The band may be looked at before the nonce, so that it hides the latter.
        if not is_fence and begins <= now < ends:
            return REFUSED
        if self.next_nonce != sent[0].nonce:
            return WRONG_NONCE
        self.counter.append((now, sent[-1].nonce + 1))
        for tx in sent:
            self.taken_at[tx.tx_hash] = now
            if is_fence:
                self.orders.discard(tx.nonce)
            else:
                self.orders.add(tx.nonce)
                self.created.add(tx.nonce)
        return ACCEPTED

    def stranger(self, now):
        """Somebody else uses the next nonce."""
        self.counter.append((now, self.next_nonce + 1))

    def reads_counter(self, now):
        seen = now - LAG_S if self.counter_lags else now
        return max(nonce for at, nonce in self.counter if at <= seen)

    def knows(self, tx_hash, now):
        """Reads lag behind what was accepted, those by hash perhaps much."""
        taken_at = self.taken_at.get(tx_hash)
        return taken_at is not None and now >= taken_at + self.hash_lag_s

    def shows(self, tx_hash, now):
        """Whether the account's orders show one of a transaction."""
        taken_at = self.taken_at.get(tx_hash)
        listed = taken_at is not None and now >= taken_at + LAG_S
        return listed and not self.forgets


class World:
    """Settles one batch at a venue, on a clock of its own; loses what it is told to."""

    def __init__(self, data, venue, batch, *, life_s, skew_ms, healthy_at, loss):
        self.data = data
        self.venue = venue
        self.state = Settlement(batch)
        self.batch = batch
        self.life_s = life_s
        self.skew_ms = skew_ms
        self.healthy_at = healthy_at
        self.loss = loss
        self.now = 0.0
        self.pending = []
        self.made = []
        self.disturbed_until = 0.0
        self.released_at = None

    @property
    def unix_ms(self):
        return EPOCH_MS + self.now * 1000 + self.skew_ms

    def advance(self, seconds):
        end = self.now + seconds
        while self.pending and min(self.pending)[0] <= end:
            self.pending.sort(key=lambda one: one[0])
            at, _, sent = self.pending.pop(0)
            if sent is None:
                self.venue.stranger(at)
            else:
                self.venue.deliver(sent, at)
        self.now = end

    def later(self, at, sent):
        self.pending.append((at, len(self.pending), sent))

    def fence(self, nonces):
        """Return the same bytes for the same nonces, unless they were refused."""
        if not self.made or [tx.nonce for tx in self.made] != list(nonces):
            late = int(self.unix_ms - self.skew_ms + self.life_s * 1000)
            name = f"f{self.now}-"
            self.made = [DoubtfulTx(f"{name}{nonce}", nonce, late) for nonce in nonces]
        return self.made

    def lost(self):
        return (
            self.now < self.healthy_at
            and self.data.draw(st.integers(0, 99)) < self.loss
        )

    def send(self, sent, travel_s):
        """Return the answer; a copy that is lost now may arrive much later."""
        if self.lost():
            delay = self.data.draw(st.none() | st.floats(0.0, 9.0), label="late")
            if delay is not None:
                self.later(self.now + delay, sent)
            self.advance(2 * travel_s)
            return UNKNOWN
        self.advance(travel_s)
        answer = self.venue.deliver(sent, self.now)
        lost = self.lost()
        self.advance(travel_s)
        return UNKNOWN if lost else answer

    def read(self, question, travel_s):
        if self.lost():
            self.advance(2 * travel_s)
            return None
        self.advance(travel_s)
        answer = question(self.now)
        lost = self.lost()
        self.advance(travel_s)
        return None if lost else answer

    def perform(self, move, travel_s):
        state, venue = self.state, self.venue
        if move.step is SettleStep.RESEND:
            state.resent(self.send(self.batch, travel_s))
        elif move.step is SettleStep.FENCE:
            fence = self.fence(move.nonces)
            verdict = self.send(fence, travel_s)
            state.fenced(fence, verdict)
            lost = fence[0].tx_hash in state.fence_verdicts
            if verdict.outcome is SendOutcome.REFUSED and not lost:
                self.made = []
        elif move.step is SettleStep.ASK_NONCE:
            state.nonce_read(self.read(venue.reads_counter, travel_s))
        elif move.step is SettleStep.ASK_CLOCK:
            told = self.read(
                lambda now: int((EPOCH_MS + now * 1000) // 1000 * 1000), travel_s
            )
            state.clock_read(told, self.now, self.unix_ms)
        else:
            asks_hash = move.step is SettleStep.ASK_HASH
            question = venue.knows if asks_hash else venue.shows
            answer = self.read(lambda now: question(move.tx_hash, now), travel_s)
            if asks_hash:
                state.hash_read(known=answer)
            else:
                assert next(tx for tx in self.batch if tx.tx_hash == move.tx_hash)
                state.orders_read(shown=answer, is_whole=not venue.forgets)

    def check(self):
        """Nothing is dead that can still be carried out or already was."""
        for tx in self.batch:
            verdict = self.state.verdicts.get(tx.tx_hash)
            if verdict is SettledAs.ACCEPTED:
                assert tx.tx_hash in self.venue.taken_at
            elif verdict is not None:
                assert tx.tx_hash not in self.venue.taken_at
        for tx_hash, verdict in self.state.fence_verdicts.items():
            if verdict is not None:
                taken = tx_hash in self.venue.taken_at
                assert (verdict is SettledAs.ACCEPTED) == taken
        assert self.venue.orders == self.venue.created, "a fence killed an order"
        if self.released_at is not None:
            late = [at for at in self.venue.taken_at.values() if at > self.released_at]
            assert not late, "the key went on while a nonce could still be taken"

    def run(self, travel_s):
        """Settle; return when the key could go on."""
        for _ in range(3_000):
            move = self.state.next(self.now, self.unix_ms)
            if self.released_at is None and not self.state.holds:
                self.released_at = self.now
            if move.step is SettleStep.DONE:
                break
            if move.step is SettleStep.WAIT:
                self.advance(max(0.0, move.until - self.now))
                continue
            self.perform(move, travel_s)
            self.check()
        assert not self.state.open, "it ends when reads answer"
        next_nonce = self.venue.next_nonce
        event("lingered" if self.released_at < self.now else "at once")
        ends = set(self.state.verdicts.values())
        for end in ends:
            event(f"{end.value}{', fenced' if self.state.fence_verdicts else ''}")
        strangers = any(sent is None for _, _, sent in self.pending)
        self.advance(2 * LONG_LIFE_S)
        self.check()
        if not strangers:
            assert self.venue.next_nonce == next_nonce, "a settled nonce is settled"
        return self.released_at


@st.composite
def worlds(draw, *, life_s, refuses_copies, refuses_fences, skew_ms):
    """Return a function that makes a world out of what was drawn."""
    count = draw(st.integers(1, 3), label="transactions")
    loss = draw(st.sampled_from([5, 20, 60, 100]), label="loss %")
    healthy_at = draw(st.floats(0.0, 12.0), label="everything arrives from")
    arrives_at = draw(st.none() | st.floats(0.0, 9.0), label="first copy")
    stranger_at = draw(st.none() | st.floats(0.0, 9.0), label="stranger")
    begins, ends = draw(refuses_copies, label="copies are refused")
    fences = draw(refuses_fences, label="fences are refused")
    lags = draw(st.booleans(), label="counter lags")
    skew = draw(skew_ms, label="skew")
    expires_ms = EPOCH_MS + int(life_s * 1000)
    hash_lag_s = draw(st.sampled_from([LAG_S, 3.0, 10.0]), label="hash lags")
    forgets = draw(st.booleans(), label="lists forget")
    kinds = draw(st.lists(st.booleans(), min_size=3, max_size=3), label="creates")
    batch = [DoubtfulTx(f"h{n}", 5 + n, expires_ms, kinds[n]) for n in range(count)]
    venue = Venue(
        batch,
        refuses_copies=(begins, ends),
        refuses_fences=fences,
        counter_lags=lags,
        hash_lag_s=hash_lag_s,
        forgets=forgets,
    )

    def made(data):
        world = World(
            data,
            venue,
            batch,
            life_s=life_s,
            skew_ms=skew,
            healthy_at=healthy_at,
            loss=loss,
        )
        if arrives_at is not None:
            world.later(arrives_at, batch)
        if stranger_at is not None:
            world.later(stranger_at, None)
            world.disturbed_until = stranger_at
        return world

    return made


windows = (
    st.just((0.0, 0.0))
    | st.just((0.0, 1e9))
    | st.tuples(st.floats(0.0, 6.0), st.floats(0.0, 12.0))
)
travels = st.sampled_from([0.001, 0.05])


@settings(max_examples=300)
@given(
    data=st.data(),
    made=worlds(
        life_s=LIFE_S,
        refuses_copies=windows,
        refuses_fences=st.booleans(),
        skew_ms=st.integers(-3000, 3000),
    ),
    travel_s=travels,
)
def test_the_verdict_is_the_truth_and_the_key_is_free_in_time(data, made, travel_s):
    world = made(data)
    released_at = world.run(travel_s)
    if abs(world.skew_ms) <= 200:
        # A fence that nobody answered for lives on from when it was signed.
        signed_at = LIFE_S if world.state.fence_verdicts else 0.0
        latest = max(signed_at + LIFE_S, world.healthy_at + LONGEST_PAUSE_S)
        # A round may just have begun when the time is over.
        round_s = 2 * travel_s * (4 + 3 * len(world.batch))
        assert released_at <= latest + CERTAIN_S + 0.5 + round_s


@settings(max_examples=200)
@given(
    data=st.data(),
    made=worlds(
        life_s=LONG_LIFE_S,
        refuses_copies=windows,
        refuses_fences=st.just(False),
        skew_ms=st.just(0),
    ),
    travel_s=travels,
)
def test_bytes_that_live_for_minutes_hold_the_key_for_seconds(data, made, travel_s):
    world = made(data)
    released_at = world.run(travel_s)
    # After the last disturbance: a round that begins, and one for its fence.
    calm_at = max(world.healthy_at, world.disturbed_until, FENCE_AFTER_S)
    assert released_at <= calm_at + 2 * LONGEST_PAUSE_S + 2 * CERTAIN_S
