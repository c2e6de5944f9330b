"""Bytes that make no sense, or almost do: what a venue should never say."""

from __future__ import annotations

import contextlib
import json
import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

ODD = [None, True, -1, 0, 2**53 + 1, 2**63, 2**200, 1e308, -0.5, "", "NaN", "1e400"]
ODD += ["-1", "9" * 400, "\ud83d", "\u0000", [], {}, [[]], {"": None}, "canceled-"]
NAMES = ["code", "message", "nonce", "tx_hash", "predicted_execution_time_ms", "status"]
NAMES += [
    "accounts",
    "orders",
    "positions",
    "trades",
    "next_cursor",
    "type",
    "event_info",
]
NAMES += ["order_book_orders", "asks", "bids", "api_keys", "order_book_details", "id"]
NAMES += ["account_index", "collateral", "timestamp", "network_id", "user_tier", "hash"]
NAMES += ["volume_quota_remaining", "order_index", "client_order_index", "market_index"]
NAMES += ["price", "remaining_base_amount", "filled_base_amount", "is_ask", "position"]
NAMES += ["channel", "order_book", "begin_nonce", "offset", "account", "error", "data"]
RAW = [
    b"",
    b"\x00",
    b"\xff\xfe",
    b"null",
    b"NaN",
    b"Infinity",
    b'{"code":NaN}',
    b"[" * 5000,
]
RAW += [
    b'{"a":' * 1500,
    b"<html>429</html>",
    b'{"code":200',
    b'{"nonce":1e400}',
    b"1" * 9999,
]
RAW += [
    b'{"code":200,"nonce":' + b"7" * 5000 + b"}",
    b'{"code":200}' * 2,
    b'{"tx_hash":"\xff"}',
]

values = st.recursive(
    st.sampled_from(ODD) | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(NAMES), values, max_size=8)
bodies = (
    st.sampled_from(RAW)
    | st.binary(max_size=60)
    | objects.map(lambda value: json.dumps(value).encode())
    | objects.map(lambda value: json.dumps({**value, "code": 200}).encode())
)


@st.composite
def bends(draw):
    """Return a function that puts something else somewhere into a true message."""
    choice, other = draw(st.integers(0, 2**32)), draw(values)
    cut = draw(st.sampled_from([None] * 9 + [0.5, 0.99]))

    def bent(message):
        document = json.loads(message)
        places = list(_places(document))
        if cut is not None or not places:
            return message[: int(len(message) * (cut or 0.5))]
        holder, name = places[choice % len(places)]
        holder[name] = other
        return json.dumps(document).encode()

    return bent


def often(examples):
    """Return settings for so many examples, more of them in a nightly run."""
    return settings(
        max_examples=examples * int(os.environ.get("WRAPPY_FUZZ_TIMES", "1")),
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
        ],
    )


def _places(value):
    if isinstance(value, (dict, list)):
        names = value if isinstance(value, dict) else range(len(value))
        for name in list(names):
            yield value, name
            yield from _places(value[name])


statuses = st.sampled_from([200, 200, 200, 201, 400, 401, 404, 500, 502])


@contextlib.contextmanager
def nothing_unforeseen(loop):
    """Fail when a task or a callback ended in an exception that nobody took."""
    unforeseen = []
    loop.set_exception_handler(lambda _, context: unforeseen.append(context))
    yield
    assert not unforeseen, unforeseen
