"""Sweeps: two processes against one, with runs of a quarter of a second of work.

The pools are started within the measured time, as they are in a sweep.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.measure import Row, interleaved, main, row
from wrappy.runner.performance import PerformanceRecorder
from wrappy.runner.sweep import Range, Space, sweep

if TYPE_CHECKING:
    from wrappy.runner.performance import Results

TRIALS, QUICK_TRIALS = 40, 2
ROUNDS, QUICK_ROUNDS = 5, 1
WORK, QUICK_WORK = 900_000, 1_000
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Parameters:
    number: int = 0
    work: int = WORK


def run(parameters: Parameters) -> Results:
    """Return results after some work that is the same everywhere."""
    recorder = PerformanceRecorder(start_ms=0, capital=10**10)
    state = parameters.number
    for _ in range(parameters.work):
        state = (state * 1_103_515_245 + 12_345) % 2**31
    for day in range(1, 31):
        recorder.sample(day * DAY_MS, 10**10 + (state * day) % 10**8, 0)
    return recorder.finish(30 * DAY_MS)


def trials_a_second(workers: int, *, trials: int, work: int) -> float:
    space = Space(Parameters, {"number": Range(1, trials)}, fixed={"work": work})
    began_s = time.perf_counter()
    swept = sweep(run, space, workers=workers)
    assert swept.count("done") == trials
    return trials / (time.perf_counter() - began_s)


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    trials = QUICK_TRIALS if quick else TRIALS
    work = QUICK_WORK if quick else WORK
    cases = {
        f"{workers} process{'es' if workers > 1 else ''}": partial(
            trials_a_second, workers, trials=trials, work=work
        )
        for workers in (1, 2)
    }
    samples = interleaved(cases, rounds=QUICK_ROUNDS if quick else ROUNDS, warm_up=0)
    one, two = cases
    return [
        row("sweep", one, samples, "/s"),
        row("sweep", two, samples, "/s", against=one, target="x1.8"),
    ]


if __name__ == "__main__":
    main(measure)
