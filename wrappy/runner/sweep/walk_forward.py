"""Choosing on one stretch of time and looking at the next, again and again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from wrappy.errors import ConfigError
from wrappy.runner.performance.ratios import daily_returns, sharpe
from wrappy.runner.performance.summary import day, percent, ratio
from wrappy.runner.sweep.store import TrialStore
from wrappy.runner.sweep.sweep import BATCH, OBJECTIVE, sweep, try_list
from wrappy.runner.sweep.this_process import ThisProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from wrappy.runner.performance.results import Results
    from wrappy.runner.sweep.progress import SweepProgress
    from wrappy.runner.sweep.result import SweepResult, Trial
    from wrappy.runner.sweep.search import Method
    from wrappy.runner.sweep.space import Space

_DAY_MS: Final = 86_400_000

P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch to choose on, and the stretch after it to look at.

    Attributes:
        train_begin_ms: unix milliseconds.
        test_begin_ms: end of the first and beginning of the second.
        test_end_ms: end of the second.
    """

    train_begin_ms: int
    test_begin_ms: int
    test_end_ms: int

    def __post_init__(self) -> None:
        if not self.train_begin_ms < self.test_begin_ms < self.test_end_ms:
            raise ConfigError(
                f"window: {self.train_begin_ms}, {self.test_begin_ms} and "
                f"{self.test_end_ms} do not follow each other"
            )


def rolling_windows(
    begin_ms: int, end_ms: int, *, train_ms: int, test_ms: int, anchored: bool = False
) -> tuple[Window, ...]:
    """Return windows whose test stretches follow each other without a gap.

    A rest that is shorter than a test stretch is left out. Daily figures are whole
    if everything begins at 00:00 UTC.

    Args:
        begin_ms: beginning of the data, unix milliseconds.
        end_ms: its end.
        train_ms: length of what is chosen on.
        test_ms: length of what is looked at.
        anchored: whether every choice is made on everything before.

    Raises:
        ConfigError: a length is not above zero, or not even one window fits.
    """
    if train_ms <= 0 or test_ms <= 0:
        raise ConfigError("window: train and test have to be longer than nothing")
    count = (end_ms - begin_ms - train_ms) // test_ms
    if count < 1:
        raise ConfigError(
            f"window: {end_ms - begin_ms} ms of data are too short for {train_ms} ms "
            f"to choose on and {test_ms} ms to look at"
        )
    return tuple(
        Window(
            begin_ms if anchored else begin_ms + at * test_ms,
            begin_ms + train_ms + at * test_ms,
            begin_ms + train_ms + (at + 1) * test_ms,
        )
        for at in range(count)
    )


class Cuttable(Protocol[P_contra]):
    """A run that can be limited to a stretch of time, such as `StrategyBacktest`."""

    def between(self, begin_ms: int, end_ms: int) -> Callable[[P_contra], Results]:
        """Return the run over the stretch."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold(Generic[P]):
    """One window: what was chosen, and what it came to afterwards.

    Attributes:
        window: the stretches.
        train: the sweep over the first.
        test: the best parameters over the second; None when there was no best.
    """

    window: Window
    train: SweepResult[P]
    test: Trial | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward(Generic[P]):
    """All windows.

    Attributes:
        folds: by time.
        objective: figure that was chosen by.
    """

    folds: tuple[Fold[P], ...]
    objective: str

    def returns(self) -> list[float]:
        """Return the daily returns of all test stretches, one after the other."""
        return [
            value
            for fold in self.folds
            if fold.test is not None and fold.test.results is not None
            for value in daily_returns([one for _, one in fold.test.results.daily])
        ]

    @property
    def sharpe(self) -> float | None:
        """Sharpe ratio of all test stretches together."""
        return sharpe(self.returns())

    @property
    def total(self) -> float:
        """Return over all test stretches, each begun with what the last one left."""
        return (
            math.prod(
                1 + fold.test.results.returns.total
                for fold in self.folds
                if fold.test is not None and fold.test.results is not None
            )
            - 1
        )

    def summary(self) -> str:
        """Return a line for each window and one for all, for a terminal."""
        lines = [f"{self.objective} of the best in sample, and of the same afterwards:"]
        for fold in self.folds:
            best = fold.train.best
            inside = ratio(best.value(self.objective) if best else None)
            outside = ratio(fold.test.value(self.objective) if fold.test else None)
            chosen = (
                ", ".join(
                    f"{name}={best.parameters[name]}" for name in fold.train.varied
                )
                if best
                else "nothing"
            )
            lines.append(
                f"  {_moment(fold.window.test_begin_ms)}: {inside} of "
                f"{len(fold.train.trials)} trials, then {outside}  {chosen}"
            )
        lines.append(
            f"out of sample: return {percent(self.total)}, Sharpe {ratio(self.sharpe)} "
            f"over {len(self.returns())} days"
        )
        return "\n".join(lines) + "\n"


def _moment(at_ms: int) -> str:
    """Return a day, with the time of day where it is not its beginning."""
    minutes = at_ms % _DAY_MS // 60_000
    if not minutes:
        return day(at_ms)
    return f"{day(at_ms)} {minutes // 60:02}:{minutes % 60:02}"


def walk_forward(
    run: Cuttable[P],
    space: Space[P],
    windows: Sequence[Window],
    *,
    method: Method = "grid",
    trials: int | None = None,
    seed: int = 1,
    executor: Executor | None = None,
    workers: int | None = None,
    store: TrialStore | str | Path | None = None,
    objective: str = OBJECTIVE,
    maximize: bool = True,
    batch: int = BATCH,
    progress: SweepProgress | None = None,
) -> WalkForward[P]:
    """Sweep every window's first stretch and run the best over its second.

    What is seen of the second stretch decides nothing. The arguments are those of
    `sweep`; the test runs are made in this process.

    Raises:
        ConfigError: an argument cannot work.
        SweepStoppedError: Ctrl-C; finished trials are kept.
    """
    if not windows:
        raise ConfigError("windows: there is none; see rolling_windows")
    if not isinstance(store, TrialStore):
        with TrialStore(store) as opened:
            return walk_forward(
                run, space, windows, method=method, trials=trials, seed=seed,
                executor=executor, workers=workers, store=opened, objective=objective,
                maximize=maximize, batch=batch, progress=progress,
            )  # fmt: skip
    folds = []
    for window in windows:
        name = _moment(window.test_begin_ms)
        swept = sweep(
            run.between(window.train_begin_ms, window.test_begin_ms),
            space,
            method=method,
            trials=trials,
            seed=seed,
            executor=executor,
            workers=workers,
            store=store,
            objective=objective,
            maximize=maximize,
            batch=batch,
            progress=progress,
            label=f"before {name}",
        )
        best, chosen = swept.best, None
        if best is not None:
            values: dict[str, Any] = {
                axis.name: best.parameters[axis.name] for axis in space.axes
            }
            tested = try_list(
                run.between(window.test_begin_ms, window.test_end_ms),
                space,
                [values],
                executor=ThisProcess(),
                store=store,
                objective=objective,
                maximize=maximize,
                progress=progress,
                label=f"after {name}",
            )
            (chosen,) = tested.trials
        folds.append(Fold(window=window, train=swept, test=chosen))
    return WalkForward(folds=tuple(folds), objective=objective)
