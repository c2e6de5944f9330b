"""Any intent, any tampering: our verifier and the official signer agree."""

from __future__ import annotations

import base64

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from wrappy.errors import SignerError
from wrappy.protocol.transactions import (
    NIL_MARKET_INDEX,
    CancelAllOrders,
    CancelOrder,
    CreateOrder,
    ModifyOrder,
    UpdateLeverage,
    parse_tx_info,
)
from wrappy.signing import PythonSigner, SdkSigner
from wrappy.signing.curve import GROUP_ORDER
from wrappy.signing.keys import derive_key_pair, secret_scalar
from wrappy.signing.sdk_library import library_path
from wrappy.signing.transaction_hash import transaction_hash
from wrappy.signing.verify import verify_transaction, verify_transaction_hash

PAIR = derive_key_pair(b"signing properties")
IDENTITY = {"account_index": 65, "api_key_index": 9, "chain_id": 300}
FEW = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

markets = st.integers(0, 4_095).filter(lambda market: market != NIL_MARKET_INDEX)
own_indices = st.integers(1, 2**48 - 1)
order_indices = st.integers(2**48, 2**60 - 1)
sizes = st.integers(1, 2**48 - 1)
prices = st.integers(1, 2**32 - 1)
times = st.integers(1, 2**62)
intents = st.one_of(
    st.builds(
        CreateOrder,
        market_index=markets,
        client_order_index=own_indices | st.just(0),
        base_amount=sizes,
        price=prices,
        is_ask=st.booleans(),
        order_type=st.just(0),
        time_in_force=st.sampled_from([1, 2]),
        reduce_only=st.booleans(),
        order_expiry=times | st.just(-1),
    ),
    st.builds(
        CreateOrder,
        market_index=markets,
        client_order_index=own_indices,
        base_amount=sizes,
        price=prices,
        is_ask=st.booleans(),
        order_type=st.sampled_from([2, 4]),
        time_in_force=st.just(0),
        reduce_only=st.booleans(),
        trigger_price=prices,
        order_expiry=times,
    ),
    st.builds(CancelOrder, market_index=markets, index=own_indices | order_indices),
    st.builds(
        ModifyOrder,
        market_index=markets,
        index=own_indices | order_indices,
        base_amount=sizes,
        price=prices,
        trigger_price=prices | st.just(0),
    ),
    st.builds(CancelAllOrders, market_index=markets | st.none()),
    st.builds(CancelAllOrders, time_in_force=st.just(1), time_ms=times),
    st.builds(
        UpdateLeverage,
        market_index=markets,
        initial_margin_fraction=st.integers(1, 10_000),
        margin_mode=st.sampled_from([0, 1]),
    ),
)
nonces = st.integers(0, 2**48 - 1)


@pytest.fixture(scope="module")
def official():
    try:
        library_path()
    except SignerError as error:
        pytest.skip(str(error))
    return SdkSigner(PAIR.private_key, **IDENTITY)


@pytest.fixture(scope="module")
def ours():
    return PythonSigner(PAIR.private_key, **IDENTITY)


@settings(FEW, max_examples=60)
@given(intent=intents, nonce=nonces)
def test_what_the_official_signer_signs_verifies_under_the_same_hash(
    official, intent, nonce
):
    tx = official.sign(intent, nonce=nonce)
    info = parse_tx_info(tx.tx_info)
    assert transaction_hash(tx.tx_type, info, 300) == tx.tx_hash
    assert verify_transaction(tx.tx_type, info, 300, PAIR.public_key)


@settings(FEW, max_examples=60)
@given(intent=intents, nonce=nonces)
def test_what_we_sign_verifies_and_is_laid_out_like_the_official_one(
    official, ours, intent, nonce
):
    tx = ours.sign(intent, nonce=nonce)
    info = parse_tx_info(tx.tx_info)
    assert verify_transaction(tx.tx_type, info, 300, PAIR.public_key)
    theirs = parse_tx_info(official.sign(intent, nonce=nonce).tx_info)
    moving = {"Sig", "ExpiredAt", "OrderExpiry"}
    assert list(info) == list(theirs)
    assert all(info[name] == theirs[name] for name in info.keys() - moving)


@FEW
@given(intent=intents, choose=st.data())
def test_one_changed_field_is_refused(ours, intent, choose):
    tx = ours.sign(intent, nonce=7)
    info = parse_tx_info(tx.tx_info)
    numbers = sorted(name for name, value in info.items() if isinstance(value, int))
    field = choose.draw(st.sampled_from(numbers))
    value = choose.draw(st.integers(0, 2**63 - 1))
    assume(value % (2**64 - 2**32 + 1) != info[field])
    changed = {**info, field: value}
    assert not verify_transaction(tx.tx_type, changed, 300, PAIR.public_key)


@FEW
@given(intent=intents, attribute=st.sampled_from("1234678"), value=st.integers(1, 99))
def test_an_added_attribute_is_refused(ours, intent, attribute, value):
    tx = ours.sign(intent, nonce=7)
    info = parse_tx_info(tx.tx_info)
    attributes = {**(info["L2TxAttributes"] or {}), attribute: value}
    changed = {**info, "L2TxAttributes": attributes}
    assert not verify_transaction(tx.tx_type, changed, 300, PAIR.public_key)


@FEW
@given(position=st.integers(0, 79), flip=st.integers(1, 255))
def test_a_tampered_signature_is_refused(ours, position, flip):
    tx = ours.sign(CancelOrder(0, 1), nonce=7)
    signature = bytearray(base64.b64decode(parse_tx_info(tx.tx_info)["Sig"]))
    signature[position] ^= flip
    text = base64.b64encode(signature).decode()
    assert not verify_transaction_hash(tx.tx_hash, text, PAIR.public_key)


@settings(FEW, max_examples=100)
@given(text=st.text(max_size=200) | st.binary(max_size=90).map(base64.b64encode))
def test_garbage_for_a_signature_is_only_false(ours, text):
    text = text if isinstance(text, str) else text.decode()
    tx_hash = "ab" * 40
    assert verify_transaction_hash(tx_hash, text, PAIR.public_key) is False


@FEW
@given(seed=st.binary(max_size=40), message=st.integers(0, 2**64))
def test_any_derived_key_signs_and_verifies(seed, message):
    pair = derive_key_pair(seed)
    assert 0 < secret_scalar(pair.private_key) < GROUP_ORDER
    signer = PythonSigner(pair.private_key, **IDENTITY)
    tx = signer.sign(CancelOrder(0, 1 + message % 2**48), nonce=0)
    info = parse_tx_info(tx.tx_info)
    assert verify_transaction(tx.tx_type, info, 300, pair.public_key)
