"""Booking of what was sent and of what the exchange says about it."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import pytest

from wrappy import (
    OrderRejectedError,
    RateLimitedError,
    SendOutcomeUnknownError,
    SignerError,
)
from wrappy.errors import JournalError
from wrappy.lighter.config import DealerConfig
from wrappy.lighter.sending.outbox import Outbox
from wrappy.lighter.sending.sender import Sent
from wrappy.lighter.wire.doors import SendReply
from wrappy.model import OrderStatus
from wrappy.protocol.intents import (
    CancelOrder,
    CreateGroupedOrders,
    CreateOrder,
    ModifyOrder,
    SignedTx,
)


class FailingSender:
    depth = 1
    crowded = False

    def __init__(self, error):
        self.error = error

    async def send(self, *_, **__):
        raise self.error


class Accepting:
    """Accepts everything, or loses it and settles it later."""

    depth = 1
    crowded = False

    def __init__(self):
        self.sent = []
        self.ends = []
        self.lose = False
        self.settle = None
        self.refuse = None

    def ended(self, tx_hash):
        self.ends.append(tx_hash)

    async def send(self, entries, listeners, **_):
        entries = tuple(listeners.admit(entries))
        self.sent.append([entry.intent for entry in entries])
        if self.refuse is not None:
            error, self.refuse = self.refuse, None
            raise error
        txs = [
            SignedTx(int(e.intent.tx_type), "{}", f"{n:02x}", n, 0, 5, 4)
            for n, e in enumerate(entries)
        ]
        if self.lose:
            hashes = [tx.tx_hash for tx in txs]
            self.settle = partial(listeners.on_settled, entries, hashes)
            listeners.on_lost(entries, hashes)
            raise SendOutcomeUnknownError([7], ["00"])
        reply = SendReply(tuple(tx.tx_hash for tx in txs), None, None, "")
        return Sent(entries, tuple(txs), reply)


@pytest.fixture
async def resting():
    """An outbox whose order 7 was accepted, and its sender."""
    sender = Accepting()
    made = Outbox(DealerConfig(), [sender], logging.getLogger("LighterDealer.tx"))
    made.put(CreateOrder(0, 7, 500, 100_000, False), touches=7, is_cancel=False)
    await made.flush()
    return made, sender


def change(outbox, ticks, lots=500):
    outbox.aim(7, ticks=ticks, lots=lots)
    outbox.put(ModifyOrder(0, 7, lots, ticks, 0), touches=7, is_cancel=False)


async def test_a_refused_change_falls_back_to_the_one_accepted_before(resting):
    outbox, sender = resting
    change(outbox, 111_100)
    await outbox.flush()
    change(outbox, 122_200)
    assert outbox.aimed(7) == (122_200, 500)
    sender.refuse = OrderRejectedError(21702, "invalid price")
    with pytest.raises(OrderRejectedError):
        await outbox.flush()
    assert outbox.aimed(7) == (111_100, 500)


async def test_a_refused_cancel_forgets_no_change(resting):
    outbox, sender = resting
    change(outbox, 111_100)
    await outbox.flush()
    outbox.put(CancelOrder(0, 7), touches=7, is_cancel=True)
    sender.refuse = OrderRejectedError(21702, "no")
    with pytest.raises(OrderRejectedError):
        await outbox.flush()
    assert outbox.aimed(7) == (111_100, 500)
    assert outbox.orders.get(7).status is OrderStatus.SENT


async def test_a_change_the_exchange_has_reported_gives_way_to_later_reports(resting):
    outbox, _ = resting
    change(outbox, 111_100)
    await outbox.flush()
    outbox.report(row(base_price=111_100, nonce=6))
    outbox.report(row(base_price=120_000, nonce=7))
    assert outbox.aimed(7) == (120_000, 500), "somebody else changed it"
    change(outbox, 130_000)
    outbox.report(row(base_price=130_000, nonce=8))
    await outbox.flush()
    outbox.report(row(base_price=140_000, nonce=9))
    assert outbox.aimed(7) == (140_000, 500)


async def test_a_lost_change_counts_until_it_is_known_to_have_failed(resting):
    outbox, sender = resting
    for executed, expected in ((False, 100_000), (True, 111_100)):
        change(outbox, 111_100)
        sender.lose = True
        with pytest.raises(SendOutcomeUnknownError):
            await outbox.flush()
        assert outbox.aimed(7) == (111_100, 500)
        sender.settle([executed])
        assert outbox.aimed(7) == (expected, 500)


async def test_a_lost_cancel_that_was_executed_shows_as_one(resting):
    outbox, sender = resting
    outbox.report(row())
    outbox.put(CancelOrder(0, 7), touches=7, is_cancel=True)
    sender.lose = True
    with pytest.raises(SendOutcomeUnknownError):
        await outbox.flush()
    assert outbox.orders.get(7).status is OrderStatus.OPEN
    sender.settle([True])
    assert outbox.orders.get(7).status is OrderStatus.PENDING_CANCEL


@pytest.fixture
def outbox():
    made = Outbox(
        DealerConfig(),
        [FailingSender(SignerError("no library"))],
        logging.getLogger("LighterDealer.tx"),
    )
    made.put(CreateOrder(0, 7, 500, 100_000, False), touches=7, is_cancel=False)
    return made


def row(status="open", **changes):
    return {
        "client_order_index": 7,
        "order_index": 1 << 50,
        "market_index": 0,
        "is_ask": False,
        "status": status,
        "base_price": 100_000,
        "initial_base_amount": "0.0500",
        "filled_base_amount": "0.0000",
        "nonce": 5,
        **changes,
    }


async def test_what_could_not_be_signed_stays_queued(outbox):
    with pytest.raises(SignerError):
        await outbox.flush()
    assert len(outbox) == 1
    assert outbox.orders.get(7).status is OrderStatus.QUEUED
    assert outbox.aimed(7) == (100_000, 500)


def test_a_row_that_cannot_be_read_is_logged_and_skipped(outbox, caplog):
    outbox.report(row(nonce="x"))
    outbox.report(row(status="asleep"))
    assert caplog.text.count("unreadable order report") == 2
    assert outbox.orders.get(7).status is OrderStatus.QUEUED


def test_an_order_that_was_given_up_and_shows_again_is_told(outbox, caplog):
    outbox.discard("the dealer was closed")
    assert outbox.orders.get(7).status is OrderStatus.REJECTED
    outbox.report(row())
    assert "order 7 counts as ended" in caplog.text
    assert "look at it" in caplog.text


def test_an_order_that_ended_has_no_target_any_more(outbox):
    outbox.aim(7, ticks=1, lots=2)
    assert outbox.aimed(7) == (1, 2)
    outbox.report(row("canceled"))
    assert outbox.aimed(7) is None
    assert outbox.aimed(8) is None


# ----------------------------------------------------------- order and lifetime


def group(*cois):
    orders = tuple(CreateOrder(0, coi, 500, 100_000, is_ask=False) for coi in cois)
    return CreateGroupedOrders(2, orders)


async def test_a_cancel_goes_back_behind_an_order_that_waits_again(caplog):
    """One flush took the order and was throttled while another had its cancel."""
    sender = Accepting()
    outbox = Outbox(DealerConfig(), [sender], logging.getLogger("LighterDealer.tx"))
    throttled, gate = asyncio.Event(), asyncio.Event()
    accept = sender.send

    async def slow(entries, listeners, **_):
        throttled.set()
        await gate.wait()
        raise RateLimitedError(429, "slow down")

    sender.send = slow
    outbox.put(CreateOrder(0, 7, 500, 100_000, False), touches=7, is_cancel=False)
    first = asyncio.create_task(outbox.flush())
    await throttled.wait()
    sender.send = accept
    outbox.put(CancelOrder(0, 7), touches=7, is_cancel=True)
    assert (await outbox.flush())["count"] == 0
    assert "waits behind it" in caplog.text
    gate.set()
    with pytest.raises(RateLimitedError):
        await first
    result = await outbox.flush()
    assert [type(intent) for intent in sender.sent[-1]] == [CreateOrder, CancelOrder]
    assert result["count"] == 2


async def test_the_orders_of_a_group_live_and_end_together():
    sender = Accepting()
    outbox = Outbox(DealerConfig(), [sender], logging.getLogger("LighterDealer.tx"))
    outbox.put(group(7, 8), touches=7, is_cancel=False)
    assert {outbox.orders.get(coi).status for coi in (7, 8)} == {OrderStatus.QUEUED}
    (outcome,) = (await outbox.flush())["orders"]
    assert outcome == {
        "client_order_index": 7,
        "tx_hash": "00",
        "outcome": "accepted",
    }
    assert {outbox.orders.get(coi).tx_hash for coi in (7, 8)} == {"00"}
    outbox.report(row("canceled"))
    assert sender.ends == []
    outbox.report(row("filled", client_order_index=8, filled_base_amount="0.0500"))
    assert sender.ends == ["00"]


async def test_a_report_that_is_quicker_than_the_answer_ends_the_order_as_well():
    sender = Accepting()
    outbox = Outbox(DealerConfig(), [sender], logging.getLogger("LighterDealer.tx"))
    outbox.put(CreateOrder(0, 7, 500, 100_000, False), touches=7, is_cancel=False)
    outbox.report(row("canceled"))
    await outbox.flush()
    assert sender.ends == ["00"]


async def test_a_full_disk_keeps_new_orders_and_sends_the_cancels_beside_them(tmp_path):
    sender = Accepting()
    outbox = Outbox(DealerConfig(), [sender], logging.getLogger("LighterDealer.tx"))
    accept = sender.send

    async def full(entries, listeners, **rest):
        if not all(entry.is_cancel for entry in entries):
            raise JournalError(tmp_path, "failed", "make room")
        return await accept(entries, listeners, **rest)

    sender.send = full
    outbox.put(CancelOrder(0, 9), touches=9, is_cancel=True)
    outbox.put(CreateOrder(0, 7, 500, 100_000, False), touches=7, is_cancel=False)
    with pytest.raises(JournalError):
        await outbox.flush()
    assert sender.sent == [[CancelOrder(0, 9)]]
    assert len(outbox) == 1, "the order waits for room"
    sender.send = accept
    assert (await outbox.flush())["client_order_indices"] == [7]


async def test_the_outcome_of_each_transaction_of_a_cut_batch_is_its_own():
    sender = Accepting()
    outbox = Outbox(DealerConfig(), [sender], logging.getLogger("LighterDealer.tx"))
    for coi in (7, 8):
        outbox.put(
            CreateOrder(0, coi, 500, 100_000, False), touches=coi, is_cancel=False
        )
    sender.lose = True
    with pytest.raises(SendOutcomeUnknownError):
        await outbox.flush()
    assert outbox.orders.get(8).tx_hash == "01"
    sender.settle([True, False])
    assert outbox.orders.get(7).status is OrderStatus.SENT
    assert outbox.orders.get(8).status is OrderStatus.REJECTED
