"""What the promises about streams need: a heavy market, an overlay, and a witness."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from wrappy import WsInfo
from wrappy.errors import BookGapError
from wrappy.venue.events import FaultFired, SetIndexPrice, SetLevel, Take

MIDDLE = 300_000
LOTS_A_UNIT = 10_000
OURS = 20
"""Ticks from the middle at which the bot's own large orders rest, before all others."""


class HeavyMarket:
    """Levels that change all the time, and takers that meet the best price.

    Args:
        every_us: microseconds between two rounds; each round trades once a side.
        seed: chooses its course.

    Attributes:
        trades: whether anybody trades; levels change as long as `moves`.
    """

    def __init__(self, every_us=100_000, seed=1):
        self.trades = True
        self.moves = True
        self._every_us = every_us
        self._next_us = 0
        self._dice = random.Random(seed)

    def next_at_us(self):
        return self._next_us

    def step(self, now_us):
        actions = []
        while self._next_us <= now_us:
            if not self._next_us:
                actions.append(SetIndexPrice(0, MIDDLE))
            actions += self._round()
            self._next_us += self._every_us
        return actions

    def _round(self):
        dice = self._dice
        if self.moves:
            for is_ask, sign in ((False, -1), (True, 1)):
                for _ in range(3):
                    price = MIDDLE + sign * dice.randrange(30, 60)
                    base = dice.choice((0, dice.randrange(1_000, 10**6)))
                    yield SetLevel(0, is_ask=is_ask, price=price, base=base)
        if self.trades:
            yield Take(0, is_ask=True, price=MIDDLE - OURS, base=50)
            yield Take(0, is_ask=False, price=MIDDLE + OURS, base=50)


async def overlay_at(exchange, account=0, **changes):
    """Return an overlay of an account's streams and of ETH; close it in the end."""
    owner = exchange.accounts[account]
    key = owner.api_keys[0]
    return await WsInfo.run_overlay(
        owner.account_index,
        key.api_key_index,
        key.api_key_private_key,
        **{
            "symbol": "ETH",
            "base_url": exchange.base_url,
            "chain_id": exchange.chain_id,
            **changes,
        },
    )


class Witness:
    """Writes down what an overlay tells, and when.

    Attributes:
        told: how often each own trade was told, by number.
        told_at: when it was first told, the loop's seconds.
        public: how often each of the market's trades was told.
        gaps: every `BookGap`.
        backs: when everything was live again after an outage.
        untrue: prices that the book showed crossed.
    """

    def __init__(self, overlay):
        self.overlay = overlay
        self.told = Counter()
        self.told_at = {}
        self.public = Counter()
        self.gaps = []
        self.backs = []
        self.untrue = []
        for event, hook in (
            ("on_trades", self._on_trades),
            ("on_public_trades", self._on_public_trades),
            ("on_gap", self.gaps.append),
            ("on_reconnect", self._on_reconnect),
            ("on_book", self._on_book),
        ):
            overlay.add_hook(event, hook)

    def _on_trades(self, rows):
        now = asyncio.get_running_loop().time()
        for row in rows:
            self.told[row["trade_id"]] += 1
            self.told_at.setdefault(row["trade_id"], now)

    def _on_public_trades(self, rows):
        self.public.update(row["trade_id"] for row in rows)

    def _on_reconnect(self, _):
        self.backs.append(asyncio.get_running_loop().time())

    def _on_book(self, view):
        try:
            bid, ask = view.best_bid, view.best_ask
        except BookGapError:
            return  # it was sound when the hook was told, and no more
        if bid is not None and ask is not None and bid.price >= ask.price:
            self.untrue.append((bid, ask))


def own_trades(exchange, account=0):
    """Return the numbers of an account's trades in the ledger, in order."""
    index = exchange.accounts[account].account_index
    return [trade.trade_id for trade in exchange.ledger.trades(index)]


def true_depth(engine):
    """Return the exchange's own book: bids and asks as (ticks, lots)."""
    return engine.exchange.markets[0].engine.depth()


def shown_depth(overlay):
    """Return the overlay's book the same way; raises while it is not sound."""
    bids, asks = overlay.book().depth(10_000)
    return tuple(
        [(int(level.price * 100), int(level.size * LOTS_A_UNIT)) for level in side]
        for side in (bids, asks)
    )


def fired(exchange, *acts):
    """Return how often any of these acts happened."""
    return sum(fault.act in acts for fault in exchange.ledger.of(FaultFired))


def judge_fills(witness, exchange, account=0):
    """Every fill of the ledger was told, once; nothing else was."""
    true = own_trades(exchange, account)
    assert true, "nobody traded"
    missing = [number for number in true if not witness.told[number]]
    assert not missing, f"{len(missing)} of {len(true)} fills never told: {missing[:9]}"
    assert set(witness.told) == set(true)
    assert max(witness.told.values()) == 1, "a fill was told twice"


async def judge_orders(overlay, orders, exchange, account=0):
    """No order is live here that has ended there, and the other way round.

    `orders` are the client order indices to look at.
    """
    index = exchange.accounts[account].account_index
    there = {o.client_order_index: o.status for o in exchange.ledger.orders(index)}
    for coi in orders:
        here = await overlay.get_order_by_coi(coi)
        assert here is not None, f"order {coi} was never told of"
        assert (here["status"] == "open") == (there[coi] == "open"), (coi, here)


class Truth:
    """The exchange's own book at each of its counts, and what an overlay showed then.

    Attributes:
        depths: the book by count.
        compared: how often a shown book could be held against the true one.
        wrong: counts at which it showed something else.
    """

    def __init__(self, engine, overlay):
        self.depths = {}
        self.compared = 0
        self.wrong = []
        self._engine = engine
        self._overlay = overlay
        self._task = asyncio.create_task(self._watch())
        overlay.add_hook("on_book", lambda _: self.compare())

    async def _watch(self):
        state = self._engine.exchange.markets[0]
        while True:
            if state.book_nonce not in self.depths:
                self.depths[state.book_nonce] = state.engine.depth()
            await asyncio.sleep(0.001)

    def compare(self):
        """Hold what can be read now against the truth of its count."""
        try:
            shown = shown_depth(self._overlay)
        except BookGapError:
            return
        true = self.depths.get(self._overlay.book().nonce)
        if true is not None:
            self.compared += 1
            if shown != true:
                self.wrong.append(self._overlay.book().nonce)

    async def aclose(self):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
