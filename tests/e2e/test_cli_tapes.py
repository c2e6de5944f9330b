"""`wrappy backtest` and `wrappy sweep` on recorded markets, and on several at once."""

from __future__ import annotations

import json
import random
import sqlite3

import pytest

from wrappy.runner.backtest import BacktestSettings, TapeData
from wrappy.runner.cli.app import main
from wrappy.runner.cli.assumptions import look_ahead_test
from wrappy.runner.settings.loading import strategy_class
from wrappy.venue.bundled import market_named
from wrappy.venue.recording import (
    RecordedBook,
    RecordedDelta,
    RecordedEnd,
    RecordedTrade,
    RecordingWriter,
)

pytestmark = pytest.mark.slow

BEGIN_US = 1_800_000_000_000_000
STEP_US = 500_000
MIDS = {"ETH": 3_000, "BTC": 60_000}

STRATEGIES = '''
from __future__ import annotations

import os
from dataclasses import dataclass
from decimal import Decimal

from wrappy.runner.strategy import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    every_s: float = 5.0
    size: Decimal = Decimal("0.01")


class Buying(Strategy[Tuned]):
    """Buys in each of its markets every few seconds."""

    market_data = "book"

    async def run(self, ctx):
        while True:
            await ctx.sleep(self.parameters.every_s)
            for symbol in self.symbols:
                ask = ctx.ws.book(symbol).best_ask.price
                bound = round(ask * Decimal("1.01"), 1)
                await ctx.dealer(symbol).create_market_order(
                    self.parameters.size, bound
                )


class Counting(Buying):
    """Buys another size in each run: no two of them are the same."""

    runs = 0

    async def run(self, ctx):
        Counting.runs += 1
        await ctx.sleep(3)
        size = Counting.runs * self.parameters.size
        await ctx.dealer().create_market_order(size, Decimal(4_000))
        await ctx.sleep(10**6)


class Turning(Strategy[Tuned]):
    """Buys on every candle, in each market."""

    async def run(self, ctx):
        async for candle in ctx.candles("5m"):
            for symbol in self.symbols:
                await ctx.dealer(symbol).create_market_order(
                    self.parameters.size, Decimal(10**5)
                )
                await ctx.dealer(symbol).flush()
'''


def tape_of(path, *symbols, seconds):
    """Write a recording of markets that wander, two books a second."""
    chance, markets = random.Random(5), [market_named(one) for one in symbols]
    writer = RecordingWriter(path, markets)
    ticks = {one.symbol: MIDS[one.symbol] * one.price_scale for one in markets}
    shown = {}
    for number in range(seconds * 2):
        for market in markets:
            at_us, index = BEGIN_US + number * STEP_US, market.market_id
            ticks[market.symbol] += chance.randint(-9, 9)
            mid, before = ticks[market.symbol], shown.get(index, ([], []))
            sides = [
                [(str(market.price(mid + side * level)), "5.0") for level in (1, 2, 3)]
                for side in (-1, 1)
            ]
            shown[index] = sides
            if number == 0:
                writer.write([RecordedBook(at_us, index, 1, *sides)])
                continue
            changes = [
                [*((one, "0") for one, _ in old if one not in dict(new)), *new]
                for old, new in zip(before, sides, strict=True)
            ]
            writer.write(
                [
                    RecordedDelta(at_us, index, number, number + 1, *changes),
                    RecordedTrade(
                        at_us + 1, index, number, sides[0][0][0], "0.1", is_ask=True
                    ),
                ]
            )
    writer.write([RecordedEnd(BEGIN_US + seconds * 1_000_000)])
    writer.close()


def candles_of(path, price):
    rows = ["timestamp,open,high,low,close,volume"]
    for step in range(200):
        close = price + step % 7
        rows.append(
            f"{1_700_006_400_000 + step * 300_000},{price},{close + 1},{price - 1},"
            f"{close},10"
        )
    path.write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("tapes")
    tape_of(made / "eth.jsonl.gz", "ETH", seconds=40)
    tape_of(made / "both.jsonl", "ETH", "BTC", seconds=200)
    tape_of(made / "short.jsonl", "ETH", seconds=1)
    for symbol, price in MIDS.items():
        candles_of(made / f"{symbol}.csv", price)
    (made / "mine.py").write_text(STRATEGIES)
    return made


@pytest.fixture(autouse=True)
def here(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "mine.py").unlink()
    (tmp_path / "mine.py").write_text(STRATEGIES)
    return tmp_path


BUYING = ("backtest", "mine.py:Buying")
ONE = ("--tape", "eth.jsonl.gz")
BOTH = ("--market", "ETH", "--market", "BTC")


def test_a_backtest_on_a_tape_says_what_it_owes_to_its_queue(here, capsys):
    files = ("--report", "r.html", "--charts", "drawn", "--output", "r.json")
    assert main([*BUYING, *ONE, "--queue", "prob", *files]) == 0
    told = capsys.readouterr().out
    for words in ("queue: risk-averse", "queue: front", "latency x5"):
        assert words in told
    assert "queue: prob" not in told
    assert "Look-ahead: passed" in told
    about = json.loads((here / "r.json").read_text())["about"]
    assert about["models"]["queue"].startswith("prob: ")
    assert about["data"][0] == "ETH tape: eth.jsonl.gz, 40 s"
    assert (here / "drawn" / "price-ETH.png").is_file()
    assert "Under other fill models" in (here / "r.html").read_text()


def test_a_strategy_that_is_never_the_same_is_told_of_on_a_tape(capsys):
    assert main(["backtest", "mine.py:Counting", *ONE]) == 0
    assert "Look-ahead: FAILED" in capsys.readouterr().out


def test_a_tape_of_a_second_tells_nothing_of_the_future(here):
    kind = strategy_class("mine.py:Buying", folder=here)
    tapes = (TapeData(here / "short.jsonl"),)
    assert look_ahead_test(kind, tapes, BacktestSettings()) == "not run"


@pytest.mark.parametrize(
    "files",
    [
        ("--tape", "both.jsonl"),
        ("--tape", "ETH=eth.jsonl.gz", "--tape", "BTC=both.jsonl"),
    ],
    ids=["one file", "two files"],
)
def test_a_backtest_of_two_markets_on_tapes(here, files):
    command = [*BUYING, *BOTH, *files, "--quick", "--output", "r.json"]
    assert main(command) == 0
    results = json.loads((here / "r.json").read_text())
    assert results["about"]["symbols"] == ["ETH", "BTC"]
    assert {words[:9] for words in results["about"]["data"]} == {
        "ETH tape:",
        "BTC tape:",
    }
    assert results["activity"]["fills"] > 0


CANDLES = ("--candles", "ETH=ETH.csv", "--candles", "BTC=BTC.csv")


def test_a_backtest_of_two_markets_on_candles(here, capsys):
    command = ["backtest", "mine.py:Turning", *BOTH, *CANDLES, "--output", "r.json"]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "Look-ahead: passed" in told
    assert "filled on touch" in told
    data = json.loads((here / "r.json").read_text())["about"]["data"]
    assert any("from ETH.csv" in words for words in data)
    assert any("from BTC.csv" in words for words in data)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((), "data: the candles are not of the same time: those of ETH end at 2023-11"),
        (("--days", "2"), "--candles: there are no candles of ETH in the last 2 days"),
    ],
)
def test_candles_of_different_times_are_refused(here, capsys, more, words):
    head, *rows = (here / "BTC.csv").read_text().splitlines()
    later = [f"{int(row[:13]) + 864_000_000}{row[13:]}" for row in rows]
    (here / "late.csv").write_text("\n".join([head, *later]))
    files = ("--candles", "ETH=ETH.csv", "--candles", "BTC=late.csv")
    assert main(["backtest", "mine.py:Turning", *BOTH, *files, *more]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def settings_of(here, section, *, symbols='["ETH", "BTC"]', use="mine.py:Buying"):
    text = (
        f'[[strategies]]\nuse = "{use}"\nsymbols = {symbols}\n[backtest]\n{section}\n'
    )
    (here / "bot.toml").write_text(text)


@pytest.mark.parametrize(
    ("use", "section"),
    [
        ("mine.py:Buying", 'tape = "both.jsonl"\nqueue = "front"'),
        ("mine.py:Turning", 'data = { ETH = "ETH.csv", BTC = "BTC.csv" }'),
    ],
)
def test_the_settings_name_markets_too(here, use, section):
    settings_of(here, section, use=use)
    command = ["backtest", "--config", "bot.toml", "--quick", "--output", "r.json"]
    assert main(command) == 0
    about = json.loads((here / "r.json").read_text())["about"]
    assert about["symbols"] == ["ETH", "BTC"]
    if "queue" in section:
        assert about["models"]["queue"].startswith("front: ")


def test_the_command_line_takes_the_place_of_the_settings_data(here):
    settings_of(here, 'data = "nowhere.csv"\ndays = 3', symbols='["ETH"]')
    assert main(["backtest", "--config", "bot.toml", "--quick", *ONE]) == 0


SWEEP = ("sweep", "mine.py:Buying", "--over", "every_s=5:15:5", "--workers", "2")


def test_a_sweep_goes_over_a_tape_and_looks_at_what_it_did_not_choose_on(here, capsys):
    more = ("--objective", "returns.total", "--split", "1", "--store", "s.sqlite")
    command = [*SWEEP, "--tape", "both.jsonl", *more]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "3 trials (grid, seed 1): 3 done" in told
    assert "2027-01-15 08:02: " in told
    with sqlite3.connect("s.sqlite") as store:
        rows = store.execute("SELECT state FROM trials").fetchall()
    store.close()
    assert rows == [("done",)] * (3 + 3 + 1)
    assert main(command) == 0
    assert "3 were known before" in capsys.readouterr().out
    # Another queue is another run.
    assert main([*command, "--queue", "front"]) == 0
    assert "0 were known before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*BUYING, *ONE, *CANDLES), "--tape: stands beside --candles"),
        ((*BUYING, *ONE, "--days", "3"), "--days: a tape is played whole"),
        ((*BUYING, "--candles", "ETH.csv", "--queue", "prob"), "--queue: candles have"),
        ((*BUYING, *ONE, "--market", "BTC"), "eth.jsonl.gz is of ETH, not of BTC"),
        ((*BUYING, "--tape", "no.jsonl"), "no.jsonl cannot be read"),
        ((*BUYING, "--tape", "ETH.csv"), "ETH.csv: line 1: "),
        ((*BUYING, "--tape", "ETH="), "--tape: 'ETH=' names no file"),
        ((*BUYING, *CANDLES), "--candles: no strategy trades BTC"),
        ((*BUYING, *BOTH, *CANDLES[:2]), "--candles: has nothing of BTC, but of ETH"),
        ((*BUYING, *CANDLES[:2], *CANDLES[:2]), "there are two files of ETH"),
        ((*BUYING, *ONE, *ONE), "--tape: is given twice"),
        ((*BUYING, *CANDLES[:2], "--candles", "b.csv"), "b.csv has no market before"),
        ((*BUYING, *BOTH, "--candles", "ETH.csv"), "one file for ETH, BTC"),
        ((*SWEEP, *ONE, "--split", "1"), "--split: 1 needs 3 parts of a minute"),
        ((*SWEEP, *ONE, "--days", "1"), "--days: a tape"),
        (BUYING, "backtest.data: no candles and no tape"),
    ],
    ids=lambda value: " ".join(value[2:]) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_one_line_and_ends_with_2(capsys, arguments, words):
    assert main(list(arguments)) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.startswith("wrappy: ")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ('tape = "both.jsonl"\ndata = "ETH.csv"', "backtest.tape: stands beside data"),
        ('tape = "both.jsonl"\ndays = 1', "backtest.days: a tape is played whole"),
        ('tape = "both.jsonl"\nqueue = "last"', "backtest.queue: 'last'"),
        ('tape = "both.jsonl"\nwarm_up = 5', "backtest.warm_up: 5 candles, but a tape"),
        ("tape = 5", "backtest.tape: 5 is not"),
        ('data = { ETH = "ETH.csv" }', "backtest.data: has nothing of BTC"),
        ('data = { ETH = "ETH.csv", BTC = 5 }', "backtest.data"),
        ('tape = { ETH = "eth.jsonl.gz", SOL = "x" }', "no strategy trades SOL"),
    ],
)
def test_settings_that_cannot_be_are_one_line_and_end_with_2(
    here, capsys, section, words
):
    settings_of(here, section)
    assert main(["backtest", "--config", "bot.toml"]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
