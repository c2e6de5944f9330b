"""Budgets: plans for buckets, pauses, and the exchange's rolling window."""

from __future__ import annotations

import math

import pytest

from wrappy._core.quota import (
    BucketPlan,
    Cooldown,
    RollingWindow,
    plan_bucket,
    plan_reserved,
)
from wrappy.errors import ConfigError


def test_burst_and_refill_of_a_window_fit_the_share_together():
    plan = plan_bucket(24_000, largest=300)
    assert plan.burst == 4800
    assert plan.most_in(61.0) == pytest.approx(19_200)
    assert plan.most_in(60.0) < 19_200


def test_the_two_buckets_together_stay_within_the_limit():
    ordinary = plan_bucket(60, largest=1)
    reserved = plan_reserved(60, largest=1)
    assert ordinary.most_in(60.0) + reserved.most_in(60.0) < 60


def test_the_burst_lets_the_heaviest_request_through():
    assert plan_bucket(1000, largest=600, reserve=0.0).burst == 600


def test_the_limiter_gets_its_second_number_from_the_plan():
    assert BucketPlan(burst=12.0, per_second=0.5).time_period_s == 24.0


@pytest.mark.parametrize(
    ("limit", "settings", "named"),
    [
        (60, {"largest": 48}, "limit"),
        (60, {"largest": 1, "reserve": 1.0}, "reserve"),
        (60, {"largest": 1, "reserve": -0.1}, "reserve"),
        (60, {"largest": 1, "window_s": 0.0}, "window_s"),
        (60, {"largest": 0}, "largest"),
        (60, {"largest": 1, "delay_spread_s": -1.0}, "delay_spread_s"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_by_name(limit, settings, named):
    with pytest.raises(ConfigError, match=named):
        plan_bucket(limit, **settings)


def test_without_a_reserve_there_is_no_bucket_for_cancels():
    with pytest.raises(ConfigError, match="reserve"):
        plan_reserved(60, largest=1, reserve=0.0)


def test_a_pause_runs_down_and_a_shorter_one_does_not_cut_it():
    cooldown = Cooldown()
    assert cooldown.remaining(100.0) == 0.0
    cooldown.pause(100.0, 60.0)
    cooldown.pause(110.0, 1.0)
    assert cooldown.remaining(130.0) == 30.0
    assert cooldown.remaining(161.0) == 0.0


def test_a_window_tells_when_a_weight_would_pass():
    window = RollingWindow(10, 60.0)
    assert window.offer(4, 0.0) == 0.0
    assert window.offer(5, 10.0) == 0.0
    assert window.offer(2, 20.0) == 40.0
    assert window.offer(6, 20.0) == 50.0
    assert window.offer(1, 20.0) == 0.0
    assert repr(window) == "RollingWindow(used=10, limit=10)"
    assert window.used(60.0) == 6
    assert window.offer(2, 60.0) == 0.0


def test_a_weight_above_the_limit_never_passes():
    window = RollingWindow(10, 60.0)
    assert window.offer(11, 0.0) == math.inf
    assert window.used(0.0) == 0


def test_a_stepped_clock_that_waits_as_told_gets_through():
    """12.3 + (1.6 + 60 - 12.3) is a little less than 1.6 + 60 in binary."""
    window = RollingWindow(1, 60.0)
    assert window.offer(1, 1.6) == 0.0
    wait_s = window.offer(1, 12.3)
    assert wait_s == pytest.approx(49.3)
    assert window.offer(1, 12.3 + wait_s) == 0.0
