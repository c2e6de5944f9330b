"""Leg A of the two-account hedge alone: quotes, and tells each fill to leg B.

Idea: flat, it bids at a level of the book; when it holds something, it offers that. An
order that is not filled in time is canceled and placed anew. Each fill goes out as a
message; it is kept until the bus has it.

Parameters: `--config` (see hedge.yaml). Risks: what leg A holds is unhedged until leg B
has traded. It quotes only while the pair is in balance and the bus answers; what leg B
leaves open for `flatten_after_s` it closes at the market, and after `halt_after_s` it
ends with an error. At the end its order is canceled; the hedged pair stays as it is.

Try it: python -m examples.hedge.leg_a --config examples/hedge/hedge.yaml
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

from examples.hedge.base import HedgeHaltedError, Post, first_positions
from examples.hedge.entry import arguments, post_of
from examples.hedge.messages import FillMessages
from examples.hedge.watch import PairWatch
from wrappy import (
    OrderDeniedError,
    ProtocolError,
    SendOutcomeUnknownError,
    SignerError,
    TransportError,
    VenueError,
)
from wrappy.runner.command import run

if TYPE_CHECKING:
    import argparse
    from decimal import Decimal

# Looks at the positions that may fail before it stops quoting.
BLIND_AFTER = 3
# After it had to act for leg B; doubles each time.
FIRST_PAUSE_S = 10.0
FAILURES = (VenueError, TransportError, OrderDeniedError, SignerError, ProtocolError)


class LegA:
    """Flat: bid. Holding: offer it. Resting: wait, then quote anew."""

    def __init__(self, post: Post, watch: PairWatch) -> None:
        self._post, self._watch = post, watch
        self._rounds_left = post.strategy.rounds
        self._resting: int | None = None
        self._requote_at = 0.0
        self._before, self._side = 0, 1
        self._held: int | None = None  # by its own orders, if they tell
        self._messages = FillMessages(post.bus, post.accounts[0], post.tell)
        self._quiet_until, self._pause_s = 0.0, FIRST_PAUSE_S
        self._exposure = 0
        self._seen_at = asyncio.get_running_loop().time()

    @classmethod
    async def create(cls, post: Post) -> LegA:
        """Return a leg that knows where the pair stands."""
        leg = cls(post, PairWatch(await post.patience()))
        _, reading = await first_positions(post)
        leg._exposure = reading.exposure
        return leg

    async def run(self) -> None:
        """Do the rounds and wait for leg B to catch up.

        Raises:
            HedgeHaltedError: exposure stayed open for too long.
        """
        off = self._post.ws.add_hook("on_trades", self._messages.on_trades)
        work = [
            asyncio.ensure_future(one()) for one in (self._messages.run, self._compare)
        ]
        work.append(asyncio.ensure_future(self._quote()))
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            off()
            for one in work:
                one.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await self._post.dealer.cancel_all_orders()

    async def _compare(self) -> None:
        """Look at both positions, and do what leg B does not."""
        loop = asyncio.get_running_loop()
        while True:
            calm = self._watch.is_balanced(self._exposure)
            due_s = self._watch.due_s(loop.time())
            since = await self._post.rest(calm=calm, own=True, due_s=due_s)
            try:
                _, reading = await self._post.positions(urgent=not calm)
                self._exposure, self._seen_at = reading.exposure, loop.time()
                step = self._watch.decide(self._exposure, loop.time(), since)
                if step.what == "halt":
                    self._post.tell(f"A halts: exposure {self._exposure} lots")
                    raise HedgeHaltedError(f"{self._exposure} lots stay open")
                if step.what == "flatten":
                    await self._flatten()
            except FAILURES as error:
                self._post.tell(f"A: {error}")

    async def _flatten(self) -> None:
        """Bring this leg to minus leg B's position, and leave the market alone."""
        await self._post.dealer.cancel_all_orders()
        # Leg B may have come back meanwhile, and the streams may lag.
        _, reading = await self._post.positions(fresh=True, urgent=True)
        self._exposure = reading.exposure
        if self._watch.is_balanced(reading.exposure):
            return
        now, pause_s = asyncio.get_running_loop().time(), self._pause_s
        self._quiet_until, self._pause_s = now + pause_s, min(2 * pause_s, 600.0)
        lots = -reading.exposure
        self._post.tell(f"A closes {lots} lots that B left open, pauses {pause_s:g} s")
        coi = await self._post.trade(lots)
        if coi is not None:
            await self._post.traded(coi, self._post.strategy.halt_after_s)

    def _may_quote(self) -> bool:
        now, strategy = asyncio.get_running_loop().time(), self._post.strategy
        return (
            self._watch.is_balanced(self._exposure)
            and now >= self._quiet_until
            and now - self._seen_at < BLIND_AFTER * strategy.reconcile_s
            and self._messages.down_s(now) < strategy.bus_patience_s
        )

    async def _quote(self) -> None:
        while self._rounds_left or not self._watch.is_balanced(self._exposure):
            try:
                await self._turn()
            except FAILURES as error:
                self._post.tell(f"A cannot quote: {error}")
            await asyncio.sleep(self._post.strategy.poll_s)

    async def _turn(self) -> None:
        post, now = self._post, asyncio.get_running_loop().time()
        if self._resting is not None:
            order = post.dealer.receipt(self._resting)
            if order is None or order.status.is_terminal:
                self._resting = None
                if order is not None and self._held is not None:
                    self._held += post.lots(order.filled) * self._side
            elif now >= self._requote_at or not self._may_quote():
                await post.dealer.cancel_order_by_coi(self._resting)
                await post.dealer.flush()
            return
        if not self._may_quote():
            return
        held, before = post.held(), self._before
        if held != self._held:  # the stream lags, or somebody else has traded
            held = post.lots(await post.dealer.fetch_my_position())
        if before and not held:
            self._rounds_left -= 1
            post.tell(f"A is flat again, {self._rounds_left} rounds left")
        self._held = self._before = held
        if self._rounds_left:
            size = -post.dealer.market.size(held) if held else post.strategy.size
            await self._place(size, closes=bool(held))

    async def _place(self, size: Decimal, *, closes: bool) -> None:
        """Rest an order at the chosen level of this side's book."""
        dealer, depth = self._post.dealer, self._post.strategy.depth
        bids, asks = self._post.ws.book().depth(depth)
        levels = bids if size > 0 else asks
        if abs(size) < dealer.market.size(self._watch.least_lots):
            self._held = None  # too little to rest: the end goes at the market
            await dealer.close_position()
            return
        if not levels:
            return
        placed = await dealer.create_limit_order(
            levels[-1].price, size, post_only=True, reduce_only=closes
        )
        self._resting, self._side = placed["client_order_index"], 1 if size > 0 else -1
        now = asyncio.get_running_loop().time()
        self._requote_at = now + self._post.strategy.order_timeout_s
        # In doubt it is followed all the same, until its end is known.
        with contextlib.suppress(SendOutcomeUnknownError):
            await dealer.flush()


async def main(options: argparse.Namespace) -> None:
    """Run leg A for its rounds."""
    async with post_of("a", options) as post:
        await (await LegA.create(post)).run()
        post.tell("A has done its rounds")


if __name__ == "__main__":
    sys.exit(run(main(arguments(__doc__)), name="hedge leg A"))
