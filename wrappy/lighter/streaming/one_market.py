"""One market of an overlay that streams several, for who trades just that one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

    from wrappy._core.stream import StreamState
    from wrappy.lighter.streaming.book_feed import BookView
    from wrappy.lighter.trading.prices import PriceSource
    from wrappy.model import Market


class OneMarket:
    """Prices of one market.

    Args:
        overlay: streams it.
        market: the market.

    Attributes:
        market: as given.
    """

    def __init__(self, overlay: PriceSource, market: Market) -> None:
        self.market = market
        self._overlay = overlay

    @property
    def state(self) -> StreamState:
        """Whether the stream is up."""
        return self._overlay.state

    def book(self, symbol: str | None = None) -> BookView:
        """Return the book; `UsageError` when the stream carries none."""
        return self._overlay.book(symbol or self.market.symbol)

    def get_ltp(self, symbol: str | None = None) -> Decimal | None:
        """Return the price of the newest trade in USDC, None before one."""
        return self._overlay.get_ltp(symbol or self.market.symbol)
