"""A bot left alone: its terminal goes, its pipe breaks, its guard is started anew."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import pytest

from tests.cli import environment, resting, until, wrappy, write_bot
from wrappy.errors import ForeignNonceError, SignerError
from wrappy.runner.cli.stop_signals import StopSignals
from wrappy.runner.risk import flattening


async def test_a_terminal_that_goes_away_ends_the_bot_politely(quiet_venue, tmp_path):
    file = write_bot(tmp_path, url=quiet_venue.base_url)
    async with wrappy("run", file) as bot:
        await bot.line()
        await until(lambda: len(resting(quiet_venue)) == 3)
        # The system tells of it, and the shell does once more.
        bot.signal(signal.SIGHUP)
        bot.signal(signal.SIGHUP)
        code, out, errors = await bot.end()
    assert code == 0, errors
    assert "stopped by SIGHUP" in out
    assert resting(quiet_venue) == []


def test_a_program_that_was_started_to_outlive_its_terminal_does():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_bot_whose_output_nobody_reads_any_more_trades_on_and_clears_up(
    quiet_venue, tmp_path
):
    file = write_bot(tmp_path, url=quiet_venue.base_url)
    reads, writes = os.pipe()
    os.close(reads)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "wrappy.runner.cli.app", "run", str(file)),
        stdout=writes,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    os.close(writes)
    await until(lambda: len(resting(quiet_venue)) == 3)
    process.send_signal(signal.SIGTERM)
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert resting(quiet_venue) == []
    assert process.returncode == 0, errors.decode()
    assert b"Traceback" not in errors


async def test_a_bot_remembers_what_its_guard_knew(quiet_venue, tmp_path):
    file = write_bot(
        tmp_path,
        url=quiet_venue.base_url,
        extra="[risk]\nmax_daily_loss = 500\n",
    )
    async with wrappy("run", file) as bot:
        await bot.line()
        await until(lambda: len(resting(quiet_venue)) == 3)
        bot.signal(signal.SIGTERM)
        code, _, errors = await bot.end()
    assert code == 0, errors
    (kept,) = (tmp_path / "state").rglob("risk-guard.json")
    state = json.loads(kept.read_text())
    state["halts"]["drawdown"] = ["lost too much", None]
    kept.write_text(json.dumps(state))
    async with wrappy("run", file) as bot:
        await bot.line()
        await asyncio.wait_for(bot.process.wait(), 20)
        _, out, errors = await bot.end()
    assert "lost too much" in out + errors
    assert resting(quiet_venue) == []


@pytest.mark.parametrize("error", [ForeignNonceError("two"), SignerError("none")])
async def test_what_fails_in_one_market_keeps_no_other_from_being_cleared(
    monkeypatch, error
):
    class Broken:
        @classmethod
        async def create(cls, *_, **__):
            raise error

    monkeypatch.setattr(flattening, "LighterDealer", Broken)

    class Place:
        environment = None
        config = flattening.dataclasses.make_dataclass(
            "Config", ["symbol", "market_index", "unknown_orders", "dead_man_s"]
        )("", None, "", None)

    report = await flattening.flatten(Place, ["ETH", "BTC"], attempts=1)
    assert not report.is_clean
    assert [line[:3] for line in report.errors] == ["ETH", "BTC"]
