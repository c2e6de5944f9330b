"""Tapes of made-up markets, and a strategy that quotes and takes on them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from wrappy.errors import BookGapError
from wrappy.runner.strategy import Strategy
from wrappy.venue import SteppedClock, Venue, VenueSettings
from wrappy.venue.record import record

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
