"""The shared connection: one subscription a channel, everybody told, nobody's left."""

from __future__ import annotations

import logging

import pytest

from tests.scripted import Wire, environment_on
from wrappy import DealerConfig, StreamClosedError
from wrappy._core.stream import StreamState
from wrappy.errors import CredentialsError, ProtocolError, VenueError
from wrappy.lighter.link import acquire_link, release_link
from wrappy.lighter.streaming.feed import Feed
from wrappy.lighter.streaming.hub import acquire_hub, release_hub

CONFIG = DealerConfig(base_url="http://nowhere", chain_id=304)


class Kept(Feed):
    """Keeps frames; one whose content is bad cannot be read."""

    def __init__(self, tell, *, sound=True):
        self.tell = tell
        self.sound = sound
        self.taken = []
        self.losses = []

    def take(self, raw, *, snapshot):
        if b"bad" in raw:
            raise ProtocolError("a bad frame")
        self.taken.append(snapshot)
        self.tell("on_book", len(self.taken))
        return self.sound

    def lost(self, reason):
        self.losses.append(reason)


class Listener:
    """Writes down what it hears."""

    def __init__(self):
        self.news = []
        self.refusals = []
        self.changes = 0
        self.closings = []
        self.failures = []

    def on_news(self, event, value, channel):
        self.news.append((event, value, channel))

    def on_refused(self, channel, error):
        self.refusals.append((channel, error))

    def on_change(self):
        self.changes += 1

    def on_closed(self, reason):
        self.closings.append(reason)

    def on_failure(self, error):
        self.failures.append(error)


@pytest.fixture
async def wire():
    return Wire()


@pytest.fixture
async def link():
    made = acquire_link(CONFIG)
    yield made
    release_link(made)


def joined(link, wire, *, environment=None, logger=None, **changes):
    return acquire_hub(
        CONFIG.replace(**changes) if changes else CONFIG,
        link=link,
        environment=environment or environment_on(wire),
        ping_interval_s=30.0,
        logger=logger,
    )


@pytest.fixture
async def hub(link, wire):
    made = joined(link, wire)
    yield made
    await release_hub(link, made)


@pytest.fixture
async def two(hub):
    first, second = Listener(), Listener()
    for listener in (first, second):
        hub.enter(listener)
    return first, second


def subscribed(hub, listener, channel="order_book/0", **wishes):
    def make(tell):
        return Kept(tell, **wishes)

    return hub.subscribe(channel, listener, make, private=False)


async def test_a_channel_that_two_want_is_subscribed_once_and_told_to_both(
    hub, wire, two, eventually
):
    first, second = two
    feed = subscribed(hub, first)
    await eventually(lambda: hub.is_live("order_book/0"))
    assert subscribed(hub, second) is feed
    wire.update("order_book/0")
    await eventually(lambda: len(feed.taken) == 2)
    assert wire.subscribed == ["order_book/0"]
    assert second.news == [("on_book", 2, "order_book/0")]
    assert first.news[1:] == second.news
    assert hub.state is StreamState.READY


async def test_a_channel_stays_until_the_last_one_lets_it_go(
    hub, wire, two, eventually
):
    first, second = two
    feed = subscribed(hub, first)
    subscribed(hub, second)
    await eventually(lambda: hub.is_live("order_book/0"))
    hub.unsubscribe("order_book/0", first)
    hub.unsubscribe("order_book/0", first)
    hub.unsubscribe("order_book/9", first)
    wire.update("order_book/0")
    await eventually(lambda: len(feed.taken) == 2)
    assert len(first.news) == 1
    hub.leave(second)
    hub.leave(second)
    await eventually(lambda: wire.left == ["order_book/0"])
    assert not hub.is_live("order_book/0")
    hub.on_frame("order_book/0", b"{}", snapshot=False)
    assert len(feed.taken) == 2


async def test_who_comes_while_a_channel_is_left_gets_a_fresh_one(
    hub, wire, two, eventually
):
    first, second = two
    before = subscribed(hub, first)
    await eventually(lambda: hub.is_live("order_book/0"))
    hub.leave(first)
    after = subscribed(hub, second)
    await eventually(lambda: hub.is_live("order_book/0"))
    assert after is not before
    assert (before.taken, after.taken) == ([True], [True])
    assert wire.subscribed == ["order_book/0"] * 2


async def test_an_unsound_state_gets_a_fresh_snapshot(hub, wire, two, eventually):
    feed = subscribed(hub, two[0])
    await eventually(lambda: hub.is_live("order_book/0"))
    feed.sound = False
    wire.update("order_book/0")
    await eventually(lambda: len(wire.subscribed) >= 2)
    feed.sound = True
    await eventually(lambda: hub.is_live("order_book/0"))
    assert wire.connects == 1


@pytest.mark.parametrize("channel", ["order_book/0", "account_all_trades/7"])
async def test_an_update_that_cannot_be_read_is_made_good_by_a_snapshot(
    hub, wire, two, eventually, channel
):
    feed = subscribed(hub, two[0], channel)
    await eventually(lambda: hub.is_live(channel))
    wire.update(channel, content="bad")
    await eventually(lambda: wire.subscribed == [channel] * 2)
    await eventually(lambda: feed.taken == [True, True])
    assert hub.unreadable_frames == 1


async def test_a_snapshot_that_cannot_be_read_is_asked_for_again_for_books_only(
    hub, wire, two, eventually, caplog
):
    for channel in ("order_book/0", "account_all_trades/7"):
        wire.contents[channel] = {"content": "bad"}
        subscribed(hub, two[0], channel)
    await eventually(lambda: wire.subscribed.count("order_book/0") > 2)
    wire.contents.clear()
    await eventually(lambda: hub.is_live("order_book/0"))
    assert wire.subscribed.count("account_all_trades/7") == 1
    assert "unreadable frame of order_book/0: a bad frame" in caplog.text


async def test_all_are_lost_and_asked_for_again_when_the_connection_ends(
    hub, wire, two, eventually
):
    feeds = [subscribed(hub, two[0], f"order_book/{market}") for market in (0, 1)]
    await eventually(lambda: hub.is_live("order_book/1"))
    wire.tell(StreamClosedError("1006"))
    await eventually(lambda: hub.connects == 2 and hub.is_live("order_book/1"))
    assert [feed.losses for feed in feeds] == [["1006"]] * 2
    assert [listener.closings for listener in two] == [["1006"]] * 2
    assert all(feed.taken == [True, True] for feed in feeds)


async def test_a_refusal_is_told_to_those_whom_it_concerns(hub, wire, two, eventually):
    first, second = two
    wire.refuses = {"account_tx/7": 30005, "trade/9": 30005}
    subscribed(hub, first, "trade/9")
    subscribed(hub, second, "account_tx/7")
    subscribed(hub, second)
    await eventually(lambda: first.refusals and second.refusals)
    ((channel, refusal),) = first.refusals
    assert channel == "trade/9"
    assert isinstance(refusal, VenueError)
    assert refusal.code == 30005
    ((channel, refusal),) = second.refusals
    assert channel == "account_tx/7"
    assert isinstance(refusal, CredentialsError)
    await eventually(lambda: hub.is_live("order_book/0"))


@pytest.mark.parametrize("error", [{"code": 30009}, {"code": 30009, "message": None}])
async def test_a_refusal_of_nothing_in_particular_is_told_to_all(
    hub, wire, two, eventually, error
):
    subscribed(hub, two[0])
    await eventually(lambda: hub.is_live("order_book/0"))
    wire.tell({"error": error})
    await eventually(lambda: all(listener.refusals for listener in two))
    assert two[1].refusals[0][0] is None


async def test_a_frame_that_makes_no_sense_is_told_and_counted(
    hub, wire, two, eventually, caplog
):
    subscribed(hub, two[0])
    await eventually(lambda: hub.is_live("order_book/0"))
    wire.tell(b"\xff{")
    await eventually(lambda: hub.unreadable_frames == 1)
    assert "makes no sense" in caplog.text
    assert hub.is_live("order_book/0")


async def test_taps_get_what_their_channel_could_read_and_any_reader_can(
    hub, wire, two, eventually
):
    seen = []
    remove = hub.taps.add(lambda channel, message: seen.append((channel, message)))
    subscribed(hub, two[0])
    await eventually(lambda: hub.is_live("order_book/0"))
    wire.update("order_book/0", content="bad")
    await eventually(lambda: len(seen) == 2)
    hub.on_frame("order_book/0", b"no JSON", snapshot=False)
    assert [message["type"] for _, message in seen] == ["subscribed/order_book"] * 2
    remove()
    hub.on_frame("order_book/0", b"{}", snapshot=False)
    assert len(seen) == 2


async def test_who_cannot_take_in_more_holds_the_connection_until_all_can(
    hub, wire, two, eventually
):
    first, second = two
    subscribed(hub, first)
    await eventually(lambda: hub.is_live("order_book/0"))
    hub.overfull(first, full=True)
    hub.overfull(second, full=True)
    await eventually(lambda: first.closings)
    hub.overfull(first, full=False)
    assert hub.state is StreamState.CLOSED
    hub.leave(second)
    await eventually(lambda: hub.is_live("order_book/0"))
    assert wire.connects == 2


async def test_a_connection_that_dies_is_told_and_never_joined_again(
    link, wire, hub, two, eventually
):
    feed = subscribed(hub, two[0])
    await eventually(lambda: hub.is_live("order_book/0"))
    wire.tell(ZeroDivisionError("a defect"))
    await eventually(lambda: hub.failure is not None)
    assert [type(error) for error in two[1].failures] == [ZeroDivisionError]
    assert feed.losses == ["the stream stopped"]
    assert not hub.is_live("order_book/0")
    other = joined(link, Wire())
    assert other is not hub
    await release_hub(link, other)


async def test_equal_settings_share_a_hub_and_others_do_not(link, wire):
    environment = environment_on(wire)
    first = joined(link, wire, environment=environment)
    again = joined(link, wire, environment=environment)
    assert again is first
    logged = joined(link, wire, environment=environment, logger=logging.getLogger("x"))
    elsewhere = joined(link, wire)
    assert len({first, logged, elsewhere}) == 3
    for hub in (first, logged, elsewhere):
        await release_hub(link, hub)
    assert list(link.hubs.values()) == [first]
    assert not first.rest.closed
    await release_hub(link, first)
    assert first.rest.closed
    assert link.hubs == {}
