"""P16: a hedged pair is never out of balance for long without somebody acting on it."""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.hedge.base import HedgeHaltedError, open_post
from examples.hedge.journal import HedgeJournal
from examples.hedge.leg_a import LegA
from examples.hedge.leg_b import LegB
from examples.hedge.settings import StrategySettings
from wrappy import LighterDealer
from wrappy.lighter.config import ApiKeyConfig, DealerConfig
from wrappy.runner.bus import BusDownError, MemoryBus
from wrappy.runner.in_process import InProcessExchange, TravelTimes
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue.fault_rules import FaultRule
from wrappy.venue.settings import VenueSettings

MOST_S = 5.0
LOOK_S = 0.05
LIMIT_LOTS = 50
ACTIONS = ("B hedge of", "is refused", "B gives up", "A closes", "halts")
STRATEGY = StrategySettings(rounds=1_000)


class FaultyBus(MemoryBus):
    """A bus that loses messages or is down when told so."""

    def __init__(self):
        super().__init__()
        self.loses = 0
        self.lost = 0
        self.is_down = False

    async def publish(self, channel, fields):
        if self.is_down:
            raise BusDownError("the bus is down")
        if self.loses and channel.endswith("a_filled"):
            self.loses -= 1
            self.lost += 1
            return "0"
        return await super().publish(channel, fields)


class Stage:
    """A pair, its exchange, and what both legs told."""

    def __init__(self, exchange):
        self.exchange = exchange
        self.bus = FaultyBus()
        self.told = []
        self.legs = {}
        self.halted = []

    def config(self, leg):
        account = self.exchange.accounts["ab".index(leg)]
        return DealerConfig(
            base_url=self.exchange.base_url,
            chain_id=self.exchange.chain_id,
            account_index=account.account_index,
            api_keys=tuple(
                ApiKeyConfig(key.api_key_index, key.api_key_private_key)
                for key in account.api_keys
            ),
            symbol="ETH",
        )

    def tell(self, words):
        self.told.append((asyncio.get_running_loop().time(), words))

    def start(self, leg):
        self.legs[leg] = asyncio.ensure_future(self._run(leg))

    async def _run(self, leg):
        accounts = tuple(one.account_index for one in self.exchange.accounts[:2])
        environment = self.exchange.environment
        async with open_post(
            self.config(leg),
            accounts,
            STRATEGY,
            self.bus,
            environment=environment,
            tell=self.tell,
        ) as post:
            if leg == "a":
                running = await LegA.create(post)
            else:
                running = await LegB.create(post, HedgeJournal(None))
            try:
                await running.run()
            except HedgeHaltedError as error:
                self.halted.append(str(error))

    async def stop(self, leg):
        task = self.legs.pop(leg)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def position(self, place):
        account = self.exchange.accounts[place].account_index
        total = 0
        for trade in self.exchange.ledger.trades(account):
            total += trade.base * (trade.bid_account == account)
            total -= trade.base * (trade.ask_account == account)
        return total

    @property
    def exposure(self):
        return self.position(0) + self.position(1)

    async def until(self, condition, within_s=120.0):
        ends = asyncio.get_running_loop().time() + within_s
        while not condition():
            assert asyncio.get_running_loop().time() < ends, self.told[-10:]
            await asyncio.sleep(LOOK_S)

    async def watch(self, longest):
        """Note the longest time out of balance in which nobody acted."""
        loop = asyncio.get_running_loop()
        since = None
        while True:
            now = loop.time()
            if abs(self.exposure) <= LIMIT_LOTS:
                since = None
            else:
                since = now if since is None else since
                acted = [
                    at for at, words in self.told if any(a in words for a in ACTIONS)
                ]
                quiet_s = now - max([since, *acted[-1:]])
                if not self.halted:
                    longest.append(quiet_s)
            await asyncio.sleep(LOOK_S)


def send_fault(stage, **rule):
    account = stage.exchange.accounts[1].account_index
    return stage.exchange.faults.add(
        FaultRule(path="/api/v1/sendTx*", account=account, **rule)
    )


def a_has_traded(stage):
    before = stage.position(0)
    return lambda: stage.position(0) != before


async def nothing(stage):
    """Both legs do their work."""
    await stage.until(lambda: len(hedges(stage)) >= 4)


async def lost_message(stage):
    """The message of a fill never arrives."""
    stage.bus.loses = 1
    await stage.until(lambda: stage.bus.lost)
    await stage.until(lambda: any("B repairs" in words for _, words in stage.told))


async def rejected_leg_b(stage):
    """The exchange refuses two hedges, then takes them."""
    send_fault(stage, act="status", code=500, times=2)
    await stage.until(lambda: told(stage, "is refused") or told(stage, "doubt"))


async def rejected_leg_b_for_good(stage):
    """The exchange refuses every hedge for a while: leg A closes its side."""
    handle = send_fault(stage, act="status", code=400)
    await stage.until(lambda: told(stage, "A closes"))
    stage.exchange.faults.remove(handle)


async def lost_answers(stage):
    """Hedges are executed, their answers lost: none is sent a second time."""
    send_fault(stage, act="drop", phase="reply", times=2)
    await stage.until(lambda: told(stage, "doubt"))


async def crash_of_leg_b(stage):
    """Leg B is gone for a minute: leg A closes, leg B takes up where it stands."""
    await stage.stop("b")
    await stage.until(lambda: told(stage, "A closes"))
    stage.start("b")


async def crash_of_leg_b_with_a_message_waiting(stage):
    """Leg B is gone for a moment, and a fill comes meanwhile."""
    await stage.stop("b")
    await stage.until(a_has_traded(stage))
    stage.start("b")


async def crash_of_leg_a(stage):
    """Leg A dies with a fill that it told nobody of."""
    stage.bus.loses = 1
    await stage.until(lambda: stage.bus.lost)
    await stage.stop("a")
    await stage.until(lambda: abs(stage.exposure) <= LIMIT_LOTS, 10.0)
    stage.start("a")


async def bus_down(stage):
    """The bus is down: the positions alone keep the pair, and quoting ends."""
    stage.bus.is_down = True
    await stage.until(lambda: told(stage, "the bus is down"))
    await asyncio.sleep(15)
    orders = stage.exchange.ledger.orders(stage.exchange.accounts[0].account_index)
    assert not [order for order in orders if order.status == "open"]
    stage.bus.is_down = False


CASES = (
    nothing,
    lost_message,
    rejected_leg_b,
    rejected_leg_b_for_good,
    lost_answers,
    crash_of_leg_b,
    crash_of_leg_b_with_a_message_waiting,
    crash_of_leg_a,
    bus_down,
)


def told(stage, words):
    return [at for at, line in stage.told if words in line]


def hedges(stage):
    return [
        line for _, line in stage.told if "traded" in line and "traded 0" not in line
    ]


async def played(case, seed):
    settings = VenueSettings(verify=False, symbols=("ETH",), seed=seed)
    travel = TravelTimes(request_ms=(5, 40), reply_ms=(5, 40))
    async with InProcessExchange(settings, travel=travel, repeats=True) as exchange:
        stage = Stage(exchange)
        longest = [0.0]
        watching = asyncio.ensure_future(stage.watch(longest))
        stage.start("b")
        stage.start("a")
        await stage.until(lambda: hedges(stage))
        await case(stage)
        done = len(hedges(stage))
        await stage.until(lambda: stage.halted or len(hedges(stage)) >= done + 2)
        await stage.stop("a")
        await stage.until(lambda: abs(stage.exposure) <= LIMIT_LOTS, 10.0)
        await stage.stop("b")
        watching.cancel()
        first = exchange.accounts[0].account_index
        left = [o for o in exchange.ledger.orders(first) if o.status == "open"]
        return stage, max(longest), left


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_pair_out_of_balance_is_acted_on_and_comes_back(case, seed):
    stage, quiet_s, left = run_virtual(lambda: played(case, seed))
    print(f"{case.__name__}: longest without an action {quiet_s:.2f} s")
    assert quiet_s <= MOST_S
    assert abs(stage.exposure) <= LIMIT_LOTS
    assert not stage.halted
    assert left == []


async def without_leg_b():
    settings = VenueSettings(verify=False, symbols=("ETH",), seed=3)
    async with InProcessExchange(settings, repeats=True) as exchange:
        stage = Stage(exchange)
        first = exchange.accounts[0].account_index
        longest = [0.0]
        watching = asyncio.ensure_future(stage.watch(longest))
        for tx in ("/api/v1/sendTx", "/api/v1/sendTxBatch"):
            exchange.faults.add(
                FaultRule(
                    act="silent_drop",
                    phase="after_accept",
                    path=tx,
                    account=exchange.accounts[1].account_index,
                )
            )
        stage.start("b")
        stage.start("a")
        await stage.until(lambda: stage.position(0) != 0)
        # From now on nothing that either leg sends is carried out.
        exchange.faults.add(
            FaultRule(
                act="silent_drop",
                phase="after_accept",
                path="/api/v1/sendTx*",
                account=first,
            )
        )
        await stage.until(lambda: stage.halted)
        watching.cancel()
        for leg in tuple(stage.legs):
            await stage.stop(leg)
        return stage, max(longest)


def test_where_neither_leg_can_act_both_say_so_and_end():
    stage, quiet_s = run_virtual(without_leg_b)
    assert quiet_s <= MOST_S
    assert stage.halted
    assert told(stage, "B gives up")
    assert told(stage, "halts")


async def begun_unbalanced(place, size):
    settings = VenueSettings(verify=False, symbols=("ETH",), seed=4)
    async with InProcessExchange(settings, repeats=True) as exchange:
        stage = Stage(exchange)
        config = stage.config("ab"[place])
        async with await LighterDealer.create(
            config, environment=exchange.environment
        ) as dealer:
            await dealer.create_market_order(size)
        await stage.until(lambda: stage.exposure != 0)
        stage.start("b")
        await stage.until(lambda: abs(stage.exposure) <= LIMIT_LOTS, 5.0)
        stage.start("a")
        await stage.until(lambda: len(hedges(stage)) >= 2)
        await stage.stop("a")
        await stage.until(lambda: abs(stage.exposure) <= LIMIT_LOTS, 5.0)
        await stage.stop("b")
        return stage


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("size", [Decimal("0.2"), Decimal("-0.2")])
def test_a_pair_found_unbalanced_is_repaired_first(place, size):
    stage = run_virtual(lambda: begun_unbalanced(place, size))
    assert told(stage, "B starts unbalanced")
    assert abs(stage.exposure) <= LIMIT_LOTS
