"""One look at a bot: values that never change, so that any thread may read them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from wrappy.runner.events import RunEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """The account's money in USDC.

    Attributes:
        collateral: cash, without open profit and loss.
        available_balance: what new positions may use.
        total_asset_value: collateral and open profit and loss.
    """

    collateral: Decimal
    available_balance: Decimal
    total_asset_value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Numbers for metrics and alerts.

    Attributes:
        equity: in USDC; None while it is not known.
        drawdown: below the peak, as a part of it; None while not known.
        daily_pnl: since 00:00 UTC or the start, in USDC; None while not known.
        risk_state: `ACTIVE`, `REDUCING`, `HALTED`, or empty without a guard.
        live_orders: live orders by state.
        ended_orders: orders that ended so far, by state.
        unknown_orders: orders in doubt.
        oldest_unknown_s: how long the oldest of them has been.
        fills: trades of the account so far.
        volume: their value in USDC.
        fees: paid so far in USDC; negative when more came in than went out.
        requests: requests to the exchange so far.
        requests_last_minute: those of the latest minute.
        quota: what is left of the volume quota; None if not told.
        connected: whether the account's stream is live.
        outage_s: how long it has not been.
        connects: connections of the stream so far.
        hook_failures: hooks that raised so far.
        loop_lag_s: worst delay of the event loop since the last look.
        longest_lag_s: worst since the start.
        latency_counts: acceptance times by class; see `LATENCY_BOUNDS_S`.
        latency_total_s: acceptance times together.
        strategies: strategies by state.
        events: events so far, by kind.
    """

    equity: Decimal | None = None
    drawdown: Decimal | None = None
    daily_pnl: Decimal | None = None
    risk_state: str = ""
    live_orders: Mapping[str, int] = field(default_factory=dict)
    ended_orders: Mapping[str, int] = field(default_factory=dict)
    unknown_orders: int = 0
    oldest_unknown_s: float = 0.0
    fills: int = 0
    volume: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    requests: int = 0
    requests_last_minute: int = 0
    quota: int | None = None
    connected: bool = False
    outage_s: float = 0.0
    connects: int = 0
    hook_failures: int = 0
    loop_lag_s: float = 0.0
    longest_lag_s: float = 0.0
    latency_counts: tuple[int, ...] = ()
    latency_total_s: float = 0.0
    strategies: Mapping[str, int] = field(default_factory=dict)
    events: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How a bot stands at one moment.

    Attributes:
        taken_at_s: unix seconds by the world's clock.
        taken_clock_s: by the clock that `MonitorSource.age_s` goes by.
        world: name of the world.
        account_index: the account; None before it is known.
        started_at_s: unix seconds at which the watching began.
        status: what `TradingEngine.get_status` tells, its orders at most so many.
        orders_total: live orders in all.
        risk: what `AccountGuard.get_risk_status` tells; empty without a guard.
        balance: None while it is not known.
        positions: open positions.
        fills: the latest trades, newest first.
        events: the latest events, newest first.
        curve: equity over time.
        figures: numbers.
    """

    taken_at_s: float
    taken_clock_s: float
    world: str
    account_index: int | None
    started_at_s: float
    status: Mapping[str, Any]
    orders_total: int
    risk: Mapping[str, Any]
    balance: Balance | None
    positions: tuple[Mapping[str, Any], ...]
    fills: tuple[Mapping[str, Any], ...]
    events: tuple[RunEvent, ...]
    curve: tuple[tuple[float, Decimal], ...]
    figures: Figures


class MonitorSource(Protocol):
    """Where the monitor, the metrics and the alerts look."""

    @property
    def latest(self) -> Snapshot:
        """The latest look; may be read from any thread."""
        ...

    def age_s(self) -> float:
        """Return how old it is; more than a few seconds mean a loop that hangs."""
        ...


def plain(value: Any) -> Any:
    """Return a copy made of values that can be written as JSON and never change."""
    if value is None or isinstance(value, (bool, int, float, str, Decimal)):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return tuple(plain(one) for one in value)
    return str(value)
