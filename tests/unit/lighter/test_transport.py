"""The doors to the network: every failure leaves as one of our own classes."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from aiohttp import web

from wrappy.errors import (
    ConnectError,
    ProtocolError,
    RateLimitedError,
    RequestTimeoutError,
    StreamClosedError,
    TransportError,
    VenueError,
    VenueUnavailableError,
)
from wrappy.lighter.wire.transport import RestDoor, StreamDoor, read_body


@contextlib.asynccontextmanager
async def served(handler):
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (200, b'{"code":21702,"message":"bad"}', VenueError, 21702),
        (400, b'{"code":200}', VenueError, 400),
        (404, b"not json", VenueError, 404),
        (429, b"", RateLimitedError, 429),
        (405, b'{"code":"text"}', RateLimitedError, 405),
        (503, b"[]", VenueUnavailableError, 503),
    ],
)
def test_an_answer_that_says_no_has_code_and_class(status, body, kind, code):
    with pytest.raises(kind) as caught:
        read_body(body, status=status, endpoint="/x")
    assert caught.value.code == code
    assert caught.value.endpoint == "/x"


@pytest.mark.parametrize("body", [b"", b"[1]", b'"text"', b"{"])
def test_a_success_that_is_no_object_cannot_be_read(body):
    with pytest.raises(ProtocolError, match="/x"):
        read_body(body, status=200, endpoint="/x")


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), (None, None), ("soon", None), ("-1", None)]
)
def test_the_exchange_may_say_when_to_come_back(header, seconds):
    with pytest.raises(RateLimitedError) as caught:
        read_body(b"", status=429, endpoint="/x", retry_after=header)
    assert caught.value.retry_after_s == seconds


def test_an_answer_without_a_code_is_taken_as_it_is():
    assert read_body(b'{"a":1}', status=200, endpoint="/x") == {"a": 1}


async def test_nobody_at_the_address_is_a_connect_error():
    async def answer(_):
        return web.Response()

    async with served(answer) as address:
        pass
    door = RestDoor(f"http://{address}")
    with pytest.raises(ConnectError) as caught:
        await door.get("/")
    assert caught.value.outcome == "not_sent"
    await door.aclose()
    await door.aclose()


async def test_a_dropped_connection_leaves_the_outcome_open():
    async def drop(request):
        request.transport.abort()
        return web.Response()

    async with served(drop) as address:
        door = RestDoor(f"http://{address}")
        with pytest.raises(TransportError) as caught:
            await door.post_form("/send", "a=1")
        assert caught.value.outcome == "unknown"
        await door.aclose()


async def test_an_answer_that_is_too_slow_leaves_the_outcome_open():
    release = asyncio.Event()

    async def wait(_):
        await release.wait()
        return web.Response()

    async with served(wait) as address:
        door = RestDoor(f"http://{address}", timeout_s=0.05)
        with pytest.raises(RequestTimeoutError):
            await door.get("/")
        release.set()
        await door.aclose()


async def test_being_throttled_is_told_with_the_pause_asked_for():
    async def no(_):
        return web.Response(status=429, headers={"Retry-After": "3"})

    pauses = []
    async with served(no) as address:
        door = RestDoor(f"http://{address}", on_throttled=pauses.append)
        with pytest.raises(RateLimitedError):
            await door.get("/")
        await door.aclose()
        door = RestDoor(f"http://{address}")
        with pytest.raises(RateLimitedError):
            await door.get("/")
        await door.aclose()
    assert pauses == [3.0]


async def test_an_empty_volume_quota_pauses_nothing():
    async def no(_):
        words = "Not enough volume quota remaining"
        return web.json_response({"code": 23000, "message": words}, status=429)

    pauses = []
    async with served(no) as address:
        door = RestDoor(f"http://{address}", on_throttled=pauses.append)
        with pytest.raises(RateLimitedError) as refused:
            await door.get("/")
        await door.aclose()
    assert refused.value.volume_quota
    assert pauses == []


async def test_a_stream_that_is_not_connected_says_so():
    door = StreamDoor("ws://127.0.0.1:9")
    assert not door.is_open
    with pytest.raises(StreamClosedError, match="not connected"):
        await door.send(b"{}")
    with pytest.raises(StreamClosedError, match="not connected"):
        await door.receive(0.01)
    await door.disconnect()
    await door.aclose()


async def test_a_refused_handshake_is_a_connect_error():
    async def no(_):
        return web.Response(status=503)

    async with served(no) as address:
        door = StreamDoor(f"ws://{address}/stream")
        with pytest.raises(ConnectError):
            await door.connect()
        await door.aclose()


async def test_frames_come_and_go_and_the_end_has_a_code():
    async def talk(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        first = await socket.receive_str()
        await socket.send_str(first)
        await socket.send_bytes(b"binary")
        await socket.receive_str()
        await socket.close(code=1012)
        return socket

    async with served(talk) as address:
        door = StreamDoor(f"ws://{address}/stream")
        await door.connect()
        assert door.is_open
        assert await door.receive(0.01) is None
        await door.send(b'{"a":1}')
        assert await door.receive(2.0) == b'{"a":1}'
        assert await door.receive(2.0) == b"binary"
        await door.send(b"{}")
        with pytest.raises(StreamClosedError, match="1012"):
            await door.receive(2.0)
        assert not door.is_open
        with pytest.raises(StreamClosedError):
            await door.send(b"{}")
        await door.connect()
        assert door.is_open
        await door.aclose()
