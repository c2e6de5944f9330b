"""One connection for all overlays that can share it, and the state of its channels.

The exchange limits connections, subscriptions and messages of an address. So all
overlays of one process that stream the same account from the same exchange, or none,
have one connection, and a channel that several want is subscribed once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from wrappy._core.stream import EventKind, StreamSession, StreamState
from wrappy.errors import (
    CredentialsError,
    StreamClosedError,
    WrappyError,
)
from wrappy.lighter.asking.account import AccountReader
from wrappy.lighter.config import ws_url_for
from wrappy.lighter.logs import Complaints, as_sink
from wrappy.lighter.streaming.book_feed import BookFeed
from wrappy.lighter.streaming.catch_up import CatchUp
from wrappy.lighter.streaming.stream import SupervisedStream
from wrappy.lighter.streaming.taps import Taps
from wrappy.lighter.streaming.trade_feeds import PublicTradesFeed
from wrappy.lighter.trading.assembly import token_source
from wrappy.protocol.codes import INVALID_CHANNEL, error_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wrappy._core.stream import StreamEvent
    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.environment import Environment
    from wrappy.lighter.link import ExchangeLink
    from wrappy.lighter.streaming.feed import Feed, Tell
    from wrappy.lighter.streaming.order_feed import OrderFeed
    from wrappy.lighter.streaming.trade_feeds import OwnTradesFeed

    F = TypeVar("F", bound=Feed)


RETELL_PAUSE_S: Final = 10.0
NEVER_S: Final = 1e9
"""Least seconds between asking for the account's state anew because of frames that
cannot be read; the exchange limits messages, and nonsense may come by the thousand."""


class HubListener(Protocol):
    """Who shares a connection."""

    def on_news(self, event: str, value: Any, channel: str) -> None:
        """Hear what a channel has told."""

    def on_refused(self, channel: str | None, error: WrappyError) -> None:
        """Hear that a subscription was refused."""

    def on_change(self) -> None:
        """Look again how the connection and the channels are."""

    def on_closed(self, reason: str) -> None:
        """Hear that the connection was lost; it will be made anew."""

    def on_failure(self, error: BaseException) -> None:
        """Hear that the connection will not be made again."""


@dataclass(eq=False)
class _Topic:
    """A channel, its state, and who wants it."""

    channel: str
    private: bool
    listeners: list[HubListener] = field(default_factory=list)
    feed: Feed = field(init=False)

    def tell(self, event: str, value: Any) -> None:
        for listener in tuple(self.listeners):
            listener.on_news(event, value, self.channel)


class StreamHub:
    """The shared connection of one account's overlays, or of those without one.

    Attributes:
        users: overlays that hold it.
        rest: asks the same exchange.
        account: reads the account; None without one.
        taps: who gets the frames themselves.
    """

    def __init__(
        self,
        config: DealerConfig,
        *,
        link: ExchangeLink,
        environment: Environment,
        ping_interval_s: float,
        logger: Any,
    ) -> None:
        base_url = config.base_url or ""
        self.users = 0
        self.rest = environment.open_rest(
            base_url,
            timeout_s=config.request_timeout_s,
            on_throttled=link.pace.throttled,
        )
        self._log = as_sink(logger, "wrappy.ws")
        self._complaints = Complaints(self._log, asyncio.get_running_loop().time)
        self.taps = Taps(self._log)
        self._account_index = config.account_index
        tokens = token_source(config, environment, self.rest, link.pace)
        self.account: AccountReader | None = None
        self._catch_up: CatchUp | None = None
        if tokens is not None and config.account_index is not None:
            self.account = AccountReader(
                config.account_index,
                link=link,
                rest=self.rest,
                tokens=tokens,
                chance=environment.chance,
            )
            self._catch_up = CatchUp(
                self.account, self._log, self._baselines, self.taps
            )
        self._topics: dict[str, _Topic] = {}
        self._listeners: list[HubListener] = []
        self._full: set[HubListener] = set()
        self._session = (
            StreamSession(ping_interval_s=ping_interval_s)
            if environment.keeps_alive
            else StreamSession(ping_interval_s=NEVER_S, idle_limit_s=NEVER_S)
        )
        self._stream = SupervisedStream(
            environment.open_stream(ws_url_for(base_url)),
            self._session,
            self,
            tokens=tokens,
            log=self._log,
            turn=link.pace.wait_message,
            chance=environment.chance,
            renews_tokens=environment.keeps_alive,
        )
        self._task: asyncio.Task[None] | None = None
        self._retelling: asyncio.TimerHandle | None = None
        self._retold_at = -RETELL_PAUSE_S
        self.failure: BaseException | None = None

    @property
    def state(self) -> StreamState:
        """Where the connection is in its life."""
        return self._session.state

    @property
    def connects(self) -> int:
        """Connections made so far."""
        return self._stream.connects

    @property
    def heard_at(self) -> float:
        """When the exchange was last heard, seconds of the loop's clock."""
        return self._stream.heard_at

    @property
    def unreadable_frames(self) -> int:
        """Frames so far that made no sense."""
        return self._session.unreadable_frames

    def enter(self, listener: HubListener) -> None:
        """Begin to tell a listener how the connection is."""
        self._listeners.append(listener)
        if self._task is None:
            self._task = asyncio.create_task(self._stream.run(), name="wrappy-stream")
            self._task.add_done_callback(self._ended)

    def subscribe(
        self,
        channel: str,
        listener: HubListener,
        make: Callable[[Tell], F],
        *,
        private: bool,
    ) -> F:
        """Keep a channel subscribed for a listener, and return its state.

        Args:
            channel: its request name, such as `order_book/0`.
            listener: told of what it tells.
            make: makes the state, when nobody has wanted the channel yet.
            private: whether it needs a token.
        """
        topic = self._topics.get(channel)
        if topic is None:
            topic = _Topic(channel, private)
            feed = make(topic.tell)
            topic.feed = feed
            self._topics[channel] = topic
            self._session.want(channel, private=private)
            self._stream.stir()
        topic.listeners.append(listener)
        # Who makes it decides by the name what it is, and the name is the same.
        kept: Any = topic.feed
        made: F = kept
        return made

    def complete(self, orders: OrderFeed, trades: OwnTradesFeed) -> None:
        """Ask from now on for what the account's feeds miss over an outage."""
        if self._catch_up is not None:
            self._catch_up.watch(orders, trades)

    def _baselines(self) -> dict[int, int]:
        """Return the highest trade number at the start of each market streamed."""
        found = {}
        for topic in self._topics.values():
            feed = topic.feed
            if isinstance(feed, PublicTradesFeed) and feed.baseline is not None:
                found[int(topic.channel.partition("/")[2])] = feed.baseline
        return found

    def unsubscribe(self, channel: str, listener: HubListener) -> None:
        """Let a channel go for a listener; for all when nobody else wants it."""
        topic = self._topics.get(channel)
        if topic is None or listener not in topic.listeners:
            return
        topic.listeners.remove(listener)
        if not topic.listeners:
            del self._topics[channel]
            # Whoever still holds it would read what does not change any more.
            reason = "nobody streams it any more"
            if isinstance(topic.feed, BookFeed):
                topic.feed.book.invalidate(reason)  # which is no gap to be told of
            else:
                topic.feed.lost(reason)
            self._session.unwant(channel)
            self._stream.stir()

    def leave(self, listener: HubListener) -> None:
        """Let everything go that a listener wants."""
        for channel in list(self._topics):
            self.unsubscribe(channel, listener)
        if listener in self._listeners:
            self._listeners.remove(listener)
        self.overfull(listener, full=False)

    def snapshot_again(self, channels: Iterable[str]) -> None:
        """Ask for fresh snapshots of live channels."""
        for channel in channels:
            if self._session.is_live(channel):
                self._topics[channel].feed.lost("a fresh snapshot is asked for")
            self._session.resubscribe(channel)
        self._stream.stir()

    def is_live(self, channel: str) -> bool:
        """Whether a channel has told its snapshot and goes on from there."""
        return self._session.state is not StreamState.CLOSED and (
            self._session.is_live(channel)
        )

    def overfull(self, listener: HubListener, *, full: bool) -> None:
        """Note that a listener cannot take in more; what is missed is asked for."""
        before = bool(self._full)
        (self._full.add if full else self._full.discard)(listener)
        if bool(self._full) is not before:
            self._stream.hold(held=bool(self._full))

    async def aclose(self) -> None:
        """Close the connection."""
        task, self._task = self._task, None
        if self._retelling is not None:
            self._retelling.cancel()
        try:
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            if self._catch_up is not None:
                await self._catch_up.aclose()
        finally:
            await self.rest.aclose()

    # ---------------------------------------------------- what the stream brings

    def on_frame(self, channel: str, raw: bytes, *, snapshot: bool) -> None:
        """Take a channel's frame."""
        topic = self._topics.get(channel)
        if topic is None:
            return
        try:
            sound = topic.feed.take(raw, snapshot=snapshot)
        except WrappyError as error:
            self._session.unreadable_frames += 1
            self._complaints.error("unreadable frame of %s: %s", channel, error)
            # What it told is missing now. A snapshot that cannot be read is not asked
            # for again, or that would go on for ever; only a book needs one.
            sound = snapshot and channel.partition("/")[0] != "order_book"
        else:
            self.taps.frame(channel, raw)
        if not sound:
            self._session.resubscribe(channel)
            self._stream.stir()
        if snapshot or not sound:
            self._tell_change()

    def on_event(self, event: StreamEvent) -> None:
        """Take what is no channel's content."""
        if event.kind is EventKind.READY:
            self._tell_change()
        elif event.kind is EventKind.REFUSED:
            self._refused(event)
            self._tell_change()
        elif event.kind is EventKind.ENDED:
            topic = self._topics.get(event.channel or "")
            if topic is not None:
                topic.feed.lost("the exchange ended the subscription")
            self._tell_change()
        elif event.kind is EventKind.UNREADABLE:
            self._complaints.error("a frame that makes no sense was left out")
            self.retell_account()

    def retell_account(self) -> None:
        """Have the account told anew: what nobody has read may have been about it.

        A book notices by itself that something is missing; fills and orders do not.
        """
        if self._account_index is None or self._retelling is not None:
            return
        loop = asyncio.get_running_loop()
        wait_s = self._retold_at + RETELL_PAUSE_S - loop.time()
        self._retelling = loop.call_later(max(0.0, wait_s), self._retell)

    def _retell(self) -> None:
        self._retelling = None
        self._retold_at = asyncio.get_running_loop().time()
        self.snapshot_again(
            channel for channel, topic in self._topics.items() if topic.private
        )

    def on_closed(self, reason: str) -> None:
        """Take that the connection is gone; it will be made anew."""
        for topic in self._topics.values():
            topic.feed.lost(reason)
        self.taps.lost()
        for listener in tuple(self._listeners):
            listener.on_closed(reason)
        self._tell_change()

    def on_no_token(self, error: CredentialsError) -> None:
        """Take that private channels cannot be subscribed any more."""
        self._log.error("private channels end: %s", error)
        for topic in self._topics.values():
            if topic.private:
                for listener in tuple(topic.listeners):
                    listener.on_refused(topic.channel, error)

    def _tell_change(self) -> None:
        for listener in tuple(self._listeners):
            listener.on_change()

    def _refused(self, event: StreamEvent) -> None:
        error = event.message.get("error")
        words = error.get("message", "") if isinstance(error, dict) else ""
        channel = event.channel
        refusal: WrappyError = error_for(
            event.code, str(words), endpoint=channel or "stream"
        )
        if (
            event.code == INVALID_CHANNEL
            and channel is not None
            and channel.startswith(("account_", "user_stats", "notification"))
        ):
            refusal = CredentialsError(
                f"account_index: {self._account_index} has no {channel} here"
            )
        self._log.error("subscription refused: %s", refusal)
        topic = None if channel is None else self._topics.get(channel)
        concerned = self._listeners if topic is None else topic.listeners
        for listener in tuple(concerned):
            listener.on_refused(channel, refusal)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Make a connection that ended by itself everybody's failure, not nobody's."""
        if task is not self._task:
            return  # we have closed it
        self.failure = (
            StreamClosedError("the stream was cancelled")
            if task.cancelled()
            else task.exception() or StreamClosedError("the stream ended")
        )
        self._log.error("the stream stopped: %r", self.failure)
        for topic in self._topics.values():
            topic.feed.lost("the stream stopped")
        for listener in tuple(self._listeners):
            listener.on_failure(self.failure)


def acquire_hub(
    config: DealerConfig,
    *,
    link: ExchangeLink,
    environment: Environment,
    ping_interval_s: float,
    logger: Any,
) -> StreamHub:
    """Return the hub that overlays with these settings share; pair with `release_hub`.

    Those that differ in account, key, ping interval, logger or surroundings have one
    each.
    """
    key = (
        environment,
        config.account_index,
        config.api_keys[:1],
        config.auth_token,
        ping_interval_s,
        id(logger),
        config.request_timeout_s,
    )
    hub = link.hubs.get(key)
    if hub is None or hub.failure is not None:
        hub = link.hubs[key] = StreamHub(
            config,
            link=link,
            environment=environment,
            ping_interval_s=ping_interval_s,
            logger=logger,
        )
    hub.users += 1
    return hub


async def release_hub(link: ExchangeLink, hub: StreamHub) -> None:
    """Let go of a hub; the last one to do so closes it."""
    hub.users -= 1
    if hub.users:
        return
    for key in [name for name, known in link.hubs.items() if known is hub]:
        del link.hubs[key]
    await hub.aclose()
