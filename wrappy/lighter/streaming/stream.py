"""The supervised connection: performs what the stream session decides, for ever.

One task owns the socket: it connects, feeds frames to the session, sends what the
session hands out, renews tokens, and starts over with growing pauses when the
connection ends. Nothing here knows what a channel means.
"""

from __future__ import annotations

import asyncio
import math
import random
from typing import TYPE_CHECKING, Protocol

import msgspec

from wrappy._core.backoff import Backoff, ConnectBudget
from wrappy._core.stream import UNAUTHORIZED, EventKind, StreamState
from wrappy.errors import (
    CredentialsError,
    SignerError,
    StreamClosedError,
    WrappyError,
)
from wrappy.protocol.frames import envelope_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wrappy._core.stream import StreamEvent, StreamSession
    from wrappy.lighter.environment import StreamConnection
    from wrappy.lighter.logs import LogSink
    from wrappy.lighter.wire.token import AuthTokens

QUIET_LIFE_S = 3.0
"""A connection that lived this long was a good one: the next pause is short again.

Fewer than twenty of them fit into a minute, so that the limits of connections and of
messages hold even when the exchange ends each of them."""

TOKEN_AGAIN_S = 5.0
"""Pause before a token is asked for again that could not be made."""

PONG_WITHIN_S = 1.0
"""A ping is answered within this time, whatever else has to wait."""

FRAMES_AT_ONCE = 32
"""A socket with frames waiting gives them without a pause; so many, and everybody
else has a turn."""


class StreamListener(Protocol):
    """Who hears what a connection brings."""

    def on_event(self, event: StreamEvent) -> None:
        """Hear of what is no channel's content."""

    def on_frame(self, channel: str, raw: bytes, *, snapshot: bool) -> None:
        """Take a channel's frame."""

    def on_closed(self, reason: str) -> None:
        """Hear that a connection has ended."""

    def on_no_token(self, error: CredentialsError) -> None:
        """Hear that private channels cannot be subscribed any more."""


class SupervisedStream:
    """Keeps one conversation with the exchange going.

    Args:
        door: the socket.
        session: decides what to say.
        listener: hears of everything, in order.
        tokens: source of auth tokens, None for public channels only.
        log: where to tell of connections and refusals.
        turn: waited for before each connection and each message that the exchange
            counts; None for no pace.
        chance: a number in 0 <= u < 1, for the length of pauses.
    """

    def __init__(
        self,
        door: StreamConnection,
        session: StreamSession,
        listener: StreamListener,
        *,
        tokens: AuthTokens | None,
        log: LogSink,
        turn: Callable[[], Awaitable[None]] | None = None,
        chance: Callable[[], float] = random.random,
        renews_tokens: bool = True,
    ) -> None:
        self._chance = chance
        self._renews_tokens = renews_tokens
        self._turn = turn
        self._door = door
        self._session = session
        self._listener = listener
        self._tokens = tokens
        self._log = log
        self._backoff = Backoff()
        self._budget = ConnectBudget()
        self._may_listen = asyncio.Event()
        self._may_listen.set()
        self._bell: asyncio.Future[None] | None = None
        self._connected_at: float | None = None
        self.connects = 0
        """Connections made so far."""
        self.heard_at = 0.0
        """When the exchange was last heard, the loop's seconds; 0.0 for never."""

    def hold(self, *, held: bool) -> None:
        """Leave the connection and stay away while held.

        Who cannot take in what comes is better off with a fresh start than with a
        part of it.
        """
        if held:
            self._may_listen.clear()
            self.stir()
        else:
            self._may_listen.set()

    def stir(self) -> None:
        """Say soon what the session has to say; called when somebody changed it."""
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    async def run(self) -> None:
        """Connect, talk, start over; ends only when cancelled."""
        try:
            while True:
                await self._may_listen.wait()
                self._connected_at = None
                try:
                    await self._connect()
                    await self._talk()
                except StreamClosedError as error:
                    reason = str(error)
                    self._log.info("stream closed: %s", error)
                except WrappyError as error:
                    reason = str(error)
                    self._log.warning("stream failed: %s", error)
                ended = _now()
                self._session.closed()
                self._listener.on_closed(reason)
                self._forget_token()
                await self._door.disconnect()
                if self._lived_s(ended) >= QUIET_LIFE_S:
                    self._backoff.reset()
                await asyncio.sleep(self._backoff.next(self._chance()))
        finally:
            self._session.closed()
            await self._door.aclose()

    def _lived_s(self, now: float) -> float:
        """Return how long the connection was up; 0 for one that never was.

        Neither waiting for a turn nor a door that does not open is life.
        """
        return 0.0 if self._connected_at is None else now - self._connected_at

    def _forget_token(self) -> None:
        """Take a fresh token for the next connection, not the one of the last."""
        self._session.drop_token()
        if self._tokens is not None:
            self._tokens.drop()

    async def _connect(self) -> None:
        self._session.state = StreamState.CONNECTING
        while (pause := self._budget.offer(_now())) > 0:  # noqa: ASYNC110 - the pause may grow
            await asyncio.sleep(pause)
        if self._turn is not None:
            # A pause is waited for here, where nothing of the stream grows old.
            await self._turn()
        await self._door.connect()
        self.connects += 1
        self.heard_at = self._connected_at = _now()
        self._session.connected(now=self.heard_at)

    async def _talk(self) -> None:
        """Read and write until one of the two ends the connection."""
        both = [
            asyncio.create_task(self._write(), name="wrappy-stream-writes"),
            asyncio.create_task(self._read(), name="wrappy-stream-reads"),
        ]
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        for task in done:
            task.result()

    async def _write(self) -> None:
        session = self._session
        while True:
            await self._renew_token()
            for frame in session.outbox(now=_now()):
                if self._turn is not None and frame.get("type") != "pong":
                    await self._take_turn(self._turn)
                    session.posted(frame, now=_now())
                await self._door.send(msgspec.json.encode(frame))
            if not self._may_listen.is_set():
                raise StreamClosedError("what came could not be taken in")
            now = _now()
            if session.is_dead(now=now):
                raise StreamClosedError("the exchange went silent")
            await self._rest(session.deadline(now=now) - now)

    async def _take_turn(self, turn: Callable[[], Awaitable[None]]) -> None:
        """Wait for our turn, which a pause can make long; pings are answered."""
        waiting = asyncio.ensure_future(turn())
        try:
            while not waiting.done():
                await asyncio.wait([waiting], timeout=PONG_WITHIN_S)
                for frame in self._session.pongs():
                    await self._door.send(msgspec.json.encode(frame))
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        waiting.result()

    async def _rest(self, seconds: float) -> None:
        """Wait for something to say, or for a moment to come."""
        if self._session.stirred or not self._may_listen.is_set():
            return
        # `wait_for` loses a cancellation that comes together with the event.
        loop = asyncio.get_running_loop()
        self._bell = loop.create_future()
        timer = loop.call_later(max(0.01, seconds), self.stir)
        try:
            await self._bell
        finally:
            timer.cancel()
            self._bell = None

    async def _read(self) -> None:
        session, count = self._session, 0
        while True:
            raw = await self._door.receive(None)
            if raw is None:
                continue
            self.heard_at = _now()
            self._take(raw, self.heard_at)
            if session.stirred:
                self.stir()
            count += 1
            if count % FRAMES_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _take(self, raw: bytes, now: float) -> None:
        envelope = envelope_of(raw)
        if (
            envelope is not None
            and envelope.channel is not None
            and envelope.type.startswith(("update/", "subscribed/"))
        ):
            events = self._session.heard(envelope.type, envelope.channel, now=now)
        else:
            try:
                message = msgspec.json.decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                message = None
            events = self._session.receive(message, now=now)
        for event in events:
            if event.kind is EventKind.UPDATE:
                self._listener.on_frame(event.channel or "", raw, snapshot=False)
            elif event.kind is EventKind.SNAPSHOT:
                self._listener.on_frame(event.channel or "", raw, snapshot=True)
            else:
                if event.code in UNAUTHORIZED and self._tokens is not None:
                    self._tokens.drop(refused=True)
                self._listener.on_event(event)
            if event.kind is EventKind.SHUTDOWN:
                # Leave by our own choice, before the exchange drops the socket.
                raise StreamClosedError("the exchange announced a restart")

    async def _renew_token(self) -> None:
        if self._tokens is None or not self._session.token_due(now=_now()):
            return
        try:
            token = await self._tokens.get()
        except CredentialsError as error:
            # There will be none: what is public goes on without.
            self._session.lack_token(look_at=math.inf)
            self._listener.on_no_token(error)
            return
        except SignerError as error:
            self._log.error("no token: %s", error)
            self._session.lack_token(look_at=_now() + TOKEN_AGAIN_S)
            return
        # Where channels outlive the token they were joined with, one is enough.
        pause_s = (
            self._tokens.seconds_to_look(token) if self._renews_tokens else math.inf
        )
        look_at = _now() + pause_s
        self._session.offer_token(str(token.text), look_at=look_at)


def _now() -> float:
    return asyncio.get_running_loop().time()
