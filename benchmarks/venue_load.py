"""Load on the local exchange, each kind in a process of its own: see `bench_venue`.

python -m benchmarks.venue_load subscribers URL COUNT
python -m benchmarks.venue_load day EVENTS_PER_SECOND
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

from benchmarks.measure import play
from wrappy import WsInfo
from wrappy.protocol.markets import BUNDLED_MARKETS, find_market
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import VenueSettings
from wrappy.venue.flow import SyntheticFlow

CHANNELS = ("order_book/0", "trade/0")
SETTLE_S = 0.5
DAY_S = 86_400


# -------------------------------------------------------------------- subscribers


class Book(msgspec.Struct):
    nonce: int
    begin_nonce: int


class Frame(msgspec.Struct):
    type: str = ""
    timestamp: int = 0
    nonce: int = 0
    order_book: Book | None = None


@dataclass
class Reader:
    """One subscriber: what came, and what did not fit to what came before."""

    frames: int = 0
    gaps: int = 0
    last_nonce: int | None = None
    trades: dict[int, None] = field(default_factory=dict)
    books: dict[int, None] = field(default_factory=dict)
    ages_ms: list[float] = field(default_factory=list)

    def take(self, frame: Frame) -> None:
        self.frames += 1
        if frame.type.startswith("update/"):
            self.ages_ms.append(time.time() * 1_000 - frame.timestamp)
        if frame.order_book is not None:
            book = frame.order_book
            if frame.type.startswith("update/") and book.begin_nonce != self.last_nonce:
                self.gaps += 1
            self.last_nonce = book.nonce
            self.books[book.nonce] = None
        elif frame.type == "update/trade":
            self.trades[frame.nonce] = None


async def subscribed(url: str, count: int, seconds: int) -> dict[str, float]:
    """Have so many subscribers listen so long; return what they got."""
    decoder = msgspec.json.Decoder(Frame)
    readers = [Reader() for _ in range(count)]
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )

        async def listen(reader: Reader, socket: Any) -> None:
            async for message in socket:
                reader.take(decoder.decode(message.data))

        tasks = []
        for reader in readers:
            socket = await session.ws_connect(url, max_msg_size=0)
            for channel in CHANNELS:
                await socket.send_json({"type": "subscribe", "channel": channel})
            tasks.append(asyncio.create_task(listen(reader, socket)))
        await asyncio.sleep(SETTLE_S)
        for reader in readers:
            reader.ages_ms.clear()
        before, began = sum(one.frames for one in readers), time.perf_counter()
        await asyncio.sleep(seconds)
        frames = sum(one.frames for one in readers) - before
        took = time.perf_counter() - began
        left = sum(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    ages = sorted(age for reader in readers for age in reader.ages_ms)
    return {
        "frames": frames / took,
        "age_ms": ages[len(ages) * 99 // 100],
        "lost": left + sum(one.gaps + missing(one, readers[0]) for one in readers),
    }


def missing(one: Reader, other: Reader) -> int:
    """Return how many frames only one of two got, of the time that both saw."""
    count = 0
    for mine, theirs in ((one.books, other.books), (one.trades, other.trades)):
        if not mine or not theirs:
            continue
        first = max(min(mine), min(theirs))
        last = min(max(mine), max(theirs))
        count += sum(first < nonce <= last for nonce in mine.keys() ^ theirs.keys())
    return count


# ---------------------------------------------------------------------------- day


def simulated_day(events_per_s: float, seconds: int) -> dict[str, float]:
    """Return CPU seconds a simulated day takes, by that many seconds of it."""

    async def main() -> dict[str, float]:
        flow = Counted(
            SyntheticFlow(
                find_market(BUNDLED_MARKETS, symbol="ETH"),
                seed=1,
                events_per_s=events_per_s,
            )
        )
        settings = VenueSettings(seed=1, symbols=("ETH",), verify=False)
        async with InProcessExchange(settings, flow=flow) as exchange:
            owner = exchange.accounts[0]
            async with await WsInfo.run_overlay(
                owner.account_index,
                owner.api_keys[0].api_key_index,
                owner.api_keys[0].api_key_private_key,
                symbol="ETH",
                base_url=exchange.base_url,
                chain_id=exchange.chain_id,
                environment=exchange.environment,
            ):
                flow.actions, began = 0, time.process_time()
                await asyncio.sleep(seconds)
                took = time.process_time() - began
        return {"day_s": took * DAY_S / seconds, "actions": flow.actions / seconds}

    return run_virtual(main)


class Counted:
    """A flow, and how much it did."""

    def __init__(self, flow: SyntheticFlow) -> None:
        self._flow = flow
        self.actions = 0

    def next_at_us(self) -> int | None:
        return self._flow.next_at_us()

    def step(self, now_us: int) -> list[Any]:
        actions = self._flow.step(now_us)
        self.actions += len(actions)
        return actions


def main(arguments: list[str]) -> None:
    kind, *rest = arguments
    if kind == "day":
        play(lambda seconds: simulated_day(float(rest[0]), seconds))
    else:
        url, count = rest
        play(lambda seconds: asyncio.run(subscribed(url, int(count), seconds)))


if __name__ == "__main__":
    main(sys.argv[1:])
