"""What trading cost and how it went about: fees, slippage, orders, exposure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal  # noqa: TC003 - a field's type, read at run time
from typing import TYPE_CHECKING

from wrappy.errors import UsageError
from wrappy.model import Side, usdc

if TYPE_CHECKING:
    from wrappy.runner.performance.fills import Fill

_PER_UNIT = 10**9
"""Shares of time and leverage are summed up in billionths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostFigures:
    """What was traded and what it cost; money in USDC.

    Attributes:
        traded: value of all fills.
        turnover: `traded` over the mean equity.
        turnover_per_day: the same for a day.
        fees: paid; negative when received.
        liquidation_fees: paid for being liquidated.
        funding: received; negative when paid.
        maker_share: part of `traded` that rested in the book, 0 to 1.
        slippage_at_decision_bps: how much worse than the mid price at the decision,
            in 1e-4 of the value, over the fills of which it is known.
        slippage_at_arrival_bps: the same against the mid price at arrival.
        slippage_unknown: fills without a mid price at the decision.
    """

    traded: Decimal
    turnover: float | None
    turnover_per_day: float | None
    fees: Decimal
    liquidation_fees: Decimal
    funding: Decimal
    maker_share: float | None
    slippage_at_decision_bps: float | None
    slippage_at_arrival_bps: float | None
    slippage_unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityFigures:
    """How the run went about it.

    Attributes:
        orders: orders that were sent.
        filled_orders: orders that traded at all.
        fills: executions.
        fill_ratio: `filled_orders` over `orders`.
        orders_per_fill: `orders` over `fills`.
        canceled: orders that were canceled.
        rejected: orders that the exchange refused.
        risk_blocks: orders that a risk limit refused before they were sent.
        transactions: transactions sent.
        quota_used: volume quota spent.
        unknown_orders: times that an order's fate was not known.
        unknown_s: seconds with at least one such order.
        exposure: share of the time with a position, 0 to 1.
        mean_leverage: mean over time of value held over equity.
    """

    orders: int
    filled_orders: int
    fills: int
    fill_ratio: float | None
    orders_per_fill: float | None
    canceled: int
    rejected: int
    risk_blocks: int
    transactions: int
    quota_used: int
    unknown_orders: int
    unknown_s: float
    exposure: float | None
    mean_leverage: float | None


class CostMeter:
    """Adds up fills and funding."""

    def __init__(self) -> None:
        self.fills = 0
        """Executions so far."""

        self.filled_orders: set[int] = set()
        """Orders of ours that traded, by client order index."""

        self._traded = self._resting = 0
        self._fees = self._liquidation_fees = self._funding = 0
        # Cost and value of those fills whose mid price is known.
        self._decided = [0, 0]
        self._arrived = [0, 0]
        self._unknown = 0

    def fill(self, fill: Fill) -> None:
        """Take one execution."""
        self.fills += 1
        self._traded += fill.quote
        self._resting += fill.quote if fill.is_maker else 0
        self._fees += fill.fee
        self._liquidation_fees += fill.liquidation_fee
        if fill.client_order_index is not None:
            self.filled_orders.add(fill.client_order_index)
        _compare(self._decided, fill, fill.mid_quote_at_decision)
        _compare(self._arrived, fill, fill.mid_quote_at_arrival)
        self._unknown += fill.mid_quote_at_decision is None

    def funding(self, amount: int) -> None:
        """Take funding, 1e-6 USDC, positive when received."""
        self._funding += amount

    def figures(self, *, mean_equity: float, days: float) -> CostFigures:
        """Return all figures; mean equity in 1e-6 USDC."""
        turnover = self._traded / mean_equity if mean_equity > 0 else None
        return CostFigures(
            traded=usdc(self._traded),
            turnover=turnover,
            turnover_per_day=turnover / days if turnover is not None and days else None,
            fees=usdc(self._fees),
            liquidation_fees=usdc(self._liquidation_fees),
            funding=usdc(self._funding),
            maker_share=share(self._resting, self._traded),
            slippage_at_decision_bps=share(self._decided[0] * 10_000, self._decided[1]),
            slippage_at_arrival_bps=share(self._arrived[0] * 10_000, self._arrived[1]),
            slippage_unknown=self._unknown,
        )


def _compare(sums: list[int], fill: Fill, mid_quote: int | None) -> None:
    if mid_quote is None:
        return
    paid_more = fill.quote - mid_quote
    sums[0] += paid_more if fill.side is Side.BUY else -paid_more
    sums[1] += mid_quote


def share(part: int, whole: int) -> float | None:
    """Return one number over another, None over zero."""
    return part / whole if whole else None


class ExposureMeter:
    """Averages over time what is held, which stays so until the next event.

    Args:
        start_ms: unix milliseconds; flat.
    """

    def __init__(self, start_ms: int) -> None:
        self._start_ms = self._last_ms = start_ms
        self._is_exposed = False
        self._leverage = 0
        self._exposed_ms = 0
        self._leverage_ms = 0

    def sample(self, now_ms: int, notional: int, equity: int) -> None:
        """Take what is held: value of all positions unsigned, and equity, 1e-6 USDC.

        Raises:
            UsageError: the time lies before the last event, or the value is negative.
        """
        if now_ms < self._last_ms or notional < 0:
            raise UsageError(
                f"notional: {notional} at {now_ms}; give the unsigned value, in the "
                f"order of time, last was {self._last_ms}"
            )
        elapsed_ms = now_ms - self._last_ms
        self._last_ms = now_ms
        self._leverage_ms += self._leverage * elapsed_ms
        if self._is_exposed:
            self._exposed_ms += elapsed_ms
        self._is_exposed = notional > 0
        # Over debts there is no leverage that means anything.
        self._leverage = notional * _PER_UNIT // equity if equity > 0 else 0

    def shares(self, end_ms: int) -> tuple[float | None, float | None]:
        """Return share of the time with a position, and mean leverage."""
        last_ms, elapsed_ms = end_ms - self._last_ms, end_ms - self._start_ms
        exposed_ms = last_ms if self._is_exposed else 0
        return (
            share(self._exposed_ms + exposed_ms, elapsed_ms),
            share(self._leverage_ms + self._leverage * last_ms, elapsed_ms * _PER_UNIT),
        )


class DoubtMeter:
    """Measures how long the fate of at least one order was not known."""

    def __init__(self) -> None:
        self.orders = 0
        """Times that an order's fate became unknown."""

        self._open: set[int] = set()
        self._since_ms = 0
        self._total_ms = 0

    def began(self, client_order_index: int, now_ms: int) -> None:
        """Note that an order's fate is not known; twice counts once."""
        if client_order_index in self._open:
            return
        if not self._open:
            self._since_ms = now_ms
        self.orders += 1
        self._open.add(client_order_index)

    def ended(self, client_order_index: int, now_ms: int) -> None:
        """Note that it is known; without a doubt before, nothing happens."""
        if client_order_index in self._open:
            self._open.remove(client_order_index)
            if not self._open:
                self._total_ms += now_ms - self._since_ms

    @property
    def open_count(self) -> int:
        """Orders whose fate is not known."""
        return len(self._open)

    def seconds(self, end_ms: int) -> float:
        """Return the time in doubt until a moment, in seconds."""
        running_ms = end_ms - self._since_ms if self._open else 0
        return (self._total_ms + running_ms) / 1_000
