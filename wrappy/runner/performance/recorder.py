"""Collects a run while it goes on, and says at its end what it came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrappy.errors import UsageError
from wrappy.model import usdc
from wrappy.runner.performance.activity import (
    ActivityFigures,
    CostMeter,
    DoubtMeter,
    ExposureMeter,
    share,
)
from wrappy.runner.performance.equity import DAY_MS, EquityCurve
from wrappy.runner.performance.ratios import ENOUGH, LEAST_DAYS, return_figures
from wrappy.runner.performance.results import About, Baseline, Results
from wrappy.runner.performance.round_trips import Method, RoundTripBook
from wrappy.runner.performance.trade_figures import trade_figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.runner.performance.fills import Fill
    from wrappy.runner.performance.trials import TrialFigures


class PerformanceRecorder:
    """Takes events in the order of time; performs no I/O and reads no clock.

    Money is in 1e-6 USDC, times are unix milliseconds.

    Args:
        start_ms: beginning of the run.
        capital: start capital, above zero.
        method: how fills become trades, `flat` or `fifo`; see `RoundTripBook`.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(self, *, start_ms: int, capital: int, method: Method = "flat") -> None:
        self.curve = EquityCurve(start_ms, capital)
        """The equity so far."""

        self.book = RoundTripBook(method=method)
        """The trades so far."""

        self._method = method
        self._costs = CostMeter()
        self._exposure = ExposureMeter(start_ms)
        self._doubt = DoubtMeter()
        self._orders = self._canceled = self._rejected = self._risk_blocks = 0
        self._transactions = self._quota_used = 0
        self._is_finished = False

    def sample(self, now_ms: int, equity: int, notional: int) -> None:
        """Take equity at the mark price, and the unsigned value of all positions.

        Call it after every event that changes one of them.

        Raises:
            UsageError: the time lies before the last event.
        """
        self.curve.sample(now_ms, equity)
        self._exposure.sample(now_ms, notional, equity)

    def fill(self, fill: Fill) -> None:
        """Take one of our executions."""
        self._costs.fill(fill)
        self.book.fill(fill)

    def funding(self, market_id: int, amount: int) -> None:
        """Take funding of a market, positive when received."""
        self._costs.funding(amount)
        self.book.funding(market_id, amount)

    def order_sent(self, count: int = 1) -> None:
        """Count orders that were sent."""
        self._orders += count

    def order_canceled(self, count: int = 1) -> None:
        """Count orders that were canceled."""
        self._canceled += count

    def order_rejected(self, count: int = 1) -> None:
        """Count orders that the exchange refused."""
        self._rejected += count

    def risk_blocked(self, count: int = 1) -> None:
        """Count orders that a risk limit refused before they were sent."""
        self._risk_blocks += count

    def transactions_sent(self, count: int, *, quota_used: int = 0) -> None:
        """Count transactions, and the volume quota they spent."""
        self._transactions += count
        self._quota_used += quota_used

    def unknown_began(self, client_order_index: int, now_ms: int) -> None:
        """Note that an order's fate is not known."""
        self._doubt.began(client_order_index, now_ms)

    def unknown_ended(self, client_order_index: int, now_ms: int) -> None:
        """Note that an order's fate is known again."""
        self._doubt.ended(client_order_index, now_ms)

    def finish(
        self,
        end_ms: int,
        *,
        about: About | None = None,
        baselines: Sequence[Baseline] = (),
        trials: TrialFigures | None = None,
    ) -> Results:
        """Return what the run came to; equity stays the last one until the end.

        Raises:
            UsageError: it was finished before, or the end lies before the last event.
        """
        if self._is_finished:
            raise UsageError("the run is finished; use a new recorder for the next one")
        curve = self.curve
        curve.sample(end_ms, curve.equity)
        self._is_finished = True
        drawdown = curve.drawdown()
        daily = curve.daily()
        return Results(
            about=about or About(),
            start_ms=curve.start_ms,
            end_ms=end_ms,
            start_capital=usdc(curve.start_equity),
            end_capital=usdc(curve.equity),
            returns=return_figures(
                [equity for _, equity in daily],
                start=curve.start_equity,
                end=curve.equity,
                days=curve.days,
                deepest_drawdown=drawdown.deepest,
            ),
            drawdown=drawdown,
            trades=trade_figures(
                self.book.closed,
                method=self._method,
                still_open=self.book.open_count,
            ),
            costs=self._costs.figures(mean_equity=curve.mean_equity(), days=curve.days),
            activity=self._activity(end_ms),
            baselines=tuple(baselines),
            trials=trials,
            warnings=self._warnings(daily, end_ms),
            daily=tuple(daily),
            curve=tuple(curve.points()),
            round_trips=tuple(self.book.closed),
        )

    def _warnings(
        self, daily: Sequence[tuple[int, int]], end_ms: int
    ) -> tuple[str, ...]:
        found = []
        returns, closed = len(daily) - 1, len(self.book.closed)
        if returns < ENOUGH:
            found.append(f"{returns} daily return(s): fewer than {ENOUGH} say little")
        if closed < ENOUGH:
            found.append(f"{closed} closed trade(s): fewer than {ENOUGH} say little")
        if self.curve.days < LEAST_DAYS:
            found.append(
                f"shorter than {LEAST_DAYS} days: no growth by the year (CAGR, Calmar)"
            )
        if self.curve.lowest <= 0:
            found.append("equity fell to zero or below: nothing after that counts")
        rest_h = (end_ms - daily[-1][0]) / DAY_MS * 24
        if rest_h:
            found.append(
                f"the last {rest_h:.1f} h after 00:00 UTC are in return and drawdown, "
                "not in the daily returns"
            )
        if self.book.open_count:
            found.append(
                f"{self.book.open_count} open trade(s) at the end: valued at the mark "
                "price, not counted as won or lost"
            )
        if self._doubt.orders:
            found.append(
                f"the fate of an order was unknown {self._doubt.orders} time(s), for "
                f"{self._doubt.seconds(end_ms):.1f} s in all; "
                f"{self._doubt.open_count} still"
            )
        return tuple(found)

    def _activity(self, end_ms: int) -> ActivityFigures:
        filled, fills = len(self._costs.filled_orders), self._costs.fills
        exposure, leverage = self._exposure.shares(end_ms)
        return ActivityFigures(
            orders=self._orders,
            filled_orders=filled,
            fills=fills,
            fill_ratio=share(filled, self._orders),
            orders_per_fill=share(self._orders, fills),
            canceled=self._canceled,
            rejected=self._rejected,
            risk_blocks=self._risk_blocks,
            transactions=self._transactions,
            quota_used=self._quota_used,
            unknown_orders=self._doubt.orders,
            unknown_s=self._doubt.seconds(end_ms),
            exposure=exposure,
            mean_leverage=leverage,
        )
