"""One overlay's part: when it is ready, what it waits for, what its hooks hear."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import pytest

from wrappy._core.stream import StreamState
from wrappy.errors import StreamClosedError, VenueError
from wrappy.lighter.streaming.membership import Membership
from wrappy.lighter.streaming.taps import Taps

LOG = logging.getLogger("wrappy.ws")


class Hub:
    """A connection whose state is set by hand."""

    def __init__(self):
        self.state = StreamState.CLOSED
        self.failure = None
        self.connects = 0
        self.live = set()
        self.channels = set()
        self.members = []
        self.held = []
        self.again = []
        self.taps = Taps(LOG)

    def enter(self, member):
        self.members.append(member)

    def leave(self, member):
        self.members.remove(member)

    def is_live(self, channel):
        return channel in self.live

    def subscribe(self, channel, member, make, *, private):
        del member, private
        self.channels.add(channel)
        return make(lambda *_: None)

    def unsubscribe(self, channel, member):
        del member
        self.channels.discard(channel)

    def snapshot_again(self, channels):
        self.again += channels

    def overfull(self, member, *, full):
        del member
        self.held.append(full)

    def up(self, *live):
        """Be connected, with these channels live."""
        if self.state is StreamState.CLOSED:
            self.connects += 1
        self.state, self.live = StreamState.SUBSCRIBING, set(live)
        for member in self.members:
            member.on_change()

    def down(self, reason="1006"):
        self.state, self.live = StreamState.CLOSED, set()
        for member in self.members:
            member.on_closed(reason)
            member.on_change()


@pytest.fixture
def hub():
    return Hub()


@pytest.fixture
async def part(hub):
    made = Membership(hub, LOG, hook_timeout_s=5.0)
    for channel in ("trade/0", "order_book/0"):
        made.subscribe(channel, lambda _: "a feed", private=False)
    yield made
    await made.hooks.aclose()


def refused():
    return VenueError(30005, "Invalid Channel", endpoint="stream")


async def begun(coroutine):
    """Return a task that waits for something already."""
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    return task


async def test_it_is_ready_when_all_of_its_channels_are_live(hub, part):
    assert part.state is StreamState.CONNECTING
    waiting = await begun(part.until_ready(5.0))
    hub.up("trade/0")
    assert part.state is StreamState.SUBSCRIBING
    await asyncio.sleep(0)
    assert not waiting.done()
    hub.up("trade/0", "order_book/0", "trade/of another")
    assert part.state is StreamState.READY
    await waiting
    hub.down()
    assert part.state is StreamState.CONNECTING


async def test_one_channel_can_be_waited_for(hub, part):
    waiting = await begun(part.until_ready(5.0, "trade/0"))
    hub.up("trade/0")
    await waiting
    with pytest.raises(StreamClosedError, match=r"within 0 s of order_book/0$"):
        await part.until_ready(0.0, "order_book/0")


async def test_what_is_late_is_named_and_why_the_connection_ended(hub, part):
    hub.up("trade/0")
    with pytest.raises(StreamClosedError, match=r"no snapshot within 0\.01 s of ord"):
        await part.until_ready(0.01)
    hub.down("the exchange went silent")
    with pytest.raises(StreamClosedError, match=r"of order_book/0, trade/0.*silent"):
        await part.until_ready(0.0)
    hub.up("trade/0", "order_book/0")
    hub.up("trade/0")
    with pytest.raises(StreamClosedError, match=r"of order_book/0$"):
        await part.until_ready(0.0)


async def test_a_refusal_fails_who_waits_until_the_channel_is_live(hub, part):
    hub.up("trade/0")
    waiting = await begun(part.until_ready(5.0))
    part.on_refused("order_book/0", refused())
    with pytest.raises(VenueError, match="Invalid Channel"):
        await waiting
    with pytest.raises(VenueError):
        await part.until_ready(0.0)
    await part.until_ready(0.0, "trade/0")
    hub.up("trade/0", "order_book/0")
    await part.until_ready(0.0)
    hub.up("trade/0")
    with pytest.raises(StreamClosedError):
        await part.until_ready(0.0)


async def test_a_refusal_without_a_channel_counts_until_nothing_is_missing(hub, part):
    hub.up("trade/0")
    part.on_refused(None, refused())
    with pytest.raises(VenueError):
        await part.until_ready(0.0)
    hub.up("trade/0", "order_book/0")
    await part.until_ready(0.0)
    part.on_refused(None, refused())
    await part.until_ready(0.0)
    hub.up("trade/0")
    with pytest.raises(StreamClosedError):
        await part.until_ready(0.0)


async def test_a_new_connection_and_letting_go_forget_refusals(hub, part):
    hub.up("trade/0")
    part.on_refused("order_book/0", refused())
    hub.down()
    with pytest.raises(StreamClosedError):
        await part.until_ready(0.0)
    hub.up("trade/0")
    part.on_refused("order_book/0", refused())
    part.unsubscribe("order_book/0")
    assert hub.channels == {"trade/0"}
    await part.until_ready(0.0)


async def test_each_state_is_told_once_and_a_reconnect_when_all_is_back(
    hub, part, eventually
):
    told = []
    part.hooks.add("on_state", told.append)
    part.hooks.add("on_reconnect", told.append)
    hub.up()
    hub.up("trade/0")
    hub.up("trade/0", "order_book/0")
    # One channel that is subscribed anew is no reconnect.
    hub.up("trade/0")
    hub.up("trade/0", "order_book/0")
    hub.down()
    hub.up("trade/0")
    hub.up("trade/0", "order_book/0")
    await eventually(lambda: 2 in told)
    ready, subscribing = StreamState.READY, StreamState.SUBSCRIBING
    states = [state for state in told if state != 2]
    assert states == [
        subscribing,
        ready,
        subscribing,
        ready,
        StreamState.CONNECTING,
        subscribing,
        ready,
    ]


async def test_leaving_releases_everybody_and_takes_the_taps_along(hub, part):
    seen = []
    part.tap(seen.append)
    assert sorted(hub.again) == ["order_book/0", "trade/0"]
    hub.taps.frame("trade/0", b'{"a": 1}')
    hub.taps.frame("trade/of another", b'{"a": 2}')
    hub.taps.lost()
    assert seen == [{"a": 1}, {"type": "connected"}]

    waiter, done = (asyncio.get_running_loop().create_future() for _ in range(2))
    part.waits(waiter)
    part.waits(done)
    done.set_result(None)
    waiting = await begun(part.until_ready(None))
    part.leave()
    assert hub.members == []
    assert part.state is StreamState.CLOSED
    with pytest.raises(StreamClosedError, match="was closed meanwhile"):
        await waiter
    with pytest.raises(StreamClosedError):
        await waiting
    hub.taps.frame("trade/0", b'{"a": 3}')
    assert len(seen) == 2


async def test_a_connection_that_dies_ends_all_waiting(hub, part):
    waiter = asyncio.get_running_loop().create_future()
    part.waits(waiter)
    waiting = await begun(part.until_ready(None))
    hub.failure = ZeroDivisionError("a defect")
    part.on_failure(hub.failure)
    for late in (waiter, waiting):
        with pytest.raises(StreamClosedError, match="stopped"):
            await late
    assert part.state is StreamState.CLOSED
    with pytest.raises(StreamClosedError) as caught:
        await part.until_ready(1.0)
    assert caught.value.__cause__ is hub.failure


async def test_waiting_can_be_given_up(hub, part):
    waiting = await begun(part.until_ready(5.0))
    hub.up("trade/0", "order_book/0")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_orders_too_many_for_a_hook_hold_the_connection(hub, part, eventually):
    door = asyncio.Event()

    async def slow(_):
        await door.wait()

    part.hooks.add("on_orders", slow)
    part.on_news("on_orders", [{"row": row} for row in range(6000)], "orders")
    assert hub.held == [True]
    door.set()
    await eventually(lambda: hub.held == [True, False])


async def test_values_of_each_channel_and_each_candle_wait_for_themselves(
    part, eventually
):
    class Bar:
        def __init__(self, start_ms, close):
            self.start_ms = start_ms
            self.close = close

    told = []
    part.hooks.add("on_candle", lambda bar: told.append((bar.start_ms, bar.close)))
    part.hooks.add("on_ticker", told.append)
    for bar in (Bar(0, 1), Bar(0, 2), Bar(60, 3)):
        part.on_news("on_candle", bar, "candle/0/1m")
    for market, value in ((0, "old"), (0, "new"), (1, "other")):
        part.on_news("on_ticker", value, f"ticker/{market}")
    await eventually(lambda: len(told) == 4)
    assert [row for row in told if isinstance(row, tuple)] == [(0, 2), (60, 3)]
    assert [row for row in told if isinstance(row, str)] == ["new", "other"]


async def test_what_subscribing_returns_is_what_was_made(part):
    assert part.subscribe("height", partial(lambda _: 7), private=False) == 7
