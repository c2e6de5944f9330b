"""Spot markets in backtests: what is bought has a worth, what is sold is owed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.unit.runner.test_backtest import MINUTE_MS, START_MS, data_of, row, still
from wrappy.model import Side
from wrappy.runner.backtest import BacktestSettings, run_backtest
from wrappy.runner.backtest.spot_trades import SpotTrades
from wrappy.runner.performance.fills import Fill
from wrappy.runner.strategy import NoParameters, Strategy

SPOT = "ETH/USDC"


class Trades(Strategy[NoParameters]):
    """Trades one piece in the first market at once, and waits."""

    size = Decimal(1)

    async def run(self, ctx):
        await ctx.sleep(90)
        await ctx.dealer().create_market_order(self.size)
        await ctx.sleep(10**6)


class Sells(Trades):
    size = Decimal(-1)


@pytest.mark.parametrize(("kind", "direction"), [(Trades, 1), (Sells, -1)])
def test_what_is_held_of_an_asset_is_valued_at_the_mark_price(kind, direction):
    rows = [*still(4), row(4, "3000 3100 3000 3100"), *still(8, "3100")[5:]]
    run = run_backtest(
        lambda: kind(NoParameters(), symbols=[SPOT]), data_of(rows, SPOT)
    )
    assert run.crashed is None
    (fill,) = run.fills
    assert fill.fee > 0
    paid = Decimal(direction * fill.quote + fill.fee).scaleb(-6)
    assert run.results.end_capital == 10_000 + direction * 3_100 - paid
    assert run.results.activity.exposure == pytest.approx(6.5 / 8, abs=0.01)


def test_it_is_followed_through_candles_that_nobody_had_to_see():
    rows = [*still(5), row(5, "3000 3050 2950 3000"), *still(12)[6:]]
    run = run_backtest(
        lambda: Trades(NoParameters(), symbols=[SPOT]), data_of(rows, SPOT)
    )
    (fill,) = run.fills
    base = 10_000_000_000 - fill.fee - (fill.quote - 3_000_000_000)
    assert min(point.low for point in run.results.curve) == base - 50_000_000
    assert max(point.high for point in run.results.curve) == base + 50_000_000


def test_what_the_account_owned_before_moves_nothing():
    rows = [*still(4), row(4, "3000 3100 3000 3100")]

    class Waits(Trades):
        async def run(self, ctx):
            await ctx.sleep(10**6)

    run = run_backtest(
        lambda: Waits(NoParameters(), symbols=[SPOT]),
        data_of(rows, SPOT),
        BacktestSettings(),
    )
    assert run.results.end_capital == run.results.start_capital


def test_the_usdc_of_a_unified_account_are_in_its_collateral_already():
    def fill(side, quote):
        return Fill(
            at_ms=START_MS + MINUTE_MS,
            market_id=2048,
            side=side,
            size=10,
            quote=quote,
            fee=7,
            is_maker=False,
        )

    apart, shared = SpotTrades(), SpotTrades()
    for trades, moves in ((apart, True), (shared, False)):
        trades.fill(fill(Side.BUY, 1_000), moves_cash=moves)
        assert trades.size(2048) == 10
        assert trades.value({2048: 90}) == 900
    assert apart.equity({2048: 90}) == 900 - 1_007
    assert shared.equity({2048: 90}) == 900
    apart.fill(fill(Side.SELL, 950), moves_cash=True)
    assert apart.equity({2048: 90}) == -50 - 14
