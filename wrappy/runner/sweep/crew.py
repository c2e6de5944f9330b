"""Hands runs to workers, a few at a time, and survives workers that die."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from wrappy.errors import ConfigError, UsageError
from wrappy.runner.sweep.this_process import ThisProcess
from wrappy.runner.sweep.worker import (
    Outcome,
    begin_worker,
    pack,
    run_given,
    run_once,
    run_packed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor
    from multiprocessing.connection import Connection

QUEUED_EACH: Final = 2
"""Runs that are handed out for each worker, so that none waits for its next one."""

FOREIGN_WORKERS: Final = 16
"""Workers that somebody else's executor is taken to have unless told."""

_HOPELESS: Final = 2
"""Workers that may die before any of them has done anything."""


class Task(NamedTuple):
    """A run to do."""

    number: int
    parameters: Any


class Done(NamedTuple):
    """A run that is over; when its worker could not run it, `lost` says why."""

    task: Task
    outcome: Outcome | None
    lost: str


class Crew:
    """Runs tasks on an executor; a pool of processes of its own by default.

    When a process of its own pool dies, all runs that were handed out are run again,
    each alone, and one whose process dies then is given up. Nobody else's executor is
    repaired or shut down.

    Args:
        run: what is called with each task's parameters; has to be picklable.
        executor: somebody else's.
        workers: how many there are; for a pool of its own, how many to start.

    Raises:
        ConfigError: the run cannot travel, or there are no workers.
    """

    def __init__(
        self,
        run: Callable[[Any], Any],
        executor: Executor | None = None,
        workers: int | None = None,
    ) -> None:
        if workers is not None and (type(workers) is not int or workers < 1):
            raise ConfigError(f"workers: {workers!r} is no number; give 1 or more")
        self._run = run
        self._foreign = executor
        self._packed = b"" if isinstance(executor, ThisProcess) else pack(run)
        usual = (os.cpu_count() or 1) if executor is None else FOREIGN_WORKERS
        if isinstance(executor, ThisProcess):
            usual = 1
        self._workers = workers or usual
        self._own: ProcessPoolExecutor | None = None
        self._leash: tuple[Connection, Connection] | None = None
        self._open: dict[Future[Outcome], Task] = {}
        self._has_worked = False
        self._deaths = 0

    def run(self, tasks: Iterable[Task]) -> Iterator[Done]:
        """Yield runs as they end, in whatever order that is.

        Raises:
            UsageError: workers die before they have done anything.
            BrokenExecutor: somebody else's executor is broken.
        """
        left = iter(tasks)
        limit = self._workers * QUEUED_EACH
        while True:
            for task in islice(left, limit - len(self._open)):
                self._open[self._submit(task)] = task
            if not self._open:
                return
            ended = wait(self._open, return_when=FIRST_COMPLETED).done
            if any(isinstance(one.exception(), BrokenExecutor) for one in ended):
                # All the others end with it, those that were done keep their result.
                ended = wait(self._open).done
            suspects = []
            for future in ended:
                task, error = self._open.pop(future), future.exception()
                if isinstance(error, BrokenExecutor):
                    if self._foreign is not None:
                        raise error
                    suspects.append(task)
                else:
                    yield self._told(task, future)
            if suspects:
                yield from self._one_by_one(sorted(suspects))

    def close(self) -> None:
        """Let go of everything; runs that are going on are given up."""
        for future in self._open:
            future.cancel()
        self._open.clear()
        self._leave_pool()

    def _submit(self, task: Task) -> Future[Outcome]:
        if isinstance(self._foreign, ThisProcess):
            return self._foreign.submit(run_once, self._run, task.parameters)
        parameters = pack(task.parameters)
        try:
            if self._foreign is not None:
                return self._foreign.submit(run_packed, self._packed, parameters)
            if self._own is None:
                self._own = self._pool()
            return self._own.submit(run_given, parameters)
        except BrokenExecutor as error:
            broken: Future[Outcome] = Future()
            broken.set_exception(error)
            return broken

    def _pool(self) -> ProcessPoolExecutor:
        # A fork would copy locks that other threads hold.
        spawning = multiprocessing.get_context("spawn")
        self._leash = spawning.Pipe(duplex=False)
        return ProcessPoolExecutor(
            self._workers,
            mp_context=spawning,
            initializer=begin_worker,
            initargs=(self._packed, self._leash[0]),
        )

    def _leave_pool(self) -> None:
        if self._own is not None and self._leash is not None:
            theirs, ours = self._leash
            ours.close()
            self._own.shutdown(cancel_futures=True)
            theirs.close()
        self._own = self._leash = None

    def _told(self, task: Task, future: Future[Outcome]) -> Done:
        error = future.exception()
        if error is not None:
            # A run never raises out of its worker: this is about the way there.
            return Done(task, None, f"{type(error).__name__}: {error}")
        self._has_worked = True
        return Done(task, future.result(), "")

    def _one_by_one(self, suspects: Iterable[Task]) -> Iterator[Done]:
        """Run again, each alone, what was handed out when a process died."""
        self._leave_pool()
        for task in suspects:
            future = self._submit(task)
            self._open[future] = task
            error = future.exception()
            del self._open[future]
            if not isinstance(error, BrokenExecutor):
                yield self._told(task, future)
                continue
            self._leave_pool()
            self._deaths += 1
            if not self._has_worked and self._deaths >= _HOPELESS:
                raise UsageError(
                    "workers: every process dies before it has run anything; a script "
                    "that sweeps has to do so below `if __name__ == '__main__':`"
                )
            yield Done(task, None, "its worker process died: killed, or out of memory?")
