"""Bots in processes of their own, for promises that one process cannot show."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
MAY_TAKE_S = 40.0


def plain(config):
    """Return the settings that differ from the defaults, as JSON can carry them."""
    settings = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name == "api_keys":
            settings[field.name] = [dataclasses.asdict(key) for key in value]
        elif value != field.default:
            settings[field.name] = value
    return settings


def environment():
    """Return an environment in which a child finds this project."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


class Bot:
    """A running `writer_process.py`.

    Attributes:
        told: its first words.
    """

    def __init__(self, process):
        self.process = process
        self.told = {}

    async def answer(self):
        line = await asyncio.wait_for(self.process.stdout.readline(), MAY_TAKE_S)
        assert line, (await self.process.stderr.read()).decode()
        return json.loads(line)

    async def place(self, price):
        """Have it place an order; return what it says about that."""
        self.process.stdin.write(f"{price}\n".encode())
        return await self.answer()

    async def kill(self):
        """Kill it by signal 9."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.communicate()


@contextlib.asynccontextmanager
async def bot(config, *, dead_man_s=None, debug=False):
    """Start a bot, and kill it in the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / "writer_process.py"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    running = Bot(process)
    try:
        settings = plain(config)
        task = {"config": settings, "dead_man_s": dead_man_s, "debug": debug}
        process.stdin.write(json.dumps(task).encode() + b"\n")
        running.told = await running.answer()
        yield running
    finally:
        await running.kill()
