"""Frames and bodies of the venue beside recorded ones: the same keys and JSON types.

The recordings lie beside the project; where they are not, these tests are skipped.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.doors import frames_until_pong, play
from wrappy.protocol.channels import CHANNELS
from wrappy.protocol.intents import CancelOrder, CreateOrder
from wrappy.venue.events import SetIndexPrice, SetLevel

SHARED = Path(__file__).parents[3] / "shared" / "payloads"
RECORDED = SHARED / "nautilus_test_data"
pytestmark = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="the recorded payloads are not beside the project"
)
LATER = 86_400_000
LIVELY = {"flow": "synthetic", "seed": 4, "symbols": ("ETH", "ETH/USDC")}
MAPS = frozenset({"positions", "trades", "orders", "market_stats", "assets"})
"""Fields that may be objects by a number: their keys are data, not names."""
ABSENT = {
    # Left out where they are zero (recorded trades do so as well).
    "taker_fee",
    "maker_fee",
    "taker_position_size_before",
    "taker_entry_quote_before",
    "taker_initial_margin_fraction_before",
    "maker_position_size_before",
    "maker_entry_quote_before",
    "maker_initial_margin_fraction_before",
}

STREAMS_OWN = frozenset(
    {
        "ack",
        "acked_at",
        "avg_entry_prices",
        "funding_histories",
        "funding_history",
        "notifs",
        "session_id",
    }
)
"""Fields that only the official WebSocket reference names."""


def load(name):
    return json.loads((RECORDED / name).read_text())


def is_number_map(value):
    return isinstance(value, dict) and bool(value) and all(k.isdecimal() for k in value)


def differences(real, ours, where=""):
    """Yield what `ours` lacks of `real`, or has of another JSON type."""
    if is_number_map(real) and isinstance(ours, dict):
        sample = next(iter(real.values()))
        for key, value in ours.items():
            if not key.isdecimal():
                yield f"{where}.{key}: no number"
            yield from differences(sample, value, f"{where}.{key}")
    elif isinstance(real, dict):
        if not isinstance(ours, dict):
            yield f"{where}: {type(ours).__name__} for an object"
            return
        for key in real.keys() - ours.keys() - ABSENT:
            yield f"{where}.{key}: missing"
        for key in real.keys() & ours.keys():
            yield from differences(real[key], ours[key], f"{where}.{key}")
    elif isinstance(real, list):
        if ours is not None and not isinstance(ours, list):
            yield f"{where}: {type(ours).__name__} for a list"
        elif real:
            for each in ours or ():
                yield from differences(real[0], each, f"{where}[]")
    elif kind_of(real) != kind_of(ours) and None not in (real, ours):
        yield f"{where}: {ours!r} for {real!r}"


def kind_of(value):
    """Return the JSON type; whole and other numbers are one."""
    if isinstance(value, bool):
        return bool
    return float if isinstance(value, (int, float)) else type(value)


async def lived(place):
    """Let an account have orders, trades, a position; return all that was told."""
    stream, first = await place.open_stream()
    frames, token = [first], place.token()
    index = place.engine.accounts[0].account_index
    for kind in CHANNELS.values():
        parts = {
            "height": [],
            "candle": ["0", "1m"],
            "mark_price_candle": ["0", "1m"],
            "spot_market_stats": ["2048"],
        }.get(kind.name)
        if parts is None:
            parts = ["0", str(index)] if kind.account_at == 1 else ["0"]
            parts = [str(index)] if kind.account_at == 0 else parts
        frame = {"type": "subscribe", "auth": token}
        frame["channel"] = "/".join([kind.name, *parts])
        await stream.send(json.dumps(frame).encode())
    for more in ("market_stats/all", "spot_market_stats/all"):
        frame = {"type": "subscribe", "channel": more}
        await stream.send(json.dumps(frame).encode())
    frames += await frames_until_pong(stream)
    signer = place.signer()
    for nonce, wish in enumerate(
        (
            CreateOrder(0, 1, 5_000, 500_000, False, 1, 0, order_expiry=0),
            CreateOrder(
                *(0, 2, 500, 150_000, False, 0, 1),
                order_expiry=place.now_ms() + LATER,
            ),
            CreateOrder(
                *(0, 3, 500, 150_000, False, 0, 1),
                order_expiry=place.now_ms() + LATER,
            ),
            CancelOrder(0, 2),
        ),
        1,
    ):
        signed = signer.sign(wish, nonce=nonce)
        data = {"tx_type": int(signed.tx_type), "tx_info": json.loads(signed.tx_info)}
        frame = {"type": "jsonapi/sendtx", "data": data}
        await stream.send(json.dumps(frame).encode())
        await place.wait(2)
        frames += await frames_until_pong(stream)
    place.engine.announce(index, "announcement", {"title": "a"})
    for _ in range(8):
        await place.wait(10)
        frames += await frames_until_pong(stream)
    return frames


@pytest.fixture(scope="module")
def frames():
    """Every frame of a lively hour, by its type."""

    async def scenario(place):
        await place.wait(2)
        return await lived(place)

    by_type = {}
    for frame in play("in process", scenario, **LIVELY):
        by_type.setdefault(frame.get("type", "error"), []).append(frame)
    return by_type


def recordings(prefix):
    return sorted(path.name for path in RECORDED.glob(f"{prefix}*.json"))


@pytest.mark.parametrize("name", recordings("ws_"))
def test_a_frame_has_the_shape_of_the_recorded_one(frames, name):
    real = load(name)
    kind = real["type"]
    channel = real["channel"]
    told = [
        frame
        for frame in frames.get(kind, ())
        if frame["channel"].endswith(":all") == channel.endswith(":all")
    ]
    assert told, f"no {kind} was ever told"
    # A first recording is of a quiet account or market: lists may be empty in it.
    for frame in told:
        assert not list(differences(real, frame)), (frame, real)


def test_every_channel_was_heard(frames):
    heard = {kind.partition("/")[2] for kind in frames}
    assert set(CHANNELS) <= heard
    # What may be seldom told is told once something happens.
    updates = {kind for kind in frames if kind.startswith("update/")}
    quiet = {"account_all_assets", "account_spot_avg_entry_prices"}
    assert {f"update/{name}" for name in set(CHANNELS) - quiet} <= updates


BODIES = {
    "http_account.json": ("account", {"by": "index", "value": 123_456}),
    "http_candles.json": (
        "candles",
        {
            "market_id": 0,
            "resolution": "1m",
            "start_timestamp": 0,
            "end_timestamp": 4_000_000_000_000,
            "count_back": 5,
        },
    ),
    "http_fundings.json": (
        "fundings",
        {
            "market_id": 0,
            "resolution": "1h",
            "start_timestamp": 0,
            "end_timestamp": 4_000_000_000_000,
            "count_back": 5,
        },
    ),
    "http_next_nonce.json": (
        "nextNonce",
        {"account_index": 123_456, "api_key_index": 4},
    ),
    "http_order_book_details.json": ("orderBookDetails", {"market_id": 0}),
    "http_order_book_orders.json": ("orderBookOrders", {"market_id": 0, "limit": 5}),
    "http_order_books.json": ("orderBooks", {"market_id": 0}),
    "http_orders.json": (
        "accountActiveOrders",
        {"account_index": 123_456, "market_id": 0},
    ),
    "http_recent_trades.json": ("recentTrades", {"market_id": 0, "limit": 5}),
    "http_recent_trades_unordered.json": (
        "recentTrades",
        {"market_id": 0, "limit": 50},
    ),
}
PASSING = {
    "http_order_book_depth.json",  # of an endpoint that only this recording knows
    "http_order_book_depth_null.json",
    "http_recent_trades_missing.json",  # of a failure, not of an answer
}
NULLS = {
    "http_candles_null.json": ("http_candles.json", "c"),
    "http_recent_trades_null.json": ("http_recent_trades.json", "trades"),
}


async def asked(place, names):
    """Return the venue's answers to what the recordings were asked."""
    return {
        name: await place.get(path, place.token(), **query)
        for name, (path, query) in BODIES.items()
        if name in names
    }


@pytest.fixture(scope="module")
def bodies():
    """Answers of a lively exchange, and of a quiet one after an hour."""
    of_hours = {"http_fundings.json"}

    async def lively(place):
        await place.wait(2)
        await lived(place)
        return await asked(place, set(BODIES) - of_hours)

    async def quiet(place):
        acts = [SetIndexPrice(0, 300_000), SetLevel(0, False, 301_000, 10_000_000)]
        acts.append(SetLevel(0, True, 301_010, 10_000_000))
        place.engine.exchange.apply_flow(acts, now_us=place.now_us)
        await place.wait(3_700)
        return await asked(place, of_hours)

    first, later = play("in process", lively, **LIVELY), play("in process", quiet)
    return {**first, **later}


@pytest.mark.parametrize("name", sorted(BODIES))
def test_a_body_has_the_shape_of_the_recorded_one(bodies, name):
    real, ours = load(name), bodies[name]
    assert not list(differences(real, ours)), ours
    lists = [key for key, value in real.items() if isinstance(value, list) and value]
    assert all(ours[key] for key in lists), "nothing to compare with"


@pytest.mark.parametrize("name", sorted(NULLS))
def test_an_empty_list_is_null_where_that_is_set(name):
    lively, field = NULLS[name]
    path, query = BODIES[lively]

    async def scenario(place):
        return await place.get(path, **query)

    assert load(name)[field] is None
    assert play("in process", scenario, empty_lists="null")[field] is None
    assert play("in process", scenario)[field] == []


def test_every_recording_is_compared():
    known = {*BODIES, *NULLS} | PASSING
    assert set(recordings("http_")) <= known


def names_in(value):
    """Yield every name of a field in it, numbers left out."""
    if isinstance(value, dict):
        for key, each in value.items():
            if not key.isdecimal():
                yield key
            yield from names_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from names_in(each)


def official_names():
    """Return every field of the official schema, models and recordings."""
    names = set(STREAMS_OWN)
    for path in RECORDED.glob("*.json"):
        names.update(names_in(json.loads(path.read_text())))
    schema = json.loads((SHARED / "openapi.json").read_text())
    for model in schema["definitions"].values():
        names.update(model.get("properties", ()))
    required = SHARED / "sdk118_required_response_fields.json"
    names.update(*json.loads(required.read_text()).values())
    return names


def test_no_field_was_made_up(frames, bodies):
    used = set()
    for told in frames.values():
        used.update(names_in(told))
    for body in bodies.values():
        used.update(names_in(body))
    unknown = sorted(used - official_names())
    assert not unknown, ", ".join(unknown)
