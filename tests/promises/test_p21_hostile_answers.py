"""P21: whatever bytes come, nothing breaks, nothing is sent, no nonce is lost.

The bytes stand in the place of true answers and of true frames. Only exceptions of
ours may come out, and afterwards the next order is accepted as if nothing had been.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
from collections import Counter
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.promises.hostile import bends, bodies, nothing_unforeseen, often, statuses
from tests.promises.places import config_at, in_process, trader_at
from wrappy import LighterDealer, WrappyError
from wrappy.lighter.wire.transport import read_body
from wrappy.runner.virtual_time import run_virtual

UNCLEAR = (200, 201, 500, 502)


@dataclasses.dataclass
class Liar:
    """Puts other bytes in the place of the next answers.

    Attributes:
        lies: status and body of the next answers, or what bends a true one.
        passes: whether the requests reach the exchange all the same.
        told: how many lies were told.
    """

    lies: list = dataclasses.field(default_factory=list)
    passes: bool = False
    told: int = 0

    def around(self, exchange):
        native = exchange.environment

        def open_rest(*given, **named):
            return _Rest(native.open_rest(*given, **named), self)

        return dataclasses.replace(native, open_rest=open_rest)


class _Rest:
    def __init__(self, inner, liar):
        self._inner, self._liar = inner, liar

    async def get(self, path, params=None, *, token=None):
        asking = partial(self._inner.get, path, params, token=token)
        return await self._answer(path, asking)

    async def post_form(self, path, form):
        return await self._answer(path, partial(self._inner.post_form, path, form))

    async def aclose(self):
        await self._inner.aclose()

    async def _answer(self, path, ask):
        liar = self._liar
        if not liar.lies:
            return await ask()
        liar.told += 1
        lie = liar.lies.pop(0)
        if callable(lie):
            body = lie(json.dumps(await ask()).encode())
            return read_body(body, status=200, endpoint=path)
        status, body = lie
        if liar.passes:
            # A refusal in the words of HTTP is no riddle, so that it is not given
            # to what was carried out.
            status = status if status in UNCLEAR else 200
            with contextlib.suppress(WrappyError):
                await ask()
        return read_body(body, status=status, endpoint=path)


ACTIONS = {
    "flush": lambda trader: trader.flush(),
    "market": lambda trader: trader.create_market_order(0.05, 3000),
    "cancel all": lambda trader: trader.cancel_all_orders(),
    "open orders": lambda trader: trader.fetch_open_orders(everywhere=True),
    "ended orders": lambda trader: trader.fetch_ended_orders(),
    "an order": lambda trader: trader.fetch_order(7),
    "trades": lambda trader: trader.fetch_my_trades(),
    "balance": lambda trader: trader.fetch_my_balance(),
    "position": lambda trader: trader.fetch_my_position(),
    "positions": lambda trader: trader.fetch_positions(),
    "close": lambda trader: trader.close_position(),
    "leverage": lambda trader: trader.set_leverage(5),
    "schedule": lambda trader: trader.schedule_cancel_all(600),
    "a book": lambda trader: trader.create_market_order(0.05),
}


async def lied_to(state, action, lies, *, passes):
    """Do something while answers lie, then trade on; return the ledger."""
    liar = Liar(passes=passes)
    async with in_process() as exchange:
        loop = asyncio.get_running_loop()
        with nothing_unforeseen(loop):
            around = liar.around(exchange)
            async with await trader_at(
                exchange, state, keys=1, environment=around, request_timeout_s=2.0
            ) as trader:
                asked = [1, 2]
                await trader.create_limit_order(2900, 0.05, client_order_index=1)
                await trader.flush()
                await trader.create_limit_order(2901, 0.05, client_order_index=2)
                liar.lies = list(lies)
                before = len(exchange.ledger.accepted())
                with contextlib.suppress(WrappyError):
                    await ACTIONS[action](trader)
                if action not in ("flush", "market", "cancel all", "close", "leverage"):
                    most = 2 if action in ("schedule", "a book") else 0
                    assert len(exchange.ledger.accepted()) <= before + most
                liar.lies.clear()
                asked += await trade_on(trader)
                judge(exchange.ledger, asked, trader)


async def trade_on(trader):
    """Place one more order; it must be accepted."""
    await asyncio.sleep(65)  # the lie may have been a throttle
    tries = 0
    while True:
        tries += 1
        assert tries < 20, "the lane is broken"
        try:
            await trader.flush()
            break
        except WrappyError:
            await asyncio.sleep(5)
    placed = await trader.create_limit_order(2902, 0.05, client_order_index=3)
    await trader.flush()
    return [placed["client_order_index"]]


def judge(ledger, asked, trader):
    created = Counter(
        tx.info["ClientOrderIndex"] for tx in ledger.accepted() if tx.tx_type == 14
    )
    assert max(created.values()) == 1, "an order was doubled"
    assert created[3] == 1, "the next order was accepted"
    nonces = [tx.nonce for tx in ledger.accepted()]
    assert nonces == list(range(1, len(nonces) + 1))
    for coi in asked:
        receipt = trader.receipt(coi)
        if receipt.stage.value in ("accepted", "executed"):
            assert created[coi] == 1
        if receipt.stage.value == "not_sent":
            assert not created[coi]


@pytest.mark.parametrize("action", ACTIONS)
@often(40)
@given(
    lies=st.lists(st.tuples(statuses, bodies) | bends(), min_size=1, max_size=4),
    passes=st.booleans(),
)
def test_an_answer_that_lies_breaks_nothing(tmp_path, action, lies, passes):
    logging.disable(logging.CRITICAL)
    try:
        run_virtual(partial(lied_to, tmp_path, action, lies, passes=passes))
    finally:
        logging.disable(logging.NOTSET)


@often(100)
@given(skipped=st.integers(0, 6), lie=st.tuples(statuses, bodies) | bends())
def test_a_start_among_lies_fails_as_one_of_ours_or_not_at_all(tmp_path, skipped, lie):
    async def main():
        async with in_process() as exchange:
            liar = Liar()
            around = liar.around(exchange)
            config = config_at(exchange, tmp_path, symbol="ETH")
            truth = [None] * skipped

            class Late(list):
                """Lies from the answer after the skipped ones on."""

                def __bool__(self):
                    return not (truth and [truth.pop()]) and bool(len(self))

            liar.lies = Late([lie])
            with contextlib.suppress(WrappyError):
                trader = await LighterDealer.create(config, environment=around)
                await trader.aclose()
            liar.lies = []
            trader = await LighterDealer.create(config, environment=around)
            await trader.create_limit_order(2902, 0.05)
            await trader.flush()
            assert [tx.nonce for tx in exchange.ledger.accepted()] == [1]
            await trader.aclose()

    run_virtual(main)
