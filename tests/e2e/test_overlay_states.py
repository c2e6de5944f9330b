"""What an overlay tells of its own state while the connection holds."""

from __future__ import annotations

import asyncio

from wrappy._core.stream import StreamState
from wrappy.venue import FaultRule

LOST_CHANGE = FaultRule(
    act="drop", phase="push", path="update/order_book", nth=2, times=1
)


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
