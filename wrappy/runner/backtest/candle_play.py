"""Recorded candles, played as the life of their markets."""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING

from wrappy.errors import ConfigError
from wrappy.runner.backtest.path_prices import PathPrices
from wrappy.runner.history.values import resolution_ms
from wrappy.runner.risk.limits import MOST_SECONDS
from wrappy.runner.worlds.tape_candles import TapeCandles
from wrappy.venue.bundled import market_named
from wrappy.venue.candle_flow import CandleFlow
from wrappy.venue.flow import MergedFlow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from wrappy.lighter.dealer import LighterDealer
    from wrappy.lighter.environment import Environment
    from wrappy.lighter.ws import WsInfo
    from wrappy.runner.backtest.data import CandleData
    from wrappy.runner.backtest.settings import BacktestSettings
    from wrappy.runner.risk.limits import RiskLimits
    from wrappy.runner.worlds.candle_source import CandleSource
    from wrappy.venue.settings import VenueSettings


class CandlePlay:
    """Candles of one market or several; see `Play`.

    Args:
        tapes: candles of each market, all of one length.
        settings: what is assumed.

    Raises:
        ConfigError: candles that do not fit each other or the settings.
    """

    def __init__(self, tapes: Sequence[CandleData], settings: BacktestSettings) -> None:
        self.data = tuple(tapes)
        self._settings = settings
        self._tapes = {tape.symbol: tape for tape in tapes}
        self._begin_ms = _begin_ms(tapes, settings)
        self.begin_us = self._begin_ms * 1_000
        self.end_us = max(tape.end_ms for tape in tapes) * 1_000
        self._path_prices = PathPrices(
            {market_named(tape.symbol).market_id: tape for tape in tapes},
            points=settings.points,
        )

    def venue(self) -> VenueSettings:
        """Return the exchange's settings."""
        return self._settings.venue(tuple(self._tapes))

    def flow(self) -> MergedFlow:
        """Return the life of all markets, counted from the beginning of trading."""
        return MergedFlow([self._flow(tape) for tape in self.data])

    def close(self) -> None:
        """Close nothing: candles are in memory."""

    def candles(
        self, environment: Environment
    ) -> Callable[[Mapping[str, LighterDealer], WsInfo], CandleSource]:
        """Return what makes the strategy's source: the recorded candles."""
        source = TapeCandles(
            {symbol: tape.rows for symbol, tape in self._tapes.items()},
            resolution=self.data[0].resolution,
            unix_s=environment.unix_s,
        )
        return lambda _, __: source

    def decided_at(self, market_index: int, at_us: int) -> int:
        """Return the path's price in ticks at a time, 0 while unknown."""
        return self._path_prices.at(market_index, at_us)

    def arrived_at(self, market_index: int, at_us: int) -> int:  # noqa: ARG002 - Play's
        """Return 0: the mark price is on the path."""
        return 0

    def prices(self, symbol: str) -> Iterator[tuple[int, Decimal]]:
        """Yield the first open and every close, with unix milliseconds."""
        tape = self._tapes[symbol]
        length = resolution_ms(tape.resolution)
        begin = _first_of(tape, self._begin_ms)
        yield tape.rows[begin].start_ms, tape.rows[begin].open
        for row in islice(tape.rows, begin, None):
            yield row.start_ms + length, row.close

    def limits(self) -> RiskLimits | None:
        """Return what the risk guard allows, of what candles can tell.

        Within a candle nobody knows when there was a trade: a shorter silence than
        one of them cannot be judged, and is none.
        """
        given = self._settings.limits
        if given is None or given.max_trades_age_s is None:
            return given
        candle_s = Decimal(resolution_ms(self.data[0].resolution)) / 1_000
        if given.max_trades_age_s >= candle_s:
            return given
        # Longer ones than the longest limit are never without a trade.
        least = candle_s if candle_s <= MOST_SECONDS else None
        return replace(given, max_trades_age_s=least)

    def models(self) -> dict[str, str]:
        """Return the assumptions in words."""
        return self._settings.models()

    def described(self) -> tuple[str, ...]:
        """Return what the candles are, in words."""
        return tuple(
            f"{tape.symbol} {tape.resolution}: {note}"
            for tape in self.data
            for note in (f"{len(tape.rows)} candles", *tape.notes)
        )

    def _flow(self, tape: CandleData) -> CandleFlow:
        settings = self._settings
        return CandleFlow(
            islice(tape.rows, _first_of(tape, self._begin_ms), None),
            market_named(tape.symbol),
            resolution_ms=resolution_ms(tape.resolution),
            points=settings.points,
            spread_ticks=settings.spread_ticks,
            slippage_ticks=settings.slippage_ticks,
            fill_on_touch=settings.fill_on_touch,
            hold_takers=settings.hold_takers,
            index=True,
            begin_ms=self._begin_ms,
        )


def _begin_ms(tapes: Sequence[CandleData], settings: BacktestSettings) -> int:
    """Return when trading begins: after the warm-up of every market."""
    if len({tape.resolution for tape in tapes}) > 1:
        told = ", ".join(f"{tape.symbol} {tape.resolution}" for tape in tapes)
        raise ConfigError(
            f"data: all candles have to be of one length; there are {told}"
        )
    if len({tape.symbol for tape in tapes}) < len(tapes):
        raise ConfigError("data: two sets of candles of one market; join them first")
    for tape in tapes:
        if settings.warm_up >= len(tape.rows):
            raise ConfigError(
                f"warm_up: {settings.warm_up} candles, but there are only "
                f"{len(tape.rows)} of {tape.symbol}"
            )
    begin_ms = max(tape.rows[settings.warm_up].start_ms for tape in tapes)
    for tape in tapes:
        if tape.rows[-1].start_ms < begin_ms:
            raise ConfigError(
                f"data: the candles are not of the same time: those of {tape.symbol} "
                f"end at {_in_words(tape.end_ms)}, and trading begins at "
                f"{_in_words(begin_ms)}"
            )
    if begin_ms % 1_000:
        raise ConfigError(f"data: a candle begins within a second, at {begin_ms}")
    return begin_ms


def _in_words(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at_ms // 1_000))


def _first_of(tape: CandleData, begin_ms: int) -> int:
    return bisect_left(tape.rows, begin_ms, key=lambda row: row.start_ms)
