"""How long the fate of orders was not known, for the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrappy.model import OrderStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.runner.engine.strategy_run import StrategyRun
    from wrappy.runner.performance.recorder import PerformanceRecorder


class DoubtWatch:
    """Tells a recorder when an order's fate becomes unknown, and known again.

    Args:
        recorder: takes the figures.
        now_ms: returns unix milliseconds.
    """

    def __init__(
        self, recorder: PerformanceRecorder, now_ms: Callable[[], int]
    ) -> None:
        self._recorder = recorder
        self._now_ms = now_ms
        self._open: set[int] = set()

    def strategy_changed(self, run: StrategyRun) -> None:
        """Take note of a strategy's new state: nothing depends on it here."""

    def session_opened(self, run: StrategyRun) -> Callable[[], None]:
        """Look at a strategy's orders from now on; return what ends it."""
        for dealer in run.session.dealers.values():
            dealer.orders.tell(
                lambda record: self.changed(record.client_order_index, record.status)
            )
        # The dealers end with the session, and nobody is told any more.
        return _nothing

    def changed(self, client_order_index: int, status: OrderStatus) -> None:
        """Take an order's state."""
        is_open = client_order_index in self._open
        if status is OrderStatus.UNKNOWN and not is_open:
            self._open.add(client_order_index)
            self._recorder.unknown_began(client_order_index, self._now_ms())
        elif status is not OrderStatus.UNKNOWN and is_open:
            self._open.discard(client_order_index)
            self._recorder.unknown_ended(client_order_index, self._now_ms())


def _nothing() -> None:
    return None
