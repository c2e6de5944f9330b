"""What a recorded market was at, at any time of it."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from wrappy.runner.history.values import resolution_ms
from wrappy.venue.bundled import market_named
from wrappy.venue.candle_flow import CandleFlow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.runner.backtest.data import CandleData


class PathPrices:
    """Prices of candles' paths, as `CandleFlow` plays them.

    Args:
        tapes: candles by market index.
        points: of each path.
    """

    def __init__(self, tapes: Mapping[int, CandleData], *, points: int) -> None:
        self._tapes = tapes
        self._points = points

    def at(self, market_index: int, now_us: int) -> int:
        """Return the price in ticks that stood at a time, 0 before the first.

        Args:
            market_index: the market.
            now_us: unix microseconds.
        """
        tape = self._tapes[market_index]
        # The open comes a microsecond after its candle's beginning.
        now_us -= 1
        found = bisect_right(tape.rows, now_us // 1_000, key=lambda row: row.start_ms)
        if not found:
            return 0
        row = tape.rows[found - 1]
        flow = CandleFlow(
            [row],
            market_named(tape.symbol),
            resolution_ms=resolution_ms(tape.resolution),
            points=self._points,
        )
        # Alone, its open is at its very beginning.
        told = flow.step(now_us + 1 - row.start_ms * 1_000)
        return int(told[-1].price)  # type: ignore[union-attr]  # all are points
