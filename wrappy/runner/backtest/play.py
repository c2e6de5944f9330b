"""What a backtest asks of its data, whatever they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from decimal import Decimal

    from wrappy.lighter.dealer import LighterDealer
    from wrappy.lighter.environment import Environment
    from wrappy.lighter.ws import WsInfo
    from wrappy.runner.backtest.data import CandleData
    from wrappy.runner.backtest.tape_data import TapeData
    from wrappy.runner.risk.limits import RiskLimits
    from wrappy.runner.worlds.candle_source import CandleSource
    from wrappy.venue.flow import PassesBars
    from wrappy.venue.settings import VenueSettings


class Play(Protocol):
    """Recorded markets, ready to be played once."""

    @property
    def data(self) -> tuple[CandleData | TapeData, ...]:
        """What is played."""
        ...

    @property
    def begin_us(self) -> int:
        """When trading begins, unix microseconds."""
        ...

    @property
    def end_us(self) -> int:
        """When it ends, unix microseconds."""
        ...

    def venue(self) -> VenueSettings:
        """Return the exchange's settings."""
        ...

    def flow(self) -> PassesBars:
        """Return the life of all markets, counted from the beginning of trading."""
        ...

    def close(self) -> None:
        """Close what the flow has open."""
        ...

    def candles(
        self, environment: Environment
    ) -> Callable[[Mapping[str, LighterDealer], WsInfo], CandleSource]:
        """Return what makes the strategy's source of candles."""
        ...

    def decided_at(self, market_index: int, at_us: int) -> int:
        """Return the price in ticks that stood at a time, 0 while unknown."""
        ...

    def arrived_at(self, market_index: int, at_us: int) -> int:
        """Return the same for an order's arrival; 0 for the mark price of then."""
        ...

    def prices(self, symbol: str) -> Iterator[tuple[int, Decimal]]:
        """Yield a market's prices with their times in unix milliseconds."""
        ...

    def limits(self) -> RiskLimits | None:
        """Return what the risk guard allows here; None for no guard."""
        ...

    def models(self) -> dict[str, str]:
        """Return the assumptions in words."""
        ...

    def described(self) -> tuple[str, ...]:
        """Return what the data are, in words."""
        ...
