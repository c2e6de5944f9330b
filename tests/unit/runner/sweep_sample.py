"""Runs that sweeps in tests try: small, and importable by other processes."""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from wrappy.model import Side
from wrappy.runner.performance import About, Fill, PerformanceRecorder
from wrappy.runner.sweep import Stamp

DAY_MS = 86_400_000
BEGIN_MS = 20_000 * DAY_MS
MICRO = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    fast: int = 5
    slow: int = 20
    edge: float = 0.5
    size: Decimal = Decimal("0.1")
    side: str = "both"
    careful: bool = False

    def __post_init__(self):
        if self.fast >= self.slow:
            raise ValueError("fast has to be below slow")


def made_up(parameters, *, begin_ms=BEGIN_MS, days=60):
    """Return results that depend on the parameters and on nothing else."""
    chance = random.Random(f"{parameters} {begin_ms}")
    recorder = PerformanceRecorder(start_ms=begin_ms, capital=10_000 * MICRO)
    equity = 10_000 * MICRO
    drift = 10 - abs(parameters.fast - 8) - abs(parameters.slow - 30) / 4
    for day in range(1, days + 1):
        at_ms = begin_ms + day * DAY_MS
        side = Side.BUY if day % 2 else Side.SELL
        quote = 200 * MICRO + (0 if day % 2 else round(drift * MICRO))
        recorder.fill(
            Fill(at_ms=at_ms, market_id=0, side=side, size=1_000, quote=quote)
        )
        equity += round((drift + chance.gauss(0, 40)) * MICRO)
        recorder.sample(at_ms, equity, quote if day % 2 else 0)
    return recorder.finish(
        begin_ms + days * DAY_MS, about=About(strategy="made_up", symbols=("ETH",))
    )


def plain(parameters):
    return made_up(parameters)


@dataclass(frozen=True)
class Counted:
    """Leaves a mark in a folder for each run, and may be slow, raise or die."""

    folder: str
    raises_at: int = -1
    dies_at: int = -1
    dies_once_at: int = -1
    interrupts_at: int = -1
    waits_at: int = -1
    data: str = ""

    def __call__(self, parameters):
        fast = parameters.fast
        mark = Path(self.folder) / f"{parameters.fast}-{parameters.slow}-{os.getpid()}"
        again = any(Path(self.folder).glob(f"{parameters.fast}-{parameters.slow}-*"))
        mark.write_text(str(mark.stat().st_size + 1 if mark.exists() else 1))
        if fast == self.raises_at:
            raise UnpicklableError(1, words="no such luck")
        is_first = fast == self.dies_once_at and parameters.slow == 20 and not again
        if fast == self.dies_at or is_first:
            os._exit(3)
        if fast == self.interrupts_at:
            raise KeyboardInterrupt
        while fast == self.waits_at:
            time.sleep(0.01)
        return made_up(parameters)

    def stamp(self):
        return Stamp(code="1", data=self.data)

    def between(self, begin_ms, end_ms):
        return Stretch(begin_ms, (end_ms - begin_ms) // DAY_MS)


@dataclass(frozen=True)
class Stretch:
    begin_ms: int
    days: int

    def __call__(self, parameters):
        return made_up(parameters, begin_ms=self.begin_ms, days=self.days)

    def stamp(self):
        return Stamp(code="1", data=f"{self.begin_ms} {self.days}")


class UnpicklableError(Exception):
    def __init__(self, code, *, words):
        super().__init__(words)
        self.code = code
