"""Candles and trades from files: read exactly, judged row by row, nothing silent."""

from __future__ import annotations

import gzip
import re
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from wrappy.errors import ConfigError
from wrappy.model import Candle, Side
from wrappy.runner.history import (
    CandleColumns,
    CandleFile,
    FlatCandle,
    Gap,
    HistoryError,
    TradeColumns,
    TradeFile,
    resolution_ms,
    resolution_name,
)

HEAD = "timestamp,open,high,low,close,volume"
T0 = 1_743_699_900_000
STEP = 300_000
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


def iso(at_ms):
    at = datetime.fromtimestamp(at_ms / 1000, timezone.utc)
    return at.isoformat(sep=" ")


def row(number, *, prices="100.10,101.5,99,100.2", volume="3.5", time=None):
    return f"{time or iso(T0 + number * STEP)},{prices},{volume}"


def write(tmp_path, *rows, head=HEAD, name="ETH.csv"):
    path = tmp_path / name
    path.write_text("\n".join([*([head] if head else []), *rows]) + "\n")
    return path


def candles_of(path, **options):
    return list(CandleFile(path, **{"keep_last": True, **options}))


def refusal(path, **options):
    with pytest.raises(HistoryError) as caught:
        candles_of(path, **{"resolution": "5m", **options})
    assert str(path) in str(caught.value)
    return caught.value


def test_a_candle_keeps_the_digits_of_the_file(tmp_path):
    path = write(tmp_path, row(0), row(1))
    first, _ = candles_of(path, resolution="5m")
    assert first == Candle(
        T0,
        Decimal("100.10"),
        Decimal("101.5"),
        Decimal(99),
        Decimal("100.2"),
        Decimal("3.5"),
        Decimal(0),
        0,
        True,
    )
    assert str(first.open) == "100.10"


def test_the_summary_says_what_the_file_does_not_have(tmp_path):
    source = CandleFile(write(tmp_path, row(0), row(1)), symbol="ETH", resolution="5m")
    assert source.series.first_ms is None
    assert source.series.notes() == ()
    list(source)
    series = source.series
    assert (series.symbol, series.resolution, series.resolution_ms) == (
        "ETH",
        "5m",
        STEP,
    )
    assert (series.first_ms, series.last_ms, series.count) == (T0, T0, 1)
    assert series.dropped_last_ms == T0 + STEP
    assert series.notes() == (
        "times: ISO 8601 with an offset",
        "the last candle was dropped: nothing shows that it was over",
        "no quote_volume in the source: 0 stands for it",
    )


def test_the_last_candle_is_kept_when_the_data_was_taken_after_its_end(tmp_path):
    path = write(tmp_path, row(0), row(1))
    end_ms = T0 + 2 * STEP
    for as_of_ms, count in ((end_ms - 1, 1), (end_ms, 2)):
        source = CandleFile(path, resolution="5m", as_of_ms=as_of_ms)
        assert len(list(source)) == count
        assert (source.series.dropped_last_ms is None) is (count == 2)


def test_a_file_is_read_anew_at_every_pass(tmp_path):
    source = CandleFile(write(tmp_path, row(0), row(1), row(3)), keep_last=True)
    assert list(source) == list(source)
    assert source.series.gap_count == 1


def test_a_packed_file_reads_like_a_plain_one(tmp_path):
    plain = write(tmp_path, row(0), row(1))
    packed = tmp_path / "named.anything"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + plain.read_bytes()))
    assert candles_of(packed) == candles_of(plain)


@pytest.mark.parametrize(
    ("text", "unit", "words"),
    [
        (str(T0 // 1000), None, "unix time in s, found by their size"),
        (f"{T0 // 1000}.000", None, "unix time in s, found by their size"),
        (str(T0), None, "unix time in ms, found by their size"),
        (str(T0 * 1000), None, "unix time in us, found by their size"),
        (str(T0 * 10**6), None, "unix time in ns, found by their size"),
        (str(T0 * 1000), "us", "unix time in us, as told"),
        ("2025-04-03 17:05:00+00:00", None, "ISO 8601 with an offset"),
        ("2025-04-03T17:05:00Z", None, "ISO 8601 with an offset"),
        ("2025-04-03T19:05:00.000+0200", "iso", "ISO 8601 with an offset"),
        ("2025-04-03T11:35:00-05:30", None, "ISO 8601 with an offset"),
        (
            "2025-04-03 17:05:00.000000",
            None,
            "ISO 8601 without an offset, taken as UTC",
        ),
        ("2025-04-03 17:05", None, "ISO 8601 without an offset, taken as UTC"),
    ],
)
def test_every_way_to_write_a_time_is_recognised(tmp_path, text, unit, words):
    path = write(tmp_path, row(0, time=text))
    source = CandleFile(path, resolution="5m", time_unit=unit, keep_last=True)
    assert [candle.start_ms for candle in source] == [T0]
    assert source.series.time_format == words


def test_days_without_a_time_are_daily_candles(tmp_path):
    rows = [row(0, time=f"2025-04-0{day}") for day in (1, 2, 3)]
    source = CandleFile(write(tmp_path, *rows), keep_last=True)
    assert next(iter(source)).start_ms == 1_743_465_600_000
    assert source.series.resolution == "1d"


@pytest.mark.parametrize(
    ("rows", "line", "column", "words"),
    [
        ([row(0, time="yesterday")], 2, "timestamp", "neither a unix time"),
        ([row(0, time="12345")], 2, "timestamp", "neither a unix time"),
        ([row(0, time="2025-02-30 00:00")], 2, "timestamp", "no day of the calendar"),
        ([row(0), row(1, time="soon")], 3, "timestamp", "no ISO 8601 time"),
        (
            [row(0), row(1, time="2025-04-03 17:10")],
            3,
            "timestamp",
            "has no offset and others have one",
        ),
        (
            [row(0, time="2025-04-03 17:05"), row(1)],
            3,
            "timestamp",
            "has an offset and others have none",
        ),
        (
            [row(0, time=T0), row(1, time=T0 // 1000)],
            3,
            "timestamp",
            "no time in ms, as the rows before have it",
        ),
        ([row(0, time=T0), row(1, time="x")], 3, "timestamp", "not a decimal number"),
        ([row(0, prices="nan,1,1,1")], 2, "open", "'nan' is not a decimal number"),
        ([row(0, prices="1,inf,1,1")], 2, "high", "not a decimal number"),
        ([row(0, prices="1,1,1_0,1")], 2, "low", "not a decimal number"),
        ([row(0, prices="1,1,1,")], 2, "close", "is missing"),
        ([row(0, prices="1e30,1,1,1")], 2, "open", "beyond all measure"),
        ([row(0, prices="0,1,1,1")], 2, "open", "not above zero"),
        ([row(0, prices="1,1,-1,1")], 2, "low", "not above zero"),
        ([row(0, prices="5,4,3,4")], 2, "high", "below the open 5"),
        ([row(0, prices="4,4,3,5")], 2, "high", "below the close 5"),
        ([row(0, prices="4,5,4.5,5")], 2, "low", "above the open 4"),
        ([row(0, prices="5,5,4.5,4")], 2, "low", "above the close 4"),
        ([row(0, prices="4,4,5,4")], 2, "high", "below the low 5"),
        ([row(0, volume="-1")], 2, "volume", "is negative"),
        ([row(0), row(0, volume="4")], 3, "time", "twice, with different numbers"),
        ([row(1), row(0)], 3, "time", "300 s before the candle above"),
        ([row(0), row(1), row(1.5)], 4, "time", "which 5m candles cannot"),
        ([row(0) + ",7"], 2, "", "the row has 7 cell(s), the first row 6"),
        ([row(0), "x"], 3, "", "the row has 1 cell(s)"),
        ([row(0), '"2025'], 3, "", "no CSV"),
    ],
)
def test_a_broken_row_is_named_by_file_line_and_column(
    tmp_path, rows, line, column, words
):
    error = refusal(write(tmp_path, *rows))
    assert words in str(error)
    assert (error.line, error.column) == (line, column)
    assert error.fix
    assert str(error).endswith(error.fix)


def test_the_message_is_one_a_person_can_act_on(tmp_path):
    path = write(tmp_path, row(0), row(1, prices="100,99,98,98.5"))
    assert str(refusal(path)) == (
        f"{path}, line 3, column high: '99' is below the open 100; mend or remove the "
        "row"
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (HEAD.encode() + b"\n\xff\xfe", "not UTF-8"),
        (gzip.compress(HEAD.encode() * 99, mtime=0)[:-9], "the packed file is broken"),
        (b"\x1f\x8b\x08\x00garbage and more of it", "the packed file is broken"),
        (b"open,high,low,close\n1,1,1,1\n", "no column for time"),
        (b"date,ts,open,high,low,close\n", "could each be the time"),
        (b"timestamp;open;high;low;close\n", "delimiter=';'"),
        (b"1743699900000,1,1,1,1,1\n", "the first row is data"),
        (b"2025-04-03 17:05,a,b,c,d,e\n", "the first row is data"),
    ],
)
def test_a_file_that_is_no_table_of_candles_is_refused(tmp_path, content, words):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    assert words in str(refusal(path))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert "cannot be opened" in str(refusal(tmp_path / "missing.csv"))
    assert "cannot be opened" in str(refusal(tmp_path))


def test_a_heading_alone_is_an_empty_series(tmp_path):
    assert candles_of(write(tmp_path), resolution="5m") == []


def test_a_gap_is_reported_and_not_filled(tmp_path):
    source = CandleFile(write(tmp_path, row(0), row(3), row(4)), keep_last=True)
    assert len(list(CandleFile(write(tmp_path, row(0), row(3), row(4))))) == 2
    assert [candle.start_ms for candle in source] == [
        T0 + number * STEP for number in (0, 3, 4)
    ]
    assert source.series.gaps == (Gap(T0 + STEP, T0 + 3 * STEP, 2),)
    assert source.series.filled == 0
    assert "1 gap(s), 2 candle(s) missing" in source.series.notes()


def test_a_gap_is_refused_when_asked_for(tmp_path):
    error = refusal(write(tmp_path, row(0), row(3)), on_gap="refuse")
    assert "comes after a gap of 2 candle(s)" in str(error)


def test_flat_candles_are_marked_and_counted(tmp_path):
    path = write(tmp_path, row(0), row(3))
    source = CandleFile(path, resolution="5m", on_gap="flat", keep_last=True)
    first, flat, second, last = source
    assert isinstance(flat, FlatCandle)
    assert isinstance(second, FlatCandle)
    assert not isinstance(last, FlatCandle)
    assert {flat.open, flat.high, flat.low, flat.close} == {first.close}
    assert flat.base_volume == 0
    assert flat.closed
    assert flat != Candle(
        flat.start_ms, *(first.close,) * 4, Decimal(0), Decimal(0), 0, True
    )
    assert (source.series.count, source.series.filled) == (4, 2)
    assert "2 flat candle(s) put into gaps" in source.series.notes()


def test_more_gaps_than_are_listed_are_counted(tmp_path):
    rows = [row(2 * number) for number in range(1_103)]
    source = CandleFile(write(tmp_path, *rows), resolution="5m")
    list(source)
    assert len(source.series.gaps) == 1_000
    assert source.series.gap_count == source.series.missing == 1_102


def test_repeated_rows_are_dropped_and_counted(tmp_path):
    again = row(0, prices="100.1,101.50,99.0,100.2")  # the same numbers
    source = CandleFile(write(tmp_path, row(0), row(0), again, "", row(1)))
    assert len(list(source)) == 1
    assert source.series.duplicates == 2
    assert "2 repeated row(s) dropped" in source.series.notes()


def test_the_resolution_is_the_smallest_step_of_the_first_rows(tmp_path):
    source = CandleFile(write(tmp_path, row(0), row(0), row(2), row(3)))
    list(source)
    assert source.series.resolution == "5m"
    with pytest.raises(HistoryError, match=r"1 row\(s\) do not tell how long"):
        list(CandleFile(write(tmp_path, row(0))))
    close = write(tmp_path, row(0, time=T0), row(0, time=T0 + 250))
    with pytest.raises(HistoryError, match="rows 250 ms apart are no candles"):
        list(CandleFile(close))


def test_columns_can_be_named(tmp_path):
    path = write(tmp_path, row(0), head="when,a,b,c,d,volume")
    columns = CandleColumns(
        time="when", open="a", high="b", low="c", close="d", quote_volume="volume"
    )
    (candle,) = candles_of(path, columns=columns, resolution="5m")
    assert (candle.base_volume, candle.quote_volume) == (0, Decimal("3.5"))
    wrong = CandleColumns(time="whenever")
    assert "no column 'whenever'" in str(refusal(path, columns=wrong))
    twice = write(tmp_path, row(0) + ",1", head="a,a,open,high,low,close,x")
    assert "two of column 'a'" in str(refusal(twice, columns=CandleColumns(time="a")))


def test_columns_can_be_numbered_where_there_is_no_heading(tmp_path):
    numbered = CandleColumns(
        time=0, open=1, high=2, low=3, close=4, base_volume=5, last_trade_id=6
    )
    path = write(tmp_path, row(0) + ",77", head=None)
    (candle,) = candles_of(path, columns=numbered, resolution="5m")
    assert (candle.start_ms, candle.last_trade_id) == (T0, 77)
    path = write(tmp_path, row(0) + ",7.5", head=None)
    assert "no whole number" in str(refusal(path, columns=numbered))
    path = write(tmp_path, row(0), head=None)
    assert "column 6, but there are 6" in str(refusal(path, columns=numbered))
    with pytest.raises(HistoryError, match="headings and indices are mixed"):
        CandleFile(path, columns=CandleColumns(time=0, open="open"))


def test_headings_may_have_capitals_and_spaces(tmp_path):
    head = "Open time,Open,High,Low,Close,Volume,Close time,Quote asset volume"
    path = write(tmp_path, f"{T0},1,1,1,1,2,{T0 + STEP - 1},3", head=head)
    (candle,) = candles_of(path, resolution="5m")
    assert (candle.base_volume, candle.quote_volume) == (2, 3)


def test_other_delimiters_are_told(tmp_path):
    path = write(tmp_path, row(0).replace(",", ";"), head=HEAD.replace(",", ";"))
    assert len(candles_of(path, delimiter=";", resolution="5m")) == 1


def test_headings_of_the_exchange_tell_v_from_capital_v(tmp_path):
    path = write(tmp_path, f"{T0},1,1,1,1,2,3,9", head="t,o,h,l,c,v,V,i")
    (candle,) = candles_of(path, resolution="5m")
    assert (candle.base_volume, candle.quote_volume) == (2, 3)
    assert candle.last_trade_id == 9


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"resolution": "5 minutes"}, "resolution: '5 minutes'"),
        ({"resolution": "0m"}, "resolution: '0m'"),
        ({"on_gap": "ignore"}, "on_gap: 'ignore'"),
    ],
)
def test_an_argument_that_cannot_work_is_refused_before_reading(options, words):
    with pytest.raises(ConfigError, match=words):
        CandleFile("nowhere.csv", **options)


@pytest.mark.parametrize(
    ("name", "length"),
    [("90s", 90_000), ("5m", STEP), ("4h", 14_400_000), ("1w", 604_800_000)],
)
def test_a_resolution_and_its_length_belong_together(name, length):
    assert resolution_ms(name) == length
    assert resolution_name(length) == name
    assert resolution_name(250) == "250ms"


TRADES = "trade_id,timestamp,price,size,side"


def trades_of(path, **options):
    return list(TradeFile(path, **options))


def test_trades_are_read_with_every_way_to_tell_the_side(tmp_path):
    path = write(tmp_path, f"1,{T0},2361.31,0.0005,Buy", f"2,{T0},1,1,s", head=TRADES)
    first, second = trades_of(path, market_id=3)
    assert (first.trade_id, first.market_id, first.timestamp_ms) == (1, 3, T0)
    assert (first.price, first.size) == (Decimal("2361.31"), Decimal("0.0005"))
    assert (first.side, second.side) == (Side.BUY, Side.SELL)
    for field, sides in (
        ("is_buyer_maker", [Side.SELL, Side.BUY]),
        ("is_maker_ask", [Side.BUY, Side.SELL]),
    ):
        head = f"id,time,price,qty,{field}"
        path = write(tmp_path, f"1,{T0},1,1,true", f"2,{T0},1,1,False", head=head)
        assert [trade.side for trade in trades_of(path)] == sides


def test_trades_say_what_was_found(tmp_path):
    same = f"1,{T0},1,1,buy"
    source = TradeFile(write(tmp_path, same, same, f"2,{T0 + 5},1,1,buy", head=TRADES))
    assert source.series.count == 0
    assert len(list(source)) == len(list(source)) == 2
    series = source.series
    assert (series.first_ms, series.last_ms) == (T0, T0 + 5)
    assert (series.count, series.duplicates, series.numbered_here) == (2, 1, False)
    assert series.time_format == "unix time in ms, found by their size"


def test_equal_trades_without_ids_are_all_kept_and_numbered(tmp_path):
    same = f"{T0},1,1,buy"
    source = TradeFile(write(tmp_path, same, same, head="timestamp,price,size,side"))
    assert [trade.trade_id for trade in source] == [1, 2]
    assert source.series.numbered_here


def test_more_times_of_day_than_are_remembered_are_read_alike(tmp_path):
    rows = [f"{number},{iso(T0 + number * 37)},1,1,buy" for number in range(5_000)]
    trades = trades_of(write(tmp_path, *rows, head=TRADES))
    assert [one.timestamp_ms for one in trades] == [T0 + n * 37 for n in range(5_000)]


def test_trades_without_a_heading_are_numbered_columns(tmp_path):
    columns = TradeColumns(time=0, price=1, size=2, side=3)
    path = write(tmp_path, f"{T0},1,1,buy", head=None)
    assert len(trades_of(path, columns=columns)) == 1


@pytest.mark.parametrize(
    ("rows", "line", "column", "words"),
    [
        ([f"1,{T0},0,1,buy"], 2, "price", "not above zero"),
        ([f"1,{T0},1,-1,buy"], 2, "size", "not above zero"),
        ([f"1,{T0},1,1,long"], 2, "side", "is no side"),
        ([f"x,{T0},1,1,buy"], 2, "trade_id", "no whole number"),
        ([f"1,{T0},1,1"], 2, "", "the row has 4 cell(s)"),
        ([f"1,{T0},1,1,buy", f"2,{T0 - 1},1,1,buy"], 3, "timestamp", "lies before"),
        ([f"2,{T0},1,1,buy", f"1,{T0},1,1,buy"], 3, "trade_id", "comes after 2"),
        ([f"2,{T0},1,1,buy", f"2,{T0},1,2,buy"], 3, "trade_id", "is there twice"),
    ],
)
def test_a_broken_trade_is_named(tmp_path, rows, line, column, words):
    path = write(tmp_path, *rows, head=TRADES)
    with pytest.raises(HistoryError, match=re.escape(words)) as caught:
        trades_of(path)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_trades_whose_side_nobody_tells_are_refused(tmp_path):
    path = write(tmp_path, f"{T0},1,1", head="time,price,size")
    with pytest.raises(HistoryError, match="no column tells the taker's side"):
        trades_of(path)
    path = write(tmp_path, f"{T0},1,1,perhaps", head="time,price,size,is_maker_ask")
    with pytest.raises(HistoryError, match="neither true nor false"):
        trades_of(path)
    path = write(tmp_path, head=None)
    path.write_text("")
    with pytest.raises(HistoryError, match="is empty"):
        trades_of(path)


@pytest.mark.parametrize(
    ("path", "resolution", "count"),
    [
        ("perp_5m/ETHUSDT_5m.csv", "5m", 25_920),
        ("btc_perp_1m/btc-perp-20211231-20220201_1m.csv", "1m", 45_031),
    ],
)
def test_recorded_candles_are_whole(path, resolution, count):
    if not (SHARED / path).exists():
        pytest.skip(f"{path} is not on this machine")
    source = CandleFile(SHARED / path, keep_last=True)
    assert sum(1 for _ in source) == count
    series = source.series
    assert (series.resolution, series.gap_count, series.duplicates) == (
        resolution,
        0,
        0,
    )
