"""The supervised connection with a socket made of lists: silence, refusals, pauses."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from tests.heard import Heard
from wrappy import StreamClosedError
from wrappy._core.stream import StreamSession, StreamState
from wrappy.errors import ConnectError
from wrappy.lighter.streaming import stream as stream_module
from wrappy.lighter.streaming.stream import SupervisedStream


class ScriptedDoor:
    """A socket that says what it is told to, connection by connection."""

    def __init__(self, *connections):
        self.connections = list(connections)
        self.frames = []
        self.sent = []
        self.closed = False
        self.enough = asyncio.Event()

    async def connect(self):
        if not self.connections:
            self.enough.set()
            await asyncio.Event().wait()
        frames = self.connections.pop(0)
        if isinstance(frames, Exception):
            raise frames
        self.frames = list(frames)

    async def send(self, frame):
        self.sent.append(json.loads(frame))

    async def receive(self, _timeout_s):
        if not self.frames:
            await asyncio.Event().wait()
        frame = self.frames.pop(0)
        if isinstance(frame, Exception):
            raise frame
        return frame if isinstance(frame, bytes) else json.dumps(frame).encode()

    async def disconnect(self):
        self.frames = []

    async def aclose(self):
        self.closed = True


async def played(door, session, log="wrappy.ws"):
    heard = Heard()
    stream = SupervisedStream(
        door, session, heard, tokens=None, log=logging.getLogger(log)
    )
    running = asyncio.create_task(stream.run())
    await asyncio.wait_for(door.enough.wait(), 10.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert door.closed
    assert session.state is StreamState.CLOSED
    return stream, heard.kinds, heard.closings


def snapshot(name="trade"):
    return {"type": f"subscribed/{name}", "channel": f"{name}:0"}


async def test_a_silent_exchange_is_left(caplog):
    caplog.set_level(logging.INFO, "wrappy.ws")
    session = StreamSession(idle_limit_s=0.05)
    session.want("trade/0")
    stream, events, closings = await played(ScriptedDoor([snapshot()]), session)
    assert "the exchange went silent" in caplog.text
    assert events == ["snapshot", "ready"]
    assert closings == ["the exchange went silent"]
    assert stream.connects == 1


async def test_a_subscribe_without_an_answer_ends_the_connection(caplog):
    caplog.set_level(logging.INFO, "wrappy.ws")
    session = StreamSession(acknowledge_limit_s=0.05)
    session.want("trade/0")
    await played(ScriptedDoor([{"type": "connected"}]), session)
    assert "the exchange went silent" in caplog.text


async def test_a_ping_fills_our_own_silence():
    session = StreamSession(ping_interval_s=0.02, idle_limit_s=0.1)
    door = ScriptedDoor([{"type": "connected"}])
    await played(door, session)
    assert door.sent.count({"type": "ping"}) >= 2


async def test_a_door_that_does_not_open_is_tried_again(caplog):
    caplog.set_level(logging.INFO, "wrappy.ws")
    session = StreamSession()
    stream, _, closings = await played(
        ScriptedDoor(ConnectError("nobody there"), [StreamClosedError("1006")]),
        session,
    )
    assert "stream failed: nobody there" in caplog.text
    assert "stream closed: 1006" in caplog.text
    assert stream.connects == 1
    assert len(closings) == 2


async def test_frames_that_are_no_json_are_counted():
    session = StreamSession(idle_limit_s=0.05)
    await played(ScriptedDoor([b"{", b"\xff\xfe"]), session)
    assert session.unreadable_frames == 2


async def test_an_announced_restart_is_obeyed(caplog):
    caplog.set_level(logging.INFO, "wrappy.ws")
    _, events, _ = await played(
        ScriptedDoor([{"type": "shutdown"}, snapshot()]), StreamSession()
    )
    assert events == ["shutdown"]
    assert "announced a restart" in caplog.text


@pytest.mark.parametrize("quiet_life_s", [0.0, 1000.0])
async def test_a_good_connection_makes_the_next_pause_short_again(
    monkeypatch, quiet_life_s
):
    monkeypatch.setattr(stream_module, "QUIET_LIFE_S", quiet_life_s)
    lives = [[StreamClosedError("1006")] for _ in range(3)]
    stream, _, _ = await played(ScriptedDoor(*lives), StreamSession())
    assert stream.connects == 3


async def test_connects_stay_within_the_exchanges_limit(monkeypatch):
    pauses = [0.03, 0.0]

    class StrictBudget:
        def offer(self, _):
            return pauses.pop(0)

    monkeypatch.setattr(stream_module, "ConnectBudget", StrictBudget)
    session = StreamSession(idle_limit_s=0.05)
    door = ScriptedDoor([snapshot()])
    pauses += [0.0]
    stream, _, _ = await played(door, session)
    assert stream.connects == 1
    assert pauses == []


async def test_connections_subscribes_and_pings_wait_for_the_pace_and_pongs_do_not():
    turns = []

    async def turn():
        turns.append(len(door.sent))

    session = StreamSession(ping_interval_s=0.05, idle_limit_s=0.2)
    session.want("trade/0")
    door = ScriptedDoor([snapshot(), {"type": "ping"}])
    stream = SupervisedStream(
        door,
        session,
        Heard(),
        tokens=None,
        log=logging.getLogger("wrappy.ws"),
        turn=turn,
    )
    running = asyncio.create_task(stream.run())
    await asyncio.wait_for(door.enough.wait(), 10.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    kinds = [frame["type"] for frame in door.sent]
    assert {"subscribe", "pong", "ping"} <= set(kinds)
    # Twice a connection was begun; the second has said nothing yet.
    assert len(turns) == len(kinds) - kinds.count("pong") + 2
