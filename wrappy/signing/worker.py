"""The thread that signs.

The official library runs a Go runtime that reads the process's memory map at every
call from the main thread, which makes a signature about four times slower there
than on any other thread. One thread is enough: the library signs one at a time.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.protocol.transactions import Intent, SignedTx
    from wrappy.signing import Signer

THREAD_NAME = "wrappy-signer"
"""Prefix of the thread's name."""


class SigningThread:
    """Runs signers on one thread that starts with the first call.

    It serves any number of event loops, one after the other or at once, and starts
    afresh in a forked child. The interpreter joins the thread at exit.
    """

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._process_id = 0

    async def sign_many(
        self, signer: Signer, intents: Sequence[Intent], *, first_nonce: int
    ) -> list[SignedTx]:
        """Sign intents with consecutive nonces on the thread, all or none.

        A cancelled call may still finish signing; its result is dropped.

        Raises:
            SignerError: one of them cannot be signed.
        """
        work = partial(signer.sign_many, intents, first_nonce=first_nonce)
        return await asyncio.get_running_loop().run_in_executor(self._pool(), work)

    async def auth_token(self, signer: Signer, *, deadline_s: int) -> str:
        """Make an auth token on the thread.

        Raises:
            SignerError: it cannot be signed.
        """
        work = partial(signer.auth_token, deadline_s=deadline_s)
        return await asyncio.get_running_loop().run_in_executor(self._pool(), work)

    def close(self) -> None:
        """End the thread after the work it has; the next call starts another."""
        executor, self._executor = self._executor, None
        # A pool inherited over a fork has no thread to wait for.
        if executor is not None and self._process_id == os.getpid():
            executor.shutdown()

    def _pool(self) -> ThreadPoolExecutor:
        # Only the forking thread lives on in a forked child, so the pool from
        # before would take work and never do it.
        if self._executor is None or self._process_id != os.getpid():
            self._process_id = os.getpid()
            self._executor = ThreadPoolExecutor(
                max_workers=1, thread_name_prefix=THREAD_NAME
            )
        return self._executor


@lru_cache(maxsize=1)
def signing_thread() -> SigningThread:
    """Return the signing thread that the whole process shares."""
    return SigningThread()
