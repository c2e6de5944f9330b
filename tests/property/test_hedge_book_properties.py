"""The hedge's decisions, whatever is lost, repeated, late or refused."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.hedge.book import Fill, Hedge, HedgeBook, Patience, Reading
from examples.hedge.watch import PairWatch

PATIENCE = Patience(
    least_lots=5, limit_lots=10, hedge_for_s=1e9, flatten_after_s=2e9, halt_after_s=3e9
)


class Pair(RuleBasedStateMachine):
    """Two accounts, a bus that loses and repeats, and the book between them."""

    def __init__(self):
        super().__init__()
        self.book = HedgeBook(PATIENCE)
        self.now_ms = 1_000
        self.a = self.b = 0
        self.fills = []
        self.unheard = []
        self.hedge = None
        self.was_wrong = False

    @property
    def now(self):
        return self.now_ms / 1_000

    def passed(self, ms=10):
        self.now_ms += ms

    @rule(lots=st.integers(-30, 30).filter(bool))
    def leg_a_trades(self, lots):
        self.passed()
        self.a += lots
        self.fills.append(Fill(7, len(self.fills), lots, self.now_ms))
        self.unheard.append(self.fills[-1])
        self.passed()

    @precondition(lambda self: self.unheard)
    @rule(data=st.data())
    def a_message_arrives(self, data):
        place = data.draw(st.integers(0, len(self.unheard) - 1))
        self.book.on_fill(self.unheard.pop(place))

    @precondition(lambda self: self.unheard)
    @rule()
    def a_message_is_lost(self):
        self.unheard.pop()

    @precondition(lambda self: self.fills)
    @rule(data=st.data())
    def a_message_comes_again(self, data):
        fill = data.draw(st.sampled_from(self.fills))
        if fill not in self.unheard:
            owed = self.book.owed
            grew = self.book.on_fill(fill)
            # Only one that was lost and not repaired yet can be news.
            assert grew or self.book.owed == owed
            if not grew:
                assert not self.book.on_fill(fill)

    @precondition(lambda self: self.hedge is None)
    @rule()
    def leg_b_decides(self):
        self.passed(2_000)
        action = self.book.decide(self.now)
        if isinstance(action, Hedge):
            assert action.lots == self.book.owed
            assert abs(action.lots) >= PATIENCE.least_lots
            assert self.book.decide(self.now) is None, "one hedge at a time"
            self.hedge = action.lots
        else:
            assert abs(self.book.owed) < PATIENCE.least_lots

    @precondition(lambda self: self.hedge is not None)
    @rule(share=st.integers(0, 4))
    def the_hedge_trades(self, share):
        traded = int(self.hedge * share / 4)
        self.b += traded
        self.book.on_hedge(traded, self.now)
        self.hedge = None
        self.passed()

    @rule()
    def the_positions_are_read(self):
        self.passed()
        self.book.on_reading(Reading(self.a + self.b, self.now_ms), self.now)
        self.passed()

    @precondition(lambda self: self.hedge is None)
    @rule()
    def leg_b_dies_and_starts(self):
        self.passed()
        self.book = HedgeBook(PATIENCE)
        self.book.start(Reading(self.a + self.b, self.now_ms))
        # What it had not acknowledged comes again: it is in the positions.
        for fill in self.fills:
            assert not self.book.on_fill(fill)
        self.unheard.clear()
        self.passed()

    @invariant()
    def what_it_owes_differs_by_the_unheard_messages_only(self):
        # Two readings set right whatever was lost.
        if self.hedge is not None:
            return
        book = self.book
        expected = -(self.a + self.b)
        if book.owed != expected:
            wrong_by = expected - book.owed
            missing = [f.lots for f in self.fills if (7, f.trade_id) not in book._seen]
            assert missing or wrong_by == 0

    def teardown(self):
        """However it ends: two looks, a decision and a trade balance the pair."""
        if self.hedge is not None:
            self.the_hedge_trades(4)
        for _ in range(2):
            self.the_positions_are_read()
        self.leg_b_decides()
        if self.hedge is not None:
            self.the_hedge_trades(4)
        assert abs(self.a + self.b) < PATIENCE.least_lots


TestPair = Pair.TestCase


def test_leg_a_waits_then_acts_then_gives_up():
    watch = PairWatch(
        Patience(least_lots=5, limit_lots=10, flatten_after_s=4, halt_after_s=8)
    )
    steps = [watch.decide(9, 0.0), watch.decide(30, 1.0), watch.decide(30, 4.9)]
    steps += [watch.decide(30, 5.0), watch.decide(-30, 8.0), watch.decide(-30, 9.0)]
    assert [step.what for step in steps] == [
        *("quote", "pause", "pause", "flatten", "flatten", "halt")
    ]
    assert [step.lots for step in steps[3:5]] == [-30, 30]
