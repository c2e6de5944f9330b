"""Recorded ETH candles and a recorded ETH book through three of the examples."""

from __future__ import annotations

import os
import sys
from itertools import islice
from pathlib import Path

import pytest

from wrappy.runner.backtest import BacktestSettings, CandleData, TapeData, run_backtest
from wrappy.runner.history import CandleFile
from wrappy.runner.performance import summary_text

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("WRAPPY_TEST_DATA", ROOT.parent / "shared" / "data"))
CANDLES = DATA / "perp_5m" / "ETHUSDT_5m.csv"
TAPE = DATA / "binance_usdm_l2" / "usdm_ethusdt_20240808.gz"
DAYS = 90
WARM_UP = 288

sys.path.insert(0, str(ROOT / "examples" / "strategies"))

from market_maker import MarketMaker, MarketMakerParameters  # noqa: E402
from mean_reversion import MeanReversion, MeanReversionParameters  # noqa: E402
from momentum import Momentum, MomentumParameters  # noqa: E402


@pytest.fixture(scope="module")
def data():
    if not CANDLES.exists():
        pytest.skip(f"no recorded candles at {CANDLES}; set WRAPPY_TEST_DATA")
    file = CandleFile(CANDLES, symbol="ETH", resolution="5m")
    rows = list(islice(file, DAYS * 288))
    return CandleData("ETH", "5m", rows, file.series.notes())


@pytest.mark.parametrize(
    "make",
    [
        lambda: Momentum(MomentumParameters(resolution="5m", threshold=0.003)),
        lambda: MeanReversion(MeanReversionParameters(resolution="5m", threshold=3)),
    ],
    ids=["momentum", "mean_reversion"],
)
def test_recorded_candles_give_figures_that_make_sense(make, data):
    run = run_backtest(make, data, BacktestSettings(warm_up=WARM_UP))
    results = run.results
    print(summary_text(results))
    assert run.crashed is None
    assert DAYS - 2 <= results.returns.days <= DAYS
    assert results.trades.closed > 30
    assert 0 < (results.activity.exposure or 0) < 1
    # All takers of the premium tier: 0.028 percent of what was traded.
    share = results.costs.fees / results.costs.traded
    assert 0.000279 < share < 0.000281
    # What was won and lost in all trades, fees and funding is what the account has.
    assert abs(results.end_capital - results.start_capital) < 1_000
    assert 0 <= (results.costs.slippage_at_arrival_bps or 0) < 1
    assert {order.status for order in run.orders} == {"filled"}


@pytest.mark.skipif(not TAPE.exists(), reason=f"no recorded tape at {TAPE}")
def test_a_recorded_book_gives_a_market_maker_figures_that_make_sense():
    data = TapeData(TAPE)
    run = run_backtest(lambda: MarketMaker(MarketMakerParameters()), data)
    results = run.results
    print(summary_text(results))
    assert run.crashed is None
    assert len(data.read.trades) > 14_000
    assert 340_000 < data.end_ms - data.begin_ms < 350_000
    activity, costs = results.activity, results.costs
    assert activity.filled_orders > 20
    assert costs.maker_share == 1
    # Premium makers pay 0.004 percent.
    assert 0.0000399 < costs.fees / costs.traded < 0.0000401
    # Filled about where it quotes, two ten-thousandths from the middle.
    assert -3 < costs.slippage_at_decision_bps < -1
    assert costs.slippage_unknown == 0
    # A quarter of an ether is not more than a few USDC of luck in six minutes.
    assert abs(results.end_capital - results.start_capital) < 5
    assert max(abs(held) for held in _held(run.fills)) <= 3_000
    assert {order.status for order in run.orders} <= {
        "filled",
        "canceled",
        "canceled-post-only",
    }
    # It crosses midnight, when funding is paid.
    assert results.costs.funding


def _held(fills):
    held = 0
    for fill in fills:
        held += fill.size if fill.side.name == "BUY" else -fill.size
        yield held
