"""The benchmarks run and tell what they should; how fast is not a test's business."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[1]
RUNNER = ROOT / "benchmarks" / "run.py"
DEADLINE_S = 120.0


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(RUNNER), *arguments],
        check=False,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        timeout=DEADLINE_S,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    pytest.importorskip("lighter", reason="the official SDK is the peer")
    file = tmp_path_factory.mktemp("benchmarks") / "result.json"
    done = run("--quick", "import", "journal", "decode_book", "--json", str(file))
    assert done.returncode == 0, done.stderr
    return done, json.loads(file.read_text())


def test_the_file_has_the_rows_of_the_named_benchmarks_only(finished):
    _, told = finished
    assert told["quick"] is True
    cases = {(row["benchmark"], row["case"]) for row in told["rows"]}
    assert {benchmark for benchmark, _ in cases} == {"import", "journal", "decode_book"}
    assert {
        ("import", "import aiohttp"),
        ("import", "import lighter"),
        ("import", "from wrappy import LighterDealer"),
        ("import", "from wrappy import LighterDealer (net)"),
        ("import", "from wrappy.lighter.ws import WsInfo"),
        ("decode_book", "BookFeed, frame, 100 levels a side"),
        ("decode_book", "BookFeed, frame, 1000 levels a side"),
        ("decode_book", "fixed_to_int(text), exact and checked"),
    } <= cases


def test_every_row_has_figures_that_make_sense(finished):
    _, told = finished
    for row in told["rows"]:
        assert 0 < row["lowest"] <= row["median"] <= row["highest"], row
        assert row["rounds"] >= 1
        assert (row["against"] is None) == (row["ratio"] is None)
        assert row["ratio"] is None or row["ratio"] > 0


def test_the_machine_is_described_without_its_name(finished):
    done, told = finished
    assert set(told["machine"]) == {
        "processor",
        "cores",
        "system",
        "python",
        "aiohttp",
        "msgspec",
        "lighter-sdk",
        "load_before",
        "load_after",
    }
    assert str(ROOT) not in done.stdout


def test_the_table_has_a_line_for_every_row(finished):
    done, told = finished
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(lines) == len(told["rows"]) + 1


def test_the_benchmark_of_the_venue_loses_no_frame_and_has_all_its_rows(tmp_path):
    pytest.importorskip("lighter", reason="its library signs the transactions")
    file = tmp_path / "venue.json"
    done = run("--quick", "venue", "--json", str(file))
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())["rows"]
    words = ("sendTx of 8 clients", "MatchingEngine", "none lost", "simulated day")
    for word in words:
        found = [row for row in rows if word in row["case"]]
        assert found, word
        assert any(row["target"] for row in found), word


def test_an_unknown_name_is_refused_with_the_names_that_exist():
    done = run("nonsense")
    assert done.returncode == 2
    assert "decode_book" in done.stderr
