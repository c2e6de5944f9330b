"""The supervised connection: performs what the stream session decides, for ever.

One task owns the socket: it connects, feeds frames to the session, sends what the
session hands out, renews tokens, and starts over with growing pauses when the
connection ends. Nothing here knows what a channel means.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import msgspec

from wrappy._core.backoff import Backoff, ConnectBudget
from wrappy._core.stream import EventKind, StreamState
from wrappy.errors import StreamClosedError, WrappyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wrappy._core.stream import StreamEvent, StreamSession
    from wrappy.lighter.environment import StreamConnection
    from wrappy.lighter.logs import LogSink
    from wrappy.lighter.wire.token import TokenSource

QUIET_LIFE_S = 10.0
"""A connection that lived this long was a good one: the next pause is short again."""


class SupervisedStream:
    """Keeps one conversation with the exchange going.

    Args:
        door: the socket.
        session: decides what to say.
        tokens: source of auth tokens, None for public channels only.
        on_event: called for every event, in order.
        on_closed: called when a connection has ended.
        log: where to tell of connections and refusals.
        unix_s: unix seconds, to know how long a token still holds.
        turn: waited for before each connection and each message that the exchange
            counts; None for no pace.
    """

    def __init__(
        self,
        door: StreamConnection,
        session: StreamSession,
        *,
        tokens: TokenSource | None,
        on_event: Callable[[StreamEvent], None],
        on_closed: Callable[[], None],
        log: LogSink,
        unix_s: Callable[[], float] = time.time,
        turn: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._turn = turn
        self._unix_s = unix_s
        self._door = door
        self._session = session
        self._tokens = tokens
        self._on_event = on_event
        self._on_closed = on_closed
        self._log = log
        self._backoff = Backoff()
        self._budget = ConnectBudget()
        self.connects = 0
        """Connections made so far."""

    async def run(self) -> None:
        """Connect, talk, start over; ends only when cancelled."""
        try:
            while True:
                started = _now()
                try:
                    await self._connect()
                    await self._talk()
                except StreamClosedError as error:
                    self._log.info("stream closed: %s", error)
                except WrappyError as error:
                    self._log.warning("stream failed: %s", error)
                self._session.closed()
                self._on_closed()
                self._forget_token()
                await self._door.disconnect()
                if _now() - started >= QUIET_LIFE_S:
                    self._backoff.reset()
                await asyncio.sleep(self._backoff.next(random.random()))
        finally:
            self._session.closed()
            await self._door.aclose()

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
        self._session.connected(now=_now())

    async def _talk(self) -> None:
        session = self._session
        while True:
            await self._renew_token()
            for frame in session.outbox(now=_now()):
                if self._turn is not None and frame.get("type") != "pong":
                    await self._turn()
                await self._door.send(msgspec.json.encode(frame))
            now = _now()
            raw = await self._door.receive(max(0.01, session.deadline(now=now) - now))
            now = _now()
            if raw is not None:
                self._take(raw, now)
            if session.is_dead(now=now):
                raise StreamClosedError("the exchange went silent")

    def _take(self, raw: bytes, now: float) -> None:
        try:
            message = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            message = None
        for event in self._session.receive(message, now=now):
            self._on_event(event)
            if event.kind is EventKind.SHUTDOWN:
                # Leave by our own choice, before the exchange drops the socket.
                raise StreamClosedError("the exchange announced a restart")

    async def _renew_token(self) -> None:
        if self._tokens is None or not self._session.token_due(now=_now()):
            return
        token = await self._tokens.get()
        life_s = token.deadline_s - self._unix_s()
        self._session.offer_token(str(token.text), deadline=_now() + life_s)


def _now() -> float:
    return asyncio.get_running_loop().time()
