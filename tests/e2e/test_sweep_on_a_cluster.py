"""A sweep on a Dask cluster: a scheduler and two workers as processes on loopback."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wrappy.errors import ConfigError
from wrappy.runner.sweep import (
    NoProgress,
    Range,
    Space,
    ThisProcess,
    cluster_executor,
    sweep,
)

distributed = pytest.importorskip("distributed", reason="distributed is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
]

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "tests" / "unit" / "runner"
sys.path.insert(0, str(SAMPLES))
sample = importlib.import_module("sweep_sample")
sys.path.remove(str(SAMPLES))
DEADLINE_S = 60


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def cluster(tmp_path):
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{SAMPLES}"}
    log = (tmp_path / "cluster.log").open("w")

    def start(*words):
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            env=environment,
            cwd=tmp_path,
            stdout=log,
            stderr=log,
        )

    local = ("--host", "127.0.0.1", "--no-dashboard")
    started = [
        start("distributed.cli.dask_scheduler", *local, "--port", str(port)),
        *(
            start(
                "distributed.cli.dask_worker", address, *local, "--nthreads", "1",
                "--no-nanny", "--name", name, "--local-directory", str(tmp_path / name),
            )
            for name in ("one", "two")
        ),
    ]  # fmt: skip
    try:
        yield address, started
    finally:
        for process in reversed(started):
            process.kill()
        for process in started:
            process.wait(DEADLINE_S)
        log.close()


def wait_for_workers(address, count):
    with distributed.Client(
        address, timeout=DEADLINE_S, set_as_default=False
    ) as client:
        client.wait_for_workers(count, timeout=DEADLINE_S)


def test_two_workers_elsewhere_come_to_the_same_trials(cluster, tmp_path):
    address, _ = cluster
    wait_for_workers(address, 2)
    marks = tmp_path / "marks"
    marks.mkdir()
    space = Space(sample.Parameters, {"fast": Range(4, 12, 2), "slow": [20, 30, 40]})
    run = sample.Counted(str(marks), raises_at=6)
    with cluster_executor(address) as executor:
        swept = sweep(run, space, executor=executor, store=tmp_path / "trials.db")
    workers = {one.name.rpartition("-")[2] for one in marks.iterdir()}
    assert len(workers) == 2
    assert str(os.getpid()) not in workers
    assert swept.count("failed") == 3
    here = sweep(sample.Counted(str(marks), raises_at=6), space, executor=ThisProcess())
    assert [
        (one.number, one.parameters, one.value("returns.sharpe"))
        for one in swept.trials
    ] == [
        (one.number, one.parameters, one.value("returns.sharpe")) for one in here.trials
    ]
    assert swept.best.number == here.best.number


def test_a_worker_that_is_killed_loses_no_trial(cluster, tmp_path):
    address, (_, first, _) = cluster
    wait_for_workers(address, 2)
    marks = tmp_path / "marks"
    marks.mkdir()
    space = Space(sample.Parameters, {"fast": Range(4, 12, 2), "slow": [20, 30, 40]})
    began = time.monotonic()

    class Killing(NoProgress):
        def ended(self, *_):
            if first.poll() is None:
                first.kill()
                first.wait(DEADLINE_S)

    with cluster_executor(address) as executor:
        swept = sweep(
            sample.Counted(str(marks)), space, executor=executor, progress=Killing()
        )
    assert swept.count("done") == 15
    assert time.monotonic() - began < DEADLINE_S


def test_nobody_at_the_address_is_said():
    nobody = cluster_executor(f"tcp://127.0.0.1:{free_port()}", connect_s=0.3)
    with pytest.raises(ConfigError, match="no Dask scheduler at tcp://127"), nobody:
        pass
