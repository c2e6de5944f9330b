"""Callbacks: in order, away from the reader, none in the way of another."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from wrappy.errors import UsageError
from wrappy.lighter.streaming.hook_calls import IN_A_ROW_S, MOST_IN_A_ROW
from wrappy.lighter.streaming.hooks import HookHub
from wrappy.runner.virtual_time import run_virtual


class Log:
    def __init__(self):
        self.lines = []

    def error(self, msg, *args):
        self.lines.append(msg % args)

    info = error


@pytest.fixture
def log():
    return Log()


# ------------------------------------------------------------------------ hook hub


@pytest.fixture
async def hub(log):
    """Return a hub that is closed at the end."""
    made = HookHub(log)
    yield made
    await made.aclose()


class Gate:
    """An async hook that takes its values, tells that it began, and waits."""

    def __init__(self):
        self.began, self.go = asyncio.Event(), asyncio.Event()
        self.seen, self.ended = [], []

    async def __call__(self, value):
        self.seen.append(value)
        self.began.set()
        try:
            await self.go.wait()
        finally:
            self.ended.append(value)


async def come_to_rest(hub):
    """Return when no hook has anything left to do."""
    done = asyncio.Event()
    remove = hub.add("on_state", lambda _: done.set())
    hub.tell("on_state", None)
    await asyncio.wait_for(done.wait(), 5)
    while any(stats.waiting for stats in hub.stats()):
        await asyncio.sleep(0)
    remove()
    for _ in range(5):  # the last calls end
        await asyncio.sleep(0)


def stats_of(hub, event):
    (found,) = [stats for stats in hub.stats() if stats.event == event]
    return found


async def test_each_hook_sees_its_event_in_order_away_from_the_teller(
    hub, log, eventually
):
    plain, later = [], []

    async def coroutine(rows):
        await asyncio.sleep(0)
        later.extend(rows)

    hub.add("on_orders", plain.extend)
    hub.add("on_orders", coroutine)
    for number in range(10):
        hub.tell("on_orders", [number])
        if number % 3 == 1:
            await asyncio.sleep(0)
    assert len(plain) < 10
    await eventually(lambda: plain == later == list(range(10)))
    assert hub.failures == 0
    assert log.lines == []


async def test_what_waits_for_a_plain_hook_comes_in_few_turns_of_the_loop(hub):
    seen, turns = [], 0
    hub.add("on_reconnect", seen.append)
    for number in range(MOST_IN_A_ROW + 5):
        hub.tell("on_reconnect", number)
    began = []
    while len(seen) < MOST_IN_A_ROW + 5:
        await asyncio.sleep(0)
        turns += 1
        began.append(len(seen))
    assert seen == list(range(MOST_IN_A_ROW + 5))
    # Others have a turn after so many, however many wait.
    assert [count for count in began if count] == [MOST_IN_A_ROW, MOST_IN_A_ROW + 5]
    assert stats_of(hub, "on_reconnect").calls == MOST_IN_A_ROW + 5


async def test_a_plain_hook_that_takes_its_time_leaves_others_a_turn_each_time(hub):
    loop, told = asyncio.get_running_loop(), []

    def dawdle(value):
        until_s = loop.time() + 2 * IN_A_ROW_S
        while loop.time() < until_s:
            pass
        told.append(value)

    hub.add("on_reconnect", dawdle)
    for number in range(4):
        hub.tell("on_reconnect", number)
    while len(told) < 4:
        told.append("other")
        await asyncio.sleep(0)
    calls = [at for at, value in enumerate(told) if value != "other"]
    assert all(told[at - 1] == "other" for at in calls)


async def test_a_plain_hook_that_raises_is_called_for_all_the_others(hub, log):
    seen = []

    def odd(value):
        seen.append(value)
        if value % 2:
            raise ValueError(value)

    hub.add("on_reconnect", odd)
    for number in range(6):
        hub.tell("on_reconnect", number)
    await come_to_rest(hub)
    assert seen == list(range(6))
    assert stats_of(hub, "on_reconnect").failures == hub.failures == 3


async def test_a_hook_that_waits_holds_up_nobody(hub, eventually):
    gate, seen = Gate(), []
    hub.add("on_trades", gate)
    hub.add("on_trades", seen.extend)
    hub.tell("on_trades", [1])
    await asyncio.wait_for(gate.began.wait(), 5)
    hub.tell("on_trades", [2])
    hub.tell("on_trades", [3])
    await eventually(lambda: seen == [1, 2, 3])
    assert gate.seen == [[1]]
    gate.go.set()
    await come_to_rest(hub)
    assert gate.seen == [[1], [2, 3]]


async def test_hooks_do_not_share_their_lists(hub):
    seen = []
    hub.add("on_orders", list.clear)
    hub.add("on_orders", seen.extend)
    rows = [1, 2]
    hub.tell("on_orders", rows)
    await come_to_rest(hub)
    assert seen == rows == [1, 2]


@pytest.mark.parametrize(
    "error", [ValueError, SystemExit, GeneratorExit, asyncio.CancelledError]
)
@pytest.mark.parametrize("waits", [False, True])
async def test_whatever_a_hook_raises_is_told_by_its_name_and_counted(
    hub, log, error, waits
):
    async def raises_later(_):
        await asyncio.sleep(0)
        raise error

    def raises(_):
        raise error

    seen = []
    hook = raises_later if waits else raises
    hub.add("on_orders", hook)
    hub.add("on_orders", seen.append)
    hub.tell("on_orders", [1])
    await come_to_rest(hub)
    hub.tell("on_orders", [2])
    await come_to_rest(hub)
    assert seen == [[1], [2]]
    stats = stats_of_name(hub, hook.__qualname__)
    assert (stats.calls, stats.failures, hub.failures) == (2, 2, 2)
    assert log.lines[0].startswith(f"on_orders {hook.__qualname__} raised:\nTraceback")
    assert error.__name__ in log.lines[0]


def stats_of_name(hub, name):
    (found,) = [stats for stats in hub.stats() if stats.name == name]
    return found


async def test_a_keyboard_interrupt_is_not_the_hooks_and_goes_through():
    log = Log()

    async def main():
        hub = HookHub(log)

        def interrupted(_):
            raise KeyboardInterrupt

        hub.add("on_orders", interrupted)
        hub.tell("on_orders", [1])
        await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as thread:
        task = loop.create_task(main())
        asked = thread.submit(loop.run_until_complete, task)
        with pytest.raises(KeyboardInterrupt):
            asked.result(5)
        task.cancel()
        ended = asyncio.gather(task, return_exceptions=True)
        assert thread.submit(loop.run_until_complete, ended).result(5)
    loop.close()
    assert log.lines == []


@pytest.mark.parametrize("waits", [False, True])
async def test_a_hook_that_cancels_itself_ends_that_call_only(hub, log, waits):
    seen = []

    def cancels(rows):
        seen.append(rows)
        asyncio.current_task().cancel()

    async def cancels_and_waits(rows):
        cancels(rows)
        await asyncio.Event().wait()

    hub.add("on_orders", cancels_and_waits if waits else cancels)
    hub.tell("on_orders", [1])
    await come_to_rest(hub)
    hub.tell("on_orders", [2])
    await come_to_rest(hub)
    assert seen == [[1], [2]]
    # A plain function has returned by the time anyone could notice.
    assert hub.failures == (2 if waits else 0)
    assert len(log.lines) == hub.failures


async def test_events_survive_a_sweep_of_all_tasks(hub):
    seen = []
    hub.add("on_orders", seen.extend)
    hub.tell("on_orders", [1])
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert seen == []
    hub.tell("on_orders", [2])
    await come_to_rest(hub)
    assert seen == [1, 2]
    assert hub.failures == 0


def test_a_hook_that_takes_too_long_is_cancelled_and_goes_on_with_the_next():
    log, seen = Log(), []

    async def main():
        hub = HookHub(log, timeout_s=30)
        loop = asyncio.get_running_loop()

        async def hangs(rows):
            seen.append((loop.time(), rows))
            await asyncio.Event().wait()

        hub.assign("on_orders", hangs)
        hub.tell("on_orders", [1])
        await asyncio.sleep(1)
        hub.tell("on_orders", [2])
        await asyncio.sleep(29.5)
        stats = stats_of(hub, "on_orders")
        assert (stats.calls, stats.timeouts, stats.failures) == (2, 1, 0)
        assert stats.longest_s == 30.0
        await hub.aclose()

    run_virtual(main)
    assert seen == [(0.0, [1]), (30.0, [2])]
    (line,) = log.lines
    assert "on_orders" in line
    assert "hangs was cancelled: it took over 30 s" in line


def test_a_hook_that_will_not_end_is_left_alone_until_it_does():
    log, seen = Log(), []

    async def main():
        hub = HookHub(log, timeout_s=10)
        enough = asyncio.Event()

        async def stubborn(rows):
            seen.append(rows)
            while not enough.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await enough.wait()

        hub.add("on_orders", stubborn)
        other = []
        hub.add("on_orders", other.extend)
        hub.tell("on_orders", [1])
        await asyncio.sleep(100)
        hub.tell("on_orders", [2])
        await asyncio.sleep(100)
        assert seen == [[1]]
        assert other == [1, 2]
        assert [stats.timeouts for stats in hub.stats()] == [1, 0]
        enough.set()
        await asyncio.sleep(0.1)
        assert seen == [[1], [2]]
        await hub.aclose()

    run_virtual(main)
    assert len(log.lines) == 2
    assert "stubborn goes on 1 s after it was cancelled" in log.lines[1]


def test_closing_waits_only_a_grace_for_a_hook_that_will_not_end():
    log = Log()

    async def main():
        hub, enough = HookHub(log), asyncio.Event()

        async def stubborn(_):
            while not enough.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await enough.wait()

        hub.add("on_orders", stubborn)
        hub.tell("on_orders", [1])
        await asyncio.sleep(1)
        await hub.aclose()
        assert asyncio.get_running_loop().time() == 2.0
        enough.set()
        await asyncio.sleep(0)

    run_virtual(main)
    (line,) = log.lines
    assert "stubborn goes on although it was cancelled at the close" in line


async def test_a_cancelled_hook_may_raise_what_it_likes_and_is_counted(log):
    async def main():
        hub = HookHub(log, timeout_s=10)

        async def sulks(_):
            try:
                await asyncio.Event().wait()
            finally:
                raise ValueError("sulking")

        hub.add("on_orders", sulks)
        hub.tell("on_orders", [1])
        await asyncio.sleep(11)
        assert (hub.stats()[0].timeouts, hub.failures) == (1, 1)
        await hub.aclose()

    await asyncio.to_thread(run_virtual, main)
    assert "sulking" in log.lines[1]


@pytest.mark.parametrize("kind", ["plain", "coroutine", "later"])
async def test_a_hook_that_holds_the_loop_is_named_and_others_get_their_turns(
    log, kind
):
    hub, order = HookHub(log, slow_s=0.04), []

    def blocks(value):
        order.append(("blocks", value))
        time.sleep(0.05)

    async def coroutine(value):
        blocks(value)

    async def later(value):
        await asyncio.sleep(0)
        blocks(value)

    hook = {"plain": blocks, "coroutine": coroutine, "later": later}[kind]
    hub.add("on_book", hook)
    hub.add("on_book", lambda value: order.append(("quick", value)))
    for number in range(3):
        hub.tell("on_book", number, key=number)
    await come_to_rest(hub)
    assert [value for name, value in order if name == "quick"] == [0, 1, 2]
    # The quick one waits for one block at a time, not for all of them.
    assert order.index(("quick", 1)) < order.index(("blocks", 2))
    stats = stats_of_name(hub, hook.__qualname__)
    assert stats.slow == 3
    assert stats.longest_s >= 0.05
    assert stats.total_s >= 0.15
    assert f"on_book {hook.__qualname__} held the event loop for 0." in log.lines[0]
    await hub.aclose()


async def test_a_complaint_that_repeats_is_logged_a_few_times_and_counted(hub, log):
    loop = asyncio.get_running_loop()

    async def main():
        hub = HookHub(log)

        def broken(_):
            raise ValueError

        hub.add("on_state", broken)
        for _ in range(100):
            hub.tell("on_state", 1)
        await asyncio.sleep(2)
        assert len(log.lines) == 10
        hub.tell("on_state", 1)
        await asyncio.sleep(2)
        hub.tell("on_state", 1)
        await asyncio.sleep(2)
        assert hub.failures == 102
        await hub.aclose()

    await loop.run_in_executor(None, run_virtual, main)
    assert len(log.lines) == 12
    assert "(90 more like this were not logged)" in log.lines[10]
    assert "more like this" not in log.lines[11]


async def test_a_log_that_raises_does_not_end_a_hook():
    class Broken:
        def error(self, *_):
            raise OSError("disk full")

    hub, seen = HookHub(Broken()), []

    def raises(rows):
        seen.extend(rows)
        raise ValueError

    hub.add("on_orders", raises)
    hub.tell("on_orders", [1])
    await come_to_rest(hub)
    hub.tell("on_orders", [2])
    await come_to_rest(hub)
    assert seen == [1, 2]
    await hub.aclose()


async def test_the_latest_value_of_each_key_is_told_to_a_busy_hook(hub):
    gate = Gate()
    hub.add("on_book", gate)
    hub.tell("on_book", 0, key="ETH")
    await asyncio.wait_for(gate.began.wait(), 5)
    gate.go.set()
    for number in range(1, 1000):
        hub.tell("on_book", number, key="ETH")
        hub.tell("on_book", -number, key="BTC")
    await come_to_rest(hub)
    assert gate.seen == [0, 999, -999]
    assert stats_of(hub, "on_book").coalesced == 998 * 2


async def test_public_trades_beyond_the_cap_are_dropped_and_counted(hub):
    seen = []
    hub.add("on_public_trades", seen.extend)
    hub.tell("on_public_trades", list(range(6_000)))
    assert stats_of(hub, "on_public_trades").dropped == 1_000
    await come_to_rest(hub)
    assert seen == list(range(1_000, 6_000))


async def test_too_many_kept_rows_are_told_and_so_is_their_end(log, eventually):
    told = []
    hub = HookHub(log, on_backlog=told.append)
    one, other = Gate(), Gate()
    remove = hub.add("on_orders", one)
    hub.add("on_orders", other)
    hub.tell("on_orders", [0])
    await asyncio.wait_for(other.began.wait(), 5)
    hub.tell("on_orders", [1] * 4_999)
    assert told == []
    hub.tell("on_orders", [2])
    assert told == [True]
    assert hub.overfull
    hub.tell("on_orders", [3])
    other.go.set()
    await eventually(lambda: len(other.ended) == 12)
    assert [len(rows) for rows in other.seen] == [1] + [500] * 10 + [1]
    assert told == [True]
    remove()
    assert told == [True, False]
    assert not hub.overfull
    await hub.aclose()


async def test_the_backlog_ends_when_half_of_it_is_worked_off(log):
    told, waiting = [], []
    hub = HookHub(log, on_backlog=told.append)
    hub.add("on_orders", lambda _: waiting.append((told[-1], hub.stats()[0].waiting)))
    hub.tell("on_orders", [0] * 5_000)
    await come_to_rest(hub)
    assert waiting[:5] == [
        (True, 4_500),
        (True, 4_000),
        (True, 3_500),
        (True, 3_000),
        (False, 2_500),
    ]
    await hub.aclose()


async def test_the_slot_has_one_hook_and_hands_on_what_waits(hub, eventually):
    first, second = Gate(), []
    assert hub.assigned("on_orders") is None
    hub.assign("on_orders", None)
    hub.assign("on_orders", first)
    hub.assign("on_orders", first)
    assert hub.assigned("on_orders") is first
    assert len(hub.stats()) == 1
    hub.tell("on_orders", [1])
    await asyncio.wait_for(first.began.wait(), 5)
    hub.tell("on_orders", [2])
    hub.assign("on_orders", second.extend)
    await eventually(lambda: second == [2])
    first.go.set()
    await come_to_rest(hub)
    assert first.ended == [[1]]
    hub.assign("on_orders", None)
    assert hub.assigned("on_orders") is None
    hub.tell("on_orders", [3])
    await come_to_rest(hub)
    assert second == [2]


async def test_a_hook_replaced_before_its_turn_is_not_called(hub):
    first, second = [], []
    hub.assign("on_orders", first.extend)
    hub.tell("on_orders", [1])
    hub.assign("on_orders", second.extend)
    await come_to_rest(hub)
    assert (first, second) == ([], [1])


async def test_a_hook_may_remove_itself_and_finish_its_call(hub):
    seen, ended = [], asyncio.Event()

    async def once(rows):
        seen.extend(rows)
        remove()
        remove()
        await asyncio.sleep(0)
        ended.set()

    remove = hub.add("on_orders", once)
    hub.tell("on_orders", [1])
    await asyncio.sleep(0)
    hub.tell("on_orders", [2])
    await asyncio.wait_for(ended.wait(), 5)
    await come_to_rest(hub)
    assert seen == [1]
    assert hub.stats() == ()


async def test_a_removed_hook_that_is_busy_is_ended_by_the_close(hub):
    gate = Gate()
    remove = hub.add("on_orders", gate)
    hub.tell("on_orders", [1])
    await asyncio.wait_for(gate.began.wait(), 5)
    remove()
    assert gate.ended == []
    await hub.aclose()
    assert gate.ended == [[1]]


@pytest.mark.parametrize("nested", [False, True])
async def test_a_hook_may_close_the_overlay_it_hangs_on(hub, log, nested):
    ended, other = asyncio.Event(), Gate()

    async def closes(_):
        await other.began.wait()
        if nested:
            await asyncio.wait_for(hub.aclose(), 5)
        else:
            await hub.aclose()
        ended.set()

    hub.add("on_orders", closes)
    hub.add("on_orders", other)
    hub.tell("on_orders", [1])
    await asyncio.wait_for(ended.wait(), 5)
    assert other.ended == [[1]]
    assert log.lines == []


async def test_after_the_close_nothing_is_called_and_nothing_can_be_hooked(hub):
    seen = []
    hub.add("on_orders", seen.extend)
    hub.tell("on_orders", [1])
    await hub.aclose()
    await hub.aclose()
    hub.tell("on_orders", [2])
    await asyncio.sleep(0)
    assert seen == []
    with pytest.raises(UsageError, match="on_orders: the overlay is closed"):
        hub.add("on_orders", seen.extend)
    with pytest.raises(UsageError, match="on_orders: the overlay is closed"):
        hub.assign("on_orders", seen.extend)


async def test_an_idle_hook_has_no_task(hub):
    before = asyncio.all_tasks()
    hub.add("on_orders", print)
    hub.tell("on_trades", [1])
    hub.tell("on_orders", [])
    assert asyncio.all_tasks() == before


async def test_events_that_do_not_exist_are_refused_with_those_that_do(hub):
    for refused in (
        lambda: hub.add("on_typo", print),
        lambda: hub.assign("on_typo", None),
        lambda: hub.assigned("on_typo"),
        lambda: hub.tell("on_typo", 1),
    ):
        with pytest.raises(UsageError, match=r"no 'on_typo'; there are on_orders, "):
            refused()


async def test_what_cannot_be_called_is_no_hook(hub):
    for refused in (hub.add, hub.assign):
        with pytest.raises(UsageError, match=r"on_orders: .* callable, and int is not"):
            refused("on_orders", 5)


@pytest.mark.parametrize("name", ["timeout_s", "slow_s"])
def test_times_have_to_be_above_zero(log, name):
    with pytest.raises(UsageError, match=f"{name}: 0 is not above 0"):
        HookHub(log, **{name: 0})


async def test_hooks_of_all_kinds_have_names(hub):
    class Callable:
        def method(self, _):
            pass

        def __call__(self, _):
            pass

    hooks = [Callable().method, Callable(), print, functools.partial(print, end="")]
    for hook in hooks:
        hub.add("on_ticker", hook)
    names = [stats.name.rpartition(".")[2] for stats in hub.stats()]
    assert names == ["method", "Callable", "print", "print"]


async def test_a_callable_may_return_any_awaitable(hub, eventually):
    done, seen = asyncio.get_running_loop().create_future(), []

    class Awaitable:
        def __await__(self):
            seen.append((yield from done.__await__()))

    hub.add("on_ticker", lambda _: Awaitable())
    hub.add("on_ticker", lambda _: asyncio.ensure_future(asyncio.sleep(0)))
    hub.tell("on_ticker", 1)
    done.set_result("came")
    await eventually(lambda: seen == ["came"])
