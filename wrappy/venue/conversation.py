"""One WebSocket conversation, with no network in it: requests in, frames out."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any, Final

import msgspec

from wrappy.protocol.channels import Channel, parse_channel
from wrappy.protocol.codes import code_message
from wrappy.protocol.tiers import WS_ACCOUNTS, WS_SUBSCRIPTIONS
from wrappy.venue.answers import (
    batch_lists,
    json_text,
    receipt_fields,
    subject_of_texts,
    too_nested,
)
from wrappy.venue.broadcast import encode
from wrappy.venue.exchange import Refused
from wrappy.venue.faults import Occasion, Subject
from wrappy.venue.limits import message_window
from wrappy.venue.outgoing import ABNORMAL, Outgoing
from wrappy.venue.sabotage import subject_of_token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wrappy.venue.broadcast import Broadcast
    from wrappy.venue.fault_rules import Phase
    from wrappy.venue.faults import Firing
    from wrappy.venue.floor import Floor
    from wrappy.venue.outgoing import Socket
    from wrappy.venue.sabotage import Sabotage

GOING_AWAY: Final = 1001
CLOSE_PATIENCE_S: Final = 0.5
"""How long a closing connection waits for the client's own close frame."""

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


class Session:
    """One client's connection.

    Attributes:
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
        readonly: bool = False,
    ) -> None:
        self._socket = socket
        self._floor = floor
        self._broadcast = broadcast
        self._sabotage = sabotage
        self._readonly = readonly
        self.stuck = False
        self.heard_us = floor.now_us()
        self._out = Outgoing(socket, self.end)
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
        return 0 if self._ending.done() else len(self._out)

    def offer(self, frame: str) -> None:
        """Queue a channel's frame; a reader too far behind is disconnected instead."""
        if self._ending.done():
            return
        if not self._sabotage.faults.watches("push"):
            self._out.put(frame)
            return
        channel = _channel_in(frame)
        account = None if channel is None else channel.account_index
        subject = Subject(account)
        occasion = Occasion(
            "stream",
            "push",
            channel="" if channel is None else channel.request_name,
            look=lambda: subject,
        )
        firings = self._sabotage.faults.decide(occasion)
        for firing in firings:
            self._sabotage.perform(firing, lambda: subject, "")
        self._out.put_faulty(frame, firings, is_answer=False)
        if any(firing.act == "expire_token" for firing in firings):
            self.drop_expired(None)

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
        reader = asyncio.create_task(self._read(), name="wrappy-venue-reader")
        writer = asyncio.create_task(self._out.write(), name="wrappy-venue-writer")
        endings: set[asyncio.Future[Any]] = {reader, writer, self._ending}
        try:
            await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.end(GOING_AWAY, "")
            reader.cancel()
            writer.cancel()
            outcomes = await asyncio.gather(reader, writer, return_exceptions=True)
            for channel, _ in self._channels.values():
                self._broadcast.leave(channel, self)
            self._out.clear()
        code, reason = self._ending.result()
        if code == ABNORMAL:
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
            self.heard_us = self._floor.now_us()
            if isinstance(message, str):
                await self._receive(message)
            elif message is not None:
                self._refuse(_INVALID_JSON)

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
        if self._sabotage.faults.watches("request"):
            await self._tampered(str(kind), message, handler)
        else:
            await handler(message)

    # ------------------------------------------------------------------ faults

    async def _tampered(
        self,
        kind: str,
        message: dict[str, Any],
        handler: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
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
            elif firing.act == "stall":
                return
            elif firing.act == "status":
                self._refuse(firing.rule.code, **_echo(message))
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
            return _subject(message, wanted)

        occasion = Occasion(
            "stream",
            phase,
            kind,
            channel="" if wanted is None else wanted.request_name,
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
            self._refuse(refused[0].rule.code, **_echo(message))
        else:
            self._out.put_faulty(frame, firings, is_answer=True)

    # ---------------------------------------------------------------- messages

    def _too_many_messages(self) -> bool:
        window = self._messages
        return window is not None and window.offer(1, self.heard_us / 1_000_000) > 0

    def _refuse(self, code: int, message: str = "", **extra: Any) -> None:
        words = message or code_message(code)
        self.say(encode({"error": {"code": code, "message": words}, **extra}))

    async def _ping(self, _: dict[str, Any]) -> None:
        self.say('{"type":"pong"}')

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
        self.say(encode({"type": "unsubscribed", "channel": wanted.reply_name}))

    def _leave(self, channel: Channel) -> bool:
        self._broadcast.leave(channel, self)
        return self._channels.pop(channel.request_name, None) is not None

    def drop_expired(self, now_us: int | None) -> None:
        """Unsubscribe what was opened with a token that has expired since.

        None takes every token for expired.
        """
        for channel, deadline_us in tuple(self._channels.values()):
            if deadline_us is None:
                continue
            if now_us is None or deadline_us <= now_us:
                self._leave(channel)
                self.say(
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
            self._accepted("jsonapi/sendtx", [receipt.tx_hash])
            told = receipt_fields([receipt], quota_left)
            return {**told, "tx_hash": receipt.tx_hash}

        await self._sent("jsonapi/sendtx", message, send)

    async def _send_tx_batch(self, message: dict[str, Any]) -> None:
        async def send(data: dict[str, Any]) -> dict[str, Any]:
            types, infos = batch_lists(
                json_text(data.get("tx_types")), json_text(data.get("tx_infos"))
            )
            receipts, quota_left = await self._floor.send_batch(types, infos)
            hashes = [receipt.tx_hash for receipt in receipts]
            self._accepted("jsonapi/sendtxbatch", hashes)
            return {**receipt_fields(receipts, quota_left), "tx_hash": hashes}

        await self._sent("jsonapi/sendtxbatch", message, send)

    def _accepted(self, kind: str, tx_hashes: list[str]) -> None:
        for firing in self._sabotage.accepted("stream", kind, tx_hashes):
            if firing.act == "close":
                self.end(firing.rule.code, "a fault")

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
        echo = _echo(message)
        if self._readonly:
            self._refuse(_NOT_SUPPORTED, **echo)
            return
        try:
            told = await send(data)
        except Refused as error:
            self._refuse(error.code, error.message, **echo)
            return
        self._reply(kind, message, {**told, **echo, "type": kind})


def _echo(message: dict[str, Any]) -> dict[str, Any]:
    data = message.get("data")
    return {"id": data["id"]} if isinstance(data, dict) and "id" in data else {}


def _subject(message: dict[str, Any], wanted: Channel | None) -> Subject:
    data = message.get("data")
    if isinstance(data, dict):
        for types, infos in (("tx_type", "tx_info"), ("tx_types", "tx_infos")):
            if types in data:
                return subject_of_texts(
                    json_text(data[types]), json_text(data.get(infos))
                )
    if wanted is not None and wanted.account_index is not None:
        return Subject(wanted.account_index)
    token = message.get("auth")
    return subject_of_token(token if isinstance(token, str) else "")


def _channel_in(frame: str) -> Channel | None:
    # The head of a frame is written last, so that no body can pass for it.
    _, _, after = frame.rpartition('"channel":"')
    return parse_channel(after.partition('"')[0])
