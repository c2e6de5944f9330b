"""P21, the streams: frames that make no sense are counted as nothing and break nothing.

They come between true frames, or are true frames bent: on the socket that sends and on
the one that tells of orders, trades and the book.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import random
from collections import Counter
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.promises.hostile import bends, bodies, nothing_unforeseen, often
from tests.promises.places import in_process, trader_at
from tests.promises.storm import Market
from tests.promises.streams import (
    HeavyMarket,
    Truth,
    overlay_at,
    shown_depth,
    true_depth,
)
from wrappy import StreamState, WrappyError, WsInfo
from wrappy.runner.virtual_time import run_virtual

FLOOD = 100_000 * int(os.environ.get("WRAPPY_FUZZ_TIMES", "1"))


class Tap:
    """Bends the frames of a connection, or puts others before them.

    Attributes:
        lies: what happens to the next frames: bytes to put before one, or a function
            that bends one.
    """

    def __init__(self):
        self.lies = []

    def around(self, exchange):
        native = exchange.environment
        return dataclasses.replace(
            native,
            open_stream=lambda *given, **named: _Stream(
                native.open_stream(*given, **named), self
            ),
        )


class _Stream:
    def __init__(self, inner, tap):
        self._inner, self._tap = inner, tap
        self.connect, self.send = inner.connect, inner.send
        self.disconnect, self.aclose = inner.disconnect, inner.aclose
        self._held = None

    @property
    def is_open(self):
        return self._inner.is_open

    async def receive(self, timeout_s):
        if self._held is not None:
            frame, self._held = self._held, None
            return frame
        frame = await self._inner.receive(timeout_s)
        if frame is None or not self._tap.lies:
            return frame
        lie = self._tap.lies.pop(0)
        if isinstance(lie, bytes):
            self._held = frame
            return lie
        return lie(frame)


lies = st.lists(bends() | bodies, min_size=1, max_size=12)


async def overlaid(state, lies):
    """Listen among lies, then see that orders, trades and book are told truly."""
    tap = Tap()
    async with in_process(flow=Market()) as exchange:
        with nothing_unforeseen(asyncio.get_running_loop()):
            owner = exchange.accounts[0]
            key = owner.api_keys[0]
            trader = await trader_at(exchange, state, keys=1)
            overlay = await WsInfo.run_overlay(
                owner.account_index,
                key.api_key_index,
                key.api_key_private_key,
                symbol="ETH",
                base_url=exchange.base_url,
                chain_id=exchange.chain_id,
                environment=tap.around(exchange),
            )
            overlay.on_orders = trader.feed_ws_orders
            async with trader, overlay:
                await trader.create_limit_order(2900, 0.05, client_order_index=1)
                await trader.flush()
                tap.lies = list(lies)
                for _ in range(20):
                    await asyncio.sleep(0.5)
                    await trader.create_limit_order(2901, 0.05)
                    await trader.flush()
                tap.lies.clear()
                sent = len(exchange.ledger.accepted())
                await asyncio.sleep(120)
                assert len(exchange.ledger.accepted()) == sent == 21
                await trader.create_limit_order(2902, 0.05, client_order_index=3)
                await trader.flush()
                order = await overlay.wait_order_by_coi(3, timeout=30)
                while order is not None and order["status"] == "in-progress":
                    await asyncio.sleep(0.01)
                    order = await overlay.get_order_by_coi(3)
                assert order is not None
                assert order["status"] == "open"
                assert overlay.get_ltp() is not None


@often(30)
@given(lies=lies)
def test_an_overlay_among_hostile_frames_goes_on_with_the_truth(tmp_path, lies):
    with silenced():
        run_virtual(partial(overlaid, tmp_path, lies))


async def sending(state, lies, depth):
    """Send over a socket among lies; every order is told truly all the same."""
    tap = Tap()
    async with in_process() as exchange:
        with nothing_unforeseen(asyncio.get_running_loop()):
            trader = await trader_at(
                exchange,
                state,
                keys=1,
                environment=tap.around(exchange),
                use_websocket=True,
                pipeline_depth=depth,
                request_timeout_s=2.0,
            )
            async with trader:
                await trader.create_limit_order(2900, 0.05)
                await trader.flush()
                tap.lies = list(lies)
                for step in range(12):
                    await trader.create_limit_order(
                        2901, 0.05, client_order_index=100 + step
                    )
                    with contextlib.suppress(WrappyError):
                        await trader.flush()
                tap.lies.clear()
                await asyncio.sleep(90)
                with contextlib.suppress(WrappyError):
                    await trader.flush()
                await trader.create_limit_order(2902, 0.05, client_order_index=3)
                await trader.flush()
                created = [
                    tx.info["ClientOrderIndex"] for tx in exchange.ledger.accepted()
                ]
                assert len(created) == len(set(created))
                assert 3 in created
                for coi in range(100, 112):
                    dead = trader.receipt(coi).stage.value in ("rejected", "not_sent")
                    assert dead == (coi not in created), trader.receipt(coi)


@pytest.mark.parametrize("depth", [1, 4])
@often(30)
@given(lies=lies)
def test_a_sending_socket_among_hostile_frames_loses_and_doubles_nothing(
    tmp_path, depth, lies
):
    with silenced():
        run_virtual(partial(sending, tmp_path, lies, depth))


@contextlib.contextmanager
def silenced():
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


# ------------------------------------------------------------------- the great flood


class Flood:
    """Puts arbitrary frames between the true ones, thousands a second.

    Attributes:
        left: arbitrary frames that are still to come.
        seen: true frames so far, some of which are bent later on.
        sent: what left the client meanwhile, by type.
        reads: REST paths asked meanwhile.
    """

    def __init__(self, seed):
        self.left = 0
        self.seen = []
        self.sent = Counter()
        self.reads = Counter()
        self._dice = random.Random(seed)

    def around(self, exchange):
        native = exchange.environment
        return dataclasses.replace(
            native,
            open_stream=lambda *given, **named: _FloodedStream(
                native.open_stream(*given, **named), self
            ),
        )

    def frame(self):
        """Return one: bytes, JSON of any shape, or a true frame bent."""
        self.left -= 1
        dice = self._dice
        kind = dice.randrange(4)
        if kind == 0:
            return dice.randbytes(dice.randrange(200))
        if kind == 1:
            return json.dumps(self._value(3)).encode()
        frame = bytearray(dice.choice(self.seen))
        if kind == 2:
            return bytes(frame[: dice.randrange(len(frame))])
        for _ in range(dice.randrange(1, 4)):
            frame[dice.randrange(len(frame))] = dice.randrange(256)
        return bytes(frame)

    def _value(self, depth):
        dice = self._dice
        kind = dice.randrange(9 if depth else 6)
        if kind < 6:
            odd = (None, True, -1, 2**63, 1e308, "NaN", "subscribed/trade", "", 0)
            return dice.choice(odd)
        if kind == 6:
            return [self._value(depth - 1) for _ in range(dice.randrange(4))]
        names = ("type", "channel", "order_book", "orders", "trades", "error", "code")
        return {
            dice.choice(names): self._value(depth - 1) for _ in range(dice.randrange(5))
        }


class _FloodedStream:
    PER_TRUE_FRAME = 400

    def __init__(self, inner, flood):
        self._inner, self._flood = inner, flood
        self.connect = inner.connect
        self.disconnect, self.aclose = inner.disconnect, inner.aclose
        self._due = 0

    @property
    def is_open(self):
        return self._inner.is_open

    async def send(self, frame):
        self._flood.sent[json.loads(frame)["type"]] += 1
        await self._inner.send(frame)

    async def receive(self, timeout_s):
        flood = self._flood
        if self._due and flood.left:
            self._due -= 1
            return flood.frame()
        raw = await self._inner.receive(timeout_s)
        if not flood.left and len(flood.seen) < 500:
            flood.seen.append(raw)
        self._due = self.PER_TRUE_FRAME
        return raw


async def flooded(state, seed, count):
    """Listen through a flood; at its end all is as true as before."""
    flood, market = Flood(seed), HeavyMarket()
    async with in_process(flow=market) as exchange:
        loop = asyncio.get_running_loop()
        with nothing_unforeseen(loop):
            trader = await trader_at(exchange, state, keys=1)
            overlay = await overlay_at(exchange, environment=flood.around(exchange))
            async with trader, overlay:
                overlay.attach(trader)
                for sign in (1, -1):
                    await trader.create_limit_order((300_000 - sign * 20) / 100, sign)
                await trader.flush()
                truth = Truth(exchange.engine, overlay)
                await asyncio.sleep(10)
                accepted, sent = len(exchange.ledger.accepted()), Counter(flood.sent)
                flood.left = count
                while flood.left:
                    truth.compare()
                    await asyncio.sleep(0.05)
                assert overlay.state is not StreamState.CLOSED
                assert len(exchange.ledger.accepted()) == accepted
                assert set(flood.sent - sent) <= {
                    "subscribe",
                    "unsubscribe",
                    "ping",
                    "pong",
                }
                await asyncio.sleep(60)
                market.moves = market.trades = False
                await overlay.ready(60)
                await asyncio.sleep(1)
                assert shown_depth(overlay) == true_depth(exchange.engine)
                await truth.aclose()
                assert truth.compared
                return overlay.unreadable_frames, truth


def test_a_hundred_thousand_arbitrary_frames_break_nothing(tmp_path):
    with silenced():
        unreadable, truth = run_virtual(lambda: flooded(tmp_path, 1, FLOOD))
    assert unreadable > FLOOD // 3
    assert not truth.wrong
