"""What is left of the volume quota, and when a send has to wait for it."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from wrappy._core.volume_quota import VolumeQuota


def told(left):
    quota = VolumeQuota()
    quota.offer(1, 0.0)
    quota.answered(1, left)
    return quota


def test_nothing_waits_before_the_exchange_has_told_a_number():
    quota = VolumeQuota()
    assert [quota.offer(15, 0.0), quota.offer(1, 0.0)] == [0.0, 0.0]
    quota.answered(15, None)
    assert quota.left is None


def test_what_is_on_the_way_counts_as_spent():
    quota = told(10)
    assert quota.offer(8, 20.0) == 0.0
    assert quota.left == 2
    assert quota.offer(3, 20.0) == math.inf
    quota.given_back(8)
    assert quota.left == 10
    assert repr(quota) == "VolumeQuota(left=10, on_the_way=0)"


def test_cancels_are_free_even_when_nothing_is_left():
    quota = told(0)
    assert quota.offer(0, 0.0) == 0.0
    quota.answered(0, None)
    assert quota.left == 0


def test_a_single_send_goes_every_fifteen_seconds_when_nothing_is_left():
    quota = told(0)
    assert quota.offer(1, 5.0) == 10.0
    assert quota.offer(1, 15.0) == 0.0
    quota.answered(1, None)
    assert quota.offer(1, 16.0) == 14.0


def test_a_batch_never_waits_for_the_free_send():
    assert told(1).offer(2, 1_000.0) == math.inf


def test_an_answer_without_a_number_counts_as_spent_and_the_next_corrects():
    quota = told(5)
    quota.offer(2, 1.0)
    quota.answered(2, None)
    assert quota.left == 3
    quota.offer(1, 2.0)
    quota.answered(1, 9)
    assert quota.left == 9


def test_a_refusal_for_want_of_quota_empties_it():
    quota = told(100)
    assert quota.offer(1, 20.0) == 0.0
    quota.given_back(1)
    quota.exhausted(20.0)
    assert quota.left == 0
    assert quota.offer(1, 21.0) == 14.0


@given(
    st.integers(0, 40),
    st.lists(st.tuples(st.integers(0, 5), st.floats(0, 20)), max_size=60),
)
def test_an_exchange_that_counts_never_has_to_refuse(start, sends):
    """Whatever is let through, the exchange has quota or a free send for it."""
    quota = told(start)
    left, free_at, now = start, 15.0, 0.0
    for spends, pause_s in sends:
        now += pause_s
        if quota.offer(spends, now) > 0.0:
            continue
        if spends == 1 and now >= free_at:
            free_at = now + 15.0
            quota.answered(1, None)
            continue
        assert spends <= left
        left -= spends
        quota.answered(spends, left if spends else None)


def test_one_transaction_among_cancels_is_no_free_send():
    quota = told(0)
    assert quota.offer(1, 20.0, alone=False) == math.inf
    assert quota.offer(1, 20.0) == 0.0


def test_after_a_trade_one_send_may_try_before_its_time():
    quota = told(0)
    quota.traded()
    assert quota.offer(1, 1.0) == 0.0
    quota.given_back(1)
    quota.exhausted(1.0)
    assert quota.offer(1, 2.0) == 14.0
    quota.traded()
    quota.offer(0, 2.0)
    quota.answered(0, 0)
    assert quota.offer(1, 2.0) == 14.0, "a number that is told settles it"
