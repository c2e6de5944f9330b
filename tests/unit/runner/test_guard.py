"""The guard before the dealers of an account, at an exchange in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from decimal import Decimal

import pytest

from tests.promises.places import config_at, in_process
from wrappy import (
    ConfigError,
    LighterDealer,
    RiskDeniedError,
    SendOutcomeUnknownError,
    UsageError,
    WsInfo,
)
from wrappy.lighter.risk_desk import TradingState
from wrappy.runner.risk import AccountGuard, RiskLimits
from wrappy.runner.virtual_time import DEFAULT_EPOCH_S, run_virtual
from wrappy.runner.worlds.world import World
from wrappy.venue import FaultRule


class Place:
    """An exchange, a guarded account, and somebody to trade with."""

    def __init__(self, exchange, stack, guard):
        self.exchange = exchange
        self.guard = guard
        self._stack = stack

    async def dealer(self, account=0, symbol="ETH", **changes):
        return await self._stack.enter_async_context(
            await LighterDealer.create(
                config_at(self.exchange, "unused", account, symbol=symbol, **changes),
                environment=self.exchange.environment,
            )
        )

    async def overlay(self, *symbols, **changes):
        owner = self.exchange.accounts[0]
        return await self._stack.enter_async_context(
            await WsInfo.run_overlay(
                owner.account_index,
                owner.api_keys[0].api_key_index,
                owner.api_keys[0].api_key_private_key,
                symbols=symbols,
                base_url=self.exchange.base_url,
                chain_id=self.exchange.chain_id,
                environment=self.exchange.environment,
                **changes,
            )
        )

    async def guarded(self, symbol="ETH", **changes):
        dealer, ws = (
            await self.dealer(symbol=symbol),
            await self.overlay(symbol, **changes),
        )
        self._stack.callback(ws.attach(dealer))
        end = await self.guard.watch(dealer, ws)
        self._stack.callback(end)
        return dealer, ws, end

    async def quotes(self, bid=2_990, ask=3_010, size=5):
        other = await self.dealer(1)
        await other.create_limit_order(bid, size)
        await other.create_limit_order(ask, -size)
        await other.flush()
        return other

    def status(self):
        return self.guard.get_risk_status()

    def exposure(self, symbol="ETH"):
        return self.status()["exposure"][symbol]

    def world(self, **changes):
        return World(
            name="venue",
            config=config_at(self.exchange, "unused", symbol=None),
            environment=self.exchange.environment,
            **changes,
        )


def play(
    scenario, *, state_dir=None, watches_risk=True, epoch_s=DEFAULT_EPOCH_S, **limits
):
    """Run a scenario with a guarded account."""

    async def main():
        async with (
            in_process(symbols=("ETH", "BTC"), repeats=True) as exchange,
            contextlib.AsyncExitStack() as stack,
        ):
            guard = AccountGuard(RiskLimits(**limits), state_dir=state_dir)
            place = Place(exchange, stack, guard)
            await guard.start(place.world(watches_risk=watches_risk))
            stack.push_async_callback(guard.aclose)
            await scenario(place)

    run_virtual(main, epoch_s=epoch_s)


def test_a_denied_order_is_neither_queued_nor_sent_and_the_status_tells_why():
    async def scenario(place):
        dealer, _, _ = await place.guarded()
        await dealer.create_limit_order(2_000, 0.4)
        with pytest.raises(RiskDeniedError, match="long by 11000 lots"):
            await dealer.create_limit_order(2_000, 0.7)
        assert (await dealer.flush())["count"] == 1
        status = place.status()
        assert status["denied_orders"] == 1
        assert "long by 11000 lots" in status["last_denial"]
        assert status["open_orders_count"] == 1
        assert place.exposure()["highest"] == Decimal("0.4")
        assert status["current_equity"] == Decimal(100_000)
        assert status["daily_pnl"] == 0
        assert status["drawdown"] == 0
        assert status["state"] == "active"
        assert place.guard.state is TradingState.ACTIVE
        assert place.guard.reason == ""

    async def settled(place):
        await asyncio.sleep(0)
        await scenario(place)

    play(settled, max_position={"ETH": 1}, max_daily_loss=1_000)


def test_two_sessions_share_one_limit_and_orders_placed_elsewhere_count():
    async def scenario(place):
        first, _, _ = await place.guarded()
        second, _, _ = await place.guarded()
        await first.create_limit_order(2_000, 0.4)
        await first.flush()
        await asyncio.sleep(0.5)
        assert place.exposure()["highest"] == Decimal("0.4")
        with pytest.raises(RiskDeniedError):
            await second.create_limit_order(2_000, 0.7)
        by_hand = await place.dealer()
        await by_hand.create_limit_order(2_000, 0.3)
        await by_hand.flush()
        await asyncio.sleep(0.5)
        assert place.exposure()["highest"] == Decimal("0.7")
        assert place.status()["open_orders_count"] == 2
        with pytest.raises(RiskDeniedError):
            await first.create_limit_order(2_000, 0.4)

    play(scenario, max_position={"ETH": 1})


def test_orders_and_positions_that_were_there_before_count():
    async def scenario(place):
        await place.quotes()
        by_hand = await place.dealer()
        await by_hand.create_market_order(0.3, 3_020)
        await by_hand.create_limit_order(2_000, 0.2)
        await by_hand.flush()
        bitcoin = await place.dealer(symbol="BTC")
        await bitcoin.create_limit_order(90_000, 0.01)
        await bitcoin.flush()
        await asyncio.sleep(0.5)
        dealer, _, _ = await place.guarded()
        exposure = place.exposure()
        assert exposure["position"] == Decimal("0.3")
        assert exposure["highest"] == Decimal("0.5")
        assert exposure["disputed"] is False
        assert place.status()["open_orders_count"] == 2
        with pytest.raises(RiskDeniedError, match="position"):
            await dealer.create_limit_order(2_000, 0.6)
        # Another market is looked at before there is a dealer for it.
        await place.guarded("BTC")
        assert place.exposure("BTC")["highest"] == Decimal("0.01")

    play(scenario, max_position={"ETH": 1})


def test_an_order_whose_answer_was_lost_counts_as_resting_and_too_many_reduce():
    async def scenario(place):
        dealer, _, _ = await place.guarded()
        place.exchange.faults.add(
            FaultRule(act="drop", phase="push", channel="account_all_orders", times=9)
        )
        place.exchange.faults.add(
            FaultRule(act="drop", phase="reply", path="/api/v1/sendTx*", times=1)
        )
        await dealer.create_limit_order(2_000, 0.4)
        with pytest.raises(SendOutcomeUnknownError):
            await dealer.flush()
        status = place.status()
        assert status["unknown_orders"] == 1
        assert place.exposure()["highest"] == Decimal("0.4")
        with pytest.raises(RiskDeniedError, match="unknown fate, 0 are allowed"):
            await dealer.create_limit_order(2_000, 0.1)
        assert place.guard.state is TradingState.REDUCING

    play(scenario, max_unknown_orders=0)


def test_a_denied_change_leaves_the_order_as_it_was_known():
    async def scenario(place):
        dealer, _, _ = await place.guarded()
        order = await dealer.create_limit_order(2_000, 0.4)
        await dealer.flush()
        await asyncio.sleep(0.5)
        number = order["client_order_index"]
        with pytest.raises(RiskDeniedError):
            await dealer.update_order_by_coi(number, quantity=2)
        changed = await dealer.update_order_by_coi(number, price=1_999)
        assert changed["size"] == Decimal("0.4")
        await dealer.flush()
        await asyncio.sleep(0.5)
        record = dealer.orders.get(number)
        with (
            pytest.warns(DeprecationWarning, match="index"),
            pytest.raises(RiskDeniedError),
        ):
            await dealer.update_order(record.order_index, 1_999, 2)

    play(scenario, max_position={"ETH": 1})


def test_a_denied_order_takes_the_others_of_its_batch_along():
    async def scenario(place):
        dealer, _, _ = await place.guarded()
        order = await dealer.create_limit_order(2_000, 0.4)
        await dealer.flush()
        with pytest.raises(RiskDeniedError):
            await dealer.batch_cancel_and_create(
                [order["client_order_index"]], [(2_000, 0.1), (2_000, 5)]
            )
        await asyncio.sleep(0.5)
        assert [one.client_order_index for one in dealer.orders.live()] == [
            order["client_order_index"]
        ]
        assert place.status()["open_orders_count"] == 1

    play(scenario, max_position={"ETH": 1})


def test_a_bracket_counts_its_entry_once_and_its_exits_cover_it():
    async def scenario(place):
        await place.quotes()
        dealer, _, _ = await place.guarded()
        await dealer.create_bracket(2_900, 0.4, take_profit=3_100, stop_loss=2_800)
        exposure = place.exposure()
        assert (exposure["highest"], exposure["lowest"]) == (Decimal("0.4"), 0)
        await dealer.flush()
        with pytest.raises(RiskDeniedError):
            await dealer.create_bracket(2_900, 0.7, take_profit=3_100, stop_loss=2_800)
        taker = await place.dealer(1)
        await taker.create_market_order(-5, 2_890)
        await asyncio.sleep(1)
        exposure = place.exposure()
        assert exposure["position"] == Decimal("0.4")
        assert exposure["uncovered"] == 0

    play(scenario, max_position={"ETH": 1})


def test_a_halt_takes_the_strategies_orders_away_and_lets_nothing_but_cancels_pass():
    async def scenario(place):
        changes = []
        place.guard.on_change = changes.append
        dealer, _, _ = await place.guarded()
        by_hand = await place.dealer(symbol="BTC")
        await by_hand.create_limit_order(90_000, 0.01)
        await by_hand.flush()
        for price in (2_000, 2_001):
            await dealer.create_limit_order(price, 0.1)
        await dealer.flush()
        await dealer.create_limit_order(2_002, 0.1)  # still queued
        place.guard.halt("lunch")
        await asyncio.sleep(2)
        assert dealer.orders.live() == []
        assert len(await dealer.fetch_open_orders(everywhere=True)) == 1
        with pytest.raises(RiskDeniedError, match="halted: lunch"):
            await dealer.create_limit_order(2_000, 0.1)
        with pytest.raises(RiskDeniedError, match="halted: lunch"):
            await dealer.set_leverage(5)
        await dealer.cancel_all_orders()
        place.guard.resume()
        await dealer.create_limit_order(2_000, 0.1)
        states = [one.state.value for one in changes]
        assert states == ["active", "halted", "active"]
        assert [one["state"] for one in place.status()["transitions"]][-2:] == states[
            1:
        ]
        assert place.guard.transitions[-2].reason == "lunch"

    play(scenario)


def test_a_halt_may_leave_orders_where_they_are():
    async def scenario(place):
        dealer, _, _ = await place.guarded()
        await dealer.create_limit_order(2_000, 0.1)
        await dealer.flush()
        place.guard.halt("lunch")
        await asyncio.sleep(2)
        assert len(dealer.orders.live()) == 1

    play(scenario, cancel_on_halt=False)


def test_cancelling_is_tried_again_when_it_fails():
    async def scenario(place):
        dealer, _, _ = await place.guarded()
        await dealer.create_limit_order(2_000, 0.1)
        await dealer.flush()
        place.exchange.faults.add(
            FaultRule(
                act="status", code=503, phase="request", path="/api/v1/sendTx*", times=1
            )
        )
        place.guard.halt("lunch")
        await asyncio.sleep(60)
        assert dealer.orders.live() == []

    play(scenario)


def test_what_waits_in_the_queue_does_not_leave_once_the_account_is_halted():
    async def scenario(place):
        dealer, _, _ = await place.guarded()
        order = await dealer.create_limit_order(2_000, 0.1)
        place.guard.halt("lunch")
        await dealer.flush()
        record = dealer.orders.get(order["client_order_index"])
        assert record.reason == "not sent: halted: lunch"
        assert place.exchange.ledger.accepted() == []

    play(scenario, cancel_on_halt=False)


def test_a_loss_of_the_day_halts_until_midnight_and_is_remembered_over_a_restart(
    tmp_path,
):
    async def lose(place):
        other = await place.quotes(size=20)
        dealer, _, _ = await place.guarded()
        await asyncio.sleep(15)
        await dealer.create_market_order(10, 3_020)
        await asyncio.sleep(1)
        await other.cancel_all_orders()
        await place.quotes(2_900, 2_910, size=20)
        await asyncio.sleep(15)
        assert place.guard.state is TradingState.HALTED
        assert "since 00:00 UTC" in place.guard.reason
        assert place.status()["daily_pnl"] < -500
        assert place.status()["drawdown"] > 0

    evening = DEFAULT_EPOCH_S + 86_400 - 120
    limits = {"state_dir": tmp_path, "epoch_s": evening, "max_daily_loss": 500}
    play(lose, **limits)

    async def come_back(place):
        assert place.guard.state is TradingState.HALTED
        dealer, _, _ = await place.guarded()
        with pytest.raises(RiskDeniedError, match="halted"):
            await dealer.create_limit_order(2_000, 0.1)
        await asyncio.sleep(150)
        assert place.guard.state is TradingState.ACTIVE

    play(come_back, **limits)
    (tmp_path / "risk-guard.json").write_text('{"day": "no"}')
    with pytest.raises(ConfigError, match=r"risk-guard.json: holds no state"):
        play(come_back, **limits)


def test_an_unknown_equity_reduces_when_a_limit_depends_on_it():
    async def scenario(place):
        place.exchange.faults.add(
            FaultRule(act="status", code=503, phase="request", path="/api/v1/account")
        )
        await asyncio.sleep(1)
        assert place.guard.state is TradingState.REDUCING
        place.guard.take_equity(Decimal(100))
        await asyncio.sleep(61)
        assert place.guard.state is TradingState.REDUCING
        assert "older than 60 s" in place.guard.reason

    async def not_needed(place):
        await place.guarded()
        assert place.guard.state is TradingState.ACTIVE

    play(scenario, max_drawdown="0.1")
    play(not_needed)


def test_questions_for_the_worth_go_on_after_one_failed():
    async def scenario(place):
        await place.guarded()
        await asyncio.sleep(15)
        place.exchange.faults.add(
            FaultRule(
                act="status", code=503, phase="request", path="/api/v1/account", times=1
            )
        )
        await asyncio.sleep(40)
        assert place.status()["equity_age"] < 15
        assert place.guard.state is TradingState.ACTIVE

    play(scenario, max_drawdown="0.1")


def test_while_the_stream_is_down_nothing_grows_and_afterwards_it_may_again():
    async def scenario(place):
        await place.quotes()
        dealer, _, _ = await place.guarded()
        place.exchange.faults.add(
            FaultRule(act="close", phase="tick", code=1006, times=1)
        )
        await asyncio.sleep(0.4)
        with pytest.raises(RiskDeniedError, match="stream is not up"):
            await dealer.create_limit_order(2_000, 0.1)
        await asyncio.sleep(10)
        assert place.guard.state is TradingState.ACTIVE
        await dealer.create_limit_order(2_000, 0.1)

    play(scenario)


def test_a_silent_connection_is_stale_before_anybody_closes_it():
    async def scenario(place):
        dealer, _, _ = await place.guarded()
        await asyncio.sleep(1)
        place.exchange.faults.add(FaultRule(act="freeze", phase="tick", times=1))
        await asyncio.sleep(12)
        with pytest.raises(RiskDeniedError, match="nothing was heard"):
            await dealer.create_limit_order(2_000, 0.1)

    play(scenario, max_data_age_s=10)


def test_a_market_without_trades_for_too_long_is_stale():
    async def scenario(place):
        await place.quotes()
        dealer, _, _ = await place.guarded()
        await asyncio.sleep(12)
        with pytest.raises(RiskDeniedError, match="no trade in ETH for 10 s"):
            await dealer.create_limit_order(2_000, 0.1)
        taker = await place.dealer(1)
        by_hand = await place.dealer()
        await by_hand.create_limit_order(2_995, 0.1)
        await by_hand.flush()
        await taker.create_market_order(-0.1, 2_900)
        await asyncio.sleep(2)
        await dealer.create_limit_order(2_000, 0.1)

    play(scenario, max_trades_age_s=10)


def test_prices_come_from_the_mark_or_the_middle_of_the_book():
    async def scenario(place):
        dealer, _, end = await place.guarded()
        with pytest.raises(RiskDeniedError, match="no price of ETH"):
            await dealer.create_limit_order(2_995, 0.1)
        await place.quotes()
        await asyncio.sleep(1)
        await dealer.create_limit_order(2_995, 0.1)
        with pytest.raises(RiskDeniedError, match="price"):
            await dealer.create_limit_order(2_000, 0.1)
        await dealer.flush()
        taker = await place.dealer(1)
        await taker.create_market_order(-0.1, 2_900)
        await asyncio.sleep(1)
        assert place.exposure()["notional"] > 0
        end()
        end()
        await dealer.create_limit_order(2_000, 0.1)  # nobody stands there any more

    play(scenario, price_band="0.05")


def test_what_a_position_is_worth_is_told_without_a_limit_on_it():
    async def scenario(place):
        await place.quotes()
        dealer, _, _ = await place.guarded()
        await dealer.create_market_order(0.5, 3_020)
        await dealer.flush()
        await asyncio.sleep(1)
        # Half an ETH at about 3,000.
        assert Decimal(1_400) < place.exposure()["notional"] < Decimal(1_600)

    play(scenario)


def test_a_position_that_changed_without_orders_is_asked_for():
    async def scenario(place):
        await place.quotes()
        by_hand = await place.dealer()
        await by_hand.create_market_order(0.3, 3_020)
        dealer, _, _ = await place.guarded()
        place.exchange.faults.add(
            FaultRule(
                act="drop", phase="push", channel="account_all_positions", times=5
            )
        )
        place.exchange.faults.add(
            FaultRule(act="status", code=503, path="/api/v1/account", times=1)
        )
        await dealer.create_market_order(0.2, 3_020)
        await asyncio.sleep(0.5)
        assert place.exposure()["disputed"]
        assert place.exposure()["highest"] == Decimal("0.5")
        assert place.exposure()["lowest"] == Decimal("0.3")
        await asyncio.sleep(10)
        assert place.exposure()["disputed"], "the stream still tells the old one"
        await dealer.create_market_order(0.1, 3_020)
        await asyncio.sleep(5)

    play(scenario)


@pytest.mark.parametrize("thin", [False, True])
def test_flatten_cancels_everything_closes_everything_and_says_what_is_left(thin):
    async def scenario(place):
        other = await place.quotes()
        dealer, _, _ = await place.guarded()
        await dealer.create_limit_order(2_000, 0.1)
        await dealer.flush()
        await dealer.create_market_order(0.5, 3_020)
        await asyncio.sleep(0.5)
        if thin:
            await other.cancel_all_orders()
            await other.create_limit_order(2_990, 0.2)
            await other.flush()
        report = await place.guard.flatten(attempts=2, slippage_bps=100)
        assert report.before == {"ETH": Decimal("0.5")}
        assert report.orders_left == {}
        assert report.is_flat is not thin
        assert report.left == ({"ETH": Decimal("0.3")} if thin else {})
        assert bool(report.errors) is thin
        assert place.guard.state is TradingState.HALTED

    play(scenario)


def test_flatten_tries_again_and_does_not_call_flat_what_it_could_not_ask():
    async def scenario(place):
        await place.quotes()
        dealer, _, _ = await place.guarded()
        await dealer.create_market_order(0.5, 3_020)
        await asyncio.sleep(0.5)
        owner = place.exchange.accounts[0].account_index
        place.exchange.faults.add(
            FaultRule(act="status", code=503, account=owner, path="/api/v1/sendTx*")
        )
        place.exchange.faults.add(
            FaultRule(act="status", code=503, path="/api/v1/account*")
        )
        report = await place.guard.flatten(attempts=2)
        assert report.attempts == 2
        assert not report.is_flat
        assert report.unasked == ("account",)
        assert report.errors
        with pytest.raises(ConfigError, match="attempts: 0"):
            await place.guard.flatten(attempts=0)

    play(scenario)


def test_in_a_simulation_nothing_beats_and_equity_comes_from_the_stream():
    async def scenario(place):
        await place.quotes()
        dealer, _, _ = await place.guarded()
        await asyncio.sleep(600)
        await dealer.create_limit_order(2_000, 0.1)
        assert place.guard.state is TradingState.ACTIVE
        assert place.status()["current_equity"] == Decimal(100_000)

    play(scenario, watches_risk=False, max_drawdown="0.5")


def test_without_books_and_trades_only_the_account_is_watched():
    async def scenario(place):
        dealer, _, _ = await place.guarded(market_data="none")
        await dealer.create_limit_order(2_000, 0.1)

    play(scenario)


def test_a_guard_is_started_once_and_before_it_is_used():
    async def scenario(place):
        with pytest.raises(UsageError, match="started once"):
            await place.guard.start(place.world())
        with pytest.raises(UsageError, match="no market is watched yet"):
            await place.guard.flatten()
        fresh = AccountGuard(RiskLimits())
        with pytest.raises(UsageError, match="not started"):
            fresh.get_risk_status()
        await fresh.aclose()

    play(scenario)


def test_a_start_warns_of_nothing(caplog):
    async def scenario(place):
        await place.guarded()
        await asyncio.sleep(2)
        assert place.guard.state is TradingState.ACTIVE

    with caplog.at_level("INFO", logger="wrappy.risk"):
        play(scenario)
    told = [record for record in caplog.records if record.name == "wrappy.risk"]
    assert "positions are not known yet" in told[0].getMessage()
    assert {record.levelname for record in told} == {"INFO"}
