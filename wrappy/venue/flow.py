"""Market life: where the other participants' orders come from, and a made-up market.

A flow is a schedule of actions. It holds no clock: whoever runs the exchange asks
when the next actions are due and fetches them then.
"""

from __future__ import annotations

import math
import random
from decimal import ROUND_HALF_UP, Decimal
from heapq import heapify, heappop, heappush
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from wrappy.errors import ConfigError
from wrappy.venue.events import SetIndexPrice, SetLevel, Take
from wrappy.venue.flow_settings import DEFAULT_VOLATILITY, FlowSettings
from wrappy.venue.price_walk import (
    AnchoredWalk,
    GeometricWalk,
    HawkesArrivals,
    Jumps,
    PoissonArrivals,
    RevertingWalk,
    exponential,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wrappy.model import Market
    from wrappy.venue.candle_flow import CalmRun, ReachOf
    from wrappy.venue.events import FlowAction

DEFAULT_PRICES: Final[dict[str, Decimal]] = {
    "ETH": Decimal("3100.00"),
    "BTC": Decimal("64000.0"),
    "SOL": Decimal("150.000"),
    "1000PEPE": Decimal("0.010000"),
    "BNB": Decimal("650.0000"),
    "AAVE": Decimal("250.000"),
    "AAPL": Decimal("230.000"),
    "ETH/USDC": Decimal("3100.00"),
    "LIT/USDC": Decimal("2.0000"),
    "LINK/USDC": Decimal("14.00000"),
    "UNI/USDC": Decimal("6.0000"),
    "AAVE/USDC": Decimal("250.000"),
    "SKY/USDC": Decimal("0.060000"),
    "LDO/USDC": Decimal("0.80000"),
    "XAUT/USDC": Decimal("4100.00"),
    "LIT": Decimal("2.0000"),
    "LINK": Decimal("18.00000"),
    "UNI": Decimal("8.0000"),
    "SKY": Decimal("0.070000"),
    "LDO": Decimal("1.00000"),
    "XAUT": Decimal("4200.00"),
}
"""USDC at which a synthetic market opens, by symbol; a spot market by its asset's."""

FALLBACK_PRICE: Final = Decimal(100)
"""USDC at which a symbol without an entry opens."""

BOOK_LEVELS: Final = 18
"""Price levels a side."""

LOWEST_START: Final = 100
HIGHEST_PRICE: Final = 2**31
"""Ticks between which a market can open: room for `BOOK_LEVELS` on either side, in
the 32 bits that a price has on the wire."""

_INDEX_INTERVAL_US: Final = 500_000
_STEP_FRACTION: Final = 1e-5  # distance between levels, as a part of the price
_BEST_LEVEL_USDC: Final = 20_000.0
_LEVEL_GROWTH: Final = 0.15  # a level is this much larger than the best, per rank
_TAKER_USDC: Final = 4_000.0
_TAKER_SHARE: Final = 0.3  # of the events
_SWEEP_SHARE: Final = 0.03  # of the takers
_SWEEP_FACTOR: Final = 15.0
_REFRESHED_LEVELS: Final = 2


class Flow(Protocol):
    """A schedule of market actions, in microseconds since the venue's start."""

    def next_at_us(self) -> int | None:
        """Return when the next actions are due, or None once the flow has ended."""
        ...

    def step(self, now_us: int) -> list[FlowAction]:
        """Return every action due up to and including `now_us`, in order."""
        ...


@runtime_checkable
class PassesBars(Flow, Protocol):
    """A flow of candles, those of which that reach nobody can be passed as a whole."""

    @property
    def has_candles(self) -> bool:
        """Whether there are candles in it at all."""
        ...

    def next_close_us(self) -> int | None:
        """Return when the candle that is next closes, or None after the last."""
        ...

    def calm_until_us(self, until_us: int, reach_of: ReachOf) -> int | None:
        """Return when the first point comes that has to be played as one."""
        ...

    def pass_calm(self, until_us: int, reach_of: ReachOf) -> list[CalmRun]:
        """Leave out the candles that come next, close by then and reach nobody."""
        ...


class SyntheticFlow:
    """A random market that never ends: equal arguments, equal actions.

    A fair price wanders, by default drawn weakly to a slow anchor. Around it stands a
    ladder of levels that grow away from the price; some are resized at every event,
    eaten ones come back at the next. Takers of exponential size come on both sides,
    and a few sweep several levels. The first step, at 0, opens the market: index
    price, full book, one small trade each way.

    Args:
        market: scales and smallest size; also part of the seed.
        seed: chooses the market's course, unless `like` has a seed of its own.
        start_price: opening price in USDC; by symbol when None.
        events_per_s: mean number of events a second, 0.001 to 1,000,000.
        volatility: standard deviation of a year's returns, 0 to 10.
        like: the whole character of the market, instead of the three above.

    Raises:
        ConfigError: a rate or a price that cannot work.
    """

    def __init__(
        self,
        market: Market,
        *,
        seed: int,
        start_price: Decimal | None = None,
        events_per_s: float = 10.0,
        volatility: float = DEFAULT_VOLATILITY,
        like: FlowSettings | None = None,
    ) -> None:
        like = like or FlowSettings(
            start_price=start_price, events_per_s=events_per_s, volatility=volatility
        )
        opening = _ticks(market, like.start_price)
        chosen = seed if like.seed is None else like.seed
        self._market = market
        # Text seeds are hashed with SHA-512, so they mean the same everywhere.
        self._random = random.Random(f"{market.symbol} {market.market_id} {chosen}")
        self._fair = float(opening)
        self._walk = self._course(like)
        self._jumps = Jumps(self._random, like.jumps_per_day, like.jump_size)
        self._arrivals = self._clock(like)
        # In bursts every event is news: the price then moves by events.
        self._event_s = 1.0 / like.events_per_s if like.clustering else None
        self._grid = max(1, round(opening * _STEP_FRACTION))
        self._shown: tuple[dict[int, int], dict[int, int]] = ({}, {})  # bids, asks
        self._eaten: tuple[set[int], set[int]] = (set(), set())
        self._at_us = 0
        self._last_us: int | None = None
        self._index_due_us = 0

    def _course(
        self, like: FlowSettings
    ) -> AnchoredWalk | GeometricWalk | RevertingWalk:
        if like.process == "gbm":
            return GeometricWalk(self._random, like.volatility)
        if like.process == "ou":
            return RevertingWalk(
                self._random, self._fair, like.volatility, like.half_life_s
            )
        return AnchoredWalk(self._random, self._fair, like.volatility)

    def _clock(self, like: FlowSettings) -> PoissonArrivals | HawkesArrivals:
        if not like.clustering:
            return PoissonArrivals(self._random, like.events_per_s)
        return HawkesArrivals(
            self._random, like.events_per_s, like.clustering, like.clustering_s
        )

    def next_at_us(self) -> int:
        """Return when the next event takes place; there always is one."""
        return self._at_us

    def step(self, now_us: int) -> list[FlowAction]:
        """Return the actions of all events up to and including `now_us`."""
        actions: list[FlowAction] = []
        while self._at_us <= now_us:
            if self._last_us is None:
                self._open(actions)
            else:
                self._event(actions, self._at_us - self._last_us)
            self._last_us = self._at_us
            # A microsecond at least: a due time never repeats.
            self._at_us += max(1, round(self._arrivals.wait_us()))
        return actions

    def _open(self, actions: list[FlowAction]) -> None:
        self._quote_index(actions)
        self._requote(actions)
        smallest = max(1, self._market.min_base_amount)
        self._take(actions, is_ask=False, base=smallest)
        self._take(actions, is_ask=True, base=smallest)

    def _event(self, actions: list[FlowAction], waited_us: int) -> None:
        self._move_fair(waited_us / 1_000_000)
        self._requote(actions)
        if self._random.random() < _TAKER_SHARE:
            is_ask = self._random.random() < 0.5  # noqa: PLR2004 - a fair coin
            usdc = exponential(self._random, _TAKER_USDC)
            if self._random.random() < _SWEEP_SHARE:
                usdc *= _SWEEP_FACTOR
            self._take(actions, is_ask=is_ask, base=self._lots(usdc))
        if self._at_us >= self._index_due_us:
            self._quote_index(actions)

    def _move_fair(self, seconds: float) -> None:
        if self._event_s is not None:
            seconds = self._event_s
        moved = self._walk.move(self._fair, seconds) * self._jumps.factor(seconds)
        # The ladder needs room below the price, however far the walk goes.
        lowest = float(self._grid * (BOOK_LEVELS + 2))
        self._fair = min(max(moved, lowest), float(HIGHEST_PRICE))
        self._walk.moved(self._fair, seconds)

    def _requote(self, actions: list[FlowAction]) -> None:
        # Removals of both sides come first: a quote never meets a stale one.
        center = math.floor(self._fair / self._grid)
        ladders = (
            [(center - rank) * self._grid for rank in range(BOOK_LEVELS)],
            [(center + 1 + rank) * self._grid for rank in range(BOOK_LEVELS)],
        )
        for shown, eaten, ladder in zip(self._shown, self._eaten, ladders, strict=True):
            kept = set(ladder)
            for price in [price for price in shown if price not in kept]:
                del shown[price]
                eaten.discard(price)
                actions.append(self._level(shown, price, 0))
        for shown, eaten, ladder in zip(self._shown, self._eaten, ladders, strict=True):
            refreshed = {
                int(self._random.random() * BOOK_LEVELS)
                for _ in range(_REFRESHED_LEVELS)
            }
            for rank, price in enumerate(ladder):
                if price not in shown or price in eaten or rank in refreshed:
                    base = self._level_size(rank)
                    shown[price] = base
                    actions.append(self._level(shown, price, base))
            eaten.clear()

    def _level(self, side: dict[int, int], price: int, base: int) -> SetLevel:
        return SetLevel(self._market.market_id, side is self._shown[1], price, base)

    def _level_size(self, rank: int) -> int:
        usdc = _BEST_LEVEL_USDC * (1.0 + _LEVEL_GROWTH * rank)
        return self._lots(usdc * (0.5 + self._random.random()))

    def _take(self, actions: list[FlowAction], *, is_ask: bool, base: int) -> None:
        # The limit is the far end of the ladder, so that size alone decides how
        # deep a taker goes. What it meets there may be a user's order, so every
        # level it could have reached is stated anew at the next event.
        makers = self._shown[0 if is_ask else 1]
        limit = min(makers) if is_ask else max(makers)
        actions.append(Take(self._market.market_id, is_ask, limit, base))
        prices = sorted(makers, reverse=is_ask)
        in_front = accumulate((makers[price] for price in prices), initial=0)
        self._eaten[0 if is_ask else 1].update(
            price
            for price, base_before in zip(prices, in_front, strict=False)
            if base_before <= base
        )

    def _quote_index(self, actions: list[FlowAction]) -> None:
        actions.append(SetIndexPrice(self._market.market_id, round(self._fair)))
        self._index_due_us = self._at_us + _INDEX_INTERVAL_US

    def _lots(self, usdc: float) -> int:
        market = self._market
        units = usdc * market.price_scale / self._fair
        return max(1, market.min_base_amount, int(units * market.size_scale))


class MergedFlow:
    """Several flows as one, their actions in the order of their times.

    At equal times the flow given first comes first.
    """

    def __init__(self, flows: Iterable[Flow]) -> None:
        self._flows = tuple(flows)
        self._bars = [_passes(flow) for flow in self._flows]
        # Asked many times between two steps, and only a step moves a flow on.
        self._due = [
            (at_us, position)
            for position, flow in enumerate(self._flows)
            if (at_us := flow.next_at_us()) is not None
        ]
        heapify(self._due)

    def next_at_us(self) -> int | None:
        """Return the earliest due time of all, or None once all have ended."""
        return self._due[0][0] if self._due else None

    def step(self, now_us: int) -> list[FlowAction]:
        """Return every action due up to and including `now_us`, in order."""
        actions: list[FlowAction] = []
        while self._due and self._due[0][0] <= now_us:
            at_us, position = heappop(self._due)
            flow = self._flows[position]
            actions += flow.step(at_us)
            next_us = flow.next_at_us()
            if next_us is not None:
                heappush(self._due, (next_us, position))
        return actions

    @property
    def has_candles(self) -> bool:
        """Whether one of the flows plays candles."""
        return any(bars is not None for bars in self._bars)

    def next_close_us(self) -> int | None:
        """Return when the candle that is next closes, or None after the last."""
        found = [
            bars.next_close_us() for flow in self._flows if (bars := _passes(flow))
        ]
        return min([at_us for at_us in found if at_us is not None], default=None)

    def calm_until_us(self, until_us: int, reach_of: ReachOf) -> int | None:
        """Return when the first point comes that has to be played as one."""
        times = []
        for flow, bars in zip(self._flows, self._bars, strict=True):
            at_us = (
                flow.next_at_us()
                if bars is None
                else bars.calm_until_us(until_us, reach_of)
            )
            if at_us is not None:
                times.append(at_us)
        return min(times, default=None)

    def pass_calm(self, until_us: int, reach_of: ReachOf) -> list[CalmRun]:
        """Leave out the candles that come next, close by `until_us` and reach nobody.

        None is passed beyond a moment at which one has to be played.
        """
        if len(self._flows) > 1:
            # One market alone stops there by itself.
            calm_us = self.calm_until_us(until_us, reach_of)
            if calm_us is not None:
                until_us = min(until_us, calm_us - 1)
        runs = [
            run
            for bars in self._bars
            if bars is not None
            for run in bars.pass_calm(until_us, reach_of)
        ]
        if runs:
            self._due = [
                (at_us, position)
                for position, flow in enumerate(self._flows)
                if (at_us := flow.next_at_us()) is not None
            ]
            heapify(self._due)
        return runs


def _passes(flow: Flow) -> PassesBars | None:
    return flow if isinstance(flow, PassesBars) and flow.has_candles else None


def merge(flows: Iterable[Flow]) -> Flow:
    """Return one flow that plays all of `flows`, usually one for each market."""
    return MergedFlow(flows)


def _ticks(market: Market, start_price: Decimal | None) -> int:
    price = start_price
    if price is None:
        price = DEFAULT_PRICES.get(market.base_symbol, FALLBACK_PRICE)
    if not price.is_finite():
        raise ConfigError(f"start_price: {price} is not a number")
    scaled = price.scaleb(market.price_decimals).to_integral_value(ROUND_HALF_UP)
    if not LOWEST_START <= scaled <= HIGHEST_PRICE:
        raise ConfigError(
            f"start_price: {price} is not within {LOWEST_START} and {HIGHEST_PRICE} "
            f"ticks of {market.tick_size} of {market.symbol}"
        )
    return int(scaled)
