"""Transactions as data: what is accepted, what is hashed, what is refused."""

from __future__ import annotations

import base64
import json

import pytest

from wrappy.model import OrderType, TimeInForce
from wrappy.protocol.intents import (
    CancelAllOrders,
    CancelOrder,
    CreateGroupedOrders,
    CreateOrder,
    ModifyOrder,
    TxType,
    UpdateLeverage,
    UpdateMargin,
    takes_at_once,
)
from wrappy.protocol.transactions import (
    BODY_FIELDS,
    MAX_TX_INFO_CHARACTERS,
    ORDER_FIELDS,
    TransactionFieldError,
    account_field,
    hash_inputs,
    parse_tx_info,
)

HEAD = {"AccountIndex": 42, "ApiKeyIndex": 5, "ExpiredAt": 1000, "Nonce": 7, "Sig": ""}
CANCEL = {**HEAD, "MarketIndex": 1, "Index": 99}
ORDER = dict(zip(ORDER_FIELDS, range(10), strict=True))
FROM_HEAD = {"FromAccountIndex": 42, **HEAD}
del FROM_HEAD["AccountIndex"]
TRANSFER = {
    **FROM_HEAD,
    "ToAccountIndex": 43,
    "AssetIndex": 3,
    "FromRouteType": 0,
    "ToRouteType": 1,
    "Amount": 2**32 + 5,
    "USDCFee": 6,
    "Memo": [97] * 32,
    "L1Sig": "0x",
}


def refused_field(tx_type: int, info: dict) -> str:
    with pytest.raises(TransactionFieldError) as caught:
        hash_inputs(tx_type, info, 304)
    return caught.value.field


def test_every_type_has_its_fields():
    assert set(BODY_FIELDS) == set(TxType)


def test_each_intent_knows_its_type():
    kinds = {
        CreateOrder: 14,
        CancelOrder: 15,
        CancelAllOrders: 16,
        ModifyOrder: 17,
        UpdateLeverage: 20,
        CreateGroupedOrders: 28,
        UpdateMargin: 29,
    }
    assert {intent: intent.tx_type for intent in kinds} == kinds


@pytest.mark.parametrize(
    ("order_type", "time_in_force", "takes"),
    [
        (OrderType.LIMIT, TimeInForce.IMMEDIATE_OR_CANCEL, True),
        (OrderType.MARKET, TimeInForce.IMMEDIATE_OR_CANCEL, True),
        (OrderType.LIMIT, TimeInForce.GOOD_TILL_TIME, False),
        (OrderType.LIMIT, TimeInForce.POST_ONLY, False),
        (OrderType.STOP_LOSS, TimeInForce.IMMEDIATE_OR_CANCEL, False),
        (OrderType.TAKE_PROFIT_LIMIT, TimeInForce.IMMEDIATE_OR_CANCEL, False),
        (OrderType.TWAP, TimeInForce.GOOD_TILL_TIME, False),
    ],
)
def test_an_order_takes_at_once_unless_it_rests_or_waits(
    order_type, time_in_force, takes
):
    order = CreateOrder(
        0, 1, 1, 1, is_ask=True, order_type=order_type, time_in_force=time_in_force
    )
    resting = CreateOrder(0, 2, 1, 1, is_ask=True)
    assert takes_at_once(order) is takes
    assert takes_at_once(CreateGroupedOrders(1, (order, resting))) is takes


def test_only_orders_take_at_once():
    assert not takes_at_once(CancelOrder(0, 1))
    assert not takes_at_once(CancelAllOrders())


def test_transfers_and_withdrawals_name_the_account_differently():
    assert account_field(TxType.TRANSFER) == "FromAccountIndex"
    assert account_field(TxType.WITHDRAW) == "FromAccountIndex"
    assert account_field(TxType.CANCEL_ORDER) == "AccountIndex"


def test_a_hash_takes_the_head_first_and_then_the_body_in_wire_order():
    inputs = hash_inputs(15, CANCEL, 304)
    assert inputs.elements == (304, 15, 7, 1000, 42, 5, 1, 99)
    assert inputs.orders == ()
    assert inputs.attributes == ()


def test_the_order_of_the_fields_in_the_text_does_not_matter():
    backwards = dict(reversed(CANCEL.items()))
    assert hash_inputs(15, backwards, 304) == hash_inputs(15, CANCEL, 304)


def test_amounts_are_split_into_low_and_high_words_and_memos_left_out():
    inputs = hash_inputs(12, TRANSFER, 300)
    assert inputs.elements == (300, 12, 7, 1000, 42, 5, 43, 3, 0, 1, 5, 1, 6, 0)


def test_a_public_key_enters_as_five_limbs():
    raw = b"".join(limb.to_bytes(8, "little") for limb in (1, 2, 3, 4, 5))
    info = {**HEAD, "PubKey": base64.b64encode(raw).decode(), "L1Sig": ""}
    assert hash_inputs(8, info, 304).elements[-5:] == (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    "key", [7, "not base64!", base64.b64encode(bytes(39)).decode()]
)
def test_a_public_key_of_another_form_is_refused(key):
    assert refused_field(8, {**HEAD, "PubKey": key}) == "PubKey"


def test_grouped_orders_are_listed_apart():
    info = {**HEAD, "GroupingType": 1, "Orders": [ORDER, ORDER]}
    inputs = hash_inputs(28, info, 304)
    assert inputs.elements[-1] == 1
    assert inputs.orders == (tuple(range(10)),) * 2


@pytest.mark.parametrize(
    "orders",
    [None, [], [ORDER], [ORDER] * 4, [ORDER, 5], [ORDER, {"Price": 1}]],
)
def test_a_group_of_another_form_is_refused(orders):
    assert refused_field(28, {**HEAD, "GroupingType": 1, "Orders": orders}) == "Orders"


def test_a_wrong_number_inside_a_group_is_refused_by_name():
    orders = [ORDER, {**ORDER, "Price": True}]
    assert refused_field(28, {**HEAD, "GroupingType": 1, "Orders": orders}) == "Price"


@pytest.mark.parametrize(
    "memo", ["a" * 32, [0] * 31, [256] * 32, [-1] * 32, [0.0] * 32]
)
def test_a_memo_of_another_form_is_refused(memo):
    assert refused_field(12, {**TRANSFER, "Memo": memo}) == "Memo"


def test_a_negative_amount_is_refused():
    assert refused_field(12, {**TRANSFER, "Amount": -1}) == "Amount"


@pytest.mark.parametrize("tx_type", [0, 7, 10, 26, 255, "15"])
def test_a_type_that_no_account_signs_is_refused(tx_type):
    assert refused_field(tx_type, CANCEL) == "tx_type"


@pytest.mark.parametrize("field", sorted(CANCEL))
def test_a_missing_field_is_refused_by_name(field):
    info = {name: value for name, value in CANCEL.items() if name != field}
    assert refused_field(15, info) == field


@pytest.mark.parametrize("field", ["Price", "L1Sig", "FromAccountIndex", "nonce"])
def test_a_field_of_another_type_is_refused_by_name(field):
    assert refused_field(15, {**CANCEL, field: 1}) == field


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [1], 2**63, -(2**63) - 1])
def test_what_is_not_a_64_bit_integer_is_refused(value):
    assert refused_field(15, {**CANCEL, "Index": value}) == "Index"


def test_the_ends_of_the_64_bit_range_are_taken():
    assert hash_inputs(15, {**CANCEL, "Index": 2**63 - 1}, 304).elements[-1] > 0
    assert hash_inputs(15, {**CANCEL, "Index": -(2**63)}, 304).elements[-1] < 0


@pytest.mark.parametrize(("field", "info"), [("Sig", CANCEL), ("L1Sig", TRANSFER)])
def test_a_signature_that_is_no_text_is_refused(field, info):
    tx_type = 15 if info is CANCEL else 12
    assert refused_field(tx_type, {**info, field: 7}) == field


@pytest.mark.parametrize(
    ("attributes", "hashed"),
    [
        (None, ()),
        ({}, ()),
        ({"1": 0, "2": 0, "3": 0}, ()),
        ({"5": 255}, ()),
        ({"5": 0}, (5, 0, 0, 0, 0, 0, 0, 0)),
        ({"7": 1, "4": 1, "6": 2}, (4, 1, 6, 2, 7, 1, 0, 0)),
        ({"1": 9, "2": 8, "3": 7, "4": 1, "6": 0}, (1, 9, 2, 8, 3, 7, 4, 1)),
    ],
)
def test_attributes_are_sorted_padded_and_dropped_when_nil(attributes, hashed):
    info = {**CANCEL, "L2TxAttributes": attributes}
    assert hash_inputs(15, info, 304).attributes == hashed


@pytest.mark.parametrize(
    "attributes",
    [
        [],
        {"0": 1},
        {"9": 1},
        {"04": 1},
        {"4": -1},
        {"1": 1, "2": 1, "3": 1, "4": 1, "8": 1},
    ],
)
def test_attributes_of_another_form_are_refused(attributes):
    info = {**CANCEL, "L2TxAttributes": attributes}
    assert refused_field(15, info) == "L2TxAttributes"


def test_an_attribute_that_is_no_integer_is_refused_by_its_number():
    assert refused_field(15, {**CANCEL, "L2TxAttributes": {"4": True}}) == "4"


def test_an_object_is_parsed_with_its_large_integers_intact():
    assert parse_tx_info(json.dumps({"Index": 2**60 - 1})) == {"Index": 2**60 - 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 8000, "too many brackets"),
        ('{"\\ud800":1}', "not ASCII"),
        ("[]", "must be an object"),
        ("null", "must be an object"),
        ('{"a":NaN}', "NaN"),
        ('{"a":-Infinity}', "-Infinity"),
        ('{"a":1,"a":1}', "twice"),
        ('{"a":{"b":1,"b":2}}', "twice"),
        (" " * (MAX_TX_INFO_CHARACTERS + 1), "too long"),
    ],
)
def test_text_that_is_not_one_plain_object_is_refused(text, words):
    with pytest.raises(TransactionFieldError, match=words) as caught:
        parse_tx_info(text)
    assert caught.value.field == "tx_info"


def test_a_number_of_thousands_of_digits_is_refused_somewhere():
    text = json.dumps(CANCEL).replace("99", "9" * 4000)
    with pytest.raises(TransactionFieldError, match="64 bits"):
        hash_inputs(15, parse_tx_info(text), 304)
