"""Candles, replayed: each a path from its open over its extremes to its close."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from wrappy.errors import ConfigError
from wrappy.venue.events import PassBar, PathPoint, SetIndexPrice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wrappy.model import Candle, Market
    from wrappy.venue.events import FlowAction

LEGS: Final = 3
"""Stretches of a path: open to one extreme, to the other, to the close."""

HIGHEST_PRICE: Final = 2**32 - 1
"""Ticks that a price has on the wire at most."""

Bar: TypeAlias = tuple[int, int, int, int, int, int]
"""Beginning in microseconds, open, high, low, close in ticks, lots."""

ReachOf: TypeAlias = Callable[[int], tuple[int, int]]
"""Market -> lowest and highest price that reach nobody; crossed when there is none."""

_HALF: Final = Decimal("0.5")


class CalmRun(NamedTuple):
    """Candles, one after another, that nobody has to see point by point.

    Attributes:
        close_us: end of the last.
        action: what to play in their place.
        bars: the candles.
        length_us: of each.
        steps: points on each leg of their paths.
    """

    close_us: int
    action: PassBar
    bars: list[Bar]
    length_us: int
    steps: int

    def total(self, first: int, high: int, low: int, last: int) -> int:
        """Return the sum of a path's prices."""
        if self.steps == 1:
            return first + high + low + last
        return sum(_divided(corners_in_order(first, high, low, last), self.steps))


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

    Candles that reach nobody can be passed as a whole (`pass_calm`): their trades then
    stand in candles and statistics, and not one by one.

    Candles may have gaps between them; the market stands still in a gap. Rows are
    taken one after another, as time gets to them; `calm_until_us` reads ahead as far
    as it is told to look.

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
        begin_ms: the flow's time 0, unix milliseconds; the first candle's beginning
            when None.

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
        begin_ms: int | None = None,
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
        self._points = points
        # Who acts on a close gets the next open: that comes a moment later.
        gap, last = self._length_us, points - 1
        self._offsets = [0, *(n * gap // last for n in range(1, last)), gap - 1]
        self._later = [1, *self._offsets[1:]]
        self._close_us = gap - 1
        self._below = spread_ticks // 2 + slippage_ticks
        self._above = spread_ticks - spread_ticks // 2 + slippage_ticks
        self._depth = depth
        self._on_touch = fill_on_touch
        self._hold = hold_takers
        self._index = index
        self._price_scale = Decimal(market.price_scale)
        self._size_scale = Decimal(market.size_scale)
        self._begin_ms = begin_ms
        self._read = 0
        self._end_us = 0
        # What comes: the one that is played, the one after it, and what was looked at.
        self._coming: deque[Bar] = deque()
        self._at = 0
        self._path: list[int] | None = None
        self._read_one()
        self._read_one()

    @property
    def begin_ms(self) -> int:
        """Beginning of the first candle, unix milliseconds: the flow's time 0.

        Raises:
            ConfigError: there is no candle.
        """
        if self._begin_ms is None:
            raise ConfigError("candles: there are none")
        return self._begin_ms

    @property
    def has_candles(self) -> bool:
        """Whether whole candles can be passed: always."""
        return True

    def next_at_us(self) -> int | None:
        """Return when the next point is due, or None once the candles have ended."""
        if not self._coming:
            return None
        return self._coming[0][0] + self._offsets[self._at]

    def step(self, now_us: int) -> list[FlowAction]:
        """Return the actions of all points due up to and including `now_us`."""
        actions: list[FlowAction] = []
        last = self._points - 1
        while self._coming:
            at = self._at
            start_us, *corners, lots = self._coming[0]
            at_us = start_us + self._offsets[at]
            if at_us > now_us:
                break
            if self._path is None:
                self._path = self._path_of(corners)
            price = self._path[at]
            base, rest = divmod(lots, self._points)
            if at == last:
                base += rest
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

    # --------------------------------------------------------- whole candles

    def next_close_us(self) -> int | None:
        """Return when the candle that is next closes, or None after the last."""
        return self._coming[0][0] + self._close_us if self._coming else None

    def calm_until_us(self, until_us: int, reach_of: ReachOf) -> int | None:
        """Return when the first point comes that has to be played as one.

        Args:
            until_us: it is not looked farther than candles that close by then.
            reach_of: prices that reach nobody, by market.

        Returns:
            None when the candles end before.
        """
        if self._at:
            return self.next_at_us()
        low, high = self._bounds(reach_of)
        close_us, points = self._close_us, self._points
        number = 0
        while True:
            while number >= len(self._coming) and self._read_one():
                pass
            if number >= len(self._coming):
                return None
            bar = self._coming[number]
            start_us, lots = bar[0], bar[5]
            if (
                start_us + close_us > until_us
                or bar[3] < low
                or bar[2] > high
                or 0 < lots < points
            ):
                return start_us + self._offsets[0]
            number += 1

    def pass_calm(self, until_us: int, reach_of: ReachOf) -> list[CalmRun]:
        """Leave out the candles that come next, close by `until_us` and reach nobody.

        Returns:
            What to play in their place, oldest first.
        """
        if self._at or not self._coming:
            return []
        if self._coming[0][0] + self._close_us > until_us:
            return []
        low, high = self._bounds(reach_of)
        close_us, points, coming = self._close_us, self._points, self._coming
        runs: list[CalmRun] = []
        passed: list[Bar] = []
        while coming:
            bar = coming[0]
            lots = bar[5]
            if (
                bar[0] + close_us > until_us
                or bar[3] < low
                or bar[2] > high
                or 0 < lots < points
            ):
                break
            if passed and (lots == 0) != (passed[0][5] == 0):
                runs.append(self._run(passed))
                passed = []
            passed.append(bar)
            self._turn()
        if passed:
            runs.append(self._run(passed))
        return runs

    def _bounds(self, reach_of: ReachOf) -> tuple[int, int]:
        # For low and high of a candle, whose quotes stand a little outside.
        low, high = reach_of(self._market.market_id)
        margin = max(self._below, self._above)
        return low + margin, high - margin

    def _run(self, bars: list[Bar]) -> CalmRun:
        first, last = bars[0], bars[-1]
        points, lots, value = self._points, 0, 0
        for bar in bars:
            share, rest = divmod(bar[5], points)
            if self._steps == 1:
                total = bar[1] + bar[2] + bar[3] + bar[4]
            else:
                total = sum(self._path_of(bar[1:5]))
            lots += bar[5]
            value += share * total + rest * bar[4]
        close_us = last[0] + self._close_us
        close, hold_us = last[4], 0
        if self._hold and self._coming:
            hold_us = self._coming[0][0] + self._later[0] - close_us
        action = PassBar(
            self._market.market_id,
            close_us - first[0] - self._offsets[0],
            first[1],
            max([bar[2] for bar in bars]),
            min([bar[3] for bar in bars]),
            close,
            lots,
            value,
            points * len(bars),
            max(1, close - self._below),
            close + self._above,
            self._depth,
            hold_us,
        )
        if self._index:
            action = action._replace(moves_index=True)
        return CalmRun(close_us, action, bars, self._length_us, self._steps)

    # ------------------------------------------------------------------- rows

    def _turn(self) -> None:
        # To the next candle; the one after it is read when this one is over.
        self._coming.popleft()
        self._at, self._path = 0, None
        self._offsets = self._later
        if len(self._coming) < 2:  # noqa: PLR2004 - the next, and when it goes on
            self._read_one()

    def _read_one(self) -> bool:
        row = next(self._rows, None)
        if row is None:
            return False
        self._read += 1
        if self._begin_ms is None:
            self._begin_ms = row.start_ms
        start_us = (row.start_ms - self._begin_ms) * 1_000
        if start_us < self._end_us:
            raise ConfigError(
                f"candles: number {self._read}, at {row.start_ms}, begins before the "
                "one before it ends"
            )
        if start_us and self._read == 1:
            self._offsets = self._later
        self._end_us = start_us + self._length_us
        scale = self._price_scale
        first = int(row.open * scale + _HALF)
        high = int(row.high * scale + _HALF)
        low = int(row.low * scale + _HALF)
        last = int(row.close * scale + _HALF)
        if not (low <= first <= high and low <= last <= high):
            raise ConfigError(
                f"candles: number {self._read}, at {row.start_ms}: open and close "
                "are not within low and high"
            )
        if low <= self._below or high + self._above > HIGHEST_PRICE:
            raise ConfigError(
                f"candles: number {self._read}, at {row.start_ms}: {row.low} to "
                f"{row.high} has no room in ticks of {self._market.tick_size}"
            )
        lots = int(row.base_volume * self._size_scale)
        if lots < 0:
            raise ConfigError(f"candles: number {self._read}: volume below 0")
        self._coming.append((start_us, first, high, low, last, lots))
        return True

    def _path_of(self, corners: Sequence[int]) -> list[int]:
        path = corners_in_order(*corners)
        return path if self._steps == 1 else _divided(path, self._steps)


def corners_in_order(first: int, high: int, low: int, last: int) -> list[int]:
    """Return open, extremes and close as a candle's path takes them."""
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
