"""P18: a hook that raises, hangs or blocks harms no other, is counted, and is named."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from tests.promises.streams import HeavyMarket, judge_fills, own_trades
from wrappy.venue import Venue

BLOCK_S = 1.0
LATENCY_S = 0.25
"""What a fill may take from the exchange's ledger to a hook on a busy machine."""


class Latency:
    """A well-behaved hook that measures how late it is told.

    Attributes:
        told: how often each fill was told.
        late: seconds of each fill between the exchange's word and ours.
    """

    def __init__(self):
        self.told = {}
        self.late = []

    def on_trades(self, rows):
        now_ms = time.time() * 1000
        for row in rows:
            self.told[row["trade_id"]] = self.told.get(row["trade_id"], 0) + 1
            self.late.append((now_ms - row["timestamp"]) / 1000)

    def percentile(self, share):
        return sorted(self.late)[int(len(self.late) * share)]


def raising_hook(_):
    raise RuntimeError("a bug of the user's")


def exiting_hook(_):
    raise SystemExit("even that")


async def cancelling_hook(_):
    raise asyncio.CancelledError


async def hanging_hook(_):
    await asyncio.Event().wait()


async def stubborn_hook(_):
    for _ in range(4):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1.0)


class Blocking:
    """Holds the loop once."""

    __qualname__ = "blocking_hook"

    def __init__(self):
        self.done = False

    def blocking_hook(self, _):
        if not self.done:
            self.done = True
            time.sleep(BLOCK_S)


async def traded(dealer, ws, hooks, seconds, **settings):
    """Trade heavily with bad hooks beside a good one; return overlay and latencies."""
    async with Venue(seed=1, flow=HeavyMarket(50_000)) as venue:
        trader = await dealer(venue)
        overlay = await ws(venue, **settings)
        good = Latency()
        for event, hook in hooks:
            overlay.add_hook(event, hook)
        overlay.add_hook("on_trades", good.on_trades)
        for sign in (1, -1):
            await trader.create_limit_order((300_000 - sign * 20) / 100, sign * 90)
        await trader.flush()
        await asyncio.sleep(seconds)
        stats = {stat.name.rpartition(".")[2]: stat for stat in overlay.hook_stats}
        assert overlay.book().is_valid
        assert overlay.connects == 1
        return overlay, good, stats, own_trades(venue)


async def test_hooks_that_raise_are_counted_and_named(dealer, ws, caplog):
    hooks = [("on_trades", raising_hook), ("on_trades", exiting_hook)]
    hooks += [("on_trades", cancelling_hook), ("on_book", raising_hook)]
    overlay, good, stats, true = await traded(dealer, ws, hooks, 2.0)
    assert len(good.told) >= len(true) - 4
    assert set(good.told.values()) == {1}
    assert good.percentile(0.95) < LATENCY_S
    for name in ("raising_hook", "exiting_hook", "cancelling_hook"):
        assert stats[name].failures == stats[name].calls > 5
        assert f"{name} raised" in caplog.text
    assert overlay.hook_failures > 15


async def test_hooks_that_hang_are_cancelled_and_named(dealer, ws, caplog):
    hooks = [("on_trades", hanging_hook), ("on_orders", hanging_hook)]
    hooks += [("on_trades", stubborn_hook)]
    _, good, stats, true = await traded(dealer, ws, hooks, 2.5, hook_timeout=0.3)
    assert len(good.told) >= len(true) - 4
    assert good.percentile(0.95) < LATENCY_S
    assert stats["hanging_hook"].timeouts >= 1
    assert stats["stubborn_hook"].timeouts == 1
    assert stats["stubborn_hook"].waiting > 10
    assert "on_trades hanging_hook was cancelled" in caplog.text
    assert "stubborn_hook goes on" in caplog.text


async def test_a_hook_that_blocks_the_loop_is_shown_with_its_stack(dealer, ws, caplog):
    caplog.set_level(logging.INFO)
    blocking = Blocking()
    hooks = [("on_book", blocking.blocking_hook)]
    _, good, stats, true = await traded(dealer, ws, hooks, 4.0)
    assert len(good.told) >= len(true) - 4
    assert set(good.told.values()) == {1}
    # What came while the loop stood still is late; what came after it is not.
    assert good.percentile(0.5) < LATENCY_S
    assert good.late[-1] < LATENCY_S
    slow = stats["blocking_hook"]
    assert slow.slow == 1
    assert BLOCK_S <= slow.longest_s < BLOCK_S + 0.5
    assert "blocking_hook held the event loop for 1." in caplog.text
    blocked = [m for m in caplog.messages if "has been blocked" in m]
    assert any(" in blocking_hook" in stack for stack in blocked)


async def test_a_slow_hook_gets_every_fill_all_the_same(dealer, ws, eventually):
    told = []

    async def slow_hook(rows):
        await asyncio.sleep(0.05)
        told.extend(row["trade_id"] for row in rows)

    market = HeavyMarket(10_000)
    async with Venue(seed=1, flow=market) as venue:
        trader, overlay = await dealer(venue), await ws(venue)
        overlay.add_hook("on_trades", slow_hook)
        good = Latency()
        overlay.add_hook("on_trades", good.on_trades)
        for sign in (1, -1):
            await trader.create_limit_order((300_000 - sign * 20) / 100, sign * 90)
        await trader.flush()
        await asyncio.sleep(2)
        market.trades = False
        await eventually(lambda: len(told) == len(own_trades(venue)))
        assert told == own_trades(venue)
        judge_fills(good, venue)
