"""A backtest's account, as its exchange and the collector know it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wrappy.runner.backtest.collector import Collector
    from wrappy.runner.worlds.equity_ear import EquityEar
    from wrappy.venue.engine import Engine


class SimulatedAccount:
    """The `Simulation` of a backtest.

    Args:
        engine: runs the exchange.
        collector: values the account.
    """

    def __init__(self, engine: Engine, collector: Collector) -> None:
        self._engine = engine
        self._collector = collector

    def catch_up(self) -> None:
        """Let everything happen that is due by now."""
        self._engine.catch_up()

    def mark(self, market_index: int) -> int | None:
        """Return a market's mark price in ticks, None while there is none."""
        return self._engine.exchange.markets[market_index].mark_price or None

    def equity(self) -> int:
        """Return the account's worth, open profit included, 1e-6 USDC."""
        return self._collector.equity()

    def listen(self, ear: EquityEar) -> None:
        """Have the ear told what it wants to hear."""
        self._collector.ear = ear
