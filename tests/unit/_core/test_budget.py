"""One budget: an even flow, a hard limit, and a part that cancels alone may use."""

from __future__ import annotations

import math

import pytest

from wrappy._core.budget import Budget, Share, Way
from wrappy._core.quota import BucketPlan
from wrappy.errors import ConfigError


def budget(limit=60, largest=1):
    return Budget(limit, largest=largest, window_s=60.0)


def passes(the_budget, now, *, urgent=False, weight=1):
    count = 0
    while not (way := the_budget.way(weight, now, urgent=urgent)).wait_s:
        the_budget.book(weight, now, reserved=way.reserved)
        count += 1
    return count


def test_a_burst_passes_and_then_an_even_flow():
    the_budget = budget()
    assert passes(the_budget, 0.0) == 12
    wait_s = the_budget.way(1, 0.0, urgent=False).wait_s
    assert wait_s == pytest.approx(61 / 36)
    assert passes(the_budget, wait_s) == 1
    assert the_budget.used(wait_s) == 13
    assert repr(the_budget) == "Budget(limit=60)"


def test_cancels_use_the_ordinary_part_first_and_the_kept_part_then():
    the_budget = budget()
    assert the_budget.way(1, 0.0, urgent=True) == Way(0.0, reserved=False)
    assert passes(the_budget, 0.0) == 12
    assert the_budget.way(1, 0.0, urgent=True) == Way(0.0, reserved=True)
    assert passes(the_budget, 0.0, urgent=True) == 3
    # The ordinary bucket drains sooner than the kept one.
    assert the_budget.way(1, 0.0, urgent=True).reserved is False


def test_whatever_happens_the_kept_part_is_two_requests_at_least():
    the_budget = budget(limit=6)
    assert passes(the_budget, 0.0) == 1
    assert passes(the_budget, 0.0, urgent=True) == 2
    passed = [passes(the_budget, float(second)) for second in range(1, 61)]
    assert sum(passed) == 1
    assert passes(the_budget, 61.0, urgent=True) > 0


def test_what_is_recalled_counts_for_both_parts_together():
    the_budget = budget(limit=10)
    for _ in range(10):
        the_budget.recall(1, 5.0, reserved=True)
    assert the_budget.used(5.0) == 10
    assert the_budget.way(1, 6.0, urgent=False).wait_s == pytest.approx(60.0)
    assert the_budget.way(1, 6.0, urgent=True).wait_s == pytest.approx(60.0)
    assert passes(the_budget, 66.0) > 0


def test_after_calm_one_passes_and_no_burst_follows():
    the_budget = budget()
    the_budget.calm(100.0)
    assert passes(the_budget, 100.0) == 1
    assert passes(the_budget, 100.0, urgent=True) == 1


def test_calm_never_makes_room_that_was_not_there():
    the_budget = budget()
    assert passes(the_budget, 0.0) == 12
    the_budget.calm(0.0)
    assert passes(the_budget, 0.0) == 0


def test_a_share_that_is_full_until_later_tells_the_time_from_now():
    share = Share(BucketPlan(2.0, 1.0), limit=100, window_s=60.0)
    share.calm(10.0, 1)
    assert share.wait_s(2, 4.0) == pytest.approx(7.0)
    assert share.wait_s(1, 4.0) == 0.0
    assert "BucketPlan" in repr(share)


def test_a_weight_above_the_burst_never_passes():
    the_budget = budget(limit=60)
    assert the_budget.way(13, 0.0, urgent=True).wait_s == math.inf


def test_a_limit_that_carries_nothing_is_refused():
    with pytest.raises(ConfigError, match="limit"):
        budget(limit=600, largest=600)
