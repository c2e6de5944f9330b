"""Volume quota and order caps of an account, waited for and counted by its dealers."""

from __future__ import annotations

import asyncio
import logging

import pytest

from wrappy import RateLimitedError, SignerError, UsageError
from wrappy._core.batch import Queued
from wrappy._core.orders import OrderEvent
from wrappy.errors import SendOutcomeUnknownError
from wrappy.lighter.config import DealerConfig
from wrappy.lighter.sending.allowance import AccountAllowance, one_by_one
from wrappy.lighter.sending.outbox import Outbox
from wrappy.lighter.sending.sender import Sent
from wrappy.lighter.wire.doors import SendReply
from wrappy.protocol.codes import error_for
from wrappy.protocol.intents import (
    CancelAllOrders,
    CancelOrder,
    CreateGroupedOrders,
    CreateOrder,
    ModifyOrder,
    SignedTx,
    UpdateLeverage,
)
from wrappy.protocol.tiers import QUOTA_EXHAUSTED_WORDS, TIERS, tier_of
from wrappy.runner.virtual_time import run_virtual

LOG = logging.getLogger("LighterDealer.tx")
PREMIUM, STANDARD = TIERS["premium"], TIERS["standard"]


def order(coi, **changes):
    return CreateOrder(0, coi, 500, 100_000, is_ask=False, **changes)


def entry(intent, touches=None, *, is_cancel=False):
    return Queued(intent, touches, is_cancel)


def create(coi):
    return Queued(order(coi), coi, is_cancel=False, also=(coi,))


def cancel(coi):
    return entry(CancelOrder(0, coi), coi, is_cancel=True)


class Exchange:
    """Takes what it has quota for, one in 15 s free; or does as it is told."""

    depth = 1
    crowded = False

    def __init__(self, left=1_000):
        self.left = left
        self.free_at = 0.0
        self.sent = []
        self.errors = []
        self.held = None

    def ended(self, tx_hash):
        pass

    async def settle(self):
        pass

    async def aclose(self):
        pass

    async def send(self, entries, listeners, **_):
        going = tuple(listeners.admit(entries))
        if not going:
            return Sent((), (), None)
        if self.held is not None:
            await self.held.wait()
        if self.errors:
            error = self.errors.pop(0)
            if isinstance(error, SendOutcomeUnknownError):
                listeners.on_lost(going, ["00"] * len(going))
            raise error
        now = asyncio.get_running_loop().time()
        spends = sum(e.intent.tx_type in {14, 16, 17, 28} for e in going)
        left = None
        if spends == 1 == len(going) and now >= self.free_at:
            self.free_at = now + 15.0
        elif spends > self.left:
            raise error_for(
                23000, QUOTA_EXHAUSTED_WORDS, endpoint="sendTx", http_status=429
            )
        else:
            self.left -= spends
            left = self.left
        self.sent.append((round(now, 1), [e.intent for e in going]))
        txs = tuple(
            SignedTx(int(e.intent.tx_type), "{}", f"{len(self.sent)}-{n}", n, 0, 5, 4)
            for n, e in enumerate(going)
        )
        return Sent(
            going, txs, SendReply(tuple(tx.tx_hash for tx in txs), None, left, "")
        )


class Desk:
    def __init__(self, left=1_000, **settings):
        self.allowance = AccountAllowance()
        self.exchange = Exchange(left)
        config = DealerConfig(max_ws_batch=15, **settings)
        self.outbox = Outbox(config, [self.exchange], LOG, self.allowance)

    def create(self, *cois):
        for coi in cois:
            self.outbox.put(order(coi), touches=coi, is_cancel=False)

    def cancel(self, *cois):
        for coi in cois:
            self.outbox.put(CancelOrder(0, coi), touches=coi, is_cancel=True)

    @property
    def at(self):
        """When each send went, and how much it carried."""
        return [(at, len(intents)) for at, intents in self.exchange.sent]


# -------------------------------------------------------------------- volume quota


async def test_what_the_exchange_tells_is_shown_and_a_refusal_is_given_back():
    desk = Desk(left=40)
    desk.create(1, 2)
    await desk.outbox.flush()
    assert desk.allowance.quota.left == 38
    desk.create(3)
    desk.exchange.errors.append(SignerError("no library"))
    with pytest.raises(SignerError):
        await desk.outbox.flush()
    assert desk.allowance.quota.left == 38


async def test_a_lost_answer_counts_as_spent():
    desk = Desk(left=40)
    desk.create(1, 2)
    await desk.outbox.flush()
    desk.create(3)
    desk.exchange.errors.append(SendOutcomeUnknownError([3], ["00"]))
    with pytest.raises(SendOutcomeUnknownError):
        await desk.outbox.flush()
    assert desk.allowance.quota.left == 37


async def test_a_dry_run_spends_nothing():
    desk = Desk()

    async def kept_back(entries, listeners, **_):
        tx = SignedTx(14, "{}", "00", 1, 0, 5, 4)
        return Sent(tuple(listeners.admit(entries)), (tx,), None)

    desk.allowance.quota.answered(0, 5)
    desk.exchange.send = kept_back
    desk.create(1)
    await desk.outbox.flush()
    assert desk.allowance.quota.left == 5


async def test_a_refusal_for_want_of_quota_leaves_everything_queued():
    desk = Desk(left=0)
    desk.create(1, 2)
    with pytest.raises(RateLimitedError) as refused:
        await desk.outbox.flush()
    assert refused.value.volume_quota
    assert refused.value.message == QUOTA_EXHAUSTED_WORDS
    assert len(desk.outbox) == 2
    assert desk.allowance.quota.left == 0


def test_without_quota_a_batch_goes_apart_and_each_order_waits_for_its_slot():
    async def scenario():
        desk = Desk(left=2)
        desk.create(1, 2)
        await desk.outbox.flush()
        began = asyncio.get_running_loop().time()
        desk.create(3, 4, 5)
        desk.cancel(1, 2)
        result = await desk.outbox.flush()
        assert result["client_order_indices"] == [1, 2, 3, 4, 5]
        waits = [(at - began, count) for at, count in desk.at[1:]]
        # The first is free at once, since no single send has gone for long.
        assert [count for _, count in waits] == [2, 1, 1, 1]
        assert [wait for wait, _ in waits] == pytest.approx([0, 0, 15, 30], abs=0.2)
        assert not desk.exchange.errors

    run_virtual(scenario)


def test_cancels_pass_orders_that_wait_for_quota():
    async def scenario():
        desk = Desk(left=2)
        desk.create(1, 2)
        await desk.outbox.flush()
        desk.create(3, 4)
        waiting = asyncio.create_task(desk.outbox.flush())
        await asyncio.sleep(1.0)
        desk.cancel(1)
        await desk.outbox.flush()
        assert [intents for _, intents in desk.exchange.sent[-2:]] == [
            [order(3)],
            [CancelOrder(0, 1)],
        ]
        await waiting
        assert desk.exchange.sent[-1][1] == [order(4)]

    run_virtual(scenario)


def test_a_mass_cancel_takes_the_next_slot_before_orders_that_wait():
    async def scenario():
        desk = Desk(left=1)
        desk.create(1)
        await desk.outbox.flush()
        desk.exchange.left = 0
        desk.allowance.quota.answered(0, 0)
        desk.create(2, 3)
        waiting = asyncio.create_task(desk.outbox.flush())
        await asyncio.sleep(1.0)
        scope = object()
        desk.outbox.put_in(scope, CancelAllOrders(), touches=None, is_cancel=True)
        await desk.outbox.flush(scope)
        await waiting
        assert [intents for _, intents in desk.exchange.sent[1:]] == [
            [CancelAllOrders()],
        ]
        # What waited was queued before the call, so that it does not come after it.
        assert [desk.outbox.orders.get(coi).status.value for coi in (2, 3)] == [
            "rejected",
            "rejected",
        ]

    run_virtual(scenario)


def test_quota_that_is_told_lets_those_who_wait_go():
    async def scenario():
        desk = Desk(left=2)
        desk.create(1, 2)
        await desk.outbox.flush()
        desk.create(3, 4)
        waiting = asyncio.create_task(desk.outbox.flush())
        await asyncio.sleep(1.0)
        desk.exchange.left = 100
        desk.cancel(1)
        await desk.outbox.flush()
        done, _ = await asyncio.wait([waiting], timeout=1.0)
        assert done, "the cancel's answer told of new quota"

    run_virtual(scenario)


def test_a_trade_lets_one_order_try_before_its_time():
    async def scenario():
        desk = Desk(left=1)
        desk.create(1, 2)
        with pytest.raises(RateLimitedError):
            await desk.outbox.flush()
        desk.exchange.left = 100
        desk.outbox.report(
            {
                "client_order_index": 9,
                "order_index": 1 << 50,
                "market_index": 0,
                "is_ask": False,
                "status": "filled",
                "base_price": 100_000,
                "initial_base_amount": "0.0500",
                "filled_base_amount": "0.0500",
                "nonce": 5,
            }
        )
        desk.exchange.free_at = asyncio.get_running_loop().time() + 15.0
        began = asyncio.get_running_loop().time()
        await desk.outbox.flush()
        assert asyncio.get_running_loop().time() - began < 1.0
        assert desk.allowance.quota.left == 98

    run_virtual(scenario)


def test_closing_ends_the_wait_for_quota_and_nothing_leaves():
    async def scenario():
        desk = Desk(left=2)
        desk.create(1, 2)
        await desk.outbox.flush()
        desk.create(3, 4, 5)
        waiting = asyncio.create_task(desk.outbox.flush())
        await asyncio.sleep(1.0)
        await desk.outbox.aclose("the dealer was closed")
        with pytest.raises(UsageError, match="closed meanwhile"):
            await waiting
        assert desk.exchange.sent[-1][1] == [order(3)]
        assert desk.outbox.orders.get(5).status.is_terminal

    run_virtual(scenario)


def test_a_wait_for_quota_that_is_cancelled_leaves_the_rest_queued():
    async def scenario():
        desk = Desk(left=2)
        desk.create(1, 2)
        await desk.outbox.flush()
        desk.create(3, 4, 5)
        waiting = asyncio.create_task(desk.outbox.flush())
        await asyncio.sleep(1.0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert len(desk.outbox) == 2
        result = await desk.outbox.flush()
        assert result["client_order_indices"] == [4, 5]

    run_virtual(scenario)


def test_entries_are_taken_apart_in_their_order():
    batch = [
        cancel(1),
        cancel(2),
        create(3),
        entry(ModifyOrder(0, 4, 1, 1), 4),
        entry(UpdateLeverage(0, 500, 0)),
        cancel(3),
        create(5),
    ]
    assert one_by_one(batch) == [
        batch[:2],
        [batch[2]],
        [batch[3]],
        batch[4:6],
        [batch[6]],
    ]


# --------------------------------------------------------------------- order caps


def test_nothing_is_refused_while_the_tier_is_not_known():
    allowance = AccountAllowance()
    many = [order(coi) for coi in range(1, 2_000)]
    assert allowance.refusal(many) is None
    allowance.adopt(tier_of({"user_tier": "whatever"}))
    assert allowance.refusal(many) is None
    allowance.adopt(PREMIUM)
    assert "1000" in allowance.refusal(many)


def test_orders_of_before_the_tier_was_told_count_and_the_numbers_are_named():
    desk = Desk()
    desk.create(*range(1, 31))
    desk.allowance.adopt(STANDARD)
    assert desk.outbox.refusal([order(99)]) == (
        "active orders: 30 on market 0 and 1 more are above the cap of 30 a market; "
        "cancel some first (account tier standard)"
    )
    assert desk.outbox.refusal([CancelOrder(0, 1)]) is None


def test_orders_that_neither_rest_nor_wait_take_no_place():
    desk = Desk()
    desk.allowance.adopt(STANDARD)
    desk.create(*range(1, 31))
    assert desk.outbox.refusal([order(99, time_in_force=0)]) is None
    group = CreateGroupedOrders(
        1, (order(50, time_in_force=0), order(51, order_type=2, time_in_force=0))
    )
    assert desk.outbox.refusal([group]) is None
    desk.outbox.put(group, touches=50, is_cancel=False)
    assert desk.allowance.orders.count(pending=True) == 1
    assert desk.allowance.orders.count() == 30


async def test_only_a_certain_end_gives_the_place_back():
    desk = Desk()
    desk.create(1, 2, 3)
    desk.exchange.errors.append(SendOutcomeUnknownError([1, 2, 3], ["00"]))
    with pytest.raises(SendOutcomeUnknownError):
        await desk.outbox.flush()
    assert desk.allowance.orders.count() == 3, "the unknown may rest"
    desk.outbox.orders.apply(1, OrderEvent.PROVEN_DEAD)
    assert desk.allowance.orders.count() == 2
    desk.outbox.forget(2)
    assert desk.allowance.orders.count() == 1
    desk.outbox.orders.apply(3, OrderEvent.SENT)
    desk.cancel(3)
    await desk.outbox.flush()
    assert desk.allowance.orders.count() == 1, "a cancel that is accepted is no end"


async def test_orders_of_several_dealers_count_once_and_while_somebody_hears_of_them():
    one = Desk()
    two = Outbox(DealerConfig(), [one.exchange], LOG, one.allowance)
    one.create(1, 2)
    await one.outbox.flush()
    row = {
        "client_order_index": 1,
        "order_index": 1 << 50,
        "market_index": 0,
        "is_ask": False,
        "status": "open",
        "base_price": 100_000,
        "initial_base_amount": "0.0500",
        "filled_base_amount": "0.0000",
        "nonce": 5,
    }
    two.report(row)
    two.report({**row, "client_order_index": 9, "status": "pending"})
    assert one.allowance.orders.count() == 2
    assert one.allowance.orders.count(pending=True) == 1
    two.report({**row, "client_order_index": 9, "nonce": 6})
    assert one.allowance.orders.count() == 3, "its trigger was met"
    await one.outbox.aclose("closed")
    assert one.allowance.orders.count() == 2
    two.report({**row, "status": "canceled", "nonce": 7})
    assert one.allowance.orders.count() == 1
