"""Market life at the book: the flow's wishes become orders of its own accounts.

Where users' orders stand among the flow's is a choice of three. `risk-averse`: what a
level loses goes from its back, so users advance by trades alone, or when nothing
behind them is left to go. `prob`: what a level loses goes from all of it in
proportion, before and behind users. `front`: users stand before the flow.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Final

from wrappy._core.ledger import FRACTION_SCALE
from wrappy._core.matching import RESTED, Fill
from wrappy.venue.accounts import FLOW_MAKER, FLOW_TAKER
from wrappy.venue.events import (
    BarTraded,
    HaltMarket,
    MarketChanged,
    PassBar,
    PathPoint,
    PrintTrade,
    SetIndexPrice,
    SetLevel,
    Take,
)
from wrappy.venue.margin import health_of, part_of
from wrappy.venue.orders import VenueOrder

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy._core.matching import BookOrder
    from wrappy.venue.accounts import Account
    from wrappy.venue.events import Event, FlowAction
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.settings import QueueModel
    from wrappy.venue.trading import TradingFloor

HIGHEST: Final = 2**62
"""More ticks than any price has."""

_NOWHERE: Final = (HIGHEST, 0)


class FlowOrders:
    """Carries out the flow's actions on a trading floor.

    Args:
        floor: books and balances.
        emit: takes what happened.
        queue: where users' orders stand among the flow's at their price.
    """

    def __init__(
        self,
        floor: TradingFloor,
        emit: Callable[[Event], None],
        queue: QueueModel = "risk-averse",
    ) -> None:
        self._floor = floor
        self._emit = emit
        self._queue = queue
        self._quotes: dict[tuple[int, bool], VenueOrder] = {}
        self._held_until: dict[int, int] = {}

    def held_until(self, market_index: int) -> int:
        """Return until when takers wait in a market, unix microseconds, or 0."""
        return self._held_until.get(market_index, 0)

    def apply(self, action: FlowAction, *, now_us: int) -> MarketState:
        """Carry out one act of market life; return the market it touched."""
        state = self._floor.markets[action.market_index]
        if isinstance(action, SetLevel):
            self._set_level(state, action, now_us)
        elif isinstance(action, Take):
            self._take(state, action, now_us)
        elif isinstance(action, SetIndexPrice):
            if action.price != state.index_price:
                state.index_price = action.price
                self._emit(MarketChanged(now_us, state.index))
        elif isinstance(action, HaltMarket):
            state.halted = action.reason
        elif isinstance(action, PathPoint):
            self._go_to(state, action, now_us)
        elif isinstance(action, PassBar):
            self._pass_bar(state, action, now_us)
        else:
            self._print_trade(state, action, now_us)
        return state

    def _flow_order(
        self,
        state: MarketState,
        owner: int,
        action: SetLevel | Take | PrintTrade,
        base: int,
    ) -> VenueOrder:
        return VenueOrder(
            order_index=state.new_order_index(is_ask=action.is_ask),
            owner=owner,
            owner_group=owner,
            is_ask=action.is_ask,
            price=action.price,
            remaining=base,
            time_in_force=1 if isinstance(action, SetLevel) else 0,
            market_index=state.index,
            initial_base=base,
        )

    def _set_level(self, state: MarketState, action: SetLevel, now_us: int) -> None:
        key = (action.is_ask, action.price)
        queue = state.flow_levels.get(key) or []
        missing = action.base
        if queue:
            queue = [order for order in queue if order.remaining]
            missing -= sum([order.remaining for order in queue])
        if missing < 0 and self._queue == "prob":
            missing += self._shrink_evenly(state, queue, -missing)
        while missing < 0:
            # From the back: what users wait behind goes only by trades.
            last = queue.pop()
            taken = min(last.remaining, -missing)
            missing += taken
            state.engine.reduce(last.order_index, taken)
            if last.remaining:
                queue.append(last)
        if missing > 0:
            self._clear_crossing_flow(state, action)
            order = self._flow_order(state, FLOW_MAKER, action, missing)
            order.created_us = now_us
            if self._floor.run(state, order, now_us, "") == RESTED:
                queue.append(order)
        if queue:
            state.flow_levels[key] = queue
        else:
            state.flow_levels.pop(key, None)

    @staticmethod
    def _shrink_evenly(state: MarketState, queue: list[VenueOrder], lots: int) -> int:
        # Rounded down for each; returns what went. The rest goes from the back.
        whole = sum([order.remaining for order in queue])
        gone = 0
        for order in list(queue):
            part = order.remaining * lots // whole
            if part:
                state.engine.reduce(order.order_index, part)
                gone += part
            if not order.remaining:
                queue.remove(order)
        return gone

    def _clear_crossing_flow(self, state: MarketState, action: SetLevel) -> None:
        other = not action.is_ask
        toward = 1 if action.is_ask else -1
        engine = state.engine
        best = engine.best_bid if action.is_ask else engine.best_ask
        if best is None or (best - action.price) * toward < 0:
            return
        crossing = takewhile(
            lambda price: (price - action.price) * toward >= 0,
            engine.prices(is_ask=other),
        )
        for price in list(crossing):
            for order in state.flow_levels.pop((other, price), ()):
                engine.cancel(order.order_index)

    def _take(self, state: MarketState, action: Take, now_us: int) -> None:
        if self._queue == "front":
            self._let_users_forward(state, action.price, is_ask=not action.is_ask)
        order = self._flow_order(state, FLOW_TAKER, action, action.base)
        self._floor.run(state, order, now_us, "")
        if action.print_rest and order.remaining:
            self._print(state, action, order.remaining, now_us)

    def _print(
        self,
        state: MarketState,
        action: Take | PrintTrade,
        base: int,
        now_us: int,
    ) -> None:
        # A trade among others, of which our book knows nothing.
        maker, taker = (
            VenueOrder(
                order_index=state.new_order_index(is_ask=is_ask),
                owner=owner,
                is_ask=is_ask,
                price=action.price,
                remaining=0,
                market_index=state.index,
                initial_base=base,
            )
            for owner, is_ask in (
                (FLOW_MAKER, not action.is_ask),
                (FLOW_TAKER, action.is_ask),
            )
        )
        self._floor.trade(state, Fill(maker, taker, action.price, base), now_us, "")

    def _let_users_forward(
        self, state: MarketState, price: int, *, is_ask: bool
    ) -> None:
        # Everything of the flow that a taker down to `price` could meet goes behind.
        for order in _in_reach(state, price, is_ask=is_ask):
            if order.owner == FLOW_MAKER:
                state.engine.send_back(order.order_index)

    def _print_trade(self, state: MarketState, action: PrintTrade, now_us: int) -> None:
        left, printed, makers = action.base, 0, not action.is_ask
        if self._queue == "front":
            self._let_users_forward(state, action.price, is_ask=makers)
        for order in _in_reach(state, action.price, is_ask=makers):
            if order.owner != FLOW_MAKER:
                # By now the first of its side: the taker meets nobody else.
                base = min(left, order.remaining)
                if base:
                    left -= self._hit(state, action, base, now_us)
            elif order.price != action.price:
                state.engine.cancel(order.order_index)
                order.remaining = 0
            elif base := min(left, order.remaining):
                state.engine.reduce(order.order_index, base)
                left, printed = left - base, printed + base
        if printed + left:
            self._print(state, action, printed + left, now_us)

    def _hit(
        self, state: MarketState, action: PrintTrade, base: int, now_us: int
    ) -> int:
        # Returns what was traded: none of it where the user could not carry it.
        taker = self._flow_order(state, FLOW_TAKER, action, base)
        self._floor.run(state, taker, now_us, "")
        return base - taker.remaining

    def _go_to(self, state: MarketState, action: PathPoint, now_us: int) -> None:
        index, left = state.index, action.base
        self._take_quotes_back(state, action)
        if self._has_users_orders(state):
            self._take_quotes_back(state, None)
            left = self._go_through(state, action, now_us)
        if left:
            toward_ask = action.price >= (state.last_trade_price or action.price)
            trade = PrintTrade(index, not toward_ask, action.price, left)
            self._print(state, trade, left, now_us)
        self._quote(state, action, now_us)

    def _pass_bar(self, state: MarketState, bar: PassBar, now_us: int) -> None:
        close_us = now_us - bar.ago_us
        start_us = close_us - bar.length_us
        quote = bar.value * state.market.quote_multiplier
        if bar.moves_index and bar.close != state.index_price:
            state.index_price = bar.close
            self._emit(MarketChanged(now_us, state.index))
        prices = (bar.open, bar.high, bar.low, bar.close)
        told = BarTraded(close_us, state.index, start_us, *prices, bar.base, quote)
        if bar.base:
            state.last_trade_price = bar.close
            state.day.add_bar(told, bar.points)
            self._emit(told)
        if bar.followed:
            return
        self._take_quotes_back(state, bar)
        self._quote(state, bar, now_us)

    def reach(self, market_index: int) -> tuple[int, int]:
        """Return the lowest and highest price that reach nothing of a user.

        That is no order, no trigger and no account's requirement, as long as they stay
        what they are. They are crossed where nothing can be said.
        """
        state = self._floor.markets[market_index]
        known = state.mark_price
        if not known or state.halted:
            return _NOWHERE
        low, high = 1, HIGHEST
        for order in state.armed.values():
            if order.trigger_price <= known:
                low = max(low, order.trigger_price + 1)
            if order.trigger_price >= known:
                high = min(high, order.trigger_price - 1)
        if self._has_users_orders(state):
            best_ask, best_bid = (self._best_of_users(state, ask) for ask in (1, 0))
            low = low if best_bid is None else max(low, best_bid + 1)
            high = high if best_ask is None else min(high, best_ask - 1)
        for account in self._floor.accounts.values():
            if account.is_flow or not account.ledger.size(market_index):
                continue
            lowest, highest = self._carried(account, state)
            low, high = max(low, lowest), min(high, highest)
        return (low, high) if low <= known <= high else _NOWHERE

    def _best_of_users(self, state: MarketState, is_ask: int) -> int | None:
        quote = self._quotes.get((state.index, bool(is_ask)))
        users = (
            order.price
            for order in state.engine.orders(is_ask=bool(is_ask))
            if order is not quote
        )
        return next(users, None)

    def _carried(self, account: Account, state: MarketState) -> tuple[int, int]:
        # Between which prices the part of an account stays above its requirement,
        # with a like share of what it can lose for each of its positions.
        ledger, markets = account.ledger, self._floor.markets
        part = part_of(ledger, state.index)
        health = health_of(account, markets, part)
        slack = health.equity * FRACTION_SCALE - health.maintenance
        positions = ledger.cross_part().positions if part is None else (state.index,)
        count = sum(1 for index in positions if ledger.size(index))
        size, fraction = (
            ledger.size(state.index),
            state.market.maintenance_margin_fraction,
        )
        toward = 1 if size > 0 else -1
        per_tick = (
            abs(size)
            * state.market.quote_multiplier
            * (FRACTION_SCALE - toward * fraction)
        )
        ticks = slack // count // per_tick
        if ticks < 0:
            return _NOWHERE
        known = state.mark_price
        return (known - ticks, HIGHEST) if size > 0 else (1, known + ticks)

    def _has_users_orders(self, state: MarketState) -> bool:
        engine, standing = state.engine, 0
        for is_ask in (False, True):
            quote = self._quotes.get((state.index, is_ask))
            standing += quote is not None and quote.order_index in engine
        return len(engine) > standing

    def _take_quotes_back(
        self, state: MarketState, wanted: PathPoint | PassBar | None
    ) -> None:
        # Those that are to stand elsewhere, or all of them.
        for is_ask in (False, True):
            quote = self._quotes.get((state.index, is_ask))
            if quote is None or quote.order_index not in state.engine:
                continue
            if wanted is not None:
                price = wanted.ask if is_ask else wanted.bid
                if (quote.price, quote.remaining) == (price, wanted.depth):
                    continue
            state.engine.cancel(quote.order_index)

    def _quote(
        self, state: MarketState, wanted: PathPoint | PassBar, now_us: int
    ) -> None:
        index, engine = state.index, state.engine
        for is_ask, price in ((False, wanted.bid), (True, wanted.ask)):
            quote = self._quotes.get((index, is_ask))
            if quote is None:
                level = SetLevel(index, is_ask, price, wanted.depth)
                quote = self._flow_order(state, FLOW_MAKER, level, wanted.depth)
                self._quotes[index, is_ask] = quote
            elif quote.order_index in engine:
                continue
            quote.price, quote.remaining = price, wanted.depth
            # A user's order that the volume did not reach keeps its place.
            engine.rest_unmatched(quote, now_ms=now_us // 1_000)
        self._held_until[index] = now_us + wanted.hold_us + 1 if wanted.hold_us else 0

    def _go_through(self, state: MarketState, action: PathPoint, now_us: int) -> int:
        # Returns the volume that users' orders left.
        left = action.base
        for is_ask in (True, False):
            if not left:
                break
            beyond = 0 if action.on_touch else 1
            limit = action.price + (beyond if is_ask else -beyond)
            best = state.engine.best_bid if is_ask else state.engine.best_ask
            if best is None or (best < limit if is_ask else best > limit):
                continue
            hit = PrintTrade(state.index, is_ask, limit, left)
            left -= self._hit(state, hit, left, now_us)
        return left


def _in_reach(state: MarketState, price: int, *, is_ask: bool) -> list[BookOrder]:
    # Resting orders of one side that a taker down to `price` could meet, in order.
    return list(
        takewhile(
            lambda order: order.price <= price if is_ask else order.price >= price,
            state.engine.orders(is_ask=is_ask),
        )
    )
