"""Reading acceptances and refusals, and the sending socket's small print."""

from __future__ import annotations

import asyncio
import json

import pytest

from wrappy.errors import (
    ConnectError,
    OrderRejectedError,
    ProtocolError,
    RequestTimeoutError,
    StreamClosedError,
)
from wrappy.lighter.wire import doors
from wrappy.lighter.wire.doors import (
    FallbackDoor,
    SendReply,
    StreamSendDoor,
    raise_refusal,
    read_reply,
)
from wrappy.protocol.intents import CancelOrder
from wrappy.runner.virtual_time import run_virtual
from wrappy.signing.null import NullSigner


class Socket:
    """A stream door whose frames the test feeds."""

    def __init__(self):
        self.incoming = asyncio.Queue()
        self.sent = []
        self.connects = 0

        self.is_open = False

    async def connect(self):
        self.connects += 1
        self.is_open = True

    async def send(self, frame):
        self.sent.append(json.loads(frame))

    async def receive(self, _):
        frame = await self.incoming.get()
        if isinstance(frame, Exception):
            raise frame
        return frame

    async def disconnect(self):
        self.is_open = False

    async def aclose(self):
        pass


@pytest.fixture
def signed():
    signer = NullSigner(account_index=5, api_key_index=4, chain_id=304)
    return signer.sign_many([CancelOrder(market_index=0, index=9)], first_nonce=3)


def test_a_reply_names_every_transaction():
    one = read_reply(
        {"code": 200, "tx_hash": "a", "message": "hi"}, count=1, endpoint="/x"
    )
    assert (one.tx_hashes, one.message) == (("a",), "hi")
    assert one.predicted_execution_time_ms is None
    two = read_reply(
        {
            "code": 200,
            "tx_hash": ["a", "b"],
            "predicted_execution_time_ms": 5,
            "volume_quota_remaining": 7,
        },
        count=2,
        endpoint="/x",
    )
    assert (two.predicted_execution_time_ms, two.volume_quota_remaining) == (5, 7)


@pytest.mark.parametrize("hashes", [None, 7, ["a"], "a", ["a", "b", "c"]])
def test_a_reply_that_names_others_cannot_be_read(hashes):
    with pytest.raises(ProtocolError, match="2 sent"):
        read_reply({"code": 200, "tx_hash": hashes}, count=2, endpoint="/x")


def test_a_refusal_on_the_socket_has_its_code_and_words():
    raise_refusal({"code": 200}, endpoint="e")
    with pytest.raises(OrderRejectedError, match="too late"):
        raise_refusal({"error": {"code": 21702, "message": "too late"}}, endpoint="e")
    with pytest.raises(OrderRejectedError):
        raise_refusal({"code": 21702}, endpoint="e")
    with pytest.raises(ProtocolError, match="no code"):
        raise_refusal({"error": "text"}, endpoint="e")


async def test_a_quiet_socket_is_kept_awake_and_noise_is_passed_over(signed):
    socket = Socket()
    door = StreamSendDoor(socket, timeout_s=5.0)
    sending = asyncio.create_task(door.send(signed))
    for frame in (None, b"{", b"[]", b'{"type":"ping"}'):
        socket.incoming.put_nowait(frame)
    socket.incoming.put_nowait(b'{"id":"wrappy-1","code":200,"tx_hash":"a"}')
    reply = await sending
    assert reply.tx_hashes == ("a",)
    kinds = [frame["type"] for frame in socket.sent]
    assert kinds == ["jsonapi/sendtx", "ping", "pong"]
    assert socket.sent[0]["data"]["tx_info"]["Nonce"] == 3
    await door.aclose()


async def test_an_error_without_a_number_is_nobodys_when_two_wait(signed):
    socket = Socket()
    door = StreamSendDoor(socket, timeout_s=0.1)
    sends = [asyncio.create_task(door.send(signed)) for _ in range(2)]
    socket.incoming.put_nowait(b'{"error":{"code":21702,"message":"whose?"}}')
    results = await asyncio.gather(*sends, return_exceptions=True)
    assert [type(result) for result in results] == [RequestTimeoutError] * 2
    assert socket.connects == 1
    await door.aclose()


async def test_a_socket_that_ends_fails_all_who_wait_and_is_made_anew(signed):
    socket = Socket()
    door = StreamSendDoor(socket, timeout_s=5.0)
    sends = [asyncio.create_task(door.send(signed)) for _ in range(2)]
    socket.incoming.put_nowait(StreamClosedError("1006"))
    results = await asyncio.gather(*sends, return_exceptions=True)
    assert [str(result) for result in results] == ["1006"] * 2
    again = asyncio.create_task(door.send(signed))
    socket.incoming.put_nowait(b'{"id":"wrappy-3","code":200,"tx_hash":"a"}')
    await again
    assert socket.connects == 2
    await door.aclose()


async def test_a_door_that_was_never_used_closes_as_well():
    await StreamSendDoor(Socket(), timeout_s=1.0).aclose()
    assert doors.PING_EVERY_S < 120.0, "the exchange closes after two silent minutes"


async def test_a_socket_that_is_gone_already_carries_nothing(signed):
    socket = Socket()
    door = StreamSendDoor(socket, timeout_s=5.0)
    first = asyncio.create_task(door.send(signed))
    while not socket.sent:
        await asyncio.sleep(0)
    socket.is_open = False  # and its reader has not noticed yet
    with pytest.raises(ConnectError) as caught:
        await door.send(signed)
    assert caught.value.outcome == "not_sent"
    await door.aclose()
    (outcome,) = await asyncio.gather(first, return_exceptions=True)
    assert isinstance(outcome, StreamClosedError)


async def test_a_door_that_was_closed_does_not_connect_again(signed):
    socket = Socket()
    door = StreamSendDoor(socket, timeout_s=5.0)
    await door.aclose()
    with pytest.raises(ConnectError, match="closed here"):
        await door.send(signed)
    assert socket.connects == 0


class Stub:
    """A door that raises what it is given, or accepts."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.sent = 0

    async def send(self, transactions, *, written=None):
        self.sent += 1
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        if written is not None:
            written()
        return SendReply(tuple(tx.tx_hash for tx in transactions), None, None, "")


async def test_only_what_certainly_did_not_leave_goes_the_other_way(signed, caplog):
    caplog.set_level("INFO")
    stream = Stub(ConnectError("no"), ConnectError("no"), StreamClosedError("1006"))
    rest, outs = Stub(), []
    door = FallbackDoor(stream, rest)
    for _ in range(2):
        await door.send(signed, written=lambda: outs.append(1))
    assert (rest.sent, outs) == (2, [])
    with pytest.raises(StreamClosedError):
        await door.send(signed)
    assert rest.sent == 2
    await door.send(signed, written=lambda: outs.append(1))
    assert (rest.sent, outs) == (2, [1])
    assert caplog.text.count("REST stands in") == 1
    assert "stream is back" in caplog.text


async def test_the_next_frame_may_follow_before_the_answer(signed):
    socket, outs = Socket(), []
    door = StreamSendDoor(socket, timeout_s=5.0)
    sending = asyncio.create_task(door.send(signed, written=lambda: outs.append(1)))
    while not outs:
        await asyncio.sleep(0)
    assert not sending.done()
    socket.incoming.put_nowait(b'{"id":"wrappy-1","code":200,"tx_hash":"a"}')
    await sending
    await door.aclose()


class Answering(Socket):
    """Answers what it is asked as long as it is awake."""

    def __init__(self):
        super().__init__()
        self.awake = True

    async def send(self, frame):
        await super().send(frame)
        if self.awake and self.sent[-1]["type"] == "ping":
            self.incoming.put_nowait(b'{"type":"pong"}')
        elif self.awake:
            number = self.sent[-1]["data"]["id"]
            answer = {"id": number, "code": 200, "tx_hash": "aa"}
            self.incoming.put_nowait(json.dumps(answer).encode())

    async def receive(self, timeout_s):
        try:
            return await asyncio.wait_for(super().receive(None), timeout_s)
        except asyncio.TimeoutError:
            return None


def test_a_stream_without_an_answer_is_given_up_and_proves_itself_later(signed):
    async def scenario():
        socket = Answering()
        door = StreamSendDoor(socket, timeout_s=2.0)
        await door.send(signed)
        socket.awake = False
        with pytest.raises(RequestTimeoutError):
            await door.send(signed)
        with pytest.raises(ConnectError, match="fell silent"):
            await door.send(signed)
        await asyncio.sleep(doors.BACK_AFTER_S + 1)
        with pytest.raises(ConnectError, match="connected and silent"):
            await door.send(signed)
        socket.awake = True
        await asyncio.sleep(doors.BACK_AFTER_S + 1)
        assert (await door.send(signed)).tx_hashes == ("aa",)
        assert socket.connects == 3
        await door.aclose()

    run_virtual(scenario)


def test_a_ping_without_an_answer_ends_the_connection(signed):
    async def scenario():
        socket = Answering()
        door = StreamSendDoor(socket, timeout_s=2.0)
        await door.send(signed)
        socket.awake = False
        await asyncio.sleep(doors.PING_EVERY_S + 3)
        assert not socket.is_open
        with pytest.raises(ConnectError, match="fell silent"):
            await door.send(signed)
        await door.aclose()

    run_virtual(scenario)


@pytest.mark.parametrize("patience_s", [0.5, 1.5])
def test_a_send_given_up_after_a_silence_gives_up_the_stream_too(signed, patience_s):
    async def scenario():
        socket = Answering()
        door = StreamSendDoor(socket, timeout_s=9.0)
        await door.send(signed)
        socket.awake = False
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(door.send(signed), patience_s)
        await asyncio.sleep(0.01)
        assert socket.is_open is (patience_s < doors.SILENCE_S)
        await door.aclose()

    run_virtual(scenario)


def test_a_first_sign_of_life_that_is_not_waited_for_leaves_the_stream_alone(signed):
    async def scenario():
        socket = Answering()
        door = StreamSendDoor(socket, timeout_s=2.0)
        socket.awake = False
        with pytest.raises(RequestTimeoutError):
            await door.send(signed)
        await asyncio.sleep(doors.BACK_AFTER_S + 1)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(door.send(signed), 0.1)
        with pytest.raises(ConnectError, match="fell silent"):
            await door.send(signed)
        await door.aclose()

    run_virtual(scenario)
