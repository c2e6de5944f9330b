"""The market maker and the grid, minutes of them in virtual time."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import itertools
import math
import pathlib
import sys
from collections import Counter
from decimal import Decimal

import pytest

from wrappy.errors import ConfigError
from wrappy.model import Candle
from wrappy.runner.backtest import CandleData, run_backtest
from wrappy.runner.engine import TradingEngine
from wrappy.runner.in_process import InProcessExchange, TravelTimes
from wrappy.runner.network import venue_configs
from wrappy.runner.risk import AccountGuard, RiskLimits
from wrappy.runner.virtual_time import run_virtual
from wrappy.runner.worlds.world import World
from wrappy.venue.fault_rules import FaultRule
from wrappy.venue.flow_settings import FlowSettings
from wrappy.venue.settings import VenueSettings

pytestmark = pytest.mark.slow

STRATEGIES = pathlib.Path(__file__).resolve().parents[2] / "examples" / "strategies"
BEGIN_MS = 1_767_225_600_000
LOTS = 10_000
"""Of ETH, in one."""


def load(name):
    spec = importlib.util.spec_from_file_location(
        f"example_{name}", STRATEGIES / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


maker, grid = load("market_maker"), load("grid")


@dataclasses.dataclass
class Seen:
    """What an exchange saw of one run."""

    orders: list
    trades: list
    ledger_hash: str
    positions: list[int]
    most_resting: int
    report: object
    state: str
    strategy: object


def played(strategy, *, seed=3, minutes=10, tier="premium", faults=(), look_s=4.0):
    """Run a strategy in a synthetic market and return what the exchange saw."""

    async def main():
        settings = VenueSettings(
            seed=seed,
            symbols=("ETH",),
            tier=tier,
            verify=False,
            enforce_limits=True,
            synthetic=(FlowSettings(volatility=1.0),),
        )
        travel = TravelTimes(request_ms=(20, 60), reply_ms=(20, 60))
        async with InProcessExchange(settings, travel=travel, repeats=True) as exchange:
            config = venue_configs(exchange)[0]
            for rule in faults:
                exchange.faults.add(rule)
            world = World(name="venue", config=config, environment=exchange.environment)
            engine = TradingEngine(world)
            name = engine.add_strategy(strategy)
            await engine.start()
            ledger, account = exchange.ledger, config.account_index
            resting = 0
            for _ in range(int(minutes * 60 / look_s)):
                await asyncio.sleep(look_s)
                if not engine.runs[name].state.is_over:
                    live = [o for o in ledger.orders(account) if o.status == "open"]
                    resting = max(resting, len(live))
            report = await engine.stop()
            trades = ledger.trades(account)
            held, positions = 0, [0]
            for trade in trades:
                held += trade.base if trade.bid_account == account else -trade.base
                positions.append(held)
            return Seen(
                ledger.orders(account),
                [(t.bid_account == account, t.price, t.base) for t in trades],
                ledger.hash(),
                positions,
                resting,
                report,
                engine.runs[name].state.value,
                strategy,
            )

    return run_virtual(main)


def test_the_market_maker_trades_within_its_limit_and_leaves_no_order():
    tuned = maker.MarketMakerParameters()
    seen = played(maker.MarketMaker(tuned))
    assert len(seen.trades) >= 20
    assert {is_buy for is_buy, _, _ in seen.trades} == {True, False}
    most = int((tuned.max_position + tuned.size) * LOTS)
    assert max(map(abs, seen.positions)) <= most
    assert (seen.report.left, seen.report.crashed, seen.state) == ({}, {}, "stopped")
    assert "open" not in {order.status for order in seen.orders}
    # Post-only: what it trades, it trades as a maker.
    assert {order.status for order in seen.orders} <= {
        "filled",
        "canceled",
        "canceled-post-only",
    }


LATE = {"act": "delay", "delay_ms": 30_000}
NEVER = {"act": "drop"}
OWN = (
    "account_all_positions",
    "account_all_orders",
    "account_all_trades",
    "account_all_assets",
)


def muted(channels, rule):
    """Return what befalls the news of channels; their first word passes."""
    return [
        FaultRule(phase="push", path="update/*", channel=channel, **rule)
        for channel in channels
    ]


@pytest.mark.parametrize(
    ("channels", "rule"),
    [(OWN[:1], LATE), (OWN, LATE), (OWN[:1], NEVER), (OWN[1:2], NEVER)],
    ids=["positions late", "all late", "no positions", "no orders"],
)
def test_no_limit_is_passed_while_the_stream_is_late_or_silent(channels, rule):
    faults = muted(channels, rule)
    tuned = maker.MarketMakerParameters()
    seen = played(maker.MarketMaker(tuned), minutes=20, faults=faults)
    assert seen.trades
    most = int((tuned.max_position + tuned.size) * LOTS)
    assert max(map(abs, seen.positions)) <= most
    tuned = grid.GridParameters()
    seen = played(grid.Grid(tuned), minutes=20, faults=faults)
    assert seen.trades
    assert max(map(abs, seen.positions)) <= int(tuned.levels * tuned.size * LOTS)


def test_an_account_that_is_slow_to_answer_holds_up_no_quote():
    class Timed(maker.MarketMaker):
        """Notes when it looks."""

        at_s: list[float]

        def quotes(self, ctx, words):
            """Note the moment."""
            self.at_s.append(ctx.now())
            return super().quotes(ctx, words)

    strategy = Timed()
    strategy.at_s = []
    slow = FaultRule(phase="reply", act="delay", path="/api/v1/account", delay_ms=8_000)
    seen = played(strategy, minutes=3, faults=[slow, *muted(OWN[:1], LATE)])
    assert seen.trades
    gaps = [b - a for a, b in itertools.pairwise(strategy.at_s)]
    assert max(gaps) < 2 * strategy.parameters.every_s + 1


@pytest.mark.parametrize("make", [maker.MarketMaker, grid.Grid])
def test_an_answer_that_makes_no_sense_is_nothing_to_end_for(make):
    garbled = FaultRule(
        phase="reply", path="/api/v1/*", act="garbage", probability=100_000
    )
    seen = played(make(), faults=[garbled])
    assert (seen.report.crashed, seen.state) == ({}, "stopped")
    assert seen.trades


def test_the_same_seed_is_the_same_run():
    hashes = {played(maker.MarketMaker(), minutes=2).ledger_hash for _ in range(2)}
    assert len(hashes) == 1
    hashes = {played(grid.Grid(), minutes=2).ledger_hash for _ in range(2)}
    assert len(hashes) == 1


def test_a_wider_tolerance_moves_fewer_quotes():
    def orders(bps):
        tuned = maker.MarketMakerParameters(requote_bps=Decimal(bps))
        return len(played(maker.MarketMaker(tuned), minutes=4).orders)

    assert orders("0.1") > 1.5 * orders(3)


def test_inventory_is_brought_back_by_the_skew():
    def mean_inventory(bps):
        tuned = maker.MarketMakerParameters(skew_bps=Decimal(bps))
        seen = played(maker.MarketMaker(tuned))
        return sum(map(abs, seen.positions)) / len(seen.positions)

    assert mean_inventory(4) < mean_inventory(0)


ILL_WINDS = (
    FaultRule(act="drop", phase="reply", path="/api/v1/sendTx*", probability=100_000),
    FaultRule(act="drop", phase="request", path="/api/v1/sendTx*", probability=100_000),
    FaultRule(act="status", path="/api/v1/sendTx*", probability=50_000, code=503),
)


@pytest.mark.parametrize("strategy", [maker.MarketMaker, grid.Grid])
def test_lost_replies_and_requests_double_nothing(strategy):
    seen = played(strategy(), faults=ILL_WINDS)
    assert (seen.report.left, seen.report.crashed, seen.state) == ({}, {}, "stopped")
    assert seen.trades
    most = 2 * 2 if strategy is maker.MarketMaker else 2 * 5 + 1
    assert seen.most_resting <= most


def test_the_grid_earns_a_step_on_every_pair_and_keeps_its_lines_filled():
    tuned = grid.GridParameters(levels=5, step_bps=Decimal(4))
    seen = played(grid.Grid(tuned))
    assert len([o for o in seen.orders if o.status == "filled"]) >= 8
    assert seen.most_resting == 2 * tuned.levels
    size = int(tuned.size * LOTS)
    assert max(map(abs, seen.positions)) <= tuned.levels * size
    assert (seen.report.left, seen.report.crashed, seen.state) == ({}, {}, "stopped")
    assert "open" not in {order.status for order in seen.orders}
    # Whatever was sold on one line was bought on the one below, and so on: the centre
    # is where the position says.
    held = seen.positions[-1]
    assert abs(seen.strategy.centre + held / size) < 1
    lines = sorted({price for _, price, _ in seen.trades})
    steps = {b - a for a, b in itertools.pairwise(lines)}
    assert max(steps) - min(steps) <= 1, "one tick of rounding"
    pairs = Counter(price for is_buy, price, _ in seen.trades if is_buy)
    assert pairs, "it bought"


def test_a_grid_that_does_not_fit_its_tier_sends_nothing():
    tuned = grid.GridParameters(levels=16)
    seen = played(grid.Grid(tuned), tier="standard", minutes=0.1)
    assert seen.state == "crashed"
    assert seen.orders == []
    (error,) = seen.report.crashed.values()
    assert isinstance(error, ConfigError)
    assert "levels: 16 on each side do not fit" in str(error)
    assert "cap of 30 a market" in str(error)


def behind_a_guard(limits, *, faults=(), halted_s=0.0, seconds=60):
    """Run a grid behind a guard; return what crashed, the log of it and its orders."""

    async def main():
        settings = VenueSettings(
            seed=3, symbols=("ETH",), verify=False, synthetic=(FlowSettings(),)
        )
        async with InProcessExchange(settings, repeats=True) as exchange:
            config = venue_configs(exchange)[0]
            for rule in faults:
                exchange.faults.add(rule)
            world = World(name="venue", config=config, environment=exchange.environment)
            guard = AccountGuard(limits)
            engine = TradingEngine(world, guard=guard)
            engine.add_strategy(grid.Grid())
            await engine.start()
            if halted_s:
                guard.halt("lunch")
                await asyncio.sleep(halted_s)
                guard.resume()
            await asyncio.sleep(seconds)
            denied = guard.get_risk_status()["denied_orders"]
            orders = exchange.ledger.orders(config.account_index)
            report = await engine.stop()
            return report.crashed, denied, orders

    return run_virtual(main)


SLOWLY = FaultRule(act="delay", phase="reply", path="/api/v1/account", delay_ms=4_000)


@pytest.mark.parametrize(
    ("limits", "trouble"),
    [
        ({}, {"halted_s": 30.0}),
        ({"max_daily_loss": 500, "max_equity_age_s": 1}, {"faults": [SLOWLY]}),
        ({"max_trades_age_s": "0.5"}, {}),
    ],
    ids=["halted", "reducing", "stale"],
)
def test_a_grid_waits_for_a_guard_that_lets_nothing_pass_at_its_start(limits, trouble):
    crashed, denied, orders = behind_a_guard(RiskLimits(**limits), **trouble)
    assert crashed == {}
    assert denied > 0
    assert len(orders) >= 10


def test_a_grid_that_does_not_fit_a_limit_ends_and_sends_nothing():
    for limits in ({"max_open_orders": 9}, {"max_position": {"ETH": "0.2"}}):
        crashed, _, orders = behind_a_guard(RiskLimits(**limits), seconds=5)
        (error,) = crashed.values()
        assert isinstance(error, ConfigError)
        assert "levels: 5 on each side do not fit" in str(error)
        assert orders == []


def test_a_grid_that_fits_its_tier_is_laid_whole():
    tuned = grid.GridParameters(levels=15)
    seen = played(grid.Grid(tuned), tier="standard", minutes=3)
    assert seen.state == "stopped"
    assert seen.most_resting == 30


def swinging(count):
    """Return minutes of a price that swings by half a percent around 2000."""
    prices = [2000 + Decimal(round(10 * math.sin(at / 5), 2)) for at in range(count)]
    return [
        Candle(
            BEGIN_MS + at * 60_000,
            first,
            max(first, last) + 1,
            min(first, last) - 1,
            last,
            Decimal(50),
            Decimal(100_000),
            at,
            closed=True,
        )
        for at, (first, last) in enumerate(itertools.pairwise(prices))
    ]


@pytest.mark.parametrize("strategy", [maker.MarketMaker, grid.Grid])
def test_it_runs_over_candles_as_well(strategy):
    run = run_backtest(strategy, CandleData("ETH", "1m", swinging(61)))
    assert not run.crashed
    assert len(run.fills) >= 20


def test_the_lines_have_their_sides_around_the_centre():
    one = grid.Grid(grid.GridParameters(size=Decimal("0.05")))
    assert (one.centre, one.side(-1), one.side(0), one.side(1)) == (0, 1, 0, -1)
    one.traded = Decimal("0.10")
    assert one.centre == -2
    assert [one.side(line) for line in (-3, -2, -1, 0)] == [1, 0, -1, -1]
    one.traded = Decimal("-0.07")
    assert one.centre == 1, "a part of a fill moves nothing"


@pytest.mark.parametrize(
    ("kind", "wrong", "words"),
    [
        (maker.MarketMakerParameters, {"size": Decimal(1)}, "size: 1 is not above 0"),
        (maker.MarketMakerParameters, {"skew_bps": Decimal(-1)}, "skew_bps: -1"),
        (maker.MarketMakerParameters, {"every_s": 0.0}, "every_s"),
        (grid.GridParameters, {"levels": 0}, "levels: 0 is below 1"),
        (grid.GridParameters, {"step_bps": Decimal(1000)}, "step_bps: 1000 times 5"),
        (grid.GridParameters, {"size": Decimal(0)}, "size: 0"),
        (grid.GridParameters, {"every_s": -1.0}, "every_s"),
    ],
)
def test_parameters_that_cannot_work_are_refused(kind, wrong, words):
    with pytest.raises(ConfigError, match=words):
        kind(**wrong)
