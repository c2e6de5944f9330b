"""Keeping the moments of orders, and asking for those somebody waits for."""

from __future__ import annotations

import asyncio

import pytest

from wrappy import UsageError
from wrappy._core.orders import OrderEvent, OrderTable
from wrappy._core.receipts import TransactionFate, TransactionReport
from wrappy.lighter.asking.reading import report_order
from wrappy.lighter.sending.receipts import Receipts
from wrappy.model import Market, ReceiptStage

COI = 7
NOW_MS = 1_777_941_383_576
MARKET = Market("ETH", 0, 2, 4)


def row(coi=COI, *, updated_at=NOW_MS, market=0):
    return {
        "client_order_index": coi,
        "market_index": market,
        "order_index": coi + (1 << 50),
        "base_price": 100_000,
        "initial_base_amount": "0.0500",
        "nonce": 5,
        "status": "canceled",
        "updated_at": updated_at,
    }


class Account:
    """Answers from a script; endless pages of other orders where it has none.

    What was executed has a reason for leaving no order: nobody waits for lists then.
    """

    def __init__(self, fate="executed", pages=(), *, failure=None):
        self.fate = fate
        self.pages = list(pages)
        self.failure = failure
        self.asked = []

    async def transaction(self, tx_hash):
        self.asked.append(tx_hash)
        if self.failure is not None:
            raise self.failure
        if self.fate is None:
            return None
        reason = "an odd price" if self.fate == "executed" else ""
        return TransactionReport(TransactionFate(self.fate), reason, NOW_MS)

    async def open_orders(self, market_index):
        assert market_index == MARKET.market_id
        self.asked.append("active")
        await asyncio.sleep(0)
        return []

    async def ended_orders(self, cursor=None):
        self.asked.append(cursor or "ended")
        if self.pages:
            return self.pages.pop(0)
        return [row(1, updated_at=NOW_MS)], "more"


@pytest.fixture
async def desk():
    """Return a function that makes receipts over one sent order; closes them."""
    made = []

    def opened(account, table=None, *, tx_hash="aa"):
        orders = OrderTable() if table is None else table
        receipts = Receipts(
            orders,
            account,
            MARKET,
            enter=lambda told: report_order(orders, told),
            quiet_s=0,
            pause_s=0,
        )
        made.append(receipts)
        enter(orders, COI)
        orders.apply(COI, OrderEvent.SENT, tx_hash=tx_hash)
        return orders, receipts

    yield opened
    for receipts in made:
        await receipts.aclose()


def enter(orders, coi):
    orders.queue(coi, market_index=0, is_ask=True, price_ticks=0, base_amount=0)


async def test_an_order_placed_elsewhere_has_no_moment_of_queueing(desk):
    orders, receipts = desk(Account())
    report_order(orders, row(9))
    receipt = receipts.receipt(9)
    assert receipt.queued_at_s is None
    assert receipt.accepted_at_s == receipt.settled_at_s is not None
    unknown_terms = receipts.receipt(COI)
    assert (unknown_terms.price, unknown_terms.size) == (None, None)


async def test_moments_of_forgotten_orders_are_swept(desk):
    orders, receipts = desk(Account(), OrderTable(capacity_terminal=10))
    for coi in range(100, 500):
        enter(orders, coi)
        orders.apply(coi, OrderEvent.DISCARDED)
    assert len(orders) == 11
    assert len(receipts) <= 111
    assert receipts.receipt(COI).queued_at_s is not None
    assert receipts.receipt(100) is None


async def test_an_order_is_found_on_a_later_page(desk):
    others = [row(1), row(COI, market=5)]
    account = Account(pages=[(others, "two"), ([row(COI)], "three")])
    _, receipts = desk(account)
    receipt = await receipts.wait(COI, 5.0)
    assert receipt.stage is ReceiptStage.EXECUTED
    assert account.asked == ["aa", "active", "ended", "two"]


async def test_pages_that_reach_behind_the_order_prove_that_there_is_none(desk):
    page = ([row(1, updated_at=NOW_MS - 100_000)], "more")
    account = Account(pages=[page, page])
    _, receipts = desk(account)
    receipt = await receipts.wait(COI, 5.0)
    assert receipt.stage is ReceiptStage.REJECTED
    assert account.asked == ["aa", "active", "ended"] * 2


async def test_pages_that_do_not_reach_back_prove_nothing(desk):
    account = Account()
    _, receipts = desk(account)
    receipt = await receipts.wait(COI, 0.05)
    assert receipt.stage is ReceiptStage.ACCEPTED
    assert account.asked.count("active") > 2
    assert account.asked.count("more") >= 8


@pytest.mark.parametrize("tx_hash", ["aa", None])
async def test_an_order_without_a_known_transaction_is_never_concluded_gone(
    desk, tx_hash
):
    account = Account(None, pages=[([], None)] * 1000)
    _, receipts = desk(account, tx_hash=tx_hash)
    receipt = await receipts.wait(COI, 0.05)
    assert receipt.stage is ReceiptStage.ACCEPTED
    assert account.asked.count("ended") > 2
    assert ("aa" in account.asked) is (tx_hash is not None)


async def test_looks_from_before_the_execution_was_known_prove_nothing(desk):
    class Late(Account):
        async def transaction(self, tx_hash):
            self.fate = "executed" if self.asked.count("active") >= 3 else None
            return await super().transaction(tx_hash)

    account = Late(pages=[([], None)] * 9)
    _, receipts = desk(account)
    receipt = await receipts.wait(COI, 5.0)
    assert receipt.stage is ReceiptStage.REJECTED
    assert account.asked.count("active") == 5


async def test_an_order_in_doubt_whose_transaction_failed_had_been_accepted(desk):
    orders, receipts = desk(Account("failed"))
    enter(orders, 8)
    orders.apply(8, OrderEvent.LOST, tx_hash="bb")
    assert receipts.receipt(8).accepted_at_s is None
    receipt = await receipts.wait(8, 5.0)
    assert receipt.stage is ReceiptStage.REJECTED
    assert receipt.reason == "the transaction failed, no reason was given"
    assert receipt.accepted_at_s is not None


async def test_a_look_that_proves_nothing_in_between_starts_the_count_again(desk):
    empty = ([], None)
    unproven = [([row(1)], "more")] * 5
    account = Account(pages=[empty, *unproven, empty, empty])
    _, receipts = desk(account)
    receipt = await receipts.wait(COI, 5.0)
    assert receipt.stage is ReceiptStage.REJECTED
    assert account.asked.count("active") == 4


async def test_a_failure_nobody_foresaw_reaches_whoever_waits(desk):
    _, receipts = desk(Account(failure=ZeroDivisionError("a bug")))
    waiting = [asyncio.create_task(receipts.wait(COI, 5.0)) for _ in range(2)]
    for waiter in waiting:
        with pytest.raises(ZeroDivisionError):
            await waiter


async def test_an_order_that_was_forgotten_meanwhile_gives_its_last_receipt(desk):
    account = Account("pending")
    orders, receipts = desk(account, OrderTable(capacity_terminal=0))
    waiting = asyncio.create_task(receipts.wait(COI, 5.0))
    while not account.asked:
        await asyncio.sleep(0)
    orders.apply(COI, OrderEvent.REFUSED)
    assert (await waiting).stage is ReceiptStage.REJECTED
    assert receipts.receipt(COI) is None


async def test_closing_twice_or_without_anybody_waiting_is_fine(desk):
    _, receipts = desk(Account("pending"))
    waiting = asyncio.create_task(receipts.wait(COI, 5.0))
    await asyncio.sleep(0)
    await receipts.aclose()
    await receipts.aclose()
    with pytest.raises(UsageError):
        await waiting
