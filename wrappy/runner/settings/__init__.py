"""The settings file of a bot: read once, checked whole, before anything is opened."""

from wrappy.runner.settings.loading import load_strategies, load_strategy
from wrappy.runner.settings.reading import read_settings
from wrappy.runner.settings.sections import (
    BacktestSection,
    BotSettings,
    EngineSection,
    LogSection,
    NetworkSection,
    StrategySection,
)

__all__ = [
    "BacktestSection",
    "BotSettings",
    "EngineSection",
    "LogSection",
    "NetworkSection",
    "StrategySection",
    "load_strategies",
    "load_strategy",
    "read_settings",
]
