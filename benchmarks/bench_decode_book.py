"""An order book kept from the stream: ten changed levels a frame.

All clients get the same frames, made from a seed, and all books are compared at the
end. After every frame the best price of both sides is read, which is what a book is
kept for. The official client keeps a list of dicts, scans it, and leaves finding the
best to its user; ccxt keeps sorted lists of floats. Neither checks nonces, crossed
prices or numbers; ours does. "Frame" is from the received text to the best prices,
"update" is the part after decoding, and `OrderBook.apply` the part after the numbers
are read as well. ccxt is measured if it is installed.

"Stream" is frames over a loopback socket from another process, as many as one
supervised connection takes in, the one that overlays have: received, dispatched by
type and channel, decoded, and in the book. Below that, the number format alone.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import json
import random
import sys
import time
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web
from lighter.ws_client import WsClient

from benchmarks.measure import Row, interleaved, main, players, row
from wrappy._core.scaling import FixedTexts, fixed_to_int, int_to_fixed
from wrappy._core.stream import StreamSession
from wrappy.lighter.logs import as_sink
from wrappy.lighter.streaming.book_feed import BookFeed
from wrappy.lighter.streaming.stream import SupervisedStream
from wrappy.lighter.wire.transport import StreamDoor
from wrappy.model import Market
from wrappy.protocol.market_frames import read_book_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy._core.book import OrderBook

MARKET = Market("ETH", 0, 2, 4, 50, 10_000_000)
MID_TICKS = 300_000
CHANGES_A_SIDE = 5
DEPTHS = (100, 1000)
SERVE = "serve"
FRAMES = 200
STREAMED, QUICK_STREAMED = 50_000, 2_000
ROUNDS, QUICK_ROUNDS = 11, 2
NUMBERS = [f"{2000 + number * 0.37:.2f}" for number in range(1000)]

Side = dict[int, int]


class Frames:
    """A snapshot and the updates after it, as text, and the book they lead to."""

    def __init__(self, depth: int, count: int) -> None:
        self._random = random.Random(depth)
        self.bids: Side = {MID_TICKS - 2 * step: 1000 for step in range(1, depth + 1)}
        self.asks: Side = {MID_TICKS + 2 * step: 1000 for step in range(1, depth + 1)}
        self._nonces = itertools.count(1)
        self.snapshot = self._text("subscribed", self.bids, self.asks, None)
        self.updates = []
        for begin in range(1, count + 1):
            bids, asks = self._change(self.bids), self._change(self.asks)
            self.updates.append(self._text("update", bids, asks, begin))

    def _change(self, side: Side) -> Side:
        """Resize three levels, take one out, put one in: the depth stays."""
        chosen = self._random.sample(sorted(side), CHANGES_A_SIDE - 1)
        changes = {ticks: self._random.randint(1, 99_999) for ticks in chosen}
        changes[chosen[0]] = 0
        away = -1 if chosen[0] < MID_TICKS else 1  # so that no book ever crosses
        fresh = chosen[0] + away
        while fresh in side:
            fresh += away
        changes[fresh] = self._random.randint(1, 99_999)
        side.update(changes)
        del side[chosen[0]]
        return changes

    def _text(self, kind: str, bids: Side, asks: Side, begin: int | None) -> str:
        nonce = next(self._nonces)
        book: dict[str, Any] = {
            "code": 0,
            "asks": levels(asks),
            "bids": levels(bids),
            "offset": nonce,
            "nonce": nonce,
            "last_updated_at": 1_700_000_000_000_000 + nonce,
        }
        if begin is not None:
            book["begin_nonce"] = begin
        return json.dumps(
            {
                "channel": "order_book:0",
                "offset": nonce,
                "order_book": book,
                "timestamp": 1_700_000_000_000 + nonce,
                "type": f"{kind}/order_book",
            }
        )


def levels(side: Side) -> list[dict[str, str]]:
    return [
        {
            "price": int_to_fixed(ticks, MARKET.price_decimals),
            "size": int_to_fixed(lots, MARKET.size_decimals),
        }
        for ticks, lots in side.items()
    ]


def official_client() -> WsClient:
    return WsClient(
        ws_url="ws://127.0.0.1:9", order_book_ids=[0], on_order_book_update=None
    )


def our_feed() -> BookFeed:
    return BookFeed(MARKET, lambda *_: None, as_sink(None, "wrappy.stream"))


def official(frames: Frames, *, decoding: bool) -> float:
    """Return the microseconds of one update in the official client."""
    client = official_client()
    client.on_message(None, frames.snapshot)
    # It keeps the decoded objects and changes them, so they are decoded anew.
    given = frames.updates if decoding else [json.loads(t) for t in frames.updates]
    book = client.order_book_states["0"]
    began = time.perf_counter()
    for update in given:
        client.on_message(None, update)
        max(book["bids"], key=float_price)
        min(book["asks"], key=float_price)
    took = time.perf_counter() - began
    assert official_side(book["bids"]) == frames.bids
    assert official_side(book["asks"]) == frames.asks
    return took / len(given) * 1e6


def float_price(one: dict[str, str]) -> float:
    return float(one["price"])


def official_side(rows: list[dict[str, str]]) -> Side:
    return {
        fixed_to_int(one["price"], MARKET.price_decimals): fixed_to_int(
            one["size"], MARKET.size_decimals
        )
        for one in rows
    }


class Nobody:
    """In place of ccxt's connection: nobody waits for the book."""

    def resolve(self, *_: object) -> None:
        """Wake nobody."""


def ccxt_lighter(frames: Frames, *, decoding: bool) -> float:
    """Return the microseconds of one update in ccxt."""
    import ccxt.pro  # noqa: PLC0415 - it may not be installed

    exchange, nobody = ccxt.pro.lighter(), Nobody()
    exchange.handle_order_book(nobody, json.loads(frames.snapshot))
    (book,) = exchange.orderbooks.values()
    given = frames.updates if decoding else [json.loads(t) for t in frames.updates]
    began = time.perf_counter()
    for update in given:
        exchange.handle_order_book(nobody, json.loads(update) if decoding else update)
        book["bids"][0]
        book["asks"][0]
    took = time.perf_counter() - began
    assert len(book["bids"]) == len(frames.bids)
    assert {round(price * 100) for price, _ in book["asks"]} == set(frames.asks)
    return took / len(given) * 1e6


def ours(frames: Frames, *, decoding: bool) -> float:
    """Return the microseconds of one update in our feed."""
    feed = our_feed()
    assert feed.take(frames.snapshot.encode(), snapshot=True)
    book = feed.book
    raws = [text.encode() for text in frames.updates]
    read = [] if decoding else [read_book_frame(raw) for raw in raws]
    began = time.perf_counter()
    if decoding:
        for raw in raws:
            feed.take(raw, snapshot=False)
            best(book)
    else:
        for frame in read:
            feed.enter(frame, snapshot=False)
            best(book)
    took = time.perf_counter() - began
    bids, asks = book.depth(len(frames.bids) + 1)
    assert dict(bids) == frames.bids
    assert dict(asks) == frames.asks
    return took / len(raws) * 1e6


def best(book: OrderBook) -> None:
    assert book.best_bid is not None
    assert book.best_ask is not None


def book_alone(frames: Frames) -> float:
    """Return the microseconds of one update when its numbers are read already."""
    feed = our_feed()
    assert feed.take(frames.snapshot.encode(), snapshot=True)
    read = []
    for text in frames.updates:
        body = msgspec.json.decode(text)["order_book"]
        sides = [list(official_side(body[name]).items()) for name in ("bids", "asks")]
        read.append((*sides, body["begin_nonce"], body["nonce"]))
    book = feed.book
    began = time.perf_counter()
    for update in read:
        book.apply(*update)
        best(book)
    took = time.perf_counter() - began
    assert dict(book.depth(len(frames.bids) + 1)[0]) == frames.bids
    return took / len(read) * 1e6


async def serve(count: int) -> None:
    """Be the other end of the stream: one book's frames as fast as they go."""
    frames = Frames(DEPTHS[0], count)

    async def stream(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False, writer_limit=2**20)
        await socket.prepare(request)
        for text in (frames.snapshot, *frames.updates):
            await socket.send_str(text)
        await socket.receive()
        return socket

    application = web.Application()
    application.router.add_get("/", stream)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await asyncio.Event().wait()


class Reader:
    """Listens to one connection and keeps its book until enough frames have come."""

    def __init__(self, count: int) -> None:
        self.feed = our_feed()
        self.began = self.took = 0.0
        self.done = asyncio.Event()
        self._left = count

    def on_frame(self, _: str, raw: bytes, *, snapshot: bool) -> None:
        """Put a frame into the book."""
        self.feed.take(raw, snapshot=snapshot)
        if snapshot:
            self.began = time.perf_counter()
            return
        self._left -= 1
        if not self._left:
            self.took = time.perf_counter() - self.began
            self.done.set()

    def on_event(self, _: object) -> None:
        """Hear nothing else."""

    on_closed = on_no_token = on_event


async def receive(port: int, count: int) -> float:
    reader, session = Reader(count), StreamSession()
    session.want("order_book/0")
    door = StreamDoor(f"ws://127.0.0.1:{port}/", compress=False)
    log = as_sink(None, "wrappy.stream")
    stream = SupervisedStream(door, session, reader, tokens=None, log=log)
    running = asyncio.create_task(stream.run())
    await reader.done.wait()
    assert reader.feed.view.is_valid
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return count / reader.took


def streamed(port: int, count: int) -> float:
    """Return the frames a second that arrive in the book."""
    return asyncio.run(receive(port, count))


def nanoseconds(read: Callable[[str], Any]) -> float:
    """Return what reading one number takes."""
    began = time.perf_counter()
    for text in NUMBERS:
        read(text)
    return (time.perf_counter() - began) / len(NUMBERS) * 1e9


def book_rows(rounds: int) -> list[Row]:
    clients: dict[str, Any] = {"official WsClient": official, "BookFeed": ours}
    if importlib.util.find_spec("ccxt") is not None:
        clients["ccxt"] = ccxt_lighter
    rows = []
    for depth in DEPTHS:
        frames = Frames(depth, FRAMES)
        tail = f"{depth} levels a side"
        cases: dict[str, Callable[[], float]] = {
            f"{name}, {part}, {tail}": partial(client, frames, decoding=part == "frame")
            for part in ("frame", "update")
            for name, client in clients.items()
        }
        cases[f"OrderBook.apply, numbers read already, {tail}"] = partial(
            book_alone, frames
        )
        figures = interleaved(cases, rounds=rounds)
        for case in cases:
            name, _, rest = case.partition(", ")
            peers: list[str | None] = [None]
            if name == "OrderBook.apply":
                peers = [f"official WsClient, update, {tail}"]
            if name == "BookFeed":
                peers = [f"{peer}, {rest}" for peer in clients if peer != name]
            rows += [
                row("decode_book", case, figures, "us", against=peer) for peer in peers
            ]
    return rows


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    rounds = QUICK_ROUNDS if quick else ROUNDS
    rows = book_rows(rounds)
    count = QUICK_STREAMED if quick else STREAMED
    with players(("benchmarks.bench_decode_book", SERVE, str(count))) as (server,):
        case = "stream, received, dispatched, decoded, in the book"
        play = {case: partial(streamed, server.told["port"], count)}
        figures = interleaved(play, rounds=rounds)
        rows.append(row("decode_book", case, figures, "frames/s", target="100,000"))
    decimals = MARKET.price_decimals
    seen = FixedTexts(decimals)
    number_cases: dict[str, Callable[[], float]] = {
        "Decimal(text), exact": partial(nanoseconds, Decimal),
        "fixed_to_int(text), exact and checked": partial(
            nanoseconds, lambda text: fixed_to_int(text, decimals)
        ),
        "FixedTexts[text], the same, seen before": partial(
            nanoseconds, seen.__getitem__
        ),
        "round(float(text) * 100), inexact": partial(
            nanoseconds, lambda text: round(float(text) * 100)
        ),
    }
    numbers = interleaved(number_cases, rounds=rounds)
    rows += [row("decode_book", case, numbers, "ns") for case in number_cases]
    return rows


if __name__ == "__main__":
    if SERVE in sys.argv:
        asyncio.run(serve(int(sys.argv[-1])))
    else:
        main(measure)
