"""The order book as this client sees it: never served when it may be wrong.

Prices are ticks and sizes are lots. Every update names the nonce it builds on; when
that is not the nonce of the last one, something was missed and the book is invalid
from that frame on, until the next snapshot.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from decimal import Context, Decimal
from typing import TYPE_CHECKING, NamedTuple

from wrappy.errors import BookGapError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable

# Wide enough for a product of the largest price and size; the caller's own decimal
# context must not change a price.
_CONTEXT = Context(prec=36)


class Level(NamedTuple):
    """One price of the book.

    Attributes:
        ticks: price.
        lots: total size at that price.
    """

    ticks: int
    lots: int


class _Half:
    """One side: sizes by price, and the prices in ascending order."""

    __slots__ = ("lots", "prices")

    def __init__(self) -> None:
        self.lots: dict[int, int] = {}
        self.prices: list[int] = []

    def load(self, levels: Iterable[tuple[int, int]]) -> None:
        sizes = dict(levels)
        for ticks, lots in sizes.items():
            _check(ticks, lots)
        self.lots = {ticks: lots for ticks, lots in sizes.items() if lots}
        self.prices = sorted(self.lots)

    def update(self, levels: Iterable[tuple[int, int]]) -> None:
        # Nearly all levels change the size at a price that is there already, so the
        # order of the prices is touched only when one comes or goes.
        sizes = self.lots
        for ticks, lots in levels:
            if lots > 0 and ticks in sizes:
                sizes[ticks] = lots
                continue
            _check(ticks, lots)
            if lots:
                insort(self.prices, ticks)
                sizes[ticks] = lots
            elif sizes.pop(ticks, None) is not None:
                del self.prices[bisect_left(self.prices, ticks)]

    def levels(self, prices: list[int]) -> tuple[Level, ...]:
        sizes = self.lots
        return tuple([Level(ticks, sizes[ticks]) for ticks in prices])

    def level(self, position: int) -> Level | None:
        if not self.prices:
            return None
        ticks = self.prices[position]
        return Level(ticks, self.lots[ticks])


def _check(ticks: int, lots: int) -> None:
    if ticks < 1 or lots < 0:
        raise ProtocolError(f"a book level of {lots} lots at {ticks} ticks")


class OrderBook:
    """One market's book, from a snapshot and the updates that follow it."""

    __slots__ = ("_asks", "_bids", "_invalid_reason", "_nonce", "_price", "_size")

    def __init__(self, price_decimals: int, size_decimals: int) -> None:
        self._price = price_decimals
        self._size = size_decimals
        self._bids = _Half()
        self._asks = _Half()
        self._nonce: int | None = None
        self._invalid_reason: str | None = "no snapshot yet"

    def __repr__(self) -> str:
        state = self._invalid_reason or "valid"
        return (
            f"OrderBook(nonce={self._nonce}, bids={len(self._bids.prices)}, "
            f"asks={len(self._asks.prices)}, {state})"
        )

    def snapshot(
        self,
        bids: Iterable[tuple[int, int]],
        asks: Iterable[tuple[int, int]],
        nonce: int,
    ) -> bool:
        """Replace the whole book.

        Args:
            bids: pairs of ticks and lots, in any order.
            asks: the same for the other side.
            nonce: the snapshot's nonce; the first update must begin at it.

        Returns:
            Whether the book is valid now; a crossed snapshot is not.

        Raises:
            ProtocolError: a level is impossible; the book is invalid.
        """
        self._invalid_reason = "a snapshot could not be read"
        self._bids.load(bids)
        self._asks.load(asks)
        self._nonce = nonce
        self._invalid_reason = self._crossing()
        return self._invalid_reason is None

    def apply(
        self,
        bids: Iterable[tuple[int, int]],
        asks: Iterable[tuple[int, int]],
        begin_nonce: int,
        nonce: int,
    ) -> bool:
        """Apply one update; an update to an invalid book is dropped.

        Args:
            bids: pairs of ticks and lots; lots are the new total, 0 removes.
            asks: the same for the other side.
            begin_nonce: nonce that the update builds on.
            nonce: the update's own nonce.

        Returns:
            Whether the book is valid now. After `False` the caller subscribes anew.

        Raises:
            ProtocolError: a level is impossible; the book is invalid.
        """
        if self._invalid_reason is not None:
            return False
        if begin_nonce != self._nonce:
            self.invalidate(f"an update begins at {begin_nonce}, not at {self._nonce}")
            return False
        if nonce < begin_nonce:
            self.invalidate(f"an update goes back from {begin_nonce} to {nonce}")
            return False
        # Half an update is worse than none, so an impossible level leaves this text.
        self._invalid_reason = "an update could not be read"
        self._bids.update(bids)
        self._asks.update(asks)
        self._nonce = nonce
        self._invalid_reason = reason = self._crossing()
        return reason is None

    def invalidate(self, reason: str) -> None:
        """Refuse every reading until the next snapshot.

        The first reason stays, as it is the cause of those that follow.
        """
        self._invalid_reason = self._invalid_reason or reason

    @property
    def is_valid(self) -> bool:
        """Whether the book may be read."""
        return self._invalid_reason is None

    @property
    def invalid_reason(self) -> str | None:
        """Why the book may not be read, `None` when it may."""
        return self._invalid_reason

    @property
    def nonce(self) -> int | None:
        """Nonce of the last frame applied, `None` before the first."""
        return self._nonce

    @property
    def best_bid(self) -> Level | None:
        """Highest bid, `None` when there is none.

        Raises:
            BookGapError: the book is invalid.
        """
        self._require_valid()
        return self._bids.level(-1)

    @property
    def best_ask(self) -> Level | None:
        """Lowest ask, `None` when there is none.

        Raises:
            BookGapError: the book is invalid.
        """
        self._require_valid()
        return self._asks.level(0)

    @property
    def mid(self) -> Decimal | None:
        """Middle of the best prices in USDC, `None` when a side is empty.

        Raises:
            BookGapError: the book is invalid.
        """
        bid, ask = self.best_bid, self.best_ask
        if bid is None or ask is None:
            return None
        # Half a tick is five tenths of one, which stays exact.
        return Decimal((bid.ticks + ask.ticks) * 5).scaleb(-self._price - 1, _CONTEXT)

    @property
    def micro_price(self) -> Decimal | None:
        """Middle weighted by the sizes, in USDC; `None` when a side is empty.

        It leans to the side with the smaller size, where the price is likelier to
        break.

        Raises:
            BookGapError: the book is invalid.
        """
        bid, ask = self.best_bid, self.best_ask
        if bid is None or ask is None:
            return None
        weighted = Decimal(bid.ticks * ask.lots + ask.ticks * bid.lots)
        total = Decimal(bid.lots + ask.lots)
        return _CONTEXT.divide(weighted, total).scaleb(-self._price, _CONTEXT)

    def depth(self, levels: int) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """Return up to `levels` bids and asks, the best first.

        Raises:
            BookGapError: the book is invalid.
        """
        self._require_valid()
        bids, asks = self._bids.prices, self._asks.prices
        return (
            self._bids.levels(bids[: -levels - 1 : -1]),
            self._asks.levels(asks[:levels]),
        )

    def price(self, ticks: int) -> Decimal:
        """Return `ticks` in USDC."""
        return Decimal(ticks).scaleb(-self._price, _CONTEXT)

    def size(self, lots: int) -> Decimal:
        """Return `lots` in the base asset."""
        return Decimal(lots).scaleb(-self._size, _CONTEXT)

    def _crossing(self) -> str | None:
        bids, asks = self._bids.prices, self._asks.prices
        if not bids or not asks or bids[-1] < asks[0]:
            return None
        return f"crossed: bid {bids[-1]} against ask {asks[0]}"

    def _require_valid(self) -> None:
        if self._invalid_reason is not None:
            raise BookGapError(f"the order book is invalid: {self._invalid_reason}")
