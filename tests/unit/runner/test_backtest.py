"""Backtests: what they charge, what they refuse, what they tell."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from wrappy.errors import ConfigError
from wrappy.model import Candle
from wrappy.runner.backtest import (
    BacktestSettings,
    CandleData,
    run_backtest,
    sensitivity,
    sensitivity_text,
)
from wrappy.runner.risk.limits import RiskLimits
from wrappy.runner.strategy import Strategy, go_to_position

MINUTE_MS = 60_000
START_MS = 1_800_000_000_000


def row(number, prices, volume="40", length_ms=MINUTE_MS):
    first, high, low, last = (Decimal(word) for word in prices.split())
    return Candle(
        START_MS + number * length_ms,
        first,
        high,
        low,
        last,
        Decimal(volume),
        Decimal(0),
        0,
        True,
    )


def still(count, price="3000"):
    return [row(number, f"{price} {price} {price} {price}") for number in range(count)]


def data_of(rows, symbol="ETH"):
    return CandleData(symbol, "1m", rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to hold from which candle on, and what is shown of the run."""

    targets: tuple[tuple[int, Decimal], ...] = ((1, Decimal(1)),)


class Follows(Strategy[Plan]):
    """Goes to positions as planned."""

    async def run(self, ctx):
        plan, number = dict(self.parameters.targets), 0
        async for _ in ctx.candles("1m"):
            number += 1
            if number in plan:
                await go_to_position(ctx, plan[number])


def follows(*targets, symbols=("ETH",)):
    plan = Plan(targets=tuple((at, Decimal(size)) for at, size in targets))
    return lambda: Follows(plan, symbols=symbols)


def test_a_round_trip_pays_the_spread_and_twice_the_fee():
    run = run_backtest(follows((1, 1), (3, 0)), data_of(still(6)))
    bought, sold = run.fills
    assert (bought.quote, sold.quote) == (3_000_010_000, 3_000_000_000)
    fees = run.results.costs.fees
    # Premium takers pay 0.028 percent.
    assert fees == Decimal("1.680003")
    assert run.results.end_capital == Decimal(10_000) - fees - Decimal("0.01")
    assert run.crashed is None


def test_who_decides_on_a_close_trades_after_it_at_the_next_open():
    rows = [*still(2), row(2, "3100 3100 3100 3100"), row(3, "3100 3100 3100 3100")]
    run = run_backtest(follows((2, 1)), data_of(rows))
    (fill,) = run.fills
    assert fill.at_ms > START_MS + 2 * MINUTE_MS
    assert fill.quote == 3_100_010_000
    assert fill.mid_quote_at_arrival == 3_100_000_000


def test_a_position_pays_funding_at_full_hours_unless_it_is_left_out():
    rows = still(130)
    paid = run_backtest(follows((1, 1)), data_of(rows)).results.costs.funding
    # 0.0012 percent an hour is the interest alone.
    assert paid == Decimal("-0.072")
    settings = BacktestSettings(funding=False)
    assert not run_backtest(
        follows((1, 1)), data_of(rows), settings
    ).results.costs.funding


def test_equity_is_seen_at_the_extremes_of_candles_that_nobody_had_to_see():
    rows = [*still(5), row(5, "3000 3050 2950 3000"), *still(12)[6:]]
    run = run_backtest(follows((1, 1)), data_of(rows))
    assert len(run.fills) == 1
    lowest = min(point.low for point in run.results.curve)
    highest = max(point.high for point in run.results.curve)
    fee = run.fills[0].fee
    # Bought one tick above the path.
    assert lowest == 10_000_000_000 - 50_000_000 - 10_000 - fee
    assert highest == 10_000_000_000 + 50_000_000 - 10_000 - fee


def test_a_position_that_cannot_be_carried_is_liquidated():
    rows = [*still(3), row(3, "3000 3000 2500 2500"), *still(8, "2500")[4:]]
    settings = BacktestSettings(capital=Decimal(400))
    run = run_backtest(follows((1, 1)), data_of(rows), settings)
    assert len(run.fills) > 1
    assert run.results.costs.liquidation_fees > 0 or run.results.end_capital < 400
    assert run.results.end_capital < Decimal(100)


def test_what_the_account_cannot_pay_for_is_refused_and_told():
    settings = BacktestSettings(capital=Decimal(10))
    run = run_backtest(follows((1, 5)), data_of(still(4)), settings)
    assert not run.fills
    assert [order.status for order in run.orders] == ["canceled-margin-not-allowed"]


class Breaks(Strategy[Plan]):
    """Trades once and raises."""

    async def run(self, ctx):
        await go_to_position(ctx, Decimal(1))
        raise ValueError("a mistake in the strategy")


def test_a_strategy_that_crashes_leaves_results_and_says_so():
    run = run_backtest(Breaks, data_of(still(10)))
    assert str(run.crashed) == "a mistake in the strategy"
    assert run.results.warnings[0].startswith("the strategy crashed: ValueError")
    assert len(run.fills) == 1


def test_two_markets_are_traded_by_one_strategy():
    class Both(Strategy[Plan]):
        async def run(self, ctx):
            await go_to_position(ctx, Decimal(1), "ETH")
            await go_to_position(ctx, Decimal("0.1"), "BTC")
            async for _ in ctx.candles("1m", "BTC"):
                pass

    rows = [row(n, "3000 3010 2990 3000") for n in range(70)]
    others = [row(n, "60000 60100 59900 60000") for n in range(3, 70)]
    run = run_backtest(
        lambda: Both(symbols=["ETH", "BTC"]),
        [data_of(rows), data_of(others, "BTC")],
        BacktestSettings(warm_up=5),
    )
    assert run.crashed is None
    assert {fill.market_id for fill in run.fills} == {0, 1}
    assert run.results.costs.funding < 0


def test_what_limits_do_not_allow_is_counted():
    settings = BacktestSettings(limits=RiskLimits(max_order_notional=Decimal(100)))
    run = run_backtest(follows((1, 1)), data_of(still(4)), settings)
    assert not run.fills
    assert run.results.activity.risk_blocks == 1


@pytest.mark.parametrize(
    ("data", "settings", "told"),
    [
        ([], None, "data: there is none"),
        ([data_of(still(3)), data_of(still(3))], None, "two sets of candles"),
        (
            [data_of(still(3)), CandleData("BTC", "5m", still(1))],
            None,
            "of one length",
        ),
        (
            [data_of(still(3)), data_of(still(9)[5:], "BTC")],
            None,
            "those of ETH end at .*, and trading begins at ",
        ),
        (data_of(still(3)), BacktestSettings(warm_up=3), "warm_up: 3 candles"),
        (data_of(still(3), "BTC"), None, "trades ETH"),
    ],
)
def test_what_does_not_fit_is_named(data, settings, told):
    with pytest.raises(ConfigError, match=told):
        run_backtest(follows((1, 1)), data, settings)


@pytest.mark.parametrize(
    "wrong",
    [
        {"capital": 5},
        {"warm_up": -1},
        {"request_ms": (5, 1)},
        {"tier": "gold"},
    ],
)
def test_an_assumption_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError):
        BacktestSettings(**wrong)


def test_candles_that_overlap_are_refused():
    twice = [row(0, "1 1 1 1"), row(0, "1 1 1 1")]
    with pytest.raises(ConfigError, match="begins before"):
        data_of(twice)
    with pytest.raises(ConfigError, match="no candles of ETH"):
        data_of([])


class Reads(Strategy[Plan]):
    """Reads the book every second."""

    market_data = "book"

    async def run(self, ctx):
        while True:
            await ctx.sleep(1)
            assert ctx.ws.book().mid_price is not None


def test_a_book_in_which_nothing_happens_for_minutes_is_not_stale():
    rows = [row(at, "3000 3000 3000 3000", length_ms=5 * MINUTE_MS) for at in range(4)]
    assert run_backtest(Reads, CandleData("ETH", "5m", rows)).crashed is None


class Bids(Strategy[Plan]):
    """Rests one order at 2990."""

    async def run(self, ctx):
        dealer = ctx.dealer()
        await dealer.create_limit_order(Decimal(2990), Decimal(1))
        await dealer.flush()
        async for _ in ctx.candles("1m"):
            pass


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor])
def test_the_table_of_fill_models_shows_what_a_touch_is_worth(executor):
    rows = [*still(2), row(2, "3000 3000 2990 3000"), *still(8)[3:]]
    if executor is None:
        told = sensitivity(Bids, data_of(rows))
    else:
        with executor(2) as pool:
            told = sensitivity(Bids, data_of(rows), executor=pool)
    fills = {line.name: line.fills for line in told}
    assert fills["as set"] == fills["filled when passed"] == 0
    assert fills["filled on touch"] == 1
    assert "latency x5" in sensitivity_text(told)
    assert len(told) == 6


def test_the_table_of_fill_models_fits_a_terminal():
    rows = sensitivity(Bids, data_of(still(8)))
    large = replace(
        rows[0],
        total_return=-0.99999,
        sharpe=-12.34,
        fills=123_456,
        fees=Decimal(10**5),
    )
    lines = sensitivity_text([*rows, large]).splitlines()
    assert max(map(len, lines)) <= 80
    assert len({len(line) for line in lines}) == 1


def test_a_row_whose_strategy_crashed_says_why():
    class Trips(Bids):
        async def run(self, _ctx):
            words = "nothing was\nfound, though it was looked for all over the place"
            raise LookupError(words)

    rows = sensitivity(Trips, data_of(still(8)))
    assert rows[0].reason.startswith("LookupError: nothing was\nfound")
    line = sensitivity_text(rows).splitlines()[1]
    assert line.startswith("as set  ")
    assert "crashed: LookupError: nothing was found" in line
    assert "%" not in line
    assert (len(line), line[-3:]) == (80, "...")


def test_candles_still_growing_are_told_as_over_when_their_time_is():
    rows = [replace(one, closed=False) for one in still(4)]
    seen = []

    class Looks(Strategy[Plan]):
        async def run(self, ctx):
            seen.extend(await ctx.history("1m", 5))
            async for candle in ctx.candles("1m"):
                assert ctx.now() * 1_000 >= candle.start_ms + MINUTE_MS
                seen.append(candle)

    run = run_backtest(Looks, data_of(rows), BacktestSettings(warm_up=1))
    assert run.crashed is None
    assert [candle.start_ms for candle in seen] == [one.start_ms for one in rows]
    assert all(candle.closed for candle in seen)
