"""Longer candles out of shorter ones, and candles out of trades.

Neither looks ahead: a candle comes out when its time is over, never before. Neither
invents: a stretch without trades gives no candle, and one that was joined half-way is
left out, because its first price and volume would be wrong.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Context
from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError
from wrappy.model import Candle
from wrappy.runner.indicators.base import IndicatorInputError
from wrappy.runner.indicators.resolution import resolution_ms, start_of

if TYPE_CHECKING:
    from wrappy.model import Trade

_EXACT: Final = Context(prec=100)
"""Sums of volumes keep all their digits, whatever the program's own context is."""


class Resampler:
    """Longer candles out of shorter ones.

    A longer candle comes out with its last shorter one; if that never came, with the
    first one after it. It is made of what came: `missing` counts what did not, which
    on a quiet market are stretches without trades and elsewhere a hole in the data.
    The first longer candle is left out unless its first shorter one was there, and
    the last one never comes out before its time is over.

    Args:
        source: length of the candles that come in, such as `1m`, or milliseconds.
        target: length of those that come out, a multiple of `source`.

    Raises:
        ConfigError: a length cannot be.
    """

    __slots__ = ("_last_ms", "_making", "_missing", "_source_ms", "_target_ms")

    def __init__(self, source: str | int, target: str | int) -> None:
        self._source_ms = resolution_ms(source, "source")
        self._target_ms = resolution_ms(target, "target")
        if self._target_ms == self._source_ms or self._target_ms % self._source_ms:
            raise ConfigError(
                f"target: {target!r} must be a multiple of source {source!r}, and "
                f"longer"
            )
        self._last_ms: int | None = None
        self._making: Candle | None = None
        self._missing = 0

    @property
    def partial(self) -> Candle | None:
        """The longer candle in the making, not closed; None if there is none."""
        return self._making

    @property
    def missing(self) -> int:
        """Shorter candles that never came between those that did."""
        return self._missing

    def update(self, candle: Candle) -> list[Candle]:
        """Take the next closed candle and return the longer ones that it completes.

        Returns:
            Closed candles, oldest first. Mostly none; one at the end of each longer
            candle; two if one was cut short and the next ends right here.

        Raises:
            IndicatorInputError: the candle is still in the making, is not later than
                the last one, or does not begin at a multiple of its length; nothing
                changed.
        """
        self._check(candle)
        begin = start_of(candle.start_ms, self._target_ms)
        end = begin + self._target_ms
        over = []
        if self._making is not None and self._making.start_ms != begin:
            over.append(_closed(self._making))
            self._making = None
        if self._making is not None:
            self._making = _joined(self._making, candle)
        elif candle.start_ms == begin or self._saw_before(begin):
            self._making = _moved(candle, begin)
        if self._last_ms is not None:
            steps = (candle.start_ms - self._last_ms) // self._source_ms
            self._missing += steps - 1
        self._last_ms = candle.start_ms
        if self._making is not None and candle.start_ms + self._source_ms == end:
            over.append(_closed(self._making))
            self._making = None
        return over

    def _saw_before(self, begin: int) -> bool:
        # What began before we listened cannot be told from what did not trade.
        return self._last_ms is not None and self._last_ms < begin

    def _check(self, candle: Candle) -> None:
        if not candle.closed:
            raise IndicatorInputError(
                f"closed: the candle of {candle.start_ms} is still in the making; "
                f"wait for it to close"
            )
        if candle.start_ms % self._source_ms:
            raise IndicatorInputError(
                f"start_ms: {candle.start_ms} is no multiple of the source's "
                f"{self._source_ms} ms; give candles of that length"
            )
        if self._last_ms is not None and candle.start_ms <= self._last_ms:
            raise IndicatorInputError(
                f"start_ms: {candle.start_ms} is not later than the last candle's "
                f"{self._last_ms}; give every candle once, oldest first"
            )


class TradeCandles:
    """Candles out of public trades.

    A candle comes out with the first trade after it, or when `advance` is told that
    its time is over. A stretch without trades gives none. The candle that was joined
    half-way is left out, unless `complete_from_ms` says that no trade is missing.

    Args:
        resolution: length of the candles, such as `1m`, or milliseconds.
        complete_from_ms: unix milliseconds since when all trades will be told; None
            if that is not known.

    Raises:
        ConfigError: the length cannot be.
    """

    __slots__ = ("_from_ms", "_last", "_length_ms", "_making", "_over_ms")

    def __init__(
        self, resolution: str | int, *, complete_from_ms: int | None = None
    ) -> None:
        self._length_ms = resolution_ms(resolution)
        self._from_ms: int | None = None
        if complete_from_ms is not None:
            self._from_ms = -start_of(-complete_from_ms, self._length_ms)
        self._over_ms: int | None = None
        self._last: Trade | None = None
        self._making: Candle | None = None

    @property
    def partial(self) -> Candle | None:
        """The candle in the making, not closed; None if there is none."""
        return self._making

    def update(self, trade: Trade) -> Candle | None:
        """Take the next trade and return the candle that it ends, if it does.

        Raises:
            IndicatorInputError: the trade is of another market, was told before,
                belongs to a candle that is over, or has figures that cannot be;
                nothing changed.
        """
        self._check(trade)
        begin = start_of(trade.timestamp_ms, self._length_ms)
        over = self.advance(begin)
        self._last = trade
        if self._from_ms is None:
            self._from_ms = begin + self._length_ms
        if begin >= self._from_ms:
            one = _of_trade(trade, begin)
            known = self._making
            self._making = one if known is None else _joined(known, one)
        return over

    def advance(self, now_ms: int) -> Candle | None:
        """Return the candle that is over by now, if there is one.

        Args:
            now_ms: unix milliseconds of the exchange's clock, less what a trade may
                be late: one that comes for a candle that is out is refused.
        """
        begin = start_of(now_ms, self._length_ms)
        if self._over_ms is None or begin > self._over_ms:
            self._over_ms = begin
        if self._making is None or self._making.start_ms >= begin:
            return None
        over, self._making = _closed(self._making), None
        return over

    def _check(self, trade: Trade) -> None:
        last = self._last
        if last is not None and trade.market_id != last.market_id:
            raise IndicatorInputError(
                f"market_id: {trade.market_id} is not the {last.market_id} of the "
                f"trades before; use one of these for each market"
            )
        if last is not None and trade.trade_id <= last.trade_id:
            raise IndicatorInputError(
                f"trade_id: {trade.trade_id} is not above the last one's "
                f"{last.trade_id}; give every trade once, oldest first"
            )
        if self._over_ms is not None and trade.timestamp_ms < self._over_ms:
            raise IndicatorInputError(
                f"timestamp_ms: {trade.timestamp_ms} belongs to a candle that is over; "
                f"the one in the making begins at {self._over_ms}"
            )
        for name, value in (("price", trade.price), ("size", trade.size)):
            if not value.is_finite() or value <= 0:
                raise IndicatorInputError(f"{name}: {value} must be above 0")


def _closed(candle: Candle) -> Candle:
    return replace(candle, closed=True)


def _moved(candle: Candle, begin: int) -> Candle:
    """Return the first part of a longer candle."""
    return replace(candle, start_ms=begin, closed=False)


def _of_trade(trade: Trade, begin: int) -> Candle:
    price = trade.price
    paid = _EXACT.multiply(price, trade.size)
    return Candle(
        begin,
        price,
        price,
        price,
        price,
        trade.size,
        paid,
        trade.trade_id,
        closed=False,
    )


def _joined(candle: Candle, later: Candle) -> Candle:
    """Return a candle in the making with what came later."""
    return Candle(
        candle.start_ms,
        candle.open,
        max(candle.high, later.high),
        min(candle.low, later.low),
        later.close,
        _EXACT.add(candle.base_volume, later.base_volume),
        _EXACT.add(candle.quote_volume, later.quote_volume),
        max(candle.last_trade_id, later.last_trade_id),
        closed=False,
    )
