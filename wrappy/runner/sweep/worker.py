"""What happens in a worker process: one run after the other, and no exception out."""

from __future__ import annotations

import dataclasses
import logging
import os
import pickle
import signal
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, final

from wrappy.errors import ConfigError, UsageError
from wrappy.runner.performance.results import Results

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from types import TracebackType


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to, as it travels between processes.

    Attributes:
        results: as JSON, without curve and trades; empty when the run failed.
        error: what it raised, in words; empty when it did not.
        seconds: how long it took.
    """

    results: str
    error: str
    seconds: float


@final
class _Caught:
    """Keeps what a block raises.

    A strategy may raise anything, and some exceptions do not survive the way to
    another process: words do.
    """

    def __init__(self) -> None:
        self.words = ""

    def __enter__(self) -> _Caught:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self.words = f"{type(error).__name__}: {error}"
        return True


def run_once(run: Callable[[Any], Results], parameters: Any) -> Outcome:
    """Run with some parameters and return what it came to, whatever happens."""
    caught, results = _Caught(), ""
    began_s = time.perf_counter()
    with caught:
        found = run(parameters)
        if not isinstance(found, Results):
            raise UsageError(
                f"run: returned a {type(found).__name__}; return the Results"
            )
        results = dataclasses.replace(found, curve=(), round_trips=()).to_json()
    return Outcome(results, caught.words, time.perf_counter() - began_s)


def run_packed(packed: bytes, parameters: bytes) -> Outcome:
    """Run what arrives with each task; the same run is unpacked once."""
    caught = _Caught()
    with caught:
        return run_once(_unpacked(packed), pickle.loads(parameters))  # noqa: S301 - ours
    return Outcome("", f"the worker could not load it: {caught.words}", 0.0)


_given = b""
"""The run that this process was started for."""


def begin_worker(packed: bytes, leash: Connection) -> None:
    """Prepare a process of our own pool.

    Ctrl-C is the parent's business. The process leaves at once when the parent lets go
    of the other end of the leash or is gone, even in the middle of a run: what it would
    have found is found again.
    """
    global _given  # noqa: PLW0603 - a process has one run
    _given = packed
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What goes wrong is told with its trial, not across the parent's progress.
    logging.getLogger().addHandler(logging.NullHandler())
    threading.Thread(target=_leave_with, args=(leash,), daemon=True).start()


def run_given(parameters: bytes) -> Outcome:
    """Run what the process was started for."""
    return run_packed(_given, parameters)


def pack(run: Any) -> bytes:
    """Return a run as it travels.

    Raises:
        ConfigError: it cannot travel.
    """
    try:
        return pickle.dumps(run)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"run: cannot be sent to another process ({error}); define functions and "
            "classes at the top of a module, and give no open files or loops"
        ) from error


@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> Callable[[Any], Results]:
    run: Callable[[Any], Results] = pickle.loads(packed)  # noqa: S301 - ours
    return run


def _leave_with(leash: Connection) -> None:
    # Nothing is ever sent: this ends when the parent's end is closed.
    leash.poll(None)
    os._exit(1)
