"""P26: what is decided on the first candles does not depend on those that follow."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from tests.promises.backtest_process import ROOT, walk
from tests.promises.tapes import walked_tape
from wrappy.errors import ConfigError
from wrappy.runner.backtest import (
    BacktestSettings,
    CandleData,
    TapeData,
    decisions_on_prefixes,
    run_backtest,
)
from wrappy.runner.strategy import Strategy, go_to_position

sys.path.insert(0, str(ROOT / "examples" / "strategies"))
sys.path.insert(0, str(ROOT / "examples" / "trend_ladder"))

from arbitrage import Arbitrage, ArbitrageParameters
from grid import Grid, GridParameters
from ladder_settings import LadderParameters
from ladder_strategy import TrendLadder
from market_maker import MarketMaker, MarketMakerParameters
from mean_reversion import MeanReversion, MeanReversionParameters
from momentum import Momentum, MomentumParameters
from ut_bot import UTBotParameters, UTBotStrategy

CUTS = (70, 71, 120, 199, 239)
SECONDS = (7, 8, 20, 39)
WARM = BacktestSettings(warm_up=40)
PAIR = ("ETH", "ETH/USDC")
NEAR = Decimal("0.5")
EXAMPLES = {
    "momentum": lambda _: Momentum(MomentumParameters(threshold=0.0003)),
    "mean_reversion": lambda _: MeanReversion(MeanReversionParameters(threshold=1.2)),
    "ut_bot": lambda _: UTBotStrategy(UTBotParameters()),
}
PAIRED = {
    "arbitrage": lambda _, look_s=2.0: Arbitrage(
        ArbitrageParameters(gain=Decimal(0), look_s=look_s), symbols=PAIR
    ),
}
QUOTING = {
    "market_maker": lambda _: MarketMaker(MarketMakerParameters(half_spread_bps=NEAR)),
    "grid": lambda _: Grid(GridParameters(step_bps=NEAR)),
    "ladder_strategy": lambda _: TrendLadder(
        LadderParameters(requote=Decimal("0.1"), take_profit=Decimal("0.3"))
    ),
}


def parted(rows, seed=1):
    """Return the same prices at another market: apart by a part that comes and goes."""
    chance, apart, found = random.Random(f"apart {seed}"), 0.0, []
    for row in rows:
        apart += chance.gauss(0, 0.001) - apart / 10
        factor = 1 + Decimal(round(apart * 100_000)) / 100_000
        prices = {
            name: round(getattr(row, name) * factor, 2)
            for name in ("open", "high", "low", "close")
        }
        found.append(replace(row, **prices))
    return found


@pytest.fixture(scope="module")
def data():
    return CandleData("ETH", "1m", walk(240))


@pytest.fixture(scope="module")
def pair(data):
    return (data, CandleData("ETH/USDC", "1m", parted(data.rows)))


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    path = tmp_path_factory.mktemp("tape") / "eth.jsonl"
    return TapeData(walked_tape(path, seconds=40))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    path = walked_tape(
        tmp_path_factory.mktemp("tape") / "both.jsonl", symbols=PAIR, seconds=40
    )
    return tuple(TapeData(path, symbol=symbol) for symbol in PAIR)


def test_every_strategy_of_the_examples_is_tried():
    files = {path.stem for path in ROOT.glob("examples/strategies/*.py")}
    files |= {path.stem for path in ROOT.glob("examples/*/*_strategy.py")}
    assert files == {*EXAMPLES, *PAIRED, *QUOTING}


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_example_looks_ahead(name, data):
    assert run_backtest(lambda: EXAMPLES[name](()), data, WARM).fills
    assert decisions_on_prefixes(EXAMPLES[name], data, WARM, cuts=CUTS) == []


@pytest.mark.parametrize("name", QUOTING)
def test_no_example_that_quotes_looks_ahead_on_a_tape(name, tape):
    assert run_backtest(lambda: QUOTING[name](()), tape).fills
    assert decisions_on_prefixes(QUOTING[name], tape, cuts=SECONDS) == []


@pytest.mark.parametrize("kind", ["candles", "tapes"])
def test_no_example_looks_ahead_in_several_markets(kind, pair, both):
    def make(_):
        return PAIRED["arbitrage"](_, look_s=5.0 if kind == "candles" else 2.0)

    short = tuple(replace(one, rows=one.rows[:90]) for one in pair)
    given, cuts = (short, (40, 61)) if kind == "candles" else (both, SECONDS[1:])
    run = run_backtest(lambda: make(()), given)
    assert {fill.market_id for fill in run.fills} == {0, 2048}
    assert decisions_on_prefixes(make, given, cuts=cuts) == []


def test_longer_candles_out_of_short_ones_tell_nothing_early(data):
    def make(_):
        return Momentum(
            MomentumParameters(
                resolution="5m", short_period=2, long_period=4, threshold=0.0001
            )
        )

    assert decisions_on_prefixes(make, data, WARM, cuts=CUTS) == []


@dataclass(frozen=True, slots=True)
class Seen:
    """What a strategy was given that it should not have: the rows themselves."""

    rows: tuple = ()


class Cheats(Strategy[Seen]):
    """Buys before a rise and sells before a fall, since it has read the rows."""

    async def run(self, ctx):
        rows = {row.start_ms: row for row in self.parameters.rows}
        async for candle in ctx.candles("1m"):
            later = rows.get(candle.start_ms + 10 * 60_000)
            if later is not None:
                up = later.close > candle.close
                await go_to_position(ctx, Decimal(1) if up else Decimal(-1))


class Flees(Strategy[Seen]):
    """Sends one order; takes it away before a trade that it has read of."""

    market_data = "book"

    async def run(self, ctx):
        dealer = ctx.dealer()
        sent = await dealer.create_limit_order(2_900, "0.1", post_only=True)
        await dealer.flush()
        last_us = self.parameters.rows[-1].at_us
        await ctx.sleep(10)
        if last_us > (ctx.now() + 10) * 1_000_000:
            await dealer.cancel_order_by_coi(sent["client_order_index"])
            await dealer.flush()
        await ctx.sleep(10**6)


@pytest.mark.parametrize("market", [0, 1])
def test_a_strategy_that_reads_the_rows_is_found_out(market, pair):
    def make(tapes):
        return Cheats(Seen(rows=tuple(tapes[market].rows)))

    found = decisions_on_prefixes(make, pair, WARM, cuts=CUTS)
    assert found
    for one in found:
        assert one.on_part != one.on_whole
        end_us = one.known_until_ms * 1_000
        assert all(decision.at_us < end_us for decision in one.on_whole)


def test_a_strategy_that_reads_the_tape_is_found_out_though_it_only_cancels(tape):
    def make(tapes):
        return Flees(Seen(rows=tapes[0].read.trades))

    # Ten seconds on it asks for ten more: the first part has less, the second enough.
    (found,) = decisions_on_prefixes(make, tape, cuts=[15, 30])
    assert found.known_until_ms == tape.begin_ms + 15_000
    assert len(found.on_whole) == len(found.on_part) + 1


@pytest.mark.parametrize("cut", [0, 240, 900])
def test_a_cut_that_leaves_nothing_to_compare_is_refused(cut, data):
    with pytest.raises(ConfigError, match="cuts"):
        decisions_on_prefixes(EXAMPLES["ut_bot"], data, cuts=[cut])


@pytest.mark.parametrize("cut", [0, 40, 900])
def test_so_is_one_of_a_tape(cut, tape):
    with pytest.raises(ConfigError, match="seconds"):
        decisions_on_prefixes(QUOTING["grid"], tape, cuts=[cut])


def test_and_one_that_leaves_nothing_of_another_market(data):
    late = CandleData("BTC", "1m", data.rows[100:])
    with pytest.raises(ConfigError, match="no candle of BTC"):
        decisions_on_prefixes(EXAMPLES["ut_bot"], (data, late), cuts=[100])
