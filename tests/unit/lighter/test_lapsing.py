"""Looking for what was dropped, with an account that shows what it is told."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.lighter.test_sweeping import row
from wrappy._core.batch import BatchQueue
from wrappy._core.receipts import TransactionFate, TransactionReport
from wrappy.errors import RequestTimeoutError
from wrappy.lighter.sending.booking import OrderBooking
from wrappy.lighter.sending.lapsing import LapseWatch
from wrappy.lighter.sending.sender import Sent
from wrappy.model import OrderStatus
from wrappy.protocol.intents import CreateOrder, ModifyOrder, SignedTx, TxType
from wrappy.runner.virtual_time import run_virtual

LIFE_S = 10.0
FULL_PAGE = 100


class Log:
    def __init__(self):
        self.told = []

    def warning(self, words, *given):
        self.told.append(words % given)

    info = error = warning


class Exchange:
    """What the account, its transactions and the exchange's clock show."""

    def __init__(self):
        self.fates, self.live = {}, []
        self.pages = [[]]
        self.clock_fails = False
        self.before_answer = lambda _: None
        self.looks = self.asked_for_clock = self.pages_read = 0
        self.behind_s = 0.0

    async def open_orders(self, _):
        self.looks += 1
        return self.live

    async def ended_orders(self, cursor):
        self.pages_read += 1
        place = int(cursor or 0)
        following = place + 1 < len(self.pages)
        return self.pages[place], str(place + 1) if following else None

    async def transaction(self, tx_hash):
        self.before_answer(tx_hash)
        fate = self.fates.get(tx_hash)
        return None if fate is None else TransactionReport(fate, "", None)

    async def ask_s(self):
        self.asked_for_clock += 1
        if self.clock_fails:
            raise RequestTimeoutError("no answer in time")
        loop = asyncio.get_running_loop()
        return int(loop.unix_s() - self.behind_s)


class Desk:
    def __init__(self):
        loop = asyncio.get_running_loop()
        self.ahead_s, self.queue = 0.0, BatchQueue()
        self.exchange, self.log = Exchange(), Log()
        self.booking = OrderBooking(
            self.log, changed=lambda _: None, again=lambda _: True
        )
        self.watch = LapseWatch(
            self.booking,
            self.exchange,
            0,
            ask_s=self.exchange.ask_s,
            unix_s=lambda: loop.unix_s() + self.ahead_s,
        )

    def accept(self, *numbers):
        """Have the exchange take creations that it never reports."""
        for number in numbers:
            order = CreateOrder(
                market_index=0,
                client_order_index=number,
                base_amount=500,
                price=100_000,
                is_ask=False,
            )
            self.booking.queue(order)
            self._take(order, f"hash-{number}", also=(number,))

    def change(self, number, ticks, tx_hash):
        """Have the exchange take a change of an order's price."""
        lots = self.booking.orders.get(number).base_amount
        order = ModifyOrder(market_index=0, index=number, base_amount=lots, price=ticks)
        self._take(order, tx_hash, touches=number)

    def _take(self, intent, tx_hash, *, touches=None, also=()):
        entry = self.queue.put(intent, touches=touches, is_cancel=False, also=also)
        now_ms = int(asyncio.get_running_loop().unix_s() * 1000)
        ends_ms = now_ms + int(LIFE_S * 1000)
        tx = SignedTx(TxType.CREATE_ORDER, "{}", tx_hash, entry.number, ends_ms, 1, 4)
        self.booking.accepted(self, Sent((entry,), (tx,), object()))

    def ended(self, tx_hash):
        """Be told, as the sender, that all orders of a transaction have ended."""

    def status(self, number):
        return self.booking.orders.get(number).status


def at_a_desk(scenario):
    async def main():
        desk = Desk()
        try:
            await scenario(desk)
        finally:
            await desk.watch.aclose()

    run_virtual(main)


def listed(*, ago_s):
    """Return a full page of ended orders, all of one age."""
    changed_ms = int((asyncio.get_running_loop().unix_s() - ago_s) * 1000)
    return [{"client_order_index": 1, "updated_at": changed_ms}] * FULL_PAGE


def test_an_order_that_is_reported_during_a_look_is_not_called_dead():
    async def scenario(desk):
        desk.accept(7, 8)
        questions = []

        def stream(tx_hash):
            questions.append(tx_hash)
            if len(questions) == 1:
                desk.booking.report(row(8, "open"))

        desk.exchange.before_answer = stream
        await asyncio.sleep(60.0)
        assert desk.status(7) is OrderStatus.REJECTED
        assert desk.status(8) is OrderStatus.OPEN
        assert desk.log.told == ["order 7 was accepted, but never executed"]

    at_a_desk(scenario)


def test_a_change_back_that_was_dropped_is_told_though_its_target_was_shown():
    async def scenario(desk):
        desk.accept(7)
        desk.booking.report(row(7, "open"))
        shown = desk.booking.orders.get(7)
        there, back = shown.price_ticks + 1, shown.price_ticks
        desk.exchange.live = [row(7, "open")]
        desk.change(7, there, "there")
        desk.change(7, back, "back")
        desk.exchange.fates = {"there": TransactionFate.EXECUTED}
        desk.booking.report({**row(7, "open"), "base_price": there, "nonce": 8})
        await asyncio.sleep(120.0)
        assert desk.log.told == [
            "ModifyOrder of order 7 was never carried out and never will be: look at it"
        ]

    at_a_desk(scenario)


def test_an_order_that_was_forgotten_is_not_looked_for():
    async def scenario(desk):
        desk.accept(7)
        desk.booking.forget(7)
        await asyncio.sleep(600.0)
        assert desk.exchange.looks == 0
        assert desk.log.told == []
        assert len(desk.watch) == 0

    at_a_desk(scenario)


def test_after_a_sleep_of_the_machine_the_exchange_is_asked_for_its_clock():
    async def scenario(desk):
        desk.accept(7)
        await asyncio.sleep(5.0)
        # Our clock has jumped; the transaction can still be carried out.
        desk.ahead_s, desk.exchange.behind_s = 3_600.0, 0.0
        desk.accept(8)
        await asyncio.sleep(3.0)
        assert desk.exchange.asked_for_clock > 0
        assert desk.status(7) is desk.status(8) is OrderStatus.SENT
        await asyncio.sleep(120.0)
        assert desk.status(7) is desk.status(8) is OrderStatus.REJECTED

    at_a_desk(scenario)


def test_an_exchange_that_does_not_tell_the_time_is_waited_for_longer():
    async def scenario(desk):
        desk.exchange.clock_fails = True
        desk.accept(7)
        await asyncio.sleep(LIFE_S + 30.0)
        assert desk.status(7) is OrderStatus.SENT
        await asyncio.sleep(90.0)
        assert desk.status(7) is OrderStatus.REJECTED

    at_a_desk(scenario)


@pytest.mark.parametrize("shows", [True, False])
def test_what_was_carried_out_is_given_time_to_show_on_lists_that_lag(shows):
    async def scenario(desk):
        desk.exchange.fates = {"hash-7": TransactionFate.EXECUTED}
        desk.accept(7)
        await asyncio.sleep(LIFE_S + 8.0)
        assert desk.exchange.looks > 1
        assert desk.status(7) is OrderStatus.SENT
        if shows:
            desk.exchange.pages = [[row(7, "filled")]]
        await asyncio.sleep(60.0)
        assert len(desk.watch) == 0
        # What is listed is the stream's to tell.
        expected = OrderStatus.SENT if shows else OrderStatus.REJECTED
        assert desk.status(7) is expected

    at_a_desk(scenario)


@pytest.mark.parametrize("count", [1, 30])
def test_what_ended_beyond_the_lists_does_not_hold_up_what_comes_later(count):
    async def scenario(desk):
        desk.exchange.fates = {
            f"hash-{number}": TransactionFate.EXECUTED for number in range(1, 100)
        }
        desk.accept(*range(1, count + 1))
        await asyncio.sleep(LIFE_S / 2)
        # Enough has ended since to push them off the lists; later ones are on them.
        desk.exchange.pages = [listed(ago_s=-60.0)] * 15
        await asyncio.sleep(120.0)
        assert desk.status(1) is OrderStatus.SENT, "nobody knows how it ended"
        assert len(desk.watch) == 0
        read = desk.exchange.pages_read
        await asyncio.sleep(3_600.0)
        assert desk.exchange.pages_read == read

        desk.accept(99)
        desk.exchange.pages = [listed(ago_s=120.0)] * 15
        await asyncio.sleep(LIFE_S + 30.0)
        assert desk.status(99) is OrderStatus.REJECTED

    at_a_desk(scenario)
