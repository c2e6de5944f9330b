"""Recordings: written and read line by line, replayed as they were recorded."""

from __future__ import annotations

import gzip
import json
import logging
import math

import pytest

from wrappy.errors import BookGapError, ConfigError
from wrappy.protocol.markets import BUNDLED_MARKETS, find_market
from wrappy.venue.events import PrintTrade, SetIndexPrice, SetLevel
from wrappy.venue.market_life import open_market_life, tape_symbols
from wrappy.venue.recording import (
    RecordedBook,
    RecordedDelta,
    RecordedEnd,
    RecordedGap,
    RecordedTrade,
    RecordingReader,
    RecordingWriter,
    is_recording,
    recording_markets,
)
from wrappy.venue.recording_flow import RecordingFlow
from wrappy.venue.settings import VenueSettings

ETH = find_market(BUNDLED_MARKETS, symbol="ETH")
BTC = find_market(BUNDLED_MARKETS, symbol="BTC")
SOL = find_market(BUNDLED_MARKETS, symbol="SOL")
T0 = 1_800_000_000_000_000
FOREVER_US = 10**15

BOOK = RecordedBook(
    T0, 0, 10, [("99.90", "1.0000"), ("99.80", "2")], [("100.10", "3.0000")]
)
ROWS = [
    BOOK,
    RecordedBook(T0 + 5, 1, 7, [("60000.0", "1")], [("60001.0", "1")]),
    RecordedDelta(T0 + 1_000, 0, 10, 12, [("99.90", "0")], [("100.00", "0.5")]),
    RecordedTrade(T0 + 1_500, 0, 1, "100.00", "0.2", False),
    RecordedDelta(T0 + 2_000, 0, 12, 13, [], [("100.00", "0.3")]),
    RecordedGap(T0 + 3_000, 0, "lost"),
    RecordedTrade(T0 + 3_500, 0, 9, "100.00", "0.2", False),
    RecordedBook(T0 + 4_000, 0, 50, [("98.00", "1")], [("99.00", "1")], True),
    RecordedEnd(T0 + 5_000),
]


@pytest.fixture(params=["tape.jsonl", "tape.jsonl.gz"])
def write(request, tmp_path):
    def write_rows(rows, *, markets=(ETH, BTC)):
        path = tmp_path / request.param
        path.unlink(missing_ok=True)
        writer = RecordingWriter(path, markets)
        writer.write(rows)
        writer.flush()
        writer.close()
        writer.close()
        return path

    return write_rows


def test_what_is_written_is_read_back(write):
    path = write(ROWS)
    reader = RecordingReader(path)
    assert [row for _, row in reader.rows()] == ROWS
    assert not reader.cut_off
    assert [market.symbol for market in reader.markets] == ["ETH", "BTC"]
    assert reader.markets == recording_markets(path)


def test_equal_recordings_are_equal_files(write):
    first = write(ROWS).read_bytes()
    assert write(ROWS).read_bytes() == first


def test_every_line_is_one_json_object_with_its_kind(write):
    path = write(ROWS)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt") as file:
        first, *lines = map(json.loads, file)
    assert first["recording"] == 1
    kinds = [line["kind"] for line in lines]
    assert " ".join(kinds) == "book book delta trade delta gap trade book end"


def test_an_existing_file_is_not_written_over(write, tmp_path):
    path = write(ROWS)
    with pytest.raises(ConfigError, match=r"out: .* exists"):
        RecordingWriter(path, (ETH,))
    with pytest.raises(ConfigError, match=r"out: .* cannot be written: No such file"):
        RecordingWriter(tmp_path / "none" / "tape", (ETH,))


@pytest.mark.parametrize("missing", [1, 5, 40])
def test_a_torn_last_line_is_left_out_and_said(write, missing, caplog):
    path = write(ROWS)
    whole = path.read_bytes()
    path.write_bytes(whole[:-missing])
    reader = RecordingReader(path)
    read = [row for _, row in reader.rows()]
    assert read == ROWS[: len(read)]
    # Of a packed file a little more may be lost, or its check sum alone.
    assert reader.cut_off or (path.suffix == ".gz" and read == ROWS)
    with caplog.at_level(logging.WARNING, "wrappy.venue"):
        RecordingFlow(path, ETH).step(FOREVER_US)
    assert ("ends without its last line" in caplog.text) == reader.cut_off


def test_a_recording_without_its_end_is_said_to_be_cut_off(write):
    reader = RecordingReader(write(ROWS[:-1]))
    assert len(list(reader.rows())) == len(ROWS) - 1
    assert reader.cut_off


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "tape"
    header = '{"recording":1,"markets":[' + json.dumps(
        {"symbol": "ETH", "market": 0, "price_decimals": 2, "size_decimals": 4}
    )
    path.write_text(header + ']}\n{"kind":"end","us":1}\n{"kind":"what"}\n')
    with pytest.raises(ConfigError, match=r"tape: .*line 3: Invalid value 'what'"):
        list(RecordingReader(path).rows())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"recording":2,"markets":[]}\n', "recording: 2 is not format 1"),
        ('{"recording":1,"markets":[]}\n', "the recording is of none"),
        ('{"recording":1}\n', "line 1: no recording"),
        ("", "line 1: no recording"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path, text, words):
    path = tmp_path / "tape"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        RecordingReader(path)
    assert words in str(caught.value)


def test_files_of_other_kinds_are_not_taken_for_recordings(tmp_path, write):
    path = tmp_path / "other"
    path.write_text("1723161255000000000 {}\n")
    assert not is_recording(path)
    path.write_bytes(b"\x1f\x8bno gzip at all")
    assert not is_recording(path)
    assert is_recording(write(ROWS))
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        is_recording(tmp_path / "nowhere")


def test_a_replay_shows_the_book_at_each_line_and_prints_each_trade(write):
    flow = RecordingFlow(write(ROWS), ETH)
    assert flow.step(0) == [
        SetLevel(0, False, 9_990, 10_000),
        SetLevel(0, False, 9_980, 20_000),
        SetLevel(0, True, 10_010, 30_000),
        SetIndexPrice(0, 10_000),
    ]
    assert flow.step(1_000) == [
        SetLevel(0, False, 9_990, 0),
        SetLevel(0, True, 10_000, 5_000),
    ]
    assert flow.step(1_500) == [PrintTrade(0, False, 10_000, 2_000)]
    assert flow.step(2_000) == [SetLevel(0, True, 10_000, 3_000)]
    # What is not known is not shown, and its trades are not played.
    assert flow.step(3_500) == [
        SetLevel(0, False, 9_980, 0),
        SetLevel(0, True, 10_000, 0),
        SetLevel(0, True, 10_010, 0),
    ]
    assert flow.step(4_000) == [
        SetLevel(0, False, 9_800, 10_000),
        SetLevel(0, True, 9_900, 10_000),
    ]
    assert flow.next_at_us() is None
    assert flow.step(FOREVER_US) == []
    flow.close()


def test_levels_that_a_trade_may_have_eaten_are_stated_again(write):
    rows = [
        BOOK,
        RecordedTrade(T0 + 1, 0, 1, "99.80", "1.5", True),
        RecordedDelta(T0 + 2, 0, 10, 11, [], [("101.00", "1")]),
    ]
    flow = RecordingFlow(write(rows), ETH)
    flow.step(1)
    assert flow.step(2) == [
        SetLevel(0, False, 9_990, 10_000),
        SetLevel(0, False, 9_980, 20_000),
        SetLevel(0, True, 10_100, 10_000),
    ]


def test_several_markets_keep_their_distance_in_time(write):
    path = write(ROWS)
    settings = VenueSettings(symbols=("BTC", "ETH", "SOL"), tape=path, flow="tape")
    life = open_market_life(settings, (BTC, ETH, SOL))
    assert len(life.tapes) == 2
    assert [tape.next_at_us() for tape in life.tapes] == [5, 0]
    assert tape_symbols(path) == ("ETH", "BTC")
    life.close()
    assert [tape.next_at_us() for tape in life.tapes] == [None, None]


def test_a_recording_can_be_played_faster(write):
    flow = RecordingFlow(write(ROWS), ETH, speed=10.0)
    flow.step(0)
    assert flow.next_at_us() == 100


def test_a_clock_that_was_set_back_stands_still(write):
    early = RecordedDelta(T0 - 500, 0, 10, 11, [("99.90", "5")], [])
    flow = RecordingFlow(write([BOOK, early]), ETH)
    assert len(flow.step(0)) == 5


def test_a_change_before_any_book_is_passed_over(write):
    early = RecordedDelta(T0 - 500, 0, 1, 2, [("99.90", "5")], [])
    later = RecordedDelta(T0 + 20, 1, 7, 8, [("1", "5")], [])
    flow = RecordingFlow(write([early, BOOK, later]), BTC)
    assert flow.step(FOREVER_US) == []


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        ([RecordedEnd(T0)], ConfigError, "has no book"),
        (
            [BOOK, RecordedDelta(T0 + 1, 0, 11, 12, [], [])],
            BookGapError,
            "line 3: change of 11 after 10",
        ),
        (
            [BOOK, RecordedDelta(T0 + 1, 0, 10, 12, [("100.10", "1")], [])],
            ConfigError,
            "line 3: the recorded book crosses itself",
        ),
        (
            [BOOK, RecordedTrade(T0 + 1, 0, 1, "1e5", "1", True)],
            ConfigError,
            "line 3: '1e5' is not a decimal number",
        ),
    ],
)
def test_what_cannot_be_replayed_is_named_by_its_line(write, rows, error, words):
    with pytest.raises(error) as caught:
        RecordingFlow(write(rows), ETH).step(FOREVER_US)
    assert words in str(caught.value)


def test_a_recording_is_played_into_its_own_markets_only(write):
    with pytest.raises(ConfigError, match="is of ETH, BTC; play it into such a market"):
        RecordingFlow(write(ROWS), SOL)
    for speed in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ConfigError, match="speed"):
            RecordingFlow(write(ROWS), ETH, speed=speed)


def test_trades_too_small_for_the_market_are_left_out(write):
    dust = RecordedTrade(T0 + 1, 0, 1, "99.90", "0.00001", True)
    flow = RecordingFlow(write([BOOK, dust]), ETH)
    flow.step(0)
    assert flow.step(FOREVER_US) == []
