"""Which strategies a command means: those of the settings, or one it names itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wrappy.errors import ConfigError
from wrappy.runner.settings.loading import load_strategies, load_strategy
from wrappy.runner.settings.sections import BotSettings, StrategySection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wrappy.runner.strategy.strategy import Strategy

EXAMPLE = "mean_reversion"
"""What runs when nobody says what."""


def chosen(
    settings: BotSettings,
    strategy: str | None,
    market: str | Sequence[str] | None,
    said: Mapping[str, Any] | None = None,
) -> list[tuple[str, Strategy[Any]]]:
    """Return the strategies that settings and command line name.

    Args:
        settings: the file's.
        strategy: which one; None for those of the settings.
        market: the market or markets it trades instead.
        said: parameters that the command line says instead.

    Raises:
        ConfigError: there is none, or one cannot be made.
    """
    markets = (market,) if isinstance(market, str) else tuple(market or ())
    if markets:
        sections = tuple(
            dataclasses.replace(section, symbols=markets)
            for section in settings.strategies
        )
        settings = dataclasses.replace(settings, strategies=sections)
    if strategy is None and settings.path is None:
        strategy = EXAMPLE
    if strategy is None or (strategy == "all" and settings.strategies):
        found = load_strategies(settings, overrides=said)
        if not found:
            raise ConfigError(
                f"strategies: {settings.path} has none that is enabled; add "
                "[[strategies]] or name one with --strategy"
            )
        return found
    rows = [row for row in settings.strategies if strategy in (row.name, row.use)]
    if rows:
        # Whoever names it means it, also where it is not enabled.
        rows = [dataclasses.replace(row, enabled=True) for row in rows]
        settings = dataclasses.replace(settings, strategies=tuple(rows))
        return load_strategies(settings, overrides=said)
    return [_named(strategy, markets or ("ETH",), said)]


def _named(
    strategy: str, markets: tuple[str, ...], said: Mapping[str, Any] | None
) -> tuple[str, Strategy[Any]]:
    """Return a strategy that the command line names itself, wherever it lies."""
    place, colon, name = strategy.partition(":")
    folder = Path.cwd()
    if place.endswith(".py"):
        file = Path(place).expanduser().absolute()
        folder, strategy = file.parent, f"{file.name}{colon}{name}"
    section = StrategySection(use=strategy, symbols=markets)
    made = load_strategy(section, folder=folder, where="strategy", overrides=said)
    return made.name(), made
