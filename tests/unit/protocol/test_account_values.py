"""Account payloads: money, transactions and notifications."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wrappy.errors import ProtocolError
from wrappy.protocol.account_values import (
    read_assets,
    read_notifications,
    read_transactions,
    read_user_stats,
)

ASSET = {
    "symbol": "USDC",
    "asset_id": 3,
    "balance": "10.000000",
    "locked_balance": "2.500000",
    "margin_mode": "disabled",
    "margin_balance": "39.995369556",
}
MARGIN = {
    "available_balance": "39.168314",
    "buying_power": "0",
    "collateral": "39.995369",
    "leverage": "0.41",
    "margin_usage": "2.07",
    "portfolio_value": "-0.5",
}
STATS = {
    **MARGIN,
    "account_trading_mode": 1,
    "cross_stats": MARGIN,
    "total_stats": {**MARGIN, "leverage": ""},
}
TRANSACTION = {
    "hash": "00aa",
    "type": 14,
    "info": "{}",
    "event_info": json.dumps({"m": 0, "ae": '{"code":21706,"message":"too small"}'}),
    "status": 0,
    "account_index": 7,
    "api_key_index": 4,
    "nonce": 12,
    "queued_at": 1_700_000_000_000,
    "executed_at": 1_700_000_000_005,
}
NOTIFICATION = {
    "id": "n-1",
    "created_at": "2024-01-15T10:30:00.5Z",
    "kind": "liquidation",
    "account_index": 7,
    "content": {"market_index": 1, "size": "0.5", "price": "3000.00"},
    "ack": False,
    "acked_at": None,
}
FRAMES = [
    (read_assets, {"assets": {"3": ASSET}}),
    (read_user_stats, {"stats": STATS}),
    (read_transactions, {"txs": [TRANSACTION]}),
    (read_notifications, {"notifs": [NOTIFICATION]}),
]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["NaN", "-Infinity", "{", '{"ae":[1]}', '{"ae":"{}"}', ""]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


def raw(value):
    return json.dumps(value).encode()


def one(read, rows, row):
    (value,) = read(raw({rows: [row]}))
    return value


def test_assets_are_exact():
    (asset,) = read_assets(raw({"assets": {"3": ASSET, "4": None}}))
    assert (asset.asset_id, asset.symbol) == (3, "USDC")
    assert asset.balance == Decimal("10.000000")
    assert asset.locked == Decimal("2.5")
    assert asset.margin_balance == Decimal("39.995369556")
    assert asset.margin_mode == "disabled"


def test_an_asset_without_name_and_margin_is_read():
    bare = {"asset_id": 5, "balance": "1", "locked_balance": "0"}
    (asset,) = read_assets(raw({"assets": {"5": bare}}))
    assert (asset.symbol, asset.margin_balance, asset.margin_mode) == ("5", None, "")


def test_user_stats_tell_cross_and_total_apart():
    told = read_user_stats(raw({"stats": STATS}))
    assert told.collateral == Decimal("39.995369")
    assert told.portfolio_value == Decimal("-0.5")
    assert told.account_trading_mode == 1
    assert told.cross is not None
    assert told.cross.leverage == Decimal("0.41")
    assert told.total is not None
    assert told.total.leverage is None
    bare = read_user_stats(raw({"stats": {**MARGIN, "cross_stats": None}}))
    assert (bare.cross, bare.total, bare.account_trading_mode) == (None, None, None)


@pytest.mark.parametrize("field", ["collateral", "portfolio_value"])
def test_user_stats_without_the_money_are_refused(field):
    with pytest.raises(ProtocolError, match=f"stats.{field}: missing"):
        read_user_stats(raw({"stats": {**STATS, field: None}}))


def test_a_transaction_tells_what_the_engine_objected_to():
    told = one(read_transactions, "txs", TRANSACTION)
    assert (told.tx_hash, told.tx_type, told.nonce) == ("00aa", 14, 12)
    assert (told.account_index, told.api_key_index) == (7, 4)
    assert (told.code, told.reason) == (21706, "too small")
    assert told.has_failed
    assert told.is_final
    assert told.queued_at_ms == 1_700_000_000_000


@pytest.mark.parametrize(
    ("event_info", "code", "reason"),
    [
        (None, None, ""),
        ("", None, ""),
        ("{", None, ""),
        ('{"ae":""}', None, ""),
        ('{"ae":"no margin"}', None, "no margin"),
        ('{"ae":{"code":5,"message":7}}', 5, ""),
        ('{"ae":{"code":true}}', None, ""),
        ("[1]", None, ""),
        ('{"ae":"[1]"}', None, ""),
    ],
)
def test_an_objection_comes_in_many_shapes(event_info, code, reason):
    told = one(
        read_transactions,
        "txs",
        {"hash": "a", "status": 2, "event_info": event_info},
    )
    assert (told.code, told.reason) == (code, reason)
    assert not told.has_failed
    assert told.tx_type is None


def test_a_transaction_without_a_name_is_refused():
    with pytest.raises(ProtocolError, match="hash"):
        read_transactions(raw({"txs": [{**TRANSACTION, "hash": ""}]}))


def test_a_notification_has_its_content():
    told = one(read_notifications, "notifs", NOTIFICATION)
    assert (told.notification_id, told.kind) == ("n-1", "liquidation")
    assert told.created_at_ms == 1_705_314_600_500
    assert told.content["price"] == "3000.00"
    assert not told.acked
    with pytest.raises(TypeError):
        told.content["price"] = "1"


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        ("2024-01-15T10:30:00Z", 1_705_314_600_000),
        ("2024-01-15T13:30:00.123456789+03:00", 1_705_314_600_123),
        (1_705_314_600, 1_705_314_600_000),
        (1_705_314_600_000, 1_705_314_600_000),
        ("0001-01-01T00:00:00Z", None),
        ("2024-01-15T10:30:00", None),
        ("yesterday", None),
        (0, None),
        (None, None),
    ],
)
def test_a_notification_is_told_whatever_its_time_looks_like(written, ms):
    told = one(read_notifications, "notifs", {**NOTIFICATION, "created_at": written})
    assert told.created_at_ms == ms


def test_a_bare_notification_is_read():
    told = one(read_notifications, "notifs", {"id": 5, "content": None, "new": [1]})
    assert (told.notification_id, told.kind, dict(told.content)) == ("5", "", {})


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (read_assets, "assets"),
        (read_transactions, "txs"),
        (read_notifications, "notifs"),
    ],
)
def test_nothing_told_is_no_error(read, name):
    assert read(b"{}") == []
    assert read(raw({name: None})) == []


@given(st.data())
def test_any_value_in_any_field_is_read_or_refused(data):
    read, frame = data.draw(st.sampled_from(FRAMES))
    copy = json.loads(json.dumps(frame))
    (name,) = copy
    row = copy[name]
    if name != "stats":
        row = row["3"] if name == "assets" else row[0]
    row[data.draw(st.sampled_from(sorted(row)))] = data.draw(json_values)
    try:
        told = read(raw(copy))
    except ProtocolError:
        return
    if name == "stats":
        assert told.collateral.is_finite()


@given(st.binary() | json_values.map(raw))
@example(b"[" * 100_000)
@example(b'{"txs":[{"hash":"\xff","status":1}]}')
@example(b'{"notifs":[{"id":"1","content":' + b'{"a":' * 5_000 + b"}" * 5_002)
@example(raw({"txs": [{"hash": "a", "status": 1, "event_info": "[" * 50_000}]}))
def test_any_bytes_are_read_or_refused(text):
    for read, _ in FRAMES:
        with contextlib.suppress(ProtocolError):
            read(text)
