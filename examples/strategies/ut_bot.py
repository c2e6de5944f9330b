"""UT Bot: always on one side of a trailing stop made of the average true range.

Idea. The stop follows the price at `key_value` average true ranges. When a close
crosses it, the bot turns: long above the stop, short below it.

Risks. It is always in the market, so it pays for every turn and for funding, and in a
sideways market it turns often. A larger `key_value` turns less and loses more each
time.

Try it:

    wrappy run --strategy examples/strategies/ut_bot.py
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from wrappy.errors import ConfigError
from wrappy.runner.indicators import UTBot
from wrappy.runner.strategy import NOT_NOW, Context, Strategy, go_to_position


@dataclass(frozen=True, slots=True, kw_only=True)
class UTBotParameters:
    """What can be tuned.

    Attributes:
        resolution: length of the candles.
        key_value: distance of the stop in average true ranges.
        atr_period: candles of the average true range.
        heikin_ashi: follow the candle's mean price instead of its close.
        size: position in the base asset.
    """

    resolution: str = "1m"
    key_value: float = 1.0
    atr_period: int = 10
    heikin_ashi: bool = False
    size: Decimal = Decimal("0.1")

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.size <= 0:
            raise ConfigError(f"size: {self.size} is not above 0")


class UTBotStrategy(Strategy[UTBotParameters]):
    """Long above the trailing stop, short below it."""

    @classmethod
    def name(cls) -> str:
        """Return the name in settings."""
        return "ut_bot"

    async def run(self, ctx: Context) -> None:
        """Turn at the close of a candle that crossed the stop."""
        tuned = self.parameters
        bot = UTBot(tuned.key_value, tuned.atr_period, heikin_ashi=tuned.heikin_ashi)
        # What is over is only learned from: its prices cannot be had any more.
        for candle in await ctx.history(tuned.resolution, 10 * tuned.atr_period):
            bot.update(candle)
        async for candle in ctx.candles(tuned.resolution):
            told = bot.update(candle)
            if told is None or not told.position:
                continue
            target = tuned.size * told.position
            if ctx.position() != target:
                ctx.log.info("stop %.2f, close %s: %s", told.stop, candle.close, target)
                try:
                    await go_to_position(ctx, target)
                except NOT_NOW as error:
                    ctx.log.warning("left for the next candle: %s", error)
