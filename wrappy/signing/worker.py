"""The thread that signs.

The official library runs a Go runtime that reads the process's memory map at every
call from the main thread, which makes a signature about four times slower there
than on any other thread. One thread is enough: the library signs one at a time.

While it has nothing to do, the thread lets the signers it was told about prepare
signatures to come, in steps of less than a millisecond.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from wrappy.protocol.intents import Intent, SignedTx
    from wrappy.signing import PreparingSigner, Signer

_T = TypeVar("_T")

THREAD_NAME = "wrappy-signer"
"""Prefix of the thread's name."""

IDLE_PAUSE_S = 0.001
"""Pause after each step of preparation, so that idle work takes half of a core at
most; work that arrives ends it."""


class SigningThread:
    """Runs signers on one thread that starts with the first call.

    It serves any number of event loops, one after the other or at once, and starts
    afresh in a forked child. The interpreter joins the thread at exit.
    """

    def __init__(self) -> None:
        self._desk: _Desk | None = None
        self._prepared: weakref.WeakSet[PreparingSigner] = weakref.WeakSet()

    async def sign_many(
        self,
        signer: Signer,
        intents: Sequence[Intent],
        *,
        first_nonce: int,
        skip_nonce: bool = False,
    ) -> list[SignedTx]:
        """Sign intents with consecutive nonces on the thread, all or none.

        A cancelled call may still finish signing; its result is dropped.

        Raises:
            SignerError: one of them cannot be signed.
        """
        return await self.run(
            partial(
                signer.sign_many,
                intents,
                first_nonce=first_nonce,
                skip_nonce=skip_nonce,
            )
        )

    async def auth_token(self, signer: Signer, *, deadline_s: int) -> str:
        """Make an auth token on the thread.

        Raises:
            SignerError: it cannot be signed.
        """
        return await self.run(partial(signer.auth_token, deadline_s=deadline_s))

    async def run(self, work: Callable[[], _T]) -> _T:
        """Call `work` on the thread, after the work it has, and return its result.

        What `work` raises is raised here. A cancelled call may still be finished;
        its result is dropped.
        """
        return await asyncio.wrap_future(self._at_work().take(work))

    def keep_prepared(self, signer: PreparingSigner) -> None:
        """Let a signer prepare signatures from now on whenever nothing is to do.

        Work that arrives waits for one step at most, not for the rest of them. The
        signer is let go when nobody else has it.
        """
        self._at_work().keep_prepared(signer)

    def close(self) -> None:
        """End the thread after the work it has; the next call starts another."""
        desk, self._desk = self._desk, None
        if desk is not None:
            desk.close()

    def _at_work(self) -> _Desk:
        # Only the forking thread lives on in a forked child, so the desk from
        # before would take work and never do it.
        if self._desk is None or self._desk.process_id != os.getpid():
            self._desk = _Desk(self._prepared)
        return self._desk


class _Desk:
    """The thread of one process, its queue and what it does when that is empty."""

    def __init__(self, signers: weakref.WeakSet[PreparingSigner]) -> None:
        self.process_id = os.getpid()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=THREAD_NAME)
        self._signers = signers
        self._work_came = threading.Event()
        # There is one step in the queue at most. Only the thread itself looks here.
        self._step_is_queued = False

    def take(self, work: Callable[[], _T]) -> Future[_T]:
        """Put work at the end of the queue."""
        self._work_came.set()
        return self._pool.submit(self._do, work)

    def keep_prepared(self, signer: PreparingSigner) -> None:
        """Think of a signer when there is time."""
        self.take(partial(self._signers.add, signer))

    def close(self) -> None:
        """End the thread; one inherited over a fork does not exist."""
        if self.process_id == os.getpid():
            self._pool.shutdown()

    def _do(self, work: Callable[[], _T]) -> _T:
        try:
            return work()
        finally:
            self._queue_step()

    def _queue_step(self) -> None:
        if self._signers and not self._step_is_queued:
            # A pool that is being closed takes nothing any more.
            with contextlib.suppress(RuntimeError):
                self._pool.submit(self._step)
                self._step_is_queued = True

    def _step(self) -> None:
        self._step_is_queued = False
        if self._work_came.is_set():
            self._work_came.clear()  # and go behind what may be waiting
        elif any(signer.prepare(1) for signer in list(self._signers)):
            self._work_came.wait(IDLE_PAUSE_S)
        else:
            return
        self._queue_step()


@lru_cache(maxsize=1)
def signing_thread() -> SigningThread:
    """Return the signing thread that the whole process shares."""
    return SigningThread()
