"""A table that nobody feeds stays small, and is never told what is not known."""

from __future__ import annotations

import asyncio

import pytest

from wrappy._core.orders import OrderEvent, OrderTable
from wrappy.errors import RequestTimeoutError
from wrappy.lighter.asking.reading import report_order
from wrappy.lighter.sending import sweeping
from wrappy.lighter.sending.sweeping import OrderSweep
from wrappy.model import OrderStatus
from wrappy.runner.virtual_time import run_virtual


def row(coi, status):
    return {
        "client_order_index": coi,
        "order_index": (1 << 50) + coi,
        "market_index": 0,
        "is_ask": False,
        "status": status,
        "base_price": 100_000,
        "initial_base_amount": "0.0500",
        "filled_base_amount": "0.0500" if status == "filled" else "0.0000",
        "nonce": coi,
    }


class Account:
    """Shows what it is told to."""

    def __init__(self):
        self.open, self.ended = [], []
        self.looks = 0
        self.error = None

    async def open_orders(self, _):
        self.looks += 1
        if self.error is not None:
            raise self.error
        return [row(coi, "open") for coi in self.open]

    async def ended_orders(self, cursor):
        start = int(cursor or 0)
        page = self.ended[start : start + 100]
        following = str(start + 100) if start + 100 < len(self.ended) else None
        return [row(coi, "filled") for coi in page], following


class Desk:
    def __init__(self, sweep_at=10):
        self.table, self.account = OrderTable(100), Account()
        self.forgotten = []
        self.sweep = OrderSweep(
            self.table,
            self.account,
            0,
            enter=lambda told: report_order(self.table, told),
            forget=self.forget,
            sweep_at=sweep_at,
        )

    def forget(self, coi):
        self.forgotten.append(coi)
        self.table.forget(coi)

    def place(self, *cois):
        for coi in cois:
            self.table.queue(
                coi, market_index=0, is_ask=False, price_ticks=1, base_amount=1
            )
            self.table.apply(coi, OrderEvent.SENT, tx_hash="aa")


@pytest.fixture
async def desk():
    made = Desk()
    yield made
    await made.sweep.aclose()


async def settled():
    for _ in range(50):
        await asyncio.sleep(0)


async def test_few_orders_cost_no_question(desk):
    desk.place(*range(1, 10))
    await settled()
    assert desk.account.looks == 0


async def test_many_silent_orders_are_ended_by_the_exchanges_lists(desk):
    desk.account.open, desk.account.ended = [1, 2], list(range(3, 11))
    desk.place(*range(1, 11))
    await settled()
    assert [o.client_order_index for o in desk.table.live()] == [1, 2]
    assert desk.table.get(3).status is OrderStatus.FILLED
    assert desk.account.looks == 1


async def test_what_no_list_shows_stays_until_it_can_be_nothing_any_more(
    desk, monkeypatch
):
    desk.place(*range(1, 11))
    await settled()
    assert len(desk.table.live()) == 10, "it may still be on its way"
    monkeypatch.setattr(sweeping, "LONG_S", 0.0)
    desk.place(*range(11, 21))
    await settled()
    assert desk.forgotten == list(range(1, 21))
    assert len(desk.table) == 0


def test_who_sends_faster_than_lists_can_be_read_forgets_what_is_surely_over():
    async def main():
        desk, kept = Desk(), []
        for start in range(1, 10_001, 20):
            desk.place(*range(start, start + 20))
            # The lists show the newest ones only, and one order that stays.
            desk.account.open, desk.account.ended = [1], [start + 19]
            await asyncio.sleep(1.0)
            kept.append(len(desk.table.live()))
        await desk.sweep.aclose()
        return desk, kept

    desk, kept = run_virtual(main)
    assert max(kept) <= 200
    assert desk.table.get(1).status is OrderStatus.OPEN
    assert 1 not in desk.forgotten
    assert desk.forgotten == sorted(desk.forgotten)


def test_what_may_still_wait_for_its_turn_is_kept_however_many_there_are():
    async def main():
        desk = Desk()
        for start in range(1, 1_001, 20):
            desk.place(*range(start, start + 20))  # and nothing is carried out
            await asyncio.sleep(1.0)
        await desk.sweep.aclose()
        return desk

    desk = run_virtual(main)
    assert desk.account.looks > 10
    assert desk.forgotten == []


async def test_a_look_that_fails_changes_nothing_and_the_next_comes_later(desk, caplog):
    desk.account.error = RequestTimeoutError("no answer")
    desk.place(*range(1, 11))
    await settled()
    assert "could not be read" in caplog.text
    desk.place(11)
    await settled()
    assert desk.account.looks == 1
    assert len(desk.table.live()) == 11


async def test_a_hundred_thousand_orders_leave_a_small_table(desk):
    for start in range(1, 100_001, 50):
        cois = range(start, start + 50)
        desk.account.ended = [*cois, *desk.account.ended][:1000]
        desk.place(*cois)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await settled()
    assert len(desk.table) <= 300


async def test_after_the_close_nothing_is_asked(desk):
    await desk.sweep.aclose()
    desk.place(*range(1, 20))
    await settled()
    assert desk.account.looks == 0
