"""Auth tokens: made locally, renewed long before they expire."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.signing import Signer
    from wrappy.signing.worker import SigningThread

LIFETIME_S = 6 * 3600
"""The exchange accepts at most eight hours ahead; two are left for clock skew."""
RENEW_BEFORE_S = 1800


class HiddenText(str):
    """A text whose repr tells nothing, also where a traceback prints its variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'...'"


@dataclass(frozen=True, slots=True)
class Token:
    """An auth token; its text is never shown.

    Attributes:
        text: what goes into the `authorization` header.
        deadline_s: unix seconds of its expiry.
    """

    text: HiddenText
    deadline_s: int

    def __repr__(self) -> str:
        return f"Token(deadline_s={self.deadline_s})"


class TokenSource:
    """Hands out a token that is good for at least half an hour more.

    Args:
        signer: key that signs the tokens.
        worker: thread the signer runs on.
        clock: unix seconds.
        lifetime_s: life of a token, at most eight hours.
    """

    def __init__(
        self,
        signer: Signer,
        worker: SigningThread,
        *,
        clock: Callable[[], float],
        lifetime_s: int = LIFETIME_S,
    ) -> None:
        self._signer = signer
        self._worker = worker
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._lock = asyncio.Lock()
        self._token: Token | None = None

    async def get(self) -> Token:
        """Return a token, made anew when the last one has little life left."""
        async with self._lock:
            now = self._clock()
            margin = min(RENEW_BEFORE_S, self._lifetime_s / 4)
            if self._token is None or now >= self._token.deadline_s - margin:
                deadline = int(now) + self._lifetime_s
                text = await self._worker.auth_token(self._signer, deadline_s=deadline)
                self._token = Token(HiddenText(text), deadline)
            return self._token

    def drop(self) -> None:
        """Forget the token; the next one is made anew."""
        self._token = None
