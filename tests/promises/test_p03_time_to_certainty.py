"""P3: a doubt ends two seconds after the transaction's own end, once reads answer.

A transaction may wait five seconds for execution if it takes, ten if it rests. In
virtual time, so the bounds are exact.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

import pytest

from tests.promises.places import in_process, trader_at
from tests.promises.storm import LOSSES, TIMEOUT_S, blocks
from wrappy import LaneHeldError, SendOutcomeUnknownError
from wrappy.model import OrderStatus, ReceiptStage
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule

AFTER_S = 2.0
LIVES_S = {"taker": 5.0, "maker": 10.0}
READS = ("/api/v1/nextNonce", "/api/v1/tx", "/")


async def doubt(state, kind, faults, *, reads_back_s, use_websocket):
    """Lose what is sent; return when it left, when that was known, and the end."""
    loop = asyncio.get_running_loop()
    moments = []
    async with in_process() as exchange:
        config = {"request_timeout_s": TIMEOUT_S, "use_websocket": use_websocket}
        async with await trader_at(exchange, state, keys=1, **config) as trader:
            await trader.create_limit_order(2800, 0.05)
            await trader.flush()  # the counter is known from here on
            for rule in faults:
                exchange.faults.add(rule)
            blind = [
                exchange.faults.add(FaultRule(act="drop", phase="reply", path=path))
                for path in READS
                if reads_back_s
            ]

            def hear(record):
                now = loop.time()
                if record.status is OrderStatus.UNKNOWN:
                    assert trader.receipt(1).stage is ReceiptStage.UNKNOWN
                    # It counts as live, for the exposure it may be.
                    assert record in trader.orders.live()
                elif moments:
                    moments.append(now)

            trader.orders.tell(hear)
            moments.append(loop.time())
            if kind == "taker":
                sending = trader.create_market_order(0.05, 3000, client_order_index=1)
            else:
                await trader.create_limit_order(2900, 0.05, client_order_index=1)
                sending = trader.flush()
            with pytest.raises(SendOutcomeUnknownError):
                await sending
            await asyncio.sleep(reads_back_s)
            assert not reads_back_s or trader.orders.unknown()
            for handle in blind:
                exchange.faults.remove(handle)
            seeing_at = loop.time()
            while trader.orders.unknown():
                await asyncio.sleep(0.01)
            certain_at, end = loop.time(), trader.receipt(1)
            fired = [count.firings for count in exchange.faults.counts()]
            assert fired[0], "nothing was lost"
            there = len(exchange.ledger.accepted()) - 1
    return moments[0], seeing_at, certain_at, end, there


LOST = {
    "every request": [FaultRule(act="drop", path="/api/v1/sendTx*")],
    "every answer": [FaultRule(act="drop", phase="reply", path="/api/v1/sendTx*")],
    "every request, over the socket": [
        FaultRule(act="drop", path="jsonapi/*"),
        FaultRule(act="drop", path="/api/v1/sendTx*"),
    ],
    "late beyond its end": [
        FaultRule(act="delay", delay_ms=60_000, path="/api/v1/sendTx*")
    ],
    "into a void": [FaultRule(act="stall", path="/api/v1/sendTx*")],
}


@pytest.mark.parametrize("kind", LIVES_S)
@pytest.mark.parametrize("lost", LOST)
def test_while_reads_answer_a_doubt_ends_with_the_transactions_own_life(
    tmp_path, lost, kind
):
    began, _, certain, end, there = run_virtual(
        partial(
            doubt,
            *(tmp_path, kind, LOST[lost]),
            reads_back_s=0.0,
            use_websocket="socket" in lost,
        )
    )
    assert certain - began <= LIVES_S[kind] + AFTER_S
    assert (end.stage is not ReceiptStage.REJECTED) == bool(there)


@pytest.mark.parametrize("kind", LIVES_S)
@pytest.mark.parametrize("blind_s", [3.0, 30.0, 300.0])
def test_while_nothing_answers_it_stays_unknown_and_ends_when_reads_are_back(
    tmp_path, kind, blind_s
):
    began, seeing, certain, end, there = run_virtual(
        partial(
            doubt,
            *(tmp_path, kind, LOST["every request"]),
            reads_back_s=blind_s,
            use_websocket=False,
        )
    )
    over = max(began + LIVES_S[kind], seeing)
    # A question that nobody answered is asked again after seconds, not at once.
    asked_again_s = 1.0 + TIMEOUT_S if seeing > began + LIVES_S[kind] else 0.0
    assert certain <= over + AFTER_S + asked_again_s
    assert end.stage is ReceiptStage.REJECTED
    assert not there


@pytest.mark.parametrize("loss", LOSSES)
def test_in_a_storm_every_doubt_ends_soon_after_it(storm_of, loss):
    # What was asked while it raged, and a copy sent through a socket that still holds
    # back what the storm delayed, are waited for until their time is out.
    bound_s = LIVES_S["maker"] + AFTER_S + 2 * TIMEOUT_S
    for block in list(blocks())[:: max(1, len(blocks()) // 4)]:
        longest = max(row["certain_after_s"] for row in storm_of(block, loss))
        assert 0.0 < longest <= bound_s


def test_the_next_order_waits_no_longer_than_that(tmp_path):
    async def main():
        loop = asyncio.get_running_loop()
        async with (
            in_process() as exchange,
            await trader_at(exchange, tmp_path) as trader,
        ):
            lost = exchange.faults.add(LOST["every request"][0])
            began = loop.time()
            await trader.create_limit_order(2900, 0.05)
            with pytest.raises(SendOutcomeUnknownError):
                await trader.flush()
            exchange.faults.remove(lost)
            await trader.create_limit_order(2901, 0.05)
            sent = 0
            while not sent:
                with contextlib.suppress(LaneHeldError):
                    sent = (await trader.flush())["count"]
            assert loop.time() - began <= LIVES_S["maker"] + AFTER_S
            assert len(exchange.ledger.accepted()) == 2

    run_virtual(main)
