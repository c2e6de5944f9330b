"""A bus delivers at least once, to whoever is there, in memory and over Redis."""

from __future__ import annotations

import asyncio
import shutil
import socket

import pytest

from wrappy.errors import ConfigError
from wrappy.runner.bus import BusDownError, MemoryBus, RedisStreamBus

pytest.importorskip("redis", reason="the Redis client comes with an extra")

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
DEADLINE_S = 10.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
async def redis_url(tmp_path):
    if SERVER is None:
        pytest.skip("no redis-server on this machine")
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(SERVER, "--port", str(port), "--bind", "127.0.0.1", "--save", ""),
        *("--dir", str(tmp_path)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    ends = asyncio.get_running_loop().time() + DEADLINE_S
    while not listens(port):
        assert asyncio.get_running_loop().time() < ends
        await asyncio.sleep(0.02)
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    await process.wait()


@pytest.fixture
async def redis_bus(redis_url):
    made = RedisStreamBus(redis_url, claim_after_s=0.05)
    yield made
    await made.aclose()


async def numbers(reader, timeout_s=0.05):
    return [int(one.fields["n"]) for one in await reader.receive(timeout_s)]


def both(test):
    """Run a test of a bus on both kinds."""
    return pytest.mark.parametrize("kind", ["memory", "redis"])(test)


def made(kind, url):
    return MemoryBus() if kind == "memory" else RedisStreamBus(url)


@both
async def test_a_group_hears_everything_from_the_first_message_on(kind, redis_url):
    bus = made(kind, redis_url)
    for n in range(3):
        await bus.publish("c", {"n": str(n)})
    reader = bus.reader("c", group="g", consumer="x")
    assert await numbers(reader) == [0, 1, 2]
    assert await numbers(reader) == []
    await bus.publish("c", {"n": "3"})
    await bus.publish("other", {"n": "4"})
    assert await numbers(reader) == [3]
    assert await numbers(bus.reader("c", group="h", consumer="x")) == [0, 1, 2, 3]
    await bus.aclose()


@both
async def test_what_was_not_acknowledged_comes_again_in_the_next_life(kind, redis_url):
    bus = made(kind, redis_url)
    for n in range(3):
        await bus.publish("c", {"n": str(n)})
    reader = bus.reader("c", group="g", consumer="x")
    taken = await reader.receive(0.05)
    await reader.acknowledge(taken[:1])
    again = bus.reader("c", group="g", consumer="x")
    assert await numbers(again) == [1, 2]
    await again.acknowledge(taken)
    await again.acknowledge([])
    assert await numbers(bus.reader("c", group="g", consumer="x")) == []
    await bus.aclose()


@both
async def test_a_waiting_reader_wakes_with_the_message(kind, redis_url):
    bus = made(kind, redis_url)
    reader = bus.reader("c", group="g", consumer="x")
    waiting = asyncio.ensure_future(reader.receive(DEADLINE_S))
    await asyncio.sleep(0)
    await bus.publish("c", {"n": "7"})
    (one,) = await waiting
    assert (one.channel, one.fields) == ("c", {"n": "7"})
    await bus.aclose()


async def test_another_consumer_takes_over_from_one_that_is_gone(redis_bus):
    await redis_bus.publish("c", {"n": "1"})
    gone = redis_bus.reader("c", group="g", consumer="gone")
    assert await numbers(gone) == [1]
    other = redis_bus.reader("c", group="g", consumer="other")
    ends = asyncio.get_running_loop().time() + DEADLINE_S
    while not (found := await numbers(other)):
        assert asyncio.get_running_loop().time() < ends
    assert found == [1]


async def test_a_redis_that_forgot_everything_is_begun_again_with(redis_bus):
    reader = redis_bus.reader("c", group="g", consumer="x")
    assert await numbers(reader) == []
    await redis_bus.client.flushall()
    with pytest.raises(BusDownError, match="refused"):
        await numbers(reader)
    await redis_bus.publish("c", {"n": "1"})
    assert await numbers(reader) == [1]


async def test_what_redis_refuses_is_told(redis_bus):
    await redis_bus.client.set("c", "text")
    with pytest.raises(BusDownError, match="refused"):
        await redis_bus.publish("c", {"n": "1"})
    with pytest.raises(BusDownError, match="refused"):
        await redis_bus.reader("c", group="g", consumer="x").receive(0.05)


async def test_a_redis_that_is_down_is_told_without_its_password():
    bus = RedisStreamBus(f"redis://me:s3cret@127.0.0.1:{free_port()}/0")
    with pytest.raises(BusDownError) as told:
        await bus.publish("c", {"n": "1"})
    with pytest.raises(BusDownError):
        await bus.reader("c", group="g", consumer="x").receive(0.05)
    assert "s3cret" not in f"{told.value!r} {bus!r}"
    await bus.aclose()


def test_a_wrong_address_is_refused_without_repeating_it():
    with pytest.raises(ConfigError) as told:
        RedisStreamBus("http://me:s3cret@host")
    assert "s3cret" not in str(told.value)
    assert "redis://" in str(told.value)


async def test_memory_keeps_only_so_many(monkeypatch):
    monkeypatch.setattr("wrappy.runner.bus.MOST_KEPT", 2)
    bus = MemoryBus()
    for n in range(5):
        await bus.publish("c", {"n": str(n)})
    assert await numbers(bus.reader("c", group="late", consumer="x")) == [3, 4]
