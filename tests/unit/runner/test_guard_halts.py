"""A halted guard: orders that come or stay, an exchange that is away, a restart."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest

from tests.unit.runner.test_guard import play
from wrappy import RiskDeniedError
from wrappy.lighter.risk_desk import TradingState
from wrappy.venue import FaultRule


def test_a_state_that_is_noticed_over_an_order_is_told():
    async def scenario(place):
        dealer, _, _ = await place.guarded()
        seen = []
        place.guard.on_change = seen.append
        place.exchange.faults.add(FaultRule(act="freeze", phase="tick"))
        await asyncio.sleep(46)
        with pytest.raises(RiskDeniedError, match="reducing"):
            await dealer.create_limit_order(1_000, 0.1)
        assert [one.state for one in seen] == [TradingState.REDUCING]

    play(scenario, watches_risk=False)


def test_orders_of_a_dealer_that_comes_during_a_halt_are_taken_away():
    async def scenario(place):
        await place.guarded()
        place.guard.halt("a person says so")
        await asyncio.sleep(1)
        dealer = await place.dealer()
        await dealer.create_limit_order(2_000, 0.1)
        await dealer.flush()
        await place.guard.watch(dealer, await place.overlay("ETH"))
        await asyncio.sleep(5)
        assert await dealer.fetch_open_orders() == []

    play(scenario)


def test_a_halt_goes_on_cancelling_when_the_exchange_was_away_for_long():
    async def scenario(place):
        dealer, _, _ = await place.guarded()
        await dealer.create_limit_order(2_000, 0.1)
        await dealer.flush()
        await asyncio.sleep(1)
        away = place.exchange.faults.add(
            FaultRule(act="status", code=503, path="/api/v1/sendTx*")
        )
        place.guard.halt("a person says so")
        await asyncio.sleep(600)
        place.exchange.faults.remove(away)
        await asyncio.sleep(40)
        assert await dealer.fetch_open_orders() == []

    play(scenario)


def test_a_halt_that_is_over_cancels_nothing_any_more():
    async def scenario(place):
        dealer, _, _ = await place.guarded()
        await dealer.create_limit_order(2_000, 0.1)
        await dealer.flush()
        await asyncio.sleep(1)
        away = place.exchange.faults.add(
            FaultRule(act="status", code=503, path="/api/v1/sendTx*")
        )
        place.guard.halt("a person says so")
        await asyncio.sleep(20)
        place.guard.resume()
        place.exchange.faults.remove(away)
        await asyncio.sleep(20)
        await dealer.create_limit_order(2_000, 0.1)
        await dealer.flush()
        await asyncio.sleep(20)
        assert dealer.orders.live()

    play(scenario)


def test_a_persons_halt_is_kept_although_the_equity_was_never_known(tmp_path):
    async def halted(place):
        place.guard.halt("a person says so")

    async def again(place):
        assert place.guard.state is TradingState.HALTED
        assert "a person says so" in place.guard.reason

    play(halted, state_dir=tmp_path)
    play(again, state_dir=tmp_path)


def test_a_second_halt_is_kept_at_once(tmp_path):
    async def scenario(place):
        place.guard.halt("first")
        place.guard.resume()
        assert json.loads((tmp_path / "risk-guard.json").read_text())["halts"] == {}

    play(scenario, state_dir=tmp_path)


def test_a_loss_that_a_person_has_forgiven_does_not_halt_after_a_restart(tmp_path):
    async def losing(place):
        await place.guarded()
        place.guard.take_equity(Decimal(10_000))
        place.guard.take_equity(Decimal(9_000))
        assert place.guard.state is TradingState.HALTED
        place.guard.resume()

    async def again(place):
        place.guard.take_equity(Decimal(8_900))
        assert place.guard.state is not TradingState.HALTED
        place.guard.take_equity(Decimal(8_400))
        assert place.guard.state is TradingState.HALTED

    limits = {"max_daily_loss": 500, "max_drawdown": "0.05"}
    play(losing, state_dir=tmp_path, watches_risk=False, **limits)
    play(again, state_dir=tmp_path, watches_risk=False, **limits)
