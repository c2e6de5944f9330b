"""P24: a backtest is the same on every run, Python and hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.promises.backtest_process import ROOT, run

SCRIPT = Path(__file__).with_name("backtest_process.py")
RUNS_HERE = 14
PYTHONS = {
    "this one": Path(sys.executable),
    **{
        version: ROOT / f".venv-{version}" / "bin" / "python"
        for version in ("3.10", "3.12", "3.13")
    },
}


@pytest.fixture(scope="module")
def expected():
    done = run()
    assert done.crashed is None
    assert len(done.fills) > 5
    return f"{done.ledger_hash} {len(done.fills)}"


def test_runs_of_one_process_are_the_same(expected):
    told = {
        (done.ledger_hash, len(done.fills))
        for done in (run() for _ in range(RUNS_HERE))
    }
    assert {f"{digest} {fills}" for digest, fills in told} == {expected}


def test_another_seed_is_another_run(expected):
    assert run(seed=4).ledger_hash != expected.split()[0]


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
@pytest.mark.parametrize("version", PYTHONS)
def test_runs_of_other_processes_are_the_same(expected, version, hash_seed):
    python = PYTHONS[version]
    if not python.exists():
        pytest.skip(f"there is no Python {version} here")
    if version != "this one" and hash_seed != "1":
        pytest.skip("one hash seed is enough for other versions")
    done = subprocess.run(
        [python, SCRIPT],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == expected
