"""No other process: runs where it is called."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class ThisProcess(Executor):
    """Runs what it is given at once, in the caller's thread.

    For a debugger, and for strategies that other processes cannot import. Nothing has
    to be picklable then.
    """

    def submit(
        self, fn: Callable[..., _T], /, *args: object, **kwargs: object
    ) -> Future[_T]:
        """Run it and return a future that is done."""
        future: Future[_T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future
