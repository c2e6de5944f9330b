"""The exchange kills the socket every five seconds, and the market does not wait."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.promises.places import in_process, trader_at
from tests.promises.streams import (
    MIDDLE,
    OURS,
    HeavyMarket,
    Witness,
    fired,
    judge_fills,
    judge_orders,
    overlay_at,
    shown_depth,
    true_depth,
)
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule, Venue

pytestmark = pytest.mark.slow

SPAN_S = 120
CALM_S = 20
TRIES = 5
KILL = FaultRule(act="close", phase="tick", code=1006, after_ms=5_000)


class Quoter:
    """Keeps two large orders before all others, and small ones that come and go.

    Attributes:
        orders: every order it has sent, by number.
    """

    def __init__(self, trader):
        self.orders = []
        self._trader = trader
        self._resting = []

    async def stand(self):
        """Place what the takers will meet."""
        for sign in (1, -1):
            price = (MIDDLE - sign * OURS) / 100
            await self._place(price, sign * 50)
        await self._trader.flush()

    async def quote(self, rounds, pause_s):
        """Place two small orders and cancel the two before, again and again."""
        for _ in range(rounds):
            for coi in self._resting:
                await self._trader.cancel_order_by_coi(coi)
            self._resting = [
                await self._place((MIDDLE - sign * 900) / 100, sign * 0.01)
                for sign in (1, -1)
            ]
            await self._trader.flush()
            await asyncio.sleep(pause_s)

    async def _place(self, price, size):
        queued = await self._trader.create_limit_order(price, size)
        self.orders.append(queued["client_order_index"])
        return self.orders[-1]


async def calm(market, overlay, engine, pause_s):
    """Let everybody rest, and hold the book against the exchange's own."""
    market.moves = market.trades = False
    await asyncio.sleep(pause_s)
    for _ in range(TRIES):
        await overlay.ready(60)
        await asyncio.sleep(0.2)  # a batch of changes is 50 ms, and travels
        if overlay.book().is_valid:  # or it was killed right now
            break
    assert shown_depth(overlay) == true_depth(engine)
    market.moves = market.trades = True


async def killed(state, tier):
    market = HeavyMarket()
    async with in_process(flow=market, tier=tier) as exchange:
        trader = await trader_at(exchange, state, ip_weight_per_minute=10_000_000)
        overlay = await overlay_at(
            exchange, environment=exchange.environment, ready_timeout=60.0
        )
        async with trader, overlay:
            witness, quoter = Witness(overlay), Quoter(trader)
            await quoter.stand()
            kill = exchange.faults.add(KILL)
            for _ in range(SPAN_S // CALM_S):
                await quoter.quote(CALM_S, 1.0)
                await calm(market, overlay, exchange.engine, 2.0)
            assert exchange.faults.fired(kill) >= SPAN_S // 10
            exchange.faults.remove(kill)
            market.moves = market.trades = False
            await asyncio.sleep(15)
            await overlay.ready(60)
            await asyncio.sleep(5)
            judge_fills(witness, exchange)
            await judge_orders(overlay, quoter.orders, exchange)
            assert not witness.untrue
            assert set(overlay.positions) == {"ETH"} or not overlay.positions
            return exchange.faults, overlay.connects


@pytest.mark.parametrize("tier", ["premium", "standard"])
def test_two_minutes_of_killed_sockets_lose_no_fill_and_leave_no_ghost(tmp_path, tier):
    logging.disable(logging.WARNING)
    try:
        run_virtual(lambda: killed(tmp_path, tier))
    finally:
        logging.disable(logging.NOTSET)


async def test_ten_seconds_of_killed_sockets_lose_no_fill(
    dealer, ws, eventually, caplog
):
    caplog.set_level(logging.ERROR)
    market = HeavyMarket()
    async with Venue(seed=1, flow=market) as venue:
        trader = await dealer(venue, ip_weight_per_minute=10_000_000)
        overlay = await ws(venue)
        witness, quoter = Witness(overlay), Quoter(trader)
        await quoter.stand()
        kill = venue.faults.add(
            FaultRule(act="close", phase="tick", code=1006, after_ms=2_000)
        )
        for _ in range(3):
            await quoter.quote(10, 0.25)
            await calm(market, overlay, venue, 0.3)
        assert venue.faults.fired(kill) >= 3
        assert fired(venue, "close") >= 3
        venue.faults.remove(kill)
        market.moves = market.trades = False
        await overlay.ready(60)
        account = venue.accounts[0].account_index
        await eventually(
            lambda: len(witness.told) == len(venue.ledger.trades(account)), 10.0
        )
        judge_fills(witness, venue)
        await judge_orders(overlay, quoter.orders, venue)
        assert not witness.untrue
