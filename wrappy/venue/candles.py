"""Candles of the local exchange: one-minute bars grown trade by trade."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wrappy.model import Market
    from wrappy.venue.candle_flow import CalmRun
    from wrappy.venue.events import Trade

MOST_CANDLES: Final = 500
"""Candles in one answer (official API documentation)."""

MINUTES_KEPT: Final = 45_000
"""Minute bars of a market that are kept: a month of them."""

_MINUTE_MS: Final = 60_000
_MOST_WAITING: Final = 2_000


@dataclass(slots=True)
class Candle:
    """One bar in wire integers.

    Attributes:
        start_ms: unix milliseconds of its beginning.
        base: lots traded, or samples taken of a mark price.
        quote: value traded, 1e-6 USDC.
        last_trade_id: newest trade in it.
    """

    start_ms: int
    open: int
    high: int
    low: int
    close: int
    base: int
    quote: int
    last_trade_id: int

    def absorb(self, later: Candle) -> None:
        """Take in a bar that follows this one in time."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.base += later.base
        self.quote += later.quote
        self.last_trade_id = later.last_trade_id


class CandleStore:
    """Minute bars of every market; longer ones are put together when asked for."""

    def __init__(self) -> None:
        # A plain dict would scan its own gaps to find the oldest.
        self._minutes: dict[int, OrderedDict[int, Candle]] = {}
        self._waiting: dict[int, deque[tuple[int, CalmRun, int] | Candle]] = {}
        self._counts: dict[int, int] = {}

    def add(self, trade: Trade) -> None:
        """Count one trade."""
        self.put(
            trade.market_index,
            trade.at_us // 1_000,
            trade.price,
            base=trade.base,
            quote=trade.quote,
            last_trade_id=trade.trade_id,
        )

    def put(
        self,
        market_index: int,
        at_ms: int,
        price: int,
        *,
        base: int,
        quote: int = 0,
        last_trade_id: int = 0,
    ) -> None:
        """Count one price: of a trade, or a mark price with a `base` of 1.

        Args:
            market_index: the market.
            at_ms: unix milliseconds.
            price: ticks.
            base: lots, or how many samples it is.
            quote: 1e-6 USDC.
            last_trade_id: the trade, if it is one.
        """
        start_ms = at_ms // _MINUTE_MS * _MINUTE_MS
        bar = Candle(
            start_ms,
            *(price,) * 4,
            base=base,
            quote=quote,
            last_trade_id=last_trade_id,
        )
        waiting = self._waiting.get(market_index)
        if waiting and len(waiting) < _MOST_WAITING:
            waiting.append(bar)  # behind what came before it
        else:
            _enter(self._bars_of(market_index), bar)

    def add_run(self, start_us: int, run: CalmRun, multiplier: int) -> None:
        """Count the trades of candles of a minute or more, once somebody asks.

        Args:
            start_us: time 0 of the run's times, unix microseconds.
            run: the candles.
            multiplier: 1e-6 USDC of a lot for each tick.
        """
        waiting = self._waiting.setdefault(run.action.market_index, deque())
        waiting.append((start_us, run, multiplier))
        count = self._counts.get(run.action.market_index, 0) + len(run.bars)
        # The oldest would go at once when newer ones are counted.
        while True:
            oldest = waiting[0]
            if isinstance(oldest, Candle):
                if count <= MINUTES_KEPT:
                    break
            elif count - len(oldest[1].bars) < MINUTES_KEPT:
                break
            else:
                count -= len(oldest[1].bars)
            waiting.popleft()
        self._counts[run.action.market_index] = count

    def _bars_of(self, market_index: int) -> OrderedDict[int, Candle]:
        minutes = self._minutes.setdefault(market_index, OrderedDict())
        waiting = self._waiting.get(market_index)
        while waiting:
            what = waiting.popleft()
            if isinstance(what, Candle):
                _enter(minutes, what)
            else:
                self._fold(minutes, *what)
        self._counts[market_index] = 0
        return minutes

    @staticmethod
    def _fold(
        minutes: OrderedDict[int, Candle], start_us: int, run: CalmRun, multiplier: int
    ) -> None:
        points = run.action.points // len(run.bars)
        for at_us, first, high, low, last, lots in run.bars:
            if not lots:
                continue
            share, rest = divmod(lots, points)
            # As much at each point, which a path of more than four has between them.
            value = share * run.total(first, high, low, last) + rest * last
            start_ms = (start_us + at_us) // 1_000 // _MINUTE_MS * _MINUTE_MS
            bar = Candle(start_ms, first, high, low, last, lots, value * multiplier, 0)
            _enter(minutes, bar)

    def read(
        self,
        market_index: int,
        resolution_ms: int,
        *,
        start_ms: int,
        end_ms: int,
        count: int,
    ) -> list[Candle]:
        """Return the newest `count` bars that begin within the two times, oldest first.

        A count of 0 asks for all of them. A bar without a trade does not exist.
        """
        bars = [
            bar
            for bar in _joined(self._bars_of(market_index).values(), resolution_ms)
            if start_ms <= bar.start_ms <= end_ms
        ]
        return bars[-min(count or MOST_CANDLES, MOST_CANDLES) :]

    def minutes(self, market_index: int) -> tuple[Candle, ...]:
        """Return every bar of a minute that is kept, oldest first."""
        return tuple(self._bars_of(market_index).values())

    def newest(
        self, market_index: int, resolution_ms: int, *, since_ms: int | None = None
    ) -> list[Candle]:
        """Return every bar from the one at `since_ms` on, oldest first.

        None asks for the newest bar alone; there is none before the first trade.
        """
        minutes = self._bars_of(market_index)
        if not minutes:
            return []
        if since_ms is None:
            since_ms = next(reversed(minutes))
        start_ms = since_ms // resolution_ms * resolution_ms
        # Only the end of a month of minutes is looked at.
        found = takewhile(
            lambda bar: bar.start_ms >= start_ms, reversed(minutes.values())
        )
        return _joined(reversed(list(found)), resolution_ms)


def _enter(minutes: OrderedDict[int, Candle], bar: Candle) -> None:
    if bar.start_ms in minutes:
        minutes[bar.start_ms].absorb(bar)
        return
    minutes[bar.start_ms] = bar
    if len(minutes) > MINUTES_KEPT:
        minutes.popitem(last=False)


def _joined(minutes: Iterable[Candle], resolution_ms: int) -> list[Candle]:
    bars = []
    for start_ms, members in groupby(
        minutes, lambda bar: bar.start_ms // resolution_ms * resolution_ms
    ):
        first, *rest = members
        bar = replace(first, start_ms=start_ms)
        for later in rest:
            bar.absorb(later)
        bars.append(bar)
    return bars


def render_mark_price_candle(bar: Candle, market: Market) -> dict[str, Any]:
    """Return one bar of mark prices, as the official schema spells it."""
    return {
        "t": bar.start_ms,
        "o": float(market.price(bar.open)),
        "h": float(market.price(bar.high)),
        "l": float(market.price(bar.low)),
        "c": float(market.price(bar.close)),
        "sc": bar.base,
    }


def render_candle(bar: Candle, market: Market) -> dict[str, Any]:
    """Return one bar as the `candles` endpoint spells it."""
    return {
        "t": bar.start_ms,
        "o": float(market.price(bar.open)),
        "h": float(market.price(bar.high)),
        "l": float(market.price(bar.low)),
        "c": float(market.price(bar.close)),
        "v": float(market.size(bar.base)),
        "V": bar.quote / 1_000_000,
        "i": bar.last_trade_id,
    }
