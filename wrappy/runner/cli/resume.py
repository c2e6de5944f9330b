"""`wrappy resume`: trade again after the risk guard's halt."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wrappy.runner.cli.control import ask
from wrappy.runner.cli.status import PATIENCE_S, files_of
from wrappy.runner.command import FAILED
from wrappy.runner.settings.reading import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping


def resume(config: Path | None = None, *, bot: str | None = None) -> int:
    """End the halt of a running bot's risk guard; losses are judged anew from here.

    A halt outlives a restart, so start the bot first. Ends with 1 when it does not
    run, has no limits, or may still not trade freely.

    Args:
        config: the settings file it runs with.
        bot: its name, instead of the file's.
    """
    files = files_of(read_settings(config), bot)
    if files.holder() is None:
        sys.stdout.write(f"wrappy: {files.name} does not run; start it first\n")
        return FAILED
    try:
        told = next(iter(ask(files, {"do": "resume"}, timeout_s=PATIENCE_S)), None)
    except OSError:
        told = None
    if told is None:
        sys.stdout.write(f"wrappy: {files.name} does not answer\n")
        return FAILED
    if not told:
        sys.stdout.write(f"wrappy: {files.name} has no [risk] limits, and so no halt\n")
        return FAILED
    before, after = _shown(told, "before", "reason"), _shown(told, "state", "still")
    sys.stdout.write(f"wrappy: {files.name} was {before}, and is {after} now\n")
    return 0 if told["state"] == "active" else FAILED


def _shown(told: Mapping[str, Any], state: str, why: str) -> str:
    return f"{told[state]} ({told[why]})" if told[why] else str(told[state])
