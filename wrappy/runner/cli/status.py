"""`wrappy status`: what a running bot says of itself."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from json import dumps
from pathlib import Path
from typing import Any

from wrappy.errors import ConfigError
from wrappy.runner.cli.bot_files import BotFiles, state_dir_of
from wrappy.runner.cli.control import ask
from wrappy.runner.command import FAILED
from wrappy.runner.settings.reading import read_settings
from wrappy.runner.settings.sections import BotSettings

PATIENCE_S = 3.0


def status(
    config: Path | None = None,
    *,
    bot: str | None = None,
    json: bool = False,
) -> int:
    """Show what a running bot does: strategies, positions, orders, risk.

    Ends with 1 when it does not run or does not answer.

    Args:
        config: the settings file it runs with.
        bot: its name, instead of the file's.
        json: print one JSON object.
    """
    settings = read_settings(config)
    files = files_of(settings, bot)
    pid = files.holder()
    if pid is None:
        left_by = files.left_by()
        gone = "" if left_by is None else f": {left_by}, is gone without an end"
        more = "; `wrappy stop` looks after what it left" if gone else ""
        sys.stdout.write(f"wrappy: {files.name} does not run{gone}{more}\n")
        return FAILED
    try:
        told = next(iter(ask(files, {"do": "status"}, timeout_s=PATIENCE_S)), None)
    except OSError:
        told = None
    if told is None:
        sys.stdout.write(
            f"wrappy: {files.name} (process {pid}) does not answer; its loop may be "
            "blocked. `wrappy stop` ends it all the same\n"
        )
        return FAILED
    told = {"pid": pid, **told}
    if json:
        sys.stdout.write(dumps(told) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(told))
    return 0


def files_of(settings: BotSettings, bot: str | None) -> BotFiles:
    """Return the files of the bot that settings or a name mean.

    Raises:
        ConfigError: the name cannot be one.
    """
    if bot is None:
        return BotFiles.of(settings)
    if "/" in bot or bot.startswith("."):
        raise ConfigError(f"--bot: {bot!r} is no bot's name")
    return BotFiles(state_dir_of(settings) / "bots", bot)


def _lines(table: Mapping[str, Any], indent: str = "") -> list[str]:
    """Return nested values as lines, names in front."""
    found = []
    width = max((len(str(name)) for name in table), default=0)
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            found += [f"{indent}{name}", *_lines(value, indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            found.append(f"{indent}{name}")
            for row in value:
                cells = ", ".join(f"{key} {cell}" for key, cell in row.items())
                found.append(f"{indent}  {cells}")
        else:
            found.append(f"{indent}{name:<{width}}  {_word(value)}")
    return found


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, {}) else str(value)
