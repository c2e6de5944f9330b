"""The pages on the scripts show what the scripts print.

Each page's command is run, shortened where it takes long, and every line of the output
that the page shows has to be there. Numbers may differ: markets move as they like.
"""

from __future__ import annotations

import asyncio
import os
import pathlib
import re
import shlex
import shutil
import sys

import pytest

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "examples"
PATIENCE_S = 120.0
SHOWN = re.compile(
    r"^```bash\n(?P<command>[^\n]+)\n(?:[^`]*\n)?```\n\n```text\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SHORTER = {
    "--seconds 900 --join 120": "--seconds 6 --join 2",
    "--seconds 60 --every 10 --drill 15": "--seconds 12 --every 2 --drill 3",
    "--seconds 5": "--seconds 3",
    "--duration 5": "--duration 1",
}
BY_CHANCE = re.compile(r"^ +(positions: |[-\d.]+ ETH stays)")
"""What a run has traded by then."""


def shown(page):
    """Return a page's commands with the output below each."""
    found = SHOWN.finditer((PAGES / f"{page}.md").read_text(encoding="utf-8"))
    return [
        (match["command"], match["text"])
        for match in found
        if match["command"].startswith(("python examples/", "wrappy run "))
        and not match["command"].endswith("\\")
    ]


BLOCKS = [
    pytest.param(command, text, id=f"{page}-{number}")
    for page in (
        "all-at-once",
        "basics",
        "daily-report",
        "parameter-scan",
        "recovery",
        "staged-rollout",
        "watch-and-alert",
    )
    for number, (command, text) in enumerate(shown(page), 1)
]


def shape(line):
    """Return a line without its numbers and the width of its columns."""
    line = re.sub(r"#token=\S+", "#token", line)
    line = line.replace(" starting", " running")  # shortened, a run is not far yet
    line = re.sub(r"[-+…]?\d[\d,.]*", "0", line)
    return re.sub(r"[ ─]+", " ", line).strip()


def test_every_page_shows_a_run():
    pages = [block.id.rpartition("-")[0] for block in BLOCKS]
    assert len(set(pages)) == 7
    assert pages.count("basics") >= 4


@pytest.mark.parametrize(("command", "text"), BLOCKS)
async def test_a_page_shows_what_is_printed(command, text, tmp_path):
    for long, short in SHORTER.items():
        command = command.replace(long, short)
    words = shlex.split(command)
    program = {"python": (), "wrappy": ("-m", "wrappy.runner.cli.app")}[words[0]]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *program, *words[1:]),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(tmp_path / "state"),
        },
        cwd=surroundings(tmp_path),
    )
    raw, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0, errors.decode()
    printed = {shape(line) for line in raw.decode().splitlines()}
    told = [line for line in text.splitlines() if not BY_CHANCE.match(line)]
    missing = [line for line in told if shape(line) not in printed]
    assert missing == [], raw.decode()


def surroundings(folder):
    """Return a folder to start in; what is written beside an example stays there."""
    shutil.copytree(
        ROOT / "examples",
        folder / "examples",
        ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache"),
    )
    return folder
