"""Rules of the TCP proxy: where they act, whom they hit, what they refuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy.errors import ConfigError
from wrappy.venue.tcp_faults import TcpFault, TcpFaults, Way


def carried(faults, pieces, connection=1, direction="down"):
    """Carry pieces; return the places where rules acted, by the way's own count."""
    way, places = Way(connection, direction), []
    for piece in pieces:
        left = piece
        while left:
            size, handle = faults.room(way, left)
            way.passed += size
            left -= size
            if handle is not None:
                faults.start(way, handle)
                places.append((handle, way.passed))
    return places


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"act": "explode"}, "act: 'explode' is none of"),
        ({"direction": "left"}, "direction: 'left' is neither up nor down"),
        ({"after_bytes": -1}, "after_bytes: -1 is no whole number, 0 or more"),
        ({"delay_ms": 600_001}, "delay_ms: 600001 is no whole number, within"),
        ({"spread_ms": 0.5}, "spread_ms: 0.5 is no whole number"),
        ({"bytes_per_s": 0}, "bytes_per_s: 0 is no whole number, 1 or more"),
        ({"probability": True}, "probability: True is no whole number"),
        ({"times": 0}, "times: 0 is no whole number, 1 or more"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_its_field(wrong, words):
    with pytest.raises(ConfigError, match=words):
        TcpFault(**{"act": "reset", **wrong})


@given(
    after=st.integers(0, 500),
    pieces=st.lists(st.integers(1, 100), min_size=1, max_size=12),
)
def test_a_rule_acts_at_the_same_byte_however_the_bytes_come(after, pieces):
    faults = TcpFaults(1)
    handle = faults.add(TcpFault(act="slice", after_bytes=after))
    reached = sum(pieces) >= after
    assert carried(faults, pieces) == ([(handle, after)] if reached else [])
    assert faults.fired(handle) == reached


def test_a_rule_counts_from_the_first_byte_it_sees():
    faults, way = TcpFaults(1), Way(1, "down")
    assert faults.room(way, 40) == (40, None)
    way.passed = 40
    handle = faults.add(TcpFault(act="slice", after_bytes=10))
    assert faults.room(way, 100) == (10, handle)


def test_the_earlier_of_two_rules_acts_first_and_the_other_in_its_turn():
    faults = TcpFaults(1)
    late = faults.add(TcpFault(act="slice", after_bytes=20))
    soon = faults.add(TcpFault(act="delay", after_bytes=5))
    assert carried(faults, [50]) == [(soon, 5), (late, 20)]


def test_a_rule_is_about_one_direction_only():
    faults = TcpFaults(1)
    handle = faults.add(TcpFault(act="slice", direction="up"))
    assert carried(faults, [10]) == []
    assert carried(faults, [10], direction="up") == [(handle, 0)]


def test_times_counts_connections():
    faults = TcpFaults(1)
    handle = faults.add(TcpFault(act="slice", times=2))
    hit = [bool(carried(faults, [10], connection=number)) for number in range(1, 6)]
    assert hit == [True, True, False, False, False]
    assert faults.fired(handle) == 2


def test_chance_is_the_same_for_the_same_seed_whatever_the_order_of_asking():
    def hit(seed, numbers):
        faults = TcpFaults(seed)
        faults.add(TcpFault(act="slice", probability=500_000))
        return {number: bool(carried(faults, [9], number)) for number in numbers}

    forwards = hit(7, range(1, 41))
    assert forwards == hit(7, range(40, 0, -1))
    assert 5 < sum(forwards.values()) < 35
    assert forwards != hit(8, range(1, 41))


def test_a_refusal_is_decided_when_the_connection_is_made():
    faults = TcpFaults(1)
    faults.add(TcpFault(act="slice"))
    faults.add(TcpFault(act="refuse", times=1))
    assert faults.refuses(1)
    assert not faults.refuses(2)
    assert carried(faults, [10], connection=2) == [(1, 0)]


def test_cleared_rules_stop_acting_on_open_connections():
    faults, way = TcpFaults(1), Way(1, "down")
    rule = TcpFault(act="throttle")
    faults.start(way, faults.add(rule))
    assert faults.acting(way) == [rule]
    faults.clear()
    assert faults.acting(way) == []


def test_a_delay_lies_within_its_spread_and_repeats():
    rule = TcpFault(act="delay", delay_ms=10, spread_ms=20)
    drawn = [TcpFaults(3).delay_s(Way(number, "up"), rule) for number in range(30)]
    assert all(0.010 <= one < 0.030 for one in drawn)
    assert len(set(drawn)) > 20
    assert drawn[4] == TcpFaults(3).delay_s(Way(4, "up"), rule)
