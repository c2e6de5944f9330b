"""How the hash of a transaction is put together."""

from __future__ import annotations

import pytest

from wrappy.protocol.transactions import ORDER_FIELDS, TransactionFieldError
from wrappy.signing.curve import limbs_from_bytes
from wrappy.signing.poseidon2 import hash_to_quartet, hash_to_quintic
from wrappy.signing.transaction_hash import message_limbs, transaction_hash

HEAD = {"AccountIndex": 42, "ApiKeyIndex": 5, "ExpiredAt": 1000, "Nonce": 7, "Sig": ""}
CANCEL = {**HEAD, "MarketIndex": 1, "Index": 99}


def test_a_plain_hash_is_the_hash_of_its_numbers():
    expected = hash_to_quintic([304, 15, 7, 1000, 42, 5, 1, 99])
    assert message_limbs(15, CANCEL, 304) == expected
    assert (
        limbs_from_bytes(bytes.fromhex(transaction_hash(15, CANCEL, 304))) == expected
    )


def test_attributes_are_hashed_on_top():
    plain = hash_to_quintic([304, 15, 7, 1000, 42, 5, 1, 99])
    attributes = hash_to_quintic([4, 1, 0, 0, 0, 0, 0, 0])
    info = {**CANCEL, "L2TxAttributes": {"4": 1}}
    assert message_limbs(15, info, 304) == hash_to_quintic(plain + attributes)


def test_grouped_orders_are_chained_in_their_order():
    orders = [
        dict(zip(ORDER_FIELDS, range(start, start + 10), strict=True))
        for start in (0, 100, 200)
    ]
    first, second, third = (hash_to_quartet(order.values()) for order in orders)
    chained = hash_to_quartet(hash_to_quartet(first + second) + third)
    info = {**HEAD, "GroupingType": 3, "Orders": orders}
    expected = hash_to_quintic([304, 28, 7, 1000, 42, 5, 3, *chained])
    assert message_limbs(28, info, 304) == expected


def test_the_signatures_themselves_are_not_hashed():
    assert transaction_hash(15, {**CANCEL, "Sig": "other"}, 304) == transaction_hash(
        15, CANCEL, 304
    )


def test_malformed_fields_have_no_hash():
    with pytest.raises(TransactionFieldError):
        transaction_hash(14, CANCEL, 304)
