"""The journal's memory: certainty grows, finished rows can go."""

from __future__ import annotations

import itertools

import pytest

from wrappy._core.journal_rows import JournalIndex, JournalRow, SendStage

EVERY = list(SendStage)


def row(sequence, *, nonce=None, stage=SendStage.SIGNED, orders=(), creates=True):
    nonce = sequence if nonce is None else nonce
    return JournalRow(sequence, f"hash{sequence}", nonce, orders, creates, stage)


def index_of(*rows):
    index = JournalIndex()
    for one in rows:
        index.add(one)
    return index


@pytest.mark.parametrize(("before", "after"), list(itertools.product(EVERY, EVERY)))
def test_a_mark_never_makes_less_certain(before, after):
    index = index_of(row(1, stage=before))
    index.mark(["hash1", "of another key"], after)
    assert index.find("hash1").stage == max(before, after)
    assert index.unsaved == ({1: after} if after > before else {})


def test_a_stage_is_unsaved_until_the_disk_has_the_newest():
    index = index_of(row(1), row(2))
    index.mark(["hash1", "hash2"], SendStage.ACCEPTED)
    written = dict(index.unsaved)
    index.mark(["hash1"], SendStage.EXECUTED)
    index.saved(written)
    assert index.unsaved == {1: SendStage.EXECUTED}
    index.saved(dict(index.unsaved))
    assert index.unsaved == {}


def test_the_unresolved_stand_in_nonce_order():
    index = index_of(row(1, nonce=7), row(2, nonce=5), row(3, nonce=6))
    index.mark(["hash3"], SendStage.ACCEPTED)
    assert [one.nonce for one in index.unresolved()] == [5, 7]


def test_open_orders_are_creations_that_arrived_and_live():
    rows = [row(10 * n + c, stage=n, creates=bool(c)) for n in EVERY for c in (0, 1)]
    found = index_of(*rows).open_orders()
    assert [one.stage for one in found] == [SendStage.ACCEPTED, SendStage.EXECUTED]
    assert all(one.creates for one in found)


def test_an_order_is_found_by_all_that_touches_it_and_known_by_its_creation():
    index = index_of(
        row(1, orders=(5, 6)), row(2, orders=(6,), creates=False), row(3, orders=(7,))
    )
    assert [one.sequence for one in index.of_order(6)] == [1, 2]
    assert index.creates(5)
    assert index.creates(6)
    assert not index.creates(8)
    index.remove(index.find("hash1"))
    assert not index.creates(6)
    assert [one.sequence for one in index.of_order(6)] == [2]
    assert index.of_order(5) == []


def test_a_row_of_the_same_hash_takes_the_place_of_the_old_one():
    old = row(1, orders=(5,))
    index = index_of(old, row(2))
    index.mark(["hash1"], SendStage.REFUSED)
    again = row(1, orders=(5,))
    again.sequence = index.next_sequence
    index.add(again)
    assert index.next_sequence == 4
    assert index.unsaved == {}
    assert index.of_order(5) == [again]
    index.remove(old)
    assert index.find("hash1") is again
    assert len(index) == 2


def test_the_last_nonce_is_the_highest_that_may_have_been_used_up():
    assert JournalIndex().last() is None
    index = index_of(
        row(1, stage=SendStage.ENDED),
        row(2),
        row(3, stage=SendStage.REFUSED),
        row(4, stage=SendStage.DEAD),
    )
    assert index.last().nonce == 2


def test_only_finished_rows_are_surplus_and_the_oldest_go_first():
    rows = [row(10 * n + c, stage=n, creates=bool(c)) for n in EVERY for c in (0, 1)]
    index = index_of(*rows, row(99, stage=SendStage.ENDED))
    finished = [20, 30, 31, 40, 41, 50, 60, 61]
    assert [one.sequence for one in index.surplus(0)] == finished
    assert [one.sequence for one in index.surplus(3)] == finished[:-3]
    assert index.surplus(100) == []
