"""Who looks on while strategies run: a log, a monitor. Nobody of them takes part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.runner.engine.strategy_run import StrategyRun


class EngineObserver(Protocol):
    """Hears of strategies within the trading: it must be quick and must not raise."""

    def strategy_changed(self, run: StrategyRun) -> None:
        """Take note of a strategy's new state."""
        ...

    def session_opened(self, run: StrategyRun) -> Callable[[], None]:
        """Look at dealers and streams that are open now; return what ends it."""
        ...
