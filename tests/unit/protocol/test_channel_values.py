"""Market payloads: amounts digit by digit, and nothing that is no number."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wrappy.errors import ProtocolError
from wrappy.model import PriceLevel
from wrappy.protocol.channel_values import (
    amount,
    read_all_market_stats,
    read_candles,
    read_market_stats,
    read_ticker,
    required,
)

TICKER = {
    "channel": "ticker:3",
    "nonce": 41,
    "ticker": {
        "s": "SOL",
        "a": {"price": "150.010", "size": "2.000"},
        "b": {"price": "150.000", "size": "0.500"},
        "last_updated_at": 1_700_000_000_000_001,
    },
    "timestamp": 1_700_000_000_010,
    "type": "update/ticker",
}
STATS = {
    "symbol": "SOL",
    "market_id": 3,
    "index_price": "150.02",
    "mark_price": "150.01",
    "mid_price": "150.005",
    "open_interest": "72057594037927936.000000",
    "last_trade_price": "150.00",
    "current_funding_rate": "-0.0028",
    "funding_rate": "0.0012",
    "funding_timestamp": 1_700_000_000_000,
    "daily_base_token_volume": 13.223699999999997,
    "daily_quote_token_volume": 1531624159.687143,
    "daily_price_low": 140.1,
    "daily_price_high": 151,
    "daily_price_change": -1e-06,
}
STATS_FRAME = {
    "channel": "market_stats:3",
    "market_stats": STATS,
    "timestamp": 1_700_000_000_010,
    "type": "update/market_stats",
}
CANDLE = {
    "t": 60_000,
    "o": 2264.2,
    "h": 2264.34,
    "l": 2263.36,
    "c": 2263.97,
    "v": 13.223699999999997,
    "V": 29934.600011999984,
    "i": 19_993_571_166,
}
CANDLE_FRAME = {"candles": [CANDLE], "channel": "candle:0:1m", "type": "update/candle"}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["NaN", "-Infinity", "1e999999", "-1", "", "1_0", " 1"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


def raw(value):
    return json.dumps(value).encode()


def paths_of(value, here=()):
    """Return the way to every field, however deep."""
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    return [here] * bool(here) + [
        path for key, below in inner for path in paths_of(below, (*here, key))
    ]


def with_field(value, path, told):
    """Return a copy in which one field has another value."""
    if not path:
        return told
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = with_field(value[path[0]], path[1:], told)
    return copy


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12.50", "12.50"),
        ('"12.50"', "12.50"),
        ("13.223699999999997", "13.223699999999997"),
        ("1e-06", "0.000001"),
        ('"-0.5"', "-0.5"),
        (
            "0.1000000000000000055511151231257827",
            "0.1000000000000000055511151231257827",
        ),
        ("0", "0"),
    ],
)
def test_an_amount_keeps_every_digit(text, number):
    told = amount(msgspec.Raw(text), "price", signed=True)
    assert str(told) == str(Decimal(number))


@pytest.mark.parametrize("text", ["null", '""'])
def test_an_amount_that_is_not_told_is_none(text):
    assert amount(msgspec.Raw(text), "price") is None
    with pytest.raises(ProtocolError, match="price: missing"):
        required(msgspec.Raw(text), "price")


@pytest.mark.parametrize(
    "text",
    [
        '"NaN"',
        '"Infinity"',
        '"-inf"',
        '"1_000"',
        '" 1"',
        '"0x10"',
        '"\\u0031"',
        '"١"',
        "true",
        "[]",
        "{}",
        '"1e400"',
        "1e99",
        "1e-99",
        '"' + "9" * 41 + '"',
        '"' + "9" * 100_000 + '"',
        '"-1"',
        "-0.001",
    ],
)
def test_what_is_no_sensible_amount_is_refused_by_name(text):
    with pytest.raises(ProtocolError, match=r"^price: ") as caught:
        amount(msgspec.Raw(text.encode()), "price")
    assert len(str(caught.value)) < 200


def test_a_ticker_has_both_sides_and_its_place():
    told = read_ticker(raw(TICKER), 3)
    assert told.symbol == "SOL"
    assert told.market_id == 3
    assert told.bid == PriceLevel(Decimal("150.000"), Decimal("0.500"))
    assert told.ask == PriceLevel(Decimal("150.010"), Decimal("2.000"))
    assert told.nonce == 41
    assert told.updated_us == 1_700_000_000_000_001


@pytest.mark.parametrize(
    "side",
    [
        {"price": "", "size": ""},
        {"price": None, "size": None},
        {},
        None,
        {"price": "0.00", "size": "0"},
    ],
)
def test_an_empty_side_of_a_ticker_is_none(side):
    told = read_ticker(raw(with_field(TICKER, ("ticker", "a"), side)), 3)
    assert told.ask is None
    assert told.bid is not None


@pytest.mark.parametrize(
    "side", [{"price": "1.0", "size": ""}, {"price": "0", "size": "1"}, {"size": "1"}]
)
def test_half_a_side_of_a_ticker_is_refused(side):
    with pytest.raises(ProtocolError, match=r"ticker\.b: "):
        read_ticker(raw(with_field(TICKER, ("ticker", "b"), side)), 3)


def test_a_ticker_without_place_and_time_is_read():
    told = read_ticker(b'{"ticker":{"a":null,"b":null}}', 3)
    assert (told.nonce, told.updated_us, told.symbol) == (None, 0, "")


def test_market_stats_are_exact_and_say_what_they_lack():
    told = read_market_stats(raw(STATS_FRAME), 3)
    assert told.index_price == Decimal("150.02")
    assert told.daily_base_volume == Decimal("13.223699999999997")
    assert told.daily_change == Decimal("-0.000001")
    assert told.daily_high == 151
    assert told.current_funding_rate == Decimal("-0.0028")
    assert told.open_interest == 2**56
    assert told.best_bid_price is None
    assert told.funding_timestamp_ms == 1_700_000_000_000
    assert told.timestamp_ms == 1_700_000_000_010


def test_stats_of_spot_and_of_all_markets_are_the_same_values():
    alone = read_market_stats(raw(STATS_FRAME), 3)
    spot = {"spot_market_stats": STATS}
    assert read_market_stats(raw(spot), 3) == alone
    everything = {"market_stats": {"3": STATS, "4": None}}
    assert read_all_market_stats(raw(everything)) == {3: alone}
    assert read_all_market_stats(raw({"spot_market_stats": {"3": STATS}})) == {3: alone}
    assert read_all_market_stats(b'{"market_stats":null}') == {}


def test_stats_of_another_market_are_refused():
    with pytest.raises(ProtocolError, match="market_id: 3 is not market 4"):
        read_market_stats(raw(STATS_FRAME), 4)
    with pytest.raises(ProtocolError, match="market_stats: missing"):
        read_market_stats(b"{}", 3)


def test_candles_come_sorted_and_exact():
    later = {**CANDLE, "t": 120_000, "v": None}
    first, second = read_candles(raw({"candles": [later, None, CANDLE]}))
    assert (first.start_ms, second.start_ms) == (60_000, 120_000)
    assert first.base_volume == Decimal("13.223699999999997")
    assert second.base_volume == 0
    assert first.last_trade_id == 19_993_571_166
    assert not first.closed


@pytest.mark.parametrize("text", [b'{"candles":null}', b'{"candles":[]}', b"{}"])
def test_no_candles_are_no_error(text):
    assert read_candles(text) == []


@pytest.mark.parametrize(
    ("read", "frame", "path", "told", "named"),
    [
        (lambda text: read_ticker(text, 3), TICKER, ("ticker", "s"), 1, "ticker.s"),
        (lambda text: read_ticker(text, 3), TICKER, ("nonce",), 2**53, "nonce"),
        (lambda text: read_ticker(text, 3), TICKER, ("nonce",), -1, "nonce"),
        (read_candles, CANDLE_FRAME, ("candles", 0, "h"), -1, "candles.h"),
        (read_candles, CANDLE_FRAME, ("candles", 0, "o"), None, "candles.o"),
        (read_candles, CANDLE_FRAME, ("candles", 0, "t"), 1.5, ".t"),
        (
            lambda text: read_market_stats(text, 3),
            STATS_FRAME,
            ("market_stats", "mark_price"),
            "NaN",
            "mark_price",
        ),
    ],
)
def test_what_cannot_be_read_is_named(read, frame, path, told, named):
    with pytest.raises(ProtocolError) as caught:
        read(raw(with_field(frame, path, told)))
    assert named in str(caught.value)


READERS = [
    (lambda text: read_ticker(text, 3), TICKER),
    (lambda text: read_market_stats(text, 3), STATS_FRAME),
    (read_all_market_stats, {"market_stats": {"3": STATS}}),
    (read_candles, CANDLE_FRAME),
]


@given(st.data())
def test_any_value_in_any_field_is_read_or_refused(data):
    read, frame = data.draw(st.sampled_from(READERS))
    path = data.draw(st.sampled_from(paths_of(frame)))
    try:
        told = read(raw(with_field(frame, path, data.draw(json_values))))
    except ProtocolError:
        return
    rows = told.values() if isinstance(told, dict) else told
    for row in rows if isinstance(rows, (list, type({}.values()))) else [rows]:
        for name in row.__dataclass_fields__:
            number = getattr(row, name)
            if isinstance(number, Decimal):
                assert number.is_finite()
                signed = "funding" in name or name == "daily_change"
                assert number >= 0 or signed


@given(st.binary() | json_values.map(raw))
@example(b"[" * 100_000)
@example(b'{"candles":[{"t":1,"o":"\xff","h":1,"l":1,"c":1}]}')
@example(b'{"ticker":{"s":"\xff","a":null,"b":null}}')
def test_any_bytes_are_read_or_refused(text):
    for read, _ in READERS:
        with contextlib.suppress(ProtocolError):
            read(text)
