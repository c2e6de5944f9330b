"""The queue of intents: scopes, sending order, cutting and returning."""

from __future__ import annotations

import pytest

from wrappy._core.batch import BatchQueue, Queued, chunks
from wrappy.errors import UsageError


def put(queue, intent, touches=None, *, cancel=False, scope=None):
    return queue.put(intent, touches=touches, is_cancel=cancel, scope=scope)


def intents(entries):
    return [entry.intent for entry in entries]


def test_intents_leave_in_the_order_they_came():
    queue = BatchQueue()
    assert put(queue, "a", 1) == Queued("a", 1, is_cancel=False, scope=None)
    put(queue, "b", 2)
    put(queue, "leverage")
    assert len(queue) == 3
    assert intents(queue.take()) == ["a", "b", "leverage"]
    assert len(queue) == 0
    assert queue.take() == []


def test_cancels_go_first_in_the_order_they_came():
    queue = BatchQueue()
    put(queue, "create 9", 9)
    put(queue, "cancel 1", 1, cancel=True)
    put(queue, "create 8", 8)
    put(queue, "cancel 2", 2, cancel=True)
    assert intents(queue.take()) == ["cancel 1", "cancel 2", "create 9", "create 8"]


def test_a_cancel_stays_behind_what_acts_on_the_same_order():
    queue = BatchQueue()
    put(queue, "create 9", 9)
    put(queue, "cancel 9", 9, cancel=True)
    put(queue, "cancel 1", 1, cancel=True)
    put(queue, "modify 1", 1)
    assert intents(queue.take()) == ["cancel 1", "create 9", "cancel 9", "modify 1"]


def test_a_second_cancel_does_not_pass_the_first_that_had_to_stay():
    queue = BatchQueue()
    put(queue, "create 9", 9)
    put(queue, "cancel 9", 9, cancel=True)
    put(queue, "cancel 9 again", 9, cancel=True)
    assert intents(queue.take()) == ["create 9", "cancel 9", "cancel 9 again"]


def test_a_cancel_of_all_orders_stays_where_it_is():
    queue = BatchQueue()
    put(queue, "create 9", 9)
    put(queue, "cancel all", cancel=True)
    put(queue, "create 8", 8)
    assert intents(queue.take()) == ["create 9", "cancel all", "create 8"]


def test_scopes_do_not_see_each_other():
    queue = BatchQueue()
    put(queue, "loose", 1)
    put(queue, "mine", 2, scope="mine")
    put(queue, "yours", 3, scope="yours")
    assert (queue.count(), queue.count("mine"), queue.count("nobody")) == (1, 1, 0)
    assert repr(queue) == "BatchQueue(entries=3, scopes=3)"
    assert intents(queue.take("mine")) == ["mine"]
    assert intents(queue.take()) == ["loose"]
    assert intents(queue.discard("yours")) == ["yours"]
    assert queue.discard("yours") == []


def test_discarded_entries_come_back_in_the_order_they_came():
    queue = BatchQueue()
    put(queue, "create 9", 9, scope="mine")
    put(queue, "cancel 1", 1, cancel=True, scope="mine")
    assert intents(queue.discard("mine")) == ["create 9", "cancel 1"]
    assert len(queue) == 0


def test_entries_put_back_stand_before_newer_ones_of_their_scope():
    queue = BatchQueue()
    put(queue, "a", 1)
    put(queue, "b", 2)
    put(queue, "m", 3, scope="mine")
    taken = queue.take() + queue.take("mine")
    put(queue, "c", 4)
    queue.put_back(taken)
    assert intents(queue.take()) == ["a", "b", "c"]
    assert intents(queue.take("mine")) == ["m"]


def test_entries_are_cut_into_runs_of_at_most_the_limit():
    entries = [Queued(n, None, is_cancel=False) for n in range(5)]
    assert [intents(run) for run in chunks(entries, 2)] == [[0, 1], [2, 3], [4]]
    assert chunks([], 2) == []
    with pytest.raises(UsageError, match="limit"):
        chunks(entries, 0)
