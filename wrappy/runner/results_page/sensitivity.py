"""The same run under other assumptions about fills: what of it is the model's."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.runner.backtest import BacktestSettings
    from wrappy.runner.performance.results import Results

SLIPPAGE_TICKS: Final = 5
"""Ticks that the costly variant adds to every price it takes."""

SLOWER: Final = 5
"""How many times longer messages travel in the slow variant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A result under an assumption.

    Attributes:
        name: of the assumption, in words.
        results: what the run came to.
    """

    name: str
    results: Results


def fill_model_settings(settings: BacktestSettings) -> dict[str, BacktestSettings]:
    """Return settings with other assumptions about fills, by their names.

    At the front of the queue a touch of the price fills; through only, the price has
    to go past. The other two take worse prices and need more time.
    """
    low, high = settings.request_ms
    reply_low, reply_high = settings.reply_ms
    return {
        "front of the queue: a touch fills": dataclasses.replace(
            settings, fill_on_touch=True
        ),
        "through only: the price has to go past": dataclasses.replace(
            settings, fill_on_touch=False
        ),
        f"{SLIPPAGE_TICKS} more ticks of slippage": dataclasses.replace(
            settings, slippage_ticks=settings.slippage_ticks + SLIPPAGE_TICKS
        ),
        f"{SLOWER} times the travel time": dataclasses.replace(
            settings,
            request_ms=(low * SLOWER, high * SLOWER),
            reply_ms=(reply_low * SLOWER, reply_high * SLOWER),
        ),
    }


def fill_model_variants(
    run: Callable[[BacktestSettings], Results], settings: BacktestSettings
) -> tuple[Variant, ...]:
    """Run under each assumption that differs from the settings.

    Args:
        run: runs everything else alike.
        settings: of the run that is looked at; not run again.
    """
    return tuple(
        Variant(name=name, results=run(other))
        for name, other in fill_model_settings(settings).items()
        if other != settings
    )
