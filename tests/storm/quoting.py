"""A bot that quotes and cancels all day, and what it was told of every order."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

from wrappy import WrappyError
from wrappy.model import OrderStatus, ReceiptStage
from wrappy.protocol.intents import TxType
from wrappy.venue.events import SetIndexPrice, SetLevel, Take

BEST_BID, BEST_ASK = 300_000, 300_200
LOTS = 500
LOTS_A_UNIT = 10_000
PATIENCE_S = 180.0
DEAD = frozenset({ReceiptStage.REJECTED, ReceiptStage.NOT_SENT})


class Market:
    """Others keep a book around 3001 and trade through its best prices."""

    def __init__(self, every_us=1_500_000):
        self._every_us = every_us
        self._next_us = 0

    def next_at_us(self):
        return self._next_us

    def step(self, now_us):
        actions = []
        while self._next_us <= now_us:
            if not self._next_us:
                actions.append(SetIndexPrice(0, (BEST_BID + BEST_ASK) // 2))
            actions += [
                SetLevel(0, is_ask=False, price=BEST_BID - 100, base=10**7),
                SetLevel(0, is_ask=True, price=BEST_ASK + 100, base=10**7),
                Take(0, is_ask=True, price=BEST_BID - 50, base=LOTS),
                Take(0, is_ask=False, price=BEST_ASK + 50, base=LOTS),
            ]
            self._next_us += self._every_us
        return actions


class Quoter:
    """Keeps one quote a side and replaces both again and again.

    It believes no error and sends no order twice: what is asked for is written down
    once, and what the dealer says of it every time.

    Attributes:
        asked: price and lots of each order, by number.
        said: every stage that an order's receipt has had.
        last: the latest receipt of each order.
        told: hashes that the dealer called accepted.
        failures: exceptions met, by class.
        most_kept: most orders that the order table has held.
    """

    def __init__(self, trader):
        self.trader = trader
        self.asked = {}
        self.said = {}
        self.last = {}
        self.told = set()
        self.failures = Counter()
        self.most_kept = 0
        self._resting = []
        trader.orders.tell(self._hear)

    def _hear(self, record):
        coi = record.client_order_index
        receipt = self.trader.receipt(coi)
        if receipt is not None:
            self.said.setdefault(coi, set()).add(receipt.stage)
            self.last[coi] = receipt
        self.most_kept = max(self.most_kept, len(self.trader.orders))

    async def quote(self, until, every_s):
        """Quote until a moment of the loop's time."""
        loop = asyncio.get_running_loop()
        step = 0
        while loop.time() < until:
            step += 1
            try:
                await self._replace(step)
            except WrappyError as error:
                self.failures[type(error).__name__] += 1
            await asyncio.sleep(every_s)

    async def _replace(self, step):
        gone, self._resting = self._resting, []
        for coi in gone:
            await self.trader.cancel_order_by_coi(coi)
        for sign, price in ((1, BEST_BID + step % 20), (-1, BEST_ASK - step % 20)):
            size = sign * LOTS / LOTS_A_UNIT
            queued = await self.trader.create_limit_order(price / 100, size)
            coi = queued["client_order_index"]
            self.asked[coi] = (price, LOTS)
            self._resting.append(coi)
        self._promised(await self.trader.flush())

    def _promised(self, flushed):
        self.told.update(row["tx_hash"] for row in flushed["orders"])

    async def clear_up(self):
        """Send what waits and have the final word on every order."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        left = 1
        while left or self.trader.orders.unknown():
            assert loop.time() < until, "in doubt for ever"
            with contextlib.suppress(WrappyError):
                flushed = await self.trader.flush()
                self._promised(flushed)
                left = flushed["count"]
            await asyncio.sleep(0.5)
        for coi in self.asked:
            if not self.last[coi].stage.is_settled:
                await self.trader.wait_settled(coi, timeout=PATIENCE_S)


def problems(bot, ledger, account):
    """Return what is not as the dealer said, by name; empty when all is true."""
    there = Counter(
        tx.info["ClientOrderIndex"]
        for tx in ledger.accepted(account)
        if tx.tx_type == TxType.CREATE_ORDER
    )
    orders = {}
    for order in ledger.orders(account):
        orders.setdefault(order.client_order_index, []).append(order)
    hashes = {tx.tx_hash for tx in ledger.accepted(account)}
    found = {
        "nobody asked for": sorted(there.keys() - bot.asked.keys()),
        "told as accepted, unknown": sorted(bot.told - hashes),
        "doubled": [],
        "lost": [],
        "falsely dead": [],
        "unsettled": [],
        "filled otherwise": [],
    }
    for coi, asked in bot.asked.items():
        mine, said = orders.get(coi, []), bot.said[coi]
        receipt = bot.last[coi]
        if there[coi] > 1 or [(o.price, o.initial_base) for o in mine] not in (
            [],
            [asked],
        ):
            found["doubled"].append(coi)
        accepted = ReceiptStage.ACCEPTED in said or ReceiptStage.EXECUTED in said
        if accepted and not there[coi]:
            found["lost"].append(coi)
        if mine and said & DEAD:
            found["falsely dead"].append(coi)
        if not receipt.stage.is_settled or receipt.status is OrderStatus.UNKNOWN:
            found["unsettled"].append(coi)
        filled = sum(order.filled_base for order in mine)
        if receipt.status.is_terminal and receipt.filled * LOTS_A_UNIT != filled:
            found["filled otherwise"].append(coi)
    return {name: cois for name, cois in found.items() if cois}
