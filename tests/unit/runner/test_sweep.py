"""Sweeps: the same trials whoever runs them, and nothing lost when they stop."""

from __future__ import annotations

import importlib
import io
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from wrappy.errors import ConfigError, UsageError
from wrappy.runner.sweep import (
    Choice,
    NoProgress,
    Range,
    RichProgress,
    Space,
    Stamp,
    SweepBrokenError,
    SweepStoppedError,
    ThisProcess,
    TrialStore,
    Window,
    heat_map,
    read_range,
    rolling_windows,
    sweep,
    walk_forward,
)
from wrappy.runner.sweep.stamp import stamp_of

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sample = importlib.import_module("sweep_sample")
sys.path.remove(str(HERE))


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Worker processes take over this one's path."""
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture
def space():
    return Space(sample.Parameters, {"fast": Range(4, 12, 2), "slow": [20, 30, 40]})


def seen(result):
    return [
        (one.number, one.parameters, one.state, one.value("returns.sharpe"))
        for one in result.trials
    ]


def runs_in(folder):
    return sum(int(one.read_text()) for one in Path(folder).iterdir())


class Told(NoProgress):
    def __init__(self):
        self.totals, self.trials, self.notes, self.best = [], [], [], None

    def begin(self, label, total):
        self.totals.append((label, total))

    def ended(self, trial, best):
        self.trials.append(trial.number)
        self.best = best

    def note(self, words):
        self.notes.append(words)


# Spaces.


def test_a_grid_has_every_combination_once_the_last_parameter_fastest(space):
    assert space.size == 15
    all_of_them = [space.at(index) for index in range(15)]
    assert all_of_them[0] == {"fast": 4, "slow": 20}
    assert all_of_them[1] == {"fast": 4, "slow": 30}
    assert all_of_them[-1] == {"fast": 12, "slow": 40}
    assert len({str(one) for one in all_of_them}) == 15


def test_values_have_the_type_of_the_parameter_and_the_digits_that_were_written():
    space = Space(
        sample.Parameters,
        {
            "edge": Range(0.1, 0.5, 0.1),
            "size": Range("0.1", "0.3", "0.1"),
            "side": Choice(("long", "short")),
            "careful": [True, False],
        },
        fixed={"fast": 3},
    )
    edge, size, side, careful = space.axes
    assert edge.options == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert size.options == (Decimal("0.1"), Decimal("0.2"), Decimal("0.3"))
    assert side.options == ("long", "short")
    assert not careful.ordered
    assert space.parameters(space.at(0)).fast == 3


def test_a_decimal_takes_whole_numbers_and_the_text_of_floats_but_no_flags():
    (size,) = Space(sample.Parameters, {"size": [1, 0.1, Decimal("2.5")]}).axes
    assert [str(one) for one in size.options] == ["1", "0.1", "2.5"]
    with pytest.raises(ConfigError, match="size: True does not fit"):
        Space(sample.Parameters, {"size": [True]})


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        ({}, "nothing varies"),
        ({"fats": [1]}, "fats: there is no such parameter"),
        ({"fast": [1.5]}, "fast: 1.5 does not fit"),
        ({"fast": []}, "fast: there is no value"),
        ({"fast": [1, 1]}, "named twice"),
        ({"fast": Range(1, 5, 0.5)}, "fast: takes whole numbers"),
        ({"fast": Range(5, 1)}, "fast: 5 to 1 is no range"),
        ({"fast": Range(1, 5, 0)}, "fast: step 0 leads nowhere"),
        ({"fast": Range(0, 10**9)}, "too many"),
        ({"fast": Range(0, 9, log=True)}, "order of magnitude"),
        ({"size": Range(1, 2)}, "size: a Decimal needs a step"),
        ({"side": Range(1, 2)}, "side: is no number"),
        ({"fast": Range(float("nan"), 2)}, "is no range"),
    ],
)
def test_a_space_that_cannot_work_names_the_parameter(tried, words):
    with pytest.raises(ConfigError, match=words):
        Space(sample.Parameters, tried)


def test_what_is_fixed_is_not_tried():
    with pytest.raises(ConfigError, match="fast: is both"):
        Space(sample.Parameters, {"fast": [1]}, fixed={"fast": 2})
    with pytest.raises(ConfigError, match="have to be a dataclass"):
        Space(int, {"real": [1]})


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("5:50", Range(5, 50)),
        ("5:50:5", Range(5, 50, 5)),
        ("0.1:10:log", Range(Decimal("0.1"), 10, log=True)),
        ("1,2,3", Choice((1, 2, 3))),
        ("long", Choice(("long",))),
        ("true,false", Choice((True, False))),
        ("nan", Choice(("nan",))),
    ],
)
def test_a_range_is_read_from_text(text, meant):
    assert read_range(text) == meant
    for broken in ("a:b", "1:2:3:4", "1:true"):
        with pytest.raises(ConfigError, match="is no range"):
            read_range(broken)


# The same trials, whoever works.


@pytest.mark.parametrize("method", ["grid", "random", "optuna"])
def test_the_same_seed_gives_the_same_trials_with_any_number_of_workers(space, method):
    if method == "optuna":
        pytest.importorskip("optuna", reason="optuna is not installed")
    trials = None if method == "grid" else 12

    def swept(workers):
        if workers == 0:
            return sweep(
                sample.plain,
                space,
                method=method,
                trials=trials,
                executor=ThisProcess(),
            )
        with ThreadPoolExecutor(workers) as pool:
            return sweep(
                sample.plain, space, method=method, trials=trials, executor=pool,
                workers=workers,
            )  # fmt: skip

    first = swept(0)
    assert len(first.trials) == (trials or 15)
    assert seen(swept(1)) == seen(swept(4)) == seen(first)
    assert first.best == first.ranked()[0]


def test_processes_of_its_own_come_to_what_this_process_comes_to(space):
    apart = sweep(sample.plain, space, workers=2)
    assert seen(apart) == seen(sweep(sample.plain, space, executor=ThisProcess()))


def test_another_seed_draws_others_and_a_longer_search_begins_like_a_shorter():
    space = Space(
        sample.Parameters,
        {"edge": Range(0.1, 9, log=True), "fast": Range(1, 19, log=True)},
    )
    assert space.size is None

    def drawn(trials, seed):
        swept = sweep(
            sample.plain, space, method="random", trials=trials, seed=seed,
            executor=ThisProcess(),
        )  # fmt: skip
        return [one.parameters for one in swept.trials]

    assert drawn(8, 1)[:5] == drawn(5, 1) != drawn(5, 2)
    assert all(0.1 <= one["edge"] <= 9 for one in drawn(8, 1))


def test_random_trials_never_repeat(space):
    swept = sweep(
        sample.plain, space, method="random", trials=15, executor=ThisProcess()
    )
    assert len({str(one.parameters) for one in swept.trials}) == 15


def test_optuna_looks_where_it_is_good():
    pytest.importorskip("optuna", reason="optuna is not installed")
    space = Space(
        sample.Parameters,
        {"fast": Range(1, 19), "slow": Range(20, 60, log=True), "side": ["a", "b"],
         "edge": Range(0.1, 2.0)},
    )  # fmt: skip
    swept = sweep(
        sample.plain, space, method="optuna", trials=64, executor=ThisProcess(),
        objective="returns.total",
    )  # fmt: skip
    late = [one.parameters["slow"] for one in swept.trials[-16:]]
    early = [one.parameters["slow"] for one in swept.trials[:16]]
    away = lambda slow: abs(slow - 30)  # noqa: E731
    assert sum(map(away, late)) < sum(map(away, early))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "guess"}, "method: 'guess'"),
        ({"method": "random"}, "needs to know how many"),
        ({"method": "random", "trials": 16}, "only 15 combinations"),
        ({"method": "random", "trials": 0}, "is no number of trials"),
        ({"method": "optuna"}, "needs to know how many"),
        ({"method": "optuna", "trials": 2, "batch": 0}, "batch: 0"),
        ({"workers": 0}, "workers: 0"),
        ({"objective": "returns.luck"}, "returns.luck"),
    ],
)
def test_arguments_that_cannot_work_are_named(space, settings, words):
    if settings.get("method") == "optuna":
        pytest.importorskip("optuna", reason="optuna is not installed")
    with pytest.raises(ConfigError, match=words):
        sweep(sample.plain, space, **{"executor": ThisProcess(), **settings})


def test_a_grid_needs_steps_and_a_run_needs_to_travel(space):
    loose = Space(sample.Parameters, {"edge": Range(0.1, 2.0)})
    with pytest.raises(ConfigError, match="edge: a grid needs steps"):
        sweep(sample.plain, loose)
    with pytest.raises(ConfigError, match="run: cannot be sent"):
        sweep(lambda parameters: parameters, space)


def test_part_of_a_grid_is_spread_over_all_of_it(space):
    swept = sweep(sample.plain, space, trials=5, executor=ThisProcess())
    assert [one.parameters["fast"] for one in swept.trials] == [4, 6, 8, 10, 12]


# Stopped, resumed, broken.


def test_a_stopped_sweep_goes_on_and_runs_nothing_twice(space, tmp_path):
    marks, store = tmp_path / "marks", tmp_path / "trials.db"
    marks.mkdir()
    stopping = sample.Counted(str(marks), interrupts_at=8)
    with pytest.raises(SweepStoppedError, match=r"6 trials are kept in .*trials\.db"):
        sweep(stopping, space, store=store, executor=ThisProcess())
    whole = sweep(
        sample.Counted(str(marks)), space, store=store, executor=ThisProcess()
    )
    assert whole.reused == 6
    # One run was stopped in its middle.
    assert runs_in(marks) == 15 + 1
    fresh = sweep(sample.plain, space, executor=ThisProcess())
    assert seen(whole) == seen(fresh)


def test_an_optuna_sweep_that_goes_on_comes_to_the_same_trials(space, tmp_path):
    pytest.importorskip("optuna", reason="optuna is not installed")
    marks, store = tmp_path / "marks", tmp_path / "trials.db"
    marks.mkdir()
    go = partial(sweep, space=space, method="optuna", trials=24, executor=ThisProcess())
    whole = go(sample.Counted(str(marks)))
    fast = whole.trials[10].parameters["fast"]
    with pytest.raises(SweepStoppedError):
        go(sample.Counted(str(marks), interrupts_at=fast), store=store)
    assert seen(go(sample.Counted(str(marks)), store=store)) == seen(whole)


def test_other_code_or_data_is_another_sweep_and_said(space, tmp_path):
    store, told = tmp_path / "trials.db", Told()
    folder = tmp_path / "marks"
    folder.mkdir()
    sweep(sample.Counted(str(folder)), space, store=store, executor=ThisProcess())
    other = sample.Counted(str(folder), data="other")
    swept = sweep(other, space, store=store, executor=ThisProcess(), progress=told)
    assert swept.reused == 0
    assert told.totals == [("grid", 15)]
    assert told.notes == [
        "15 stored trials were made with other code or other data and are not used"
    ]
    with sqlite3.connect(store) as database:
        rows = database.execute("SELECT code_hash, data_hash, seed FROM sweeps")
        assert sorted(rows) == [("1", "", 1), ("1", "other", 1)]
        (count,) = database.execute("SELECT count(*) FROM trials").fetchone()
        assert count == 30
    database.close()


def test_a_run_that_raises_is_written_down_and_the_others_go_on(space, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    swept = sweep(
        sample.Counted(str(marks), raises_at=6), space, workers=2,
        store=tmp_path / "trials.db",
    )  # fmt: skip
    failed = [one for one in swept.trials if one.state == "failed"]
    assert {one.error for one in failed} == {"UnpicklableError: no such luck"}
    assert swept.count("done") == 12
    assert "no such luck" in swept.summary()


def test_parameters_that_do_not_go_together_are_a_failed_trial():
    space = Space(sample.Parameters, {"fast": [5, 25], "slow": [20, 30]})
    swept = sweep(sample.plain, space, executor=ThisProcess())
    assert [one.state for one in swept.trials] == ["done", "done", "failed", "done"]
    assert "fast has to be below slow" in swept.trials[2].error


def test_what_is_no_result_is_said(space):
    swept = sweep(lambda _: 3, space, executor=ThisProcess())
    assert swept.best is swept.best_results() is swept.best_parameters() is None
    assert swept.luck() is None
    assert "returned a int" in swept.summary()
    assert "no trial has a returns.sharpe" in swept.summary()


def test_a_worker_that_dies_takes_nothing_with_it(space, tmp_path):
    marks, store = tmp_path / "marks", tmp_path / "trials.db"
    marks.mkdir()
    swept = sweep(
        sample.Counted(str(marks), dies_at=8, dies_once_at=4), space, workers=2,
        store=store,
    )  # fmt: skip
    assert {one.parameters["fast"] for one in swept.trials if one.state == "lost"} == {
        8
    }
    assert swept.count("done") == 12
    assert "its worker process died" in swept.summary()
    # What was lost is tried again when the sweep goes on, and only that.
    again = sweep(
        sample.Counted(str(marks)), space, store=store, executor=ThisProcess()
    )
    assert again.reused == 12
    assert again.count("done") == 15


def test_workers_that_all_die_at_once_are_no_mystery(space, tmp_path):
    only = Space(sample.Parameters, {"fast": [8], "slow": [20, 30]})
    with pytest.raises(UsageError, match="__main__"):
        sweep(sample.Counted(str(tmp_path), dies_at=8), only, workers=1)


class Breaking(Executor):
    """Does a few runs and breaks."""

    def __init__(self, good):
        self.good = good

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        if self.good:
            self.good -= 1
            future.set_result(fn(*args, **kwargs))
        else:
            future.set_exception(BrokenExecutor("the machine is gone"))
        return future


def test_a_broken_executor_of_somebody_else_ends_the_sweep_with_what_is_kept(
    space, tmp_path
):
    with pytest.raises(SweepBrokenError, match="the machine is gone; 4 trials"):
        sweep(
            sample.plain,
            space,
            executor=Breaking(4),
            workers=2,
            store=tmp_path / "t.db",
        )


def test_an_executor_that_cannot_run_something_loses_that_trial_only(space):
    class Choosy(Breaking):
        def submit(self, fn, /, *args, **kwargs):
            future = super().submit(fn, *args, **kwargs)
            if self.good == 10:
                future = Future()
                future.set_exception(OSError("no room"))
            return future

    swept = sweep(sample.plain, space, executor=Choosy(15))
    assert [one.error for one in swept.trials if one.state == "lost"] == [
        "OSError: no room"
    ]


def test_ctrl_c_leaves_at_once_keeps_what_is_done_and_ends_its_workers(tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    script = tmp_path / "go.py"
    script.write_text(
        "import signal, sys\n"
        "from wrappy.runner.sweep import *\n"
        "import sweep_sample as sample\n"
        "if __name__ == '__main__':\n"
        # Whoever runs the tests in a shell's background has it ignored.
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    space = Space(sample.Parameters, {'fast': [4, 8], 'slow': [20, 30]})\n"
        f"    run = sample.Counted({str(marks)!r}, waits_at=8)\n"
        "    try:\n"
        f"        sweep(run, space, workers=2, store={str(tmp_path / 't.db')!r})\n"
        "    except SweepStoppedError as stopped:\n"
        "        sys.exit(str(stopped))\n"
    )
    root = HERE.parents[2]
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": f"{HERE}:{root}", "PATH": ""},
    )
    deadline = time.monotonic() + 60
    # Two that wait have begun when the two others are over and stored.
    while len([one for one in marks.iterdir() if one.name.startswith("8-")]) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(2)
    _, words = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "2 trials are kept" in words
    workers = {one.name.rpartition("-")[2] for one in marks.iterdir()}
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_store_that_is_none_is_refused(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("These are notes, and no database at all.\n" * 40)
    with pytest.raises(ConfigError, match=r"notes\.txt: cannot keep trials there"):
        TrialStore(text)
    newer = tmp_path / "newer.db"
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(ConfigError, match="in format 9, not 1"):
        TrialStore(newer)
    with pytest.raises(ConfigError, match="cannot keep"):
        TrialStore(tmp_path / "nowhere" / "t.db")


# What it came to.


def test_the_best_carries_the_number_of_trials_and_what_luck_explains(space):
    swept = sweep(sample.plain, space, executor=ThisProcess())
    results = swept.best_results()
    assert results.trials.trials == 15
    assert 0 <= results.trials.deflated_sharpe <= 1
    best = swept.best_parameters()
    assert isinstance(best, sample.Parameters)
    assert best.size == Decimal("0.1")
    words = swept.summary(listed=3)
    assert "  3. returns.sharpe" in words
    assert "  4." not in words
    assert "best of 15: without any skill" in words
    worst = sweep(sample.plain, space, executor=ThisProcess(), maximize=False)
    assert worst.best.number == swept.ranked()[-1].number


def test_a_heat_map_shows_the_middle_of_what_was_tried(space):
    swept = sweep(sample.plain, space, executor=ThisProcess())
    told = heat_map(swept)
    assert (told.x, told.y, told.figure) == ("fast", "slow", "returns.sharpe")
    assert told.x_labels == ("4", "6", "8", "10", "12")
    assert told.cells[1][2] == swept.trials[7].value("returns.sharpe")
    assert {count for row in told.counts for count in row} == {1}
    turned = heat_map(swept, "slow", figure="returns.total")
    assert (turned.x, turned.y) == ("slow", "fast")
    for wrong, words in (
        ({"x": "edge"}, "was not varied"),
        ({"x": "fast", "y": "fast"}, "twice"),
    ):
        with pytest.raises(ConfigError, match=words):
            heat_map(swept, **wrong)
    narrow = Space(sample.Parameters, {"fast": [1, 2]})
    with pytest.raises(ConfigError, match="two parameters"):
        heat_map(sweep(sample.plain, narrow, executor=ThisProcess()))


def test_many_values_share_cells_and_words_stand_in_order():
    space = Space(
        sample.Parameters,
        {"edge": Range(0.0, 9.0), "side": ["b", "a"], "careful": [True, False]},
    )
    swept = sweep(
        sample.plain, space, method="random", trials=60, executor=ThisProcess()
    )
    told = heat_map(swept, "edge", "side")
    assert len(told.x_labels) == 24
    assert told.y_labels == ("a", "b")
    assert sum(count for row in told.counts for count in row) == 60
    assert any(cell is None for row in told.cells for cell in row)
    assert heat_map(swept, "careful", "side").x_labels == ("False", "True")


def test_windows_follow_each_other_and_choosing_never_sees_what_is_looked_at():
    day = sample.DAY_MS
    begin = sample.BEGIN_MS
    windows = rolling_windows(
        begin, begin + 65 * day, train_ms=30 * day, test_ms=10 * day
    )
    assert [one.test_end_ms for one in windows[:-1]] == [
        one.test_begin_ms for one in windows[1:]
    ]
    assert len(windows) == 3
    anchored = rolling_windows(
        begin, begin + 65 * day, train_ms=30 * day, test_ms=10 * day, anchored=True
    )
    assert {one.train_begin_ms for one in anchored} == {begin}
    for wrong in (
        {"train_ms": 0, "test_ms": 1},
        {"train_ms": 99 * day, "test_ms": day},
    ):
        with pytest.raises(ConfigError, match="window"):
            rolling_windows(begin, begin + 65 * day, **wrong)
    with pytest.raises(ConfigError, match="do not follow"):
        Window(3, 2, 1)


def test_a_walk_forward_shows_the_best_beside_what_it_came_to(space, tmp_path):
    day, begin = sample.DAY_MS, sample.BEGIN_MS
    windows = rolling_windows(
        begin, begin + 90 * day, train_ms=40 * day, test_ms=25 * day
    )
    run, told = sample.Counted(str(tmp_path)), Told()
    go = partial(
        walk_forward, run, space, windows, executor=ThisProcess(),
        store=tmp_path / "t.db", progress=told,
    )  # fmt: skip
    walked = go()
    assert len(walked.folds) == 2
    for fold in walked.folds:
        assert fold.test.parameters == fold.train.best.parameters
        alone = sample.Stretch(fold.window.test_begin_ms, 25)
        again = alone(space.parameters(fold.train.best.parameters))
        assert fold.test.results.returns == again.returns
    assert len(walked.returns()) == 50
    grown = 1.0
    for fold in walked.folds:
        grown *= 1 + fold.test.results.returns.total
    assert walked.total == pytest.approx(grown - 1)
    assert "out of sample: return" in walked.summary()
    assert {one.train.reused for one in go().folds} == {15}
    with pytest.raises(ConfigError, match="windows: there is none"):
        walk_forward(run, space, [])


def test_a_walk_forward_without_a_best_says_so(space, tmp_path):
    class Failing(sample.Counted):
        def between(self, *_):
            return sample.Counted("/nowhere")

    day, begin = sample.DAY_MS, sample.BEGIN_MS
    walked = walk_forward(
        Failing(str(tmp_path)), space, [Window(begin, begin + day, begin + 2 * day)],
        executor=ThisProcess(),
    )  # fmt: skip
    assert walked.folds[0].test is None
    assert walked.total == 0
    assert "nothing" in walked.summary()


def test_bars_show_how_far_it_is(space):
    rich_console = pytest.importorskip("rich.console", reason="rich is not installed")
    written = io.StringIO()
    console = rich_console.Console(file=written, width=120)
    with RichProgress(console) as progress:
        sweep(sample.plain, space, executor=ThisProcess(), progress=progress)
        progress.note("one [thing] to know")
    assert "15/15" in written.getvalue()
    assert "one [thing] to know" in written.getvalue()


def test_a_stamp_is_that_of_the_code_unless_the_run_knows_better():
    whole = stamp_of(sample.plain)
    assert whole.data == ""
    assert stamp_of(partial(sample.plain)) == whole
    assert stamp_of(sample.Counted("", data="x")) == Stamp("1", "x")
    assert stamp_of(max).code != whole.code
