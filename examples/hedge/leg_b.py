"""Leg B of the two-account hedge alone: trades at the market against leg A's fills.

Idea: each fill of leg A arrives as a message; leg B takes the other side at once, less
than the smallest order being carried along. Every second it compares both positions as
the exchange tells them, so that a lost message or a crash of either leg costs seconds.

Parameters: `--config` (see hedge.yaml), `--journal` for the fills acted on. Risks: a
market order pays spread and fee; while the exchange refuses leg B, the pair is
unhedged: it tries for `hedge_for_s`, then leg A closes its side, then both halt.

Try it: python -m examples.hedge.leg_b --config examples/hedge/hedge.yaml
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

from examples.hedge.base import (
    HedgeHaltedError,
    Post,
    first_positions,
)
from examples.hedge.book import Fill, GiveUp, Halt, Hedge, HedgeBook
from examples.hedge.entry import arguments, post_of
from examples.hedge.journal import HedgeJournal
from examples.hedge.messages import A_FILLED, B_FILLED, GROUP, read_fill
from wrappy import ProtocolError, TransportError, VenueError
from wrappy.runner.bus import BusDownError
from wrappy.runner.command import run

if TYPE_CHECKING:
    import argparse

    from wrappy.runner.bus import BusReader, Delivery

LOOK_S = 0.2
BUS_PAUSE_S = 0.5


class LegB:
    """Carries out what the `HedgeBook` decides.

    Attributes:
        book: the debt.
        hedged: hedges that traded.
    """

    def __init__(self, post: Post, book: HedgeBook, journal: HedgeJournal) -> None:
        self._post, self._journal, self.book = post, journal, book
        self.hedged = 0
        self._news = asyncio.Event()
        self._waiting: list[tuple[Delivery, Fill | None]] = []
        self._reader: BusReader = post.bus.reader(A_FILLED, group=GROUP, consumer="b")
        self._hedging: asyncio.Task[None] | None = None
        self._hedges_begun = 0

    @classmethod
    async def create(cls, post: Post, journal: HedgeJournal) -> LegB:
        """Return a leg that knows where the pair stands."""
        book = HedgeBook(await post.patience())
        for account, trade_id in journal.fills():
            book.remember(account, trade_id)
        _, reading = await first_positions(post)
        book.start(reading)
        if book.owed:
            post.tell(f"B starts unbalanced: owes {book.owed} lots")
        return cls(post, book, journal)

    async def run(self) -> None:
        """Hedge until cancelled.

        Raises:
            HedgeHaltedError: exposure stayed open for too long.
        """
        work = [asyncio.ensure_future(one()) for one in (self._listen, self._compare)]
        work.append(asyncio.ensure_future(self._decide()))
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            work += [self._hedging] if self._hedging else []
            for one in work:
                one.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            try:
                for delivery in await self._reader.receive(1.0):
                    self._take(delivery)
                if not self.book.in_flight and not self._needs_hedge():
                    done, self._waiting = self._waiting, []
                    await self._acknowledge(done, None, 0)
            except BusDownError as error:  # noqa: PERF203 - it goes on listening
                # The look at the positions goes on without the bus.
                self._post.tell(f"B: {error}")
                await asyncio.sleep(BUS_PAUSE_S)

    def _take(self, delivery: Delivery) -> None:
        try:
            fill = read_fill(delivery.fields, self._post.dealer.market)
        except ProtocolError as error:
            self._post.tell(f"B skips message {delivery.message_id}: {error}")
            self._waiting.append((delivery, None))
            return
        self._waiting.append((delivery, fill))
        self.book.on_fill(fill)
        self._news.set()

    async def _compare(self) -> None:
        calm = True
        while True:
            await self._post.rest(calm=calm)
            begun, was_busy = self._hedges_begun, self.book.in_flight
            try:
                _, reading = await self._post.positions(urgent=not calm)
            except (VenueError, TransportError, ProtocolError) as error:
                self._post.tell(f"B cannot read the positions: {error}")
                continue
            calm = abs(reading.exposure) < self.book.least_lots
            now = asyncio.get_running_loop().time()
            if was_busy or begun != self._hedges_begun:
                continue
            if self.book.on_reading(reading, now):
                self._post.tell(f"B repairs: owes {self.book.owed} lots")
                self._news.set()

    async def _decide(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            action = self.book.decide(loop.time())
            if isinstance(action, Hedge):
                self._hedges_begun += 1
                self._hedging = loop.create_task(self._hedge(action.lots))
            elif isinstance(action, GiveUp):
                self._post.tell(f"B gives up: {action.lots} lots unhedged")
            elif isinstance(action, Halt):
                self._post.tell(f"B halts: {action.lots} lots unhedged")
                raise HedgeHaltedError(f"leg B: {action.lots} lots stay unhedged")
            self._news.clear()
            timer = loop.call_later(LOOK_S, self._news.set)
            try:
                await self._news.wait()
            finally:
                timer.cancel()

    async def _hedge(self, lots: int) -> None:
        post, traded, coi = self._post, 0, None
        # What comes meanwhile is for the next hedge.
        covered, self._waiting = self._waiting, []
        try:
            coi = await post.trade(lots)
            if coi is not None:
                traded = await post.traded(coi) * (1 if lots > 0 else -1)
        finally:
            self.book.on_hedge(traded, asyncio.get_running_loop().time())
            self._news.set()
        post.tell(f"B hedge of {lots} lots traded {traded}")
        self.hedged += bool(traded)
        if not traded:
            self._waiting = covered + self._waiting
            return
        with contextlib.suppress(BusDownError):
            # Unacknowledged, they come again; the book knows them then.
            await self._acknowledge(covered, coi, traded)
            # A courtesy to whoever watches: leg A looks at the positions itself.
            told = {"lots": str(traded), "order_index": str(coi)}
            account = str(post.accounts[1])
            await post.bus.publish(B_FILLED, {"account_index": account, **told})

    def _needs_hedge(self) -> bool:
        return abs(self.book.owed) >= self.book.least_lots

    async def _acknowledge(
        self, done: list[tuple[Delivery, Fill | None]], coi: int | None, lots: int
    ) -> None:
        """Write down what was acted on or is carried along; then let go of it."""
        fills = [(fill.account, fill.trade_id) for _, fill in done if fill]
        if fills:
            self._journal.add(fills, coi, lots)
        await self._reader.acknowledge(delivery for delivery, _ in done)


async def main(options: argparse.Namespace) -> None:
    """Run leg B until it is interrupted."""
    async with post_of("b", options) as post:
        leg = await LegB.create(post, HedgeJournal(options.journal))
        post.tell("B is ready")
        await leg.run()


if __name__ == "__main__":
    sys.exit(run(main(arguments(__doc__)), name="hedge leg B"))
