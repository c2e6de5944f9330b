"""P18, the guard's half: after a blocked event loop nothing grows before data is fresh.

The hooks' half, and that a block is told with its stack, is in `test_p18_hooks`.
"""

from __future__ import annotations

import time

import pytest

from wrappy import RiskDeniedError
from wrappy.lighter.risk_desk import TradingState
from wrappy.runner.risk import AccountGuard, RiskLimits
from wrappy.runner.worlds.world import World

BLOCKED_S = 2.2


async def test_a_loop_blocked_for_two_seconds_makes_the_guard_reduce_until_fresh(
    quiet_venue, dealer, ws, config_for, eventually
):
    trader, overlay = await dealer(quiet_venue), await ws(quiet_venue)
    detach = overlay.attach(trader)
    guard = AccountGuard(RiskLimits())
    await guard.start(World(name="venue", config=config_for(quiet_venue)))
    end = await guard.watch(trader, overlay)
    try:
        await eventually(lambda: guard.state is TradingState.ACTIVE)
        await trader.create_limit_order(1_000, 0.1)
        # A strategy that computes too long; the block itself is what is tested.
        time.sleep(BLOCKED_S)
        with pytest.raises(RiskDeniedError, match="the loop stood still for 2"):
            await trader.create_limit_order(1_000, 0.1)
        assert guard.state is TradingState.REDUCING
        await trader.cancel_all_orders()
        await eventually(lambda: guard.state is TradingState.ACTIVE)
        await trader.create_limit_order(1_000, 0.1)
    finally:
        end()
        detach()
        await guard.aclose()
