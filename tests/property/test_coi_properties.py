"""Client order indices stay unique over restarts, processes and clocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wrappy._core.coi import COI_EPOCH_S, COI_MAX, CoiSequence, grant_lease

OFFSETS_S = st.floats(min_value=1, max_value=10_000)


@given(
    st.lists(
        st.tuples(OFFSETS_S, st.integers(1, 3), st.integers(1, 9000)),
        min_size=1,
        max_size=6,
    )
)
def test_runs_that_share_a_stored_tick_never_share_an_index(runs):
    """Each run has a clock of its own choice and dies after some indices."""
    stored = None
    seen = []
    for offset_s, ticks, count in runs:
        lease = grant_lease(stored, COI_EPOCH_S + offset_s, tag=3, ticks=ticks)
        stored = lease.last_tick
        sequence = CoiSequence(lease)
        for _ in range(count):
            if sequence.exhausted:
                lease = grant_lease(stored, COI_EPOCH_S + offset_s, tag=3, ticks=ticks)
                stored = lease.last_tick
                sequence.extend(lease)
            seen.append(sequence.next())
    assert seen == sorted(set(seen))
    assert seen[0] > 0
    assert seen[-1] <= COI_MAX


@given(st.lists(st.integers(0, 2), min_size=1, max_size=300), OFFSETS_S)
def test_processes_of_one_host_never_share_an_index(turns, offset_s):
    """Three processes on one stopped clock take turns in any order."""
    stored = None
    sequences: dict[int, CoiSequence] = {}
    seen = set()
    for process in turns:
        if process not in sequences:
            lease = grant_lease(stored, COI_EPOCH_S + offset_s, tag=0, ticks=1)
            stored = lease.last_tick
            sequences[process] = CoiSequence(lease)
        seen.add(sequences[process].next())
    assert len(seen) == len(turns)


@given(OFFSETS_S, st.integers(0, 63), st.integers(0, 63))
def test_hosts_with_different_tags_never_share_an_index(offset_s, one, other):
    def some(tag):
        sequence = CoiSequence(grant_lease(None, COI_EPOCH_S + offset_s, tag=tag))
        return {sequence.next() for _ in range(50)}

    assert some(one).isdisjoint(some(other)) is (one != other)
