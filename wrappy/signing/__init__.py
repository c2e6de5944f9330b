"""Signatures: who can make them and who can check them.

`Signer` is what the client needs; `SdkSigner` asks the exchange's official library,
`PythonSigner` needs no library, `NullSigner` leaves the signature out. Importing
this package loads none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.protocol.intents import Intent, SignedTx
    from wrappy.signing.auth_token import AuthToken, parse_auth_token
    from wrappy.signing.keys import (
        KeyPair,
        derive_key_pair,
        new_key_pair,
        public_key_of,
    )
    from wrappy.signing.null import NullSigner
    from wrappy.signing.python import PythonSigner
    from wrappy.signing.sdk import SdkSigner
    from wrappy.signing.verify import (
        verify_auth_token,
        verify_transaction,
        verify_transaction_hash,
    )
    from wrappy.signing.worker import SigningThread, signing_thread

__all__ = [
    "AuthToken",
    "KeyPair",
    "NullSigner",
    "PreparingSigner",
    "PythonSigner",
    "SdkSigner",
    "Signer",
    "SigningThread",
    "derive_key_pair",
    "new_key_pair",
    "parse_auth_token",
    "public_key_of",
    "signing_thread",
    "verify_auth_token",
    "verify_transaction",
    "verify_transaction_hash",
]

_HOMES = {
    "AuthToken": "auth_token",
    "KeyPair": "keys",
    "NullSigner": "null",
    "PythonSigner": "python",
    "SdkSigner": "sdk",
    "SigningThread": "worker",
    "derive_key_pair": "keys",
    "new_key_pair": "keys",
    "parse_auth_token": "auth_token",
    "public_key_of": "keys",
    "signing_thread": "worker",
    "verify_auth_token": "verify",
    "verify_transaction": "verify",
    "verify_transaction_hash": "verify",
}


class Signer(Protocol):
    """Signs for one API key of one account on one chain."""

    @property
    def account_index(self) -> int:
        """The account."""

    @property
    def api_key_index(self) -> int:
        """The API key's index, 0..254."""

    @property
    def chain_id(self) -> int:
        """304 on mainnet, 300 on testnet."""

    @property
    def public_key(self) -> str:
        """80 hex digits."""

    def sign(self, intent: Intent, *, nonce: int, skip_nonce: bool = False) -> SignedTx:
        """Return the signed transaction of one intent.

        Args:
            intent: what is to be done.
            nonce: the number to spend, 0..2**48-1.
            skip_nonce: let it pass although numbers before it were never used
                (attribute 4, official API documentation); then 0..2**47-1.

        Raises:
            SignerError: it cannot be signed; nothing was sent.
        """

    def sign_many(
        self,
        intents: Sequence[Intent],
        *,
        first_nonce: int,
        skip_nonce: bool = False,
    ) -> list[SignedTx]:
        """Sign intents with consecutive nonces, all or none.

        Args:
            intents: what is to be done.
            first_nonce: number of the first; the others follow without a gap.
            skip_nonce: let each pass although numbers before it were never used.

        Raises:
            SignerError: one of them cannot be signed.
        """

    def auth_token(self, *, deadline_s: int) -> str:
        """Return an auth token that holds until `deadline_s`, unix seconds.

        Raises:
            SignerError: it cannot be signed.
        """


class PreparingSigner(Signer, Protocol):
    """A signer that can do a part of coming signatures while there is time."""

    def prepare(self, count: int) -> int:
        """Make up to `count` signatures ready.

        Returns:
            How many it made; 0 when there is no room for more.
        """


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
