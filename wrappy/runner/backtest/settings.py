"""What a backtest assumes; each assumption is in its results."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError
from wrappy.runner.in_process import TravelTimes
from wrappy.venue.limit_settings import StreamLimits
from wrappy.venue.settings import VenueSettings

if TYPE_CHECKING:
    from wrappy.runner.risk.limits import RiskLimits
    from wrappy.venue.settings import QueueModel

_MICRO = 1_000_000
_NEVER_S = 10**9
_TAKEN = "takers eat the recorded levels, which the next recorded change restores"
QUEUES: Final[dict[QueueModel, str]] = {
    "risk-averse": "behind all that was there; only trades bring orders forward",
    "prob": "behind all that was there; cancels bring orders forward in part",
    "front": "before all others at their price",
}
"""Where orders stand on a tape, by the name of the queue model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestSettings:
    """How a backtest trades. The defaults are on the careful side.

    Attributes:
        capital: start capital in USDC.
        tier: account tier: fees, delays and limits.
        request_ms: travel time of a request, evenly drawn between two bounds.
        reply_ms: travel time of a reply and of stream frames.
        spread_ticks: between the quotes around a candle's path.
        slippage_ticks: how much farther each quote stands from the path.
        fill_on_touch: resting orders trade at a price that the path only touches;
            by default it has to go through.
        hold_takers: takers wait for the next point of the path, a third of a candle
            with four points; by default they meet the quotes that stand.
        funding: positions pay and get funding at full hours.
        warm_up: candles at the beginning that are history only.
        points: points of a candle's path: 4, 7, 10, ...
        limits: what the risk guard allows; None for no guard.
        seed: of chance.
        stop_timeout_s: longest wait for the strategy's orders to be gone in the end.

    Raises:
        ConfigError: a value that cannot work.
    """

    capital: Decimal = Decimal(10_000)
    tier: str = "premium"
    request_ms: tuple[int, int] = (20, 20)
    reply_ms: tuple[int, int] = (20, 20)
    spread_ticks: int = 1
    slippage_ticks: int = 0
    fill_on_touch: bool = False
    hold_takers: bool = False
    funding: bool = True
    warm_up: int = 0
    points: int = 4
    limits: RiskLimits | None = None
    seed: int = 1
    stop_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        capital: object = self.capital
        is_money = isinstance(capital, Decimal) and capital.is_finite()
        if not is_money or not 0 < self.capital < 10**12:
            raise ConfigError(
                f"capital: {capital!r} is no Decimal above 0 and below a million "
                "millions"
            )
        if type(self.warm_up) is not int or self.warm_up < 0:
            raise ConfigError(f"warm_up: {self.warm_up!r} is no number of candles")
        # What belongs to others is judged there, and before anything runs.
        self.travel()
        self.venue(("ETH",))

    @property
    def capital_micro(self) -> int:
        """Start capital in 1e-6 USDC."""
        return int(self.capital * _MICRO)

    def travel(self) -> TravelTimes:
        """Return how long messages are on their way."""
        return TravelTimes(request_ms=self.request_ms, reply_ms=self.reply_ms)

    def venue(self, symbols: tuple[str, ...]) -> VenueSettings:
        """Return the exchange's settings."""
        return VenueSettings(
            seed=self.seed,
            tier=self.tier,
            collateral=self.capital_micro,
            symbols=symbols,
            flow="none",
            verify=False,
            enforce_limits=True,
            funding=self.funding,
            # Nobody pings here: that would be most of what happens in a quiet year.
            stream_limits=StreamLimits(idle_close_s=_NEVER_S),
        )

    def models(self, queue: QueueModel | None = None) -> dict[str, str]:
        """Return the assumptions in words, for whoever reads the results.

        Args:
            queue: how orders queue on a tape; None for candles.
        """
        fills = self._on_candles()
        if queue is not None:
            fills = {
                "fills": "resting orders fill by recorded trades, in their queue",
                "queue": f"{queue}: {QUEUES[queue]}",
                "takers": _TAKEN,
            }
        low, high = self.request_ms
        return {
            **fills,
            "latency": f"requests {low} to {high} ms, replies {self.reply_ms[0]} to "
            f"{self.reply_ms[1]} ms",
            "tier": self.tier,
            "funding": "paid at full hours" if self.funding else "left out",
        }

    def _on_candles(self) -> dict[str, str]:
        rule = "touches" if self.fill_on_touch else "goes through"
        return {
            "fills": f"resting orders fill when the candle's path {rule} their price",
            "path": f"open, nearer extreme, other extreme, close; {self.points} points",
            "takers": f"{'next' if self.hold_takers else 'standing'} quote, "
            f"{self.spread_ticks} tick(s) of spread and {self.slippage_ticks} of "
            "slippage",
        }
