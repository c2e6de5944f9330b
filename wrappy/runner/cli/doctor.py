"""`wrappy doctor`: what could keep a bot from trading, each with its fix."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from wrappy.errors import ConfigError, WrappyError
from wrappy.runner.cli.bot_files import state_dir_of
from wrappy.runner.cli.columns import one_line
from wrappy.runner.cli.looking import (
    open_account,
    open_exchange,
    settings_for,
    symbols_of,
)
from wrappy.runner.command import FAILED
from wrappy.runner.doctor.examination import Patient, examine, examine_machine
from wrappy.runner.doctor.findings import Finding, Grade, failure, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.runner.settings.sections import BotSettings

_NAMES: Final = 18
_GRADES: Final = 4


def doctor(
    config: Path | None = None,
    *,
    network: Literal["venue", "paper", "testnet", "mainnet"] | None = None,
    url: str | None = None,
    json: bool = False,
) -> int:
    """Look for whatever could keep a bot from trading, and say how to put it right.

    Machine, clock, exchange, key, tier, markets, orders, nonces, dead man's switch
    and files are looked at; nothing is sent, and a bot may run meanwhile. The exit
    code is 1 when something has to be put right first.

    Args:
        config: settings file in TOML or YAML.
        network: the network instead.
        url: address of a running local exchange instead.
        json: print the findings as JSON.
    """
    findings = asyncio.run(_examined(config, network, url))
    sys.stdout.write(as_json(findings) if json else as_text(findings))
    return FAILED if worst(findings) is Grade.FAIL else 0


async def _examined(
    config: Path | None,
    network: Literal["venue", "paper", "testnet", "mainnet"] | None,
    url: str | None,
) -> list[Finding]:
    try:
        settings = settings_for(config, network, url)
    except ConfigError as error:
        # A settings file that cannot be used is what the doctor is asked about.
        fix = "correct what is named, in the file or in the environment"
        return [failure("settings", str(error), fix)]
    secrets = _secrets(settings)
    state = state_dir_of(settings)
    opened = (
        open_exchange(settings)
        if settings.network.name == "paper"
        else open_account(settings, outlives=False)
    )
    async with contextlib.AsyncExitStack() as stack:
        try:
            visit = await stack.enter_async_context(opened)
        except WrappyError as error:
            fix = "give account and key: wrappy init, or LIGHTER_* variables"
            return [
                failure("settings", str(error), fix),
                *examine_machine(state, secrets),
            ]
        return await examine(
            Patient(
                visit=visit,
                state_folder=state,
                secrets=secrets,
                symbols=symbols_of(settings),
                dead_man_s=settings.engine.dead_man_s,
            )
        )


def _secrets(settings: BotSettings) -> list[tuple[str, Path]]:
    names = {
        "key file": settings.network.key_file,
        "spare key file": settings.network.spare_key_file,
    }
    if settings.alerts is not None:
        names["alert addresses"] = settings.alerts.urls_file
    return [(what, settings.place(name)) for what, name in names.items() if name]


def as_text(findings: Sequence[Finding]) -> str:
    """Return the findings for people; the fix stands below what is wrong."""
    lines = []
    for finding in findings:
        grade = finding.grade.value.ljust(_GRADES)
        lines.append(f"{grade}  {finding.check:<{_NAMES}} {one_line(finding.words)}")
        if finding.fix:
            lines.append(f"{'':{_GRADES}}  {'':{_NAMES}} fix: {one_line(finding.fix)}")
    counts = [sum(f.grade is grade for f in findings) for grade in Grade]
    lines.append("{} fine, {} to look at, {} to put right".format(*counts))
    return "\n".join(lines) + "\n"


def as_json(findings: Sequence[Finding]) -> str:
    """Return the findings for programs."""
    told = {
        "grade": worst(findings).value,
        "findings": [finding.as_json() for finding in findings],
    }
    return dumps(told, indent=2) + "\n"
