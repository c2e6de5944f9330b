"""An engine at its edges: starts, stops and removals that cross, what breaks inside."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from typing import ClassVar

import pytest

from tests.promises.places import config_at, in_process
from wrappy import ConfigError, LighterDealer, RiskDeniedError, UsageError
from wrappy.errors import SendOutcomeUnknownError
from wrappy.lighter.asking.reading import LIVE_STATUSES
from wrappy.runner.engine.engine import TradingEngine
from wrappy.runner.engine.strategy_run import RunState
from wrappy.runner.events import EventKind
from wrappy.runner.monitor import EngineWatch
from wrappy.runner.risk import AccountGuard, RiskLimits
from wrappy.runner.strategy import NoParameters, Strategy, go_to_position
from wrappy.runner.virtual_time import run_virtual
from wrappy.runner.worlds.world import World
from wrappy.venue import FaultRule

SENDS = "/api/v1/sendTx*"


def play(scenario, *, second_schedule="replace", **changes):
    """Run a scenario at an exchange in virtual time; return what it returns."""

    async def main():
        async with in_process(
            symbols=("ETH", "BTC"), repeats=True, second_schedule=second_schedule
        ) as exchange:
            world = World(
                name="venue",
                config=config_at(exchange, "unused", symbol=None, **changes),
                environment=exchange.environment,
            )
            return await scenario(exchange, world)

    return run_virtual(main)


async def other(exchange, symbol="ETH", account=1, **changes):
    return await LighterDealer.create(
        config_at(exchange, "unused", account, symbol=symbol, **changes),
        environment=exchange.environment,
    )


async def resting(exchange, symbol="ETH", account=0):
    """Return how many live orders an account has in a market."""
    asker = await other(exchange, symbol, account)
    async with asker:
        return len(await asker.fetch_open_orders())


async def quotes(exchange, bid=2_990, ask=3_010, size=5):
    """Have somebody to trade with."""
    maker = await other(exchange)
    await maker.create_limit_order(bid, size)
    await maker.create_limit_order(ask, f"-{size}")
    await maker.flush()
    return maker


class Resting(Strategy[NoParameters]):
    """Leaves one order in each of its markets and waits."""

    prices: ClassVar = {"ETH": 2_000, "BTC": 50_000}

    async def run(self, ctx):
        for symbol in ctx.symbols:
            dealer = ctx.dealer(symbol)
            await dealer.create_limit_order(self.prices[symbol], "0.1")
            await dealer.flush()
        await asyncio.Event().wait()


class Noting(Strategy[NoParameters]):
    """Notes that it began."""

    begun = False

    async def run(self, ctx):  # noqa: ARG002 - the interface
        self.begun = True
        await asyncio.Event().wait()


# ------------------------------------------------------------- starts that are stopped


def test_a_strategy_that_is_stopped_while_it_starts_does_not_begin():
    async def scenario(_exchange, world):
        engine = TradingEngine(world)
        strategy = Noting()
        engine.add_strategy(strategy)
        await engine.start()
        await asyncio.sleep(0)
        assert engine.runs["noting"].state is RunState.STARTING
        report = await engine.stop()
        assert report.is_clean
        assert engine.runs["noting"].state is RunState.STOPPED
        assert not strategy.begun

    play(scenario)


def test_a_stop_does_not_wait_for_an_exchange_that_answers_no_start():
    async def scenario(exchange, world):
        engine = TradingEngine(world, stop_timeout_s=2.0)
        engine.add_strategy(Noting())
        exchange.faults.add(FaultRule(act="stall", path="/api/v1/*"))
        await engine.start()
        await asyncio.sleep(0.5)
        report = await engine.stop()
        assert report.is_clean
        assert report.took_s <= 3.0

    play(scenario)


def test_waiting_for_an_engine_that_was_not_started_is_refused():
    async def scenario(_exchange, world):
        engine = TradingEngine(world)
        engine.add_strategy(Noting())
        with pytest.raises(UsageError, match="start"):
            await asyncio.wait_for(engine.wait(), 1.0)

    play(scenario)


# ---------------------------------------------------------------- removals that cross


def test_what_is_removed_while_the_engine_stops_is_in_its_report():
    async def scenario(exchange, world):
        engine = TradingEngine(world, stop_timeout_s=1.0)
        engine.add_strategy(Resting())
        await engine.start()
        await asyncio.sleep(2)
        exchange.faults.add(FaultRule(act="drop", path=SENDS))
        stopping = asyncio.ensure_future(engine.stop())
        removed = await engine.remove_strategy("resting")
        report = await stopping
        assert len(removed) == 1
        assert report.left == {"resting": removed}

    play(scenario)


def test_a_strategy_may_be_removed_by_two_at_a_time():
    async def scenario(_exchange, world):
        engine = TradingEngine(world)
        engine.add_strategy(Resting())
        await engine.start()
        await asyncio.sleep(2)
        both = [engine.remove_strategy("resting") for _ in range(2)]
        assert await asyncio.gather(*both) == [(), ()]
        await engine.stop()

    play(scenario)


def test_a_strategy_that_comes_later_does_not_own_the_orders_of_the_first(tmp_path):
    async def scenario(exchange, world):
        engine = TradingEngine(world)
        engine.add_strategy(Resting(), name="first")
        await engine.start()
        await asyncio.sleep(2)
        first = engine.runs["first"].session.dealers["ETH"]
        engine.add_strategy(Noting(), name="later")
        await asyncio.sleep(2)
        assert engine.runs["later"].session.live_orders() == ()
        await engine.remove_strategy("later")
        assert len(await first.fetch_open_orders()) == 1
        assert (await engine.stop()).is_clean
        assert await resting(exchange) == 0

    play(scenario, journal=True, state_dir=str(tmp_path))


async def test_what_an_earlier_run_left_belongs_to_one_strategy_and_goes_with_it(
    quiet_venue, config_for, tmp_path
):
    kept = {"journal": True, "state_dir": str(tmp_path / "state")}
    async with await LighterDealer.create(config_for(quiet_venue, **kept)) as before:
        made = await before.create_limit_order(2_000, "0.1")
        await before.flush()
        await before.wait_settled(made["client_order_index"])
    config = config_for(quiet_venue, symbol=None, **kept)
    engine = TradingEngine(World(name="venue", config=config))
    engine.add_strategy(Noting(), name="a")
    engine.add_strategy(Noting(), name="b")
    await engine.start()
    while not all(run.strategy.begun for run in engine.runs.values()):
        await asyncio.sleep(0.01)
    owned = [run.session.live_orders() for run in engine.runs.values()]
    assert sorted(owned) == [(), (made["client_order_index"],)]
    assert (await engine.stop()).is_clean
    account = config.account_index
    assert [o.status for o in quiet_venue.ledger.orders(account)] != ["open"]


# ------------------------------------------------------------ what breaks on the inside


def test_a_strategy_that_was_cancelled_from_inside_has_crashed():
    class Broken(Strategy[NoParameters]):
        async def run(self, ctx):
            work = asyncio.ensure_future(ctx.sleep(1_000))
            asyncio.get_running_loop().call_later(1, work.cancel)
            await work

    async def scenario(_exchange, world):
        engine = TradingEngine(world)
        engine.add_strategy(Broken())
        await engine.start()
        await engine.wait()
        assert engine.runs["broken"].state is RunState.CRASHED
        report = await engine.stop()
        assert list(report.crashed) == ["broken"]

    play(scenario)


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.STOPPING])
def test_an_observer_that_raises_leaves_no_order_behind(state):
    class Clumsy:
        def strategy_changed(self, run):
            if run.state is state:
                raise ValueError(run.name)

        def session_opened(self, _run):
            return lambda: None

    async def scenario(exchange, world):
        engine = TradingEngine(world)
        engine.observe(Clumsy())
        engine.add_strategy(Resting())
        await engine.start()
        await asyncio.sleep(2)
        await engine.stop()
        assert await resting(exchange) == 0
        with pytest.raises(UsageError, match="closed"):
            engine.runs["resting"].session.dealers["ETH"].drop_queued()

    play(scenario)


def test_an_observer_that_cannot_look_leaves_no_session_open():
    class Blind:
        def strategy_changed(self, run):
            pass

        def session_opened(self, run):
            raise ValueError(run.name)

    async def scenario(_exchange, world):
        engine = TradingEngine(world)
        engine.observe(Blind())
        engine.add_strategy(Resting())
        await engine.start()
        await asyncio.sleep(2)
        report = await engine.stop()
        assert list(report.crashed) == ["resting"]
        with pytest.raises(UsageError, match="closed"):
            engine.runs["resting"].session.dealers["ETH"].drop_queued()

    play(scenario)


def test_a_dealer_that_its_strategy_has_closed_keeps_no_other_from_clearing_up():
    class Closing(Resting):
        async def run(self, ctx):
            try:
                await super().run(ctx)
            finally:
                await ctx.dealer("ETH").aclose()

    async def scenario(exchange, world):
        engine = TradingEngine(world, stop_timeout_s=2.0)
        engine.add_strategy(Closing(symbols=["ETH", "BTC"]))
        await engine.start()
        await asyncio.sleep(2)
        report = await engine.stop()
        assert await resting(exchange, "BTC") == 0
        assert len(report.left["closing"]) == 1

    play(scenario)


def test_what_a_strategy_started_beside_itself_sends_nothing_after_its_end():
    denied = []

    class Spawning(Strategy[NoParameters]):
        async def run(self, ctx):
            self.beside = asyncio.ensure_future(self.quote(ctx))
            await asyncio.Event().wait()

        async def quote(self, ctx):
            dealer = ctx.dealer()
            while True:
                await asyncio.sleep(0.05)
                try:
                    await dealer.create_limit_order(2_000, "0.01")
                    await dealer.flush()
                except RiskDeniedError as error:
                    denied.append(str(error))
                except UsageError:
                    return

    async def scenario(exchange, world):
        guard = AccountGuard(RiskLimits())
        engine = TradingEngine(world, guard=guard)
        engine.add_strategy(Spawning())
        await engine.start()
        await asyncio.sleep(2)
        report = await engine.stop()
        assert report.is_clean
        assert denied
        assert "ended" in denied[0]
        assert await resting(exchange) == 0

    play(scenario)


def test_the_dead_mans_switch_stays_set_when_orders_may_be_left():
    async def scenario(exchange, world):
        engine = TradingEngine(world, stop_timeout_s=1.0)
        engine.add_strategy(Resting())
        await engine.start()
        await asyncio.sleep(2)
        exchange.faults.add(
            FaultRule(act="silent_drop", phase="after_accept", tx_type=15)
        )
        report = await engine.stop()
        assert report.left
        assert await resting(exchange) == 1
        await asyncio.sleep(400)
        assert await resting(exchange) == 0

    play(scenario, dead_man_s=300)


# ----------------------------------------------------------------------- saved states


class Remembering(Strategy[NoParameters]):
    """Counts its lives."""

    lives = 0

    async def run(self, ctx):  # noqa: ARG002 - the interface
        self.lives += 1
        await asyncio.Event().wait()

    def save(self):
        return {"lives": self.lives}

    def load(self, state):
        self.lives = state.get("lives", 0)


def test_a_state_that_could_not_be_taken_is_not_written_over(tmp_path):
    path = tmp_path / "remembering.json"
    path.write_text("no JSON")

    async def scenario(_exchange, world):
        engine = TradingEngine(world, state_dir=tmp_path)
        engine.add_strategy(Remembering())
        await engine.start()
        await engine.wait()
        report = await engine.stop()
        assert isinstance(report.crashed["remembering"], ConfigError)

    play(scenario)
    assert path.read_text() == "no JSON"


def test_a_state_that_cannot_be_saved_for_once_is_told_and_saved_later(
    tmp_path, caplog
):
    class Unready(Remembering):
        def save(self):
            if self.lives == 1:
                self.lives = 2
                raise KeyError("not ready")
            return super().save()

    async def scenario(_exchange, world):
        engine = TradingEngine(world, state_dir=tmp_path)
        engine.add_strategy(Unready())
        await engine.start()
        await asyncio.sleep(100)
        assert (tmp_path / "unready.json").read_text() == '{"lives": 2}'
        await engine.stop()

    with caplog.at_level(logging.ERROR):
        play(scenario)
    assert "not ready" in caplog.text


# ------------------------------------------------------------------- going to positions


class Stubborn(Strategy[NoParameters]):
    """Goes to a position until it is there, whatever is raised on the way."""

    def __init__(self):
        super().__init__()
        self.errors = []

    async def run(self, ctx):
        await ctx.sleep(3)
        for _ in range(8):
            try:
                await go_to_position(ctx, Decimal("0.1"), timeout_s=5)
            except SendOutcomeUnknownError as error:
                self.errors.append(error)
            await ctx.sleep(1)


def gone_to(*faults):
    """Return the position in the end and the orders that it took."""
    strategy = Stubborn()

    async def scenario(exchange, world):
        maker = await quotes(exchange)
        engine = TradingEngine(world)
        engine.add_strategy(strategy)
        await engine.start()
        await asyncio.sleep(2)
        handles = [exchange.faults.add(fault) for fault in faults]
        await asyncio.sleep(20)
        for handle in handles:
            exchange.faults.remove(handle)
        await engine.wait()
        await engine.stop()
        assert not engine.runs["stubborn"].error
        trader = await other(exchange, account=0)
        try:
            return await trader.fetch_my_position(), len(await trader.fetch_my_trades())
        finally:
            await trader.aclose()
            await maker.aclose()

    return *play(scenario), strategy.errors


QUESTIONS = FaultRule(act="status", code=503, path="/api/v1/account*")
LOOKUPS = FaultRule(act="status", code=503, path="/api/v1/tx*")
NEWS = tuple(
    FaultRule(act="drop", phase="push", channel=channel)
    for channel in (
        "account_all_orders",
        "account_all_positions",
        "account_all_trades",
        "account_all",
        "account_orders",
    )
)


def test_a_position_is_not_gone_to_twice_while_its_order_is_not_known_to_be_done():
    position, trades, errors = gone_to(QUESTIONS, LOOKUPS, *NEWS)
    assert (position, trades) == (Decimal("0.1"), 1)
    assert errors


def test_a_position_is_not_gone_to_twice_when_no_answer_came():
    lost = FaultRule(act="drop", phase="reply", path=SENDS, times=1)
    position, trades, errors = gone_to(lost, QUESTIONS, LOOKUPS, *NEWS)
    assert (position, trades) == (Decimal("0.1"), 1)
    assert errors


class Going(Strategy[NoParameters]):
    """Goes to a position twice, and notes how long it took and where it came to."""

    def __init__(self):
        super().__init__()
        self.came_to = []

    async def run(self, ctx):
        await ctx.sleep(1)
        for _ in range(2):
            began = ctx.now()
            position = await go_to_position(ctx, Decimal("0.1"))
            self.came_to.append((position, ctx.now() - began))


def test_an_order_that_is_accepted_and_dropped_is_over_with_its_lifetime():
    strategy = Going()
    dropped = FaultRule(act="silent_drop", phase="after_accept", path=SENDS, times=1)

    async def scenario(exchange, world):
        maker = await quotes(exchange)
        exchange.faults.add(dropped)
        engine = TradingEngine(world)
        engine.add_strategy(strategy)
        await engine.start()
        await engine.wait()
        assert (await engine.stop()).is_clean
        await maker.aclose()
        return world.config.taker_lifetime_ms / 1_000

    lifetime_s = play(scenario)
    (first, first_s), (second, second_s) = strategy.came_to
    assert (first, second) == (0, Decimal("0.1"))
    assert lifetime_s <= first_s < lifetime_s + 10
    assert second_s < 2


# ------------------------------------------------------------ strategies in one market


def test_strategies_that_share_a_market_are_told_by_name(caplog):
    async def scenario(_exchange, world):
        engine = TradingEngine(world)
        async with EngineWatch(engine) as watch:
            engine.add_strategy(Noting(symbols=["ETH"]), name="trend")
            engine.add_strategy(Noting(symbols=["BTC"]), name="alone")
            assert engine.shared_markets() == {}
            assert not caplog.records
            engine.add_strategy(Noting(symbols=["BTC", "ETH", "ETH"]), name="grid")
            assert engine.shared_markets() == {
                "ETH": ("trend", "grid"),
                "BTC": ("alone", "grid"),
            }
            told = [record.message for record in caplog.records]
            assert told == engine.get_status()["notes"]
            assert told[0].startswith("trend and grid trade ETH on one account")
            await engine.start()
            await asyncio.sleep(1)
            shared = [
                event.text
                for event in watch.events.latest(100)
                if event.kind is EventKind.MARKET_SHARED
            ]
            assert sorted(shared) == sorted(told)
            await engine.remove_strategy("grid")
            assert engine.shared_markets() == {}
            assert engine.get_status()["notes"] == []
        assert (await engine.stop()).is_clean

    with caplog.at_level(logging.WARNING, "wrappy.engine"):
        play(scenario)


# ------------------------------------------------------------- answers that contradict


@pytest.mark.parametrize("status", ["open", "canceled"])
def test_an_order_that_was_proven_to_be_over_and_is_shown_alive_is_told(status):
    async def scenario(_exchange, world):
        engine = TradingEngine(world, stop_timeout_s=2)
        name = engine.add_strategy(Resting())
        await engine.start()
        await asyncio.sleep(1)
        session = engine.runs[name].session
        dealer = session.dealers["ETH"]
        queued = await dealer.create_limit_order(2_001, "0.1")
        number = queued["client_order_index"]
        dealer.drop_queued()
        assert number not in session.live_orders()
        (row, *_) = await dealer.fetch_open_orders()
        dealer.feed_ws_orders(
            [
                {
                    **row,
                    "client_order_index": number,
                    "order_index": row["order_index"] + 1,
                    "status": status,
                    "filled_base_amount": "0.05",
                }
            ]
        )
        assert dealer.orders.get(number).contradicted
        report = await engine.stop()
        is_alive = status in LIVE_STATUSES
        assert report.left == ({name: (number,)} if is_alive else {})
        assert report.is_clean is not is_alive

    play(scenario)


# -------------------------------------------------------------- the dead man's switch


@pytest.mark.parametrize("second", ["replace", "refuse"])
@pytest.mark.parametrize("symbols", [["ETH"], ["ETH", "BTC"]])
def test_no_schedule_stands_after_several_strategies_were_stopped(symbols, second):
    async def scenario(exchange, world):
        engine = TradingEngine(world)
        for name in "abc":
            engine.add_strategy(Resting(symbols=symbols), name=name)
        await engine.start()
        await asyncio.sleep(3)
        assert (await engine.stop()).is_clean
        trader = await other(exchange, account=0)
        await trader.create_limit_order(2_000, "0.1")
        await trader.flush()
        await asyncio.sleep(700)
        assert len(await trader.fetch_open_orders()) == 1
        await trader.aclose()

    play(scenario, dead_man_s=300, second_schedule=second)


@pytest.mark.parametrize("second", ["replace", "refuse"])
def test_the_schedule_goes_on_for_those_who_stay(second):
    async def scenario(exchange, world):
        engine = TradingEngine(world)
        engine.add_strategy(Resting(), name="a")
        engine.add_strategy(Resting(), name="b")
        await engine.start()
        await asyncio.sleep(3)
        assert await engine.remove_strategy("a") == ()
        dealer = engine.runs["b"].session.dealers["ETH"]
        await asyncio.sleep(1_000)
        assert len(await dealer.fetch_open_orders()) == 1
        # Nobody is heard of any more.
        exchange.faults.add(FaultRule(act="drop", path=SENDS))
        await asyncio.sleep(400)
        assert await dealer.fetch_open_orders() == []
        exchange.faults.clear()
        await engine.stop()

    play(scenario, dead_man_s=300, second_schedule=second)
