"""Auth tokens: who asks, until when, signed with an API key.

A token is `deadline:account:key:signature`: unix seconds, two indexes and 160 hex
digits. What is signed is the text before the last colon (official signer).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wrappy.signing import schnorr
from wrappy.signing.curve import limbs_from_bytes
from wrappy.signing.poseidon2 import hash_to_quintic

MAX_LIFETIME_S = 8 * 3600
"""Longest time ahead the exchange accepts a deadline (official documentation)."""

_TOKEN = re.compile(
    r"(0|[1-9][0-9]{0,18}):(0|[1-9][0-9]{0,18}):(0|[1-9][0-9]{0,2}):([0-9a-f]{160})"
)
_LIMB_BYTES = 8


@dataclass(frozen=True, slots=True)
class AuthToken:
    """A token's parts; its signature is not checked yet.

    Attributes:
        deadline_s: unix seconds after which it is worthless.
        account_index: the account that asks.
        api_key_index: the key that signed.
        signature: 80 bytes.
    """

    deadline_s: int
    account_index: int
    api_key_index: int
    signature: bytes


def parse_auth_token(text: str) -> AuthToken:
    """Take a signed token apart.

    Raises:
        ValueError: the text has another form; the message does not repeat it.
    """
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise ValueError(
            "auth token must read deadline:account_index:api_key_index:signature, "
            "three plain numbers and 160 lower-case hex digits"
        )
    deadline, account, key, signature = match.groups()
    return AuthToken(int(deadline), int(account), int(key), bytes.fromhex(signature))


def token_message_limbs(
    deadline_s: int, account_index: int, api_key_index: int
) -> list[int]:
    """Return the five field elements that a token's signature covers."""
    text = f"{deadline_s}:{account_index}:{api_key_index}".encode()
    padded = text + bytes(-len(text) % _LIMB_BYTES)
    return hash_to_quintic(limbs_from_bytes(padded))


def make_auth_token(
    secret: int, *, deadline_s: int, account_index: int, api_key_index: int
) -> str:
    """Sign a token with a secret scalar.

    Args:
        secret: the API key's private key as a number, 1..n-1.
        deadline_s: unix seconds, at most 8 hours ahead.
        account_index: the account.
        api_key_index: the key's index.
    """
    message = token_message_limbs(deadline_s, account_index, api_key_index)
    signature = schnorr.sign(secret, message).hex()
    return f"{deadline_s}:{account_index}:{api_key_index}:{signature}"
