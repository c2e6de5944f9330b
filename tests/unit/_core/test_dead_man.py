"""When the dead man's switch is renewed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy._core.dead_man import (
    MAX_SCHEDULE_S,
    SLACK_S,
    DeadMan,
    DeadManAction,
)
from wrappy.errors import ConfigError

UNIX = 1_800_000_000.0
WAIT, SCHEDULE, ABORT = DeadManAction.WAIT, DeadManAction.SCHEDULE, DeadManAction.ABORT


def step(switch, now):
    return switch.step(now=now, unix_s=UNIX + now)


def armed(horizon_s=600, now=0.0):
    switch = DeadMan(horizon_s)
    switch.scheduled(step(switch, now).time_ms, now=now)
    return switch


@pytest.mark.parametrize("horizon_s", [299, 86_401])
def test_a_horizon_out_of_range_is_refused(horizon_s):
    with pytest.raises(ConfigError, match="horizon_s"):
        DeadMan(horizon_s)


def test_a_new_switch_is_due_at_once_a_whole_horizon_ahead():
    first = step(DeadMan(600), 0.0)
    assert first.action is SCHEDULE
    assert first.time_ms == int((UNIX + 600) * 1000)


def test_the_shortest_horizon_leaves_room_for_the_way():
    assert step(DeadMan(300), 0.0).time_ms == int((UNIX + 300 + SLACK_S) * 1000)
    longest = DeadMan(MAX_SCHEDULE_S, longest_s=MAX_SCHEDULE_S)
    ahead_s = step(longest, 0.0).time_ms / 1000 - UNIX
    assert ahead_s == MAX_SCHEDULE_S - SLACK_S


def test_it_is_renewed_three_times_within_a_horizon():
    switch = armed()
    assert switch.armed_until_s == UNIX + 600
    resting = step(switch, 50.0)
    assert (resting.action, resting.wait_s) == (WAIT, 150.0)
    assert step(switch, 200.0).action is SCHEDULE
    switch.scheduled(step(switch, 200.0).time_ms, now=200.0)
    assert (switch.renewals, switch.armed_until_s) == (2, UNIX + 800)


def test_a_failure_leaves_the_earlier_schedule_and_is_tried_again_soon():
    switch = armed()
    switch.failed("no answer", now=200.0)
    assert (switch.last_error, switch.armed_until_s) == ("no answer", UNIX + 600)
    waits = []
    now = 200.0
    for _ in range(8):
        pause = step(switch, now)
        assert pause.action is WAIT
        waits.append(pause.wait_s)
        now += pause.wait_s
        switch.failed("no answer", now=now)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    switch.scheduled(1, now=now)
    assert switch.last_error == ""
    switch.failed("again", now=now)
    assert step(switch, now).wait_s == 1.0


def test_where_a_second_schedule_is_refused_the_first_is_withdrawn_from_then_on():
    switch = armed()
    switch.refused_second(now=200.0)
    assert step(switch, 200.0).action is ABORT
    switch.aborted()
    assert switch.armed_until_s is None
    assert step(switch, 200.0).action is SCHEDULE
    switch.scheduled(step(switch, 200.0).time_ms, now=200.0)
    assert step(switch, 300.0).action is WAIT
    assert step(switch, 400.0).action is ABORT, "it has learned"


def test_a_withdrawal_that_is_still_on_its_way_gets_a_moment():
    switch = armed()
    switch.refused_second(now=200.0)
    switch.aborted()
    switch.refused_second(now=200.0)
    pause = step(switch, 200.0)
    assert (pause.action, pause.wait_s) == (WAIT, 1.0)
    assert step(switch, 201.0).action is SCHEDULE
    switch.refused_second(now=201.0)
    assert step(switch, 201.0).action is ABORT


@given(
    st.integers(300, 86_400),
    st.booleans(),
    st.lists(st.booleans(), max_size=200),
)
def test_as_long_as_one_try_in_a_few_succeeds_it_never_fires(horizon, strict, luck):
    """Failures never come so thick here that a whole horizon passes without one."""
    switch, now, set_until = DeadMan(horizon), 0.0, None
    worst = 0
    for drawn in luck:
        worst = 0 if drawn else worst + 1
        lucky = drawn or worst > 3
        worst = 0 if lucky else worst
        move = step(switch, now)
        if move.action is WAIT:
            now += move.wait_s
            move = step(switch, now)
        assert move.action is not WAIT
        assert set_until is None or UNIX + now < set_until, "it fired"
        if not lucky:
            switch.failed("bad luck", now=now)
        elif move.action is ABORT:
            set_until = None
            switch.aborted()
        elif strict and set_until is not None:
            switch.refused_second(now=now)
        else:
            set_until = move.time_ms / 1000
            switch.scheduled(move.time_ms, now=now)
        if set_until is not None:
            assert switch.armed_until_s == set_until
