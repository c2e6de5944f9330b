"""P19: a million frames and a consumer ten times too slow take no memory.

Prices that nobody had time for are replaced by newer ones; orders and fills are kept,
and when they are too many the connection is left until they have been taken in.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import logging
import os
import resource
from pathlib import Path

import pytest

from tests.promises.places import in_process, trader_at
from tests.promises.streams import HeavyMarket, judge_fills, overlay_at, own_trades
from wrappy._core.hook_queue import DEFAULT_CAP
from wrappy.runner.virtual_time import run_virtual

FRAMES = int(os.environ.get("WRAPPY_FRAMES", "250000"))
WARM_UP = 100_000
"""Frames after which bounded caches are full, and the growth is measured."""

GROWTH_BYTES = 5_000_000
AT_ONCE = 50
FRAME_EVERY_S = 0.0001
PAGE_BYTES = resource.getpagesize()


@pytest.fixture(autouse=True)
def silenced():
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def resident_bytes():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


async def stand(trader):
    """Place two large orders before all others."""
    for sign in (1, -1):
        await trader.create_limit_order((300_000 - sign * 20) / 100, sign * 60)
    await trader.flush()


class Torrent:
    """Goes on with a market's book and trades where the exchange left off.

    Attributes:
        left: frames that are still to come.
        nonce, trade_id: counts of the last ones.
    """

    def __init__(self):
        self.left = 0
        self.nonce = self.trade_id = 0
        self._trade = None

    def around(self, exchange):
        native = exchange.environment
        return dataclasses.replace(
            native,
            open_stream=lambda *given, **named: _Poured(
                native.open_stream(*given, **named), self
            ),
        )

    def look(self, raw):
        """Note where the exchange is."""
        message = json.loads(raw)
        if "order_book" in message:
            self.nonce = message["order_book"]["nonce"]
        elif message.get("type", "").endswith("/trade") and message["trades"]:
            self._trade = max(message["trades"], key=lambda row: row["trade_id"])
            self.trade_id = self._trade["trade_id"]

    def frame(self):
        self.left -= 1
        if self.left % 10 == 0:
            self.trade_id += 1
            row = {**self._trade, "trade_id": self.trade_id}
            message = {"channel": "trade:0", "trades": [row], "type": "update/trade"}
            return json.dumps(message).encode()
        begin, self.nonce = self.nonce, self.nonce + 1
        side, price = ("bids", 2990) if begin % 2 else ("asks", 3010)
        other = "asks" if side == "bids" else "bids"
        offset = begin % 500 / 100 * (-1 if side == "bids" else 1)
        size = begin % 7 * 0.01
        change = {
            "code": 0,
            side: [{"price": f"{price + offset:.2f}", "size": f"{size:.4f}"}],
            other: [],
            "offset": begin,
            "nonce": self.nonce,
            "begin_nonce": begin,
        }
        message = {
            "channel": "order_book:0",
            "offset": begin,
            "order_book": change,
            "timestamp": 1_767_225_600_000,
            "type": "update/order_book",
        }
        return json.dumps(message).encode()


class _Poured:
    def __init__(self, inner, torrent):
        self._inner, self._torrent = inner, torrent
        self.connect, self.send = inner.connect, inner.send
        self.disconnect, self.aclose = inner.disconnect, inner.aclose

    @property
    def is_open(self):
        return self._inner.is_open

    async def receive(self, timeout_s):
        torrent = self._torrent
        if torrent.left:
            if torrent.left % AT_ONCE == 0:
                await asyncio.sleep(AT_ONCE * FRAME_EVERY_S)
            return torrent.frame()
        raw = await self._inner.receive(timeout_s)
        torrent.look(raw)
        return raw


def test_a_million_frames_and_a_slow_consumer_take_no_memory(tmp_path):
    async def scenario():
        torrent, seen = Torrent(), {"book": 0, "rows": 0, "most": 0}

        async def slow_book(_):
            seen["book"] += 1
            await asyncio.sleep(10 * FRAME_EVERY_S)

        async def slow_rows(rows):
            seen["rows"] += len(rows)
            seen["most"] = max(seen["most"], len(rows))
            await asyncio.sleep(10 * 10 * FRAME_EVERY_S * len(rows))

        market = HeavyMarket()
        async with in_process(flow=market) as exchange:
            trader = await trader_at(exchange, tmp_path, keys=1)
            overlay = await overlay_at(exchange, environment=torrent.around(exchange))
            async with trader, overlay:
                await stand(trader)
                await asyncio.sleep(2)
                market.moves = market.trades = False
                await asyncio.sleep(1)
                overlay.add_hook("on_book", slow_book)
                overlay.add_hook("on_public_trades", slow_rows)
                first, torrent.left = torrent.nonce, FRAMES
                while torrent.left > FRAMES - WARM_UP:
                    assert overlay.connects == 1
                    await asyncio.sleep(0.1)
                before, most_waiting = resident_bytes(), 0
                while torrent.left:
                    assert overlay.connects == 1
                    waiting = max(stat.waiting for stat in overlay.hook_stats)
                    most_waiting = max(most_waiting, waiting)
                    await asyncio.sleep(0.1)
                grown = resident_bytes() - before
                assert overlay.connects == 1
                assert overlay.book().nonce >= first + FRAMES * 9 // 10 - 1
                assert overlay.book().is_valid
                stats = {stat.event: stat for stat in overlay.hook_stats}
                # Nine of ten frames were never seen by the slow ones.
                assert seen["book"] < FRAMES // 5
                assert stats["on_book"].coalesced > FRAMES // 2
                assert stats["on_public_trades"].dropped > 0
                assert most_waiting <= DEFAULT_CAP
                assert overlay.get_recent_trades(1, public=True)[0]["trade_id"] == (
                    torrent.trade_id
                )
                return grown

    grown = run_virtual(scenario)
    assert grown < GROWTH_BYTES, f"grew by {grown / 1e6:.1f} MB"


def test_fills_that_are_too_many_hold_the_connection_and_none_is_lost(tmp_path):
    class Consumer:
        """Takes a tenth of what comes."""

        def __init__(self):
            self.told = {}
            self.pause_s = 0.05

        async def on_trades(self, rows):
            for row in rows:
                self.told[row["trade_id"]] = self.told.get(row["trade_id"], 0) + 1
            await asyncio.sleep(self.pause_s * len(rows) / 10)

    async def scenario():
        loop, market = asyncio.get_running_loop(), HeavyMarket(1_000)
        market.moves = False
        async with in_process(flow=market) as exchange:
            trader = await trader_at(exchange, tmp_path, keys=1)
            overlay = await overlay_at(exchange, environment=exchange.environment)
            async with trader, overlay:
                consumer = Consumer()
                overlay.add_hook("on_trades", consumer.on_trades)
                await stand(trader)
                most_waiting, ends = 0, loop.time() + 5
                while loop.time() < ends:
                    stats = overlay.hook_stats
                    most_waiting = max(most_waiting, stats[0].waiting)
                    await asyncio.sleep(0.01)
                market.trades = False
                consumer.pause_s = 0.0
                true = own_trades(exchange)
                assert len(true) > DEFAULT_CAP, "there were not too many"
                while len(consumer.told) < len(true):
                    assert loop.time() < ends + 600, "fills were lost"
                    await asyncio.sleep(0.1)
                    stats = overlay.hook_stats
                    most_waiting = max(most_waiting, stats[0].waiting)
                assert most_waiting >= DEFAULT_CAP
                assert overlay.connects > 1, "the connection was never held"
                await overlay.ready(60)
                judge_fills(consumer, exchange)
                assert stats[0].dropped == 0
                return most_waiting

    # One frame at most is taken in beyond the cap; the rest is asked for.
    assert run_virtual(scenario) < 2 * DEFAULT_CAP
