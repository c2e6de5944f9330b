"""The pages on commands and settings say what the code says.

Run this file as a script to write their generated parts anew.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pathlib
import re

import pytest

from wrappy.runner.alerts.settings import AlertSettings
from wrappy.runner.cli.app import COMMANDS, HANDED_OVER, SUMMARIES, main
from wrappy.runner.monitor.settings import MonitorSettings
from wrappy.runner.risk.limits import RiskLimits
from wrappy.runner.settings import sections

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "reference"
BEGIN, END = "<!-- BEGIN GENERATED -->", "<!-- END GENERATED -->"
SECTIONS = {
    "network": sections.NetworkSection,
    "strategies": sections.StrategySection,
    "risk": RiskLimits,
    "engine": sections.EngineSection,
    "monitor": MonitorSettings,
    "alerts": AlertSettings,
    "log": sections.LogSection,
    "backtest": sections.BacktestSection,
}


def described(text, heading):
    """Return what a docstring says of each name under a heading."""
    found = {}
    _, _, rest = inspect.cleandoc(text).partition(f"\n{heading}:\n")
    for block in re.split(r"\n(?=    \S)", "\n" + rest.split("\n\n")[0]):
        name, colon, words = block.strip().partition(":")
        if colon:
            found[name] = " ".join(words.split())
    return found


def default_of(value):
    if value in (None, (), inspect.Parameter.empty):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`".replace("'", '"')
    return f"`{value}`"


def commands_text():
    lines = []
    for command, place in COMMANDS.items():
        module, _, name = place.partition(":")
        function = getattr(importlib.import_module(module), name)
        summary = inspect.cleandoc(function.__doc__).split("\n\n")
        words = described(function.__doc__, "Args")
        lines += [f"## wrappy {command}", ""]
        lines += ["\n\n".join(part for part in summary if ":\n " not in part), ""]
        lines += ["| Argument | Default | |", "| --- | --- | --- |"]
        for parameter in inspect.signature(function).parameters.values():
            named = parameter.kind is inspect.Parameter.KEYWORD_ONLY
            shown = parameter.name.replace("_", "-").strip("-")
            shown = f"--{shown}" if named else shown.upper()
            default = default_of(parameter.default)
            what = words[parameter.name].replace("|", "\\|")
            lines.append(f"| `{shown}` | {default} | {what} |")
        lines.append("")
    for command in HANDED_OVER:
        lines += [f"## wrappy {command}", "", f"See `wrappy {command} --help`.", ""]
    return "\n".join(lines)


def settings_text():
    lines = []
    for name, kind in SECTIONS.items():
        words = described(kind.__doc__, "Attributes")
        heading = f"[[{name}]]" if name == "strategies" else f"[{name}]"
        lines += [f"## {heading}", "", "| Key | Default | |", "| --- | --- | --- |"]
        for field in dataclasses.fields(kind):
            default = field.default
            if default is dataclasses.MISSING:
                default = None
            what = words[field.name].replace("|", "\\|")
            lines.append(f"| `{field.name}` | {default_of(default)} | {what} |")
        lines.append("")
    return "\n".join(lines)


PAGES = {"cli.md": commands_text, "settings-file.md": settings_text}


def rewritten(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return text, f"{head}{BEGIN}\n{PAGES[page]()}\n{END}{tail}"


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_up_to_date(page):
    now, wanted = rewritten(page)
    assert now == wanted, f"run: python {__file__}"


@pytest.mark.parametrize("command", [*COMMANDS, *HANDED_OVER])
def test_every_command_helps(command, capsys):
    try:
        code = main([command, "--help"])
    except SystemExit as ended:
        code = ended.code
    assert not code
    told = capsys.readouterr().out
    assert command in told
    if command in COMMANDS:
        module, _, name = COMMANDS[command].partition(":")
        function = getattr(importlib.import_module(module), name)
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                assert f"--{parameter.name.replace('_', '-').strip('-')}" in told


@pytest.mark.parametrize("command", [*COMMANDS, *HANDED_OVER])
def test_the_list_of_commands_says_what_their_help_begins_with(command):
    module, _, name = {**COMMANDS, **HANDED_OVER}[command].partition(":")
    function = getattr(importlib.import_module(module), name)
    assert SUMMARIES[command] == inspect.cleandoc(function.__doc__).splitlines()[0]


def test_the_bare_program_tells_its_commands(capsys):
    assert main([]) == 0
    told = capsys.readouterr().out
    assert all(command in told for command in (*COMMANDS, *HANDED_OVER))
    assert main(["--version"]) == 0


if __name__ == "__main__":
    for one in PAGES:
        (DOCS / one).write_text(rewritten(one)[1], encoding="utf-8")
