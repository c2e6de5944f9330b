"""Sweeps: two processes against one, and what they cost beside the work itself.

Wall time tells of the machine's other guests as well; processor time does not. So the
runs count the processor time of their own work, and what the sweep took in all its
processes beyond that is its overhead: starting workers, handing out, writing down.
The pools are started within the measured time, as they are in a sweep.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Row, interleaved, main, row
from wrappy.runner.performance import PerformanceRecorder
from wrappy.runner.sweep import Range, Space, sweep

if TYPE_CHECKING:
    from wrappy.runner.performance import Results

TRIALS, QUICK_TRIALS = 40, 2
ROUNDS, QUICK_ROUNDS = 3, 1
WORK, QUICK_WORK = 2_000_000, 1_000
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Parameters:
    number: int = 0
    work: int = WORK
    notes: str = ""


def run(parameters: Parameters) -> Results:
    """Return results after some work that is the same everywhere; note its cost."""
    began_ns = time.process_time_ns()
    recorder = PerformanceRecorder(start_ms=0, capital=10**10)
    state = parameters.number
    for _ in range(parameters.work):
        state = (state * 1_103_515_245 + 12_345) % 2**31
    for day in range(1, 31):
        recorder.sample(day * DAY_MS, 10**10 + (state * day) % 10**8, 0)
    results = recorder.finish(30 * DAY_MS)
    took = f"{time.process_time_ns() - began_ns}\n".encode()
    notes = os.open(parameters.notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(notes, took)
    os.close(notes)
    return results


@dataclass(frozen=True)
class Cost:
    """One sweep: trials a second, and seconds of processor time."""

    speed: float
    work_s: float
    parent_s: float
    workers_s: float

    @property
    def overhead(self) -> float:
        """Processor time beside the work, percent of the work."""
        return (self.parent_s + self.workers_s) / self.work_s * 100 - 100


def swept(workers: int, *, trials: int, work: int) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        space = Space(
            Parameters,
            {"number": Range(1, trials)},
            fixed={"work": work, "notes": str(notes)},
        )
        began_s, before = time.perf_counter(), _used()
        found = sweep(run, space, workers=workers, store=Path(folder) / "trials.sqlite")
        wall_s, after = time.perf_counter() - began_s, _used()
        assert found.count("done") == trials
        work_s = sum(int(line) for line in notes.read_text().split()) / 1e9
    return Cost(
        speed=trials / wall_s,
        work_s=work_s,
        parent_s=after[0] - before[0],
        workers_s=after[1] - before[1],
    )


def _used() -> tuple[float, float]:
    """Return the processor time of this process, and of those that it has ended."""
    told = (
        resource.getrusage(who)
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    own, children = (one.ru_utime + one.ru_stime for one in told)
    return own, children


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    trials = QUICK_TRIALS if quick else TRIALS
    work = QUICK_WORK if quick else WORK
    costs: dict[int, list[Cost]] = {1: [], 2: []}

    def speed(workers: int) -> float:
        costs[workers].append(swept(workers, trials=trials, work=work))
        return costs[workers][-1].speed

    cases = {
        f"{workers} process{'es' if workers > 1 else ''}": partial(speed, workers)
        for workers in (1, 2)
    }
    samples = interleaved(cases, rounds=QUICK_ROUNDS if quick else ROUNDS, warm_up=0)
    one, two = cases
    beside, parent = f"{two}, CPU beside the work", f"{two}, parent's CPU for a trial"
    start = f"{two}, a worker's CPU beside its runs"
    samples[beside] = [cost.overhead for cost in costs[2]]
    samples[parent] = [cost.parent_s / trials * 1e6 for cost in costs[2]]
    samples[start] = [(cost.workers_s - cost.work_s) / 2 * 1e3 for cost in costs[2]]
    return [
        row("sweep", one, samples, "/s"),
        row("sweep", two, samples, "/s", against=one, target="x1.8"),
        row("sweep", beside, samples, "%", target="below 10 %"),
        row("sweep", parent, samples, "us"),
        row("sweep", start, samples, "ms"),
    ]


if __name__ == "__main__":
    main(measure)
