"""A worker that is no thread: it works at once, in the caller's own turn.

For simulations, where a thread would take real time and end a program's repeatable
course.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from wrappy.signing.worker import SigningThread

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.signing import PreparingSigner

_T = TypeVar("_T")


class InlineWorker(SigningThread):
    """Has the methods of a `SigningThread` and no thread."""

    async def run(self, work: Callable[[], _T]) -> _T:
        """Call `work` now and return its result."""
        return work()

    def keep_prepared(self, signer: PreparingSigner) -> None:
        """Do nothing: there are no idle moments to prepare anything in."""
