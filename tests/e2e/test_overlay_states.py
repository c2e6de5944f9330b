"""What an overlay tells of its own state while the connection holds."""

from __future__ import annotations

import asyncio

import pytest

from wrappy import WsInfo
from wrappy._core.stream import StreamState
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule, VenueSettings
from wrappy.venue.events import FaultFired

LOST_CHANGE = FaultRule(
    act="drop", phase="push", path="update/order_book", nth=2, times=1
)
EXPIRED = FaultRule(act="expire_token", phase="tick", after_ms=5_000, times=1)


async def test_a_gap_in_a_book_is_told_as_a_state_until_its_snapshot_is_here(venue, ws):
    overlay = await ws(venue)
    told, back = [], asyncio.Event()

    def on_state(state):
        told.append(state)
        if state is StreamState.READY:
            back.set()

    overlay.on_state = on_state
    venue.faults.add(LOST_CHANGE)
    await asyncio.wait_for(back.wait(), 20.0)
    assert told == [StreamState.SUBSCRIBING, StreamState.READY]
    assert overlay.book().is_valid
    assert overlay.connects == 1


async def test_a_gap_is_no_reconnect(venue, ws):
    overlay = await ws(venue)
    reconnects, gap = [], asyncio.Event()
    overlay.on_reconnect = reconnects.append
    overlay.on_gap = lambda _: gap.set()
    venue.faults.add(LOST_CHANGE)
    await asyncio.wait_for(gap.wait(), 20.0)
    await overlay.ready(20.0)
    assert reconnects == []


@pytest.mark.parametrize("way", ["keep", "unsubscribe", "error", "close"])
@pytest.mark.parametrize("code", [20013, 30004, 30012])
def test_orders_are_heard_again_when_the_exchange_ends_a_token_early(way, code):
    settings = VenueSettings(
        flow="none",
        public_account_channels=False,
        expired_token=way,
        stream_auth_code=code,
    )

    async def scenario():
        async with InProcessExchange(settings, signer="python") as exchange:
            account = exchange.accounts[0]
            key = account.api_keys[0]
            overlay = await WsInfo.run_overlay(
                account.account_index,
                key.api_key_index,
                key.api_key_private_key,
                symbol="ETH",
                base_url=exchange.base_url,
                chain_id=exchange.chain_id,
                environment=exchange.environment,
            )
            states = []
            async with overlay:
                overlay.on_state = states.append
                exchange.faults.add(EXPIRED)
                await asyncio.sleep(20.0)
                assert overlay.state is StreamState.READY
                assert overlay.book().is_valid
            assert len(exchange.ledger.of(FaultFired)) == 1
            # Nobody had to find out by the fills that did not come.
            assert states[0] is not StreamState.READY
            assert states[-1] is StreamState.READY

    run_virtual(scenario)
