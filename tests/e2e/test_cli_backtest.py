"""`wrappy backtest` and `wrappy sweep`: what they print, write, keep and refuse."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from tests.cli import environment
from wrappy.errors import ConfigError
from wrappy.runner.backtest import BacktestSettings
from wrappy.runner.cli import stop_signals
from wrappy.runner.cli import sweep as sweep_command
from wrappy.runner.cli.app import main
from wrappy.runner.cli.assumptions import look_ahead_test
from wrappy.runner.cli.file_backtest import FileBacktest, backtest_of
from wrappy.runner.cli.log_output import BriefLog
from wrappy.runner.cli.overrides import overrides
from wrappy.runner.cli.recorded import Recorded, assumed
from wrappy.runner.settings import BacktestSection, read_settings
from wrappy.runner.settings.loading import reloaded, strategy_class
from wrappy.runner.sweep import StrategyBacktest, SweepStoppedError

pytestmark = pytest.mark.slow

BEGIN_MS = 1_700_006_400_000
MINUTE_MS = 60_000

STRATEGIES = '''
from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from wrappy.errors import ConfigError
from wrappy.runner.strategy import NoParameters, Strategy, go_to_position


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    resolution: str = "5m"
    every: int = 50
    gap: float = 1.0
    size: Decimal = Decimal("0.1")
    name: str = "a"

    def __post_init__(self):
        if self.every < 1:
            raise ConfigError(f"every: {self.every} is below 1")


class Turning(Strategy[Tuned]):
    """Turns its position around every so many candles."""

    async def run(self, ctx):
        seen, side = 0, 1
        async for _ in ctx.candles(self.parameters.resolution):
            seen += 1
            if seen % self.parameters.every == 0:
                await go_to_position(ctx, side * self.parameters.size)
                side = -side


class Peeking(Strategy[NoParameters]):
    """Sees how many candles there are, which it cannot know."""

    async def run(self, ctx):
        rows = len(ctx._candles._rows["ETH"])
        async for _ in ctx.candles("5m"):
            await ctx.dealer().create_limit_order(1000 + rows, Decimal("0.01"))
            await ctx.dealer().flush()
            return


class Crashing(Strategy[NoParameters]):
    async def run(self, ctx):
        async for _ in ctx.candles("5m"):
            raise ValueError("a mistake")


class Both(Turning):
    def __init__(self, parameters=None, *, symbols=("ETH", "BTC")):
        super().__init__(parameters, symbols=("ETH", "BTC"))
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with nine days of candles and some strategies."""
    made = tmp_path_factory.mktemp("recorded")
    rows, before = ["timestamp,open,high,low,close,volume"], 4000.0
    for step in range(9 * 288):
        close = 4000 + 200 * math.sin(step / 300) + 20 * math.sin(step / 7)
        low, high = min(before, close) - 1, max(before, close) + 1
        start = BEGIN_MS + step * 5 * MINUTE_MS
        rows.append(f"{start},{before:.2f},{high:.2f},{low:.2f},{close:.2f},10")
        before = close
    (made / "ETH_5m.csv").write_text("\n".join(rows) + "\n")
    (made / "mine.py").write_text(STRATEGIES)
    return made


@pytest.fixture
def here(folder, tmp_path, monkeypatch):
    """An empty folder to work in, with names for what lies in the other."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(STRATEGIES)
    (tmp_path / "ETH_5m.csv").symlink_to(folder / "ETH_5m.csv")
    return tmp_path


def called(*arguments):
    return main([*arguments, "--candles", "ETH_5m.csv"])


def test_a_backtest_says_what_it_owes_to_its_assumptions(here, capsys):
    given = ("--set", "every=30", "--set", "size=0.2", "--days", "4", "--seed", "7")
    files = ("--report", "r.html", "--charts", "drawn", "--output", "r.json")
    assert called("backtest", "mine.py:Turning", *given, *files) == 0
    told = capsys.readouterr().out
    assert "Fills assumed" in told
    assert "latency x5" in told
    assert "Look-ahead: passed" in told
    results = json.loads((here / "r.json").read_text())
    assert results["about"]["parameters"]["every"] == 30
    assert results["about"]["parameters"]["size"] == "0.2"
    assert results["about"]["seed"] == 7
    assert any("from ETH_5m.csv" in words for words in results["about"]["data"])
    page = (here / "r.html").read_text()
    assert "Under other fill models" in page
    assert "test on shortened data passed" in page
    assert {path.name for path in (here / "drawn").iterdir()} == {
        "equity.png",
        "trades.png",
        "price-ETH.png",
    }


def test_a_quick_backtest_runs_once(here, capsys):
    assert called("backtest", "mine.py:Turning", "--quick", "--capital", "500") == 0
    told = capsys.readouterr().out
    assert "500.00" in told
    assert "Fills assumed" not in told
    assert "Look-ahead" not in told


def test_results_that_cannot_be_written_are_one_line_after_the_figures(here, capsys):
    (here / "gone.json").symlink_to(here / "no" / "r.json")
    quick = ("--days", "1", "--quick")
    assert called("backtest", "mine.py:Turning", *quick, "--output", "gone.json") == 2
    told = capsys.readouterr()
    assert "Ledger hash" in told.out
    assert told.err == (
        "wrappy: gone.json: cannot be written: No such file or directory\n"
    )


def test_a_page_of_a_sweep_that_cannot_be_written_is_one_line_too(here, capsys):
    (here / "gone.html").symlink_to(here / "no" / "r.html")
    quick = ("--days", "3", "--workers", "1", "--report", "gone.html")
    assert called(*SWEEP, *OVER, *quick) == 2
    told = capsys.readouterr()
    assert "2 trials" in told.out
    assert "wrappy: gone.html: cannot be written: No such file" in told.err


@pytest.mark.parametrize("columns", ["60", "120"])
def test_what_to_keep_in_mind_is_as_wide_as_the_terminal(
    here, capsys, monkeypatch, columns
):
    monkeypatch.setenv("COLUMNS", columns)
    text = '[risk]\nmax_trades_age_s = 30\n[backtest]\ndata = "ETH_5m.csv"\n'
    (here / "bot.toml").write_text(text)
    quick = ("--config", "bot.toml", "--days", "1", "--quick")
    assert main([*TURNING, *quick]) == 0
    told = capsys.readouterr().out.partition("Mind:")[2].partition("====")[0]
    assert " ".join(told.split()).count("max_trades_age_s: 30 s is less than") == 1
    longest = max(map(len, told.splitlines()))
    assert int(columns) - 12 < longest <= int(columns)


def test_a_sweep_tells_nothing_wider_than_the_terminal(here, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    assert called(*SWEEP, *OVER, "--days", "3", "--workers", "1") == 0
    told = capsys.readouterr().out
    assert "deflated Sharpe ratio of the best" in " ".join(told.split())
    assert max(map(len, told.splitlines())) <= 70


def test_a_strategy_that_sees_the_future_is_told_of(here, capsys):
    assert called("backtest", "mine.py:Peeking", "--days", "2") == 0
    assert "Look-ahead: FAILED" in capsys.readouterr().out


def test_too_few_candles_tell_nothing_of_the_future(here):
    data = Recorded(files={"": here / "ETH_5m.csv"}).read(("ETH",))
    short = dataclasses.replace(data[0], rows=data[0].rows[:1])
    kind = strategy_class("mine.py:Turning", folder=here)
    assert look_ahead_test(kind, (short,), BacktestSettings()) == "not run"
    assert look_ahead_test(kind, (short,), BacktestSettings(warm_up=9)) == "not run"


def test_a_crash_is_told_once_and_ends_with_1(here, capsys):
    assert called("backtest", "mine.py:Crashing", "--output", "r.json") == 1
    told = capsys.readouterr()
    assert "wrappy: crashing crashed: ValueError: a mistake" in told.err
    assert told.err.count("Traceback") == 1
    assert "Fills assumed" not in told.out
    assert (here / "r.json").is_file()


def test_several_strategies_write_files_of_their_own(here, capsys):
    lines = [
        '[[strategies]]\nuse = "mine.py:Turning"\nname = "slow"',
        '[[strategies]]\nuse = "mine.py:Turning"\nparameters = { every = 20 }',
        '[backtest]\ndata = "ETH_5m.csv"\ndays = 2\npoints = 7\nhold_takers = true',
    ]
    (here / "bot.toml").write_text("\n".join(lines))
    files = ("--output", "r.json", "--charts", "drawn", "--report", "r.html")
    command = ["backtest", "all", "--config", "bot.toml", "--quick", *files]
    assert main(command) == 0, capsys.readouterr().err
    for name, every in (("slow", 50), ("turning", 20)):
        about = json.loads((here / f"{name}-r.json").read_text())["about"]
        assert about["parameters"]["every"] == every
        assert "7 points" in about["models"]["path"]
        assert "next quote" in about["models"]["takers"]
        assert (here / f"{name}-r.html").is_file()
        assert (here / "drawn" / name / "equity.png").is_file()


def test_a_resolution_that_the_data_cannot_make_is_one_line(here, capsys):
    assert called("backtest", "mine.py:Turning", "--set", "resolution=1m") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert all(word in told.err for word in ("1m", "5m", "--set resolution=5m"))
    # Longer ones are put together.
    longer = ("--set", "resolution=15m", "--days", "2", "--quick")
    assert called("backtest", "mine.py:Turning", *longer) == 0


TURNING = ("backtest", "mine.py:Turning")
SWEEP = ("sweep", "mine.py:Turning")
OVER = ("--over", "every=20:40:20")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*TURNING, "--set", "evry=3"), "--set evry: there is no such setting"),
        ((*TURNING, "--set", "every=x"), "--set every: 'x' is not a whole number"),
        ((*TURNING, "--set", "every=0"), "--set every: 0 is below 1"),
        ((*TURNING, "--set", "every"), "--set: 'every' is no NAME=VALUE"),
        ((*TURNING, "--set", "=3"), "--set: '=3' is no NAME=VALUE"),
        ((*TURNING, "--set", "every=3", "--set", "every=4"), "every: is given twice"),
        ((*TURNING, "--days", "0"), "--days: 0 is below 1"),
        ((*TURNING, "--resolution", "1m"), "are 1m apart; leave the resolution out"),
        ((*TURNING, "--capital", "much"), "--capital: 'much' is not a number"),
        ((*TURNING, "--capital", "-5"), "--capital: "),
        ((*TURNING, "--seed", "-1"), "--seed: -1 is outside"),
        ((*TURNING, "--report", "no/such/r.html"), "there is no folder no/such"),
        ((*TURNING, "--report", "."), ".: is a folder; name a file in it"),
        ((*TURNING, "--charts", "mine.py"), "--charts: mine.py is no folder"),
        ((*TURNING, "--output", "."), ".: is a folder; name a file in it"),
        (("backtest", "mine.py:Both"), "--candles: one file for ETH, BTC"),
        (SWEEP, "--over: nothing varies"),
        ((*SWEEP, "--over", "every"), "--over: 'every' is no NAME=VALUE"),
        ((*SWEEP, "--over", "evry=1:3"), "--over evry: there is no such parameter"),
        ((*SWEEP, "--over", "every=1:x"), "--over every: '1:x': is no range"),
        ((*SWEEP, "--over", "every=1.5:3"), "--over every: takes whole numbers"),
        ((*SWEEP, *OVER, "--set", "every=3"), "--over every: is given with --set"),
        ((*SWEEP, *OVER, "--objective", "luck"), "--objective: 'luck' is no figure"),
        ((*SWEEP, *OVER, "--split", "0"), "--split: 0 is below 1"),
        ((*SWEEP, *OVER, "--split", "8"), "--split: 8 needs 10 parts of a day"),
        ((*SWEEP, *OVER, "--method", "random"), "trials: "),
        ((*SWEEP, *OVER, "--workers", "0"), "workers: 0"),
        ((*SWEEP, *OVER, "--store", "mine.py"), "mine.py: cannot keep trials there"),
        ((*SWEEP, *OVER, "--store", "no/such/s.db"), "there is no folder no/such"),
    ],
    ids=lambda value: " ".join(value[2:]) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_one_line_and_ends_with_2(here, capsys, arguments, words):
    assert called(*arguments) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.startswith("wrappy: ")
    assert told.count("\n") == 1


def test_a_sweep_wants_one_strategy_and_candles(here, capsys):
    entry = '[[strategies]]\nuse = "mine.py:Turning"\n'
    warm = "[backtest]\nwarm_up = 100000\n"
    (here / "bot.toml").write_text(f'{entry}{entry}name = "b"\n')
    assert called("sweep", "all", "--config", "bot.toml", *OVER) == 2
    assert "one at a time; there are turning, b" in capsys.readouterr().err
    assert main([*SWEEP, *OVER]) == 2
    assert "--candles" in capsys.readouterr().err
    (here / "bot.toml").write_text(entry + warm)
    assert called("sweep", "--config", "bot.toml", *OVER, "--split", "1") == 2
    assert "backtest.warm_up: " in capsys.readouterr().err
    (here / "bot.toml").write_text(f"{entry}[backtest]\ntier = 'gold'\n")
    assert called("sweep", "--config", "bot.toml", *OVER) == 2
    assert "backtest.tier: " in capsys.readouterr().err
    (here / "empty.csv").write_text("timestamp,open,high,low,close,volume\n")
    assert main([*TURNING, "--candles", "empty.csv"]) == 2
    assert "empty.csv" in capsys.readouterr().err


def test_a_sweep_goes_over_processes_and_goes_on_from_its_file(here, capsys):
    # The strategy's class and parameters come from a file no worker can import.
    command = (*SWEEP, "--over", "every=20:40:20", "--over", "size=0.1,0.2")
    more = ("--store", "s.sqlite", "--split", "2", "--workers", "2", "--days", "9")
    assert called(*command, *more, "--report", "sweep.html") == 0
    told = capsys.readouterr().out
    assert "4 trials (grid, seed 1): 4 done, 0 failed, 0 lost; 0 were known" in told
    assert "best of 4" in told
    assert "out of sample: return" in told
    assert "fewer than 30 days say little" in told
    assert "--set every=" in told
    assert "On data it had not seen" in (here / "sweep.html").read_text()
    assert called(*command, *more) == 0
    assert "4 were known before" in capsys.readouterr().out
    with sqlite3.connect("s.sqlite") as store:
        (count,) = store.execute("SELECT count(*) FROM trials").fetchone()
    store.close()
    # All of it, and two windows of four trials and one look each.
    assert count == 4 + 2 * (4 + 1)


def test_a_sweep_without_anything_good_is_a_failure(here, capsys):
    over = ("--over", "every=-1,0", "--workers", "1")
    assert called(*SWEEP, *over, "--minimize", "--objective", "costs.fees") == 1
    told = capsys.readouterr()
    assert "no trial has a costs.fees" in told.out
    assert "went wrong: parameters: every: 0 is below 1" in told.out
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--set", "resolution=1m"), "1m candles cannot be made of the data's 5m ones"),
        (("--set", "resolution=7m"), "a multiple of it: --set resolution=5m"),
        (("--over", "resolution=5m,1m"), "--over: 1m candles cannot be made of the da"),
        (
            ("--days", "1", "--objective", "returns.cagr"),
            "the data is 1.0 d long, too ",
        ),
        (("--days", "1", "--objective", "returns.calmar"), "short for returns.calmar"),
        (("--days", "1"), "or look for returns.total"),
        (
            ("--days", "6", "--split", "3", "--objective", "returns.cagr"),
            "--split looks at is 1.0 d long, too short for returns.cagr; take more of",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_all_trials_would_fail_for_is_told_before_the_first(
    here, capsys, arguments, words
):
    # Numbers that the strategy refuses are among them, and hide nothing.
    over = ("--over", "every=0,20", "--store", "s.sqlite", "--workers", "1")
    assert called(*SWEEP, *over, *arguments) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""
    assert told.err.startswith("wrappy: ")
    assert "Traceback" not in told.err
    with sqlite3.connect("s.sqlite") as store:
        tables = [row[0] for row in store.execute("SELECT name FROM sqlite_master")]
        assert (
            "trials" not in tables
            or not store.execute("SELECT count(*) FROM trials").fetchone()[0]
        )
    store.close()


@pytest.mark.parametrize("store", [(), ("--store", "s.sqlite")])
def test_an_interrupted_sweep_says_how_to_go_on(here, monkeypatch, capsys, store):
    def stopped(*_arguments, **_options):
        raise SweepStoppedError("stopped; 3 trials are kept in s.sqlite")

    monkeypatch.setattr(sweep_command, "try_all", stopped)
    assert called(*SWEEP, *OVER, *store) == 130
    words = "3 trials are kept" if store else "with --store FILE"
    assert words in capsys.readouterr().err


def test_a_nameless_interrupt_is_told_too(here, monkeypatch, capsys):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep_command, "try_all", interrupted)
    assert called(*SWEEP, *OVER) == 130
    assert capsys.readouterr().err.endswith("wrappy: interrupted\n")


def test_a_cluster_that_is_not_there_is_told(here, monkeypatch, capsys):
    def nobody(address):
        raise ConfigError(f"cluster: no Dask scheduler at {address}")

    monkeypatch.setattr(sweep_command, "cluster_executor", nobody)
    assert called(*SWEEP, *OVER, "--cluster", "tcp://127.0.0.1:1") == 2
    assert "no Dask scheduler at tcp://127.0.0.1:1" in capsys.readouterr().err


def test_ctrl_c_ends_a_backtest_in_one_line(here):
    command = [sys.executable, "-m", "wrappy.runner.cli.app", *TURNING]
    command += ["--candles", "ETH_5m.csv", "--set", "every=1"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    # It has a summary before it has doubts.
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=40)
    assert (process.returncode, errors) == (130, b"wrappy: interrupted\n")


def test_work_that_leaves_nothing_is_ended_where_it_stands(monkeypatch):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    before = signal.getsignal(signal.SIGINT)
    with stop_signals.ended_at_once():
        signal.raise_signal(signal.SIGINT)
    assert ended == [130]
    assert signal.getsignal(signal.SIGINT) is before
    seen = []

    def elsewhere():
        with stop_signals.ended_at_once():
            seen.append(signal.getsignal(signal.SIGINT) is before)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [True]


def test_a_strategy_of_a_file_travels_as_its_path(here):
    kind = strategy_class("mine.py:Turning", folder=here)
    assert reloaded(here / "mine.py", "Turning") is kind
    data = Recorded(files={"": here / "ETH_5m.csv"}, days=1).read(("ETH",))
    run = backtest_of(kind, data, BacktestSettings())
    assert isinstance(run, FileBacktest)
    packed = pickle.dumps((run, kind.parameters_type()(every=7)))
    script = (
        "import pickle, sys\n"
        "run, parameters = pickle.load(sys.stdin.buffer)\n"
        "print(type(run).__name__, run.strategy.__name__, parameters.every)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script],
        input=packed,
        capture_output=True,
        env=environment(),
        check=True,
    )
    assert told.stdout == b"FileBacktest Turning 7\n"
    cut = run.between(data[0].begin_ms, data[0].begin_ms + 3_600_000)
    assert isinstance(cut, FileBacktest)
    assert pickle.loads(packed)[0].strategy is kind  # noqa: S301 - ours
    assert cut.stamp().code == run.stamp().code


def test_a_strategy_of_a_module_travels_by_its_name(here):
    data = Recorded(files={"": here / "ETH_5m.csv"}, days=1).read(("ETH",))
    kind = strategy_class("wrappy.runner.strategy:Strategy", folder=here)
    assert type(backtest_of(kind, data, BacktestSettings())) is StrategyBacktest


def test_parameters_of_the_command_line_are_read_as_in_the_file():
    given = ["a=20", "b = 0.5", 'c="x y"', "d=true", "e=[1, 2]", "f=5m", "g=a=b"]
    assert overrides([*given, "h=1\ni=2"]) == {
        "a": 20,
        "b": 0.5,
        "c": "x y",
        "d": True,
        "e": [1, 2],
        "f": "5m",
        "g": "a=b",
        "h": "1\ni=2",
    }


def test_the_section_has_everything_that_a_backtest_assumes():
    section = {field.name: field for field in dataclasses.fields(BacktestSection)}
    for field in dataclasses.fields(BacktestSettings):
        if field.name != "limits":  # the section [risk]
            assert section[field.name].default == field.default, field.name
    assert assumed(read_settings(None)) == BacktestSettings()
    for name, wrong in (
        ("stop_timeout_s", 0.0),
        ("points", 3),
        ("points", 5),
        ("spread_ticks", 0),
        ("slippage_ticks", -1),
        ("seed", -1),
        ("days", 0),
    ):
        with pytest.raises(ConfigError, match=f"^{name}: "):
            BacktestSection(**{name: wrong})


def test_a_brief_log_shows_warnings_but_no_settings(capsys):
    logger = logging.getLogger("wrappy.brief")
    with BriefLog() as log:
        logger.warning("look")
        logger.info("not this")
        logger.error("nor this", exc_info=ConfigError("wrong"))
        log.be_silent()
        logger.error("and nothing now")
    told = capsys.readouterr().err
    assert "look" in told
    assert told.count("\n") == 1


def test_the_list_of_commands_is_there_at_once():
    command = [sys.executable, "-X", "importtime", "-m", "wrappy.runner.cli.app"]
    begin = time.perf_counter()
    told = subprocess.run(
        [*command, "--help"], capture_output=True, env=environment(), check=True
    )
    assert time.perf_counter() - begin < 5  # 0.3 s on a quiet machine
    loaded = told.stderr.decode()
    for heavy in ("aiohttp", "lighter.signer", "plotly", "wrappy.lighter.dealer"):
        assert heavy not in loaded
