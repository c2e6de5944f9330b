"""No bucket of ours ever passes more than the exchange counts as allowed."""

from __future__ import annotations

import itertools

from hypothesis import assume, given
from hypothesis import strategies as st

from wrappy._core.quota import RollingWindow, plan_bucket, plan_reserved


class LeakyBucket:
    """The arithmetic of the limiter in use: a level that drains at a fixed rate."""

    def __init__(self, plan):
        self.plan = plan
        self.level = 0.0
        self.updated = 0.0

    def passes(self, weight, now):
        drained = (now - self.updated) * self.plan.per_second
        self.level = max(0.0, self.level - drained)
        self.updated = now
        if self.level + weight > self.plan.burst:
            return False
        self.level += weight
        return True


@given(
    st.integers(60, 400),
    st.floats(0.2, 0.5),
    st.lists(st.integers(1, 10), min_size=1, max_size=20),
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
    st.floats(0.05, 4.0),
)
def test_greedy_buckets_with_uneven_travel_times_stay_within_the_window(
    limit, reserve, weights, travel_times, pause_s
):
    """Ordinary and reserved bucket together, seen from the exchange's end.

    Whatever a bucket lets pass is sent; what is first held up and then hurries
    arrives closest together, so the travel times fall back again and again.
    """
    assume(limit * reserve > 10)
    settings = {"largest": 10, "reserve": reserve, "delay_spread_s": 1.0}
    buckets = (
        LeakyBucket(plan_bucket(limit, **settings)),
        LeakyBucket(plan_reserved(limit, **settings)),
    )
    weight_of, travel_s_of = itertools.cycle(weights), itertools.cycle(travel_times)
    arrivals = []
    for step in range(int(150 / pause_s)):
        now = step * pause_s
        for bucket in buckets:
            while bucket.passes(weight := next(weight_of), now):
                arrivals.append((now + next(travel_s_of), weight))
    window = RollingWindow(limit, 60.0)
    for arrival, weight in sorted(arrivals):
        assert window.offer(weight, arrival) == 0.0


@given(st.lists(st.tuples(st.integers(0, 12), st.floats(0, 30)), max_size=60))
def test_a_window_counts_what_it_let_through_and_keeps_its_word(offers):
    window = RollingWindow(12, 60.0)
    now = 0.0
    passed = []
    for weight, pause_s in offers:
        now += pause_s
        wait_s = window.offer(weight, now)
        if wait_s > 0:
            assert sum(w for t, w in passed if t > now - 60.0) + weight > 12
            now += wait_s
            assert window.offer(weight, now) == 0.0
        passed.append((now, weight))
        # The grace of the window is far below this margin.
        assert sum(w for t, w in passed if t > now - 60.0 + 1e-6) <= 12
