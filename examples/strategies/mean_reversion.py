"""Mean reversion: sell what is dear, buy what is cheap, against a moving average.

Idea. Over a short time prices swing around their average. When the close is
`threshold` standard deviations above the average of the last `lookback` closes, be
short; as far below, be long; back at the average, be flat.

Risks. A trend is a swing that does not come back: the position stands against it until
the average has caught up. `stop` bounds that loss. Nothing here adds to a losing
position.

Try it:

    wrappy run --strategy examples/strategies/mean_reversion.py
    wrappy backtest examples/strategies/mean_reversion.py --candles ETHUSDT_5m.csv
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from wrappy.errors import ConfigError
from wrappy.runner.indicators import ZScore
from wrappy.runner.strategy import NOT_NOW, Context, Strategy, go_to_position


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanReversionParameters:
    """What can be tuned.

    Attributes:
        resolution: length of the candles.
        lookback: candles in the average.
        threshold: standard deviations at which a position is opened.
        leave: standard deviations at which it is closed again.
        stop: part of the entry price at which a losing position is closed.
        size: position in the base asset.
    """

    resolution: str = "1m"
    lookback: int = 20
    threshold: float = 2.0
    leave: float = 0.25
    stop: float = 0.02
    size: Decimal = Decimal("0.1")

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not 0 <= self.leave < self.threshold:
            raise ConfigError(
                f"leave: {self.leave} is not from 0 to below threshold {self.threshold}"
            )
        if self.size <= 0:
            raise ConfigError(f"size: {self.size} is not above 0")


class MeanReversion(Strategy[MeanReversionParameters]):
    """Short above the average, long below it, flat at it."""

    async def run(self, ctx: Context) -> None:
        """Decide at the close of every candle."""
        tuned = self.parameters
        score = ZScore(tuned.lookback)
        # What is over is only learned from: its prices cannot be had any more.
        for candle in await ctx.history(tuned.resolution, tuned.lookback):
            score.update(float(candle.close))
        async for candle in ctx.candles(tuned.resolution):
            close = float(candle.close)
            z = score.update(close)
            if z is None:
                continue
            held = ctx.position()
            target = self.decide(z, close, held, self.entry(ctx))
            if target == held:
                continue
            ctx.log.info("z %.2f at %s: from %s to %s", z, candle.close, held, target)
            try:
                await go_to_position(ctx, target)
            except NOT_NOW as error:
                ctx.log.warning("left for the next candle: %s", error)

    def entry(self, ctx: Context) -> float | None:
        """Return the price at which the position was opened, None when there is none.

        The exchange knows it after a restart too, and when an order that nobody had an
        answer to was filled after all.
        """
        held = ctx.ws.positions.get(ctx.symbols[0])
        if held is None or not held.average_entry_price:
            return None
        return float(held.average_entry_price)

    def decide(
        self, z: float, close: float, held: Decimal, entry: float | None
    ) -> Decimal:
        """Return the position to hold.

        Args:
            z: standard deviations of the close above its average.
            close: last price.
            held: position now.
            entry: price at which it was opened; None if that is not known.
        """
        tuned = self.parameters
        if held and entry is not None:
            loss = (entry - close) / entry if held > 0 else (close - entry) / entry
            if loss >= tuned.stop:
                return Decimal(0)
        if held > 0 and z >= -tuned.leave:
            return Decimal(0)
        if held < 0 and z <= tuned.leave:
            return Decimal(0)
        if not held and z >= tuned.threshold:
            return -tuned.size
        if not held and z <= -tuned.threshold:
            return tuned.size
        return held
