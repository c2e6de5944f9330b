"""API key pairs: their text form, and keys made from a seed."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import NoReturn

from wrappy.errors import CredentialsError
from wrappy.signing import curve, schnorr

_PRIVATE_KEY = re.compile(r"(?:0[xX])?([0-9a-fA-F]{80})")
_SEED_DOMAIN = b"wrappy api key\0"
_SEED_BYTES = 64


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An API key pair.

    Its repr hides the private key, and it refuses to be pickled.

    Attributes:
        private_key: 80 hex digits, never shown.
        public_key: 80 hex digits; the exchange knows the key by it.
    """

    private_key: str = field(repr=False)
    public_key: str

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: the private key would travel along."""
        raise TypeError("a KeyPair is not pickled: it would carry the private key")


def secret_scalar(private_key: str, *, name: str = "api_key_private_key") -> int:
    """Return a private key as a number.

    Args:
        private_key: 80 hex digits, with or without 0x.
        name: setting the key comes from, for the error message.

    Raises:
        CredentialsError: not a usable key; the message does not repeat it.
    """
    match = _PRIVATE_KEY.fullmatch(private_key)
    if match is None:
        raise CredentialsError(
            f"{name} must be 80 hex digits, optionally after 0x (got "
            f"{len(private_key)} characters); copy the API key's private key from "
            "where the key was created, not the wallet's"
        )
    scalar = int.from_bytes(bytes.fromhex(match[1]), "little")
    if not 0 < scalar < curve.GROUP_ORDER:
        raise CredentialsError(
            f"{name} is not a key of this curve (zero, or not below the group's "
            "order); create a new API key"
        )
    return scalar


def public_key_of(private_key: str) -> str:
    """Return the public key, 80 hex digits, of a private key's text.

    Raises:
        CredentialsError: not a usable key.
    """
    return schnorr.public_key(secret_scalar(private_key)).hex()


def derive_key_pair(seed: bytes) -> KeyPair:
    """Return the key pair of a seed: always the same one.

    Meant for local exchanges and tests; a real key deserves `new_key_pair`.
    """
    digest = hashlib.shake_256(_SEED_DOMAIN + seed).digest(_SEED_BYTES)
    return _pair(int.from_bytes(digest, "little") % (curve.GROUP_ORDER - 1) + 1)


def new_key_pair() -> KeyPair:
    """Return a fresh key pair from the operating system's randomness."""
    return _pair(secrets.randbelow(curve.GROUP_ORDER - 1) + 1)


def _pair(scalar: int) -> KeyPair:
    private_key = scalar.to_bytes(curve.ENCODED_BYTES, "little").hex()
    return KeyPair(private_key, schnorr.public_key(scalar).hex())
