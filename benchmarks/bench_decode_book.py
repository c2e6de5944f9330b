"""An order book kept from the stream: ten changed levels a frame.

Both clients get the same frames, made from a seed, and both books are compared at
the end. The official client keeps a list of dicts and scans it; it checks neither
nonces nor crossed prices, ours does. "Frame" is from the received text to the new
book, "update" is the part after decoding. Below that, the number format alone.
"""

from __future__ import annotations

import itertools
import json
import random
import time
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from lighter.ws_client import WsClient

from benchmarks.measure import Row, interleaved, main, row
from wrappy._core.scaling import fixed_to_int, int_to_fixed
from wrappy.lighter.logs import as_sink
from wrappy.lighter.streaming.overlay import OverlayState
from wrappy.model import Market

if TYPE_CHECKING:
    from collections.abc import Callable

MARKET = Market("ETH", 0, 2, 4, 50, 10_000_000)
MID_TICKS = 300_000
CHANGES_A_SIDE = 5
DEPTHS = (100, 1000)
FRAMES = 60
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
        fresh = chosen[0] + 1
        while fresh in side:
            fresh += 1
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


def our_state() -> OverlayState:
    return OverlayState(MARKET, as_sink(None, "wrappy.stream"), lambda *_: None)


def official(frames: Frames, *, decoding: bool) -> float:
    """Return the microseconds of one update in the official client."""
    client = official_client()
    client.on_message(None, frames.snapshot)
    # It keeps the decoded objects and changes them, so they are decoded anew.
    given = frames.updates if decoding else [json.loads(t) for t in frames.updates]
    began = time.perf_counter()
    for update in given:
        client.on_message(None, update)
    took = time.perf_counter() - began
    book = client.order_book_states["0"]
    assert official_side(book["bids"]) == frames.bids
    assert official_side(book["asks"]) == frames.asks
    return took / len(given) * 1e6


def official_side(rows: list[dict[str, str]]) -> Side:
    return {
        fixed_to_int(one["price"], MARKET.price_decimals): fixed_to_int(
            one["size"], MARKET.size_decimals
        )
        for one in rows
    }


def ours(frames: Frames, *, decoding: bool) -> float:
    """Return the microseconds of one update in our overlay."""
    state = our_state()
    decode = msgspec.json.decode
    assert state.take("order_book", decode(frames.snapshot), snapshot=True)
    given = frames.updates if decoding else [decode(text) for text in frames.updates]
    began = time.perf_counter()
    for update in given:
        state.take("order_book", decode(update) if decoding else update, snapshot=False)
    took = time.perf_counter() - began
    bids, asks = state.book.depth(len(frames.bids) + 1)
    assert dict(bids) == frames.bids
    assert dict(asks) == frames.asks
    return took / len(given) * 1e6


def book_alone(frames: Frames) -> float:
    """Return the microseconds of one update when its numbers are read already."""
    state = our_state()
    decode = msgspec.json.decode
    assert state.take("order_book", decode(frames.snapshot), snapshot=True)
    read = []
    for text in frames.updates:
        body = decode(text)["order_book"]
        sides = [list(official_side(body[name]).items()) for name in ("bids", "asks")]
        read.append((*sides, body["begin_nonce"], body["nonce"]))
    began = time.perf_counter()
    for update in read:
        state.book.apply(*update)
    took = time.perf_counter() - began
    assert dict(state.book.depth(len(frames.bids) + 1)[0]) == frames.bids
    return took / len(read) * 1e6


def nanoseconds(read: Callable[[str], Any]) -> float:
    """Return what reading one number takes."""
    began = time.perf_counter()
    for text in NUMBERS:
        read(text)
    return (time.perf_counter() - began) / len(NUMBERS) * 1e9


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    rounds = QUICK_ROUNDS if quick else ROUNDS
    rows = []
    for depth in DEPTHS:
        frames = Frames(depth, FRAMES)
        cases: dict[str, Callable[[], float]] = {}
        for part, decoding in (("frame", True), ("update", False)):
            mine = f"OverlayState, {part}, {depth} levels a side"
            theirs = f"official WsClient, {part}, {depth} levels a side"
            cases[theirs] = partial(official, frames, decoding=decoding)
            cases[mine] = partial(ours, frames, decoding=decoding)
        alone = f"OrderBook.apply alone, {depth} levels a side"
        cases[alone] = partial(book_alone, frames)
        figures = interleaved(cases, rounds=rounds)
        for case in cases:
            peer = None
            if case.startswith("Overlay"):
                peer = case.replace("OverlayState", "official WsClient")
            elif case == alone:
                peer = f"official WsClient, update, {depth} levels a side"
            rows.append(row("decode_book", case, figures, "us", against=peer))
    decimals = MARKET.price_decimals
    number_cases: dict[str, Callable[[], float]] = {
        "Decimal(text), exact": partial(nanoseconds, Decimal),
        "fixed_to_int(text), exact and checked": partial(
            nanoseconds, lambda text: fixed_to_int(text, decimals)
        ),
        "round(float(text) * 100), inexact": partial(
            nanoseconds, lambda text: round(float(text) * 100)
        ),
    }
    numbers = interleaved(number_cases, rounds=rounds)
    rows += [row("decode_book", case, numbers, "ns") for case in number_cases]
    return rows


if __name__ == "__main__":
    main(measure)
