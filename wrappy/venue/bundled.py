"""Facts of the markets that a local exchange can open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrappy.protocol.markets import BUNDLED_MARKETS, find_market

if TYPE_CHECKING:
    from wrappy.model import Market


def market_named(symbol: str) -> Market:
    """Return a market as a local exchange opens it.

    Raises:
        UnknownMarketError: there is none of that name.
    """
    return find_market(BUNDLED_MARKETS, symbol=symbol)
