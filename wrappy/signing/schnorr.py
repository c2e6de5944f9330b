"""Schnorr signatures over ecGFp5, as the exchange defines them.

A message is five field elements. A signature is s and e, 40 bytes each: with a
random k and R = k*G, e = H(encode(R), message) and s = k - e * secret.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

from wrappy.signing import curve
from wrappy.signing.poseidon2 import hash_to_quintic

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGNATURE_BYTES = 2 * curve.ENCODED_BYTES
"""Length of a signature: s and e."""

CACHED_PUBLIC_KEYS = 64
"""Public keys whose tables are kept; each takes about half a megabyte."""

_GENERATOR_WINDOW_BITS = 6
_PUBLIC_KEY_WINDOW_BITS = 4


@lru_cache(maxsize=1)
def _generator_table() -> curve.FixedBaseTable:
    return curve.FixedBaseTable(curve.GENERATOR, window_bits=_GENERATOR_WINDOW_BITS)


@lru_cache(maxsize=CACHED_PUBLIC_KEYS)
def _public_key_table(public_key: bytes) -> curve.FixedBaseTable | None:
    element = curve.decode(public_key)
    # The group's zero as a key would let anyone sign.
    if element is None or not any(public_key):
        return None
    return curve.FixedBaseTable(element, window_bits=_PUBLIC_KEY_WINDOW_BITS)


def public_key(secret: int) -> bytes:
    """Return the 40-byte public key of a secret scalar (1..n-1)."""
    return curve.encode(_generator_table().multiply(secret))


@dataclass(frozen=True, slots=True)
class NoncePoint:
    """A secret random number and its point, for exactly one signature.

    Whoever sees the number and the signature made with it knows the private key,
    and so does whoever sees two signatures made with one number. Its repr hides
    both, and it refuses to be pickled or copied.

    Attributes:
        nonce: k, 1..n-1.
        commitment: the 40 bytes of k*G.
    """

    nonce: int = field(repr=False)
    commitment: bytes = field(repr=False)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: it would exist twice."""
        raise TypeError("a NoncePoint is not pickled: it must not exist twice")


def new_nonce_point() -> NoncePoint:
    """Return a fresh nonce point from the operating system's randomness."""
    return _nonce_point(secrets.randbelow(curve.GROUP_ORDER - 1) + 1)


def _nonce_point(nonce: int) -> NoncePoint:
    return NoncePoint(nonce, curve.encode(_generator_table().multiply(nonce)))


def sign(secret: int, message: Sequence[int]) -> bytes:
    """Return an 80-byte signature of a message of five field elements.

    The nonce comes from the operating system at each call.
    """
    return sign_with_point(secret, message, new_nonce_point())


def sign_with_nonce(secret: int, message: Sequence[int], nonce: int) -> bytes:
    """Sign with a given nonce (1..n-1); only published vectors need this.

    Never use a nonce for two messages.
    """
    return sign_with_point(secret, message, _nonce_point(nonce))


def sign_with_point(secret: int, message: Sequence[int], point: NoncePoint) -> bytes:
    """Sign with a nonce point made before, which costs a hash only.

    Never use a point for two messages.
    """
    challenge = _challenge(point.commitment, message)
    response = (point.nonce - challenge * secret) % curve.GROUP_ORDER
    return response.to_bytes(curve.ENCODED_BYTES, "little") + challenge.to_bytes(
        curve.ENCODED_BYTES, "little"
    )


def verify(public_key: bytes, message: Sequence[int], signature: bytes) -> bool:
    """Return whether a signature of five field elements is the key's.

    Anything malformed is simply not a signature: `False`.
    """
    if len(signature) != SIGNATURE_BYTES or len(public_key) != curve.ENCODED_BYTES:
        return False
    response = int.from_bytes(signature[: curve.ENCODED_BYTES], "little")
    challenge = int.from_bytes(signature[curve.ENCODED_BYTES :], "little")
    if response >= curve.GROUP_ORDER or challenge >= curve.GROUP_ORDER:
        return False
    table = _public_key_table(public_key)
    if table is None:
        return False
    commitment = table.multiply(challenge, _generator_table().multiply(response))
    return _challenge(curve.encode(commitment), message) == challenge


def _challenge(commitment: bytes, message: Sequence[int]) -> int:
    limbs = hash_to_quintic([*curve.limbs_from_bytes(commitment), *message])
    return int.from_bytes(curve.bytes_from_limbs(limbs), "little") % curve.GROUP_ORDER
