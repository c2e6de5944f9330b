"""Booking of what was sent and of what the exchange says about it."""

from __future__ import annotations

import logging
from functools import partial

import pytest

from wrappy import OrderRejectedError, SendOutcomeUnknownError, SignerError
from wrappy.lighter.config import DealerConfig
from wrappy.lighter.doors import SendReply
from wrappy.lighter.outbox import Outbox
from wrappy.lighter.sender import Sent
from wrappy.model import OrderStatus
from wrappy.protocol.transactions import (
    CancelOrder,
    CreateOrder,
    ModifyOrder,
    SignedTx,
)


class FailingSender:
    def __init__(self, error):
        self.error = error

    async def send(self, *_, **__):
        raise self.error


class Accepting:
    """Accepts everything, or loses it and settles it later."""

    def __init__(self):
        self.lose = False
        self.settle = None
        self.refuse = None

    async def send(self, entries, *, on_lost, on_settled, **_):
        if self.refuse is not None:
            error, self.refuse = self.refuse, None
            raise error
        txs = [
            SignedTx(int(e.intent.tx_type), "{}", f"{n:02x}", n, 0, 5, 4)
            for n, e in enumerate(entries)
        ]
        if self.lose:
            self.settle = partial(on_settled, tuple(entries))
            on_lost(entries)
            raise SendOutcomeUnknownError([7], ["00"])
        reply = SendReply(tuple(tx.tx_hash for tx in txs), None, None, "")
        return Sent(tuple(entries), tuple(txs), reply)


@pytest.fixture
async def resting():
    """An outbox whose order 7 was accepted, and its sender."""
    sender = Accepting()
    made = Outbox(DealerConfig(), sender, logging.getLogger("LighterDealer.tx"))
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
        sender.settle(executed)
        assert outbox.aimed(7) == (expected, 500)


async def test_a_lost_cancel_that_was_executed_shows_as_one(resting):
    outbox, sender = resting
    outbox.report(row())
    outbox.put(CancelOrder(0, 7), touches=7, is_cancel=True)
    sender.lose = True
    with pytest.raises(SendOutcomeUnknownError):
        await outbox.flush()
    assert outbox.orders.get(7).status is OrderStatus.OPEN
    sender.settle(True)
    assert outbox.orders.get(7).status is OrderStatus.PENDING_CANCEL


@pytest.fixture
def outbox():
    made = Outbox(
        DealerConfig(),
        FailingSender(SignerError("no library")),
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
