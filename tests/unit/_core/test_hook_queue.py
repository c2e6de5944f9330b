"""What waits for a hook: rows, newest rows, newest values, single facts."""

from __future__ import annotations

import pytest

from wrappy._core.hook_queue import Backlog, HookQueue
from wrappy.errors import UsageError


def test_rows_that_wait_are_merged_into_one_list():
    queue = HookQueue(Backlog.KEEP)
    first = [1, 2]
    queue.put(first)
    queue.put((3,))
    assert queue.waiting == 3
    assert queue.coalesced == 1
    assert queue.take() == [1, 2, 3]
    assert first == [1, 2]
    assert queue.waiting == 0


def test_a_call_is_given_its_own_list_and_not_too_many_rows():
    queue = HookQueue(Backlog.KEEP, rows_per_call=2)
    rows = [1, 2, 3]
    queue.put(rows)
    taken = queue.take()
    assert taken == [1, 2]
    taken.clear()
    assert rows == [1, 2, 3]
    assert queue.take() == [3]


def test_an_empty_list_is_nothing_to_tell():
    queue = HookQueue(Backlog.KEEP)
    queue.put([1])
    queue.put([])
    assert (queue.waiting, queue.coalesced) == (1, 0)


def test_kept_rows_are_overfull_from_the_cap_until_half_of_it():
    queue = HookQueue(Backlog.KEEP, cap=6, rows_per_call=1)
    queue.put([0] * 5)
    assert not queue.overfull
    queue.put([0] * 3)
    assert queue.overfull
    assert (queue.waiting, queue.dropped) == (8, 0)
    for _ in range(4):
        queue.take()
    assert queue.overfull
    queue.take()
    assert (queue.waiting, queue.overfull) == (3, False)


def test_of_too_many_newest_rows_the_oldest_go_and_are_counted():
    queue = HookQueue(Backlog.NEWEST, cap=3)
    queue.put([1, 2])
    queue.put([3, 4, 5, 6])
    assert (queue.dropped, queue.coalesced) == (3, 1)
    assert not queue.overfull
    assert queue.take() == [4, 5, 6]


def test_the_latest_value_of_each_key_waits_in_the_order_of_the_keys():
    queue = HookQueue(Backlog.LATEST)
    queue.put("old", "ETH")
    queue.put("btc", "BTC")
    queue.put("new", "ETH")
    assert (queue.waiting, queue.coalesced, queue.dropped) == (2, 1, 0)
    assert [queue.take(), queue.take()] == ["new", "btc"]
    queue.put(None)
    assert (queue.waiting, queue.take()) == (1, None)


def test_single_facts_get_a_call_each_and_the_oldest_go_at_the_cap():
    queue = HookQueue(Backlog.EACH, cap=2)
    for fact in ("a", ["b"], "c"):
        queue.put(fact)
    assert (queue.dropped, queue.coalesced) == (1, 0)
    assert [queue.take(), queue.take()] == [["b"], "c"]


@pytest.mark.parametrize("backlog", Backlog)
def test_nothing_can_be_taken_from_an_empty_queue(backlog):
    with pytest.raises(UsageError, match="empty queue"):
        HookQueue(backlog).take()


@pytest.mark.parametrize("backlog", [Backlog.KEEP, Backlog.NEWEST])
def test_rows_have_to_come_as_a_list(backlog):
    with pytest.raises(UsageError, match="value: a list of rows is needed"):
        HookQueue(backlog).put({"order": 1})


@pytest.mark.parametrize("name", ["cap", "rows_per_call"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(UsageError, match=f"{name}: 0 is below 1"):
        HookQueue(Backlog.KEEP, **{name: 0})


def test_a_queue_that_is_given_up_keeps_the_newest_rows_and_holds_up_nobody():
    queue = HookQueue(Backlog.KEEP, cap=4, rows_per_call=10)
    queue.put([1, 2, 3, 4, 5, 6])
    assert queue.overfull
    queue.give_up()
    assert not queue.overfull
    queue.put([7])
    assert (queue.waiting, queue.dropped, queue.overfull) == (4, 3, False)
    queue.resume()
    queue.put([8])
    assert queue.overfull
    assert queue.take() == [4, 5, 6, 7, 8]
    assert not queue.overfull


@pytest.mark.parametrize("backlog", list(Backlog))
def test_giving_up_a_queue_with_room_changes_nothing(backlog):
    queue = HookQueue(backlog, cap=4)
    queue.put([1])
    queue.give_up()
    assert (queue.waiting, queue.dropped) == (1, 0)
