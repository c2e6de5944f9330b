"""Where the price of the moment comes from: an attached stream, or a question.

A stream's book counts only while it is sound, its last trade only while the stream
is ready. What a stream cannot say now is asked for by REST.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from wrappy._core.stream import StreamState
from wrappy.errors import BookGapError, ConfigError, UsageError

if TYPE_CHECKING:
    from decimal import Decimal

    from wrappy.lighter.asking.account import AccountReader
    from wrappy.lighter.streaming.book_feed import BookView
    from wrappy.model import Market


class PriceSource(Protocol):
    """What streams one market's prices; `WsInfo` does."""

    @property
    def market(self) -> Market:
        """The market."""

    @property
    def state(self) -> StreamState:
        """Whether the stream is up."""

    def book(self, symbol: str | None = None) -> BookView:
        """Return the book; `UsageError` when the stream carries none."""

    def get_ltp(self, symbol: str | None = None) -> Decimal | None:
        """Return the price of the newest trade."""


class ReferencePrices:
    """Prices that bounds and triggers are measured against.

    Args:
        account: asks where no stream tells.
        market: the market.
    """

    def __init__(self, account: AccountReader, market: Market) -> None:
        self._account = account
        self._market = market
        self._source: PriceSource | None = None

    def attach(self, source: PriceSource | None) -> None:
        """Take prices from a stream from now on; None ends that.

        Raises:
            ConfigError: it streams another market.
        """
        if source is not None and source.market.market_id != self._market.market_id:
            raise ConfigError(
                f"source: streams {source.market.symbol}, this dealer trades "
                f"{self._market.symbol}; attach a stream of the same market"
            )
        self._source = source

    def known(self) -> Decimal | None:
        """Return the price of the moment without asking anybody; None if unknown."""
        bid, ask = self._level(of_asks=False), self._level(of_asks=True)
        if bid is not None and ask is not None:
            return (bid + ask) / 2
        return self._last_trade()

    async def opposite(self, *, buy: bool) -> Decimal:
        """Return the best price to trade against.

        Raises:
            InvalidOrderError: that side of the book is empty.
            VenueError, TransportError: the book could not be read.
        """
        told = self._level(of_asks=buy)
        if told is None and not self._has_book:
            told = self._last_trade()
        if told is not None:
            return told
        return await self._account.best_price(self._market.market_id, of_asks=buy)

    @property
    def _has_book(self) -> bool:
        if self._source is None:
            return False
        try:
            self._source.book()
        except UsageError:
            return False
        return True

    def _level(self, *, of_asks: bool) -> Decimal | None:
        if self._source is None:
            return None
        try:
            book = self._source.book()
            level = book.best_ask if of_asks else book.best_bid
        except (UsageError, BookGapError):
            return None
        return None if level is None else level.price

    def _last_trade(self) -> Decimal | None:
        ready = self._source is not None and self._source.state is StreamState.READY
        return self._source.get_ltp() if self._source is not None and ready else None
