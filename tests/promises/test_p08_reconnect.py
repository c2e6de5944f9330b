"""P8: back within a second, ever slower if need be, within every limit, for ever."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections import Counter
from itertools import pairwise

import pytest

from tests.promises.places import in_process
from tests.promises.streams import HeavyMarket, Witness, overlay_at
from wrappy import StreamState
from wrappy.errors import ConnectError, StreamClosedError
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule, Venue

CODES = (1000, 1001, 1006, 1008, 1011, 1012)
FIRST_TRY_S = 1.0
CEILING_S = 30.0
CONNECTS_A_MINUTE = 80
MESSAGES_A_MINUTE = 200
UNANSWERED = 35


@pytest.fixture(autouse=True)
def silenced():
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


class Wire:
    """The environment of an exchange, with its connections noted, and a door to shut.

    Attributes:
        tries: when a connection was tried.
        lost: when one was lost.
        sent: moment, connection and content of every message.
        most_unanswered: most subscribes that were unanswered at a time.
        is_shut: whether nobody may connect.
        shut_after_s: how long it takes to learn so.
    """

    def __init__(self, exchange):
        self.tries = []
        self.lost = []
        self.sent = []
        self.most_unanswered = 0
        self.is_shut = False
        self.shut_after_s = 0.0
        native = exchange.environment
        self.environment = dataclasses.replace(
            native,
            open_stream=lambda *given, **named: _Stream(
                native.open_stream(*given, **named), self
            ),
        )

    def subscribed(self, number):
        """Return the channels asked for over a connection, by its number from 1."""
        return Counter(
            frame["channel"]
            for _, connection, frame in self.sent
            if connection == number and frame["type"] == "subscribe"
        )

    def judge_limits(self):
        messages = [at for at, _, frame in self.sent if frame["type"] != "pong"]
        assert _most_in_a_minute(messages) <= MESSAGES_A_MINUTE
        assert _most_in_a_minute(self.tries) <= CONNECTS_A_MINUTE
        assert self.most_unanswered <= UNANSWERED


def _most_in_a_minute(moments):
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= 60.0:
            first += 1
        most = max(most, last - first + 1)
    return most


class _Stream:
    def __init__(self, inner, wire):
        self._inner, self._wire = inner, wire
        self._unanswered = set()
        self._connection = 0
        self.disconnect, self.aclose = inner.disconnect, inner.aclose

    @property
    def is_open(self):
        return self._inner.is_open

    async def connect(self):
        self._wire.tries.append(asyncio.get_running_loop().time())
        self._unanswered.clear()
        if self._wire.is_shut:
            await asyncio.sleep(self._wire.shut_after_s)
            raise ConnectError("nobody there")
        await self._inner.connect()
        self._connection += 1

    async def send(self, frame):
        message = json.loads(frame)
        now = asyncio.get_running_loop().time()
        self._wire.sent.append((now, self._connection, message))
        if message["type"] == "subscribe":
            self._unanswered.add(message["channel"])
            most = max(self._wire.most_unanswered, len(self._unanswered))
            self._wire.most_unanswered = most
        await self._inner.send(frame)

    async def receive(self, timeout_s):
        try:
            raw = await self._inner.receive(timeout_s)
        except StreamClosedError:
            self._wire.lost.append(asyncio.get_running_loop().time())
            raise
        if raw is not None and b'"subscribed/' in raw:
            channel = json.loads(raw)["channel"].replace(":", "/")
            self._unanswered.discard(channel)
        return raw


@pytest.mark.parametrize("code", CODES)
def test_the_first_try_is_soon_and_everything_is_subscribed_again(code):
    async def scenario():
        async with in_process(flow=HeavyMarket()) as exchange:
            wire = Wire(exchange)
            async with await overlay_at(
                exchange, environment=wire.environment, watch=("ticker", "assets")
            ) as overlay:
                witness = Witness(overlay)
                kill = exchange.faults.add(
                    FaultRule(act="close", phase="tick", code=code, times=1)
                )
                await asyncio.sleep(5)
                assert exchange.faults.fired(kill) == 1
                assert wire.tries[1] - wire.lost[0] <= FIRST_TRY_S
                assert wire.subscribed(2) == wire.subscribed(1)
                assert set(wire.subscribed(1)) == {
                    "trade/0",
                    "order_book/0",
                    f"account_all_orders/{exchange.accounts[0].account_index}",
                    f"account_all_trades/{exchange.accounts[0].account_index}",
                    f"account_all_positions/{exchange.accounts[0].account_index}",
                    f"account_all_assets/{exchange.accounts[0].account_index}",
                    "ticker/0",
                }
                assert overlay.state is StreamState.READY
                assert len(witness.backs) == 1
                wire.judge_limits()

    run_virtual(scenario)


@pytest.mark.parametrize("shut_after_s", [0.0, 10.0])
def test_a_closed_door_is_tried_ever_more_slowly_and_never_given_up(shut_after_s):
    async def scenario():
        async with in_process() as exchange:
            wire = Wire(exchange)
            async with await overlay_at(
                exchange, environment=wire.environment
            ) as overlay:
                wire.is_shut, wire.shut_after_s = True, shut_after_s
                cut = exchange.faults.add(
                    FaultRule(act="close", phase="tick", code=1006, times=1)
                )
                await asyncio.sleep(86_400)
                assert exchange.faults.fired(cut) == 1
                waits = [b - a - shut_after_s for a, b in pairwise(wire.tries[1:])]
                assert 0.125 <= waits[0] <= 1.0
                assert all(wait <= CEILING_S for wait in waits)
                tail = waits[10:]
                assert all(wait >= CEILING_S / 2 for wait in tail)
                assert len({round(wait, 3) for wait in tail}) > len(tail) // 2
                assert overlay.state is StreamState.CONNECTING
                wire.is_shut = False
                await overlay.ready(CEILING_S + shut_after_s + 1)
                wire.judge_limits()

    run_virtual(scenario)


@pytest.mark.parametrize("after_ms", [0, 1_000, 3_000, 5_000, 20_000])
def test_limits_hold_while_every_connection_is_killed(after_ms):
    async def scenario():
        async with in_process(flow=HeavyMarket()) as exchange:
            wire = Wire(exchange)
            async with await overlay_at(
                exchange,
                environment=wire.environment,
                symbols=("BTC", "SOL"),
                watch=("ticker", "market_stats", "candles:1m", "assets", "user_stats"),
            ) as overlay:
                kill = exchange.faults.add(
                    FaultRule(act="close", phase="tick", code=1006, after_ms=after_ms)
                )
                await asyncio.sleep(600)
                assert exchange.faults.fired(kill) > 15
                exchange.faults.remove(kill)
                await overlay.ready(120)
                wire.judge_limits()

    run_virtual(scenario)


def test_many_channels_are_asked_for_in_portions():
    async def scenario():
        symbols = ("ETH", "BTC", "SOL", "1000PEPE", "BNB", "AAVE")
        async with in_process(symbols=symbols, enforce_limits=True) as exchange:
            wire = Wire(exchange)
            resolutions = ("1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d")
            async with await overlay_at(
                exchange,
                environment=wire.environment,
                symbol=None,
                symbols=symbols,
                watch=(
                    "ticker",
                    "market_stats",
                    *(f"candles:{r}" for r in resolutions),
                ),
                ready_timeout=120.0,
            ) as overlay:
                cut = exchange.faults.add(
                    FaultRule(act="close", phase="tick", code=1006, times=1)
                )
                await asyncio.sleep(180)
                assert exchange.faults.fired(cut) == 1
                assert overlay.state is StreamState.READY
                assert len(wire.subscribed(1)) > 2 * UNANSWERED
                assert wire.subscribed(2) == wire.subscribed(1)
                wire.judge_limits()
                assert wire.most_unanswered > UNANSWERED // 2

    run_virtual(scenario)


@pytest.mark.parametrize("code", CODES)
async def test_a_real_socket_is_back_within_a_second(ws, eventually, code):
    async with Venue(seed=1) as venue:
        overlay = await ws(venue)
        loop = asyncio.get_running_loop()
        states, hooked = [], []
        overlay.add_hook("on_state", lambda state: states.append((state, loop.time())))
        overlay.add_hook("on_reconnect", hooked.append)
        kill = venue.faults.add(
            FaultRule(act="close", phase="tick", code=code, times=1)
        )
        await eventually(lambda: hooked)
        assert venue.faults.fired(kill) == 1
        assert hooked == [2]
        gone_at = next(at for state, at in states if state is StreamState.CONNECTING)
        asked_at = next(at for state, at in states if state is StreamState.SUBSCRIBING)
        assert asked_at - gone_at <= FIRST_TRY_S
        assert overlay.state is StreamState.READY
        assert overlay.book().is_valid
