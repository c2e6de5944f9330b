"""A bot's figures for Prometheus, in a registry of their own.

Nothing is counted here: each scrape turns the latest look at the bot into text, so that
the trading has no lock to wait for and no library in its way.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError
from wrappy.runner.monitor.order_tally import LATENCY_BOUNDS_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client.core import Metric

    from wrappy.runner.monitor.snapshot import Figures, MonitorSource

RISK_STATES: Final = ("ACTIVE", "REDUCING", "HALTED")


def metrics_of(source: MonitorSource) -> Callable[[], tuple[bytes, str]]:
    """Return a function that writes a source's metrics, and their content type.

    Raises:
        ConfigError: prometheus-client is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415
        from prometheus_client.exposition import CONTENT_TYPE_LATEST  # noqa: PLC0415
    except ImportError:
        raise ConfigError(
            "metrics need prometheus-client: pip install 'wrappy-lighter[bot]'"
        ) from None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(source))

    def write() -> tuple[bytes, str]:
        return generate_latest(registry), CONTENT_TYPE_LATEST

    return write


class _Collector:
    """What the registry asks at each scrape."""

    def __init__(self, source: MonitorSource) -> None:
        self._source = source

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand: there is no other collector to clash with."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Return every metric as it is now."""
        look = self._source.latest
        figures = look.figures
        yield from _gauges(figures, self._source.age_s())
        yield from _counters(figures)
        yield _latency(figures)
        yield _by_name(
            "wrappy_position",
            "Signed size of an open position, in the base asset",
            "symbol",
            {row["symbol"]: row["size"] for row in look.positions},
        )


def _gauges(figures: Figures, age_s: float) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    for name, help_text, value in (
        ("equity_usdc", "Collateral and open profit, in USDC", figures.equity),
        ("drawdown_ratio", "Equity below its peak, as a part of it", figures.drawdown),
        ("daily_pnl_usdc", "Gain of the UTC day, in USDC", figures.daily_pnl),
        ("unknown_orders", "Orders whose fate is not known", figures.unknown_orders),
        (
            "oldest_unknown_order_seconds",
            "How long the oldest of them has been in doubt",
            figures.oldest_unknown_s,
        ),
        ("volume_quota", "What is left of the volume quota", figures.quota),
        ("stream_connected", "1 while the account's stream is live", figures.connected),
        ("stream_outage_seconds", "How long it has not been", figures.outage_s),
        ("loop_lag_seconds", "Worst delay since the last look", figures.loop_lag_s),
        ("snapshot_age_seconds", "Age of these figures; a loop that hangs", age_s),
    ):
        if value is not None:
            yield GaugeMetricFamily(f"wrappy_{name}", help_text, value=float(value))
    yield _by_name("wrappy_orders", "Live orders", "state", dict(figures.live_orders))
    yield _by_name("wrappy_strategies", "Strategies", "state", dict(figures.strategies))
    if figures.risk_state:
        states = {state: int(state == figures.risk_state) for state in RISK_STATES}
        yield _by_name("wrappy_risk_state", "1 for the state it is in", "state", states)


def _counters(figures: Figures) -> Iterator[Metric]:
    from prometheus_client.core import (  # noqa: PLC0415
        CounterMetricFamily,
        GaugeMetricFamily,
    )

    # What may come back, as a rebate, is no counter.
    yield GaugeMetricFamily(
        "wrappy_fees_usdc", "Fees paid so far, in USDC", value=float(figures.fees)
    )
    for name, help_text, value in (
        ("fills", "Trades of the account", figures.fills),
        ("volume_usdc", "Value of those trades, in USDC", figures.volume),
        ("requests", "Requests to the exchange", figures.requests),
        ("stream_reconnects", "Connections after the first", figures.connects - 1),
        ("hook_failures", "Hooks that raised", figures.hook_failures),
    ):
        yield CounterMetricFamily(
            f"wrappy_{name}", help_text, value=float(max(Decimal(0), Decimal(value)))
        )
    for name, help_text, label, values in (
        ("ended_orders", "Orders that are over", "state", figures.ended_orders),
        ("events", "Events of the bot's log", "kind", figures.events),
    ):
        family = CounterMetricFamily(f"wrappy_{name}", help_text, labels=[label])
        for key, count in sorted(values.items()):
            family.add_metric([key], float(count))
        yield family


def _latency(figures: Figures) -> Metric:
    from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415

    bounds = [*(f"{bound:g}" for bound in LATENCY_BOUNDS_S), "+Inf"]
    counts = figures.latency_counts or (0,) * len(bounds)
    buckets, total = [], 0
    for bound, count in zip(bounds, counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return HistogramMetricFamily(
        "wrappy_order_acceptance_seconds",
        "From queueing an order here to the exchange's acceptance",
        buckets=buckets,
        sum_value=figures.latency_total_s,
    )


def _by_name(
    name: str, help_text: str, label: str, values: Mapping[str, Decimal | int]
) -> Metric:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    family = GaugeMetricFamily(name, help_text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], float(value))
    return family
