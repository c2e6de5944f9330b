"""A look before a sweep: whether the data can make the candles it would ask for."""

from __future__ import annotations

import random
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError, UsageError
from wrappy.runner.backtest import CandleData
from wrappy.runner.history.values import ResolutionError, resolution_ms

if TYPE_CHECKING:
    from wrappy.runner.sweep.space import Space
    from wrappy.runner.sweep.strategy_backtest import StrategyBacktest

CANDLES: Final = 3
"""Candles that are played: strategies say what they want when they begin."""

DRAWS: Final = 8
"""Sets of numbers that are drawn until the strategy takes one."""

MOST_WORDS: Final = 32
"""Combinations of words that are looked at; more are left to their trials."""


def rehearse(run: StrategyBacktest[Any], space: Space[Any]) -> None:
    """Play the beginning of the candles once for all words that would be tried.

    What a strategy does not like about its numbers is its trials' business.

    Raises:
        ResolutionError: it asked for candles that cannot be made of the data's.
    """
    tape = run.data[0]
    if not isinstance(tape, CandleData):
        return
    short, chance = _beginning(run, tape), random.Random(1)
    words = [
        [(axis.name, one) for one in axis.options if isinstance(one, str)]
        for axis in space.axes
    ]
    named = list(product(*filter(None, words)))[:MOST_WORDS]
    for chosen in named:
        for _ in range(DRAWS):
            try:
                short(space.parameters({**space.draw(chance), **dict(chosen)}))
            except UsageError as error:
                if isinstance(error.__cause__, ResolutionError):
                    raise error.__cause__ from None
                if isinstance(error.__cause__, ConfigError):
                    continue
            except ConfigError:
                continue
            break


def _beginning(run: StrategyBacktest[Any], tape: CandleData) -> StrategyBacktest[Any]:
    """Return a run over a few candles of every market."""
    begin_ms = tape.rows[min(run.settings.warm_up, len(tape.rows) - 1)].start_ms
    try:
        return run.between(
            begin_ms, begin_ms + CANDLES * resolution_ms(tape.resolution)
        )
    except ConfigError:
        # Another market begins later: play it all.
        return run
