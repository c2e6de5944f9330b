"""Faults of the streams in virtual time: two minutes of them take a moment."""

from __future__ import annotations

import json

import pytest

from wrappy.errors import StreamClosedError
from wrappy.protocol.channels import RESOLUTIONS
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule, VenueSettings
from wrappy.venue.events import FaultFired

CHANNELS = ("order_book/0", "trade/0", "candle/0/1m", "mark_price_candle/0/1m")


def stream_of(exchange):
    url = f"ws{exchange.base_url.removeprefix('http')}/stream"
    return exchange.environment.open_stream(url)


async def life_of(stream):
    """Hand out frames until the exchange closes the stream with 1012."""
    try:
        while True:
            yield json.loads(await stream.receive(None))
    except StreamClosedError as error:
        if "1012" not in str(error):
            raise


async def subscribed(stream):
    await stream.connect()
    for name in CHANNELS:
        frame = {"type": "subscribe", "channel": name}
        await stream.send(json.dumps(frame).encode())


def settings(**changes):
    return VenueSettings(seed=3, symbols=("ETH",), verify=False, **changes)


async def killed_every_five_seconds():
    async with InProcessExchange(settings()) as exchange:
        exchange.faults.add(
            FaultRule(act="close", phase="tick", code=1012, after_ms=5_000)
        )
        stream, lives, volume = stream_of(exchange), 0, {}
        while lives < 24:
            await subscribed(stream)
            nonce = None
            async for frame in life_of(stream):
                book = frame.get("order_book")
                if book is not None:
                    assert book["begin_nonce"] in (0, nonce)
                    nonce = book["nonce"]
                if frame["type"] == "update/candle":
                    for bar in frame["candles"]:
                        assert bar["v"] >= volume.get(bar["t"], 0)
                        volume[bar["t"]] = bar["v"]
            lives += 1
        await stream.aclose()
        assert len(exchange.ledger.of(FaultFired)) == lives
        return exchange.ledger.hash(), volume


def test_a_socket_that_lives_five_seconds_tells_the_same_story_each_time():
    first, second = (run_virtual(killed_every_five_seconds) for _ in range(2))
    assert first == second
    assert len(first[1]) >= 2


def test_a_frozen_stream_stays_open_and_silent_for_ten_minutes():
    async def main():
        async with InProcessExchange(settings()) as exchange:
            handle = exchange.faults.add(
                FaultRule(act="freeze", phase="tick", after_ms=3_000, times=1)
            )
            stream = stream_of(exchange)
            await subscribed(stream)
            while await stream.receive(10.0) is not None:
                pass
            assert exchange.faults.fired(handle) == 1
            await stream.send(b'{"type":"ping"}')
            assert await stream.receive(600.0) is None
            assert stream.is_open
            await subscribed(stream)
            assert await stream.receive(10.0) is not None
            await stream.aclose()

    run_virtual(main)


def test_bytes_that_are_no_text_arrive_as_they_are():
    async def main():
        async with InProcessExchange(settings(flow="none")) as exchange:
            exchange.faults.add(FaultRule(act="garbage", phase="push", binary=True))
            stream = stream_of(exchange)
            await subscribed(stream)
            assert json.loads(await stream.receive(1.0))["type"] == "connected"
            frame = await stream.receive(1.0)
            with pytest.raises(UnicodeDecodeError):
                frame.decode()
            await stream.aclose()

    run_virtual(main)


def test_an_announced_restart_comes_when_it_was_announced_for():
    async def main():
        async with InProcessExchange(settings(flow="none")) as exchange:
            exchange.faults.add(
                FaultRule(act="shutdown", phase="tick", delay_ms=5_000, times=1)
            )
            stream = stream_of(exchange)
            await subscribed(stream)
            frame = {}
            while frame.get("type") != "shutdown":
                frame = json.loads(await stream.receive(5.0))
            assert frame["close_in_ms"] == 5_000
            begun = exchange.environment.unix_s()
            assert len([frame async for frame in life_of(stream)]) == len(CHANNELS)
            assert exchange.environment.unix_s() - begun == pytest.approx(5)
            await stream.aclose()

    run_virtual(main)


def test_a_connection_has_five_hundred_subscriptions_at_most():
    async def main():
        places = VenueSettings(flow="none", verify=False, account_count=120)
        async with InProcessExchange(places) as exchange:
            names = [
                f"{kind}/{account.account_index}"
                for account in exchange.accounts
                for kind in ("account_all", "user_stats", "account_all_trades")
            ]
            names += [
                f"account_all_positions/{a.account_index}" for a in exchange.accounts
            ]
            names += [
                f"{kind}/{market.market_id}/{resolution}"
                for kind in ("candle", "mark_price_candle")
                for market in exchange.engine.markets
                for resolution in RESOLUTIONS
            ]
            stream = stream_of(exchange)
            await stream.connect()
            await stream.receive(1.0)
            codes = []
            for name in names:
                frame = {"type": "subscribe", "channel": name}
                await stream.send(json.dumps(frame).encode())
                answer = json.loads(await stream.receive(1.0))
                codes.append(answer.get("error", {}).get("code", 200))
            assert codes == [200] * 500 + [23001] * (len(names) - 500)
            assert len(names) > 500
            await stream.aclose()

    run_virtual(main)


def test_messages_in_flight_are_limited_without_sockets_too():
    async def main():
        places = settings(flow="none", enforce_limits=True)
        async with InProcessExchange(places) as exchange:
            stream = stream_of(exchange)
            await stream.connect()
            for _ in range(60):
                await stream.send(b'{"type":"ping"}')
            codes = []
            for _ in range(61):
                frame = json.loads(await stream.receive(1.0))
                codes.append(frame.get("error", {}).get("code", frame.get("type")))
            assert codes.count(30010) == 10
            assert codes.count("pong") == 50
            await stream.aclose()

    run_virtual(main)
