"""`wrappy` as a process of its own, for tests that judge what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import pathlib
import sys

from wrappy.runner.cli.app import main

ROOT = pathlib.Path(__file__).resolve().parents[1]
MAY_TAKE_S = 40.0

STRATEGIES = '''
from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from decimal import Decimal

from wrappy.runner.strategy import NoParameters, Strategy


@dataclass(frozen=True, kw_only=True)
class Many:
    lookback: int = 20
    size: Decimal = Decimal("0.05")


class Resting(Strategy[Many]):
    """Rests three orders far from the market."""

    async def run(self, ctx):
        for price in (1000, 1001, 1002):
            await ctx.dealer().create_limit_order(price, self.parameters.size)
        await ctx.dealer().flush()
        await self.then(ctx)

    async def then(self, ctx):
        await ctx.sleep(100_000)


class Finishing(Resting):
    async def then(self, ctx):
        pass


class Crashing(Resting):
    async def then(self, ctx):
        raise ValueError("a mistake")


class Blocking(Resting):
    """Blocks the event loop for ever, once its orders rest."""

    async def then(self, ctx):
        while True:
            time.sleep(1)


class Clinging(Resting):
    """Does not end when it is told to."""

    async def then(self, ctx):
        while True:
            try:
                await asyncio.sleep(100_000)
            except asyncio.CancelledError:
                ctx.log.warning("clinging")


class Holding(Resting):
    """Holds a position, too."""

    async def then(self, ctx):
        await ctx.dealer().create_market_order(Decimal("0.1"))
        await ctx.dealer().flush()
        await ctx.sleep(100_000)


class HoldingBlocked(Holding):
    async def then(self, ctx):
        await ctx.dealer().create_market_order(Decimal("0.1"))
        await ctx.dealer().flush()
        while True:
            time.sleep(1)


class Telling(Strategy[NoParameters]):
    """Says what it must not."""

    async def run(self, ctx):
        key = ctx.dealer().config.api_keys[0].api_key_private_key
        ctx.log.warning("the key is %s", key)
        ctx.log.warning("0x%s in a text", key.upper())
        raise ValueError(f"private_key={key}")
'''


def write_bot(folder, strategy="Resting", *, url=None, extra="", **network):
    """Write a settings file and its strategies; return the file."""
    (folder / "mine.py").write_text(STRATEGIES)
    lines = ["[network]", 'name = "venue"']
    if url is not None:
        lines.append(f'url = "{url}"')
    lines += [f"{name} = {value}" for name, value in network.items()]
    lines += ["[[strategies]]", f'use = "mine.py:{strategy}"']
    lines += ["[engine]", f'state_dir = "{folder / "state"}"', extra, ""]
    file = folder / "bot.toml"
    file.write_text("\n".join(lines))
    return file


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


class Wrappy:
    """A running `wrappy`."""

    def __init__(self, process):
        self.process = process
        self.pid = process.pid

    def signal(self, number):
        self.process.send_signal(number)

    async def line(self):
        """Return the next line it tells."""
        raw = await asyncio.wait_for(self.process.stdout.readline(), MAY_TAKE_S)
        assert raw, (await self.process.stderr.read()).decode()
        return raw.decode().rstrip("\n")

    async def end(self):
        """Wait for its end; return (exit code, rest of stdout, stderr)."""
        out, errors = await asyncio.wait_for(self.process.communicate(), MAY_TAKE_S)
        return self.process.returncode, out.decode(), errors.decode()


@contextlib.asynccontextmanager
async def wrappy(*arguments, dev=False, **more):
    """Start `wrappy`, and kill it in the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(("-X", "dev") if dev else ()),
        "-m",
        "wrappy.runner.cli.app",
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(**more),
    )
    try:
        yield Wrappy(process)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


async def called(*arguments, **more):
    """Run `wrappy` to its end; return (exit code, stdout, stderr)."""
    async with wrappy(*arguments, **more) as running:
        return await running.end()


def resting(venue, account=0):
    """Return an account's live orders, by the venue's ledger."""
    index = venue.accounts[account].account_index
    return [order for order in venue.ledger.orders(index) if order.status == "open"]


async def until(true, within_s=MAY_TAKE_S):
    """Wait until something is so at the venue."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not true():
        assert asyncio.get_running_loop().time() < deadline, "it never was"
        await asyncio.sleep(0.02)


async def asked(*arguments):
    """Run `wrappy` in a thread of this process; return what `called` does."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = await asyncio.to_thread(main, [str(one) for one in arguments])
    return code, out.getvalue(), errors.getvalue()
