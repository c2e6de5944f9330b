"""Client order indices: leases and the sequence that counts through them."""

from __future__ import annotations

import pytest

from wrappy._core.coi import (
    COI_EPOCH_S,
    COI_MAX,
    TICK_MAX,
    CoiLease,
    CoiSequence,
    grant_lease,
)
from wrappy.errors import ConfigError, UsageError

NOW_S = COI_EPOCH_S + 1000.75


def test_a_first_lease_starts_at_the_clock():
    lease = grant_lease(None, NOW_S, tag=5)
    assert lease == CoiLease(first_tick=1000, ticks=16, tag=5)
    assert lease.last_tick == 1015
    assert lease.size == 16 * 4096


@pytest.mark.parametrize("clock_change_s", [0, -500, 3])
def test_a_lease_after_a_restart_starts_behind_the_stored_one(clock_change_s):
    first = grant_lease(None, NOW_S, tag=5)
    second = grant_lease(first.last_tick, NOW_S + clock_change_s, tag=5)
    assert second.first_tick == first.last_tick + 1


def test_a_lease_long_after_the_stored_one_starts_at_the_clock():
    assert grant_lease(1015, NOW_S + 5000, tag=5).first_tick == 6000


@pytest.mark.parametrize("now_s", [0.0, COI_EPOCH_S - 1.0, COI_EPOCH_S + 0.5])
def test_a_clock_before_2024_is_refused_in_words(now_s):
    with pytest.raises(ConfigError, match="before 2024"):
        grant_lease(None, now_s, tag=0)


def test_a_clock_behind_the_last_second_is_refused_in_words():
    with pytest.raises(ConfigError, match="2058"):
        grant_lease(None, COI_EPOCH_S + TICK_MAX - 3.0, tag=0)


@pytest.mark.parametrize(
    ("first_tick", "ticks", "tag", "named"),
    [(1, 1, -1, "tag"), (1, 1, 64, "tag"), (1, 0, 0, "ticks"), (0, 1, 0, "first tick")],
)
def test_a_lease_out_of_range_is_refused_by_name(first_tick, ticks, tag, named):
    with pytest.raises(ConfigError, match=named):
        CoiLease(first_tick, ticks, tag)


def test_the_last_index_of_all_is_the_largest_on_the_wire():
    sequence = CoiSequence(CoiLease(TICK_MAX, 1, 63))
    last = [sequence.next() for _ in range(4096)][-1]
    assert last == COI_MAX == 2**48 - 1


def test_the_smallest_index_is_not_zero():
    assert CoiSequence(CoiLease(1, 1, 0)).next() == 1 << 18


def test_a_used_up_sequence_says_so_and_goes_on_when_extended():
    sequence = CoiSequence(CoiLease(1, 1, 2))
    ids = [sequence.next() for _ in range(4096)]
    assert sequence.exhausted
    assert sequence.remaining == 0
    with pytest.raises(UsageError, match="extend"):
        sequence.next()
    sequence.extend(CoiLease(2, 1, 2))
    assert not sequence.exhausted
    assert sequence.next() > ids[-1]


def test_a_sequence_extended_early_uses_its_leases_in_turn():
    sequence = CoiSequence(CoiLease(1, 1, 2))
    sequence.extend(CoiLease(9, 1, 2))
    assert sequence.remaining == 8192
    assert repr(sequence) == "CoiSequence(remaining=8192)"
    ids = [sequence.next() for _ in range(8192)]
    assert ids == sorted(set(ids))
    assert ids[4096] >> 18 == 9
    assert sequence.exhausted


def test_a_lease_that_overlaps_what_the_sequence_holds_is_refused():
    sequence = CoiSequence(CoiLease(1, 4, 2))
    with pytest.raises(UsageError, match="already holds second 4"):
        sequence.extend(CoiLease(4, 4, 2))
    sequence.extend(CoiLease(5, 4, 2))
    with pytest.raises(UsageError, match="already holds second 8"):
        sequence.extend(CoiLease(8, 4, 2))
