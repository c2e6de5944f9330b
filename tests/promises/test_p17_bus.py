"""P17: no hedge message is lost and each is acted on once, whoever dies meanwhile.

A real Redis, a real exchange process' sockets, and leg B as a process that is killed by
signal 9 at one in twenty messages. `WRAPPY_HEDGES` sets how many hedges.
"""
# ruff: noqa: E402

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest

pytest.importorskip("redis", reason="the Redis client comes with an extra")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import redis
from redis.asyncio import Redis

from examples.hedge.journal import HedgeJournal
from examples.hedge.messages import A_FILLED, filled_message
from wrappy import LighterDealer
from wrappy.runner.bus import BusDownError, RedisStreamBus
from wrappy.runner.network import venue_configs
from wrappy.venue import Venue, VenueSettings

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SERVER is None, reason="no redis-server here"),
]
HEDGES = int(os.environ.get("WRAPPY_HEDGES", "20"))
KILL_EVERY = 20
DEADLINE_S = 30.0
SIZE_LOTS = 100


class Server:
    """A Redis of this test's own that keeps its log on disk."""

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = folder
        self.url = f"redis://127.0.0.1:{self.port}/0"

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(
            SERVER,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
            *("--appendonly", "yes", "--appendfsync", "always"),
            *("--dir", str(self.folder)),
            stdout=asyncio.subprocess.DEVNULL,
        )
        client = Redis.from_url(self.url, socket_timeout=1.0)
        try:
            await until(lambda: answers(client))
        finally:
            await client.aclose()

    async def stop(self):
        self.process.terminate()
        await self.process.wait()


async def answers(client):
    try:
        return await client.ping()
    except (redis.RedisError, OSError):
        return False


async def until(condition, within_s=DEADLINE_S, words=lambda: ""):
    loop = asyncio.get_running_loop()
    ends = loop.time() + within_s
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        assert loop.time() < ends, words()
        await asyncio.sleep(0.01)


class LegB:
    """Leg B in a process of its own."""

    def __init__(self, folder, venue, server):
        self.folder, self.venue = folder, venue
        self.journal = folder / "hedges.jsonl"
        first, second = venue.accounts[:2]
        self.config = folder / "hedge.yaml"
        self.config.write_text(
            f"lighter: {{base_url: '{venue.base_url}', chain_id: {venue.chain_id}}}\n"
            "accounts:\n"
            f"  account_a: {{account_index: {first.account_index}, api_key_index: 4}}\n"
            f"  account_b: {{account_index: {second.account_index}, "
            f"api_key_index: {second.api_keys[0].api_key_index}}}\n"
            "strategy: {market: ETH, reconcile_s: 1, hedge_for_s: 20, "
            "flatten_after_s: 30, halt_after_s: 60}\n"
        )
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(folder / "state"),
            "REDIS_URL": server.url,
            "HEDGE_B_PRIVATE_KEY": second.api_keys[0].api_key_private_key,
        }

    async def start(self):
        with (self.folder / "told").open("a") as told:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "examples.hedge.leg_b"),
                *("--config", str(self.config), "--journal", str(self.journal)),
                stdout=told,
                stderr=told,
                env=self.environment,
                cwd=ROOT,
            )

    async def end(self, number):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return await self.process.wait()


def position(venue, account):
    total = 0
    for trade in venue.ledger.trades(account):
        total += trade.base * (trade.bid_account == account)
        total -= trade.base * (trade.ask_account == account)
    return total


def traded(venue, account):
    return sum(trade.base for trade in venue.ledger.trades(account))


async def trade_once(dealer, venue, bus, number):
    """Leg A trades, and tells of each of its trades; return their numbers."""
    account = dealer.config.account_index
    before = len(venue.ledger.trades(account))
    # Runs of five, so that what comes at once does not cancel out.
    sign = 1 if number // 5 % 2 else -1
    await dealer.create_market_order(dealer.market.size(sign * SIZE_LOTS))
    await until(lambda: traded_lots(venue, account, before) >= SIZE_LOTS)
    told = []
    for trade in venue.ledger.trades(account)[before:]:
        row = {
            "ask_account_id": trade.ask_account,
            "ask_id": trade.ask_order_index,
            "bid_id": trade.bid_order_index,
            "market_id": trade.market_index,
            "trade_id": trade.trade_id,
            "price": str(dealer.market.price(trade.price)),
            "size": str(dealer.market.size(trade.base)),
            "timestamp": trade.at_us // 1_000,
        }
        told.append(trade.trade_id)
        await publish(bus, filled_message(row, account))
    return told


def traded_lots(venue, account, before):
    return sum(trade.base for trade in venue.ledger.trades(account)[before:])


async def publish(bus, fields):
    """Publish as leg A does: again and again, until the bus has it."""
    while True:
        try:
            return await bus.publish(A_FILLED, fields)
        except BusDownError:  # noqa: PERF203 - again and again
            await asyncio.sleep(0.05)


async def test_every_fill_is_hedged_once_whoever_dies(tmp_path):
    server = Server(tmp_path)
    await server.start()
    settings = VenueSettings(seed=1)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        venue = await stack.enter_async_context(Venue(settings=settings))
        bus = RedisStreamBus(server.url)
        stack.push_async_callback(bus.aclose)
        leg = LegB(tmp_path, venue, server)
        await leg.start()
        a, b = (venue.accounts[place].account_index for place in (0, 1))
        config = config_of(venue, tmp_path)
        dealer = await stack.enter_async_context(await LighterDealer.create(config))
        told, kills = [], 0
        for number in range(HEDGES):
            told += await trade_once(dealer, venue, bus, number)
            if number % KILL_EVERY == KILL_EVERY // 2:
                # Wherever it is: before, while or after it hedges this one.
                await asyncio.sleep(0.03 * (kills % 5))
                await leg.end(signal.SIGKILL)
                kills += 1
                await leg.start()
            if number == HEDGES // 2:
                await server.stop()
                await server.start()
            if number % KILL_EVERY == KILL_EVERY - 1:
                await until(lambda: position(venue, a) + position(venue, b) == 0)

        def balanced():
            return position(venue, a) + position(venue, b) == 0

        def words():
            exposure = position(venue, a) + position(venue, b)
            return f"{exposure}: {(tmp_path / 'errors').read_text()[-500:]}"

        await until(balanced, words=words)
        client = Redis.from_url(server.url)
        stack.push_async_callback(client.aclose)

        async def nothing_pending():
            (group,) = await client.xinfo_groups(A_FILLED)
            return group["pending"] == 0 and group["lag"] == 0

        await until(nothing_pending, words=lambda: "messages wait")
        code = await leg.end(signal.SIGTERM)
        acted = [trade for _, trade in HedgeJournal(leg.journal).fills()]
        assert code in (0, 130, 143), (tmp_path / "told").read_text()
        assert sorted(acted) == sorted(told), "each message acted on, and once"
        assert traded(venue, b) <= traded(venue, a), "nothing hedged twice"
        print(f"{len(told)} fills, {kills} kills, 1 restart: 0 lost, 0 doubled")


class PubSub:
    """The other way: who does not listen at that moment never hears of it."""

    def __init__(self, client):
        self.client = client
        self.listening = None

    async def publish(self, number):
        await self.client.publish("fills", str(number))

    async def begin(self):
        self.listening = self.client.pubsub()
        await self.listening.subscribe("fills")
        # The first answer tells that it listens.
        await self.listening.get_message(timeout=1.0)

    async def receive(self):
        found = await self.listening.get_message(timeout=0.02)
        return [int(found["data"])] if found else []

    async def die(self):
        await self.listening.aclose()


class Streams:
    """Our way, with the consumer dying before it acknowledges."""

    def __init__(self, url):
        self.bus = RedisStreamBus(url)

    async def publish(self, number):
        await self.bus.publish("fills", {"number": str(number)})

    async def begin(self):
        self.reader = self.bus.reader("fills", group="hedge", consumer="b")
        self.held = []

    async def receive(self):
        await self.reader.acknowledge(self.held)
        self.held = await self.reader.receive(0.02)
        return [int(one.fields["number"]) for one in self.held]

    async def die(self):
        self.reader = None


async def heard(way, messages=300, away_for=10):
    """Return what a consumer hears that dies at one in twenty messages."""
    found = []
    await way.begin()
    away = 0
    for number in range(messages):
        await way.publish(number)
        if away:
            away -= 1
            if not away:
                await way.begin()
        elif number % KILL_EVERY == KILL_EVERY // 2:
            await way.die()
            away = away_for
        else:
            found += await way.receive()
    if away:
        await way.begin()
    while got := await way.receive():
        found += got
    return found


async def test_streams_lose_nothing_where_pub_sub_loses_half(tmp_path):
    server = Server(tmp_path)
    await server.start()
    client = Redis.from_url(server.url)
    streams = Streams(server.url)
    try:
        by_pub_sub = set(await heard(PubSub(client)))
        by_streams = set(await heard(streams))
    finally:
        await client.aclose()
        await streams.bus.aclose()
        await server.stop()
    print(
        f"of 300: pub/sub lost {300 - len(by_pub_sub)}, streams {300 - len(by_streams)}"
    )
    assert len(by_pub_sub) < 200
    assert by_streams == set(range(300))


def config_of(venue, folder):
    config = venue_configs(venue)[0]
    return dataclasses.replace(config, symbol="ETH", state_dir=str(folder / "a"))
