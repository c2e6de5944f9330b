"""Trend ladder: enter in steps on one side, take each step's profit a distance away.

Idea. Entries rest at the best price and below it (above, for a short ladder). Each
fill, also a partial one, gets a reduce-only order at a fixed distance. So long as the
price swings more than that distance, every swing pays.

What it watches over: the sum of the reduce-only orders against the position. A gap is
repaired at once, and never beyond the position. A take profit counts only while it
exists: one that the exchange refused is forgotten and placed again, one whose fate is
not known counts as if it rested.

Risks. A move that does not come back leaves up to `max_position` under water: there
is no stop-loss here. When it is stopped its orders go, the position stays. A part
below the market's smallest order waits for more before it is covered. It wants a
market of its own on the account: at the start it cancels what rests there.

Try it:

    python examples/trend_ladder/run_trend_ladder.py --seconds 60
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from ladder_account import (
    average_entry,
    best_ticks,
    clear_market,
    lots_held,
    true_position,
)
from ladder_core import Backoff, Ladder
from ladder_settings import LadderParameters, rules_of
from ladder_telemetry import Telemetry

from wrappy.errors import RiskDeniedError
from wrappy.model import OrderStatus, ReceiptStage
from wrappy.runner.strategy import NOT_NOW, Context, Strategy

if TYPE_CHECKING:
    from ladder_core import Plan

BREATH_S = 0.1  # between two looks
DOUBTFUL_AFTER_S = 3.0  # the two words on the position may differ, then we ask


class TrendLadder(Strategy[LadderParameters]):
    """Entries below, take profits above, and never an uncovered position."""

    market_data = "book"

    async def run(self, ctx: Context) -> None:
        """Look, plan, act, verify; when something changed, at least once a cycle."""
        tuned = self.parameters
        self.ctx, self.dealer = ctx, ctx.dealer()
        self.rules = rules_of(tuned, ctx.market())
        requoting = Backoff(tuned.requote_backoff_s, 16 * tuned.requote_backoff_s)
        repairing = Backoff(tuned.cycle_s, 30 * tuned.cycle_s, free=3)
        self.ladder = Ladder(self.rules, requoting, repairing)
        self.telemetry = Telemetry(ctx, every_s=tuned.telemetry_s, card=tuned.card)
        self.agreed_at, self.reconcile_at = ctx.now(), ctx.now() + tuned.reconcile_s
        self.stale: int | None = None
        self.unsent = False
        changed = asyncio.Event()
        self.dealer.orders.tell(lambda _: changed.set())
        ctx.ws.add_hook("on_positions", lambda _: changed.set())
        ends = ctx.now() + tuned.seconds if tuned.seconds else float("inf")
        await clear_market(ctx, close=False, again_s=tuned.cycle_s)
        await self.reconcile()
        while ctx.now() < ends:
            changed.clear()
            await self.cycle()
            await ctx.sleep(BREATH_S)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(changed.wait(), tuned.cycle_s)
        await clear_market(ctx, close=True, again_s=tuned.cycle_s)
        await self.reconcile()
        seen = self.ladder.coverage(self.told())
        self.telemetry.report(self.ladder, seen, at_once=True)

    async def cycle(self) -> None:
        """Look, plan, act, verify; ask the account when its word is due or doubted."""
        now = self.ctx.now()
        self.read_orders()
        told = self.told()
        if told == self.ladder.held:
            self.agreed_at = now
        best = best_ticks(self.ctx, self.rules.sign)
        await self.act(self.ladder.plan(told, best, now))
        self.read_orders()
        self.telemetry.report(self.ladder, self.ladder.coverage(self.told()))
        doubtful = now - self.agreed_at > DOUBTFUL_AFTER_S
        if doubtful or now >= self.reconcile_at:
            self.reconcile_at = now + self.parameters.reconcile_s
            self.agreed_at = now
            if differs := await self.reconcile():
                self.ctx.log.warning("the account differs by %d lots", differs)

    def told(self) -> int:
        """Return lots held by the position's stream, if the account agrees to it."""
        lots = lots_held(self.ctx, self.ctx.position(), self.rules.sign)
        if lots == self.stale:
            return self.ladder.held
        self.stale = None
        return lots

    def read_orders(self) -> None:
        """Tell the ladder what is known of its orders, all at one moment."""
        for number in [*self.ladder.entries, *self.ladder.profits]:
            record = self.dealer.orders.get(number)
            if record is None:
                self.agreed_at = 0.0  # it is over and was forgotten: ask the account
                self.ladder.forgotten(number)
                continue
            lost = self.ladder.changed(
                number,
                filled=record.filled_base,
                is_told=record.reported is not None,
                is_over=record.status.is_terminal,
            )
            if lost:
                log, refused = self.ctx.log, record.status is OrderStatus.REJECTED
                tell = log.warning if refused else log.info
                tell("tp %d is gone, %d lots of it: %s", number, lost, record.reason)

    def held_by_orders(self) -> int:
        """Return lots held by the latest word on the orders."""
        self.read_orders()
        return self.ladder.held

    async def act(self, plan: Plan) -> None:
        """Take profits first, in a request of their own: nothing may hold them up."""
        ctx, sign, market = self.ctx, self.rules.sign, self.ctx.market()
        placed = []
        with contextlib.suppress(RiskDeniedError):
            for tp in plan.profits:
                price, size = market.price(tp.ticks), market.size(tp.lots)
                made = await self.dealer.create_limit_order(
                    price, -sign * size, reduce_only=True
                )
                placed.append(made["client_order_index"])
                self.ladder.promised(placed[-1], tp, ctx.now())
                ctx.log.info("tp intent %d: %s at %s", placed[-1], size, price)
        if placed or self.unsent:
            await self.flush("take profits")
            await asyncio.gather(*(self.verify(number) for number in placed))
        for number in plan.cancels:
            await self.dealer.cancel_order_by_coi(number)
        with contextlib.suppress(RiskDeniedError):
            for entry in plan.entries:
                made = await self.dealer.create_limit_order(
                    market.price(entry.ticks),
                    sign * market.size(entry.lots),
                    post_only=True,
                )
                self.ladder.entered(made["client_order_index"], entry, ctx.now())
        if plan.cancels or plan.entries:
            await self.flush("entries")

    async def flush(self, what: str) -> None:
        """Send what is queued; what came of it the orders tell."""
        self.unsent = True
        try:
            await self.dealer.flush()
            self.unsent = False
        except NOT_NOW as error:
            self.ctx.log.warning("%s: %s", what, error)

    async def verify(self, number: int) -> None:
        """See what became of a take profit; one that was refused is placed again."""
        receipt = self.dealer.receipt(number)
        if receipt is None or receipt.stage is ReceiptStage.QUEUED:
            return  # not sent yet: it counts until it is known to have failed
        receipt = await self.dealer.wait_settled(number, self.parameters.verify_s)
        self.ctx.log.info("tp verify %d: %s", number, receipt.stage.value)
        if receipt.stage is ReceiptStage.EXECUTED:
            self.ladder.repairing.reset()
        elif receipt.stage.is_settled:
            self.ladder.repairing.done(self.ctx.now())

    async def reconcile(self) -> int:
        """Go by the account's word on the position; return by how much it differs."""
        held = await true_position(self.ctx, self.held_by_orders)
        if held is None:
            return 0  # it moved while we looked; there is a next time
        lots = lots_held(self.ctx, held, self.rules.sign)
        told = lots_held(self.ctx, self.ctx.position(), self.rules.sign)
        self.stale = None if told == lots else told
        return self.ladder.rebase(lots, average_entry(self.ctx))
