"""P3: an executed order that no list has yet is not called dead while lists may lag.

In virtual time. The lists of orders say nothing of an order for a while after the
exchange has shown its transaction as executed; the ledger knows the truth.
"""

from __future__ import annotations

import asyncio
import dataclasses
from functools import partial

import pytest

from tests.promises.places import in_process, trader_at
from wrappy._core.receipts import LISTS_LAG_S
from wrappy.model import OrderStatus, ReceiptStage
from wrappy.runner.virtual_time import run_virtual

LISTS = ("/api/v1/accountActiveOrders", "/api/v1/accountInactiveOrders")
ROUND_S = 2.0
"""From one round of questions to the next, and what they take."""


def lagging(exchange, lag_s):
    """Return an environment whose lists of orders are empty for a while."""
    native = exchange.environment
    until = asyncio.get_running_loop().time() + lag_s

    class Rest:
        def __init__(self, inner):
            self.post_form, self.aclose = inner.post_form, inner.aclose
            self._inner = inner

        async def get(self, path, params=None, *, token=None):
            answer = await self._inner.get(path, params, token=token)
            if path in LISTS and asyncio.get_running_loop().time() < until:
                return {"code": 200, "orders": []}
            return answer

    return dataclasses.replace(
        native,
        open_rest=lambda *given, **named: Rest(native.open_rest(*given, **named)),
    )


async def settled(state, kind, lag_s):
    loop = asyncio.get_running_loop()
    async with in_process() as exchange:
        environment = lagging(exchange, lag_s)
        # A long life, so that nothing else ends the order meanwhile.
        lives = {"maker_lifetime_ms": 60_000, "taker_lifetime_ms": 60_000}
        async with await trader_at(
            exchange, state, keys=1, environment=environment, **lives
        ) as trader:
            began = loop.time()
            if kind == "taker":
                await trader.create_market_order(0.05, 3000, client_order_index=1)
            else:
                await trader.create_limit_order(2800, 0.05, client_order_index=1)
                await trader.flush()
            receipt = await trader.wait_settled(1, 100.0)
            (order,) = exchange.ledger.orders()
            return receipt, order.status, loop.time() - began


@pytest.mark.parametrize("kind", ["taker", "maker"])
@pytest.mark.parametrize("lag_s", [0.0, 3.0, LISTS_LAG_S - ROUND_S])
def test_it_is_told_as_executed_once_the_lists_have_it(tmp_path, kind, lag_s):
    receipt, status, took_s = run_virtual(partial(settled, tmp_path, kind, lag_s))
    assert receipt.stage is ReceiptStage.EXECUTED
    assert receipt.status is OrderStatus(status.split("-")[0])
    assert lag_s <= took_s <= lag_s + 2 * ROUND_S


@pytest.mark.parametrize("kind", ["taker", "maker"])
def test_beyond_any_lag_it_has_left_no_trace(tmp_path, kind):
    receipt, _status, took_s = run_virtual(partial(settled, tmp_path, kind, 99.0))
    assert receipt.stage is ReceiptStage.REJECTED
    assert receipt.reason == "executed without leaving an order"
    assert LISTS_LAG_S <= took_s <= LISTS_LAG_S + 2 * ROUND_S
