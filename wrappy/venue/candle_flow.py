"""Candles, replayed: each a path from its open over its extremes to its close."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError
from wrappy.venue.events import PassBar, PathPoint, SetIndexPrice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wrappy.model import Candle, Market
    from wrappy.venue.events import FlowAction

LEGS: Final = 3
"""Stretches of a path: open to one extreme, to the other, to the close."""

HIGHEST_PRICE: Final = 2**32 - 1
"""Ticks that a price has on the wire at most."""

_HALF: Final = Decimal("0.5")


class CandleFlow:
    """A market that goes where candles went.

    Each candle is played as open, nearer extreme, other extreme, close; where both
    are equally near, the one that leaves the close for the end. Its points lie evenly
    in its time, the open a microsecond after its beginning (the very first one at
    once) and the close a microsecond before its end: nothing of a candle is there
    before its time, and who acts on a close gets the next open. Its volume is split
    evenly over them. One quote a side stands around each point.

    Resting orders trade when the path goes through their price, up to the volume of
    the point; an order at the very price of an extreme waits. Immediate and market
    orders meet the quotes that stand when they arrive; with `hold_takers` they wait
    for those of the point that comes next, or the last ones when no more come.

    A candle that reaches nobody can be passed as a whole (`bar`): its trades then
    stand in candles and statistics, and not one by one.

    Candles may have gaps between them; the market stands still in a gap. Rows are
    taken one after another, as time gets to them.

    Args:
        candles: in order of time.
        market: the market they are played into.
        resolution_ms: length of a candle, milliseconds.
        points: points of each path: 4, 7, 10, ... (one, and as many on each leg).
        spread_ticks: between the two quotes, at least 1.
        slippage_ticks: how much farther from the path each quote stands: what a taker
            loses besides the spread.
        depth: lots of each quote; 1,000,000 times the smallest order when None.
        fill_on_touch: lets orders trade at the very price the path reaches.
        hold_takers: lets takers wait for the next point, as if its price came at
            once: a third of the candle with four points.
        index: whether the index price follows the path too; funding is then paid.

    Raises:
        ConfigError: an argument or a candle that cannot work; later ones are looked
            at when their time comes.
    """

    def __init__(
        self,
        candles: Iterable[Candle],
        market: Market,
        *,
        resolution_ms: int,
        points: int = LEGS + 1,
        spread_ticks: int = 1,
        slippage_ticks: int = 0,
        depth: int | None = None,
        fill_on_touch: bool = False,
        hold_takers: bool = False,
        index: bool = False,
    ) -> None:
        _at_least("resolution_ms", resolution_ms, 1)
        _at_least("spread_ticks", spread_ticks, 1)
        _at_least("slippage_ticks", slippage_ticks, 0)
        _at_least("points", points, LEGS + 1)
        if points % LEGS != 1:
            raise ConfigError(f"points: {points} is none of 4, 7, 10, ...")
        if depth is None:
            depth = max(1, market.min_base_amount) * 1_000_000
        _at_least("depth", depth, 1)
        self._market = market
        self._rows: Iterator[Candle] = iter(candles)
        self._length_us = resolution_ms * 1_000
        self._steps = (points - 1) // LEGS
        # Who acts on a close gets the next open: that comes a moment later.
        gap, last = self._length_us, points - 1
        self._offsets = [0, *(n * gap // last for n in range(1, last)), gap - 1]
        self._later = [1, *self._offsets[1:]]
        self._below = spread_ticks // 2 + slippage_ticks
        self._above = spread_ticks - spread_ticks // 2 + slippage_ticks
        self._depth = depth
        self._on_touch = fill_on_touch
        self._hold = hold_takers
        self._index = index
        self._price_scale = Decimal(market.price_scale)
        self._size_scale = Decimal(market.size_scale)
        self._begin_ms: int | None = None
        self._number = 0
        self._row: Candle | None = None
        self._path: list[int] = []
        self._share = self._rest = 0
        self._start_us = self._end_us = 0
        self._at = 0
        self._bar: tuple[int, PassBar] | None = None
        self._following: Candle | None = next(self._rows, None)
        self._turn()

    @property
    def begin_ms(self) -> int:
        """Beginning of the first candle, unix milliseconds: the flow's time 0.

        Raises:
            ConfigError: there is no candle.
        """
        if self._begin_ms is None:
            raise ConfigError("candles: there are none")
        return self._begin_ms

    def next_at_us(self) -> int | None:
        """Return when the next point is due, or None once the candles have ended."""
        return None if self._row is None else self._start_us + self._offsets[self._at]

    def step(self, now_us: int) -> list[FlowAction]:
        """Return the actions of all points due up to and including `now_us`."""
        actions: list[FlowAction] = []
        last = len(self._offsets) - 1
        while self._row is not None:
            at = self._at
            at_us = self._start_us + self._offsets[at]
            if at_us > now_us:
                break
            price, base = self._path[at], self._share
            if at == last:
                base += self._rest
                self._turn()
            else:
                self._at = at + 1
            next_us = self.next_at_us()
            if self._index:
                actions.append(SetIndexPrice(self._market.market_id, price))
            actions.append(
                PathPoint(
                    self._market.market_id,
                    price,
                    base,
                    max(1, price - self._below),
                    price + self._above,
                    self._depth,
                    self._on_touch,
                    next_us - at_us if self._hold and next_us is not None else 0,
                )
            )
        return actions

    def bar(self) -> tuple[int, PassBar] | None:
        """Return the whole candle that is next, and when it closes, in microseconds.

        None within a candle, after the last one, if the index price follows, or if
        there is too little volume for every point.
        """
        if self._row is None or self._at or self._index:
            return None
        if self._rest and not self._share:
            return None  # too little for every point: not all of it would be seen
        if self._bar is None:
            self._bar = self._whole()
        return self._bar

    def _whole(self) -> tuple[int, PassBar]:
        path, close = self._path, self._offsets[-1]
        length_us = close - self._offsets[0]
        last, total = path[-1], sum(path)
        following = self._following
        hold_us = 0
        if self._hold and following is not None and self._begin_ms is not None:
            next_us = (following.start_ms - self._begin_ms) * 1_000
            hold_us = next_us + self._later[0] - self._start_us - close
        return self._start_us + close, PassBar(
            self._market.market_id,
            length_us,
            path[0],
            max(path),
            min(path),
            last,
            self._share * len(path) + self._rest,
            self._share * total + self._rest * last,
            len(path),
            max(1, last - self._below),
            last + self._above,
            self._depth,
            hold_us,
        )

    def pass_bar(self) -> None:
        """Leave out the candle that is next: it was played as a whole."""
        self._turn()

    def _turn(self) -> None:
        # To the next candle; the one after it is read when this one is over.
        row = self._row = self._following
        self._at, self._bar = 0, None
        if row is None:
            return
        self._number += 1
        if self._number > 1:
            self._offsets = self._later
        if self._begin_ms is None:
            self._begin_ms = row.start_ms
        start_us = (row.start_ms - self._begin_ms) * 1_000
        if start_us < self._end_us:
            raise ConfigError(
                f"candles: number {self._number}, at {row.start_ms}, begins before the "
                "one before it ends"
            )
        self._start_us, self._end_us = start_us, start_us + self._length_us
        corners = self._corners(row)
        self._path = corners if self._steps == 1 else _divided(corners, self._steps)
        lots = int(row.base_volume * self._size_scale)
        if lots < 0:
            raise ConfigError(f"candles: number {self._number}: volume below 0")
        self._share, self._rest = divmod(lots, len(self._path))
        self._following = next(self._rows, None)

    def _corners(self, row: Candle) -> list[int]:
        scale = self._price_scale
        prices = [
            int(price * scale + _HALF)
            for price in (row.open, row.high, row.low, row.close)
        ]
        first, high, low, last = prices
        if not (low <= first <= high and low <= last <= high):
            raise ConfigError(
                f"candles: number {self._number}, at {row.start_ms}: open and close "
                "are not within low and high"
            )
        if low <= self._below or high + self._above > HIGHEST_PRICE:
            raise ConfigError(
                f"candles: number {self._number}, at {row.start_ms}: {row.low} to "
                f"{row.high} has no room in ticks of {self._market.tick_size}"
            )
        up, down = high - first, first - low
        if up < down or (up == down and last < first):
            return [first, high, low, last]
        return [first, low, high, last]


def _divided(corners: list[int], steps: int) -> list[int]:
    # Rounded down, so that no point leaves its leg.
    path = [corners[0]]
    for start, end in pairwise(corners):
        path += [start + (end - start) * n // steps for n in range(1, steps + 1)]
    return path


def _at_least(name: str, value: int, lowest: int) -> None:
    if type(value) is not int or value < lowest:
        raise ConfigError(f"{name}: {value!r} is not a whole number from {lowest} on")
