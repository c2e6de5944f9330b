"""The stream session: what to say on the WebSocket, and what a frame means.

The session owns which channels are wanted, which are live, when a token is due and
when the connection counts as dead. A shell feeds it what arrived and the time, and
sends what `outbox` hands out. It never waits and never reads a clock.

Channels are opaque pairs of a request name (`order_book/0`) and a reply name
(`order_book:0`); answers are matched on either spelling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wrappy._core.stream_channel import WantedChannel
from wrappy._core.stream_events import EventKind, StreamEvent, StreamState

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EventKind", "StreamEvent", "StreamSession", "StreamState"]

ALREADY_SUBSCRIBED = 30003
NOT_SUBSCRIBED = 30002
CROWDED = frozenset({23000, 23001, 23002, 23003, 30009})
"""Too many messages, subscriptions, accounts or connections: asking again at once
would make it worse."""
UNAUTHORIZED = frozenset({20013, 30004, 30012})
"""A token that is missing, malformed, expired, or of somebody else."""

FIRST_REFUSAL_PAUSE_S = 0.5
"""Half of the pause after a first refusal; each one after it doubles the pause."""
MOST_DOUBLINGS = 10


_SILENT = frozenset({"ping", "pong", "connected"})


_CONTROL = {
    "shutdown": EventKind.SHUTDOWN,
    "jsonapi/sendtx": EventKind.REPLY,
    "jsonapi/sendtxbatch": EventKind.REPLY,
}


@dataclass(slots=True)
class StreamSession:
    """One connection's conversation.

    Attributes:
        ping_interval_s: silence of our own after which a ping is sent; the exchange
            closes after two minutes without any frame from us.
        idle_limit_s: silence of the exchange after which the connection is dead.
        acknowledge_limit_s: how long a subscribe may stay unanswered.
        in_flight_limit: unanswered subscribes at a time (the exchange allows 50).
        refusal_pause_s: how long at most a refused channel is left alone before it is
            asked for again.
        state: where the connection is in its life.
        unreadable_frames: frames so far that made no sense.
        stirred: whether `outbox` may have something new to say.
    """

    ping_interval_s: float = 30.0
    idle_limit_s: float = 75.0
    acknowledge_limit_s: float = 10.0
    in_flight_limit: int = 35
    refusal_pause_s: float = 60.0
    state: StreamState = StreamState.CLOSED
    unreadable_frames: int = 0
    stirred: bool = False
    _crowded_until: float = 0.0
    _wanted: dict[str, WantedChannel] = field(default_factory=dict)
    _pongs: list[dict[str, Any]] = field(default_factory=list)
    _token: str | None = field(default=None, repr=False)
    _look_at: float = 0.0
    _doubted_at: float = -math.inf
    _last_sent: float = 0.0
    _last_received: float = 0.0

    def want(self, request_name: str, *, private: bool = False) -> None:
        """Keep this channel subscribed from now on."""
        wanted = self._wanted.setdefault(
            _key(request_name),
            WantedChannel(request_name=request_name, private=private),
        )
        wanted.dropped = False
        self.stirred = True

    def unwant(self, request_name: str) -> None:
        """Let this channel go."""
        wanted = self._wanted.get(_key(request_name))
        if wanted is None:
            return
        self.stirred = True
        # A channel has one request under way at most: what is unanswered is left
        # once its answer is here.
        wanted.dropped = True
        if wanted.live:
            wanted.leave()
        elif wanted.asked_at is None and not wanted.leaving:
            del self._wanted[_key(request_name)]

    def resubscribe(self, request_name: str) -> None:
        """Ask for a fresh snapshot of a live channel."""
        wanted = self._wanted.get(_key(request_name))
        if wanted is not None and wanted.live:
            wanted.spoil(self._last_received)
            self.stirred = True

    def is_live(self, request_name: str) -> bool:
        """Whether a channel has told its snapshot and goes on from there."""
        wanted = self._wanted.get(_key(request_name))
        return wanted is not None and wanted.live

    def connected(self, *, now: float) -> None:
        """Note a fresh connection; everything wanted is to be asked for again."""
        self.state = StreamState.SUBSCRIBING
        self.stirred = True
        self._crowded_until = 0.0
        self._pongs.clear()
        self._last_sent = self._last_received = now
        for key, wanted in list(self._wanted.items()):
            wanted.forget()
            if wanted.dropped:
                del self._wanted[key]

    def closed(self) -> None:
        """Note that the connection is gone."""
        self.state = StreamState.CLOSED

    def offer_token(self, token: str, *, look_at: float) -> None:
        """Use this token until `look_at`, in the session's own clock, and ask then.

        Live private channels are renewed with it: the exchange ties a token to the
        subscription it came with.
        """
        self.stirred = True
        replaced = self._token not in (None, token)
        self._token, self._look_at = token, look_at
        if not replaced or self.state is StreamState.CLOSED:
            return
        for wanted in self._wanted.values():
            if wanted.private:
                wanted.refused_at = None
            if wanted.private and wanted.live:
                wanted.leave()

    def drop_token(self) -> None:
        """Forget the token, so that the next connection takes a fresh one."""
        self._token, self._look_at = None, 0.0

    def lack_token(self, *, look_at: float) -> None:
        """Go on with the token there is, or without one, and ask again then."""
        self._look_at = look_at

    def token_due(self, *, now: float) -> bool:
        """Whether the shell should make a new token."""
        if not any(wanted.private for wanted in self._wanted.values()):
            return False
        return now >= self._look_at

    def outbox(self, *, now: float) -> list[dict[str, Any]]:
        """Return the frames to send now, in order."""
        frames, self._pongs = self._pongs, []
        self.stirred = False
        in_flight = sum(w.pending_since is not None for w in self._wanted.values())
        for wanted in self._wanted.values():
            if in_flight >= self.in_flight_limit:
                break
            if wanted.leaving and wanted.left_at is None:
                wanted.left_at = now
                in_flight += 1
                frames.append({"type": "unsubscribe", "channel": wanted.request_name})
        for wanted in self._wanted.values():
            if in_flight >= self.in_flight_limit or now < self._crowded_until:
                break
            if not self._may_ask(wanted, now):
                continue
            frame: dict[str, Any] = {
                "type": "subscribe",
                "channel": wanted.request_name,
            }
            if wanted.private:
                frame["auth"] = wanted.token = self._token
            wanted.asked_at = now
            in_flight += 1
            frames.append(frame)
        if not frames and now >= self._last_sent + self.ping_interval_s:
            frames.append({"type": "ping"})
        if frames:
            self._last_sent = now
        return frames

    def pongs(self) -> list[dict[str, Any]]:
        """Return the answers to pings alone, for who has to wait with the rest."""
        frames, self._pongs = self._pongs, []
        return frames

    def posted(self, frame: Mapping[str, Any], *, now: float) -> None:
        """Note that a frame left later than it was handed out."""
        self._last_sent = now
        wanted = self._wanted.get(_key(str(frame.get("channel", ""))))
        if wanted is not None and wanted.left_at is not None:
            wanted.left_at = now
        elif wanted is not None and wanted.asked_at is not None:
            wanted.asked_at = now

    def deadline(self, *, now: float) -> float:
        """Return the time at which the shell must look again without a frame."""
        times = [
            self._last_sent + self.ping_interval_s,
            self._last_received + self.idle_limit_s,
        ]
        times += [
            since + self.acknowledge_limit_s
            for wanted in self._wanted.values()
            if (since := wanted.pending_since) is not None
        ]
        times += [
            wanted.refused_at + self._pause_s(wanted)
            for wanted in self._wanted.values()
            if wanted.refused_at is not None
        ]
        times += [w.not_before for w in self._wanted.values() if w.not_before > now]
        if self._crowded_until > now:
            times.append(self._crowded_until)
        if any(wanted.private for wanted in self._wanted.values()):
            times.append(self._look_at)
        return max(now, min(times))

    def is_dead(self, *, now: float) -> bool:
        """Whether the connection should be given up."""
        overdue = any(
            wanted.pending_since is not None
            and now >= wanted.pending_since + self.acknowledge_limit_s
            for wanted in self._wanted.values()
        )
        # As `deadline` adds it up: a difference may round to less than its limit.
        return overdue or now >= self._last_received + self.idle_limit_s

    def receive(self, message: object, *, now: float) -> list[StreamEvent]:
        """Take one decoded frame; return what the shell should act on."""
        self._last_received = now
        self.stirred = True
        if not isinstance(message, dict):
            return self._unreadable({})
        if "error" in message:
            return self._refused(message)
        kind = message.get("type")
        if not isinstance(kind, str):
            return self._unreadable(message)
        if kind == "ping":
            self._pongs.append({"type": "pong"})
        event = _CONTROL.get(kind)
        if event is not None:
            return [StreamEvent(event, None, message)]
        return [] if kind in _SILENT else self._channel_frame(kind, message)

    def _channel_frame(self, kind: str, message: dict[str, Any]) -> list[StreamEvent]:
        channel = message.get("channel")
        if not isinstance(channel, str):
            return self._unreadable(message)
        if kind == "unsubscribed":
            wanted = self._find(channel)
            if wanted is None:
                return []
            was_live = wanted.live
            self._left(wanted)
            # Nobody asked for that: an expired token, or the exchange's own will.
            name = wanted.request_name
            return [StreamEvent(EventKind.ENDED, name, {})] if was_live else []
        return self.heard(kind, channel, now=self._last_received)

    def heard(self, kind: str, channel: str, *, now: float) -> list[StreamEvent]:
        """Take the outside of a frame that speaks of a channel.

        Args:
            kind: its type, such as `update/order_book`.
            channel: in either spelling.
            now: seconds.

        Returns:
            What the shell should act on; the content of a frame is not looked at.
        """
        self._last_received = now
        wanted = self._find(channel)
        if wanted is None:
            return []
        if kind.startswith("update/"):
            # The book starts from a snapshot: what comes before it is no news.
            return wanted.update if wanted.live else []
        return self._acknowledged(wanted) if kind.startswith("subscribed/") else []

    def _acknowledged(self, wanted: WantedChannel) -> list[StreamEvent]:
        self.stirred = True
        if wanted.leaving:
            return []
        wanted.live, wanted.asked_at, wanted.refused_at = True, None, None
        wanted.refusals = 0
        if wanted.dropped:
            wanted.leave()
            return []
        events = [StreamEvent(EventKind.SNAPSHOT, wanted.request_name, {})]
        if self.state is StreamState.SUBSCRIBING and all(
            other.live or other.dropped for other in self._wanted.values()
        ):
            self.state = StreamState.READY
            events.append(StreamEvent(EventKind.READY, None, {}))
        if wanted.private and wanted.token != self._token:
            # Its token was replaced while the answer was under way.
            wanted.leave()
        return events

    def _refused(self, message: dict[str, Any]) -> list[StreamEvent]:
        error = message["error"]
        code = error.get("code") if isinstance(error, dict) else None
        words = error.get("message") if isinstance(error, dict) else None
        if not isinstance(code, int):
            return self._unreadable(message)
        if "id" in message:
            return [StreamEvent(EventKind.REPLY, None, message, code)]
        wanted = self._meant(words, leaving=code == NOT_SUBSCRIBED)
        if code in CROWDED:
            self._crowded_until = self._last_received + self.refusal_pause_s
            # It names no channel, and answers the request that waits for longest.
            wanted = wanted or self._oldest_asked()
        if code == NOT_SUBSCRIBED:
            if wanted is not None and wanted.leaving:
                self._left(wanted)
            return []
        if code == ALREADY_SUBSCRIBED and wanted is not None:
            # Its snapshot is not coming: leave and ask again.
            wanted.asked_at = None
            if not wanted.leaving:
                wanted.leave()
            return []
        return self._declined(wanted, message, code)

    def _declined(
        self, wanted: WantedChannel | None, message: Mapping[str, Any], code: int
    ) -> list[StreamEvent]:
        if code in UNAUTHORIZED:
            self._doubt_token(wanted)
        if wanted is None:
            return [StreamEvent(EventKind.REFUSED, None, message, code)]
        if wanted.asked_at is not None:
            wanted.asked_at = None
            if wanted.dropped:
                del self._wanted[_key(wanted.request_name)]
                return []
            # Asked again after a pause, on a new connection, or with a new token.
            if not wanted.private or wanted.token == self._token:
                wanted.refused_at = self._last_received
                wanted.refusals += 1
        return [StreamEvent(EventKind.REFUSED, wanted.request_name, message, code)]

    def _doubt_token(self, wanted: WantedChannel | None) -> None:
        """Ask anew for what a refused token may have ended, soon with another one."""
        now = self._last_received
        doubtful = self._wanted.values() if wanted is None else (wanted,)
        for one in doubtful:
            # Not an answer to a subscribe: it is subscribed no more, and nothing
            # else will ever tell.
            if one.private and one.live:
                one.spoil(now)
        # Not for each refusal: where no token is good, each would bring the next.
        if now - self._doubted_at >= self.refusal_pause_s:
            self._doubted_at = now
            self._look_at = min(self._look_at, now)

    def _oldest_asked(self) -> WantedChannel | None:
        asked = [w for w in self._wanted.values() if w.asked_at is not None]
        return min(asked, key=lambda w: w.asked_at or 0.0, default=None)

    def _left(self, wanted: WantedChannel) -> None:
        wanted.live = wanted.leaving = False
        wanted.left_at = None
        if wanted.dropped and wanted.asked_at is None:
            del self._wanted[_key(wanted.request_name)]

    def _unreadable(self, message: Mapping[str, Any]) -> list[StreamEvent]:
        self.unreadable_frames += 1
        return [StreamEvent(EventKind.UNREADABLE, None, message)]

    def _may_ask(self, wanted: WantedChannel, now: float) -> bool:
        if wanted.live or wanted.leaving or wanted.dropped or now < wanted.not_before:
            return False
        if wanted.refused_at is not None:
            if now < wanted.refused_at + self._pause_s(wanted):
                return False
            wanted.refused_at = None
        if wanted.asked_at is not None:
            return False
        return not wanted.private or self._token is not None

    def _pause_s(self, wanted: WantedChannel) -> float:
        """Return how long a refused channel is left alone: each time for longer."""
        doubled = 1 << min(wanted.refusals, MOST_DOUBLINGS)
        return min(self.refusal_pause_s, FIRST_REFUSAL_PAUSE_S * doubled)

    def _find(self, channel: str) -> WantedChannel | None:
        exact = self._wanted.get(_key(channel))
        if exact is not None:
            return exact
        # Some acknowledgements were documented without the account's index.
        start = f"{_key(channel)}:"
        starts = [w for key, w in self._wanted.items() if key.startswith(start)]
        return starts[0] if len(starts) == 1 else None

    def _meant(self, words: object, *, leaving: bool) -> WantedChannel | None:
        """Return the channel an error speaks of: the one it names, or the only one."""
        named = _channel_in(words)
        found = None if named is None else self._find(named)
        if found is not None or (named is not None and ":" in _key(named)):
            return found
        candidates = [
            wanted
            for wanted in self._wanted.values()
            if (wanted.leaving if leaving else wanted.asked_at is not None)
        ]
        return candidates[0] if len(candidates) == 1 else None


def _key(channel: str) -> str:
    return channel.replace("/", ":")


def _channel_in(words: object) -> str | None:
    """Return the channel named at the end of an error text, if there is one."""
    if not isinstance(words, str) or " : " not in words:
        return None
    last = words.rsplit(" : ", 1)[1].strip()
    return None if not last or " " in last else last
