"""`wrappy run`: strategies at work until they are told to stop."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wrappy.errors import ConfigError
from wrappy.runner.cli.bot import Bot, BotOptions
from wrappy.runner.cli.choosing import chosen
from wrappy.runner.cli.log_output import LogOutput
from wrappy.runner.cli.overrides import overrides
from wrappy.runner.cli.place import secrets_of
from wrappy.runner.cli.stop_signals import StopSignals
from wrappy.runner.settings.reading import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.runner.settings.sections import BotSettings
    from wrappy.runner.strategy.strategy import Strategy

LONGEST_S = 10**9


def run(
    config: Path | None = None,
    *,
    strategy: str | None = None,
    market: str | None = None,
    set_: tuple[str, ...] | None = None,
    network: Literal["venue", "paper", "testnet", "mainnet"] | None = None,
    live: bool = False,
    dry_run: bool = False,
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None = None,
    log_file: Path | None = None,
    duration: float | None = None,
    confirm: str | None = None,
) -> int:
    """Run strategies until they end or are told to.

    Without a settings file an example runs against a local exchange: nothing leaves
    this machine. The first Ctrl-C (or SIGTERM) cancels the strategies' orders and
    ends; the second ends at once.

    Args:
        config: settings file in TOML or YAML.
        strategy: which one: a name in the settings, `all` of them, an example's name,
            path.py, path.py:Class or module:Class.
        market: the market it trades instead, such as ETH.
        set_: NAME=VALUE, a parameter of the strategies; any number of times.
        network: where to trade instead.
        live: mean it: needed on mainnet.
        dry_run: sign and show orders, send nothing.
        log_level: the least that is logged.
        log_file: log to this file too.
        duration: end by itself after so many seconds.
        confirm: what mainnet asks to have typed, for when nobody is there to type.
    """
    settings = read_settings(config)
    if network is not None:
        settings = settings.on(network)
    if log_level is not None:
        settings = dataclasses.replace(
            settings, log=dataclasses.replace(settings.log, level=log_level)
        )
    if duration is not None and not 0 < duration <= LONGEST_S:
        raise ConfigError(f"--duration: {duration} is no number of seconds above 0")
    strategies = chosen(settings, strategy, market, overrides(set_))
    if log_file is None and settings.log.file is not None:
        log_file = settings.place(settings.log.file)
    options = BotOptions(
        live=live,
        confirm=_asked if confirm is None else lambda phrase: phrase == confirm,
        dry_run=dry_run,
        duration_s=duration,
    )
    log = LogOutput(settings.log, file=log_file, secrets=secrets_of(settings))
    signals = StopSignals()
    with log, signals:
        return asyncio.run(
            _run(settings, strategies, options, signals, log.redactor.clean)
        )


async def _run(
    settings: BotSettings,
    strategies: list[tuple[str, Strategy[Any]]],
    options: BotOptions,
    signals: StopSignals,
    clean: Callable[[str], str],
) -> int:
    bot = Bot(settings, strategies, options, tell=tell, clean=clean)
    return await bot.run(signals)


def tell(line: str) -> None:
    """Write a line for whoever watches, at once.

    Whoever watched may be gone, with their terminal or pipe: trading goes on.
    """
    try:
        sys.stdout.write(f"wrappy: {line}\n")
        sys.stdout.flush()
    except OSError:
        # What is still in the buffer would fail once more at the very end.
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _asked(phrase: str) -> bool:
    """Have a person type what is about to be traded."""
    if not sys.stdin.isatty():
        return False
    sys.stdout.write(f"This trades real money. Type to go on: {phrase}\n> ")
    sys.stdout.flush()
    return sys.stdin.readline().strip() == phrase
