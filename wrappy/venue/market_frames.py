"""Bodies of a market's own frames: its book, its best prices and its trades."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy.venue.orders import TRADE
from wrappy.venue.render import render_levels, render_trade

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wrappy.venue.events import Trade
    from wrappy.venue.market_state import MarketState

_EMPTY_SIDE: Final = {"price": "", "size": ""}


def book_body(
    state: MarketState,
    bids: Iterable[tuple[int, int]],
    asks: Iterable[tuple[int, int]],
    *,
    begin_nonce: int,
    nonce: int,
    at_us: int,
) -> dict[str, Any]:
    """Return levels of a book, given as (ticks, lots), best price first.

    Args:
        state: the market.
        bids: levels of its buyers.
        asks: levels of its sellers.
        begin_nonce: nonce that the frame before ended with; 0 in a snapshot.
        nonce: nonce of the book as it then is.
        at_us: unix microseconds.
    """
    return {
        "offset": nonce,
        "last_updated_at": at_us,
        "order_book": {
            "code": 0,
            "asks": render_levels(asks, state.market),
            "bids": render_levels(bids, state.market),
            "offset": nonce,
            "nonce": nonce,
            "last_updated_at": at_us,
            "begin_nonce": begin_nonce,
        },
    }


def changed_book_body(
    state: MarketState,
    levels: Iterable[tuple[tuple[bool, int], int]],
    *,
    begin_nonce: int,
    nonce: int,
    at_us: int,
) -> dict[str, Any]:
    """Return changed levels, given as ((is_ask, ticks), lots) in any order."""
    asks: list[tuple[int, int]] = []
    bids: list[tuple[int, int]] = []
    for (is_ask, price), base in levels:
        (asks if is_ask else bids).append((price, base))
    # Best price first on both sides, whatever the order of the changes.
    asks.sort()
    bids.sort(reverse=True)
    return book_body(
        state, bids, asks, begin_nonce=begin_nonce, nonce=nonce, at_us=at_us
    )


Best = tuple["tuple[int, int] | None", "tuple[int, int] | None"]
"""Best bid and ask as (ticks, lots), None where a side is empty."""


def best_of(state: MarketState) -> Best:
    """Return a market's best bid and ask."""
    bids, asks = state.engine.depth(1)
    return bids[0] if bids else None, asks[0] if asks else None


def ticker_body(state: MarketState, best: Best, at_us: int) -> dict[str, Any]:
    """Return a market's best prices."""
    bid, ask = (
        render_levels([level], state.market)[0] if level else dict(_EMPTY_SIDE)
        for level in best
    )
    return {
        "last_updated_at": at_us,
        "nonce": state.book_nonce,
        "ticker": {
            "s": state.market.symbol,
            "a": ask,
            "b": bid,
            "last_updated_at": at_us,
        },
    }


def trade_body(state: MarketState, newest_first: Iterable[Trade]) -> dict[str, Any]:
    """Return trades of one market, the forced ones apart from the others."""
    free: list[dict[str, Any]] = []
    forced: list[dict[str, Any]] = []
    for trade in newest_first:
        rows = free if trade.kind == TRADE else forced
        rows.append(render_trade(trade, state.market))
    return {"liquidation_trades": forced, "nonce": state.nonce, "trades": free}
