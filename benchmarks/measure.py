"""How everything here is measured: interleaved rounds, medians, ratios by round.

A single figure says more about the machine's mood than about the code. So the cases
of a benchmark take turns, the order turns with every round, a case's figure is the
median of its rounds, and a ratio is the median of the rounds' own ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 10.0


@dataclass(frozen=True)
class Row:
    """One line of the result.

    Attributes:
        benchmark: name of the benchmark.
        case: what was measured, in words.
        median: of all rounds, in `unit`.
        lowest: of all rounds.
        highest: of all rounds.
        unit: what the figures count.
        rounds: how many there were.
        against: the case that `ratio` compares with.
        ratio: how much better than `against`, median of the rounds' own ratios;
            above 1 is faster, whichever way the unit counts.
        target: what is aimed for, in words.
    """

    benchmark: str
    case: str
    median: float
    lowest: float
    highest: float
    unit: str
    rounds: int
    against: str | None = None
    ratio: float | None = None
    target: str | None = None


def interleaved(
    cases: Mapping[str, Callable[[], float]], *, rounds: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Run all cases in turns and return each one's figures, round by round."""
    names = list(cases)
    figures: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + warm_up):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            figure = cases[name]()
            if number >= warm_up:
                figures[name].append(figure)
    return figures


def row(
    benchmark: str,
    case: str,
    figures: Mapping[str, Sequence[float]],
    unit: str,
    *,
    against: str | None = None,
    target: str | None = None,
) -> Row:
    """Return the line of one case; a unit that ends in `/s` is better when higher."""
    own = figures[case]
    ratio = None
    if against is not None:
        pairs = zip(own, figures[against], strict=True)
        higher = unit.endswith("/s")
        ratio = statistics.median(a / b if higher else b / a for a, b in pairs)
    return Row(
        benchmark,
        case,
        statistics.median(own),
        min(own),
        max(own),
        unit,
        len(own),
        against,
        ratio,
        target,
    )


def child_environment(**extra: str) -> dict[str, str]:
    """Return an environment in which a child finds this project."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    joined = os.pathsep.join(path for path in paths if path)
    return {**os.environ, "PYTHONPATH": joined, **extra}


class Player:
    """A process that measures one case whenever it is asked to.

    Cases that do not share a process cannot slow each other down with what they
    import, and each one is measured the way its own users run it.
    """

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=child_environment(),
            text=True,
        )
        self.told: dict[str, Any] = self._answer()

    def ask(self, amount: int = 0) -> Any:
        """Let it measure `amount` operations and return what it answers."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{amount}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a measuring process ended: {self._process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        if "ready" not in self.told:  # a server does not listen to its input
            self._process.terminate()
        self._process.wait(PATIENCE_S)
        self._process.stdout.close()


@contextlib.contextmanager
def players(*commands: Sequence[str]) -> Iterator[list[Player]]:
    """Start processes one after the other; end them all in the end."""
    with contextlib.ExitStack() as stack:
        made = []
        for command in commands:
            player = Player(*command)
            stack.callback(player.close)
            made.append(player)
        yield made


def play(measure: Callable[[int], Any]) -> None:
    """Be a player: say so, then answer every number on standard input."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(int(line))), flush=True)


def main(measure: Callable[[bool], list[Row]]) -> None:
    """Run one benchmark as a program: its rows as JSON on standard output."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    rows = measure(parser.parse_args().quick)
    print(json.dumps([dataclasses.asdict(one) for one in rows]))
