"""What a backtest trades on: recorded candles of one or several markets."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, final

from wrappy.errors import ConfigError
from wrappy.runner.history.values import resolution_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.model import Candle


@final
@dataclass(frozen=True, slots=True)
class CandleData:
    """Candles of one market.

    Attributes:
        symbol: the market they are played into.
        resolution: their length, such as `1m`.
        rows: the candles, oldest first.
        notes: what to know of them, such as their source and gaps.

    Raises:
        ConfigError: no candles, or not in order.
    """

    symbol: str
    resolution: str
    rows: Sequence[Candle]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        length = resolution_ms(self.resolution)
        if not self.rows:
            raise ConfigError(f"rows: there are no candles of {self.symbol}")
        for earlier, later in pairwise(self.rows):
            if later.start_ms < earlier.start_ms + length:
                raise ConfigError(
                    f"rows: the {self.symbol} candle of {later.start_ms} begins before "
                    f"the one of {earlier.start_ms} is over"
                )

    @property
    def begin_ms(self) -> int:
        """Beginning of the first candle, unix milliseconds."""
        return self.rows[0].start_ms

    @property
    def end_ms(self) -> int:
        """End of the last candle, unix milliseconds."""
        return self.rows[-1].start_ms + resolution_ms(self.resolution)
