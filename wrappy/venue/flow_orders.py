"""Market life at the book: the flow's wishes become orders of its own accounts."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from wrappy._core.matching import RESTED, Fill
from wrappy.venue.accounts import FLOW_MAKER, FLOW_TAKER
from wrappy.venue.events import MarketChanged, SetLevel, Take
from wrappy.venue.orders import VenueOrder

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.venue.events import Event, FlowAction
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.trading import TradingFloor


class FlowOrders:
    """Carries out the flow's actions on a trading floor."""

    def __init__(self, floor: TradingFloor, emit: Callable[[Event], None]) -> None:
        self._floor = floor
        self._emit = emit

    def apply(self, action: FlowAction, *, now_us: int) -> MarketState:
        """Carry out one act of market life; return the market it touched."""
        state = self._floor.markets[action.market_index]
        if isinstance(action, SetLevel):
            self._set_level(state, action, now_us)
        elif isinstance(action, Take):
            self._take(state, action, now_us)
        elif action.price != state.index_price:
            state.index_price = action.price
            self._emit(MarketChanged(now_us, state.index))
        return state

    def _flow_order(
        self, state: MarketState, owner: int, action: SetLevel | Take, base: int
    ) -> VenueOrder:
        return VenueOrder(
            order_index=state.new_order_index(is_ask=action.is_ask),
            owner=owner,
            owner_group=owner,
            is_ask=action.is_ask,
            price=action.price,
            remaining=base,
            time_in_force=0 if isinstance(action, Take) else 1,
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
        order = self._flow_order(state, FLOW_TAKER, action, action.base)
        self._floor.run(state, order, now_us, "")
        if action.print_rest and order.remaining:
            base, order.remaining = order.remaining, 0
            maker = VenueOrder(
                order_index=state.new_order_index(is_ask=not action.is_ask),
                owner=FLOW_MAKER,
                is_ask=not action.is_ask,
                price=action.price,
                remaining=0,
                market_index=state.index,
                initial_base=base,
            )
            self._floor.trade(state, Fill(maker, order, action.price, base), now_us, "")
