"""One overlay's part in a shared connection: its channels, its hooks, its state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from wrappy._core.stream import StreamState
from wrappy.errors import StreamClosedError, WrappyError
from wrappy.lighter.streaming.hooks import HookHub

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from wrappy.lighter.logs import LogSink
    from wrappy.lighter.streaming.feed import Feed, Tell
    from wrappy.lighter.streaming.hub import StreamHub

    F = TypeVar("F", bound=Feed)


class Membership:
    """Channels of one overlay, and what it hears of them.

    Args:
        hub: the shared connection.
        log: where hooks that fail are told.
        hook_timeout_s: seconds for one call of an async hook.

    Attributes:
        hooks: told of everything new.
        closed: whether the overlay has left.
    """

    def __init__(self, hub: StreamHub, log: LogSink, *, hook_timeout_s: float) -> None:
        self.hooks = HookHub(log, timeout_s=hook_timeout_s, on_backlog=self._on_backlog)
        self._hub = hub
        self._channels: set[str] = set()
        self._refusals: dict[str, WrappyError] = {}
        self._bells: set[asyncio.Future[None]] = set()
        self._reason = ""
        self._told = StreamState.CONNECTING
        self._connects_when_ready = 0
        self._waiters: set[asyncio.Future[Any]] = set()
        self._tapped: list[Callable[[], None]] = []
        self.closed = False
        hub.enter(self)

    @property
    def state(self) -> StreamState:
        """Where the overlay is: ready means that all its channels are live."""
        if self.closed or self._hub.failure is not None:
            return StreamState.CLOSED
        state = self._hub.state
        if state in (StreamState.CLOSED, StreamState.CONNECTING):
            return StreamState.CONNECTING
        live = all(map(self._hub.is_live, self._channels))
        return StreamState.READY if live else StreamState.SUBSCRIBING

    def subscribe(self, channel: str, make: Callable[[Tell], F], *, private: bool) -> F:
        """Want a channel and return its state."""
        self._channels.add(channel)
        feed = self._hub.subscribe(channel, self, make, private=private)
        self.on_change()
        return feed

    def unsubscribe(self, channel: str) -> None:
        """Want a channel no more."""
        self._channels.discard(channel)
        self._refusals.pop(channel, None)
        self._hub.unsubscribe(channel, self)
        self.on_change()

    def retell_account(self) -> None:
        """Have everything about the account told anew."""
        self._hub.retell_account()

    async def until_ready(
        self, timeout_s: float | None, channel: str | None = None
    ) -> None:
        """Return when all channels are live, or the one that is named.

        Raises:
            WrappyError: a subscription was refused: that refusal.
            StreamClosedError: the time is over, or the connection stopped for good.
        """
        loop = asyncio.get_running_loop()
        ends_at = None if timeout_s is None else loop.time() + timeout_s
        while not self._is_ready(channel):
            if ends_at is not None and loop.time() >= ends_at:
                wanted = self._channels if channel is None else {channel}
                late = sorted(c for c in wanted if not self._hub.is_live(c))
                ended = f"; the connection: {self._reason}" if self._reason else ""
                raise StreamClosedError(
                    f"no snapshot within {timeout_s:g} s of {', '.join(late)}{ended}"
                )
            await self._change(ends_at)

    def _is_ready(self, channel: str | None) -> bool:
        if self.state is StreamState.CLOSED:
            raise StreamClosedError("the overlay stopped") from self._hub.failure
        if channel is not None and self._hub.is_live(channel):
            return True
        if self.state is StreamState.READY:
            return True
        for refused, refusal in self._refusals.items():
            if channel is None or refused in (channel, ""):
                raise refusal
        return False

    async def _change(self, ends_at: float | None) -> None:
        """Wait for something to be different, or for a moment to come."""
        # `wait_for` loses a cancellation that comes together with the event.
        loop = asyncio.get_running_loop()
        bell: asyncio.Future[None] = loop.create_future()
        self._bells.add(bell)
        timer = None if ends_at is None else loop.call_at(ends_at, _ring, bell)
        try:
            await bell
        finally:
            self._bells.discard(bell)
            if timer is not None:
                timer.cancel()

    def _look_again(self) -> None:
        for bell in self._bells:
            _ring(bell)

    def tap(self, take: Callable[[dict[str, Any]], Any]) -> Callable[[], None]:
        """Hand every frame of these channels on, decoded; what it returns ends it."""

        def each(channel: str | None, message: dict[str, Any]) -> None:
            if channel is None or channel in self._channels:
                take(message)

        # Without the snapshots, what follows them means nothing.
        self._hub.snapshot_again(self._channels)
        remove = self._hub.taps.add(each)
        self._tapped.append(remove)
        return remove

    def waits(self, waiter: asyncio.Future[Any]) -> None:
        """Have a future end with `StreamClosedError` when the overlay does."""
        self._waiters.add(waiter)
        waiter.add_done_callback(self._waiters.discard)

    def leave(self) -> None:
        """Let everything go."""
        self.closed = True
        while self._tapped:
            self._tapped.pop()()
        self._hub.leave(self)
        self._release("the overlay was closed meanwhile")
        self._look_again()

    def _on_backlog(self, full: bool) -> None:  # noqa: FBT001 - the hook hub calls it so
        self._hub.overfull(self, full=full)

    # --------------------------------------------------- what the connection says

    def on_news(self, event: str, value: Any, channel: str) -> None:
        """Tell the hooks."""
        key: Hashable = channel
        if event == "on_candle":
            # The next candle must not take the place of one that has closed.
            key = channel, value.start_ms
        self.hooks.tell(event, value, key)

    def on_refused(self, channel: str | None, error: WrappyError) -> None:
        """Fail who waits for the channel, or for any when none is named."""
        if channel is None and self.state is StreamState.READY:
            return  # it was about nothing that is waited for
        self._refusals[channel or ""] = error
        self._look_again()

    def on_change(self) -> None:
        """Tell the state when it is another one."""
        for channel in [c for c in self._refusals if self._hub.is_live(c)]:
            del self._refusals[channel]
        state = self.state
        if state is StreamState.READY:
            # Whatever a refusal without a channel was about, nothing is missing.
            self._refusals.clear()
            self._reason = ""
        self._look_again()
        if state is self._told:
            return
        self._told = state
        self.hooks.tell("on_state", state)
        if state is StreamState.READY:
            connects, before = self._hub.connects, self._connects_when_ready
            self._connects_when_ready = connects
            if before and connects > before:
                self.hooks.tell("on_reconnect", connects)

    def on_closed(self, reason: str) -> None:
        """Forget refusals: everything is asked for again."""
        self._reason = reason
        self._refusals.clear()

    def on_failure(self, error: BaseException) -> None:
        """End all waiting."""
        del error  # the hub keeps it
        self._release("the overlay stopped")
        self.on_change()

    def _release(self, reason: str) -> None:
        for waiter in tuple(self._waiters):
            if not waiter.done():
                waiter.set_exception(StreamClosedError(reason))


def _ring(bell: asyncio.Future[None]) -> None:
    if not bell.done():
        bell.set_result(None)
