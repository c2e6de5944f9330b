"""Virtual time passes only when nothing is left to do, and runs repeat exactly."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy.errors import UsageError
from wrappy.runner.virtual_time import (
    DEFAULT_EPOCH_S,
    DeadlockError,
    StuckError,
    VirtualLoop,
    run_virtual,
)

YEAR_S = 365 * 86_400


def now():
    return asyncio.get_running_loop().time()


def test_a_year_passes_at_once():
    async def main():
        await asyncio.sleep(YEAR_S)
        return now()

    before = time.monotonic()
    assert run_virtual(main) == YEAR_S
    assert time.monotonic() - before < 5


def test_unix_time_is_apart_from_the_loops_own():
    async def main():
        loop = asyncio.get_running_loop()
        await asyncio.sleep(2.5)
        return loop.epoch_s, loop.time(), loop.unix_s()

    assert run_virtual(main) == (DEFAULT_EPOCH_S, 2.5, DEFAULT_EPOCH_S + 2.5)
    assert run_virtual(main, epoch_s=10) == (10, 2.5, 12.5)


@given(pauses=st.lists(st.floats(0, 1e6), max_size=20), start=st.floats(0, 3e7))
def test_sleepers_wake_in_order_and_not_before_their_time(pauses, start):
    async def main():
        await asyncio.sleep(start)
        begun, woken = now(), []

        async def sleeper(pause):
            await asyncio.sleep(pause)
            woken.append((pause, now()))

        await asyncio.gather(*map(sleeper, pauses))
        return begun, woken

    begun, woken = run_virtual(main)
    assert len(woken) == len(pauses)
    times = [at for _, at in woken]
    assert times == sorted(times)
    # Timers within the clock's resolution fire together.
    assert all(abs(at - (begun + pause)) <= 1e-6 for pause, at in woken)


def test_waiting_again_for_what_is_left_comes_to_an_end():
    async def main():
        deadline, rounds = now() + 0.1 + 0.2, 0
        while (left := deadline - now()) > 0:
            rounds += 1
            await asyncio.sleep(left)
        return rounds

    assert run_virtual(main) == 1


def test_timeouts_are_of_virtual_seconds():
    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 3_600)
        return now()

    assert run_virtual(main) == 3_600


def test_everybody_waiting_is_an_error_that_names_them():
    async def waits_for_ever():
        await asyncio.get_running_loop().create_future()

    async def main():
        await asyncio.gather(
            asyncio.create_task(waits_for_ever(), name="leg-b"),
            asyncio.create_task(waits_for_ever(), name="leg-a"),
        )

    with pytest.raises(DeadlockError) as caught:
        run_virtual(main)
    words = str(caught.value)
    assert 0 < words.index("leg-a in waits_for_ever") < words.index("leg-b in")
    assert "test_virtual_time.py" in words


def test_going_round_without_time_passing_is_an_error():
    async def main():
        while True:
            await asyncio.sleep(0)

    with pytest.raises(StuckError, match="100 rounds"):
        run_virtual(main, most_rounds=100)


def test_a_long_way_in_small_steps_is_no_going_round():
    async def main():
        for _ in range(500):
            await asyncio.sleep(0.001)

    run_virtual(main, most_rounds=100)


def test_threads_are_refused():
    async def main():
        with pytest.raises(UsageError, match="no threads"):
            await asyncio.to_thread(time.time)

    run_virtual(main)


def test_tasks_left_behind_are_cancelled_and_failures_passed_on():
    ended = []

    async def left():
        try:
            await asyncio.sleep(YEAR_S)
        finally:
            ended.append(now())

    async def main():
        task = asyncio.create_task(left())
        await asyncio.sleep(1)
        raise LookupError(task.get_name())

    with pytest.raises(LookupError):
        run_virtual(main)
    assert ended == [1]


async def test_no_virtual_time_inside_a_running_loop():
    async def main():
        raise AssertionError("never begun")

    with pytest.raises(UsageError, match="while an event loop runs"):
        run_virtual(main)


def test_a_loop_can_be_made_and_closed_by_hand():
    loop = VirtualLoop(epoch_s=7)
    try:
        assert loop.run_until_complete(asyncio.sleep(4, "done")) == "done"
        assert (loop.time(), loop.unix_s()) == (4, 11)
    finally:
        loop.close()
    assert loop.is_closed()


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["soon", "later", "at once", "cancel"]),
        st.integers(0, 3),
        st.integers(0, 5),
    ),
    max_size=40,
)


def course(acts, *, debug, crowd):
    """Return who was called when, of callbacks that each do some of the acts."""
    loop, told, made, left = VirtualLoop(), [], [], list(acts)
    loop.set_debug(debug)

    def called(number):
        told.append((number, loop.time()))
        for act, seconds, more in left[:2]:
            del left[:1]
            if act == "soon":
                made.append(loop.call_soon(called, len(made)))
            elif act == "cancel":
                made[more % len(made)].cancel()
            else:
                delay = 0 if act == "at once" else seconds
                made.append(loop.call_later(delay, called, len(made)))

    async def main():
        many = [loop.call_later(5 + at % 7, called, -at) for at in range(crowd)]
        made.extend(loop.call_at(at % 3, called, at) for at in range(5))
        await asyncio.sleep(2)
        for timer in many[::3] + many[1::3]:
            timer.cancel()
        await asyncio.sleep(1_000)

    loop.run_until_complete(main())
    loop.close()
    return told


@given(acts=ACTS, crowd=st.sampled_from([0, 250]))
def test_everything_is_called_in_the_order_of_the_standard_library(acts, crowd):
    # A loop that is debugged takes the standard library's own turns.
    plain = course(acts, debug=False, crowd=crowd)
    assert plain == course(acts, debug=True, crowd=crowd)
    assert [when for _, when in plain] == sorted(when for _, when in plain)


def test_a_closed_loop_takes_nothing_more():
    loop = VirtualLoop()
    loop.close()
    for call in (
        lambda: loop.call_soon(print),
        lambda: loop.call_at(1, print),
        lambda: loop.call_later(1, print),
    ):
        with pytest.raises(RuntimeError, match="closed"):
            call()
