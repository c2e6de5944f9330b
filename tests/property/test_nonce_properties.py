"""The nonce lane against a model exchange that loses answers and lags."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wrappy._core.nonce import NonceError, NonceLedger


class NonceLane(RuleBasedStateMachine):
    """A client with one ledger, and an exchange that takes only the next nonce.

    Bytes that lost their answer stay on the wire: they may be delivered at any later
    time, until the test says that they expired.
    """

    def __init__(self):
        super().__init__()
        self.ledger = NonceLedger()
        self.venue_next = 3
        self.applied: dict[int, object] = {}
        self.waiting: list[range] = []
        self.on_wire: list[range] = []
        self.doubtful: list[range] = []
        self.transactions: dict[int, object] = {}

    def deliver(self, nonces, transaction):
        """Return what the exchange says; a batch goes in whole or not at all."""
        if nonces.start != self.venue_next:
            return "bad nonce"
        for nonce in nonces:
            assert nonce not in self.applied
            self.applied[nonce] = transaction
        self.venue_next = nonces.stop
        return "accepted"

    def transaction_of(self, nonces):
        return self.transactions[nonces.start]

    @precondition(lambda self: self.ledger.needs_sync)
    @rule(lag=st.integers(0, 3))
    def sync(self, lag):
        """The exchange's counter may lag behind what it has accepted."""
        try:
            self.ledger.sync(max(0, self.venue_next - lag))
        except NonceError:
            assert self.ledger.in_flight

    @rule(count=st.integers(1, 4))
    def take(self, count):
        flying = set(self.ledger.in_flight)
        try:
            taken = self.ledger.take(count)
        except NonceError:
            assert (
                self.ledger.held or self.ledger.needs_sync or len(flying) + count > 16
            )
            return
        assert not self.doubtful
        assert flying.isdisjoint(taken)
        assert not [n for nonces in self.on_wire for n in nonces if n in taken]
        self.waiting.append(taken)
        self.transactions[taken.start] = object()

    @precondition(lambda self: self.waiting)
    @rule(index=st.integers(0, 20))
    def answered(self, index):
        nonces = self.waiting.pop(index % len(self.waiting))
        if self.deliver(nonces, self.transaction_of(nonces)) == "accepted":
            self.ledger.confirm(nonces)
        else:
            self.ledger.suspect(nonces)

    @precondition(lambda self: self.waiting)
    @rule(index=st.integers(0, 20))
    def never_sent_or_refused_by_the_rules(self, index):
        self.ledger.give_back(self.waiting.pop(index % len(self.waiting)))

    @precondition(lambda self: self.waiting)
    @rule(index=st.integers(0, 20), lands=st.sampled_from(["now", "later", "never"]))
    def answer_lost(self, index, lands):
        nonces = self.waiting.pop(index % len(self.waiting))
        self.ledger.hold(nonces)
        self.doubtful.append(nonces)
        if lands == "now":
            self.deliver(nonces, self.transaction_of(nonces))
        elif lands == "later":
            self.on_wire.append(nonces)

    @precondition(lambda self: self.on_wire)
    @rule(index=st.integers(0, 20))
    def lost_bytes_land(self, index):
        nonces = self.on_wire.pop(index % len(self.on_wire))
        self.deliver(nonces, self.transaction_of(nonces))

    @precondition(lambda self: self.doubtful)
    @rule(index=st.integers(0, 20))
    def settled_by_expiry_and_a_read(self, index):
        nonces = self.doubtful.pop(index % len(self.doubtful))
        if nonces in self.on_wire:
            self.on_wire.remove(nonces)
        transaction = self.transaction_of(nonces)
        executed = self.applied.get(nonces.start) is transaction
        self.ledger.settle(nonces, executed=executed)

    @precondition(lambda self: self.doubtful and not self.waiting)
    @rule()
    def resynced_after_everything_expired(self):
        self.on_wire.clear()
        self.doubtful.clear()
        self.ledger.resync(self.venue_next)

    @rule(count=st.integers(1, 2))
    def somebody_else_uses_the_key(self, count):
        for _ in range(count):
            self.applied[self.venue_next] = "foreign"
            self.venue_next += 1

    @invariant()
    def in_flight_is_what_waits_or_is_in_doubt(self):
        expected = sorted(
            nonce for nonces in self.waiting + self.doubtful for nonce in nonces
        )
        assert list(self.ledger.in_flight) == expected
        assert len(set(expected)) == len(expected) <= 16

    @invariant()
    def the_lane_is_held_while_anything_is_in_doubt(self):
        assert self.ledger.held is bool(self.doubtful)


def recover(lane):
    """Answer everything that is open; then one sync must get an order through."""
    while lane.waiting:
        lane.answered(0)
    while lane.doubtful:
        lane.settled_by_expiry_and_a_read(0)
    refused = 0
    while True:
        if lane.ledger.needs_sync:
            lane.ledger.sync(lane.venue_next)
        taken = lane.ledger.take(1)
        if lane.deliver(taken, object()) == "accepted":
            lane.ledger.confirm(taken)
            return refused
        lane.ledger.suspect(taken)
        refused += 1
        assert refused <= 1


class RecoveringNonceLane(NonceLane):
    """The same, and at the end at most one refusal stands before acceptance."""

    def teardown(self):
        recover(self)


TestNonceLane = RecoveringNonceLane.TestCase
TestNonceLane.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None
)
