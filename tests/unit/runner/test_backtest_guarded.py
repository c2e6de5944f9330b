"""Backtests behind the risk guard: what it learns without a stream, and in time."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass
from decimal import Decimal

import pytest

from wrappy.errors import RiskDeniedError
from wrappy.model import Candle
from wrappy.runner.backtest import BacktestSettings, CandleData, run_backtest
from wrappy.runner.history.values import resolution_name
from wrappy.runner.risk import RiskLimits
from wrappy.runner.strategy import Strategy, go_to_position

MINUTE_MS = 60_000
MIDNIGHT_MS = 1_799_971_200_000
assert MIDNIGHT_MS % 86_400_000 == 0
WIDE = RiskLimits(
    max_position={"ETH": 5},
    max_total_notional=100_000,
    max_order_notional=100_000,
    price_band="0.1",
    max_daily_loss=9_000,
    max_drawdown="0.9",
)


def candles(closes, begin_ms=MIDNIGHT_MS, length_ms=MINUTE_MS):
    """Return candles that go straight from one close to the next."""
    rows = []
    for number, (first, last) in enumerate(itertools.pairwise(closes)):
        rows.append(
            Candle(
                begin_ms + number * length_ms,
                Decimal(first),
                Decimal(max(first, last)),
                Decimal(min(first, last)),
                Decimal(last),
                Decimal(40),
                Decimal(0),
                0,
                True,
            )
        )
    return CandleData("ETH", "1m", rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    resolution: str = "1m"
    targets: tuple[tuple[int, Decimal], ...] = ()
    rests: tuple[tuple[int, Decimal, Decimal], ...] = ()


class Planned(Strategy[Plan]):
    """Goes to positions, and rests orders, after so many candles."""

    async def run(self, ctx):
        targets = dict(self.parameters.targets)
        rests = {at: (price, size) for at, price, size in self.parameters.rests}
        self.denied = {}
        number = 0
        async for _ in ctx.candles(self.parameters.resolution):
            number += 1
            try:
                if number in targets:
                    await go_to_position(ctx, targets[number])
                if number in rests:
                    await ctx.dealer().create_limit_order(*rests[number])
                    await ctx.dealer().flush()
            except RiskDeniedError as error:
                self.denied[number] = str(error)


def played(data, limits, targets=(), rests=(), **assumed):
    """Return a run and its strategy."""
    strategy = Planned(
        Plan(
            resolution=data.resolution,
            targets=tuple((at, Decimal(size)) for at, size in targets),
            rests=tuple((at, Decimal(p), Decimal(s)) for at, p, s in rests),
        )
    )
    settings = BacktestSettings(limits=limits, **assumed)
    run = run_backtest(lambda: strategy, data, settings)
    assert run.crashed is None
    return run, strategy


def test_a_guard_whose_limits_are_not_reached_changes_nothing():
    # Hours pass between its orders, in which nobody says a word.
    prices = [3_000 + at % 7 for at in range(1_500)]
    targets = [(1, 1), (400, -1), (401, 2), (1_400, 0)]
    free, _ = played(candles(prices), None, targets)
    guarded, strategy = played(candles(prices), WIDE, targets)
    assert strategy.denied == {}
    assert len(free.fills) == 4
    assert guarded.fills == free.fills
    assert guarded.results.end_capital == free.results.end_capital


def test_trades_are_looked_for_although_the_strategy_reads_none():
    data = candles([3_000 + at % 7 for at in range(30)])
    limits = RiskLimits(max_trades_age_s=60)
    assert Planned.market_data == "none"
    run, strategy = played(data, limits, [(5, 1), (20, 0)])
    assert strategy.denied == {}
    assert len(run.fills) == 2


def test_nothing_gets_old_however_long_nobody_says_a_word(caplog):
    caplog.set_level(logging.INFO)
    # Candle after candle is told of when it is over: long ago, by then.
    prices = [*range(3_000, 3_050), *range(3_050, 2_950, -1)] * 3
    rows = candles(prices, length_ms=5 * MINUTE_MS).rows
    played(CandleData("ETH", "5m", rows), WIDE, [(1, 1)])
    assert "older than" not in caplog.text
    assert "not known yet" in caplog.text


def test_a_price_far_from_the_mark_of_the_moment_is_denied():
    prices = [*range(3_000, 4_000, 2)]
    limits = RiskLimits(price_band="0.1")
    _, strategy = played(
        candles(prices), limits, rests=[(5, 2_990, 1), (450, 2_990, 1)]
    )
    assert strategy.denied == {
        450: "price: 23.33% from ETH's price, 10.00% are allowed"
    }


@pytest.mark.parametrize(
    "limits", [RiskLimits(max_daily_loss=100), RiskLimits(max_drawdown="0.01")]
)
def test_a_loss_that_was_made_up_for_meanwhile_halts_all_the_same(limits):
    down, up = [*range(3_000, 2_880, -1)], [*range(2_880, 3_050)]
    _, strategy = played(candles([*down, *up]), limits, [(1, 1), (280, 2)])
    assert list(strategy.denied) == [280]
    assert "halted" in strategy.denied[280]
    _, strategy = played(candles([*down[:90], *up[100:]]), limits, [(1, 1), (150, 2)])
    assert strategy.denied == {}, "lost less than that"


def test_a_loss_takes_resting_orders_away_before_they_are_reached():
    prices = [*range(3_000, 2_700, -1)]
    buy = [(2, 2_890, 1)]
    free, _ = played(candles(prices), WIDE, [(1, 1)], buy)
    assert len(free.fills) == 2
    # Halted in the minute after 2900, and not when something happens next: that is
    # the execution of the order, ten minutes later.
    halted, _ = played(candles(prices), RiskLimits(max_daily_loss=100), [(1, 1)], buy)
    assert len(halted.fills) == 1
    (order,) = [order for order in halted.orders if order.price == 289_000]
    assert order.status.startswith("canceled")
    assert 100 < (order.updated_us / 1_000 - MIDNIGHT_MS) / MINUTE_MS < 102


def test_the_loss_of_a_day_is_judged_from_its_midnight():
    # 60 lost before midnight, 60 after it, 120 in all.
    begin_ms = MIDNIGHT_MS + 86_400_000 - 70 * MINUTE_MS
    prices = [3_000] * 10 + [*range(3_000, 2_880, -1)] + [2_880] * 30
    limits = RiskLimits(max_daily_loss=100)
    data = candles(prices, begin_ms)
    _, strategy = played(data, limits, [(1, 1), (140, 2)])
    assert strategy.denied == {}
    _, strategy = played(candles(prices), limits, [(1, 1), (140, 2)])
    assert list(strategy.denied) == [140]


def test_what_is_lost_while_midnight_is_missing_from_the_data_is_of_the_new_day():
    # Minutes, two hours of which nothing is known, and 120 less after them.
    early = candles([3_000] * 4, MIDNIGHT_MS + 86_400_000 - 60 * MINUTE_MS)
    late = candles([2_880] * 9, MIDNIGHT_MS + 86_400_000 + 60 * MINUTE_MS)
    data = CandleData("ETH", "1m", [*early.rows, *late.rows])
    limits = RiskLimits(max_daily_loss=100)
    _, strategy = played(data, limits, [(1, 1), (9, 2)], funding=False)
    assert list(strategy.denied) == [9]
    assert "since 00:00 UTC" in strategy.denied[9]


def test_a_halt_by_the_days_loss_is_over_with_the_day():
    prices = [*range(3_000, 2_880, -1)] + [2_880] * 1_440
    targets = [(1, 1), (200, 2), (1_500, 2)]
    _, strategy = played(candles(prices), RiskLimits(max_daily_loss=100), targets)
    assert list(strategy.denied) == [200]


class Bare(Planned):
    """Buys with an exit, takes that away, and buys again minutes later."""

    async def run(self, ctx):
        dealer, number, self.denied = ctx.dealer(), 0, {}
        async for _ in ctx.candles("1m"):
            number += 1
            if number == 1:
                await go_to_position(ctx, Decimal(1))
                sent = await dealer.create_limit_order(3_200, -1, reduce_only=True)
                await dealer.flush()
            if number == 5:
                await dealer.cancel_order_by_coi(sent["client_order_index"])
                await dealer.flush()
            try:
                if number == 10:
                    await go_to_position(ctx, Decimal(2))
            except RiskDeniedError as error:
                self.denied[number] = str(error)


def test_a_position_is_without_exits_since_they_went_and_not_since_the_next_order():
    strategy = Bare()
    settings = BacktestSettings(limits=RiskLimits(require_exits=True))
    run_backtest(lambda: strategy, candles([3_000] * 20), settings)
    assert list(strategy.denied) == [10]
    assert "without a reduce-only exit" in strategy.denied[10]


@pytest.mark.parametrize("length_ms", [5 * MINUTE_MS, 60 * MINUTE_MS, 7 * 86_400_000])
def test_silence_within_a_candle_is_none_and_that_is_told(length_ms):
    rows = candles([3_000 + at % 7 for at in range(30)], length_ms=length_ms).rows
    data = CandleData("ETH", resolution_name(length_ms), rows)
    limits = RiskLimits(max_trades_age_s=30)
    run, strategy = played(data, limits, [(5, 1), (20, 0)])
    assert strategy.denied == {}
    assert len(run.fills) == 2
    words = [one for one in run.results.warnings if "max_trades_age_s: 30 s" in one]
    assert len(words) == 1
    assert f"a candle of {data.resolution}" in words[0]


def test_a_limit_that_candles_can_tell_is_judged_as_given():
    data = candles([3_000 + at % 7 for at in range(30)])
    run, _ = played(data, RiskLimits(max_trades_age_s=60), [(5, 1)])
    assert not any("max_trades_age_s" in one for one in run.results.warnings)


class Late(Strategy[Plan]):
    """Buys some time after the last candle."""

    async def run(self, ctx):
        self.denied = ""
        async for _ in ctx.candles("5m"):
            await ctx.sleep(1_000)
            try:
                await go_to_position(ctx, Decimal(1))
            except RiskDeniedError as error:
                self.denied = str(error)
            return


def test_a_hole_in_coarse_candles_denies_orders_all_the_same():
    rows = candles([3_000 + at % 7 for at in range(9)], length_ms=5 * MINUTE_MS).rows
    data = CandleData("ETH", "5m", [rows[0], rows[-1]])
    strategy = Late(Plan())
    settings = BacktestSettings(limits=RiskLimits(max_trades_age_s=30))
    run = run_backtest(lambda: strategy, data, settings)
    assert run.crashed is None
    assert "no trade in ETH for 300 s" in strategy.denied
    assert not run.fills
