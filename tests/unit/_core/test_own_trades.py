"""The account's own trades: each told once."""

from __future__ import annotations

import pytest

from wrappy._core.own_trades import OwnTrades


def test_nothing_is_known_at_first():
    trades = OwnTrades(3)
    assert trades.newest is None
    assert trades.floor == -1
    assert len(trades) == 0
    assert not trades.knows(0)
    assert trades.add([]) == []


def test_new_ones_come_out_lowest_first_and_once():
    trades = OwnTrades(10)
    assert trades.add([3, 1, 3, 2]) == [1, 2, 3]
    assert trades.add([2, 4]) == [4]
    assert trades.add([1, 2, 3, 4]) == []
    assert trades.newest == 4
    assert all(trades.knows(number) for number in (1, 2, 3, 4))
    assert not trades.knows(5)


def test_a_late_one_is_told_and_is_not_the_newest():
    trades = OwnTrades(10)
    trades.add([5, 9])
    assert trades.add([7]) == [7]
    assert trades.newest == 9
    assert trades.add([7]) == []


def test_what_was_forgotten_is_not_told_again():
    trades = OwnTrades(2)
    trades.add([10, 20, 30, 40])
    assert trades.floor == 20
    assert len(trades) == 2
    assert trades.add([10, 20, 30, 40]) == []
    assert trades.undecided == 2
    assert trades.knows(15)


def test_a_late_one_below_the_floor_is_counted_as_undecided():
    trades = OwnTrades(2)
    trades.add([10, 20, 30])
    assert trades.add([5]) == []
    assert trades.undecided == 1


def test_more_than_fit_at_once_are_all_told():
    trades = OwnTrades(2)
    assert trades.add(range(100)) == list(range(100))
    assert (trades.floor, trades.newest) == (97, 99)


def test_a_late_one_may_be_forgotten_at_once_but_is_told():
    trades = OwnTrades(2)
    trades.add([20, 30])
    assert trades.add([10]) == [10]
    assert trades.floor == 10
    assert trades.add([10]) == []


def test_a_capacity_of_nothing_is_refused():
    with pytest.raises(ValueError, match="capacity: 0 is below 1"):
        OwnTrades(0)
