"""The hash that names a transaction and that its signature covers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wrappy.protocol.transactions import hash_inputs
from wrappy.signing.curve import bytes_from_limbs
from wrappy.signing.poseidon2 import hash_to_quartet, hash_to_quintic

if TYPE_CHECKING:
    from collections.abc import Mapping


def message_limbs(tx_type: int, info: Mapping[str, Any], chain_id: int) -> list[int]:
    """Return the five field elements that are signed.

    Raises:
        TransactionFieldError: the fields are not exactly those of the type.
    """
    inputs = hash_inputs(tx_type, info, chain_id)
    elements = list(inputs.elements)
    if inputs.orders:
        first, *others = (hash_to_quartet(order) for order in inputs.orders)
        chained = first
        for other in others:
            chained = hash_to_quartet(chained + other)
        elements += chained
    limbs = hash_to_quintic(elements)
    if inputs.attributes:
        limbs = hash_to_quintic(limbs + hash_to_quintic(inputs.attributes))
    return limbs


def transaction_hash(tx_type: int, info: Mapping[str, Any], chain_id: int) -> str:
    """Return a transaction's hash: 80 hex digits, no 0x.

    Args:
        tx_type: number of its type.
        info: the parsed `tx_info`; `Sig` and `L1Sig` do not enter the hash.
        chain_id: 304 on mainnet, 300 on testnet.

    Raises:
        TransactionFieldError: the fields are not exactly those of the type.
    """
    return bytes_from_limbs(message_limbs(tx_type, info, chain_id)).hex()
