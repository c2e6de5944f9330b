"""Callbacks: in order, away from the reader, failures contained."""

from __future__ import annotations

import asyncio

import pytest

from wrappy.lighter.streaming.hooks import HookRunner


class Log:
    def __init__(self):
        self.lines = []

    def error(self, msg, *args):
        self.lines.append(msg % args)


@pytest.fixture
def log():
    return Log()


@pytest.fixture
async def hooks(log):
    """Return a running runner that is cancelled and awaited at the end."""
    runner = HookRunner(log)
    task = asyncio.create_task(runner.run())
    yield runner
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def all_called(hooks):
    """Return when everything queued before has been called."""
    done = asyncio.Event()
    hooks.call("end", lambda _: done.set(), None)
    await asyncio.wait_for(done.wait(), 5)


async def test_plain_and_coroutine_hooks_are_called_in_order(hooks, log):
    seen = []

    async def slow(value):
        await asyncio.sleep(0)
        seen.append(("slow", value))

    hooks.call("on_orders", slow, 1)
    hooks.call("on_trades", lambda value: seen.append(("plain", value)), 2)
    hooks.call("on_public_trades", None, 3)
    assert seen == []
    await all_called(hooks)
    assert seen == [("slow", 1), ("plain", 2)]
    assert hooks.failures == 0
    assert log.lines == []


async def test_a_hook_that_raises_is_told_and_the_next_goes_on(hooks, log):
    async def late(_):
        await asyncio.sleep(0)
        raise KeyError("late")

    hooks.call("on_orders", lambda _: 1 / 0, None)
    hooks.call("on_trades", late, None)
    await all_called(hooks)
    assert hooks.failures == 2
    assert log.lines[0].startswith("on_orders raised:\nTraceback")
    assert "ZeroDivisionError" in log.lines[0]
    assert "KeyError: 'late'" in log.lines[1]


async def test_a_hook_that_is_cancelled_from_within_ends_alone(hooks, log):
    async def awaits_something_cancelled(_):
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    hooks.call("on_orders", awaits_something_cancelled, None)
    await all_called(hooks)
    assert hooks.failures == 1
    assert "cancelled from within" in log.lines[0]


async def test_ending_the_runner_ends_the_hook_it_waits_for(log):
    runner = HookRunner(log)
    task = asyncio.create_task(runner.run())
    entered, ended = asyncio.Event(), []

    async def endless(_):
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    runner.call("on_orders", endless, None)
    await asyncio.wait_for(entered.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]
