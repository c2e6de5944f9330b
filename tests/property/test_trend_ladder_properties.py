"""The ladder's core against a model exchange: never beyond the position, no gap left.

News of the two streams come late and in any order between them; take profits are
refused or stay in doubt. Everything is told in the end.
"""

from __future__ import annotations

import pathlib
import random
import sys
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples" / "trend_ladder"))

from ladder_core import Backoff, Ladder, Rules  # noqa: E402

SMALLEST = 5


@dataclass
class There:
    """An order as the exchange has it, and what of it has been told."""

    lots: int
    filled: int = 0
    over: bool = False
    told: tuple = (0, False, False)

    @property
    def rests(self):
        return 0 if self.over else self.lots - self.filled


class Model:
    """An exchange that fills, refuses and tells when it is asked to."""

    def __init__(self, sign):
        self.rules = Rules(
            sign=sign,
            size=20,
            rungs=3,
            step=10,
            take_profit=15,
            most_held=200,
            most_profits=4,
            requote=3,
            smallest=lambda _: SMALLEST,
        )
        self.ladder = Ladder(self.rules, Backoff(1.0, 16.0), Backoff(1.0, 30.0, free=3))
        self.entries, self.profits = {}, {}
        self.held = self.word = 0
        self.number, self.now, self.best = 0, 0.0, 1_000
        self.refuses = False

    @property
    def covered(self):
        return sum(order.rests for order in self.profits.values())

    def check(self):
        assert self.covered <= self.held
        assert self.held <= self.rules.most_held
        coverage = self.ladder.coverage(self.word)
        assert coverage.gap >= 0
        assert coverage.excess >= 0

    def cycle(self):
        self.now += 1.0
        plan = self.ladder.plan(self.word, self.best, self.now)
        for number in plan.cancels:
            order = self.entries.get(number) or self.profits[number]
            order.over = True
        for wanted, mine, note in [
            *((w, self.profits, self.ladder.promised) for w in plan.profits),
            *((w, self.entries, self.ladder.entered) for w in plan.entries),
        ]:
            assert wanted.lots >= SMALLEST
            self.number += 1
            over = self.refuses and mine is self.profits
            mine[self.number] = There(wanted.lots, over=over)
            note(self.number, wanted, self.now)

    def fill(self, mine, part):
        resting = [order for order in mine.values() if order.rests]
        if not resting:
            return
        order = resting[part % len(resting)]
        lots = min(order.rests, 1 + part % 20)
        order.filled += lots
        order.over = order.filled == order.lots
        self.held += lots if mine is self.entries else -lots

    def tell_orders(self):
        for mine in (self.entries, self.profits):
            for number, order in list(mine.items()):
                self.ladder.changed(
                    number, filled=order.filled, is_told=True, is_over=order.over
                )
                if order.over:
                    del mine[number]

    def tell_position(self):
        self.word = self.held

    def settle(self):
        """Tell everything and let a calm minute pass: one cycle repairs."""
        self.refuses = False
        self.tell_orders()
        self.tell_position()
        self.now += 60.0
        self.cycle()
        self.check()

    def step(self, what, part):
        if what == "cycle":
            self.cycle()
        elif what == "buy":
            self.fill(self.entries, part)
        elif what == "profit":
            self.fill(self.profits, part)
        elif what == "orders":
            self.tell_orders()
        elif what == "position":
            self.tell_position()
        elif what == "refuse":
            self.refuses = not self.refuses
        else:
            self.best += part - 30


WORDS = ("cycle", "buy", "profit", "orders", "position", "refuse", "move")
SEEDS = st.integers(0, 2**32)
"""Lists of steps that are drawn one by one come out too short to hold anything."""


@settings(max_examples=200, deadline=None)
@given(SEEDS, st.sampled_from([1, -1]))
def test_coverage_is_never_beyond_the_position_and_one_cycle_closes_a_gap(seed, sign):
    dice, model = random.Random(seed), Model(sign)
    for _ in range(80):
        model.step(dice.choice(WORDS), dice.randrange(61))
        model.check()
    model.settle()
    assert model.held - model.covered < SMALLEST
    assert model.ladder.held == model.held


@settings(max_examples=200, deadline=None)
@given(SEEDS, st.integers(0, 200), st.sampled_from([1, -1]))
def test_after_the_accounts_own_word_what_is_too_much_goes_and_a_gap_closes(
    seed, truth, sign
):
    dice, model = random.Random(seed), Model(sign)
    for _ in range(30):
        model.step(dice.choice(("cycle", "buy")), dice.randrange(61))
        model.tell_orders()
        model.tell_position()
    model.held = model.word = truth
    model.ladder.rebase(truth, 1_000)
    for _ in range(4):
        model.now += 60.0
        model.cycle()
        model.tell_orders()
        model.tell_position()
    assert 0 <= model.held - model.covered < SMALLEST


def test_the_price_of_a_take_profit_is_the_distance_from_its_own_fill():
    model = Model(1)
    model.cycle()
    model.fill(model.entries, 6)
    model.tell_orders()
    model.tell_position()
    model.cycle()
    (entry,) = (o for o in model.ladder.entries.values() if o.filled)
    (profit,) = model.ladder.profits.values()
    assert (profit.ticks, profit.lots) == (entry.ticks + 15, entry.filled)


def test_a_part_too_small_for_an_order_waits_for_more():
    model = Model(1)
    model.cycle()
    for _ in range(2):
        model.fill(model.entries, 3)
        model.tell_orders()
        model.tell_position()
        model.cycle()
        if model.held < SMALLEST:
            assert not model.profits
            assert model.ladder.coverage(model.word).is_sound
    assert model.covered == model.held >= SMALLEST


def test_what_fails_again_and_again_waits_longer_each_time_and_calms_down():
    backoff, now, waits = Backoff(1.0, 8.0, free=2), 0.0, []
    for _ in range(7):
        backoff.done(now)
        waits.append(backoff.next_at - now)
        now = backoff.next_at
        assert backoff.ready(now)
    assert waits == [0, 0, 1, 2, 4, 8, 8]
    backoff.calm(now + 7.9)
    assert backoff.times == 7
    backoff.calm(now + 8.0)
    assert backoff.times == 0
