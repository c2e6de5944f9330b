"""Any intent, any tampering: our verifier and the official signer agree."""

from __future__ import annotations

import base64
import dataclasses

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from wrappy.errors import SignerError
from wrappy.protocol.intents import (
    CancelAllOrders,
    CancelOrder,
    CreateGroupedOrders,
    CreateOrder,
    ModifyOrder,
    UpdateLeverage,
    UpdateMargin,
)
from wrappy.protocol.transactions import (
    MAX_SKIPPING_NONCE,
    NIL_MARKET_INDEX,
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

# Pairs of (type, time in force) that the official signer takes with a trigger.
STOPS = [(2, 0), (3, 0), (3, 1), (3, 2)]
PROFITS = [(4, 0), (5, 0), (5, 1), (5, 2)]


@st.composite
def groups(draw):
    """Order groups that the official signer takes."""
    market, is_ask = draw(markets), draw(st.booleans())
    expiry = draw(times | st.just(-1))
    numbers = draw(st.lists(own_indices, min_size=3, max_size=3, unique=True))
    numbers = [draw(st.sampled_from([0, number])) for number in numbers]

    def waiting(number, kind, size):
        order_type, time_in_force = kind
        return CreateOrder(
            market,
            numbers[number],
            size,
            draw(prices),
            not is_ask,
            order_type=order_type,
            time_in_force=time_in_force,
            reduce_only=True,
            trigger_price=draw(prices),
            order_expiry=expiry,
        )

    stop, profit = draw(st.sampled_from(STOPS)), draw(st.sampled_from(PROFITS))
    grouping_type = draw(st.sampled_from([1, 2, 3]))
    if grouping_type == 2:
        size = draw(sizes)
        return CreateGroupedOrders(
            2, (waiting(0, stop, size), waiting(1, profit, size))
        )
    at_once = draw(st.booleans())
    parent = CreateOrder(
        market,
        numbers[0],
        draw(sizes),
        draw(prices),
        is_ask,
        order_type=int(at_once),
        time_in_force=int(not at_once),
        order_expiry=0 if at_once else expiry,
    )
    if grouping_type == 1:
        child = waiting(1, draw(st.sampled_from([stop, profit])), 0)
        return CreateGroupedOrders(1, (parent, child))
    children = waiting(1, stop, 0), waiting(2, profit, 0)
    return CreateGroupedOrders(3, (parent, *children))


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
    groups(),
    st.builds(
        UpdateMargin,
        market_index=markets,
        usdc_amount=st.integers(1, 2**60 - 1),
        direction=st.sampled_from([0, 1]),
    ),
)
# A nonce, and whether it may leave a gap.
numberings = st.tuples(st.integers(0, 2**48 - 1), st.just(False)) | st.tuples(
    st.integers(0, MAX_SKIPPING_NONCE), st.just(True)
)


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


def with_expiries_of(intent, info):
    """Return an intent in which the signer's own order expiry stands in full."""
    if isinstance(intent, CreateGroupedOrders):
        pairs = zip(intent.orders, info["Orders"], strict=True)
        orders = tuple(with_expiries_of(order, fields) for order, fields in pairs)
        return dataclasses.replace(intent, orders=orders)
    if isinstance(intent, CreateOrder):
        return dataclasses.replace(intent, order_expiry=info["OrderExpiry"])
    return intent


@settings(FEW, max_examples=150)
@given(intent=intents, numbering=numberings)
def test_our_signer_and_the_official_one_make_the_same_transaction(
    official, intent, numbering
):
    nonce, skip_nonce = numbering
    theirs = official.sign(intent, nonce=nonce, skip_nonce=skip_nonce)
    their_info = parse_tx_info(theirs.tx_info)
    assert transaction_hash(theirs.tx_type, their_info, 300) == theirs.tx_hash
    assert verify_transaction(theirs.tx_type, their_info, 300, PAIR.public_key)

    same_moment = PythonSigner(
        PAIR.private_key,
        **IDENTITY,
        lifetime_ms=1,
        clock_ms=lambda: theirs.expired_at_ms - 1,
    )
    same_intent = with_expiries_of(intent, their_info)
    ours = same_moment.sign(same_intent, nonce=nonce, skip_nonce=skip_nonce)
    assert ours.tx_hash == theirs.tx_hash
    our_info = parse_tx_info(ours.tx_info)
    assert verify_transaction(ours.tx_type, our_info, 300, PAIR.public_key)
    # The texts are alike to the last byte, but for the random signature.
    blank = "x" * len(our_info["Sig"])
    assert ours.tx_info.replace(our_info["Sig"], blank) == theirs.tx_info.replace(
        their_info["Sig"], blank
    )


@FEW
@given(intent=intents, numbering=numberings, made=st.integers(0, 2))
def test_a_signature_from_a_prepared_point_verifies(ours, intent, numbering, made):
    nonce, skip_nonce = numbering
    ours.prepare(made)
    ready = ours.prepared
    tx = ours.sign(intent, nonce=nonce, skip_nonce=skip_nonce)
    assert ours.prepared == max(ready - 1, 0)
    info = parse_tx_info(tx.tx_info)
    assert verify_transaction(tx.tx_type, info, 300, PAIR.public_key)


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
