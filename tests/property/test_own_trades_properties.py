"""Own trades against a model that forgets nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from wrappy._core.own_trades import OwnTrades


class Account(RuleBasedStateMachine):
    """An exchange that trades, and tells of it live, late, twice and in pages."""

    @initialize(capacity=st.integers(1, 12))
    def open(self, capacity):
        self.capacity = capacity
        self.trades = OwnTrades(capacity)
        self.made = []
        self.told = []

    def take(self, numbers):
        before = sorted(self.told)
        floor = before[-self.capacity - 1] if len(before) > self.capacity else -1
        assert self.trades.floor >= floor
        fresh = self.trades.add(numbers)
        # What may be left out: only what has `capacity` newer ones told before it.
        for number in set(numbers) - set(before) - set(fresh):
            newer = sum(other > number for other in before)
            assert newer >= self.capacity
        assert fresh == sorted(set(fresh))
        assert not set(fresh) & set(before)
        assert set(fresh) <= set(numbers)
        self.told += fresh

    @rule(step=st.integers(1, 3), count=st.integers(1, 5), data=st.data())
    def trade(self, step, count, data):
        """Trade, and have only some of it told: the rest happens in an outage."""
        start = self.made[-1] if self.made else 0
        new = [start + step * (i + 1) for i in range(count)]
        self.made += new
        self.take(data.draw(st.lists(st.sampled_from(new), unique=True)))

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def repeat(self, data):
        self.take(data.draw(st.lists(st.sampled_from(self.made), max_size=8)))

    @precondition(lambda self: self.made)
    @rule(pages=st.integers(1, 4), size=st.integers(1, 4))
    def read_pages(self, pages, size):
        """Read pages newest first, and take them all at once."""
        self.take(self.made[::-1][: pages * size])

    @invariant()
    def memory_is_bounded_and_knows_what_was_told(self):
        if not hasattr(self, "trades"):
            return
        assert len(self.trades) <= self.capacity
        assert all(self.trades.knows(number) for number in self.told)
        assert self.trades.newest == max(self.told, default=None)
        for number in self.made:
            known = number in self.told or number <= self.trades.floor
            assert self.trades.knows(number) == known


TestAccount = Account.TestCase


@given(
    numbers=st.lists(st.integers(0, 10**15), unique=True, max_size=60),
    data=st.data(),
)
def test_within_capacity_each_is_told_exactly_once(numbers, data):
    trades = OwnTrades(max(1, len(numbers)))
    told = []
    again = data.draw(st.lists(st.sampled_from(numbers))) if numbers else []
    for number in data.draw(st.permutations(numbers + again)):
        told += trades.add([number])
    assert sorted(told) == sorted(numbers)
    assert trades.floor == -1
    assert trades.undecided == 0
