"""Made-up markets: what their courses and their events are like, in figures."""

from __future__ import annotations

import math
import os
import random
import statistics
import subprocess
import sys
from itertools import pairwise

import pytest

from wrappy.errors import ConfigError
from wrappy.protocol.markets import BUNDLED_MARKETS, find_market
from wrappy.venue.events import SetIndexPrice, SetLevel
from wrappy.venue.flow import SyntheticFlow
from wrappy.venue.flow_settings import FlowSettings
from wrappy.venue.price_walk import (
    YEAR_S,
    GeometricWalk,
    HawkesArrivals,
    Jumps,
    PoissonArrivals,
    RevertingWalk,
)

pytestmark = pytest.mark.slow

ETH = find_market(BUNDLED_MARKETS, symbol="ETH")
BTC = find_market(BUNDLED_MARKETS, symbol="BTC")
HOUR_US = 3_600_000_000
HOURS = int(os.environ.get("WRAPPY_FLOW_HOURS", "1"))
BURSTS = FlowSettings(process="gbm", events_per_s=4.0, clustering=0.9, clustering_s=0.5)
JUMPY = FlowSettings(process="gbm", jumps_per_day=2_000.0, jump_size=0.002)
RETURNING = FlowSettings(process="ou", half_life_s=60.0, volatility=2.0)
GOLDEN = "a1a29be9a1647dd99103911caff419a8bb3dfc77ac2e56316b51e464e55bdd65"


def kurtosis(values):
    mean = statistics.fmean(values)
    squares = statistics.fmean((value - mean) ** 2 for value in values)
    return statistics.fmean((value - mean) ** 4 for value in values) / squares**2


def returns(like, *, seed=1, seconds=7_200, every_change=False):
    """Log returns of each second, by the middle of the book; it may never cross."""
    flow = SyntheticFlow(ETH, seed=seed, like=like)
    sides, middles = ({}, {}), []
    for second in range(seconds):
        for action in flow.step(second * 1_000_000):
            if isinstance(action, SetLevel):
                side = sides[action.is_ask]
                if action.base:
                    side[action.price] = action.base
                else:
                    del side[action.price]
                if every_change:
                    assert max(sides[0], default=0) < min(sides[1], default=math.inf)
        bid, ask = max(sides[0]), min(sides[1])
        assert bid < ask
        middles.append((bid + ask) / 2)
    return [math.log(after / before) for before, after in pairwise(middles)]


@pytest.mark.parametrize("like", [BURSTS, JUMPY, RETURNING])
def test_the_book_has_a_spread_and_never_crosses_in_any_course(like):
    assert len(returns(like, seconds=600, every_change=True)) == 599


@pytest.mark.parametrize(
    "like",
    [
        FlowSettings(),
        FlowSettings(clustering=0.5, clustering_s=1.0),
        FlowSettings(events_per_s=4.0, clustering=0.8, clustering_s=0.5),
    ],
)
def test_events_come_at_the_rate_that_was_asked_for(like):
    flow, count = SyntheticFlow(ETH, seed=11, like=like), 0
    while flow.next_at_us() <= HOURS * HOUR_US:
        flow.step(flow.next_at_us())
        count += 1
    within = 0.1 / math.sqrt(HOURS)
    assert count / (HOURS * 3_600) == pytest.approx(like.events_per_s, rel=within)


def test_clustered_events_come_in_bursts_and_others_do_not():
    def dispersion(arrivals):
        # Variance over mean of the counts of ten seconds: 1 for independent events.
        counts, at_us = [0] * 2_000, 0.0
        while (at_us := at_us + arrivals.wait_us()) < 20_000 * 1_000_000:
            counts[int(at_us / 10_000_000)] += 1
        return statistics.variance(counts) / statistics.fmean(counts)

    plain = dispersion(PoissonArrivals(random.Random(1), 5.0))
    bursts = dispersion(HawkesArrivals(random.Random(1), 5.0, 0.7, 0.5))
    assert plain == pytest.approx(1.0, abs=0.15)
    # In the long run 1 / (1 - 0.7) ** 2; the windows' edges take a little of it.
    assert 8.0 < bursts < 12.5


def test_returns_have_fat_tails_with_bursts_and_with_jumps_and_not_without():
    assert kurtosis(returns(BURSTS, seconds=3_600)) > 4.0
    assert kurtosis(returns(JUMPY, seconds=3_600)) > 10.0
    calm = FlowSettings(process="gbm", volatility=2.0)
    assert kurtosis(returns(calm)) == pytest.approx(3.0, abs=0.35)


def test_a_geometric_walk_has_the_volatility_it_was_given_and_no_drift():
    walk, step_s, price = GeometricWalk(random.Random(5), 0.8), 3_600.0, 100.0
    moves = []
    for _ in range(20_000):
        after = walk.move(price, step_s)
        moves.append(math.log(after / price))
    deviation = statistics.stdev(moves) * math.sqrt(YEAR_S / step_s)
    assert deviation == pytest.approx(0.8, rel=0.03)
    grown = statistics.fmean(math.exp(move) for move in moves)
    assert grown == pytest.approx(1.0, abs=0.0003)


def test_a_reverting_walk_halves_a_deviation_in_its_half_life():
    dice = random.Random(3)
    walk = RevertingWalk(dice, 100.0, 0.5, 600.0)
    ends = [math.log(walk.move(120.0, 600.0) / 100.0) for _ in range(4_000)]
    assert statistics.fmean(ends) == pytest.approx(math.log(1.2) / 2, rel=0.02)


def test_a_reverting_walk_keeps_the_spread_it_settles_at():
    walk, price, seen = RevertingWalk(random.Random(4), 100.0, 0.5, 60.0), 100.0, []
    for _ in range(20_000):
        price = walk.move(price, 120.0)
        seen.append(math.log(price / 100.0))
    expected = 0.5 / math.sqrt(YEAR_S) / math.sqrt(2 * math.log(2.0) / 60.0)
    assert statistics.stdev(seen) == pytest.approx(expected, rel=0.05)
    assert abs(statistics.fmean(seen)) < expected / 20


def test_jumps_come_as_often_and_as_large_as_asked_however_time_is_cut():
    fine = Jumps(random.Random(9), 50.0, 0.01)
    coarse = Jumps(random.Random(9), 50.0, 0.01)
    one, other = 1.0, 1.0
    for _ in range(2_400):
        one *= fine.factor(36.0)
    for _ in range(24):
        other *= coarse.factor(3_600.0)
    assert one == pytest.approx(other)
    daily = [math.log(coarse.factor(86_400.0)) for _ in range(3_000)]
    assert statistics.stdev(daily) == pytest.approx(0.01 * math.sqrt(50), rel=0.06)
    assert Jumps(random.Random(1), 0.0, 0.5).factor(1e9) == 1.0


@pytest.mark.parametrize("clustering", [0.0, -0.1, 1.0, 0.96, math.nan])
def test_events_that_would_never_end_are_refused(clustering):
    with pytest.raises(ConfigError, match=r"clustering: .* is not above 0 and at most"):
        HawkesArrivals(random.Random(1), 1.0, clustering, 1.0)


@pytest.mark.parametrize("decay_s", [0.0, -1.0, math.inf, math.nan])
def test_an_influence_that_does_not_end_is_refused(decay_s):
    with pytest.raises(ConfigError, match="clustering_s"):
        HawkesArrivals(random.Random(1), 1.0, 0.5, decay_s)


def test_each_market_may_have_a_seed_of_its_own():
    def course(seed, like=None):
        flow = SyntheticFlow(ETH, seed=seed, like=like)
        return [a for a in flow.step(5_000_000) if isinstance(a, SetIndexPrice)]

    assert course(1, FlowSettings(seed=8)) == course(2, FlowSettings(seed=8))
    assert course(1, FlowSettings(seed=8)) == course(8)
    assert course(1) != course(2)


PROGRAM = """
import hashlib
from wrappy.model import Market
from wrappy.venue.flow import SyntheticFlow, merge
from wrappy.venue.flow_settings import FlowSettings
likes = [
    FlowSettings(process="gbm", clustering=0.6, jumps_per_day=5000.0),
    FlowSettings(process="ou", half_life_s=30.0, seed=4),
]
markets = [Market("ETH", 0, 2, 4, 50), Market("BTC", 1, 1, 5, 10)]
flow = merge(
    SyntheticFlow(market, seed=7, like=like) for market, like in zip(markets, likes)
)
told = [tuple(action) for action in flow.step(60_000_000)]
print(hashlib.sha256(repr(told).encode()).hexdigest())
"""


def test_every_course_is_the_same_in_every_process():
    # And on every Python version: a new value here is a change users notice.
    printed = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }
    assert printed == {GOLDEN}
