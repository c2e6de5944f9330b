"""Momentum: go with a move while a fast average leads a slow one.

Idea. When the fast average of closes has left the slow one by `threshold` of the
price, be on its side; when they meet again, be flat.

Risks. In a market that goes nowhere every crossing is a false start, and each costs
the spread and twice the fee. `threshold` keeps small ones out.

Try it:

    wrappy run --strategy examples/strategies/momentum.py
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from wrappy.errors import ConfigError
from wrappy.runner.indicators import EMA
from wrappy.runner.strategy import NOT_NOW, Context, Strategy, go_to_position


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentumParameters:
    """What can be tuned.

    Attributes:
        resolution: length of the candles.
        short_period: candles of the fast average.
        long_period: candles of the slow average.
        threshold: how far the fast one has to lead, as a part of the price.
        size: position in the base asset.
    """

    resolution: str = "1m"
    short_period: int = 5
    long_period: int = 20
    threshold: float = 0.001
    size: Decimal = Decimal("0.1")

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 0 < self.short_period < self.long_period:
            raise ConfigError(
                f"short_period: {self.short_period} is not below long_period "
                f"{self.long_period}"
            )
        if self.size <= 0:
            raise ConfigError(f"size: {self.size} is not above 0")


class Momentum(Strategy[MomentumParameters]):
    """Long while the fast average leads upwards, short while it leads downwards."""

    async def run(self, ctx: Context) -> None:
        """Decide at the close of every candle."""
        tuned = self.parameters
        fast, slow = EMA(tuned.short_period), EMA(tuned.long_period)
        # What is over is only learned from: its prices cannot be had any more.
        for candle in await ctx.history(tuned.resolution, 3 * tuned.long_period):
            fast.update(float(candle.close))
            slow.update(float(candle.close))
        async for candle in ctx.candles(tuned.resolution):
            close = float(candle.close)
            quick, calm = fast.update(close), slow.update(close)
            if quick is None or calm is None:
                continue
            held = ctx.position()
            target = self.decide((quick - calm) / close, held)
            if target != held:
                ctx.log.info("lead %.5f: to %s", (quick - calm) / close, target)
                try:
                    await go_to_position(ctx, target)
                except NOT_NOW as error:
                    ctx.log.warning("left for the next candle: %s", error)

    def decide(self, lead: float, held: Decimal) -> Decimal:
        """Return the position to hold.

        Args:
            lead: of the fast average over the slow one, as a part of the price.
            held: position now.
        """
        tuned = self.parameters
        if lead >= tuned.threshold:
            return tuned.size
        if lead <= -tuned.threshold:
            return -tuned.size
        if (held > 0 and lead <= 0) or (held < 0 and lead >= 0):
            return Decimal(0)
        return held
