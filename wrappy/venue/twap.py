"""TWAP orders: a size spread evenly over a time, a slice every thirty seconds.

Each slice is an order of its own, immediate or cancel, no worse than the TWAP order's
price on average. What a slice did not find is not made up for later: the TWAP order's
remaining size counts what is not sliced yet (published prover circuits). When the
slices are cut, and that all of a run are equal, is a choice: nothing is published.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wrappy._core.matching import CANCELED_LIQUIDITY, FILLED
from wrappy.model import TimeInForce
from wrappy.venue.market_state import ORDER_NONCE_MASK
from wrappy.venue.orders import PENDING, TWAP_SUB, VenueOrder

if TYPE_CHECKING:
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.trading import TradingFloor

SLICE_US: Final = 30_000_000


def slice_size(remaining: int, left_us: int) -> int:
    """Return the lots of the slice that is due.

    Args:
        remaining: lots not sliced yet, positive.
        left_us: microseconds until the run is over, positive.
    """
    slices = -(-left_us // SLICE_US)
    return -(-remaining // slices)


def run_slice(
    floor: TradingFloor, state: MarketState, order: VenueOrder, *, now_us: int
) -> int | None:
    """Execute the slice that is due; return when the next one is, or None at the end.

    Args:
        floor: where it is executed.
        state: the order's market.
        order: a pending TWAP order whose expiry has not passed.
        now_us: unix microseconds.
    """
    left_us = order.expiry_ms * 1_000 - now_us
    base = slice_size(order.remaining, left_us)
    order_index = state.new_order_index(is_ask=order.is_ask)
    part = VenueOrder(
        order_index=order_index,
        nonce=order_index & ORDER_NONCE_MASK,
        owner=order.owner,
        owner_group=order.owner_group,
        is_ask=order.is_ask,
        price=order.price,
        remaining=base,
        time_in_force=int(TimeInForce.IMMEDIATE_OR_CANCEL),
        reduce_only=order.reduce_only,
        is_market=True,
        self_trade=order.self_trade,
        self_trade_same_group=order.self_trade_same_group,
        market_index=state.index,
        order_type=TWAP_SUB,
        initial_base=base,
        parent_index=order.order_index,
        created_us=now_us,
        tx_hash=order.tx_hash,
    )
    floor.run(state, part, now_us, "")
    order.remaining -= base
    order.filled_base += part.filled_base
    order.filled_quote += part.filled_quote
    if order.remaining:
        floor.settle(state, order, PENDING, now_us)
        return min(now_us + SLICE_US, order.expiry_ms * 1_000)
    order.remaining = order.initial_base - order.filled_base
    outcome = CANCELED_LIQUIDITY if order.remaining else FILLED
    floor.settle(state, order, outcome, now_us)
    return None
