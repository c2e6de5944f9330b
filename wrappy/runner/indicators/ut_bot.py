"""The UT Bot: a stop that trails the price by a multiple of its range."""

from __future__ import annotations

from typing import Literal, NamedTuple

from wrappy.runner.indicators.base import (
    Bar,
    CandleIndicator,
    Number,
    positive,
    whole,
)
from wrappy.runner.indicators.kernels import wilder
from wrappy.runner.indicators.ranges import true_range


class UTBotValue(NamedTuple):
    """What the UT Bot says at the close of a candle.

    Attributes:
        stop: trailing stop, in USDC; below the price in an upward course, above it in
            a downward one.
        position: 1 once the price rose through the stop, -1 once it fell through it,
            0 before either.
        event: "buy" or "sell" if this candle's close crossed the stop, else None.
    """

    stop: float
    position: int
    event: Literal["buy", "sell"] | None


class UTBot(CandleIndicator[UTBotValue]):
    """Trailing stop with buy and sell events, known as "UT Bot Alerts".

    The distance of the stop is `key_value` times the average true range, Wilder's,
    started from the first candle as in Pine (`ATR` with `seed="pine"`). The source is
    the close or, with `heikin_ashi`, the mean of the candle's four prices. The stop
    follows the source and never retreats from it while the source stays on its side.
    A missing stop before the first counts as 0, as the published script has it.

    Events compare this candle's and the last candle's source with this and the last
    stop; the first value has no event, as there is no last stop. The events and the
    changes of `position` mostly coincide, but the script defines them apart: a source
    that sat exactly on its stop before it rose gives a "buy" and leaves the position.

    Args:
        key_value: distance in ranges, above 0; larger is calmer.
        atr_period: candles of the average range, 1 or more; also the warm-up.
        heikin_ashi: whether to follow the candle's mean price instead of its close.

    Raises:
        ConfigError: a setting cannot be.
    """

    __slots__ = ("_close", "_heikin_ashi", "_key_value", "_ranges", "_source")

    def __init__(
        self,
        key_value: Number = 1.0,
        atr_period: int = 10,
        *,
        heikin_ashi: bool = False,
    ) -> None:
        self._key_value = positive(key_value, "key_value")
        whole(atr_period, "atr_period")
        said = f"{self._key_value}, {atr_period}, heikin_ashi={heikin_ashi}"
        super().__init__(atr_period, said)
        self._ranges = wilder(atr_period)
        self._heikin_ashi = heikin_ashi
        self._source: float | None = None
        self._close: float | None = None

    def _take(self, bar: Bar) -> UTBotValue | None:
        source = self._source_of(bar)
        average = self._ranges.take(true_range(bar, self._close))
        value = self._judge(source, average)
        self._source, self._close = source, bar.close
        return value

    def _look(self, bar: Bar) -> UTBotValue | None:
        average = self._ranges.look(true_range(bar, self._close))
        return self._judge(self._source_of(bar), average)

    def _source_of(self, bar: Bar) -> float:
        if not self._heikin_ashi:
            return bar.close
        return (bar.open + bar.high + bar.low + bar.close) / 4.0

    def _judge(self, source: float, average: float | None) -> UTBotValue | None:
        if average is None:
            return None
        distance = self._key_value * average
        before = self._source
        if self._value is None:
            stop = _trailed(source, before, 0.0, distance)
            return UTBotValue(stop, _position(source, before, 0.0, 0), None)
        last = self._value.stop
        stop = _trailed(source, before, last, distance)
        position = _position(source, before, last, self._value.position)
        event: Literal["buy", "sell"] | None = None
        if before is not None and source > stop and before <= last:
            event = "buy"
        elif before is not None and source < stop and before >= last:
            event = "sell"
        return UTBotValue(stop, position, event)


def _trailed(
    source: float, before: float | None, last: float, distance: float
) -> float:
    """Return the next stop; `before` is the last source and `last` the last stop."""
    if before is not None and source > last and before > last:
        return max(last, source - distance)
    if before is not None and source < last and before < last:
        return min(last, source + distance)
    return source - distance if source > last else source + distance


def _position(source: float, before: float | None, last: float, held: int) -> int:
    if before is not None and before < last < source:
        return 1
    if before is not None and before > last > source:
        return -1
    return held
