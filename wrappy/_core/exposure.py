"""How far an account's positions can get: what it holds and all that may still trade.

Two sources tell of a position: the account's stream, and the fills of the orders we
know. Either can lag behind the other, so the worse of both counts. An order whose fate
is not known counts as filled and as resting, whichever is worse: it stays in the sum
until it is known to be over.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

ENDED_KEPT: Final = 4_000
"""Ended orders whose fills are remembered, so that none counts twice."""


class OrderKey(NamedTuple):
    """An order of the account.

    Attributes:
        market: its market.
        number: client order index, or minus the exchange's own number where there is
            none.
    """

    market: int
    number: int


@dataclass(slots=True, kw_only=True)
class LiveOrder:
    """An order that may trade, in lots and ticks.

    Attributes:
        is_ask: whether it sells.
        lots: total size as far as it is known.
        ticks: price as far as it is known.
        filled: lots filled.
        reduce_only: whether it can only shrink a position.
        is_unknown: whether it left without an answer.
        least: size that counts at least; for what follows another order's fills.
        group: what other orders it belongs to, of which one cancels the other; 0 for
            none.
        aims: sizes and prices that changes under way may give it.
    """

    is_ask: bool
    lots: int
    ticks: int = 0
    filled: int = 0
    reduce_only: bool = False
    is_unknown: bool = False
    least: int = 0
    group: int = 0
    aims: list[tuple[int, int]] = field(default_factory=list)

    @property
    def remaining(self) -> int:
        """Lots that it may trade yet, with whichever change is worst."""
        sizes = (lots for _, lots in self.aims)
        return max(0, max(self.lots, self.least, *sizes) - self.filled)

    @property
    def dearest(self) -> int:
        """Highest price it has or may get, in ticks."""
        return max((self.ticks, *(ticks for ticks, _ in self.aims)))

    @property
    def cheapest(self) -> int:
        """Lowest price it has or may get, in ticks."""
        return min((self.ticks, *(ticks for ticks, _ in self.aims)))


class Reach(NamedTuple):
    """How far a market's position can get.

    Attributes:
        high: most it can become, signed lots.
        low: least it can become, signed lots.
        long_value: what the worst long would be worth, 1e-6 USDC, not negative.
        short_value: the same of the worst short, unsigned.
    """

    high: int
    low: int
    long_value: int
    short_value: int

    @property
    def value(self) -> int:
        """The worse of both sides, 1e-6 USDC."""
        return max(self.long_value, self.short_value)


class MarketExposure:
    """One market of an account: its position, and its orders that may trade.

    Attributes:
        told: position as the stream tells it, signed lots; None before it did.
        implied: position by the fills of all orders known; None before a beginning.
        orders: what may trade, by key.
    """

    __slots__ = ("implied", "orders", "told")

    def __init__(self) -> None:
        self.told: int | None = None
        self.implied: int | None = None
        self.orders: dict[OrderKey, LiveOrder] = {}

    @property
    def is_known(self) -> bool:
        """Whether anything is known of the position."""
        return self.told is not None or self.implied is not None

    @property
    def is_disputed(self) -> bool:
        """Whether the two sources of the position tell different things."""
        both = self.told is not None and self.implied is not None
        return both and self.told != self.implied

    @property
    def bounds(self) -> tuple[int, int]:
        """Least and most that the position can be now; 0 while it is not known."""
        known = [lots for lots in (self.told, self.implied) if lots is not None]
        return (min(known), max(known)) if known else (0, 0)

    def reach(
        self, mark: int, lot_value: int, extra: Iterable[LiveOrder] = ()
    ) -> Reach:
        """Return how far the position can get, and what that is worth.

        Whatever can only shrink the position fills first: it leaves more room for
        the rest to go beyond it. An order counts at its own price where that is the
        higher one.

        Args:
            mark: price of the moment in ticks.
            lot_value: 1e-6 USDC of one lot at one tick.
            extra: orders that are not in here yet.
        """
        buys = sells = covers = trims = buys_value = sells_value = 0
        for order in (*self.orders.values(), *extra):
            lots = order.remaining
            value = lots * max(mark, order.dearest) * lot_value
            if order.reduce_only:
                covers += 0 if order.is_ask else lots
                trims += lots if order.is_ask else 0
            elif order.is_ask:
                sells += lots
                sells_value += value
            else:
                buys += lots
                buys_value += value
        low, high = self.bounds
        if high < 0:
            high = min(0, high + covers)
        if low > 0:
            low = max(0, low - trims)
        lots_at_mark = mark * lot_value
        return Reach(
            high=high + buys,
            low=low - sells,
            long_value=max(0, high * lots_at_mark + buys_value),
            short_value=max(0, -low * lots_at_mark + sells_value),
        )

    def exits(self) -> int:
        """Return the lots that reduce-only orders on the other side would close.

        Of a group in which one cancels the other only the largest counts.
        """
        low, high = self.bounds
        held = high if high > 0 else low
        groups: dict[int, int] = {}
        alone = 0
        for order in self.orders.values():
            if not order.reduce_only or order.is_unknown or order.is_ask != (held > 0):
                continue
            lots = max(0, order.lots - order.filled)
            if order.group:
                groups[order.group] = max(groups.get(order.group, 0), lots)
            else:
                alone += lots
        return alone + sum(groups.values())


class ExposureBook:
    """Positions and orders of an account that may trade. Performs no I/O.

    Attributes:
        markets: by index.
        has_begun: whether the account's positions were asked for; from then on a
            market that nobody told of is flat.
    """

    __slots__ = ("_ended", "_value_of_others", "has_begun", "markets")

    def __init__(self) -> None:
        self.markets: dict[int, MarketExposure] = {}
        self._ended: OrderedDict[OrderKey, int] = OrderedDict()
        self.has_begun = False
        self._value_of_others: dict[int, int] = {}

    @property
    def value_of_others(self) -> int:
        """Worth of positions in markets that are only looked at, 1e-6 USDC."""
        return sum(self._value_of_others.values())

    def market(self, index: int) -> MarketExposure:
        """Return a market; after the beginning one not told of is flat."""
        found = self.markets.get(index)
        if found is None:
            found = self.markets[index] = MarketExposure()
            if self.has_begun:
                found.told = found.implied = 0
        return found

    def live(self) -> int:
        """Return how many orders may trade, in all markets."""
        return sum(len(market.orders) for market in self.markets.values())

    def unknown(self) -> int:
        """Return how many orders left without an answer, and without an end since."""
        return sum(
            order.is_unknown
            for market in self.markets.values()
            for order in market.orders.values()
        )

    def disputed(self) -> list[int]:
        """Return the markets whose position is told in two ways."""
        return [index for index, one in self.markets.items() if one.is_disputed]

    # ------------------------------------------------------------ what is told

    def anchor(self, index: int, lots: int) -> None:
        """Take a position that was asked for: fills from here on add to it."""
        market = self.market(index)
        market.implied = lots
        if market.told is None:
            market.told = lots

    def position(self, index: int, lots: int) -> None:
        """Take the stream's word on a position."""
        self.market(index).told = lots

    def other(self, index: int, value: int) -> None:
        """Take the worth of a position in a market where nothing is judged."""
        self._value_of_others[index] = abs(value)

    def order(
        self, key: OrderKey, order: LiveOrder | None, filled: int, *, is_ask: bool
    ) -> None:
        """Take the latest word on an order.

        Args:
            key: the order.
            order: as it is; None when it is over. Changes under way and what was
                known of it before are kept.
            filled: lots filled, an earlier and larger number holds.
            is_ask: whether it sells.
        """
        market = self.market(key.market)
        known = market.orders.get(key)
        before = known.filled if known is not None else self._ended.get(key, 0)
        now = max(filled, before)
        if market.implied is not None:
            market.implied += (before - now) if is_ask else (now - before)
        if order is None:
            market.orders.pop(key, None)
            self._ended[key] = now
            self._ended.move_to_end(key)
            if len(self._ended) > ENDED_KEPT:
                self._ended.popitem(last=False)
            return
        order.filled = now
        if known is not None:
            order.aims = _open_aims(known, order)
        market.orders[key] = order
        self._ended.pop(key, None)

    def has_counted(self, key: OrderKey, filled: int, *, is_ask: bool) -> None:
        """Note fills of an order that the position has in it already."""
        market = self.market(key.market)
        if key not in market.orders and key not in self._ended:
            implied = market.implied
            self.order(key, None, filled, is_ask=is_ask)
            market.implied = implied


def _open_aims(known: LiveOrder, order: LiveOrder) -> list[tuple[int, int]]:
    """Return the changes that have not been shown yet: those behind the shown one."""
    shown = (order.ticks, order.lots)
    if shown != (known.ticks, known.lots) and shown in known.aims:
        return known.aims[known.aims.index(shown) + 1 :]
    return known.aims
