"""Runs a strategy with many sets of parameters and remembers each."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from wrappy.errors import ConfigError, WrappyError
from wrappy.runner.performance.results import Results
from wrappy.runner.strategy.parameters import written
from wrappy.runner.sweep.crew import Crew, Done, Task
from wrappy.runner.sweep.optuna_search import OptunaSearch
from wrappy.runner.sweep.progress import NoProgress, SweepProgress
from wrappy.runner.sweep.result import SweepResult, Trial
from wrappy.runner.sweep.search import (
    METHODS,
    GridSearch,
    ListSearch,
    Method,
    RandomSearch,
    Search,
)
from wrappy.runner.sweep.stamp import stamp_of
from wrappy.runner.sweep.store import Identity, TrialStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from wrappy.runner.sweep.space import Space

P = TypeVar("P")

BATCH: Final = 8
"""Trials that optuna is asked for at once unless told otherwise."""

OBJECTIVE: Final = "returns.sharpe"
"""What is looked for unless told otherwise."""


class SweepStoppedError(KeyboardInterrupt):
    """Ctrl-C during a sweep; the message says what is kept and how to go on."""


class SweepBrokenError(WrappyError):
    """The executor broke; the message says what is kept and how to go on."""

    outcome = "not_sent"


def sweep(
    run: Callable[[P], Results],
    space: Space[P],
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
    label: str = "",
) -> SweepResult[P]:
    """Run many sets of parameters and return all trials and the best of them.

    The same space, method and seed give the same trials, whoever works on them and
    in whatever order they end. With a store, what was run before is not run again.

    Args:
        run: takes parameters and returns the figures; has to be picklable, such as a
            `StrategyBacktest` or a function at the top of a module.
        space: what is tried.
        method: `grid` for all combinations, `random`, or `optuna`, which learns.
        trials: how many; a grid takes all of them without.
        seed: of the choice of trials. The runs' own chance is theirs.
        executor: any of `concurrent.futures`, or `cluster_executor(...)`; a pool of
            processes without.
        workers: how many runs at a time; all processors without.
        store: a file for the trials, or an open store; in memory without.
        objective: a figure's name, such as `returns.sharpe`.
        maximize: whether more of it is better.
        batch: trials that optuna is asked for before it learns of any; part of what
            decides the trials, so that the number of workers need not be.
        progress: is told of each trial.
        label: keeps parts of a larger sweep apart in a store.

    Raises:
        ConfigError: an argument cannot work, or an extra is not installed.
        SweepStoppedError: Ctrl-C; finished trials are kept.
        SweepBrokenError: somebody else's executor broke; finished trials are kept.
    """
    if method not in METHODS:
        raise ConfigError(f"method: {method!r}; choose one of {', '.join(METHODS)}")
    search: Search
    if method == "grid":
        search = GridSearch(space, trials)
    elif method == "random":
        search = RandomSearch(space, trials, seed)
    else:
        search = OptunaSearch(space, trials, seed, maximize=maximize, batch=batch)
    settings: dict[str, Any] = {}
    if method == "optuna":
        # What it tries depends on what it looks for.
        settings = {"objective": objective, "maximize": maximize, "batch": batch}
    elif method == "grid":
        settings = {"trials": search.total}
    return _swept(
        run,
        space,
        search,
        method=method,
        settings=settings,
        seed=seed,
        crew=Crew(run, executor, workers),
        store=store,
        objective=objective,
        maximize=maximize,
        progress=progress or NoProgress(),
        label=label,
    )


def try_list(
    run: Callable[[P], Results],
    space: Space[P],
    combinations: Sequence[Mapping[str, Any]],
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    store: TrialStore | None = None,
    objective: str = OBJECTIVE,
    maximize: bool = True,
    progress: SweepProgress | None = None,
    label: str = "",
) -> SweepResult[P]:
    """Run given combinations; everything else is as in `sweep`."""
    return _swept(
        run,
        space,
        ListSearch(combinations),
        method="list",
        settings={},
        seed=0,
        crew=Crew(run, executor, workers),
        store=store,
        objective=objective,
        maximize=maximize,
        progress=progress or NoProgress(),
        label=label,
    )


def _swept(
    run: Callable[[P], Results],
    space: Space[P],
    search: Search,
    *,
    method: str,
    settings: Mapping[str, Any],
    seed: int,
    crew: Crew,
    store: TrialStore | str | Path | None,
    objective: str,
    maximize: bool,
    progress: SweepProgress,
    label: str,
) -> SweepResult[P]:
    stamp = stamp_of(run)
    identity = Identity(
        method=method,
        seed=seed,
        space={**space.described(), **settings},
        code_hash=stamp.code,
        data_hash=stamp.data,
        label=label,
    )
    with ExitStack() as stack:
        stack.callback(crew.close)
        if not isinstance(store, TrialStore):
            store = stack.enter_context(TrialStore(store))
        course = _Course(
            space,
            crew,
            store=store,
            identity=identity,
            objective=objective,
            maximize=maximize,
            progress=progress,
        )
        course.follow(search)
    return SweepResult(
        trials=tuple(trial for _, trial in sorted(course.trials.items())),
        objective=objective,
        maximize=maximize,
        varied=tuple(axis.name for axis in space.axes),
        kind=space.kind,
        method=method,
        seed=seed,
        reused=course.reused,
    )


class _Course(Generic[P]):
    """One sweep on its way: batch after batch, trial after trial."""

    def __init__(
        self,
        space: Space[P],
        crew: Crew,
        *,
        store: TrialStore,
        identity: Identity,
        objective: str,
        maximize: bool,
        progress: SweepProgress,
    ) -> None:
        text = json.dumps(identity.row())
        self._name = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._space = space
        self._crew = crew
        self._store = store
        self._objective = objective
        self._progress = progress
        self._better = max if maximize else min
        self._best: float | None = None
        self._identity = identity
        store.begin(self._name, identity)
        self._known = store.trials(self._name)
        self.trials: dict[int, Trial] = {}
        self.reused = 0

    def follow(self, search: Search) -> None:
        """Do what the search says until it says no more."""
        self._progress.begin(
            self._identity.label or self._identity.method, search.total
        )
        stale = self._store.others(self._name, self._identity)
        if stale:
            self._progress.note(
                f"{stale} stored trials were made with other code or other data and "
                "are not used"
            )
        begin = 0
        try:
            while True:
                tasks = self._to_do(enumerate(search.batch(), start=begin))
                for done in self._crew.run(tasks):
                    self._end(done)
                end = len(self.trials)
                if end == begin:
                    return
                values = [
                    self.trials[at].value(self._objective) for at in range(begin, end)
                ]
                search.tell(values)
                begin = end
        except KeyboardInterrupt:
            raise SweepStoppedError(f"stopped; {self._kept()}") from None
        except BrokenExecutor as error:
            raise SweepBrokenError(
                f"the executor broke: {error}; {self._kept()}"
            ) from (error)

    def _kept(self) -> str:
        if self._store.path is None:
            return f"{len(self.trials)} trials were over; give store= to keep them"
        return (
            f"{len(self.trials)} trials are kept in {self._store.path}; the same sweep "
            "goes on from there"
        )

    def _to_do(
        self, numbered: Iterable[tuple[int, Mapping[str, Any]]]
    ) -> Iterator[Task]:
        """Yield what has to be run; what is known already is not."""
        for number, values in numbered:
            try:
                parameters = self._space.parameters(values)
            except ConfigError as error:
                given = {name: _plain(value) for name, value in values.items()}
                refused = Trial(
                    number=number, parameters=given, state="failed", error=str(error)
                )
                self._keep(refused)
                continue
            known = self._known.get(number)
            if known is not None and _is_answer(known, written(parameters)):
                self.reused += 1
                self._take(known)
            else:
                yield Task(number, parameters)

    def _end(self, done: Done) -> None:
        task, outcome, lost = done
        plain = written(task.parameters)
        if outcome is None:
            trial = Trial(
                number=task.number, parameters=plain, state="lost", error=lost
            )
        elif outcome.error:
            trial = Trial(
                number=task.number,
                parameters=plain,
                state="failed",
                error=outcome.error,
                seconds=outcome.seconds,
            )
        else:
            trial = Trial(
                number=task.number,
                parameters=plain,
                state="done",
                results=Results.from_json(outcome.results),
                seconds=outcome.seconds,
            )
        self._keep(trial)

    def _keep(self, trial: Trial) -> None:
        self._store.save(self._name, trial)
        self._take(trial)

    def _take(self, trial: Trial) -> None:
        self.trials[trial.number] = trial
        value = trial.value(self._objective)
        if value is not None:
            known = self._best
            self._best = value if known is None else self._better(known, value)
        self._progress.ended(trial, self._best)


def _is_answer(known: Trial, parameters: Mapping[str, Any]) -> bool:
    """Whether a stored trial need not be run again."""
    return known.state != "lost" and dict(known.parameters) == parameters


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool)) else str(value)
