"""One market's order book and its matching rules, in integers and without a clock.

Price-time priority, always at the resting order's price. A caller drives one order
at a time through `MatchingEngine.execute` and settles each `Fill` before it asks for
the next event, so that reduce-only caps are judged by true positions.

Source of the rules: the official API documentation and the published prover circuits.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from wrappy.model import SelfTrade, TimeInForce

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

RESTED: Final = "rested"
FILLED: Final = "filled"
CANCELED_POST_ONLY: Final = "canceled-post-only"
CANCELED_REDUCE_ONLY: Final = "canceled-reduce-only"
CANCELED_MARGIN: Final = "canceled-margin-not-allowed"
CANCELED_SLIPPAGE: Final = "canceled-too-much-slippage"
CANCELED_LIQUIDITY: Final = "canceled-not-enough-liquidity"
CANCELED_SELF_TRADE: Final = "canceled-self-trade"
CANCELED_EXPIRED: Final = "canceled-expired"

_IOC: Final = int(TimeInForce.IMMEDIATE_OR_CANCEL)
_POST_ONLY: Final = int(TimeInForce.POST_ONLY)
_EXPIRE_TAKER: Final = int(SelfTrade.EXPIRE_TAKER)
_EXPIRE_BOTH: Final = int(SelfTrade.EXPIRE_BOTH)
_REDUCE: Final = int(SelfTrade.REDUCE)


@dataclass(slots=True, kw_only=True, eq=False)
class BookOrder:
    """What matching needs to know of an order.

    Attributes:
        order_index: unique within the engine.
        owner: account of the order.
        owner_group: master account of the owner, for the wider self-trade scope.
        is_ask: whether it sells.
        price: limit in ticks; of a market order the worst average price.
        remaining: lots still to execute; the engine lowers it.
        expiry_ms: unix milliseconds after which it must not trade; 0 for never.
        time_in_force: number of `TimeInForce`.
        reduce_only: never opens or turns a position.
        is_market: whether `price` bounds the average instead of each fill.
        self_trade: number of `SelfTrade`; the incoming order's mode counts.
        self_trade_same_group: whether the whole owner group is one owner.
        priority: place in time, given by the engine when the order rests.
    """

    order_index: int
    owner: int
    is_ask: bool
    price: int
    remaining: int
    owner_group: int = 0
    expiry_ms: int = 0
    time_in_force: int = int(TimeInForce.GOOD_TILL_TIME)
    reduce_only: bool = False
    is_market: bool = False
    self_trade: int = int(SelfTrade.EXPIRE_MAKER)
    self_trade_same_group: bool = False
    priority: int = 0


class Fill(NamedTuple):
    """`base` lots changed hands at `price` ticks; both orders are already lowered."""

    maker: BookOrder
    taker: BookOrder
    price: int
    base: int


class MakerRemoved(NamedTuple):
    """A resting order was taken out by a rule; `reason` is its status word."""

    order: BookOrder
    reason: str


class MakerReduced(NamedTuple):
    """A resting order lost `base` lots against its owner's own order, no trade."""

    order: BookOrder
    base: int


class TakerDone(NamedTuple):
    """The incoming order's end: `rested`, `filled` or a `canceled-...` word."""

    order: BookOrder
    outcome: str


MatchEvent: TypeAlias = Fill | MakerRemoved | MakerReduced | TakerDone
Verdict: TypeAlias = Literal["allowed", "taker", "maker"]
"""Whether a fill may happen, or whose account cannot carry it."""


class _Level:
    """Orders at one price, oldest first, and their total."""

    __slots__ = ("orders", "total")

    def __init__(self) -> None:
        # An ordered dict takes from the front and from the middle in constant time;
        # a plain dict would scan its own gaps to find the front.
        self.orders: OrderedDict[int, BookOrder] = OrderedDict()
        self.total = 0


class _Side:
    """One side of the book; the best price is the last of `keys`."""

    __slots__ = ("keys", "levels", "sign")

    def __init__(self, *, is_ask: bool) -> None:
        self.sign = -1 if is_ask else 1
        self.keys: list[int] = []
        self.levels: dict[int, _Level] = {}

    def best(self) -> BookOrder | None:
        """Return the order that trades next, or None."""
        if not self.keys:
            return None
        level = self.levels[self.sign * self.keys[-1]]
        return next(iter(level.orders.values()))

    def add(self, order: BookOrder) -> None:
        """Put `order` behind everything at its price."""
        level = self.levels.get(order.price)
        if level is None:
            level = self.levels[order.price] = _Level()
            insort(self.keys, self.sign * order.price)
        level.orders[order.order_index] = order
        level.total += order.remaining

    def remove(self, order: BookOrder) -> None:
        """Take `order` out; an empty level goes with it."""
        level = self.levels[order.price]
        del level.orders[order.order_index]
        level.total -= order.remaining
        if not level.orders:
            del self.levels[order.price]
            key = self.sign * order.price
            if self.keys[-1] == key:
                self.keys.pop()
            else:
                del self.keys[bisect_left(self.keys, key)]

    def prices(self) -> Iterator[int]:
        """Yield prices, best first."""
        return (self.sign * key for key in reversed(self.keys))


class MatchingEngine:
    """The book of one market."""

    __slots__ = ("_asks", "_bids", "_orders", "_priority", "_touched")

    def __init__(self) -> None:
        self._asks = _Side(is_ask=True)
        self._bids = _Side(is_ask=False)
        self._orders: dict[int, BookOrder] = {}
        self._priority = 0
        self._touched: dict[tuple[bool, int], None] = {}

    def _side(self, *, is_ask: bool) -> _Side:
        return self._asks if is_ask else self._bids

    @property
    def best_bid(self) -> int | None:
        """Highest buying price in ticks, or None."""
        return self._bids.keys[-1] if self._bids.keys else None

    @property
    def best_ask(self) -> int | None:
        """Lowest selling price in ticks, or None."""
        return -self._asks.keys[-1] if self._asks.keys else None

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, order_index: object) -> bool:
        return order_index in self._orders

    def prices(self, *, is_ask: bool) -> Iterator[int]:
        """Yield the prices of one side, best first; leave the book alone meanwhile."""
        return self._side(is_ask=is_ask).prices()

    def orders(self, *, is_ask: bool) -> Iterator[BookOrder]:
        """Yield resting orders, next to trade first; leave the book alone meanwhile."""
        side = self._side(is_ask=is_ask)
        for price in side.prices():
            yield from side.levels[price].orders.values()

    def level_size(self, *, is_ask: bool, price: int) -> int:
        """Return the lots resting at `price`; 0 when there is no such level."""
        level = self._side(is_ask=is_ask).levels.get(price)
        return 0 if level is None else level.total

    def depth(
        self, limit: int | None = None
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return (bids, asks) as (price, lots), best first, `limit` levels a side."""
        bids, asks = (
            [(price, side.levels[price].total) for price in islice(prices, limit)]
            for side, prices in (
                (self._bids, self._bids.prices()),
                (self._asks, self._asks.prices()),
            )
        )
        return bids, asks

    def level_changes(self) -> list[tuple[bool, int, int]]:
        """Return (is_ask, price, lots) of every level touched since the last call."""
        changes = [
            (is_ask, price, self.level_size(is_ask=is_ask, price=price))
            for is_ask, price in self._touched
        ]
        self._touched.clear()
        return changes

    def cancel(self, order_index: int) -> BookOrder | None:
        """Take a resting order out and return it; None when it does not rest."""
        order = self._orders.pop(order_index, None)
        if order is not None:
            self._side(is_ask=order.is_ask).remove(order)
            self._touched[order.is_ask, order.price] = None
        return order

    def reduce(self, order_index: int, base: int) -> None:
        """Lower a resting order by `base` lots; its place in the queue stays.

        Raises:
            KeyError: no such order rests.
            ValueError: `base` is not in 1..remaining.
        """
        order = self._orders[order_index]
        if not 0 < base <= order.remaining:
            raise ValueError(f"base: {base} is not in 1..{order.remaining}")
        self._lower(order, base)

    def send_back(self, order_index: int) -> None:
        """Put a resting order behind all others at its price.

        Raises:
            KeyError: no such order rests.
        """
        order = self._orders[order_index]
        self._priority += 1
        order.priority = self._priority
        level = self._side(is_ask=order.is_ask).levels[order.price]
        level.orders.move_to_end(order_index)

    def _lower(self, order: BookOrder, base: int) -> None:
        side = self._side(is_ask=order.is_ask)
        side.levels[order.price].total -= base
        order.remaining -= base
        self._touched[order.is_ask, order.price] = None
        if order.remaining == 0:
            del self._orders[order.order_index]
            side.remove(order)

    def _rest(self, order: BookOrder) -> None:
        self._priority += 1
        order.priority = self._priority
        self._orders[order.order_index] = order
        self._side(is_ask=order.is_ask).add(order)
        self._touched[order.is_ask, order.price] = None

    def rest_unmatched(self, order: BookOrder, *, now_ms: int) -> bool:
        """Rest `order` if that is all there is to do; return whether it was.

        It is where `execute` would tell of nothing but `rested`: most orders meet
        nobody, and need not be asked for what happened. False changes nothing.

        Args:
            order: the incoming order; `remaining` must be positive.
            now_ms: unix milliseconds, against which its expiry is judged.
        """
        if (
            order.reduce_only
            or order.is_market
            or order.time_in_force == _IOC
            or 0 < order.expiry_ms <= now_ms
        ):
            return False
        if order.is_ask:
            opposite = self._bids.keys
            if opposite and opposite[-1] >= order.price:
                return False
        else:
            opposite = self._asks.keys
            if opposite and -opposite[-1] <= order.price:
                return False
        self._rest(order)
        return True

    def execute(
        self,
        order: BookOrder,
        *,
        now_ms: int,
        reducible: Callable[[int, bool], int],
        permit: Callable[[BookOrder, BookOrder, int, int], Verdict] | None = None,
    ) -> Iterator[MatchEvent]:
        """Match `order`; rest, finish or cancel what is left of it.

        Every event is complete before it is told, so a caller may settle it, and may
        also stop there: the book is consistent between any two events.

        Args:
            order: the incoming order; `remaining` must be positive.
            now_ms: unix milliseconds, against which expiries are judged.
            reducible: (owner, is_ask) -> lots by which such an order would shrink the
                owner's position; asked only for reduce-only orders.
            permit: (maker, taker, price, base) -> whether both accounts can carry
                the fill; None allows everything.

        Yields:
            Fills and removals in order, then exactly one `TakerDone`.
        """
        outcome = yield from self._match(order, now_ms, reducible, permit)
        if outcome == RESTED:
            if order.reduce_only and reducible(order.owner, order.is_ask) <= 0:
                outcome = CANCELED_REDUCE_ONLY
            elif order.time_in_force == _IOC:
                outcome = CANCELED_LIQUIDITY
            elif 0 < order.expiry_ms <= now_ms:
                outcome = CANCELED_EXPIRED
            else:
                self._rest(order)
        yield TakerDone(order, outcome)

    def _match(  # noqa: C901, PLR0911, PLR0912 - the rules in their order
        self,
        order: BookOrder,
        now_ms: int,
        reducible: Callable[[int, bool], int],
        permit: Callable[[BookOrder, BookOrder, int, int], Verdict] | None,
    ) -> Generator[MatchEvent, None, str]:
        opposite = self._side(is_ask=not order.is_ask)
        toward = 1 if order.is_ask else -1
        improvement = 0  # tick-lots by which the fills so far beat the limit
        while order.remaining:
            maker = opposite.best()
            if maker is None:
                return RESTED
            gain = (maker.price - order.price) * toward
            if gain < 0 and not (order.is_market and improvement >= -gain):
                return CANCELED_SLIPPAGE if order.is_market else RESTED
            if 0 < maker.expiry_ms <= now_ms:
                self.cancel(maker.order_index)
                yield MakerRemoved(maker, CANCELED_EXPIRED)
                continue
            if maker.owner == order.owner or (
                order.self_trade_same_group and maker.owner_group == order.owner_group
            ):
                stop = yield from self._self_trade(maker, order)
                if stop:
                    return CANCELED_SELF_TRADE
                continue
            base = min(order.remaining, maker.remaining)
            if maker.reduce_only:
                cap = reducible(maker.owner, maker.is_ask)
                if cap <= 0:
                    self.cancel(maker.order_index)
                    yield MakerRemoved(maker, CANCELED_REDUCE_ONLY)
                    continue
                base = min(base, cap)
            if order.time_in_force == _POST_ONLY:
                return CANCELED_POST_ONLY
            if order.reduce_only:
                cap = reducible(order.owner, order.is_ask)
                if cap <= 0:
                    return CANCELED_REDUCE_ONLY
                base = min(base, cap)
            if gain < 0:
                base = min(base, improvement // -gain)
            verdict = permit(maker, order, maker.price, base) if permit else "allowed"
            if verdict == "taker":
                return CANCELED_MARGIN
            if verdict == "maker":
                self.cancel(maker.order_index)
                yield MakerRemoved(maker, CANCELED_MARGIN)
                continue
            improvement += gain * base
            order.remaining -= base
            self._lower(maker, base)
            yield Fill(maker, order, maker.price, base)
            if (
                maker.reduce_only
                and maker.remaining
                and reducible(maker.owner, maker.is_ask) <= 0
            ):
                self.cancel(maker.order_index)
                yield MakerRemoved(maker, CANCELED_REDUCE_ONLY)
        return FILLED

    def _self_trade(
        self, maker: BookOrder, order: BookOrder
    ) -> Generator[MatchEvent, None, bool]:
        """Apply the incoming order's self-trade mode; return whether it ends there."""
        mode = order.self_trade
        if mode == _EXPIRE_TAKER:
            return True
        if mode == _REDUCE:
            base = min(maker.remaining, order.remaining)
            order.remaining -= base
            self._lower(maker, base)
            if maker.remaining:
                yield MakerReduced(maker, base)
            else:
                yield MakerRemoved(maker, CANCELED_SELF_TRADE)
            return order.remaining == 0
        self.cancel(maker.order_index)
        yield MakerRemoved(maker, CANCELED_SELF_TRADE)
        return mode == _EXPIRE_BOTH
