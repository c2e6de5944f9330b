"""P12: a stop by signal leaves no order behind, in five seconds, and says so.

A bot is a process of its own; the venue's ledger judges.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from pathlib import Path

import pytest

from tests.cli import resting, until, wrappy, write_bot
from wrappy.runner.command import ECHO_S
from wrappy.venue.fault_rules import FaultRule

STOPS_WITHIN_S = 5.0
LOST = FaultRule(act="drop", path="/api/v1/sendTx*")
MENDED = ("Traceback", "unclosed", "Unclosed", "never awaited", "was destroyed")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_takes_the_orders_away_and_ends_with_0(
    quiet_venue, tmp_path, number
):
    file = write_bot(tmp_path, url=quiet_venue.base_url)
    async with wrappy("run", file, dev=True) as bot:
        assert "runs resting on venue" in await bot.line()
        await until(lambda: len(resting(quiet_venue)) == 3)
        began = time.monotonic()
        bot.signal(number)
        code, out, errors = await bot.end()
        took_s = time.monotonic() - began
    assert code == 0, errors
    assert resting(quiet_venue) == []
    assert took_s <= STOPS_WITHIN_S
    (line,) = out.splitlines()
    assert f"stopped by {number.name}" in line
    assert "3 order(s) cancelled, none left" in line
    assert [word for word in MENDED if word in errors] == []


async def test_a_strategy_that_does_not_end_keeps_no_order(quiet_venue, tmp_path):
    file = write_bot(
        tmp_path, "Clinging", url=quiet_venue.base_url, extra="stop_timeout_s = 1.0"
    )
    async with wrappy("run", file) as bot:
        await bot.line()
        await until(lambda: len(resting(quiet_venue)) == 3)
        began = time.monotonic()
        bot.signal(signal.SIGTERM)
        await until(lambda: not resting(quiet_venue), STOPS_WITHIN_S)
        assert time.monotonic() - began <= STOPS_WITHIN_S


@pytest.mark.parametrize("strategy", ["Clinging", "Blocking"])
async def test_the_second_signal_ends_at_once(quiet_venue, tmp_path, strategy):
    file = write_bot(
        tmp_path, strategy, url=quiet_venue.base_url, extra="stop_timeout_s = 30.0"
    )
    async with wrappy("run", file) as bot:
        await bot.line()
        await until(lambda: len(resting(quiet_venue)) == 3)
        bot.signal(signal.SIGINT)
        # It has to see two of them: the second must not overtake the first.
        await until(lambda: pending(bot.pid) == 0)
        began = time.monotonic()
        # Until it is late enough for the second it is the first one's echo.
        ending = asyncio.ensure_future(bot.end())

        def asked_again():
            with contextlib.suppress(ProcessLookupError):
                bot.signal(signal.SIGTERM)
            return ending.done()

        await until(asked_again)
        code, _, errors = await ending
        assert ECHO_S <= time.monotonic() - began < 2.0 + ECHO_S
    assert code == 130
    assert "ended at once" in errors


def pending(pid):
    """Return the signals that a process has not taken yet, as a mask."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    rows = dict(line.split(":", 1) for line in text.splitlines())
    return int(rows["SigPnd"], 16) | int(rows["ShdPnd"], 16)


async def test_a_stop_that_could_not_be_confirmed_ends_with_1_and_names_the_orders(
    quiet_venue, tmp_path
):
    file = write_bot(tmp_path, url=quiet_venue.base_url, extra="stop_timeout_s = 1.0")
    async with wrappy("run", file) as bot:
        await bot.line()
        await until(lambda: len(resting(quiet_venue)) == 3)
        quiet_venue.faults.add(LOST)
        bot.signal(signal.SIGTERM)
        code, out, _ = await bot.end()
    assert code == 1
    assert "NOT known to be gone" in out
    numbers = [order.client_order_index for order in resting(quiet_venue)]
    assert all(str(number) in out for number in numbers)
