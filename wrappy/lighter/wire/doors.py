"""Two ways for signed transactions to leave: REST forms and WebSocket frames."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

import msgspec

from wrappy.errors import (
    ConnectError,
    ProtocolError,
    RequestTimeoutError,
    StreamClosedError,
)
from wrappy.protocol.codes import OK, error_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wrappy.lighter.environment import RestConnection, StreamConnection
    from wrappy.protocol.intents import SignedTx

logger = logging.getLogger("LighterDealer.tx")

SEND_PATH = "/api/v1/sendTx"
BATCH_PATH = "/api/v1/sendTxBatch"
PING_EVERY_S = 30.0
BACK_AFTER_S = 30.0
"""How long sends go another way before a stream that fell silent is tried again."""
PROBE_S = 1.0
"""Longest wait for a first sign of life from a stream that is tried again."""
SILENCE_S = 0.9
"""Shortest silence after a send that says something of the stream."""

_PING = b'{"type":"ping"}'


@dataclass(frozen=True, slots=True)
class SendReply:
    """The exchange's acceptance: queued, not yet executed.

    Attributes:
        tx_hashes: one for each transaction, in order.
        predicted_execution_time_ms: unix milliseconds, a guess of the exchange.
        volume_quota_remaining: what is left of a premium account's quota, if told.
        message: words that came along.
    """

    tx_hashes: tuple[str, ...]
    predicted_execution_time_ms: int | None
    volume_quota_remaining: int | None
    message: str


class SendDoor(Protocol):
    """Something signed transactions can be sent through."""

    async def send(
        self,
        transactions: Sequence[SignedTx],
        *,
        written: Callable[[], None] | None = None,
    ) -> SendReply:
        """Send one transaction or one batch and return the acceptance.

        Args:
            transactions: the signed bytes.
            written: called when the bytes are out and the next ones may follow;
                never called by a door that cannot keep their order.
        """


def read_reply(answer: Mapping[str, Any], *, count: int, endpoint: str) -> SendReply:
    """Return the acceptance that an answer with code 200 is.

    Raises:
        ProtocolError: it has no code 200, or does not name every transaction.
    """
    if answer.get("code") != OK:
        raise ProtocolError(f"{endpoint}: the answer has no code {OK}")
    hashes = answer.get("tx_hash")
    listed = [hashes] if isinstance(hashes, str) else hashes
    if (
        not isinstance(listed, list)
        or len(listed) != count
        or not all(isinstance(item, str) and item for item in listed)
    ):
        raise ProtocolError(f"{endpoint}: {count} sent, but the answer has {hashes!r}")
    predicted = answer.get("predicted_execution_time_ms")
    quota = answer.get("volume_quota_remaining")
    return SendReply(
        tuple(listed),
        predicted if isinstance(predicted, int) else None,
        quota if isinstance(quota, int) else None,
        str(answer.get("message") or ""),
    )


def _batch_fields(transactions: Sequence[SignedTx]) -> tuple[str, str]:
    """Return `tx_types` and `tx_infos`: both are strings that hold JSON."""
    types = msgspec.json.encode([int(tx.tx_type) for tx in transactions]).decode()
    infos = msgspec.json.encode([tx.tx_info for tx in transactions]).decode()
    return types, infos


class RestSendDoor:
    """Sends by REST: `sendTx` for one, `sendTxBatch` for several."""

    def __init__(self, rest: RestConnection) -> None:
        self._rest = rest

    async def send(
        self,
        transactions: Sequence[SignedTx],
        *,
        written: Callable[[], None] | None = None,  # noqa: ARG002 - requests may race
    ) -> SendReply:
        """Send and return the acceptance; errors as in `transport`."""
        if len(transactions) == 1:
            (tx,) = transactions
            path = SEND_PATH
            form = urlencode({"tx_type": int(tx.tx_type), "tx_info": tx.tx_info})
        else:
            path = BATCH_PATH
            types, infos = _batch_fields(transactions)
            form = urlencode({"tx_types": types, "tx_infos": infos})
        answer = await self._rest.post_form(path, form)
        return read_reply(answer, count=len(transactions), endpoint=path)


class StreamSendDoor:
    """Sends over a WebSocket of its own; answers are matched by id.

    A connection can be dead without having ended. One that leaves a send or a ping
    without an answer is given up; what is sent then raises `ConnectError` for a
    while, and the next connection has to answer a ping before it carries anything.
    """

    def __init__(self, door: StreamConnection, *, timeout_s: float) -> None:
        self._door = door
        self._timeout_s = timeout_s
        self._ids = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._answered = asyncio.Event()
        self._answered_at = -math.inf
        self._silent = False
        self._back_at = -math.inf
        self._closed = False

    async def send(
        self,
        transactions: Sequence[SignedTx],
        *,
        written: Callable[[], None] | None = None,
    ) -> SendReply:
        """Send and return the acceptance; connects when it has to.

        Raises:
            VenueError: refused. TransportError: see its `outcome`.
        """
        number = f"wrappy-{next(self._ids)}"
        kind, frame = _frame(number, transactions)
        await self._connect()
        if not self._door.is_open:
            raise ConnectError("the stream is gone; nothing was sent")
        loop, reader = asyncio.get_running_loop(), self._reader
        began = loop.time()
        answer: asyncio.Future[dict[str, Any]] = loop.create_future()
        self._waiting[number] = answer
        try:
            await self._door.send(frame)
            if written is not None:
                written()
            message = await asyncio.wait_for(answer, self._timeout_s)
        except asyncio.TimeoutError as error:
            self._suspect(reader, since=began)
            raise RequestTimeoutError(f"no answer to {kind} in time") from error
        except asyncio.CancelledError:
            if loop.time() - began >= SILENCE_S:
                self._suspect(reader, since=began)
            raise
        finally:
            self._waiting.pop(number, None)
        raise_refusal(message, endpoint=kind)
        return read_reply(message, count=len(transactions), endpoint=kind)

    async def aclose(self) -> None:
        """Close the connection; what still waits for an answer fails."""
        self._closed = True
        async with self._connecting:  # a connect under way would come back to life
            reader, self._reader = self._reader, None
            if reader is not None:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)
                # A reader cancelled before its first step has told nobody.
                self._fail(StreamClosedError("the stream was closed"))
            await self._door.aclose()

    async def _connect(self) -> None:
        async with self._connecting:
            if self._closed:
                raise ConnectError("the stream was closed here; nothing was sent")
            ended = self._reader is None or self._reader.done()
            if self._silent:
                left_s = self._back_at - asyncio.get_running_loop().time()
                if left_s > 0 or not ended:
                    raise ConnectError(
                        "the stream fell silent and is tried again in "
                        f"{max(0.0, left_s):.0f} s; nothing was sent"
                    )
            elif not ended:
                return
            await self._door.connect()
            self._reader = asyncio.create_task(self._read(), name="wrappy-send-reader")
            if self._silent:
                await self._probe()

    async def _probe(self) -> None:
        """Raise unless the new connection answers.

        Raises:
            ConnectError: it does not; it is given up again.
        """
        self._answered.clear()
        try:
            await self._door.send(_PING)
            patience_s = min(PROBE_S, self._timeout_s)
            await asyncio.wait_for(self._answered.wait(), patience_s)
        except (asyncio.TimeoutError, StreamClosedError) as error:
            self._give_up()
            raise ConnectError(
                "the stream is connected and silent; nothing was sent"
            ) from error
        except BaseException:
            self._give_up()
            raise
        self._silent = False

    def _suspect(self, reader: asyncio.Task[None] | None, *, since: float) -> None:
        """Give a connection up unless it has answered anything since a moment."""
        if reader is self._reader and self._answered_at <= since:
            self._give_up()

    def _give_up(self) -> None:
        self._silent = True
        self._back_at = asyncio.get_running_loop().time() + BACK_AFTER_S
        self._fail(StreamClosedError("the stream fell silent"))
        if self._reader is not None:
            self._reader.cancel()

    async def _read(self) -> None:
        pinged = False
        try:
            while True:
                wait_s = min(PING_EVERY_S, self._timeout_s) if pinged else PING_EVERY_S
                frame = await self._door.receive(wait_s)
                if frame is not None:
                    pinged = False
                    await self._take(frame)
                elif pinged:
                    self._give_up()
                    return
                else:
                    pinged = True
                    await self._door.send(_PING)
        except StreamClosedError as error:
            self._fail(error)
        finally:
            self._fail(StreamClosedError("the stream was closed"))
            await self._door.disconnect()

    async def _take(self, frame: bytes) -> None:
        try:
            message = msgspec.json.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return  # the request it might have answered runs into its timeout
        if not isinstance(message, dict):
            return
        if message.get("type") == "ping":
            await self._door.send(b'{"type":"pong"}')
            return
        if message.get("type") != "connected":
            self._answered.set()
            self._answered_at = asyncio.get_running_loop().time()
        number = message.get("id")
        if number is None and "error" in message and len(self._waiting) == 1:
            # A frame the exchange could not parse is refused without its id.
            number = next(iter(self._waiting))
        future = self._waiting.get(str(number))
        if future is not None and not future.done():
            future.set_result(message)

    def _fail(self, error: StreamClosedError) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)


class FallbackDoor:
    """Sends over the WebSocket, and by REST while that cannot be connected.

    Only a send that provably did not leave goes the other way.
    """

    def __init__(self, stream: SendDoor, rest: SendDoor) -> None:
        self._stream = stream
        self._rest = rest
        self._told = False

    async def send(
        self,
        transactions: Sequence[SignedTx],
        *,
        written: Callable[[], None] | None = None,
    ) -> SendReply:
        """Send and return the acceptance; errors as in the two doors."""
        try:
            reply = await self._stream.send(transactions, written=written)
        except ConnectError as error:
            if not self._told:
                self._told = True
                logger.warning("the sending stream is gone, REST stands in: %s", error)
            return await self._rest.send(transactions)
        if self._told:
            self._told = False
            logger.info("the sending stream is back")
        return reply


def _frame(number: str, transactions: Sequence[SignedTx]) -> tuple[str, bytes]:
    if len(transactions) == 1:
        (tx,) = transactions
        kind = "jsonapi/sendtx"
        data: dict[str, Any] = {
            "id": number,
            "tx_type": int(tx.tx_type),
            "tx_info": msgspec.Raw(tx.tx_info.encode()),
        }
    else:
        kind = "jsonapi/sendtxbatch"
        types, infos = _batch_fields(transactions)
        data = {"id": number, "tx_types": types, "tx_infos": infos}
    return kind, msgspec.json.encode({"type": kind, "data": data})


def raise_refusal(message: Mapping[str, Any], *, endpoint: str) -> None:
    """Raise what a WebSocket answer refuses with; return if it accepts.

    Raises:
        VenueError: the answer carries an error.
        ProtocolError: it carries neither an error nor code 200.
    """
    body = message.get("error")
    source = body if isinstance(body, dict) else message
    code = source.get("code")
    if not isinstance(code, int):
        raise ProtocolError(f"{endpoint}: the answer has no code")
    if code != OK:
        words = str(source.get("message") or "")
        raise error_for(code, words, endpoint=endpoint, http_status=OK)
