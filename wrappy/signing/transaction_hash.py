"""The hash that names a transaction and that its signature covers."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.transactions import hash_inputs
from wrappy.signing.curve import bytes_from_limbs
from wrappy.signing.poseidon2 import hash_to_quartet, hash_to_quintic

if TYPE_CHECKING:
    from collections.abc import Mapping

_REMEMBERED: Final = 1_024
"""Latest transactions whose hash is kept: it is asked for by who signs, by who checks,
and again when the same bytes are sent once more."""


def message_limbs(tx_type: int, info: Mapping[str, Any], chain_id: int) -> list[int]:
    """Return the five field elements that are signed.

    Raises:
        TransactionFieldError: the fields are not exactly those of the type.
    """
    inputs = hash_inputs(tx_type, info, chain_id)
    orders = tuple(tuple(order) for order in inputs.orders)
    return list(_limbs(tuple(inputs.elements), orders, tuple(inputs.attributes)))


@lru_cache(maxsize=_REMEMBERED)
def _limbs(
    elements: tuple[int, ...],
    orders: tuple[tuple[int, ...], ...],
    attributes: tuple[int, ...],
) -> tuple[int, ...]:
    hashed = list(elements)
    if orders:
        first, *others = (hash_to_quartet(order) for order in orders)
        chained = first
        for other in others:
            chained = hash_to_quartet(chained + other)
        hashed += chained
    limbs = hash_to_quintic(hashed)
    if attributes:
        limbs = hash_to_quintic(limbs + hash_to_quintic(attributes))
    return tuple(limbs)


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
