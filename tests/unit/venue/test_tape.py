"""Recorded markets: read as their exchange documents them, replayed uncrossed."""

from __future__ import annotations

import gzip
import json
import math
import os
import pathlib

import pytest

from wrappy.errors import BookGapError, ConfigError
from wrappy.model import Market
from wrappy.protocol.markets import BUNDLED_MARKETS, find_market
from wrappy.venue.events import SetIndexPrice, SetLevel, Take
from wrappy.venue.tape import (
    LOOP_PAUSE_US,
    SNAPSHOT_WITHIN_LINES,
    DepthUpdate,
    Snapshot,
    TapeBook,
    TapeFlow,
    TapeTrade,
    read_tape,
    tape_symbol,
)

ETH = find_market(BUNDLED_MARKETS, symbol="ETH")
BTC = find_market(BUNDLED_MARKETS, symbol="BTC")
START_NS = 1_723_161_255_000_000_000
FOREVER_US = 10**12

RECORDINGS = (
    pathlib.Path(__file__).resolve().parents[3] / "../shared/data/binance_usdm_l2"
)
ETH_RECORDING = RECORDINGS / "usdm_ethusdt_20240808.gz"
BTC_RECORDING = RECORDINGS / "usdm_btcusdt_20240808.gz"
recorded = pytest.mark.skipif(
    not (ETH_RECORDING.exists() and BTC_RECORDING.exists()),
    reason="recorded markets are not beside this checkout (../shared/data)",
)
long_run = pytest.mark.skipif(
    "WRAPPY_ALL_TAPES" not in os.environ,
    reason="one recorded market is enough; WRAPPY_ALL_TAPES=1 asks for the other too",
)


def at(milliseconds, body):
    text = body if isinstance(body, str) else json.dumps(body)
    return f"{START_NS + milliseconds * 1_000_000} {text}"


def snapshot(update_id, bids, asks):
    return {"lastUpdateId": update_id, "bids": bids, "asks": asks}


def depth(first, last, previous, *, bids=(), asks=()):
    data = {"e": "depthUpdate", "U": first, "u": last, "pu": previous}
    data |= {"b": list(bids), "a": list(asks)}
    return {"stream": "ethusdt@depth@0ms", "data": data}


def trade(price, quantity, *, buyer_is_maker):
    data = {"e": "trade", "p": price, "q": quantity, "m": buyer_is_maker}
    return {"stream": "ethusdt@trade", "data": data}


def ticker():
    return {"stream": "ethusdt@bookTicker", "data": {"e": "bookTicker", "u": 1}}


SNAPSHOT = snapshot(
    100, [["99.90", "1.000"], ["99.80", "2.000"]], [["100.10", "3.000"]]
)
SPANNING = depth(98, 101, 97)


@pytest.fixture
def write(tmp_path):
    def write_lines(*lines, packed=True):
        path = tmp_path / "tape"
        body = "".join(f"{line}\n" for line in lines).encode()
        path.write_bytes(gzip.compress(body) if packed else body)
        return path

    return write_lines


class Book:
    """What somebody sees who only looks at the flow's levels."""

    def __init__(self):
        self.sides = ({}, {})

    def apply(self, actions):
        for action in actions:
            if isinstance(action, SetLevel):
                side = self.sides[action.is_ask]
                if action.base:
                    side[action.price] = action.base
                else:
                    del side[action.price]
                bid, ask = self.best
                assert bid < ask

    @property
    def best(self):
        return max(self.sides[0], default=0), min(self.sides[1], default=math.inf)


@pytest.mark.parametrize("packed", [True, False])
def test_replay_begins_with_the_snapshot_at_zero(write, packed):
    path = write(at(0, ticker()), at(300, SNAPSHOT), packed=packed)
    flow = TapeFlow(path, ETH)
    assert flow.next_at_us() == 0
    assert flow.step(0) == [
        SetLevel(0, False, 9_990, 10_000),
        SetLevel(0, False, 9_980, 20_000),
        SetLevel(0, True, 10_010, 30_000),
        SetIndexPrice(0, 10_000),
    ]
    assert flow.next_at_us() is None
    assert flow.step(FOREVER_US) == []


def test_diffs_recorded_before_the_snapshot_complete_it(write):
    path = write(
        at(0, depth(90, 95, 80, bids=[["50.00", "9"]])),
        at(1, depth(98, 101, 95, bids=[["99.90", "1.500"]])),
        at(2, depth(102, 103, 101, asks=[["100.10", "0"], ["100.20", "4"]])),
        at(3, SNAPSHOT),
        at(4, depth(104, 105, 103, bids=[["99.95", "1"]])),
    )
    flow, book = TapeFlow(path, ETH), Book()
    book.apply(flow.step(0))
    assert book.sides == ({9_990: 15_000, 9_980: 20_000}, {10_020: 40_000})
    assert flow.next_at_us() == 1_000
    assert flow.step(1_000) == [SetLevel(0, False, 9_995, 10_000)]


def test_a_diff_that_ends_where_the_snapshot_was_taken_is_the_first_one(write):
    path = write(
        at(0, depth(98, 100, 97, bids=[["99.90", "1.000"]])),
        at(1, SNAPSHOT),
        at(2, depth(103, 104, 100, bids=[["99.90", "7"]])),
    )
    assert TapeFlow(path, ETH).step(FOREVER_US)[-1] == SetLevel(0, False, 9_990, 70_000)


def test_diffs_older_than_the_snapshot_that_come_after_it_are_dropped(write):
    path = write(
        at(0, SNAPSHOT),
        at(1, depth(90, 95, 80, bids=[["50.00", "9"]])),
        at(2, depth(98, 101, 97, bids=[["99.70", "9"]])),
    )
    flow = TapeFlow(path, ETH)
    flow.step(0)
    assert flow.next_at_us() == 2_000
    assert flow.step(FOREVER_US) == [SetLevel(0, False, 9_970, 90_000)]


def test_a_missing_diff_ends_the_replay_and_names_the_line(write):
    path = write(at(0, SNAPSHOT), at(1, SPANNING), at(2, depth(110, 111, 109)))
    flow = TapeFlow(path, ETH)
    with pytest.raises(BookGapError, match=r"line 3: update 110\.\.111"):
        flow.step(FOREVER_US)
    assert flow.next_at_us() is None


def test_a_first_diff_that_starts_after_the_snapshot_is_a_gap(write):
    path = write(at(0, depth(101, 102, 100)), at(1, SNAPSHOT))
    with pytest.raises(BookGapError, match="line 1: "):
        TapeFlow(path, ETH)


def test_what_shrinks_goes_before_what_grows_so_that_the_book_never_crosses(write):
    path = write(
        at(0, SNAPSHOT),
        at(
            1,
            depth(
                98,
                101,
                97,
                bids=[["100.10", "5"], ["99.80", "1"]],
                asks=[["100.10", "0"], ["100.30", "1"]],
            ),
        ),
    )
    flow, book = TapeFlow(path, ETH), Book()
    book.apply(flow.step(0))
    actions = flow.step(FOREVER_US)
    assert actions == [
        SetLevel(0, False, 9_980, 10_000),
        SetLevel(0, True, 10_010, 0),
        SetLevel(0, False, 10_010, 50_000),
        SetLevel(0, True, 10_030, 10_000),
    ]
    book.apply(actions)


def test_a_recorded_book_that_crosses_itself_is_refused(write):
    path = write(at(0, snapshot(1, [["100", "1"]], [["100", "1"]])))
    with pytest.raises(ConfigError, match="line 1: the recorded book crosses itself"):
        TapeFlow(path, ETH)


def test_a_trade_takes_from_the_side_its_maker_stood_on_and_prints_all_the_same(write):
    path = write(
        at(0, SNAPSHOT),
        at(1, trade("99.90", "0.5", buyer_is_maker=True)),
        at(2, trade("100.10", "0.25", buyer_is_maker=False)),
    )
    flow = TapeFlow(path, ETH)
    flow.step(0)
    assert flow.step(FOREVER_US) == [
        Take(0, True, 9_990, 5_000, print_rest=True),
        Take(0, False, 10_010, 2_500, print_rest=True),
    ]


def test_levels_in_reach_of_a_trade_are_stated_anew_with_the_next_diff(write):
    path = write(
        at(0, SNAPSHOT),
        at(1, trade("99.90", "9", buyer_is_maker=True)),
        at(2, depth(98, 101, 97)),
        at(3, trade("100.10", "9", buyer_is_maker=False)),
        at(4, depth(102, 103, 101)),
        at(5, depth(104, 105, 103)),
    )
    flow = TapeFlow(path, ETH)
    flow.step(1_000)
    assert flow.step(2_000) == [SetLevel(0, False, 9_990, 10_000)]
    assert flow.step(4_000)[1:] == [SetLevel(0, True, 10_010, 30_000)]
    assert flow.next_at_us() is None


def test_trades_below_a_lot_or_a_tick_are_left_out(write):
    path = write(
        at(0, SNAPSHOT),
        at(1, trade("99.90", "0.00009", buyer_is_maker=True)),
        at(2, trade("0.004", "1", buyer_is_maker=True)),
    )
    flow = TapeFlow(path, ETH)
    flow.step(0)
    assert flow.next_at_us() is None


def test_only_the_best_levels_show_and_the_band_follows_the_market(write):
    bids = [[f"{price}.00", "1"] for price in range(90, 100)]
    asks = [[f"{price}.00", "1"] for price in range(101, 111)]
    path = write(
        at(0, snapshot(100, bids, asks)),
        at(1, depth(98, 101, 97, bids=[["99.00", "0"], ["98.00", "0"]])),
        at(2, depth(102, 103, 101, bids=[["100.00", "2"]])),
    )
    flow, book = TapeFlow(path, ETH, levels=3), Book()
    book.apply(flow.step(0))
    assert sorted(book.sides[0]) == [9_700, 9_800, 9_900]
    assert sorted(book.sides[1]) == [10_100, 10_200, 10_300]
    book.apply(flow.step(1_000))
    assert sorted(book.sides[0]) == [9_500, 9_600, 9_700]
    book.apply(flow.step(2_000))
    assert sorted(book.sides[0]) == [9_600, 9_700, 10_000]


def test_a_coarser_market_rounds_away_from_the_mid_and_adds_up():
    book = TapeBook(Market("ETH", 0, 1, 1))
    levels = [["100.04", "0.26"], ["100.01", "0.26"], ["99.99", "0.09"], ["0.04", "1"]]
    book.load(Snapshot(1, levels, [["100.06", "1"], ["100.09", "1"]]))
    assert book.best(9) == ({1_000: 5}, {1_001: 20})
    book.apply(DepthUpdate(1, 2, 0, [["100.04", "0"], ["55.55", "0"]], []))
    assert book.best(9) == ({1_000: 2}, {1_001: 20})


def test_the_same_price_written_differently_is_the_same_level():
    book = TapeBook(BTC)
    book.load(Snapshot(1, [["61800.20", "2.909"]], [["61800.30", "1"]]))
    book.apply(DepthUpdate(1, 2, 0, [["61800.2", "1"]], [["61800.3", "0"]]))
    assert book.best(9) == ({618_002: 100_000}, {})


def test_a_one_sided_book_has_no_index_price(write):
    path = write(at(0, snapshot(1, [["99.90", "1"]], [])))
    assert TapeFlow(path, ETH).step(0) == [SetLevel(0, False, 9_990, 10_000)]


def test_the_index_price_follows_the_mid_at_most_every_half_second(write):
    bids = [["99.90", "1"], ["99.92", "1"], ["99.94", "1"]]
    path = write(
        at(0, SNAPSHOT),
        at(499, depth(98, 101, 97, bids=bids[:2])),
        at(500, depth(102, 103, 101, bids=bids[2:])),
        at(600, depth(104, 105, 103, bids=[["99.96", "1"]])),
    )
    flow = TapeFlow(path, ETH)
    indices = []
    while (at_us := flow.next_at_us()) is not None:
        indices += [
            (at_us, action.price)
            for action in flow.step(at_us)
            if isinstance(action, SetIndexPrice)
        ]
    assert indices == [(0, 10_000), (500_000, 10_002)]


def test_speed_scales_the_times_of_the_tape(write):
    lines = at(0, SNAPSHOT), at(100, trade("99.90", "1", buyer_is_maker=True))
    for speed, due_us in ((0.5, 200_000), (1.0, 100_000), (100.0, 1_000)):
        flow = TapeFlow(write(*lines), ETH, speed=speed)
        flow.step(0)
        assert flow.next_at_us() == due_us


def test_a_receive_clock_that_steps_back_stands_still(write):
    path = write(
        at(0, SNAPSHOT),
        at(10, trade("99.90", "1", buyer_is_maker=True)),
        at(5, trade("99.80", "1", buyer_is_maker=True)),
    )
    flow = TapeFlow(path, ETH)
    assert len(flow.step(9_999)) == 4
    assert len(flow.step(10_000)) == 2


def test_a_loop_starts_over_from_a_book_that_is_consistent(write):
    path = write(
        at(0, SNAPSHOT),
        at(
            10,
            depth(
                98,
                101,
                97,
                bids=[["100.10", "5"], ["101.00", "5"]],
                asks=[["100.10", "0"], ["102.00", "5"]],
            ),
        ),
    )
    flow, book = TapeFlow(path, ETH, loop=True), Book()
    starts = []
    for _ in range(3):
        starts.append(flow.next_at_us())
        book.apply(flow.step(flow.next_at_us()))
        assert book.sides == ({9_990: 10_000, 9_980: 20_000}, {10_010: 30_000})
        book.apply(flow.step(flow.next_at_us()))
        assert book.best == (10_100, 10_200)
    pass_us = 10_000 + LOOP_PAUSE_US
    assert starts == [0, pass_us, 2 * pass_us]


def test_a_later_snapshot_and_other_streams_change_nothing(write):
    path = write(
        at(0, SNAPSHOT),
        at(1, SPANNING),
        at(2, snapshot(500, [["1.00", "1"]], [["2.00", "1"]])),
        at(3, ticker()),
        at(4, '{"stream":"ethusdt@markPrice@1s","data":{"p":"1"}}'),
        at(5, depth(102, 103, 101, bids=[["99.95", "1"]])),
    )
    flow = TapeFlow(path, ETH)
    flow.step(0)
    assert flow.step(FOREVER_US) == [SetLevel(0, False, 9_995, 10_000)]


def test_closing_ends_the_flow(write):
    flow = TapeFlow(write(at(0, SNAPSHOT), at(1, SPANNING)), ETH, loop=True)
    flow.close()
    assert flow.next_at_us() is None
    assert flow.step(FOREVER_US) == []


@pytest.mark.parametrize(
    ("stream", "symbol"),
    [
        ("ethusdt@trade", "ETH"),
        ("btcusd_perp@trade", "BTC"),
        ("1000pepeusdc@bookTicker", "1000PEPE"),
        ("solfdusd@trade", "SOL"),
        ("usdt@bookTicker", "USDT"),
        ("ethbtc@bookTicker", "ETHBTC"),
    ],
)
def test_the_symbol_is_the_stream_name_without_its_quote_asset(write, stream, symbol):
    data = {"p": "1", "q": "1", "m": True}
    path = write(at(0, SNAPSHOT), at(1, {"stream": stream, "data": data}))
    assert tape_symbol(path) == symbol


def test_a_tape_of_snapshots_names_no_symbol(write):
    with pytest.raises(ConfigError, match="names no symbol"):
        tape_symbol(write(at(0, SNAPSHOT)))


def test_a_tape_of_another_market_is_refused(write):
    path = write(at(0, depth(98, 101, 97)), at(1, SNAPSHOT))
    with pytest.raises(ConfigError, match=r"line 1 is of ETH; .* not into BTC"):
        TapeFlow(path, BTC)


@pytest.mark.parametrize(
    "arguments", [{"speed": 0}, {"speed": math.inf}, {"levels": 0}]
)
def test_a_setting_that_cannot_work_is_named(write, arguments):
    (name,) = arguments
    with pytest.raises(ConfigError, match=name):
        TapeFlow(write(at(0, SNAPSHOT)), ETH, **arguments)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.gz cannot be read"):
        TapeFlow(tmp_path / "nowhere.gz", ETH)


@pytest.mark.parametrize("packed", [True, False])
def test_an_empty_file_is_said_to_be_empty(write, packed):
    with pytest.raises(ConfigError, match="is empty"):
        TapeFlow(write(packed=packed), ETH)


@pytest.mark.parametrize(
    "line",
    [
        "timestamp,open,high,low,close",
        "12345",
        "12:30 {}",
        "12345 {}",
        "12345 not json",
        "12345 [1, 2]",
        '12345 {"stream":"ethusdt@depth@0ms"}',
        '12345 {"stream":"ethusdt@depth","data":{"U":1,"u":2,"b":[],"a":[]}}',
        '12345 {"stream":"ethusdt@trade","data":{"p":1,"q":"1","m":true}}',
        '12345 {"lastUpdateId":1,"bids":[["1.0"]],"asks":[]}',
        '12345 {"lastUpdateId":1,"bids":[["-1","1"]],"asks":[]}',
        '12345 {"lastUpdateId":1,"bids":[["1","1e3"]],"asks":[]}',
        '12345 {"lastUpdateId":1,"bids":[["1","0.0000000000001"]],"asks":[]}',
    ],
)
def test_another_format_is_refused_with_the_line(write, line):
    with pytest.raises(ConfigError, match="line 2: "):
        TapeFlow(write(at(0, ticker()), line, packed=False), ETH)


def test_bytes_that_are_no_text_are_refused_with_the_line(tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    with pytest.raises(ConfigError, match="line 1: "):
        tape_symbol(path)


def test_a_bad_line_later_on_ends_the_replay_when_it_is_reached(write):
    path = write(
        at(0, SNAPSHOT), at(1, trade("99.90", "1", buyer_is_maker=True)), "cut off he"
    )
    flow = TapeFlow(path, ETH)
    assert len(flow.step(0)) == 4
    with pytest.raises(ConfigError, match="line 3: "):
        flow.step(FOREVER_US)
    assert flow.next_at_us() is None


def test_a_truncated_archive_names_the_last_good_line(write):
    path = write(*(at(number, ticker()) for number in range(100)))
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ConfigError, match="cannot be read after line"):
        list(read_tape(path))


def test_a_tape_without_a_snapshot_is_refused(write):
    with pytest.raises(ConfigError, match="no depth snapshot"):
        TapeFlow(write(at(0, depth(98, 101, 97))), ETH)


def test_a_snapshot_that_comes_too_late_is_not_waited_for(write):
    early = [at(0, ticker())] * SNAPSHOT_WITHIN_LINES
    with pytest.raises(ConfigError, match="no depth snapshot"):
        TapeFlow(write(*early, at(1, SNAPSHOT)), ETH)


@recorded
@pytest.mark.parametrize(
    ("path", "market", "lowest", "highest"),
    [
        pytest.param(ETH_RECORDING, ETH, 2_677, 2_685, id="ETH"),
        pytest.param(BTC_RECORDING, BTC, 61_500, 62_000, id="BTC", marks=long_run),
    ],
)
def test_a_real_market_replays_whole_and_uncrossed(path, market, lowest, highest):
    assert tape_symbol(path) == market.symbol
    flow, book = TapeFlow(path, market), Book()
    trades = [line for line in read_tape(path) if isinstance(line.message, TapeTrade)]
    takes = []
    while (at_us := flow.next_at_us()) is not None:
        actions = flow.step(at_us)
        book.apply(actions)
        takes += [action for action in actions if isinstance(action, Take)]
        assert [len(side) for side in book.sides] == [50, 50]
    assert len(trades) - 10 < len(takes) <= len(trades)
    prices = [market.price(take.price) for take in takes]
    assert lowest <= min(prices) <= max(prices) <= highest


@recorded
@pytest.mark.parametrize(
    ("path", "market"),
    [
        pytest.param(ETH_RECORDING, ETH, id="ETH"),
        pytest.param(BTC_RECORDING, BTC, id="BTC", marks=long_run),
    ],
)
def test_a_real_book_has_the_best_prices_its_exchange_announced(path, market):
    # Best quotes are pushed on every change, diffs gathered: while a burst lasts the
    # book is a few milliseconds behind, so the share is one of time, not of messages.
    flow, book = TapeFlow(path, market), Book()
    begin_ns = next(
        line.received_ns
        for line in read_tape(path)
        if isinstance(line.message, Snapshot)
    )
    alike_ns = total_ns = since_ns = 0
    alike = False
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            received, body = line.split(" ", 1)
            now_ns = int(received)
            if now_ns < begin_ns:
                continue
            book.apply(flow.step(round((now_ns - begin_ns) / 1_000)))
            if "@bookTicker" not in body[:40]:
                continue
            if since_ns:
                total_ns += now_ns - since_ns
                alike_ns += (now_ns - since_ns) * alike
            best = json.loads(body)["data"]
            announced = tuple(
                round(float(best[side]) * market.price_scale) for side in ("b", "a")
            )
            since_ns, alike = now_ns, announced == book.best
    assert alike_ns / total_ns > 0.9
