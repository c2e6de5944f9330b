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

    from wrappy.protocol.transactions import Intent, SignedTx
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

    def sign(self, intent: Intent, *, nonce: int) -> SignedTx:
        """Return the signed transaction of one intent.

        Raises:
            SignerError: it cannot be signed; nothing was sent.
        """

    def sign_many(
        self, intents: Sequence[Intent], *, first_nonce: int
    ) -> list[SignedTx]:
        """Sign intents with consecutive nonces, all or none.

        Raises:
            SignerError: one of them cannot be signed.
        """

    def auth_token(self, *, deadline_s: int) -> str:
        """Return an auth token that holds until `deadline_s`, unix seconds.

        Raises:
            SignerError: it cannot be signed.
        """


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
