"""A question that is asked until it is answered, one at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from wrappy._core.backoff import Backoff
from wrappy.errors import WrappyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wrappy.lighter.logs import LogSink

T = TypeVar("T")

AGAIN_S = 1.0
"""Pause before a question is taken up again that could not be answered; it grows."""


class Inquiry(Generic[T]):
    """One kind of question; what is asked meanwhile is asked together afterwards.

    Args:
        what: is asked for, in words for the log.
        question: asks; what it raises has it asked again.
        both: what to ask when two questions are open, the earlier one first.
        log: where failures are told.
    """

    def __init__(
        self,
        what: str,
        question: Callable[[T], Awaitable[None]],
        both: Callable[[T, T], T],
        log: LogSink,
    ) -> None:
        self._what = what
        self._question = question
        self._both = both
        self._log = log
        self._open: tuple[T] | None = None
        self._task: asyncio.Task[None] | None = None
        self._bell: asyncio.Future[None] | None = None

    @property
    def is_asking(self) -> bool:
        """Whether something is being asked for."""
        return self._task is not None

    def ask(self, subject: T) -> None:
        """Ask soon, also when an earlier try is to be taken up much later only."""
        self._reopen(subject, earlier=False)
        if self._task is None:
            name = f"wrappy {self._what}"
            self._task = asyncio.create_task(self._run(), name=name)
        self._ring()

    async def settled(self) -> None:
        """Return when nothing is being asked for."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def aclose(self) -> None:
        """Stop asking."""
        task, self._open = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            # One that had not begun could not put itself away.
            self._task = None

    async def _run(self) -> None:
        pauses = Backoff(first_s=AGAIN_S, jitter=0.0)
        try:
            while self._open is not None:
                (subject,), self._open = self._open, None
                try:
                    await self._question(subject)
                except WrappyError as error:
                    self._log.warning(
                        "%s could not be fetched yet: %s", self._what, error
                    )
                    self._reopen(subject, earlier=True)
                    await self._pause(pauses.next(0.0))
                else:
                    pauses.reset()
        finally:
            self._task = None

    def _reopen(self, subject: T, *, earlier: bool) -> None:
        if self._open is None:
            self._open = (subject,)
            return
        (known,) = self._open
        pair = (subject, known) if earlier else (known, subject)
        self._open = (self._both(*pair),)

    async def _pause(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._bell = loop.create_future()
        timer = loop.call_later(seconds, self._ring)
        try:
            await self._bell
        finally:
            timer.cancel()
            self._bell = None

    def _ring(self) -> None:
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)
