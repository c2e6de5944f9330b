"""The strategies of the examples on recorded markets, judged by fills and orders.

The second market of arbitrage is made up: ETH times a distance that comes and goes.
"""

from __future__ import annotations

import dataclasses
import gzip
import logging
import os
import random
import sys
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from wrappy.model import Side
from wrappy.runner.backtest import (
    BacktestSettings,
    CandleData,
    TapeData,
    decisions_on_prefixes,
    run_backtest,
)
from wrappy.runner.history import CandleFile
from wrappy.runner.performance import summary_text

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("WRAPPY_TEST_DATA", ROOT.parent / "shared" / "data"))
CANDLES = DATA / "perp_5m" / "ETHUSDT_5m.csv"
TAPE = DATA / "binance_usdm_l2" / "usdm_ethusdt_20240808.gz"
FOLDERS = ("strategies", "trend_ladder")
DAY = 288
LINES = 8_000
MARKETS = ETH, SPOT_ETH = 0, 2048
LOTS = 10_000
"""Of ETH, in one; of both markets."""

for folder in FOLDERS:
    sys.path.insert(0, str(ROOT / "examples" / folder))

from arbitrage import Arbitrage, ArbitrageParameters  # noqa: E402
from grid import Grid, GridParameters  # noqa: E402
from ladder_settings import LadderParameters  # noqa: E402
from ladder_strategy import TrendLadder  # noqa: E402
from market_maker import MarketMaker, MarketMakerParameters  # noqa: E402
from mean_reversion import MeanReversion, MeanReversionParameters  # noqa: E402
from momentum import Momentum, MomentumParameters  # noqa: E402
from ut_bot import UTBotParameters, UTBotStrategy  # noqa: E402

needs_candles = pytest.mark.skipif(
    not CANDLES.is_file(), reason=f"no recorded candles at {CANDLES}"
)
needs_tape = pytest.mark.skipif(
    not TAPE.is_file(), reason=f"no recorded market at {TAPE}"
)
WARM = BacktestSettings(warm_up=DAY)


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


def candles(days):
    file = CandleFile(CANDLES, symbol="ETH", resolution="5m")
    return CandleData("ETH", "5m", list(islice(file, int(days * DAY))))


@pytest.fixture(scope="module")
def beginning(tmp_path_factory):
    """The first lines of the recorded book, about forty seconds."""
    path = tmp_path_factory.mktemp("tape") / TAPE.name
    with gzip.open(TAPE, "rb") as whole, gzip.open(path, "wb") as part:
        part.writelines(islice(whole, LINES))
    return TapeData(path)


def spot_beside(perp, seed=1):
    """Return a made-up spot market: the same prices, apart by parts of a percent."""
    chance, apart, rows = random.Random(f"basis {seed}"), 0.0, []
    before = perp.rows[0].open
    for row in perp.rows:
        apart += chance.gauss(0, 0.0006) - apart / 12
        factor = 1 + Decimal(round(apart * 100_000)) / 100_000
        high, low, close = (
            round(price * factor, 2) for price in (row.high, row.low, row.close)
        )
        rows.append(
            dataclasses.replace(
                row,
                open=before,
                high=max(high, before, close),
                low=min(low, before, close),
                close=close,
            )
        )
        before = close
    return CandleData("ETH/USDC", "5m", rows)


def held(run, market=ETH):
    """Return lots after each fill in a market."""
    lots = [0]
    for fill in run.fills:
        if fill.market_id == market:
            lots.append(lots[-1] + (fill.size if fill.side is Side.BUY else -fill.size))
    return lots


def judge(run, *, prices, within):
    """Check what is true of every run.

    Args:
        run: the run.
        prices: by market, what a piece is worth in the end.
        within: USDC by which the mark price may be elsewhere than `prices`.
    """
    assert run.crashed is None
    assert {order.status for order in run.orders} <= {
        "filled",
        "canceled",
        "canceled-post-only",
    }
    assert sum(order.filled_base for order in run.orders) == sum(
        fill.size for fill in run.fills
    )
    cash = sum(
        (-fill.quote if fill.side is Side.BUY else fill.quote) - fill.fee
        for fill in run.fills
    )
    worth = sum(held(run, at)[-1] * price for at, price in prices.items()) / LOTS
    results = run.results
    added_up = (
        results.start_capital + Decimal(cash).scaleb(-6) + results.costs.funding + worth
    )
    assert abs(results.end_capital - added_up) <= within
    assert results.costs.fees == sum(Decimal(f.fee) for f in run.fills).scaleb(-6)


def judge_candles(run, data, within=Decimal("0.000001")):
    prices = {at: one.rows[-1].close for at, one in zip(MARKETS, data, strict=False)}
    judge(run, prices=prices, within=within)


def judge_tape(run, data):
    # The mark price follows the book from afar: a few USDC, of a fifth of an ether.
    last = data.market.price(data.read.mids[-1])
    judge(run, prices={ETH: last}, within=abs(held(run)[-1]) * Decimal(5) / LOTS)


# ---------------------------------------------------------------- a recorded book


def quotes_on(data):
    tuned = MarketMakerParameters()
    run = run_backtest(lambda: MarketMaker(tuned), data)
    judge_tape(run, data)
    assert {fill.is_maker for fill in run.fills} == {True}
    assert {fill.side for fill in run.fills} == {Side.BUY, Side.SELL}
    most = (tuned.max_position + tuned.size) * LOTS
    assert max(map(abs, held(run))) <= most
    return run


@needs_tape
def test_the_market_maker_on_the_beginning_of_a_recorded_book(beginning):
    assert len(quotes_on(beginning).fills) > 3


@needs_tape
@pytest.mark.slow
def test_the_market_maker_on_all_of_it():
    run = quotes_on(TapeData(TAPE))
    assert len(run.fills) > 50
    # Filled at its own distance from the middle, or nearer.
    assert run.results.costs.slippage_at_decision_bps < -1
    assert abs(run.results.end_capital - run.results.start_capital) < 5


def climbs_on(data, seconds):
    tuned = LadderParameters(seconds=float(seconds))
    run = run_backtest(lambda: TrendLadder(tuned), data)
    judge_tape(run, data)
    lots = held(run)
    assert min(lots) == 0, "a ladder of buys is never short"
    assert max(lots) <= tuned.max_position * LOTS
    assert lots[-1] == 0, "it ends flat when its time is over"
    assert any(order.reduce_only and order.filled_base for order in run.orders)
    return run


@needs_tape
def test_the_trend_ladder_on_the_beginning_of_a_recorded_book(beginning):
    assert len(climbs_on(beginning, 30).fills) > 3


@needs_tape
@pytest.mark.slow
def test_the_trend_ladder_on_all_of_it():
    assert len(climbs_on(TapeData(TAPE), 330).fills) > 40


@needs_tape
@pytest.mark.slow
@pytest.mark.parametrize("make", [MarketMaker, TrendLadder], ids=lambda one: one.name())
def test_neither_looks_ahead_on_a_recorded_book(make, beginning):
    assert decisions_on_prefixes(lambda _: make(), beginning, cuts=[12, 25]) == []


# ------------------------------------------------------------- recorded candles

QUANT = {
    "momentum": lambda: Momentum(MomentumParameters(resolution="5m", threshold=0.003)),
    "mean_reversion": lambda: MeanReversion(
        MeanReversionParameters(resolution="5m", threshold=3)
    ),
    "ut_bot": lambda: UTBotStrategy(UTBotParameters(resolution="5m", key_value=3)),
}


def follows(name, days):
    data = candles(days)
    run = run_backtest(QUANT[name], data, WARM)
    judge_candles(run, [data])
    assert {order.status for order in run.orders} == {"filled"}
    assert set(held(run)) <= {-1_000, 0, 1_000}, "never more than its size"
    return run


@needs_candles
@pytest.mark.parametrize("name", QUANT)
def test_what_follows_candles_on_a_week_of_them(name):
    assert len(follows(name, 7).fills) > 10


@needs_candles
@pytest.mark.slow
@pytest.mark.parametrize("name", QUANT)
def test_what_follows_candles_on_ninety_days_of_them(name):
    run = follows(name, 90)
    assert len(run.fills) > 400
    assert run.results.baselines[1].name == "buy and hold"
    assert run.results.baselines[1].returns.total > 0.4, "the market rose"


def lays_a_grid_on(days):
    tuned = GridParameters(levels=10, step_bps=Decimal(50), every_s=300.0)
    data = candles(days)
    run = run_backtest(lambda: Grid(tuned), data)
    judge_candles(run, [data])
    assert max(map(abs, held(run))) <= tuned.levels * tuned.size * LOTS
    assert {fill.is_maker for fill in run.fills} == {True}
    return run


@needs_candles
def test_the_grid_on_hours_of_candles():
    assert len(lays_a_grid_on(0.25).fills) > 5


@needs_candles
@pytest.mark.slow
def test_the_grid_on_two_weeks_of_candles():
    run = lays_a_grid_on(14)
    assert len(run.fills) > 100
    # Whatever it closed was closed a step or more away from where it was opened.
    assert run.results.trades.win_rate == 1


@needs_candles
@pytest.mark.slow
@pytest.mark.parametrize("name", QUANT)
def test_none_looks_ahead_on_recorded_candles(name):
    def make(_):
        return QUANT[name]()

    cuts = [3 * DAY, 3 * DAY + 1, 5 * DAY + 77]
    assert decisions_on_prefixes(make, candles(7), WARM, cuts=cuts) == []


# ------------------------------------------------------------- two markets of ETH


def takes_both_sides_on(days):
    perp = candles(days)
    pair = (perp, spot_beside(perp))
    tuned = ArbitrageParameters(look_s=30.0)
    # More points than four: a book is told often enough to be no old one.
    settings = BacktestSettings(points=10)
    run = run_backtest(lambda: Arbitrage(tuned), pair, settings)
    print(summary_text(run.results))
    judge_candles(run, pair)
    assert {order.status for order in run.orders} == {"filled"}
    assert held(run, ETH)[-1] == -held(run, SPOT_ETH)[-1], "a pair covers itself"
    assert max(map(abs, held(run))) <= tuned.size * LOTS
    assert run.results.end_capital > run.results.start_capital
    return run


@needs_candles
def test_arbitrage_on_hours_of_eth_and_a_made_up_spot_market():
    assert len(takes_both_sides_on(0.2).fills) > 6


@needs_candles
@pytest.mark.slow
def test_arbitrage_on_days_of_eth_and_a_made_up_spot_market():
    assert len(takes_both_sides_on(2).fills) > 100
