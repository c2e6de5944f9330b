"""Yes or no: is this signature the key's? The exchange's side of signing."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from wrappy.signing import schnorr
from wrappy.signing.auth_token import token_message_limbs
from wrappy.signing.curve import limbs_from_bytes
from wrappy.signing.transaction_hash import message_limbs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.signing.auth_token import AuthToken


def verify_transaction(
    tx_type: int, info: Mapping[str, Any], chain_id: int, public_key_hex: str
) -> bool:
    """Return whether `info["Sig"]` is the key's signature of the transaction.

    Args:
        tx_type: number of the transaction's type.
        info: the parsed `tx_info`.
        chain_id: 304 on mainnet, 300 on testnet.
        public_key_hex: 80 hex digits.

    Raises:
        TransactionFieldError: the fields are not exactly those of the type. A
            malformed signature or key is no error, only `False`.
    """
    message = message_limbs(tx_type, info, chain_id)
    return _verify(public_key_hex, message, _decode_signature(info["Sig"]))


def verify_transaction_hash(
    tx_hash: str, signature_base64: str, public_key_hex: str
) -> bool:
    """Return whether a signature (`Sig`) is the key's, with the hash known already.

    Saves computing the hash again; anything malformed is `False`.
    """
    message = limbs_from_bytes(_from_hex(tx_hash))
    return _verify(public_key_hex, message, _decode_signature(signature_base64))


def verify_auth_token(token: AuthToken, public_key_hex: str) -> bool:
    """Return whether a token's signature is the key's; its deadline is not judged."""
    message = token_message_limbs(
        token.deadline_s, token.account_index, token.api_key_index
    )
    return _verify(public_key_hex, message, token.signature)


def _verify(public_key_hex: str, message: list[int], signature: bytes) -> bool:
    return schnorr.verify(_from_hex(public_key_hex), message, signature)


def _from_hex(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return b""


def _decode_signature(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
