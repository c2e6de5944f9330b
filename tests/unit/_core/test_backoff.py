"""Waiting times between attempts, and the budget of connects."""

from __future__ import annotations

import pytest

from wrappy._core.backoff import CONNECTS_PER_MINUTE, Backoff, ConnectBudget
from wrappy.errors import ConfigError


def test_waits_double_up_to_the_ceiling():
    backoff = Backoff(first_s=1.0, ceiling_s=5.0)
    assert [backoff.next(0.0) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_chance_takes_at_most_its_share_away():
    backoff = Backoff(first_s=8.0, factor=1.0, jitter=0.5)
    assert backoff.next(0.5) == 6.0
    assert 4.0 < backoff.next(0.999) < 4.01


def test_a_success_makes_the_next_wait_short_again():
    backoff = Backoff()
    waits = [backoff.next(0.0) for _ in range(100)]
    assert waits[-1] == 30.0
    backoff.reset()
    assert backoff.next(0.0) == 0.25


@pytest.mark.parametrize(
    "settings",
    [
        {"first_s": 0.0},
        {"first_s": 2.0, "ceiling_s": 1.0},
        {"factor": 0.5},
        {"jitter": 1.5},
        {"jitter": -0.1},
    ],
)
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Backoff(**settings)


def test_connects_beyond_the_budget_wait_for_the_oldest_to_age():
    budget = ConnectBudget()
    assert [budget.offer(1.0) for _ in range(CONNECTS_PER_MINUTE)] == [0.0] * 80
    assert budget.offer(11.0) == 50.0
    assert budget.offer(61.0) == 0.0
