"""Tapes of made-up markets, and a strategy that quotes and takes on them."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from wrappy.errors import BookGapError
from wrappy.runner.strategy import Strategy
from wrappy.venue import SteppedClock, Venue, VenueSettings
from wrappy.venue.bundled import market_named
from wrappy.venue.record import record
from wrappy.venue.recording import (
    RecordedBook,
    RecordedDelta,
    RecordedTrade,
    RecordingWriter,
)

ROOT = Path(__file__).resolve().parents[2]


async def _recorded(path, symbols, seconds, seed, start):
    settings = VenueSettings(seed=seed, symbols=symbols)
    clock = SteppedClock(start)
    heard = 0

    def now_us():
        nonlocal heard
        heard += 1
        return clock.now_us()

    async with Venue(settings=settings, clock=clock) as venue:
        stop = asyncio.Event()
        task = asyncio.create_task(
            record(venue.ws_url, symbols, path, stop=stop, now_us=now_us)
        )
        while heard <= 2 * len(symbols):
            await asyncio.sleep(0.001)
        for _ in range(seconds * 20):
            await venue.advance(0.05)
            seen = None
            while seen != heard or venue.sessions.backlog:
                seen = heard
                await asyncio.sleep(0.001)
        stop.set()
        return await task


def made_tape(path, *, symbols=("ETH",), seconds=60, seed=3, start=1_800_000_000):
    """Record a made-up market of a local exchange; return the file."""
    asyncio.run(_recorded(path, list(symbols), seconds, seed, start))
    return path


def walked_tape(path, *, symbols=("ETH",), seconds=60, seed=5, start=1_800_000_000):
    """Write a tape of random walks in cents: five levels a side, a trade a second.

    The markets move together; each has a distance of its own, which comes and goes.
    """
    chance, markets = random.Random(f"tape {seed}"), list(map(market_named, symbols))
    writer = RecordingWriter(path, markets)
    middle, apart = 300_000, [0.0 for _ in markets]
    before = [({}, {}) for _ in markets]
    for step in range(2 * seconds + 1):
        at_us = start * 1_000_000 + step * 500_000
        middle += chance.randint(-40, 40)
        for at, market in enumerate(markets):
            number, old = market.market_id, before[at]
            if step and chance.random() < 0.5:
                side = chance.randrange(2)
                price = (max, min)[side](old[side])
                size = f"{chance.randint(1, 900) / 1000}"
                trade = RecordedTrade(
                    at_us, number, step, price, size, is_ask=side == 0
                )
                writer.write([trade])
            apart[at] += chance.gauss(0, 60) - apart[at] / 20 if at else 0
            centre = middle + round(apart[at])
            new = tuple(
                {
                    f"{(centre + way * (5 + 10 * level)) / 100:.2f}": (
                        f"{chance.randint(1, 30) / 10}"
                    )
                    for level in range(5)
                }
                for way in (-1, 1)
            )
            before[at] = new
            if not step:
                told = [list(levels.items()) for levels in new]
                writer.write([RecordedBook(at_us, number, 1, *told)])
                continue
            told = [
                [
                    *((price, "0") for price in old[side] if price not in new[side]),
                    *new[side].items(),
                ]
                for side in (0, 1)
            ]
            writer.write([RecordedDelta(at_us, number, step, step + 1, *told)])
    writer.close()
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """How often and how much."""

    every_s: float = 1.013
    size: Decimal = Decimal("0.5")
    take_every: int = 9


class Joins(Strategy[Joining]):
    """Stands at both best prices as long as they are the best, and takes at times."""

    market_data = "book"

    async def run(self, ctx):
        dealer, tuned, own, looks = ctx.dealer(), self.parameters, {}, 0
        while True:
            await ctx.sleep(tuned.every_s)
            try:
                bid, ask = ctx.ws.book().best_bid, ctx.ws.book().best_ask
            except BookGapError:
                continue
            if bid is None or ask is None:
                continue
            looks += 1
            missing = {1: bid.price, -1: ask.price}
            for number, (side, price) in list(own.items()):
                order = dealer.orders.get(number)
                if order is None or order.status.is_terminal:
                    del own[number]
                elif missing[side] == price:
                    del missing[side]
                else:
                    await dealer.cancel_order_by_coi(number)
                    del own[number]
            for side, price in missing.items():
                size = side * tuned.size
                made = await dealer.create_limit_order(price, size, post_only=True)
                own[made["client_order_index"]] = (side, price)
            await dealer.flush()
            if tuned.take_every and looks % tuned.take_every == 0:
                await dealer.create_market_order(
                    tuned.size / 5, round(ask.price * Decimal("1.01"), 2)
                )
