"""Orders that wait: for the mark price, for a parent order, for their next slice.

Whatever happens on the floor may set others free or end them. `carry_on` follows that
up until nothing is left to follow; `wake` does what an order's own time brings.

Source of the rules: the published prover circuits. The exchange lets triggers and
slices come from its own side, and how soon is not published: here they happen at the
moment their condition holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrappy._core.matching import CANCELED_EXPIRED, CANCELED_REDUCE_ONLY
from wrappy.venue.market_state import ORDER_NONCE_MASK
from wrappy.venue.orders import (
    AWAITS_MARK,
    AWAITS_PARENT,
    AWAITS_SLICE,
    CANCELED,
    CANCELED_CHILD,
    CANCELED_OCO,
    NOT_TRIGGERED_BY,
    PENDING,
    VenueOrder,
)
from wrappy.venue.twap import run_slice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wrappy.venue.market_state import MarketState
    from wrappy.venue.trading import TradingFloor


class Conditionals:
    """The waiting orders of one trading floor.

    Args:
        floor: where they wait and are executed.
        call_at: (unix microseconds, order) asks for a `wake` then.
    """

    def __init__(
        self, floor: TradingFloor, call_at: Callable[[int, VenueOrder], None]
    ) -> None:
        self._floor = floor
        self._call_at = call_at

    def hold(self, order: VenueOrder, trigger_status: str, *, now_us: int) -> None:
        """Let a new order wait; it ends by itself when its expiry passes.

        One that could not go on anyway ends at once.
        """
        state = self._floor.markets[order.market_index]
        order.trigger_status = trigger_status
        order.nonce = 0
        reason = self._obstacle(order, now_us)
        if reason is not None:
            self._floor.settle(state, order, reason, now_us)
            return
        if trigger_status == AWAITS_MARK:
            state.armed[order.order_index] = order
        self._floor.settle(state, order, PENDING, now_us)
        due_us = now_us if trigger_status == AWAITS_SLICE else order.expiry_ms * 1_000
        self._call_at(max(now_us, due_us), order)

    def wake(self, order: VenueOrder, *, now_us: int) -> None:
        """Do what is due for an order that asked to be called; it may be gone."""
        if not order.is_pending:
            return
        state = self._floor.markets[order.market_index]
        reason = self._obstacle(order, now_us)
        if reason is not None:
            self._floor.take_out(order, reason, now_us)
        else:
            # Before its expiry only a TWAP order asks to be called.
            next_us = run_slice(self._floor, state, order, now_us=now_us)
            if next_us is not None:
                self._call_at(next_us, order)

    def _obstacle(self, order: VenueOrder, now_us: int) -> str | None:
        # Why a waiting order ends instead of going on. Of a child only its time
        # counts: the position it is to shrink need not exist yet.
        if order.expiry_ms * 1_000 <= now_us:
            return CANCELED_EXPIRED
        if order.is_tied:
            ledger = self._floor.accounts[order.owner].ledger
            if not ledger.reducible(order.market_index, is_ask=order.is_ask):
                return CANCELED_REDUCE_ONLY
        return None

    def carry_on(self, states: Iterable[MarketState], *, now_us: int) -> None:
        """Follow up what just happened in `states`, until all is quiet.

        Ends and turned positions first, then books and mark prices are told, then the
        oldest order whose trigger is reached is executed; and again.
        """
        touched = list(states)
        while touched:
            self.follow_up(now_us=now_us)
            self._floor.tell_books(touched, now_us=now_us)
            touched = self._fire_next(touched, now_us)

    def follow_up(self, *, now_us: int) -> None:
        """Arm or end what hung on orders that ended and positions that turned."""
        floor = self._floor
        while floor.ended or floor.turned:
            ended, floor.ended = floor.ended, []
            turned, floor.turned = floor.turned, []
            for parent in ended:
                self._follow_end(parent, now_us)
            for account_index, market_index in turned:
                self._follow_turn(account_index, market_index, now_us)

    def _follow_turn(self, account_index: int, market_index: int, now_us: int) -> None:
        # A parent filled by the same trade has armed its children already, for the
        # position as it is now: those have something to shrink and stay.
        account = self._floor.accounts[account_index]
        for order in list(account.open_orders.values()):
            if order.market_index != market_index or not order.is_tied:
                continue
            if not account.ledger.reducible(market_index, is_ask=order.is_ask):
                self._floor.take_out(order, CANCELED_REDUCE_ONLY, now_us)

    def _follow_end(self, parent: VenueOrder, now_us: int) -> None:
        # A parent that its owner canceled takes its children along; otherwise what
        # was filled, however little, is what they are armed for.
        live = self._floor.accounts[parent.owner].open_orders
        for index in parent.to_trigger:
            child = live.get(index)
            if child is None or child.trigger_status != AWAITS_PARENT:
                continue
            if parent.status == CANCELED or not parent.filled_base:
                self._floor.take_out(child, CANCELED_CHILD, now_us)
            else:
                self._arm(child, parent.filled_base, now_us)

    def _arm(self, child: VenueOrder, base: int, now_us: int) -> None:
        state = self._floor.markets[child.market_index]
        child.initial_base = child.remaining = base
        child.trigger_status = AWAITS_MARK
        reason = self._obstacle(child, now_us)
        if reason is not None:
            self._floor.take_out(child, reason, now_us)
            return
        state.armed[child.order_index] = child
        self._floor.settle(state, child, PENDING, now_us)

    def _fire_next(self, states: list[MarketState], now_us: int) -> list[MarketState]:
        for state in states:
            for order in state.armed.values():
                if order.is_crossed(state.mark_price):
                    self._fire(state, order, now_us)
                    return states
        return []

    def _fire(self, state: MarketState, order: VenueOrder, now_us: int) -> None:
        # Neither expired nor without a position: those have been taken out by now.
        floor = self._floor
        account = floor.accounts[order.owner]
        sibling = account.open_orders.get(order.to_cancel)
        if sibling is not None:
            floor.take_out(sibling, CANCELED_OCO, now_us)
        del state.armed[order.order_index]
        order.trigger_status, order.trigger_us = NOT_TRIGGERED_BY, now_us
        number = state.new_order_index(is_ask=order.is_ask)
        order.nonce = number & ORDER_NONCE_MASK
        if not order.initial_base:
            base = account.ledger.reducible(state.index, is_ask=order.is_ask)
            order.initial_base = order.remaining = base
        floor.run(state, order, now_us, "")
