"""A storm: one bot, one exchange, requests and answers lost, late or doubled.

A seed decides everything, so a run that went wrong can be had again. What the bot
asked for, what the dealer told it and what the exchange's ledger holds are put side
by side in a `Report`; the promises are judged by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from wrappy import (
    DealerConfig,
    LaneHeldError,
    LighterDealer,
    SendOutcomeUnknownError,
    WrappyError,
)
from wrappy.lighter.config import ApiKeyConfig
from wrappy.model import OrderStatus, ReceiptStage
from wrappy.protocol.intents import TxType
from wrappy.runner.in_process import InProcessExchange, TravelTimes
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule, VenueSettings
from wrappy.venue.events import FaultFired, SetIndexPrice, SetLevel, Take

SEEDS = int(os.environ.get("WRAPPY_STORM_SEEDS", "150"))
"""Seeds at each rate of loss; a nightly run takes more."""

BLOCK = 50
"""Seeds that one test runs."""

LOSSES = (5, 20)
ORDERS = 20
TIMEOUT_S = 2.0
LATEST_MS = 15_000
PATIENCE_S = 120.0
DEAD = (ReceiptStage.REJECTED, ReceiptStage.NOT_SENT)
DOORS = (
    {"use_websocket": False},
    {"use_websocket": True},
    {"use_websocket": True, "pipeline_depth": 4},
)
BEST_BID, BEST_ASK, LOTS = 300_000, 300_200, 500


class Market:
    """A book of others around 3001, and somebody who trades at it now and then."""

    def __init__(self) -> None:
        self._next_us = 0

    def next_at_us(self):
        return self._next_us

    def step(self, now_us):
        actions = []
        while self._next_us <= now_us:
            if not self._next_us:
                actions.append(SetIndexPrice(0, (BEST_BID + BEST_ASK) // 2))
            actions += [
                SetLevel(0, is_ask=False, price=BEST_BID, base=10**7),
                SetLevel(0, is_ask=True, price=BEST_ASK, base=10**7),
                Take(0, is_ask=True, price=BEST_BID, base=LOTS // 2),
                Take(0, is_ask=False, price=BEST_ASK, base=LOTS // 2),
            ]
            self._next_us += 700_000
        return actions


@dataclass
class Report:
    """One storm's facts; orders are named by the bot's own numbers.

    Attributes:
        asked: orders that the bot handed to the dealer.
        accepted: those that the exchange accepted.
        doubled: accepted more than once, or there with another size or price.
        lost: accepted or executed in the dealer's words, unknown to the exchange.
        untrue: hashes told as accepted that the exchange does not know.
        falsely_dead: ever called dead, yet the exchange has them.
        unsettled: without a final word when everything was over.
        misjudged: fills that the final word tells otherwise than the ledger.
        doubts: orders that were in doubt at some time.
        certain_after_s: longest doubt after the storm was over, virtual seconds.
        fired: faults that happened, by act and phase.
    """

    seed: int
    loss: int
    asked: int = 0
    accepted: int = 0
    doubled: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    falsely_dead: list[int] = field(default_factory=list)
    unsettled: list[int] = field(default_factory=list)
    misjudged: list[int] = field(default_factory=list)
    doubts: int = 0
    certain_after_s: float = 0.0
    fired: dict[str, int] = field(default_factory=dict)


def weather(loss):
    """Return the faults of a storm that loses `loss` of a hundred, each way."""
    chance = loss * 10_000
    late = {"act": "delay", "delay_ms": 1, "spread_ms": LATEST_MS}
    return (
        FaultRule(act="drop", phase="request", probability=chance),
        FaultRule(act="drop", phase="reply", probability=chance),
        FaultRule(**late, phase="request", probability=chance),
        FaultRule(**late, phase="reply", probability=chance // 2),
        FaultRule(act="dup", phase="request", probability=chance // 2),
        FaultRule(act="status", phase="reply", code=502, probability=chance // 2),
        FaultRule(act="truncate", phase="reply", probability=chance // 4),
    )


class Bot:
    """Trades, takes no answer for an answer, and never sends an order again.

    Attributes:
        numbers: whether it numbers its resting orders itself.
        asked: price and lots of each order, by number.
        told: hashes that the dealer called accepted.
        said: every stage that an order's receipt has had.
        doubted: when each order that is in doubt came into it.
        doubts: how often an order came into doubt.
        calm_at: when the storm was over.
        longest_doubt_s: longest time in doubt since then.
    """

    def __init__(self, trader, dice, *, numbers):
        self.trader = trader
        self.numbers = numbers
        self.dice = dice
        self.asked = {}
        self.told = set()
        self.said = {}
        self.doubted = {}
        self.doubts = 0
        self.calm_at = None
        self.longest_doubt_s = 0.0
        trader.orders.tell(self._hear)

    def _hear(self, record):
        coi = record.client_order_index
        receipt = self.trader.receipt(coi)
        if receipt is not None:
            self.said.setdefault(coi, set()).add(receipt.stage)
        now = asyncio.get_running_loop().time()
        if record.status is OrderStatus.UNKNOWN:
            self.doubts += coi not in self.doubted
            self.doubted.setdefault(coi, now)
        elif coi in self.doubted:
            since = self.doubted.pop(coi)
            if self.calm_at is not None:
                doubt_s = now - max(since, self.calm_at)
                self.longest_doubt_s = max(self.longest_doubt_s, doubt_s)

    async def trade(self, numbers):
        """Place the orders of these numbers, and cancel one now and then."""
        for number in numbers:
            with contextlib.suppress(WrappyError):
                await self._order(number)
            if self.asked and self.dice.random() < 0.15:
                await self.trader.cancel_order_by_coi(self.dice.choice([*self.asked]))
            if self.dice.random() < 0.7:
                with contextlib.suppress(WrappyError):
                    self._promised(await self.trader.flush())
            await asyncio.sleep(self.dice.random() * 0.4)

    async def _order(self, number):
        """Queue a resting order, or send one that trades at once."""
        sign = self.dice.choice((1, -1))
        size = sign * self.dice.randrange(100, LOTS) / 10_000
        lots = round(abs(size) * 10_000)
        if self.dice.random() < 0.2:
            worst = 310_000 if sign > 0 else 290_000
            self.asked[number] = (worst, lots)
            sent = await self.trader.create_market_order(
                size, worst / 100, client_order_index=number
            )
            self.told.add(sent["tx_hash"])
            return
        near = self.dice.randrange(-50, 90)
        price = BEST_BID + near if sign > 0 else BEST_ASK - near
        if self.dice.random() < 0.2:
            price = BEST_ASK if sign > 0 else BEST_BID
        queued = await self.trader.create_limit_order(
            price / 100, size, client_order_index=number if self.numbers else None
        )
        self.asked[queued["client_order_index"]] = (price, lots)

    def _promised(self, flushed):
        self.told.update(row["tx_hash"] for row in flushed["orders"])

    async def clear_up(self):
        """After the storm: send what waits, and have every order's final word."""
        loop = asyncio.get_running_loop()
        self.calm_at = loop.time()
        left = 1
        while left or self.trader.orders.unknown():
            assert loop.time() - self.calm_at < PATIENCE_S, "in doubt for ever"
            # Frames that the storm delayed still hold up those behind them.
            with contextlib.suppress(LaneHeldError, SendOutcomeUnknownError):
                flushed = await self.trader.flush()
                self._promised(flushed)
                left = flushed["count"]
            await asyncio.sleep(0.05)
        await asyncio.sleep(LATEST_MS / 1000 + 1)  # whatever is late has arrived
        await self.trader.fetch_open_orders()
        await self.trader.fetch_ended_orders()
        for coi in self.asked:
            await self.trader.wait_settled(coi, timeout=PATIENCE_S)


async def _storm(seed, loss, state):
    dice = random.Random(f"{seed}/{loss}")
    travel = TravelTimes(request_ms=(1, 80), reply_ms=(1, 80))
    settings = VenueSettings(seed=seed, symbols=("ETH",), verify=False)
    async with InProcessExchange(settings, travel=travel, flow=Market()) as exchange:
        owner = exchange.accounts[0]
        config = DealerConfig(
            base_url=exchange.base_url,
            account_index=owner.account_index,
            api_keys=tuple(
                ApiKeyConfig(key.api_key_index, key.api_key_private_key)
                for key in owner.api_keys
            ),
            chain_id=exchange.chain_id,
            symbol="ETH",
            standard_account=False,
            ip_weight_per_minute=10_000_000,
            state_dir=str(state),
            journal=not seed % 10,
            request_timeout_s=TIMEOUT_S,
            max_ws_batch=dice.randrange(1, 5),
            **DOORS[seed % len(DOORS)],
        )
        trader = await LighterDealer.create(config, environment=exchange.environment)
        bot = Bot(trader, dice, numbers=seed % 2 == 0)
        faults = [exchange.faults.add(rule) for rule in weather(loss)]
        numbers = range(1, ORDERS + 1)
        await asyncio.gather(bot.trade(numbers[::2]), bot.trade(numbers[1::2]))
        for fault in faults:
            exchange.faults.remove(fault)
        await bot.clear_up()
        final = {coi: trader.receipt(coi) for coi in bot.asked}
        await trader.aclose()
        ledger, account = exchange.ledger, owner.account_index
    return judged(bot, final, ledger, account, Report(seed, loss))


def judged(bot, final, ledger, account, report):
    """Hold what the dealer said against the exchange's ledger."""
    there = Counter(
        tx.info["ClientOrderIndex"]
        for tx in ledger.accepted(account)
        if tx.tx_type == TxType.CREATE_ORDER
    )
    orders = {}
    for order in ledger.orders(account):
        orders.setdefault(order.client_order_index, []).append(order)
    traded = Counter()
    for trade in ledger.trades(account):
        if trade.ask_account == account:
            traded[trade.ask_client_order_index] += trade.base
        if trade.bid_account == account:
            traded[trade.bid_client_order_index] += trade.base
    assert there.keys() <= bot.asked.keys(), "an order that nobody asked for"
    report.untrue = sorted(bot.told - {tx.tx_hash for tx in ledger.accepted(account)})
    for coi, asked in bot.asked.items():
        said, mine = bot.said[coi], orders.get(coi, [])
        exact = [(order.price, order.initial_base) for order in mine] == [asked]
        filled = sum(order.filled_base for order in mine)
        if there[coi] > 1 or (mine and not exact) or traded[coi] != filled:
            report.doubled.append(coi)
        missed = ReceiptStage.ACCEPTED in said and not there[coi]
        if missed or (ReceiptStage.EXECUTED in said and not mine):
            report.lost.append(coi)
        if mine and said.intersection(DEAD):
            report.falsely_dead.append(coi)
        receipt = final[coi]
        if receipt is None or not receipt.stage.is_settled:
            report.unsettled.append(coi)
        elif (receipt.stage in DEAD) == bool(mine):
            report.misjudged.append(coi)
        elif mine and mine[0].status != "open" and receipt.filled * 10_000 != filled:
            report.misjudged.append(coi)  # what has ended is told to the last lot
    report.asked, report.accepted = len(bot.asked), sum(there.values())
    report.doubts, report.certain_after_s = bot.doubts, bot.longest_doubt_s
    report.fired = dict(
        Counter(f"{fault.act} {fault.phase}" for fault in ledger.of(FaultFired))
    )
    return report


def run_block(block, loss, state):
    """Run one block of seeds and return their reports as plain values."""
    first = block * BLOCK
    logging.disable(logging.ERROR)  # it is a storm, and says so
    try:
        return [
            dataclasses.asdict(run_virtual(partial(_storm, seed, loss, state)))
            for seed in range(first, min(first + BLOCK, SEEDS))
        ]
    finally:
        logging.disable(logging.NOTSET)


def blocks():
    """Return the number of every block."""
    return range(-(-SEEDS // BLOCK))
