"""The store of order books: rows that follow a book, or none while it has a gap."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from wrappy._core.book import OrderBook
from wrappy.errors import ProtocolError
from wrappy.lighter.streaming.store_base import DataStore
from wrappy.lighter.streaming.store_rows import (
    BOOK_DECIMALS,
    NO_LIMIT,
    BookChange,
    book_change,
)

if TYPE_CHECKING:
    from pybotters.ws import ClientWebSocketResponse

    from wrappy.lighter.streaming.store_rows import Row

MOST_OLD_FRAMES = 10
"""Old changes in a row that count as repeated; more mean a count that began anew."""


class _Market:
    """What decides whether one market's rows may stand, and who feeds them.

    Attributes:
        book: continuity, crossing and impossible levels are its business.
        spelled: each price as first printed, by side and ticks.
        fed_by: the connection of the last frame, None if it came without one.
        old_in_a_row: changes in a row that the book had already.
    """

    def __init__(self) -> None:
        self.book = OrderBook(BOOK_DECIMALS, BOOK_DECIMALS)
        self.spelled: dict[tuple[str, int], str] = {}
        self.fed_by: ClientWebSocketResponse | None = None
        self.old_in_a_row = 0

    def has_already(self, change: BookChange) -> bool:
        """Whether a change is in the book; a long row of such is no chance."""
        known = self.book.nonce
        if not self.book.is_valid or known is None:
            return False
        if change.nonce > known or change.begin_nonce == known:
            return False
        self.old_in_a_row += 1
        return self.old_in_a_row <= MOST_OLD_FRAMES

    @property
    def is_cut_off(self) -> bool:
        """Whether the connection that feeds it is closed."""
        return self.fed_by is not None and self.fed_by.closed


class BookStore(DataStore):
    """Order books, one row for each price level.

    Keys: `market_id`, `side` (`asks` or `bids`), `price`; `size` is the total at that
    price. A book with a gap is emptied, and stays empty until its next snapshot.
    """

    _KEYS = ["market_id", "side", "price"]  # noqa: RUF012 - as the base has it
    _MAXLEN = NO_LIMIT

    def _init(self) -> None:
        self._markets: dict[int, _Market] = {}

    def is_valid(self, market_id: int | None = None) -> bool:
        """Whether a market's book may be trusted now, or all that were told of.

        It may not before its first snapshot, after a gap, and while the connection
        that feeds it is closed. With no market at all there is nothing to trust.
        """
        if market_id is not None:
            return self.invalid_reason(market_id) is None
        return bool(self._markets) and all(map(self.is_valid, self._markets))

    def invalid_reason(self, market_id: int) -> str | None:
        """Return why a market's book may not be trusted, None if it may."""
        market = self._markets.get(market_id)
        if market is None:
            return "no snapshot yet"
        if market.is_cut_off:
            return "the connection is closed"
        return market.book.invalid_reason

    def sorted(
        self, query: Row | None = None, limit: int | None = None
    ) -> dict[str, list[Row]]:
        """Return `asks` and `bids`, the best price first.

        Args:
            query: fields that the levels must have, such as `{"market_id": 0}`.
            limit: most levels of each side; None or 0 for all.

        Levels of a book that may not be trusted are left out.
        """
        trusted = {market for market in self._markets if self.is_valid(market)}
        found: dict[str, list[Row]] = {"asks": [], "bids": []}
        for row in self.find(query):
            if row["market_id"] in trusted:
                found[row["side"]].append(row)
        found["asks"].sort(key=_price)
        found["bids"].sort(key=_price, reverse=True)
        return {side: rows[: limit or None] for side, rows in found.items()}

    def take(
        self,
        body: object,
        market_id: int,
        *,
        snapshot: bool,
        ws: ClientWebSocketResponse | None,
    ) -> None:
        """Take a frame's book; a change that is in the book already is dropped.

        Args:
            body: the frame's `order_book`.
            market_id: whose book it is.
            snapshot: whether it is the whole book, otherwise what has changed.
            ws: the connection it came by, if there is one.

        Raises:
            ProtocolError: it cannot be read; the book is empty from now on.
        """
        market = self._markets.setdefault(market_id, _Market())
        market.fed_by = ws
        book = market.book
        try:
            change = book_change(body, snapshot=snapshot)
            bids, asks = change.plain("bids"), change.plain("asks")
            if snapshot:
                sound = book.snapshot(bids, asks, change.nonce)
            elif market.has_already(change):
                return
            else:
                sound = book.apply(bids, asks, change.begin_nonce, change.nonce)
        except ProtocolError as error:
            self.empty(market_id, str(error))
            raise
        if not sound:
            self.empty(market_id, "an update that does not fit")
            return
        market.old_in_a_row = 0
        self._follow(market_id, change, whole=snapshot)

    def empty(self, market_id: int, reason: str) -> bool:
        """Delete a market's levels and refuse changes until its next snapshot.

        Args:
            market_id: the market.
            reason: why; it does not replace an earlier one.

        Returns:
            Whether the book was sound until now.
        """
        market = self._markets.setdefault(market_id, _Market())
        was_sound = market.book.is_valid
        market.book.invalidate(reason)
        market.old_in_a_row = 0
        market.spelled.clear()
        self._find_and_delete({"market_id": market_id})
        return was_sound

    def was_told_of(self, market_id: int) -> bool:
        """Whether any frame of a market's book has come."""
        return market_id in self._markets

    def cut_off(self, ws: ClientWebSocketResponse | None) -> list[int]:
        """Return the markets whose changes are missed once `ws` begins anew.

        These are its own and those of connections that are closed.
        """
        return [
            market_id
            for market_id, market in self._markets.items()
            if market.fed_by is ws or market.is_cut_off
        ]

    def _follow(self, market_id: int, change: BookChange, *, whole: bool) -> None:
        """Have the rows follow what the book has taken."""
        spelled = self._markets[market_id].spelled
        # The last word on a price counts, should a frame have two.
        latest = {(one.side, one.ticks): one for one in change.levels}
        removed = [at for at in spelled if at not in latest] if whole else []
        removed += [at for at, one in latest.items() if one.lots == 0 and at in spelled]
        self._delete(
            [
                {"market_id": market_id, "side": at[0], "price": spelled.pop(at)}
                for at in removed
            ]
        )
        new, changed = [], []
        for at, one in latest.items():
            if one.lots == 0:
                continue
            row = {
                "market_id": market_id,
                "side": one.side,
                "price": spelled.get(at, one.price),
                "size": one.size,
            }
            if at not in spelled:
                spelled[at] = one.price
                new.append(row)
            elif self.get(row) != row:
                changed.append(row)
        self._insert(new)
        self._update(changed)


def _price(row: Row) -> Decimal:
    return Decimal(row["price"])
