"""P4: after a nonce that is not the exchange's, the next transaction is accepted.

One refused transaction for each cause at most, two more questions, no restart. Counted
by the venue's ledger and at the client's own door.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

import pytest

from tests.promises.places import Watched, in_process, trader_at
from wrappy import NonceRejectedError, SendOutcomeUnknownError
from wrappy.model import ReceiptStage
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule

INVALID_NONCE = 21104
SENDS = ("/api/v1/sendTx", "jsonapi/sendtx")
SEND = "/api/v1/sendTx*"
MOST_QUESTIONS = 2
MINUTE_S = 61.0


class Trader:
    """A dealer with one key, and what leaves it and what is refused."""

    def __init__(self, exchange, dealer, watched):
        self.exchange, self.dealer, self.watched = exchange, dealer, watched
        self.placed = []

    async def place(self):
        order = await self.dealer.create_limit_order(2900 - len(self.placed), 0.05)
        self.placed.append(order["client_order_index"])
        await self.dealer.flush()

    async def place_in_the_end(self):
        """Place one order, and flush until it is out; return how often."""
        with contextlib.suppress(NonceRejectedError, SendOutcomeUnknownError):
            await self.place()
            return 1
        await self.dealer.flush()
        return 2

    def refused(self):
        return [tx.code for tx in self.exchange.ledger.refused()]

    def there(self):
        accepted = self.exchange.ledger.accepted()
        return [tx.info["ClientOrderIndex"] for tx in accepted]

    def questions(self, since):
        return [path for path in self.watched.since(since) if path not in SENDS]


@contextlib.asynccontextmanager
async def trading(state, **changes):
    async with in_process() as exchange:
        watched = Watched(exchange)
        dealer = await trader_at(
            exchange, state, keys=1, environment=watched.environment, **changes
        )
        async with dealer:
            trader = Trader(exchange, dealer, watched)
            await trader.place()
            yield trader


@pytest.mark.parametrize("use_websocket", [False, True])
@pytest.mark.parametrize("count", [1, 7, 400])
def test_nonces_spent_elsewhere_cost_one_refusal_and_two_questions(
    tmp_path, count, use_websocket
):
    async def main():
        async with trading(tmp_path, use_websocket=use_websocket) as trader:
            trader.exchange.faults.add(
                FaultRule(act="bump_nonce", count=count, account=123456, times=1)
            )
            since = asyncio.get_running_loop().time()
            assert await trader.place_in_the_end() == 2
            assert trader.exchange.faults.counts()[0].firings == 1
            assert trader.refused() == [INVALID_NONCE]
            assert len(trader.questions(since)) <= MOST_QUESTIONS
            since = asyncio.get_running_loop().time()
            await trader.place()
            assert trader.there() == trader.placed
            assert trader.questions(since) == []
            assert trader.refused() == [INVALID_NONCE]

    run_virtual(main)


@pytest.mark.parametrize("use_websocket", [False, True])
@pytest.mark.parametrize("phase", ["request", "reply"])
def test_a_lost_message_costs_one_refused_copy_and_two_questions(
    tmp_path, phase, use_websocket
):
    async def main():
        async with trading(tmp_path, use_websocket=use_websocket) as trader:
            rule = {"act": "drop", "phase": phase, "times": 1}
            path = "jsonapi/*" if use_websocket else SEND
            trader.exchange.faults.add(FaultRule(path=path, **rule))
            since = asyncio.get_running_loop().time()
            assert await trader.place_in_the_end() == 2
            assert trader.exchange.faults.counts()[0].firings == 1
            # The copy of a transaction that had arrived is refused, and only that.
            assert trader.refused() == [INVALID_NONCE] * (phase == "reply")
            assert len(trader.questions(since)) <= MOST_QUESTIONS
            await trader.place()
            assert trader.there() == trader.placed
            assert len(trader.refused()) <= 1

    run_virtual(main)


def test_cause_after_cause_each_costs_one_refusal_and_nothing_needs_a_restart(tmp_path):
    causes = 12

    async def main():
        async with trading(tmp_path) as trader:
            rules = [
                FaultRule(act="bump_nonce", account=123456, times=1),
                FaultRule(act="drop", phase="reply", path=SEND, times=1),
            ]
            for cause in range(causes):
                trader.exchange.faults.add(rules[cause % 2])
                await trader.place_in_the_end()
                await trader.place()
                assert trader.there() == trader.placed
                assert len(trader.refused()) <= cause + 1
                # Twice within a minute would be a second writer: that is P5.
                await asyncio.sleep(MINUTE_S)
            fired = [count.firings for count in trader.exchange.faults.counts()]
            assert fired == [1] * causes

    run_virtual(main)


def test_a_counter_that_cannot_be_read_never_becomes_nonce_zero(tmp_path):
    async def main(answer):
        async with trading(tmp_path) as trader:
            trader.exchange.faults.add(
                FaultRule(act="bump_nonce", account=123456, times=1)
            )
            trader.exchange.faults.add(
                FaultRule(path="/api/v1/nextNonce", times=3, **answer)
            )
            for _ in range(30):
                with contextlib.suppress(NonceRejectedError, SendOutcomeUnknownError):
                    await trader.place()
                    break
                await asyncio.sleep(1)
            await trader.dealer.flush()
            assert trader.exchange.faults.counts()[1].firings == 3
            while trader.dealer.orders.unknown():
                await asyncio.sleep(0.1)
            # The refused one may be given up, if so with the truth; the last one is in.
            for coi in trader.placed:
                dead = trader.dealer.receipt(coi).stage is ReceiptStage.REJECTED
                assert dead == (coi not in trader.there())
            assert trader.placed[-1] == trader.there()[-1]
            assert {tx.nonce for tx in trader.exchange.ledger.refused()} == {2}

    for answer in (
        {"act": "status", "code": 500},
        {"act": "garbage", "phase": "reply"},
        {"act": "drop", "phase": "reply"},
    ):
        run_virtual(partial(main, answer))
