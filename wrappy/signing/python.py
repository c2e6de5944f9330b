"""A signer in pure Python: any platform, any expiry.

A signature costs a bit less than a millisecond, and less than half of that with a
nonce point made before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from wrappy.signing import schnorr
from wrappy.signing.auth_token import make_auth_token
from wrappy.signing.keys import secret_scalar
from wrappy.signing.nonce_points import NoncePoints
from wrappy.signing.unsigned import (
    DEFAULT_LIFETIME_MS,
    Identity,
    Lifetimes,
    build_transaction,
    let_others_run,
    refuse_deadline,
    unix_ms,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wrappy.protocol.intents import Intent, SignedTx

DEFAULT_POINT_CAPACITY = 256
"""Nonce points a signer keeps unless told otherwise: a burst of 17 full batches."""


class PythonSigner:
    """Signs without the official library.

    Unlike it, this signer does not judge an order's rules, only that its numbers
    fit; the exchange judges. It can set how soon a transaction expires: an expired
    one is proof of non-execution. It is not constant-time.

    Args:
        private_key: 80 hex digits, with or without 0x.
        account_index: the account, 1..2**48-2.
        api_key_index: the key's index, 0..254.
        chain_id: 304 on mainnet, 300 on testnet.
        lifetime_ms: how long a transaction may wait for execution, 1 ms to a day.
        taker_lifetime_ms: the same for an order that is meant to trade at once
            (market, or immediate or cancel); `None` for no difference.
        point_capacity: most nonce points `prepare` keeps, 0..65536.
        clock_ms: returns unix milliseconds.

    Raises:
        CredentialsError: the private key is not usable.
        ConfigError: an index, a lifetime or `point_capacity` is out of range.
    """

    __slots__ = (
        "__weakref__",
        "_clock_ms",
        "_identity",
        "_lifetimes",
        "_points",
        "_secret",
    )

    def __init__(
        self,
        private_key: str,
        *,
        account_index: int,
        api_key_index: int,
        chain_id: int,
        lifetime_ms: int = DEFAULT_LIFETIME_MS,
        taker_lifetime_ms: int | None = None,
        point_capacity: int = DEFAULT_POINT_CAPACITY,
        clock_ms: Callable[[], int] = unix_ms,
    ) -> None:
        self._secret = secret_scalar(private_key)
        self._identity = Identity(account_index, api_key_index, chain_id)
        self._lifetimes = Lifetimes(lifetime_ms, taker_lifetime_ms)
        self._points = NoncePoints(point_capacity)
        self._clock_ms = clock_ms

    def __repr__(self) -> str:
        return (
            f"PythonSigner(account_index={self.account_index}, "
            f"api_key_index={self.api_key_index}, chain_id={self.chain_id})"
        )

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: the private key would travel along."""
        raise TypeError("a PythonSigner is not pickled: it would carry the private key")

    @property
    def account_index(self) -> int:
        """The account."""
        return self._identity.account_index

    @property
    def api_key_index(self) -> int:
        """The API key's index."""
        return self._identity.api_key_index

    @property
    def chain_id(self) -> int:
        """The chain the signatures are for."""
        return self._identity.chain_id

    @property
    def public_key(self) -> str:
        """80 hex digits."""
        return schnorr.public_key(self._secret).hex()

    def sign(self, intent: Intent, *, nonce: int, skip_nonce: bool = False) -> SignedTx:
        """Return the signed transaction of one intent.

        Raises:
            SignerError: a number is out of range.
        """
        return build_transaction(
            intent,
            self._identity,
            nonce=nonce,
            skip_nonce=skip_nonce,
            now_ms=self._clock_ms(),
            lifetimes=self._lifetimes,
            make_signature=self._signature,
        )

    def sign_many(
        self,
        intents: Sequence[Intent],
        *,
        first_nonce: int,
        skip_nonce: bool = False,
    ) -> list[SignedTx]:
        """Sign intents with consecutive nonces, all or none.

        Other threads get the interpreter at least twice a millisecond.

        Raises:
            SignerError: a number of one of them is out of range.
        """
        signed: list[SignedTx] = []
        for nonce, intent in enumerate(intents, first_nonce):
            if signed:
                let_others_run()
            # The point and the hash take about as long; a pause fits in between.
            if not self.prepared and self.prepare(1):
                let_others_run()
            signed.append(self.sign(intent, nonce=nonce, skip_nonce=skip_nonce))
        return signed

    @property
    def prepared(self) -> int:
        """How many signatures have their nonce point ready."""
        return len(self._points)

    def prepare(self, count: int) -> int:
        """Make up to `count` nonce points for signatures to come.

        Meant for idle moments (`SigningThread.keep_prepared`).

        Returns:
            How many were made, fewer when there is no more room; about half a
            millisecond each.
        """
        return self._points.prepare(count)

    def _signature(self, limbs: Sequence[int]) -> bytes:
        # The message stands before a point is taken, and the point is gone before
        # it is used: whatever happens in between, it never meets a second message.
        point = self._points.take() or schnorr.new_nonce_point()
        return schnorr.sign_with_point(self._secret, limbs, point)

    def auth_token(self, *, deadline_s: int) -> str:
        """Return an auth token that holds until `deadline_s`, unix seconds.

        Raises:
            SignerError: the deadline is no such number.
        """
        refuse_deadline(deadline_s)
        return make_auth_token(
            self._secret,
            deadline_s=deadline_s,
            account_index=self.account_index,
            api_key_index=self.api_key_index,
        )
