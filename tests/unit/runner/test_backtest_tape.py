"""Backtests on tapes: what plays, who fills when, and what is said of it."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal

import pytest

from tests.promises.tapes import Joining, Joins, made_tape
from tests.unit.runner.test_backtest import data_of, still
from wrappy.errors import BookGapError, ConfigError
from wrappy.runner.backtest import BacktestSettings, TapeData, run_backtest, sensitivity
from wrappy.runner.strategy import NoParameters, Strategy
from wrappy.venue.bundled import market_named
from wrappy.venue.recording import (
    RecordedBook,
    RecordedDelta,
    RecordedTrade,
    RecordingWriter,
)

pytestmark = pytest.mark.slow

QUOTES = Joining(take_every=0)


@pytest.fixture(scope="module")
def eth(tmp_path_factory):
    return made_tape(tmp_path_factory.mktemp("eth") / "eth.jsonl.gz", seconds=150)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    path = tmp_path_factory.mktemp("both") / "both.jsonl"
    return made_tape(path, symbols=("ETH", "BTC"), seconds=15)


def quotes():
    return Joins(QUOTES)


@pytest.fixture(scope="module")
def runs(eth):
    return {
        queue: run_backtest(quotes, TapeData(eth, queue=queue))
        for queue in ("risk-averse", "prob", "front")
    }


def test_a_strategy_that_quotes_is_filled_and_twice_the_same(eth, runs):
    first = runs["risk-averse"]
    again = run_backtest(quotes, TapeData(eth))
    assert first.crashed is None
    assert len(first.fills) > 3
    assert {fill.is_maker for fill in first.fills} == {True}
    assert first.ledger_hash == again.ledger_hash
    assert first.fills == again.fills


def test_the_nearer_to_the_front_the_more_is_filled(runs):
    made = {
        queue: sum(fill.size for fill in run.fills if fill.is_maker)
        for queue, run in runs.items()
    }
    assert made["front"] >= made["prob"] >= made["risk-averse"] > 0
    assert made["front"] > made["risk-averse"]


class Waits(Strategy[NoParameters]):
    """Stands at the best bid and waits."""

    market_data = "book"

    async def run(self, ctx):
        await ctx.dealer().create_limit_order(3_000, "0.5", post_only=True)
        await ctx.dealer().flush()
        await ctx.sleep(10**6)


@pytest.mark.parametrize(
    ("queue", "filled"), [("risk-averse", 0), ("prob", 2_500), ("front", 5_000)]
)
def test_cancels_of_others_count_as_the_queue_model_says(tmp_path, queue, filled):
    start_us, second = 1_800_000_000_000_000, 1_000_000
    path = tmp_path / "queue.jsonl"
    writer = RecordingWriter(path, [market_named("ETH")])
    bids, asks = [("3000.00", "1.0")], [("3000.10", "5.0")]
    writer.write([RecordedBook(start_us, 0, 1, bids, asks)])
    for at, size in ((3, "2.0"), (4, "1.0")):  # half of what is there goes again
        bids = [("3000.00", size)]
        at_us = start_us + at * second
        writer.write([RecordedDelta(at_us, 0, at - 2, at - 1, bids, [])])
    writer.write(
        [RecordedTrade(start_us + 5 * second, 0, 1, "3000.00", "0.75", is_ask=True)]
    )
    writer.close()
    run = run_backtest(Waits, TapeData(path, queue=queue))
    assert run.crashed is None
    assert sum(fill.size for fill in run.fills) == filled


def test_results_name_the_queue_model_the_tape_and_what_else_could_have_been(eth, runs):
    for queue, run in runs.items():
        about = run.results.about
        assert about.models["queue"].startswith(f"{queue}: ")
        assert "path" not in about.models
        assert about.data[0] == "ETH tape: eth.jsonl.gz, 150 s"
    data = TapeData(eth)
    held = run.results.baselines[1]
    assert held.name == "buy and hold"
    moved = data.read.mids[-1] / data.read.mids[0] - 1
    # Both trades pay 0.028 percent.
    assert abs(held.returns.total - (moved - 0.00056)) < 0.0001
    assert run.results.baselines[0].end_capital == Decimal(10_000)


def test_a_maker_earns_against_the_middle_of_the_tape(runs):
    costs = runs["front"].results.costs
    assert costs.slippage_unknown == 0
    assert costs.slippage_at_decision_bps < 0


def test_assumptions_on_a_tape_are_its_queue_models_and_latency(eth, runs):
    rows = sensitivity(quotes, TapeData(eth))
    assert [row.name for row in rows] == [
        "as set",
        "queue: prob",
        "queue: front",
        "latency x5",
    ]
    for row, queue in zip(rows, ("risk-averse", "prob", "front"), strict=False):
        assert row.fills == len(runs[queue].fills)


class Listens(Strategy[NoParameters]):
    """Keeps candles and their times."""

    heard = ()

    async def run(self, ctx):
        self.heard = []
        async for candle in ctx.candles("1m"):
            self.heard.append((ctx.now(), candle))


def test_candles_come_from_the_exchange_when_they_are_over(eth):
    strategy, data = Listens(NoParameters()), TapeData(eth)
    run = run_backtest(lambda: strategy, data)
    assert run.crashed is None
    rows = {row.start_ms: row for row in data.rows}
    assert strategy.heard
    for now_s, candle in strategy.heard:
        assert candle.start_ms + 60_000 <= now_s * 1_000
        expected = rows[candle.start_ms]
        assert (candle.high, candle.low) == (expected.high, expected.low)
        assert (candle.close, candle.base_volume) == (
            expected.close,
            expected.base_volume,
        )


class Times(Strategy[NoParameters]):
    """Notes when it begins, and stays."""

    began_s = 0.0

    async def run(self, ctx):
        self.began_s = ctx.now()
        await ctx.sleep(10**6)


def test_time_begins_and_ends_with_the_tape(eth):
    strategy, data = Times(NoParameters()), TapeData(eth)
    run = run_backtest(lambda: strategy, data)
    assert 0 <= strategy.began_s - data.begin_us / 1e6 < 2
    assert run.results.curve[0].at_ms >= data.begin_ms
    assert data.end_ms <= run.results.curve[-1].at_ms < data.end_ms + 1_000


def test_several_markets_of_one_recording(both):
    data = [TapeData(both, symbol=symbol) for symbol in ("ETH", "BTC")]
    run = run_backtest(lambda: Joins(QUOTES, symbols=("ETH", "BTC")), data)
    assert run.crashed is None
    assert [one.symbol for one in run.data] == ["ETH", "BTC"]
    assert run.orders


def test_tapes_that_begin_at_different_moments_keep_their_distance(both, tmp_path):
    late = made_tape(tmp_path / "late.jsonl", seconds=15, start=1_800_000_005.25)
    data = [TapeData(both, symbol="BTC"), TapeData(late)]
    assert data[1].begin_us - data[0].begin_us == 5_250_000
    run = run_backtest(lambda: Joins(QUOTES, symbols=("ETH",)), data)
    assert run.crashed is None
    assert run.orders[0].created_us > data[1].begin_us
    assert data[0].read.mid_at(data[0].begin_us - 1) == 0
    far = made_tape(tmp_path / "far.jsonl", seconds=1, start=1_900_000_000)
    refused(lambda: run_backtest(quotes, [data[0], TapeData(far)]), "same time")


def test_a_tape_without_a_book_of_two_sides_is_refused(eth, tmp_path):
    head, *rows = gzip.decompress(eth.read_bytes()).splitlines()
    book = json.loads(next(row for row in rows if b'"book"' in row))
    path = tmp_path / "bids.jsonl"
    path.write_bytes(head + b"\n" + json.dumps(book | {"asks": []}).encode() + b"\n")
    refused(lambda: run_backtest(quotes, TapeData(path)), "two sides")


def refused(what, *words):
    with pytest.raises(ConfigError) as caught:
        what()
    for word in words:
        assert word in str(caught.value)


def test_what_does_not_fit_is_refused(eth, both, tmp_path):
    refused(lambda: TapeData(both), "symbol", "ETH, BTC")
    refused(lambda: TapeData(eth, symbol="BTC"), "symbol", "ETH")
    refused(lambda: TapeData(eth, queue="fifo"), "queue", "'prob'")
    refused(lambda: TapeData(eth, resolution="1x"), "1x")
    refused(lambda: TapeData(tmp_path / "none"), "none")
    data = TapeData(eth)
    settings = BacktestSettings(warm_up=1)
    refused(lambda: run_backtest(quotes, data, settings), "warm_up")
    refused(lambda: run_backtest(quotes, [data, data]), "two tapes")
    refused(lambda: run_backtest(quotes, []), "data")
    refused(lambda: run_backtest(quotes, [data, data_of(still(3))]), "together")
    others = [data, TapeData(both, symbol="BTC", queue="front")]
    refused(lambda: run_backtest(quotes, others), "queue")
    missing = lambda: Joins(QUOTES, symbols=("SOL",))  # noqa: E731
    refused(lambda: run_backtest(missing, data), "SOL", "tape")


def test_a_tape_with_a_hole_is_refused_before_anything_runs(eth, tmp_path):
    lines = gzip.decompress(eth.read_bytes()).splitlines(keepends=True)
    changes = [at for at, line in enumerate(lines) if b'"delta"' in line]
    del lines[changes[10]]
    path = tmp_path / "hole.jsonl"
    path.write_bytes(b"".join(lines))
    with pytest.raises(BookGapError, match="line"):
        run_backtest(quotes, TapeData(path))
