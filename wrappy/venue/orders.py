"""An order as the exchange keeps it: the matching engine's part and the wire's."""

from __future__ import annotations

from dataclasses import dataclass

from wrappy._core.matching import BookOrder


@dataclass(slots=True, kw_only=True, eq=False)
class VenueOrder(BookOrder):
    """A resting or finished order.

    The matching fields (order_index, owner, is_ask, price, remaining, ...) come from
    `BookOrder`; here is what the wire needs besides.

    Attributes:
        client_order_index: the owner's number for it; 0 when it has none.
        market_index: its market.
        order_type: number of `OrderType`.
        initial_base: lots asked for.
        filled_base: lots executed.
        filled_quote: 1e-6 USDC executed.
        trigger_price: ticks; 0 for orders without a trigger.
        status: word of the wire, such as `open` or `canceled-post-only`.
        nonce: its market's count of orders when it was made or last modified: asks
            count up from 1, bids down from 2^48-1.
        block_height: block of that change.
        created_us: venue time of its creation, microseconds.
        updated_us: venue time of the last change, microseconds; no two changes
            share one.
        tx_hash: transaction that made it.
    """

    client_order_index: int = 0
    market_index: int = 0
    order_type: int = 0
    initial_base: int = 0
    filled_base: int = 0
    filled_quote: int = 0
    trigger_price: int = 0
    status: str = "in-progress"
    nonce: int = 0
    block_height: int = 0
    created_us: int = 0
    updated_us: int = 0
    tx_hash: str = ""
