"""Candles and trades from real Parquet files: as exact as from CSV."""

from __future__ import annotations

import sys
from datetime import date, datetime, timezone
from decimal import Decimal

import pytest

from wrappy.model import Side
from wrappy.runner.history import CandleFile, HistoryError, TradeFile

arrow = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
parquet = pytest.importorskip("pyarrow.parquet")

T0 = 1_743_699_900_000
STEP = 300_000
COUNT = 3
STARTS = [T0 + number * STEP for number in range(COUNT)]
PRICES = {
    "open": ["100.10", "100.2", "99.99"],
    "high": ["101.5", "101", "100.2"],
    "low": ["99", "99.9", "99.000001"],
    "close": ["100.2", "100", "100.1"],
    "volume": ["3.5", "0.0000001", "12345678.5"],
}
EXPECTED = [
    (start, *(Decimal(cells[number]) for cells in PRICES.values()))
    for number, start in enumerate(STARTS)
]


def stamps(unit, zone=None):
    """Return a column of timestamps."""
    per_ms = {"s": 0.001, "ms": 1, "us": 1_000, "ns": 1_000_000}[unit]
    return arrow.array([int(at * per_ms) for at in STARTS], arrow.timestamp(unit, zone))


def told(candles):
    return [
        (one.start_ms, one.open, one.high, one.low, one.close, one.base_volume)
        for one in candles
    ]


def written(path, columns, **options):
    parquet.write_table(arrow.table(columns), path, **options)
    return path


def numbers(kind):
    return {
        name: arrow.array([kind(cell) for cell in cells])
        for name, cells in PRICES.items()
    }


TIMES = {
    "seconds": arrow.array([at // 1_000 for at in STARTS]),
    "milliseconds": arrow.array(STARTS),
    "nanoseconds": arrow.array([at * 1_000_000 for at in STARTS]),
    "unsigned": arrow.array(STARTS, arrow.uint64()),
    "digits": arrow.array([str(at) for at in STARTS]),
    "text": arrow.array(
        [datetime.fromtimestamp(at / 1000, timezone.utc).isoformat() for at in STARTS]
    ),
    **{f"stamp {unit}": stamps(unit, "UTC") for unit in ("s", "ms", "us", "ns")},
    "naive": stamps("ns"),
    "Tokyo": stamps("ms", "Asia/Tokyo"),
}


@pytest.mark.parametrize("times", TIMES)
def test_times_may_be_numbers_texts_and_timestamps(tmp_path, times):
    columns = {"timestamp": TIMES[times], **numbers(Decimal)}
    path = written(tmp_path / "ETH.parquet", columns)
    assert told(CandleFile(path, keep_last=True)) == EXPECTED


CELLS = {
    "text": numbers(str),
    "large text": {
        name: column.cast(arrow.large_string()) for name, column in numbers(str).items()
    },
    "float": numbers(float),
    "wide decimal": {
        name: column.cast(arrow.decimal128(38, 18))
        for name, column in numbers(Decimal).items()
    },
    "dictionary": {
        name: column.dictionary_encode() for name, column in numbers(str).items()
    },
}


@pytest.mark.parametrize("cells", CELLS)
@pytest.mark.parametrize("packed", ["none", "snappy", "zstd"])
def test_prices_have_the_digits_that_were_meant(tmp_path, cells, packed):
    columns = {"timestamp": STARTS, **CELLS[cells]}
    path = written(tmp_path / "x.bin", columns, compression=packed, row_group_size=2)
    assert told(CandleFile(path, keep_last=True)) == EXPECTED


def test_short_floats_have_the_digits_that_were_meant(tmp_path):
    column = arrow.array([1773.32, 0.25, 64.0], arrow.float32())
    flat = dict.fromkeys(("open", "high", "low", "close"), column)
    path = written(tmp_path / "x.parquet", {"timestamp": STARTS, **flat})
    closes = [one.close for one in CandleFile(path, keep_last=True)]
    assert closes == [Decimal("1773.32"), Decimal("0.25"), Decimal(64)]


def test_days_are_times_too(tmp_path):
    days = [date(2025, 4, 3), date(2025, 4, 4), date(2025, 4, 5)]
    path = written(tmp_path / "x.parquet", {"date": days, **numbers(str)})
    rows = CandleFile(path, resolution="1d", keep_last=True)
    assert [one.start_ms % 86_400_000 for one in rows] == [0, 0, 0]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_trades_have_their_ids_sides_and_fractions_of_a_second(tmp_path, unit):
    per_ms = {"ms": 1, "us": 1_000, "ns": 1_000_000}[unit]
    times = [T0, T0 + 456, T0 + 1_000]
    extra = 123 if unit == "ns" else 0
    columns = {
        "id": [1, 2, 3],
        "time": arrow.array(
            [at * per_ms + extra for at in times], arrow.timestamp(unit, "UTC")
        ),
        "price": [1773.32, 1773.4, 1773.0],
        "qty": [Decimal("0.500"), Decimal("0.100"), Decimal("1.000")],
        "is_buyer_maker": [True, False, True],
    }
    trades = list(TradeFile(written(tmp_path / "t.parquet", columns), market_id=7))
    assert [one.timestamp_ms for one in trades] == times
    assert [one.side for one in trades] == [Side.SELL, Side.BUY, Side.SELL]
    assert [one.price for one in trades] == [
        Decimal("1773.32"),
        Decimal("1773.4"),
        Decimal(1773),
    ]
    assert [one.trade_id for one in trades] == [1, 2, 3]


def test_sides_may_be_a_dictionary(tmp_path):
    columns = {
        "time": STARTS,
        "price": PRICES["close"],
        "size": [1, 2, 3],
        "side": arrow.array(["buy", "sell", "buy"]).dictionary_encode(),
    }
    trades = TradeFile(written(tmp_path / "t.parquet", columns))
    assert [one.side for one in trades] == [Side.BUY, Side.SELL, Side.BUY]


def refusal(path):
    with pytest.raises(HistoryError) as caught:
        list(CandleFile(path, resolution="5m", keep_last=True))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_missing_or_no_number_is_named_with_its_row(tmp_path):
    for cell, words in ((None, "is missing"), (float("nan"), "is not a decimal")):
        columns = {"timestamp": STARTS, **numbers(float)}
        columns["close"] = arrow.array([100.2, cell, 100.1], from_pandas=False)
        found = refusal(written(tmp_path / "x.parquet", columns))
        assert (
            f"line 3, column close: {'' if cell is None else 'nan'!r} {words}" in found
        )


@pytest.mark.parametrize("kind", [arrow.timestamp("us"), arrow.duration("ns")])
def test_a_time_that_python_has_none_for_is_one_line_in_whatever_column(tmp_path, kind):
    columns = {"time": stamps("ms"), **numbers(float)}
    columns["more"] = arrow.array([2**62] * COUNT, kind)
    with pytest.raises(HistoryError, match="no Parquet that can be read"):
        list(CandleFile(written(tmp_path / "a.parquet", columns)))


@pytest.mark.parametrize("cut", [4, 40, -9, -200])
def test_a_torn_file_is_one_line(tmp_path, cut):
    columns = {"timestamp": STARTS, **numbers(str)}
    path = written(tmp_path / "x.parquet", columns)
    path.write_bytes(path.read_bytes()[:cut])
    assert "no Parquet that can be read" in refusal(path)


def test_an_empty_table_holds_no_candles(tmp_path):
    columns = {
        "timestamp": arrow.array([], arrow.int64()),
        **dict.fromkeys(
            ("open", "high", "low", "close"), arrow.array([], arrow.float64())
        ),
    }
    assert (
        list(CandleFile(written(tmp_path / "x.parquet", columns), resolution="5m"))
        == []
    )


def test_without_the_library_it_says_what_to_install(tmp_path, monkeypatch):
    path = written(tmp_path / "x.parquet", {"timestamp": STARTS, **numbers(str)})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "pip install 'wrappy-lighter[parquet]', or write" in refusal(path)
