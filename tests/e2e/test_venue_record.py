"""A market recorded from one exchange and replayed in another is the same market."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from wrappy.errors import ConfigError
from wrappy.venue import SteppedClock, Venue, VenueSettings
from wrappy.venue.__main__ import main
from wrappy.venue.flow_settings import FlowSettings
from wrappy.venue.record import addresses_of, record
from wrappy.venue.record import main as record_program
from wrappy.venue.recording import (
    RecordedBook,
    RecordedDelta,
    RecordedGap,
    RecordedTrade,
    RecordingReader,
)
from wrappy.venue.replay import main as replay_program
from wrappy.venue.tape_book import FINE_DECIMALS, TapeSide, fine

pytestmark = pytest.mark.slow

BUSY = VenueSettings(
    seed=5,
    symbols=("ETH", "BTC"),
    synthetic=(FlowSettings(clustering=0.6, process="ou"),),
)


class Watch:
    """A stepped clock for both sides, that counts the frames the recorder got."""

    def __init__(self):
        self.clock = SteppedClock()
        self.frames = 0

    def now_us(self):
        self.frames += 1
        return self.clock.now_us()


async def recorded(venue, watch, path, eventually, *, url=None, seconds=10, then=None):
    """Record while stepped time goes on; return what came of it."""
    symbols = [market.symbol for market in venue.markets]
    stop = asyncio.Event()
    task = asyncio.create_task(
        record(url or venue.ws_url, symbols, path, stop=stop, now_us=watch.now_us)
    )
    # One that says hello, and the first ones of books and trades.
    await eventually(lambda: watch.frames > 2 * len(symbols))
    for step in range(seconds * 20):
        await venue.advance(0.05)
        frames = None
        while frames != watch.frames or venue.sessions.backlog:
            frames = watch.frames
            await asyncio.sleep(0.002)
        if then is not None:
            await then(step)
    stop.set()
    return await task


def rows_of(path):
    return [row for _, row in RecordingReader(path).rows()]


def books_by_nonce(rows, market):
    """The book at each nonce, as somebody reads it who has the file alone."""
    sides, found = None, []
    for row in rows:
        if getattr(row, "market", None) != market.market_id:
            continue
        if isinstance(row, RecordedBook):
            sides = [TapeSide(market, is_ask=is_ask) for is_ask in (False, True)]
        if isinstance(row, (RecordedBook, RecordedDelta)):
            sides[0].update(row.bids)
            sides[1].update(row.asks)
            found.append((row, sides[0].best(), sides[1].best()))
    return found


def trades_of(rows, market):
    lot = 10 ** (FINE_DECIMALS - market.size_decimals)
    tick = 10 ** (FINE_DECIMALS - market.price_decimals)
    return [
        (fine(row.price) // tick, fine(row.size) // lot, row.is_ask)
        for row in rows
        if isinstance(row, RecordedTrade) and row.market == market.market_id
    ]


@pytest.mark.parametrize("name", ["tape.jsonl", "tape.jsonl.gz"])
async def test_a_replayed_market_has_the_recorded_books_and_trades(
    tmp_path, name, eventually
):
    path, watch = tmp_path / name, Watch()
    async with Venue(settings=BUSY, clock=watch.clock) as venue:
        done = await recorded(venue, watch, path, eventually)
    rows = rows_of(path)
    assert done.gaps == 0
    assert done.changes > 100
    assert done.trades > 50
    begin_us = next(row.us for row in rows if isinstance(row, RecordedBook))

    replayed = Venue(tape=path, clock=SteppedClock())
    assert replayed.settings.symbols == ("ETH", "BTC", "SOL")
    at_us = 0
    async with replayed:
        exchange = replayed.exchange
        schedule = sorted(
            (row.us - begin_us, market.market_id, bids, asks)
            for market in replayed.markets[:2]
            for row, bids, asks in last_at_each_time(rows, market)
        )
        for due_us, market_id, bids, asks in schedule:
            await replayed.advance((due_us - at_us) / 1_000_000)
            at_us = due_us
            assert exchange.markets[market_id].engine.depth() == (
                list(bids.items()),
                list(asks.items()),
            )
        for market in replayed.markets[:2]:
            told = [
                (trade.price, trade.base, not trade.is_maker_ask)
                for trade in exchange.markets[market.market_id].trades
            ]
            assert told == trades_of(rows, market)[: len(told)]
            assert len(told) >= len(trades_of(rows, market)) - 3


def last_at_each_time(rows, market):
    latest = {}
    for row, bids, asks in books_by_nonce(rows, market):
        latest[row.us] = (row, dict(bids), dict(asks))
    return latest.values()


async def test_a_lost_connection_is_a_gap_and_is_taken_up_again(
    tmp_path, relay_to, eventually
):
    path, watch = tmp_path / "tape.jsonl", Watch()
    async with Venue(settings=BUSY, clock=watch.clock) as venue:
        relay = await relay_to(venue)

        async def cut(step):
            if step == 20:
                seen = watch.frames
                relay.cut()
                # The end itself, a hello, and the first ones of books and trades.
                await eventually(lambda: watch.frames >= seen + 6)
                assert relay.connects == 2

        url = relay.base_url
        done = await recorded(
            venue, watch, path, eventually, url=url, seconds=3, then=cut
        )
    assert done.gaps == 2
    rows = rows_of(path)
    gaps = [row for row in rows if isinstance(row, RecordedGap)]
    assert {gap.market for gap in gaps} == {0, 1}
    again = [row for row in rows if isinstance(row, RecordedBook) and row.after_gap]
    assert {book.market for book in again} == {0, 1}
    async with Venue(tape=path, clock=SteppedClock()) as replayed:
        await replayed.advance(3)
        assert replayed.exchange.markets[0].engine.best_bid


async def test_an_exchange_that_is_gone_is_tried_again_until_the_end(
    tmp_path, eventually, caplog
):
    path, watch, stop = tmp_path / "tape.jsonl", Watch(), asyncio.Event()
    async with Venue(settings=BUSY, clock=watch.clock) as venue:
        url = venue.ws_url
        task = asyncio.create_task(
            record(url, ["ETH"], path, stop=stop, now_us=watch.now_us)
        )
        await eventually(lambda: watch.frames > 2)
    await eventually(lambda: "Cannot connect" in caplog.text, 10.0)
    stop.set()
    done = await task
    # However often it fails, there is one gap.
    assert done.gaps == 1
    assert [row for row in rows_of(path) if isinstance(row, RecordedGap)]


async def test_a_lost_frame_is_a_gap_and_the_book_is_asked_for_anew(
    tmp_path, relay_to, eventually
):
    path, watch, lost = tmp_path / "tape.jsonl", Watch(), []
    async with Venue(settings=BUSY, clock=watch.clock) as venue:
        relay = await relay_to(venue)

        def one_lost(frame):
            if frame["type"] == "update/order_book" and not lost and watch.frames > 30:
                lost.append(frame)
                return []
            return [frame]

        relay.down = one_lost
        url = f"{relay.base_url}".replace("http", "ws")
        done = await recorded(venue, watch, path, eventually, url=url, seconds=3)
    assert len(lost) == done.gaps == 1
    assert relay.connects == 1
    gap = next(row for row in rows_of(path) if isinstance(row, RecordedGap))
    assert f"after {lost[0]['order_book']['begin_nonce']}" in gap.why


async def test_an_exchange_that_refuses_is_not_asked_again(
    tmp_path, relay_to, quiet_venue
):
    relay = await relay_to(quiet_venue)
    relay.down = lambda _: [{"error": {"code": 30005, "message": "Invalid Channel"}}]
    with pytest.raises(ConfigError, match=r"the exchange refuses: .*Invalid Channel"):
        await record(relay.base_url, ["ETH"], tmp_path / "tape")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "does not answer in JSON"),
        ({"order_book_details": [{}]}, "is no Lighter exchange"),
    ],
)
async def test_what_is_no_exchange_is_said(
    tmp_path, relay_to, quiet_venue, body, words
):
    relay = await relay_to(quiet_venue)
    relay.answer("/api/v1/orderBookDetails", body)
    with pytest.raises(ConfigError, match=words):
        await record(relay.base_url, ["ETH"], tmp_path / "tape")


@pytest.mark.parametrize(
    ("url", "stream", "details", "loopback"),
    [
        (
            "ws://127.0.0.1:80/stream",
            "ws://127.0.0.1:80/stream",
            "http://127.0.0.1:80/api/v1/orderBookDetails",
            True,
        ),
        (
            "https://example.org/",
            "wss://example.org/stream",
            "https://example.org/api/v1/orderBookDetails",
            False,
        ),
        (
            "http://localhost:5",
            "ws://localhost:5/stream",
            "http://localhost:5/api/v1/orderBookDetails",
            True,
        ),
        (
            "ws://[::1]:5/other",
            "ws://[::1]:5/other",
            "http://[::1]:5/api/v1/orderBookDetails",
            True,
        ),
    ],
)
def test_either_address_of_an_exchange_will_do(url, stream, details, loopback):
    assert addresses_of(url) == (stream, details, loopback)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["wss://example.org/stream"], "not on this machine; give --live-data"),
        (["ftp://127.0.0.1"], "'ftp://127.0.0.1' is no address"),
        (["ws:///stream"], "is no address"),
        (["ws://127.0.0.1:9"], "does not answer"),
        (["ws://127.0.0.1:9", "--seconds", "0"], "--seconds: 0.0 is not above 0"),
        (["ws://127.0.0.1:9", "--symbols", ","], "--symbols: name at least one"),
    ],
)
def test_what_cannot_be_recorded_is_said_in_one_line(tmp_path, capsys, line, words):
    out = ["--symbols", "ETH", "--out", str(tmp_path / "tape")]
    assert main(["record", *out, *line]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert words in told
    assert not (tmp_path / "tape").exists()


async def test_a_market_that_is_not_there_is_said(tmp_path, quiet_venue):
    with pytest.raises(ConfigError, match=r"--symbols: .*NONE"):
        await record(quiet_venue.base_url, ["NONE"], tmp_path / "tape")
    with pytest.raises(ConfigError, match="--symbols: name at least one"):
        await record(quiet_venue.base_url, [], tmp_path / "tape")


def test_ctrl_c_ends_the_file_properly(tmp_path):
    path = tmp_path / "tape.jsonl.gz"
    with (
        subprocess.Popen(
            [sys.executable, "-m", "wrappy.venue", "--json", "--symbols", "ETH"],
            stdout=subprocess.PIPE,
            text=True,
        ) as exchange,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(exchange.terminate)
        url = json.loads(exchange.stdout.readline())["ws_url"]
        command = [sys.executable, "-m", "wrappy.venue", "record", url]
        with subprocess.Popen(
            [*command, "--symbols", "ETH", "--out", str(path)],
            stdout=subprocess.PIPE,
            text=True,
        ) as recorder:
            deadline = time.monotonic() + 20
            while not (path.exists() and path.stat().st_size > 500):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            recorder.send_signal(signal.SIGINT)
            told, _ = recorder.communicate(timeout=20)
    assert recorder.returncode == 0
    assert told.startswith(f"{path}: ")
    reader = RecordingReader(path)
    assert any(isinstance(row, RecordedDelta) for _, row in reader.rows())
    assert not reader.cut_off


def test_a_disk_that_is_full_ends_the_recording(tmp_path):
    path = tmp_path / "tape.jsonl"
    program = f"""
import asyncio, pathlib, resource, signal
from wrappy.errors import ConfigError
from wrappy.venue import Venue
from wrappy.venue.record import record
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
async def main():
    async with Venue(seed=1, symbols=["ETH"]) as venue:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
        await record(venue.ws_url, ["ETH"], pathlib.Path({str(path)!r}), seconds=15)
try:
    asyncio.run(main())
except ConfigError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"out: {path} cannot be written: File too large\n"


async def test_a_recording_lasts_as_long_as_it_is_told(tmp_path, venue):
    path = tmp_path / "tape.jsonl.gz"
    done = await record(venue.ws_url, ["ETH"], path, seconds=0.3)
    assert done.path == path
    reader = RecordingReader(path)
    assert reader.markets[0].symbol == "ETH"
    assert list(reader.rows())
    assert not reader.cut_off


@contextlib.contextmanager
def exchange_in_a_thread():
    """Run an exchange beside a program with a loop of its own; yield its address."""
    told, over = queue.Queue(), threading.Event()

    async def serve():
        async with Venue(seed=1, symbols=["ETH"]) as venue:
            told.put(venue.ws_url)
            await asyncio.get_running_loop().run_in_executor(None, over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield told.get(timeout=20)
    finally:
        over.set()
        thread.join()


def test_the_command_line_records_and_says_how_much(tmp_path, capsys):
    path = tmp_path / "tape.jsonl"
    with exchange_in_a_thread() as url:
        line = ["--symbols", "eth, ETH", "--out", str(path), "--seconds", "0.3"]
        assert main(["record", url, *line]) == 0
    told = capsys.readouterr().out
    assert re.fullmatch(rf"{path}: \d+ books and changes, \d+ trades, 0 gaps\n", told)
    [market] = RecordingReader(path).markets
    assert market.symbol == "ETH"


@pytest.mark.parametrize(
    ("program", "arguments", "words"),
    [
        (record_program, [], "required: URL, --symbols, --out"),
        (record_program, ["--nonsense"], "required: URL"),
        (replay_program, [], "required: log"),
    ],
)
def test_wrong_arguments_are_one_line_and_end_with_2(program, arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        program(arguments)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
