"""A signer in pure Python: any platform, any expiry, about a millisecond each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from wrappy.signing import schnorr
from wrappy.signing.auth_token import make_auth_token
from wrappy.signing.keys import secret_scalar
from wrappy.signing.unsigned import (
    DEFAULT_LIFETIME_MS,
    Identity,
    build_transaction,
    refuse_deadline,
    unix_ms,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wrappy.protocol.transactions import Intent, SignedTx


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
        lifetime_ms: how long a transaction may wait for execution.
        clock_ms: returns unix milliseconds.

    Raises:
        CredentialsError: the private key is not usable.
        ConfigError: an index is out of range.
    """

    __slots__ = ("_clock_ms", "_identity", "_lifetime_ms", "_secret")

    def __init__(
        self,
        private_key: str,
        *,
        account_index: int,
        api_key_index: int,
        chain_id: int,
        lifetime_ms: int = DEFAULT_LIFETIME_MS,
        clock_ms: Callable[[], int] = unix_ms,
    ) -> None:
        self._secret = secret_scalar(private_key)
        self._identity = Identity(account_index, api_key_index, chain_id)
        self._lifetime_ms = lifetime_ms
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

    def sign(self, intent: Intent, *, nonce: int) -> SignedTx:
        """Return the signed transaction of one intent.

        Raises:
            SignerError: a number is out of range.
        """
        return build_transaction(
            intent,
            self._identity,
            nonce=nonce,
            now_ms=self._clock_ms(),
            lifetime_ms=self._lifetime_ms,
            make_signature=lambda limbs: schnorr.sign(self._secret, limbs),
        )

    def sign_many(
        self, intents: Sequence[Intent], *, first_nonce: int
    ) -> list[SignedTx]:
        """Sign intents with consecutive nonces, all or none.

        Raises:
            SignerError: a number of one of them is out of range.
        """
        return [
            self.sign(intent, nonce=nonce)
            for nonce, intent in enumerate(intents, first_nonce)
        ]

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
