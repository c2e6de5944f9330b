"""P21, the streams: frames that make no sense are counted as nothing and break nothing.

They come between true frames, or are true frames bent: on the socket that sends and on
the one that tells of orders, trades and the book.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.promises.hostile import bends, bodies, nothing_unforeseen, often
from tests.promises.places import in_process, trader_at
from tests.promises.storm import Market
from wrappy import WrappyError, WsInfo
from wrappy.runner.virtual_time import run_virtual


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
