"""The WebSocket door: sessions, subscriptions, and transactions over the stream."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from wrappy.protocol.channels import Channel, parse_channel
from wrappy.protocol.codes import code_message
from wrappy.protocol.tiers import WS_ACCOUNTS, WS_IDLE_CLOSE_S, WS_SUBSCRIPTIONS
from wrappy.venue.broadcast import Broadcast, encode
from wrappy.venue.exchange import Refused
from wrappy.venue.limits import message_window
from wrappy.venue.rest import batch_lists, json_text, receipt_fields, too_nested

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from wrappy.venue.events import Event
    from wrappy.venue.floor import Floor

MOST_QUEUED_FRAMES: Final = 10_000
MOST_QUEUED_CHARACTERS: Final = 8 * 1024 * 1024
"""A reader that falls further behind is disconnected."""

LARGEST_MESSAGE: Final = 512 * 1024
CLOSE_PATIENCE_S: Final = 0.5
"""How long a closing socket waits for the client's own close frame."""

_INVALID_JSON: Final = 30000
_INVALID_TYPE: Final = 30001
_NOT_SUBSCRIBED: Final = 30002
_ALREADY_SUBSCRIBED: Final = 30003
_INVALID_CHANNEL: Final = 30005
_NOT_SUPPORTED: Final = 30006
_INVALID_DATA: Final = 30007
_RATE_LIMIT: Final = 30009
_TOO_MANY_SUBSCRIPTIONS: Final = 23001
_TOO_MANY_ACCOUNTS: Final = 23002
_CHECK_US: Final = 1_000_000
_IDLE_US: Final = int(WS_IDLE_CLOSE_S * 1_000_000)


class Session:
    """One client's connection.

    Frames are queued without waiting and written by one task, so that a slow reader
    holds up nobody; one that falls too far behind is disconnected.

    Attributes:
        heard_us: venue time of the client's last frame of any kind.
        stuck: whether the connection did not take its closing frame.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        floor: Floor,
        broadcast: Broadcast,
        *,
        readonly: bool,
    ) -> None:
        self._socket = socket
        self._floor = floor
        self._broadcast = broadcast
        self._readonly = readonly
        self.stuck = False
        self.heard_us = floor.now_us()
        self._queue: deque[str] = deque()
        self._queued_characters = 0
        self._queued = asyncio.Event()
        self._ending: asyncio.Future[tuple[int, str]] = (
            asyncio.get_running_loop().create_future()
        )
        self._channels: dict[str, tuple[Channel, int | None]] = {}
        self._messages = None if floor.limits is None else message_window()
        self._requests: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "ping": self._ping,
            "pong": self._pong,
            "jsonapi/sendtx": self._send_tx,
            "jsonapi/sendtxbatch": self._send_tx_batch,
        }

    @property
    def backlog(self) -> int:
        """Frames that wait to be written; none once the connection is ending."""
        return 0 if self._ending.done() else len(self._queue)

    def offer(self, frame: str) -> None:
        """Queue a frame; a reader too far behind is disconnected instead."""
        if self._ending.done():
            return
        self._queue.append(frame)
        self._queued_characters += len(frame)
        self._queued.set()
        if (
            len(self._queue) > MOST_QUEUED_FRAMES
            or self._queued_characters > MOST_QUEUED_CHARACTERS
        ):
            self.end(WSCloseCode.POLICY_VIOLATION, "slow reader")

    def end(self, code: int, reason: str) -> None:
        """Have the connection closed with `code`; the first reason stands."""
        if not self._ending.done():
            self._ending.set_result((code, reason))

    async def run(self) -> None:
        """Serve the client until either side ends the connection."""
        self.offer(encode({"session_id": str(uuid.uuid4()), "type": "connected"}))
        reader = asyncio.create_task(self._read(), name="wrappy-venue-reader")
        writer = asyncio.create_task(self._write(), name="wrappy-venue-writer")
        endings: set[asyncio.Future[Any]] = {reader, writer, self._ending}
        try:
            await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.end(WSCloseCode.GOING_AWAY, "")
            reader.cancel()
            writer.cancel()
            outcomes = await asyncio.gather(reader, writer, return_exceptions=True)
            for channel, _ in self._channels.values():
                self._broadcast.leave(channel, self)
            self._queue.clear()
        code, reason = self._ending.result()
        await self._close(code, reason)
        for outcome in outcomes:
            lost = isinstance(outcome, (ConnectionError, asyncio.CancelledError))
            if isinstance(outcome, BaseException) and not lost:
                raise outcome

    async def _close(self, code: int, reason: str) -> None:
        try:
            await asyncio.wait_for(
                self._socket.close(code=code, message=reason.encode()),
                CLOSE_PATIENCE_S,
            )
        except (asyncio.TimeoutError, ConnectionError):
            self.stuck = True  # a reader that reads nothing gets no farewell either

    async def _write(self) -> None:
        while True:
            await self._queued.wait()
            while self._queue:
                frame = self._queue.popleft()
                self._queued_characters -= len(frame)
                await self._socket.send_str(frame)
            self._queued.clear()

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            self.heard_us = self._floor.now_us()
            if message.type is WSMsgType.TEXT:
                await self._receive(message.data)
            elif message.type is WSMsgType.PING:
                await self._socket.pong(message.data)
            elif message.type is WSMsgType.BINARY:
                self._refuse(_INVALID_JSON)
            elif message.type is not WSMsgType.PONG:
                return

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
        sends = str(kind).startswith("jsonapi/")  # counted as transactions
        if not sends and self._too_many_messages():
            self._refuse(_RATE_LIMIT)
            return
        self._floor.catch_up()
        await handler(message)

    def _too_many_messages(self) -> bool:
        window = self._messages
        return window is not None and window.offer(1, self.heard_us / 1_000_000) > 0

    def _refuse(self, code: int, message: str = "", **extra: Any) -> None:
        words = message or code_message(code)
        self.offer(encode({"error": {"code": code, "message": words}, **extra}))

    async def _ping(self, _: dict[str, Any]) -> None:
        self.offer('{"type":"pong"}')

    async def _pong(self, _: dict[str, Any]) -> None:
        pass  # hearing it was all

    async def _subscribe(self, message: dict[str, Any]) -> None:
        text, token = message.get("channel"), message.get("auth")
        wanted = parse_channel(text) if isinstance(text, str) else None
        if wanted is None or not self._broadcast.exists(wanted):
            self._refuse(_INVALID_CHANNEL, f"Invalid Channel:  ({text})")
            return
        if wanted.request_name in self._channels:
            self._refuse(
                _ALREADY_SUBSCRIBED, f"Already Subscribed to : {wanted.reply_name}"
            )
            return
        if len(self._channels) >= WS_SUBSCRIPTIONS:
            self._refuse(_TOO_MANY_SUBSCRIPTIONS)
            return
        if self._too_many_accounts(wanted):
            self._refuse(_TOO_MANY_ACCOUNTS)
            return
        deadline_us = None
        if self._needs_token(wanted):
            try:
                deadline_us = await self._check_token(wanted, token)
            except Refused as error:
                self._refuse(error.code, error.message, channel=wanted.reply_name)
                return
            self._floor.catch_up()
        self._channels[wanted.request_name] = (wanted, deadline_us)
        self._broadcast.join(wanted, self)

    def _needs_token(self, wanted: Channel) -> bool:
        if wanted.account_index is None:
            return False
        return wanted.kind.private or not self._floor.settings.public_account_channels

    async def _check_token(self, wanted: Channel, token: object) -> int:
        if not isinstance(token, str) or not token:
            raise Refused(20013, "invalid auth: auth is required")
        parsed = await self._floor.authenticate(token, wanted.account_index or 0)
        return parsed.deadline_s * 1_000_000

    def _too_many_accounts(self, wanted: Channel) -> bool:
        accounts = {channel.account_index for channel, _ in self._channels.values()}
        accounts |= {wanted.account_index}
        return len(accounts - {None}) > WS_ACCOUNTS

    async def _unsubscribe(self, message: dict[str, Any]) -> None:
        text = message.get("channel")
        wanted = parse_channel(text) if isinstance(text, str) else None
        if wanted is None:
            self._refuse(_INVALID_CHANNEL, f"Invalid Channel:  ({text})")
            return
        if not self._leave(wanted):
            self._refuse(_NOT_SUBSCRIBED, f"Not Subscribed to : {wanted.reply_name}")
            return
        self.offer(encode({"type": "unsubscribed", "channel": wanted.reply_name}))

    def _leave(self, channel: Channel) -> bool:
        self._broadcast.leave(channel, self)
        return self._channels.pop(channel.request_name, None) is not None

    def drop_expired(self, now_us: int) -> None:
        """Unsubscribe what was opened with a token that has expired since."""
        for channel, deadline_us in tuple(self._channels.values()):
            if deadline_us is not None and deadline_us <= now_us:
                self._leave(channel)
                self.offer(
                    encode({"type": "unsubscribed", "channel": channel.reply_name})
                )

    # ------------------------------------------------------------ transactions

    async def _send_tx(self, message: dict[str, Any]) -> None:
        async def send(data: dict[str, Any]) -> dict[str, Any]:
            tx_type, info = data.get("tx_type"), data.get("tx_info")
            text = json_text(info)
            if type(tx_type) is not int:
                raise Refused(21505)
            receipt, quota_left = await self._floor.send(tx_type, text)
            told = receipt_fields([receipt], quota_left)
            return {**told, "tx_hash": receipt.tx_hash}

        await self._sent("jsonapi/sendtx", message, send)

    async def _send_tx_batch(self, message: dict[str, Any]) -> None:
        async def send(data: dict[str, Any]) -> dict[str, Any]:
            types, infos = batch_lists(
                json_text(data.get("tx_types")), json_text(data.get("tx_infos"))
            )
            receipts, quota_left = await self._floor.send_batch(types, infos)
            told = receipt_fields(receipts, quota_left)
            return {**told, "tx_hash": [receipt.tx_hash for receipt in receipts]}

        await self._sent("jsonapi/sendtxbatch", message, send)

    async def _sent(
        self,
        kind: str,
        message: dict[str, Any],
        send: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]],
    ) -> None:
        data = message.get("data")
        if not isinstance(data, dict):
            self._refuse(_INVALID_DATA)
            return
        echo = {"id": data["id"]} if "id" in data else {}
        if self._readonly:
            self._refuse(_NOT_SUPPORTED, **echo)
            return
        try:
            told = await send(data)
        except Refused as error:
            self._refuse(error.code, error.message, **echo)
            return
        self.offer(encode({**told, **echo, "type": kind}))


class StreamDoor:
    """All WebSocket sessions on one exchange floor."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._broadcast = Broadcast(floor)
        self._sessions: set[Session] = set()
        self._check_at_us = floor.now_us() + _CHECK_US
        self._closing = False

    @property
    def sessions(self) -> frozenset[Session]:
        """Connections that are open now."""
        return frozenset(self._sessions)

    @property
    def backlog(self) -> int:
        """Frames that the slowest reader is behind."""
        return max((session.backlog for session in self._sessions), default=0)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        limits, now = self._floor.limits, self._floor.now_us() / 1_000_000
        if limits is not None and limits.connect(request.remote or "", now=now):
            raise Refused(23003)
        socket = web.WebSocketResponse(
            autoping=False,
            timeout=CLOSE_PATIENCE_S,
            max_msg_size=LARGEST_MESSAGE,
            compress=True,
        )
        await socket.prepare(request)
        readonly = request.query.get("readonly", "").lower() == "true"
        session = Session(socket, self._floor, self._broadcast, readonly=readonly)
        if self._closing:
            session.end(WSCloseCode.GOING_AWAY, "shutting down")
        self._sessions.add(session)
        try:
            # The connection is no HTTP any more: what goes wrong in it is recorded
            # here, an error page would only be noise in the stream.
            [outcome] = await asyncio.gather(session.run(), return_exceptions=True)
        finally:
            self._sessions.discard(session)
            if session.stuck and request.transport is not None:
                request.transport.abort()
        if isinstance(outcome, Exception):
            self._floor.record_failure(outcome)
        return socket

    def close(self) -> None:
        """Have every connection closed with 1001."""
        self._closing = True
        for session in self._sessions:
            session.end(WSCloseCode.GOING_AWAY, "shutting down")

    def drop_laggards(self, backlog: int) -> None:
        """Disconnect every reader that is more than `backlog` frames behind."""
        for session in self._sessions:
            if session.backlog > backlog:
                session.end(WSCloseCode.POLICY_VIOLATION, "slow reader")

    # ------------------------------------------------- what the floor asks for

    def publish(self, events: Sequence[Event], now_us: int) -> None:
        """Tell the channels what happened."""
        self._broadcast.publish(events, now_us)

    def due_us(self) -> int | None:
        """Return when held-back changes or the connections need a look."""
        due = self._broadcast.due_us()
        if not self._sessions:
            return due
        return self._check_at_us if due is None else min(due, self._check_at_us)

    def flush(self, now_us: int) -> None:
        """Send what is due and look after the connections once a second."""
        due = self._broadcast.due_us()
        if due is not None and due <= now_us:
            self._broadcast.flush(now_us)
        if self._check_at_us <= now_us:
            self._check_at_us = now_us + _CHECK_US
            self._check(now_us)

    def _check(self, now_us: int) -> None:
        for session in self._sessions:
            if now_us - session.heard_us >= _IDLE_US:
                session.end(WSCloseCode.POLICY_VIOLATION, "no frame for two minutes")
            elif self._floor.settings.expired_token != "keep":  # noqa: S105
                session.drop_expired(now_us)
