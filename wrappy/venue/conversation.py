"""One WebSocket conversation, with no network in it: requests in, frames out."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from wrappy.protocol.channels import parse_channel
from wrappy.protocol.codes import code_message
from wrappy.venue.broadcast import encode
from wrappy.venue.faults import Occasion
from wrappy.venue.messages import too_nested
from wrappy.venue.outgoing import ABNORMAL, POLICY_VIOLATION, Outgoing, Ping
from wrappy.venue.stream_sends import (
    SEND,
    SEND_BATCH,
    StreamSends,
    echo_of,
    subject_of_message,
)
from wrappy.venue.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wrappy.protocol.channels import Channel
    from wrappy.venue.broadcast import Broadcast
    from wrappy.venue.fault_rules import Phase
    from wrappy.venue.faults import Firing, Subject
    from wrappy.venue.floor import Floor
    from wrappy.venue.limits import RequestLimits
    from wrappy.venue.outgoing import Socket
    from wrappy.venue.sabotage import Sabotage

GOING_AWAY: Final = 1001
CLOSE_PATIENCE_S: Final = 0.5
"""How long a closing connection waits for the client's own close frame."""

_INVALID_JSON: Final = 30000
_INVALID_TYPE: Final = 30001
_RATE_LIMIT: Final = 30009
_TOO_MANY_IN_FLIGHT: Final = 30010
_PING_FRAME: Final = "ping/frame"
_EXPIRED: Final = "invalid auth: expired token"


class _Request(NamedTuple):
    kind: str
    message: dict[str, Any]
    handler: Callable[[dict[str, Any]], Awaitable[None]]

    @property
    def sends(self) -> bool:
        """Whether it is counted as a transaction, not as a message."""
        return self.kind.startswith("jsonapi/")


class Session:
    """One client's connection.

    Attributes:
        ip: where the client is.
        heard_us: venue time of the client's last frame of any kind.
        stuck: whether the connection has to be cut, because it did not take its
            closing frame or was not to get one.
    """

    def __init__(
        self,
        socket: Socket,
        floor: Floor,
        broadcast: Broadcast,
        sabotage: Sabotage,
        *,
        ip: str = "",
        readonly: bool = False,
    ) -> None:
        self._socket = socket
        self._floor = floor
        self._sabotage = sabotage
        self.ip = ip
        self.stuck = False
        self.heard_us = self._opened_us = floor.now_us()
        self._out = Outgoing(socket, self.end)
        self._ending: asyncio.Future[tuple[int, str]] = (
            asyncio.get_running_loop().create_future()
        )
        self._subscriptions = Subscriptions(floor, broadcast, self, self._refuse)
        self._waiting: deque[_Request] = deque()
        self._in_flight = 0
        self._arrived = asyncio.Event()
        sends = StreamSends(
            floor,
            accepted=self._accepted,
            reply=self._reply,
            refuse=self._refuse,
            readonly=readonly,
        )
        self._requests: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "ping": self._ping,
            "pong": self._pong,
            SEND: sends.send,
            SEND_BATCH: sends.send_batch,
        }

    @property
    def backlog(self) -> int:
        """Frames that wait to be written; none once the connection is ending."""
        return 0 if self._ending.done() else len(self._out)

    @property
    def frozen(self) -> bool:
        """Whether nothing passes any more, and neither side was told."""
        return self._out.frozen

    def offer(self, frame: str) -> None:
        """Queue a channel's frame; a reader too far behind is disconnected instead."""
        if self._ending.done():
            return
        if self.frozen or not self._sabotage.faults.watches("push"):
            self._out.put_pushed(frame, ())
            return
        firings = self._sabotage.pushed(frame, self._age_ms())
        self._out.put_pushed(frame, firings)
        if any(firing.act == "expire_token" for firing in firings):
            self.drop_expired(None)

    def tick(self) -> None:
        """Let go wrong what goes wrong as time passes."""
        if self._ending.done() or self.frozen:
            return
        for firing in self._sabotage.ticked(self._age_ms()):
            if firing.act == "close":
                self.end(firing.rule.code, "a fault")
            elif firing.act == "freeze":
                self._out.freeze()
            elif firing.act == "expire_token":
                self.drop_expired(None)

    def age_us(self, now_us: int) -> int:
        """Return for how long the connection has been open."""
        return now_us - self._opened_us

    def _age_ms(self) -> int:
        return self.age_us(self._floor.now_us()) // 1_000

    def say(self, frame: str) -> None:
        """Queue a frame that answers or announces something."""
        if not self._ending.done():
            self._out.put(frame)

    def end(self, code: int, reason: str) -> None:
        """Have the connection closed with `code`; the first reason stands.

        1006 cuts it without a word.
        """
        if not self._ending.done():
            self._ending.set_result((code, reason))

    async def run(self) -> None:
        """Serve the client until either side ends the connection."""
        self.say(encode({"session_id": str(uuid.uuid4()), "type": "connected"}))
        tasks: list[asyncio.Task[None]] = [
            asyncio.create_task(self._read(), name="wrappy-venue-reader"),
            asyncio.create_task(self._out.write(), name="wrappy-venue-writer"),
        ]
        if self._floor.limits is not None:
            work = asyncio.create_task(self._work(), name="wrappy-venue-worker")
            tasks.append(work)
        endings: set[asyncio.Future[Any]] = {*tasks, self._ending}
        try:
            await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.end(GOING_AWAY, "")
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            self._subscriptions.end_all()
            self._out.clear()
        code, reason = self._ending.result()
        if code == ABNORMAL or self.frozen:
            self.stuck = True
        else:
            await self._close(code, reason)
        for outcome in outcomes:
            lost = isinstance(outcome, (ConnectionError, asyncio.CancelledError))
            if isinstance(outcome, BaseException) and not lost:
                raise outcome

    async def _close(self, code: int, reason: str) -> None:
        try:
            await asyncio.wait_for(self._socket.close(code, reason), CLOSE_PATIENCE_S)
        except (asyncio.TimeoutError, ConnectionError):
            self.stuck = True  # a reader that reads nothing gets no farewell either

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if self.frozen:
                continue
            self.heard_us = self._floor.now_us()
            if isinstance(message, str):
                await self._receive(message)
            elif isinstance(message, Ping):
                await self._answer_ping(message)
            elif message is not None:
                self._refuse(_INVALID_JSON)

    async def _answer_ping(self, ping: Ping) -> None:
        async def pong(_: dict[str, Any]) -> None:
            await ping.answer()

        await self._perform(_Request(_PING_FRAME, {}, pong))

    # ---------------------------------------------------------------- requests

    async def _receive(self, text: str) -> None:
        if too_nested(text):
            self._refuse(_INVALID_JSON)
            return
        try:
            # Stricter than the standard library: whatever passes can be repeated in
            # an answer, half a surrogate pair or an endless number could not.
            message = msgspec.json.decode(text)
        except (ValueError, RecursionError):
            self._refuse(_INVALID_JSON)
            return
        kind = message.get("type") if isinstance(message, dict) else None
        handler = self._requests.get(kind) if isinstance(kind, str) else None
        if handler is None:
            self._refuse(_INVALID_TYPE)
            return
        if self._floor.failure is not None:
            self._refuse(29500)
            return
        request = _Request(str(kind), message, handler)
        if self._floor.limits is None:
            await self._perform(request)
        else:
            self._line_up(request, self._floor.limits)

    def _line_up(self, request: _Request, limits: RequestLimits) -> None:
        if not request.sends:
            if limits.message(self.ip, now=self.heard_us / 1_000_000):
                self._refuse(_RATE_LIMIT)
                return
            if self._in_flight >= self._floor.settings.stream_limits.in_flight:
                self._refuse(_TOO_MANY_IN_FLIGHT)
                return
            self._in_flight += 1
        self._waiting.append(request)
        self._arrived.set()

    async def _work(self) -> None:
        # Apart from the reader, or nobody would see how many requests are waiting.
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                request = self._waiting.popleft()
                await self._perform(request)
                self._in_flight -= not request.sends

    async def _perform(self, request: _Request) -> None:
        self._floor.catch_up()
        if self._sabotage.faults.watches("request"):
            await self._tampered(request)
        else:
            await request.handler(request.message)

    # ------------------------------------------------------------------ faults

    async def _tampered(self, request: _Request) -> None:
        kind, message, handler = request
        twice = False
        for firing in self._firings("request", kind, message):
            if firing.act == "delay":
                await asyncio.sleep(firing.delay_s)
            elif firing.act == "dup":
                twice = True
            elif firing.act == "drop":
                self.end(ABNORMAL, "")
                return
            elif firing.act == "close":
                self.end(firing.rule.code, "a fault")
                return
            elif firing.act == "freeze":
                self._out.freeze()
                return
            elif firing.act == "stall":
                return
            elif firing.act == "status":
                self._refuse(firing.rule.code, **echo_of(message))
                return
        await handler(message)
        if twice:
            await handler(message)

    def _firings(
        self, phase: Phase, kind: str, message: dict[str, Any]
    ) -> list[Firing]:
        text, token = message.get("channel"), message.get("auth")
        wanted = parse_channel(text) if isinstance(text, str) else None

        def look() -> Subject:
            return subject_of_message(message, wanted)

        occasion = Occasion(
            "stream",
            phase,
            kind,
            channel="" if wanted is None else wanted.request_name,
            age_ms=self._age_ms(),
            look=look,
        )
        firings = self._sabotage.faults.decide(occasion)
        for firing in firings:
            bearer = token if isinstance(token, str) else ""
            self._sabotage.perform(firing, look, bearer)
        return firings

    def _reply(self, kind: str, message: dict[str, Any], told: dict[str, Any]) -> None:
        frame = encode(told)
        firings: list[Firing] = []
        if self._sabotage.faults.watches("reply"):
            firings = self._firings("reply", kind, message)
        if self._ending.done():
            return
        refused = [firing for firing in firings if firing.act == "status"]
        if refused:
            self._refuse(refused[0].rule.code, **echo_of(message))
        else:
            self._out.put_faulty(frame, firings, is_answer=True)

    # ---------------------------------------------------------------- messages

    def _refuse(self, code: int, message: str = "", **extra: Any) -> None:
        words = message or code_message(code)
        self.say(encode({"error": {"code": code, "message": words}, **extra}))

    async def _ping(self, _: dict[str, Any]) -> None:
        self.say('{"type":"pong"}')

    async def _pong(self, _: dict[str, Any]) -> None:
        pass  # hearing it was all

    async def _subscribe(self, message: dict[str, Any]) -> None:
        await self._subscriptions.add(message.get("channel"), message.get("auth"))

    async def _unsubscribe(self, message: dict[str, Any]) -> None:
        left = self._subscriptions.remove(message.get("channel"))
        if left is not None:
            self._say_unsubscribed(left)

    def _say_unsubscribed(self, channel: Channel) -> None:
        self.say(encode({"type": "unsubscribed", "channel": channel.reply_name}))

    def drop_expired(self, now_us: int | None) -> None:
        """End what was opened with a token that has expired since, as is set.

        None takes every token for expired; that ends subscriptions even where an
        expired token is set to be kept.
        """
        ended = self._subscriptions.end_expired(now_us)
        way = self._floor.settings.expired_token
        if ended and way == "close":
            self.end(POLICY_VIOLATION, "token expired")
            return
        for channel in ended:
            if way == "error":
                self._subscriptions.refuse_token(channel, _EXPIRED)
            else:
                self._say_unsubscribed(channel)

    def _accepted(self, kind: str, tx_hashes: list[str]) -> None:
        for firing in self._sabotage.accepted("stream", kind, tx_hashes):
            if firing.act == "close":
                self.end(firing.rule.code, "a fault")
