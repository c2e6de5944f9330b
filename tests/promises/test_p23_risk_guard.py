"""P23: no order reaches the exchange by which an account could pass its limits.

A strategy does whatever comes to mind, on two sessions of one account and two markets,
while answers are lost, streams are cut and others trade against it. After every step of
the exchange its own record says how far the account could get. Time is virtual.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections import Counter
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
)

from tests.promises.places import config_at, in_process
from tests.reaching import run_until_reached
from wrappy import LighterDealer, RiskDeniedError, WrappyError, WsInfo
from wrappy.runner.risk import AccountGuard, RiskLimits
from wrappy.runner.virtual_time import VirtualLoop
from wrappy.runner.worlds.world import World
from wrappy.venue import FaultRule
from wrappy.venue.events import OrderChanged

EXAMPLES = int(os.environ.get("WRAPPY_FUZZ_CASES", "4000")) // 80
MOST = {"ETH": Decimal("0.5"), "BTC": Decimal("0.02")}
MOST_ORDERS = 12
MOST_WORTH = 1_100
LIVE = ("open", "pending", "in-progress")
PRICES = {"ETH": (2_990, 3_010), "BTC": (99_500, 100_500)}
STEPS = {"ETH": Decimal("0.05"), "BTC": Decimal("0.002")}
LOST = {
    "reply": {"act": "drop", "phase": "reply"},
    "request": {"act": "drop", "phase": "request"},
    "accepted": {"act": "silent_drop", "phase": "after_accept"},
}
seen: Counter[str] = Counter()


class Account:
    """How far an account could get, by the exchange's own record."""

    def __init__(self, exchange):
        self.broken = []
        self._exchange = exchange
        self._index = exchange.accounts[0].account_index
        self._due = False
        exchange.ledger.listen(self._hear)

    def _hear(self, event):
        if isinstance(event, OrderChanged) and not self._due:
            self._due = True
            # Between two events of one step the record contradicts itself.
            asyncio.get_running_loop().call_soon(self._check)

    def live(self):
        return [
            order
            for order in self._exchange.ledger.orders(self._index)
            if order.status in LIVE
        ]

    def _check(self):
        self._due = False
        exchange = self._exchange.engine.exchange
        live = self.live()
        if len(live) > MOST_ORDERS:
            self.broken.append(f"{len(live)} orders")
        for state in exchange.markets.values():
            market = state.market
            if market.symbol not in MOST:
                continue
            held = exchange.accounts[self._index].ledger.size(market.market_id)
            most = int(MOST[market.symbol] * market.size_scale)
            free = [
                order
                for order in live
                if order.market_index == market.market_id and not order.reduce_only
            ]
            for is_ask in (False, True):
                lots = sum(o.remaining for o in free if o.is_ask is is_ask)
                worst = lots - held if is_ask else lots + held
                if worst > most:
                    self.broken.append(f"{market.symbol} {is_ask=} {worst} > {most}")
            for order in free:
                worth = order.price * order.remaining * market.quote_multiplier
                if worth > MOST_WORTH * 10**6:
                    self.broken.append(f"an order worth {worth}")


class AnyStrategy(RuleBasedStateMachine):
    """A strategy without sense, in surroundings without mercy."""

    def __init__(self):
        super().__init__()
        self.loop = VirtualLoop()
        self.mine = []
        self.run(self._open())

    def run(self, work):
        return self.loop.run_until_complete(work)

    async def _open(self):
        self.exchange = in_process(symbols=tuple(MOST), repeats=True)
        await self.exchange.__aenter__()
        self.account = Account(self.exchange)
        config = config_at(self.exchange, "unused", symbol=None)
        world = World(
            name="venue", config=config, environment=self.exchange.environment
        )
        limits = RiskLimits(
            max_position=MOST,
            max_open_orders=MOST_ORDERS,
            max_order_notional=MOST_WORTH,
            max_unknown_orders=3,
        )
        self.guard = AccountGuard(limits)
        await self.guard.start(world)
        self.dealers, self.closing = [], []
        for key, symbols in enumerate((("ETH", "BTC"), ("ETH",))):
            ws = None
            for symbol in symbols:
                # A doubt holds up one key; the other goes on.
                dealer = await self._dealer(0, symbol, key)
                if ws is None:
                    ws = await self._overlay(symbols)
                    self.closing.append(ws.aclose)
                self.closing.append(_later(ws.attach(dealer)))
                self.closing.append(_later(await self.guard.watch(dealer, ws)))
                self.dealers.append(dealer)
        self.others = {s: await self._dealer(1, s) for s in MOST}
        for symbol, other in self.others.items():
            for price, sign in zip(PRICES[symbol], (1, -1), strict=True):
                await other.create_limit_order(price, STEPS[symbol] * sign * 200)
            await other.flush()

    async def _dealer(self, account, symbol, key=0):
        config = config_at(self.exchange, "unused", account, symbol=symbol)
        dealer = await LighterDealer.create(
            dataclasses.replace(config, api_keys=(config.api_keys[key],)),
            environment=self.exchange.environment,
        )
        self.closing.append(dealer.aclose)
        return dealer

    async def _overlay(self, symbols):
        owner = self.exchange.accounts[0]
        return await WsInfo.run_overlay(
            owner.account_index,
            owner.api_keys[0].api_key_index,
            owner.api_keys[0].api_key_private_key,
            symbols=symbols,
            base_url=self.exchange.base_url,
            chain_id=self.exchange.chain_id,
            environment=self.exchange.environment,
        )

    def teardown(self):
        async def close():
            await self.guard.aclose()
            for one in reversed(self.closing):
                await one()
            await self.exchange.aclose()

        try:
            self.run(close())
        finally:
            self.loop.close()

    # ------------------------------------------------------------ what it does

    def attempt(self, name, work):
        if self.guard.get_risk_status()["unknown_orders"]:
            seen["with unknown orders"] += 1

        async def trying():
            try:
                found = await asyncio.wait_for(work, 30)
            except RiskDeniedError as error:
                seen["why " + str(error)[:24]] += 1
                seen[f"{name} denied"] += 1
            except (WrappyError, asyncio.TimeoutError) as error:
                seen[f"{name} {type(error).__name__}"] += 1
            else:
                seen[name] += 1
                return found
            return None

        found = self.run(trying())
        assert not self.account.broken, self.account.broken
        return found

    def price(self, dealer, place):
        low, high = PRICES[dealer.market.symbol]
        return low + (high - low) * place // 20

    @rule(
        who=st.integers(0, 2),
        place=st.integers(0, 20),
        steps=st.integers(-7, 7).filter(bool),
        kind=st.sampled_from(["gtt", "gtt", "ioc", "post_only"]),
        reduce_only=st.sampled_from([False, False, False, True]),
        goes=st.booleans(),
    )
    def order(self, *, who, place, steps, kind, reduce_only, goes):
        dealer = self.dealers[who]
        result = self.attempt(
            "order",
            dealer.create_limit_order(
                self.price(dealer, place),
                STEPS[dealer.market.symbol] * steps,
                time_in_force="gtt" if kind == "post_only" else kind,
                post_only=kind == "post_only",
                reduce_only=reduce_only,
            ),
        )
        if result is not None:
            self.mine.append((dealer, result["client_order_index"]))
        if goes:
            self.attempt("flush", dealer.flush())

    @rule(
        who=st.sampled_from([0, 0, 2, 1]),
        steps=st.sampled_from([-7, -5, 5, 7]),
        count=st.integers(1, 3),
        lost=st.booleans(),
    )
    def press(self, who, steps, count, lost):
        """Go for the limit of one side, with an answer that may be lost."""
        if lost:
            self.lose("reply", 1)
        for _ in range(count):
            self.order(
                who=who, place=10, steps=steps, kind="gtt", reduce_only=False, goes=True
            )

    @rule(who=st.integers(0, 2), steps=st.integers(-7, 7).filter(bool))
    def market(self, who, steps):
        dealer = self.dealers[who]
        low, high = PRICES[dealer.market.symbol]
        self.attempt(
            "market",
            dealer.create_market_order(
                STEPS[dealer.market.symbol] * steps, high if steps > 0 else low
            ),
        )

    @rule(who=st.integers(0, 2), steps=st.integers(-5, 5).filter(bool))
    def bracket(self, who, steps):
        dealer = self.dealers[who]
        low, high = PRICES[dealer.market.symbol]
        profit, loss = (high, low) if steps > 0 else (low, high)
        self.attempt(
            "bracket",
            dealer.create_bracket(
                (low + high) // 2,
                STEPS[dealer.market.symbol] * steps,
                take_profit=profit,
                stop_loss=loss,
            ),
        )

    @precondition(lambda self: self.mine)
    @rule(data=st.data(), place=st.integers(0, 20), steps=st.integers(1, 7))
    def change(self, data, place, steps):
        dealer, number = data.draw(st.sampled_from(self.mine[-4:]))
        self.attempt(
            "change",
            dealer.update_order_by_coi(
                number,
                self.price(dealer, place),
                STEPS[dealer.market.symbol] * steps,
            ),
        )

    @precondition(lambda self: self.mine)
    @rule(data=st.data())
    def cancel(self, data):
        dealer, number = data.draw(st.sampled_from(self.mine))
        denied = self.guard.get_risk_status()["denied_orders"]
        self.attempt("cancel", dealer.cancel_order_by_coi(number))
        assert self.guard.get_risk_status()["denied_orders"] == denied

    @rule(
        who=st.sampled_from([0, 2]),
        sign=st.sampled_from([-1, 1]),
        channel=st.sampled_from(["account_all_orders", "account_all_positions"]),
        act=st.sampled_from(["drop", "delay"]),
        grows=st.booleans(),
        filled=st.booleans(),
    )
    def press_blindly(self, *, who, sign, channel, act, grows, filled):
        """Go for the limit while one of the account's channels is deaf."""
        before = len(self.mine)
        self.order(
            who=who, place=10, steps=3 * sign, kind="gtt", reduce_only=False, goes=True
        )
        self.wait(1_500)
        self.deafen(channel, act, 4)
        if grows and len(self.mine) > before:
            dealer, number = self.mine[-1]
            size = STEPS[dealer.market.symbol] * 7
            self.attempt("change", dealer.update_order_by_coi(number, quantity=size))
            self.attempt("flush", dealer.flush())
        if filled:
            self.others_trade(symbol="ETH", place=10, steps=-9 * sign, kind="ioc")
        self.wait(100)
        self.press(who, 5 * sign, 3, lost=False)

    @rule(sign=st.sampled_from([-1, 1]), first=st.sampled_from([0, 2]))
    def press_in_doubt(self, sign, first):
        """Go for the limit on one key while another's order is in doubt."""
        for path in ("/api/v1/tx*", "/api/v1/next*", "/api/v1/account*"):
            self.exchange.faults.add(
                FaultRule(act="status", code=503, path=path, times=4)
            )
        self.deafen("account_all_orders", "drop", 4)
        self.lose("reply", 1)
        for who in (first, 2 - first, 2 - first):
            self.order(
                who=who,
                place=10,
                steps=5 * sign,
                kind="gtt",
                reduce_only=False,
                goes=True,
            )

    @rule(who=st.integers(0, 2))
    def cancel_all(self, who):
        self.attempt("cancel all", self.dealers[who].cancel_all_orders())

    @rule(who=st.integers(0, 2))
    def flush(self, who):
        self.attempt("flush", self.dealers[who].flush())

    # ------------------------------------------------------ what happens to it

    @rule(
        symbol=st.sampled_from(sorted(MOST)),
        place=st.integers(0, 20),
        steps=st.integers(-9, 9).filter(bool),
        kind=st.sampled_from(["gtt", "ioc"]),
    )
    def others_trade(self, *, symbol, place, steps, kind):
        other = self.others[symbol]

        async def trade():
            await other.create_limit_order(
                self.price(other, place), STEPS[symbol] * steps, time_in_force=kind
            )
            await other.flush()

        self.attempt("others", trade())

    @rule(what=st.sampled_from(sorted(LOST)), times=st.integers(1, 2))
    def lose(self, what, times):
        owner = self.exchange.accounts[0].account_index
        self.exchange.faults.add(
            FaultRule(path="/api/v1/sendTx*", account=owner, times=times, **LOST[what])
        )

    @rule(
        channel=st.sampled_from(["account_all_orders", "account_all_positions"]),
        act=st.sampled_from(["drop", "delay"]),
        times=st.integers(1, 4),
    )
    def deafen(self, channel, act, times):
        delay = {"delay_ms": 3_000} if act == "delay" else {}
        self.exchange.faults.add(
            FaultRule(act=act, phase="push", channel=channel, times=times, **delay)
        )

    @rule(seconds=st.sampled_from([0, 5, 5]))
    def cut(self, seconds):
        self.exchange.faults.add(
            FaultRule(act="close", phase="tick", code=1006, times=1)
        )
        self.attempt("wait", asyncio.sleep(seconds))

    @rule(millis=st.sampled_from([20, 100, 1_500, 5_000, 20_000]))
    def wait(self, millis):
        self.attempt("wait", asyncio.sleep(millis / 1_000))

    @rule()
    def halt_and_cancel(self):
        """Halted, nothing new passes, and every cancel does."""
        self.guard.halt("a test")
        for dealer, number in self.mine[-3:]:
            self.attempt("cancel", dealer.cancel_order_by_coi(number))
        result = self.attempt("late", self.dealers[0].create_limit_order(2_990, 0.05))
        assert result is None
        for dealer in self.dealers:
            self.attempt("flush", dealer.flush())
        self.guard.resume()


def _later(stop):
    async def stopping():
        stop()

    return stopping


def test_no_order_goes_beyond_the_limits_whatever_a_strategy_does_and_loses():
    asked = ("order", "market", "bracket", "change")
    run_until_reached(
        AnyStrategy,
        settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None),
        seen=seen,
        reached=(*asked, *(f"{name} denied" for name in (*asked, "late")), "cancel"),
        at_random="WRAPPY_FUZZ_CASES" in os.environ,
    )
