"""Nothing in the queue is lost, doubled, or moved against the rules."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wrappy._core.batch import BatchQueue, chunks

PUTS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(1, 4)),
        st.booleans(),
        st.sampled_from([None, "a", "b"]),
    ),
    max_size=40,
)


def filled(puts):
    queue = BatchQueue()
    for number, (touches, is_cancel, scope) in enumerate(puts):
        queue.put(number, touches=touches, is_cancel=is_cancel, scope=scope)
    return queue


@given(PUTS, st.integers(1, 7))
def test_every_intent_leaves_once_with_its_own_scope(puts, limit):
    queue = filled(puts)
    left = []
    for scope in (None, "a", "b"):
        expected = queue.count(scope)
        runs = chunks(queue.take(scope), limit)
        assert all(1 <= len(run) <= limit for run in runs)
        entries = [entry for run in runs for entry in run]
        assert len(entries) == expected
        assert all(entry.scope == scope for entry in entries)
        left += [entry.intent for entry in entries]
    assert sorted(left) == list(range(len(puts)))
    assert len(queue) == 0


@given(PUTS)
def test_the_order_of_sending_follows_the_rules(puts):
    entries = filled([(touches, is_cancel, None) for touches, is_cancel, _ in puts])
    entries = entries.take()
    others = [entry.intent for entry in entries if not entry.is_cancel]
    assert others == sorted(others)
    for position, later in enumerate(entries):
        for earlier in entries[:position]:
            if earlier.intent < later.intent:
                continue
            # `earlier` came later and overtook: only a cancel may, and not on the
            # same order.
            assert earlier.is_cancel
            assert earlier.touches is not None
            assert earlier.touches != later.touches


@given(PUTS, PUTS, st.integers(0, 40))
def test_what_is_put_back_stands_where_it_stood_by_arrival(puts, since, cut):
    queue = filled(puts)
    unsent = queue.take("a")[cut:] + queue.take("b")[cut:]
    newer = [
        queue.put("new", touches=touches, is_cancel=is_cancel, scope=scope)
        for touches, is_cancel, scope in since
    ]
    queue.put_back(unsent)
    for scope in ("a", "b"):
        mine = [entry for entry in unsent + newer if entry.scope == scope]
        expected = sorted(mine, key=lambda entry: entry.number)
        assert queue.discard(scope) == expected
