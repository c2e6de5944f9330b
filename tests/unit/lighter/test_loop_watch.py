"""A blocked event loop is told with its stack while it lasts, and with its length."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from wrappy.errors import UsageError
from wrappy.lighter.streaming.loop_watch import (
    LoopWatch,
    acquire_watch,
    release_watch,
)

LIMIT_S = 0.05


class Log:
    def __init__(self):
        self.lines = []
        self.told = threading.Event()

    def warning(self, msg, *args):
        self.lines.append((threading.current_thread().name, msg % args))
        self.told.set()


def watchers():
    return [t for t in threading.enumerate() if t.name == "wrappy-loop-watch"]


@pytest.fixture
def log():
    return Log()


@pytest.fixture
async def watch(log):
    made = LoopWatch(log, limit_s=LIMIT_S, warn_s=LIMIT_S)
    made.start()
    yield made
    made.stop()
    assert watchers() == []


def guilty_function(log):
    """Block until the watch has told of it, and a little longer."""
    secret = "a-local-value"
    log.told.wait(5)
    time.sleep(LIMIT_S / 2)
    return secret


async def test_a_block_is_told_with_its_stack_while_it_lasts(watch, log, eventually):
    guilty_function(log)
    # What was told came before the loop had another turn.
    ((thread, words),) = log.lines
    assert thread == "wrappy-loop-watch"
    assert "blocked for over 0.05 s, in:" in words
    assert f"{__file__}:" in words
    assert "in guilty_function" in words
    assert words.splitlines()[-1].endswith("in wait")
    assert "a-local-value" not in words
    assert "told.wait" not in words
    await eventually(lambda: watch.blocks)
    assert watch.blocks == 1
    assert watch.longest_s > LIMIT_S
    assert log.lines[1][1] == (
        f"the event loop was blocked for {watch.longest_s:.3f} s"
    )


async def test_each_block_is_told_once_however_long(watch, log, eventually):
    time.sleep(LIMIT_S * 5)
    await eventually(lambda: watch.blocks == 1)
    time.sleep(LIMIT_S * 3)
    await eventually(lambda: watch.blocks == 2)
    stacks = [words for _, words in log.lines if "in:" in words]
    assert len(stacks) == 2
    assert watch.longest_s > LIMIT_S * 4


async def test_a_loop_that_has_its_turns_is_not_told_of(log, eventually):
    watch = LoopWatch(log, limit_s=2)
    watch.start()
    ends = time.monotonic() + 0.3
    await eventually(lambda: time.monotonic() > ends)
    watch.stop()
    assert (watch.blocks, log.lines) == (0, [])


async def test_starting_and_stopping_twice_is_once(log):
    watch = LoopWatch(log)
    watch.stop()
    watch.start()
    watch.start()
    assert len(watchers()) == 1
    watch.stop()
    watch.stop()
    assert watchers() == []
    watch.start()
    assert len(watchers()) == 1
    watch.stop()


async def test_overlays_on_one_loop_share_a_watch(log):
    first, second = acquire_watch(log), acquire_watch(Log())
    assert first is second
    assert len(watchers()) == 1
    release_watch(first)
    assert len(watchers()) == 1
    release_watch(second)
    assert watchers() == []
    third = acquire_watch(log)
    assert third is not first
    release_watch(third)


def test_a_loop_that_is_not_run_is_not_blocked_and_a_closed_one_not_watched(log):
    async def main():
        LoopWatch(log, limit_s=0.01).start()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    (thread,) = watchers()
    thread.join(0.05)
    assert thread.is_alive()
    assert log.lines == []
    loop.close()
    thread.join(5)
    assert not thread.is_alive()


def test_a_limit_has_to_be_above_zero(log):
    with pytest.raises(UsageError, match="limit_s: 0 is not above 0"):
        LoopWatch(log, limit_s=0)
