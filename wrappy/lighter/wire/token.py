"""Auth tokens: made locally and renewed in time, or given and watched."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from wrappy._core.token_life import ASKED_LIFE_S, TokenLife
from wrappy.errors import CredentialsError, SignerError
from wrappy.lighter.config_checks import given_scope
from wrappy.lighter.wire.venue_time import VenueTime
from wrappy.signing.auth_token import parse_auth_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.signing import Signer
    from wrappy.signing.worker import SigningThread

logger = logging.getLogger("wrappy.token")

LIFETIME_S = ASKED_LIFE_S
WARN_BEFORE_S = 3600.0
"""So long before its end somebody should be told that a given token ends."""
_HAIR_S = 0.001


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
        deadline_s: unix seconds of its expiry, by the exchange's clock; read from
            the text.
    """

    text: HiddenText
    deadline_s: int

    def __repr__(self) -> str:
        return f"Token(deadline_s={self.deadline_s})"


class AuthTokens(Protocol):
    """Where tokens come from."""

    async def get(self) -> Token:
        """Return a token that holds.

        Raises:
            SignerError, CredentialsError: there is none.
        """

    def drop(self, *, refused: bool = False) -> None:
        """Have the next token made anew, if that is possible here.

        Args:
            refused: the exchange did not accept it, so clocks may differ.
        """

    def left_s(self, token: Token) -> float:
        """Return how long a token holds, seconds by the exchange's clock."""

    def seconds_to_look(self, token: Token) -> float:
        """Return when `get` should be called again, which may give another token."""


class TokenSource:
    """Signs tokens that are good for at least half an hour more.

    Expiry is read from the token itself and judged by the exchange's clock. A
    signature or a question for the clock that fails does not cost a token that
    still holds.

    Args:
        signer: key that signs the tokens.
        worker: thread the signer runs on.
        clock: our own clock, unix seconds.
        time: the exchange's clock; None takes ours for it.
        lifetime_s: life of a token, at most eight hours.

    Raises:
        ValueError: a life that the exchange would not take.
    """

    def __init__(
        self,
        signer: Signer,
        worker: SigningThread,
        *,
        clock: Callable[[], float],
        time: VenueTime | None = None,
        lifetime_s: int = LIFETIME_S,
    ) -> None:
        self._signer = signer
        self._worker = worker
        self._time = time or VenueTime(None, unix_s=clock)
        self._life = TokenLife(lifetime_s)
        self._lock = asyncio.Lock()
        self._token: Token | None = None

    async def get(self) -> Token:
        """Return a token, made anew when the last one has little life left.

        Raises:
            SignerError: none could be made, and there is none that holds.
        """
        async with self._lock:
            await self._time.look()
            token, venue_s = self._token, self._time.now_s()
            if token is None or self._life.is_due(venue_s=venue_s):
                token = self._token = await self._renewed(token, venue_s)
            return token

    def drop(self, *, refused: bool = False) -> None:
        """Have the next token made anew.

        Args:
            refused: the exchange did not accept it; its clock is asked again too.
        """
        self._life.drop()
        if refused:
            self._time.doubt()

    def left_s(self, token: Token) -> float:
        """Return how long a token holds, seconds by the exchange's clock."""
        return token.deadline_s - self._time.now_s()

    def seconds_to_look(self, token: Token) -> float:
        """Return when `get` should be called again: for another token, or the clock.

        0.0 means now: there is a newer token than this one, or one is due.
        """
        if token is not self._token:
            return 0.0
        due_s = self._life.seconds_to_renewal(venue_s=self._time.now_s())
        look_s = self._time.seconds_to_look()
        return due_s if look_s is None else min(due_s, look_s)

    async def _renewed(self, former: Token | None, venue_s: float) -> Token:
        try:
            return await self._made(venue_s)
        except SignerError as error:
            if former is None or not self._life.failed(venue_s=venue_s):
                raise
            logger.warning("no new token, the last one still holds: %s", error)
            return former

    async def _made(self, venue_s: float) -> Token:
        asked_s = self._life.deadline_to_ask(venue_s=venue_s)
        text = await self._worker.auth_token(self._signer, deadline_s=asked_s)
        try:
            deadline_s = parse_auth_token(text).deadline_s
            self._life.took(deadline_s, venue_s=venue_s)
        except ValueError as error:
            # Without what was signed: it is a secret.
            raise SignerError(f"the signer's token is of no use: {error}") from None
        return Token(HiddenText(text), deadline_s)


class GivenToken:
    """Hands out one token that somebody else has made, as long as it holds.

    Args:
        text: a read-only token, or one signed elsewhere.
        account_index: the account that is to be read.
        clock: our own clock, unix seconds.
        time: the exchange's clock; None takes ours for it.

    Raises:
        CredentialsError: it is malformed, of another account, or has expired.
    """

    def __init__(
        self,
        text: str,
        *,
        account_index: int,
        clock: Callable[[], float],
        time: VenueTime | None = None,
    ) -> None:
        self._time = time or VenueTime(None, unix_s=clock)
        scope = given_scope(text)
        if scope.account_index != account_index and not scope.reads_sub_accounts:
            raise CredentialsError(
                f"auth_token: is account {scope.account_index}'s, not account "
                f"{account_index}'s; give one of that account"
            )
        self._token = Token(HiddenText(text), scope.deadline_s)
        self._warned = False
        self._refuse_expired()

    async def get(self) -> Token:
        """Return the token.

        Raises:
            CredentialsError: it has expired.
        """
        await self._time.look()
        self._refuse_expired()
        left_s = self.left_s(self._token)
        if left_s <= WARN_BEFORE_S and not self._warned:
            self._warned = True
            logger.warning(
                "auth_token: ends in %.0f minutes and cannot be renewed here; "
                "make a new one at the exchange",
                left_s / 60,
            )
        return self._token

    def drop(self, *, refused: bool = False) -> None:
        """Keep the token: there is no other.

        Args:
            refused: the exchange did not accept it; its clock is asked again.
        """
        if refused:
            self._time.doubt()

    def left_s(self, token: Token) -> float:
        """Return how long a token holds, seconds by the exchange's clock."""
        return token.deadline_s - self._time.now_s()

    def seconds_to_look(self, token: Token) -> float:
        """Return when `get` should be called again: for a warning, or the clock."""
        left_s = self.left_s(token)
        ends_s = (left_s if self._warned else left_s - WARN_BEFORE_S) + _HAIR_S
        look_s = self._time.seconds_to_look()
        return max(0.0, min(ends_s, math.inf if look_s is None else look_s))

    def _refuse_expired(self) -> None:
        left_s = self.left_s(self._token)
        if left_s <= 0:
            raise CredentialsError(
                f"auth_token: expired {-left_s:.0f} s ago; make a new one at the "
                "exchange, or give an API key, whose tokens renew themselves"
            )
