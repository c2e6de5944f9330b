"""`wrappy status` and `wrappy stop`: with the bot's help and without it.

The venue's ledger judges what is left.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import stat
import time
from decimal import Decimal

import pytest

from tests.cli import asked, called, resting, until, wrappy, write_bot
from wrappy import LighterDealer
from wrappy.venue.events import SetIndexPrice, SetLevel

pytestmark = pytest.mark.slow

POSITION = Decimal("0.1")


@pytest.fixture
def quotes(quiet_venue):
    """Both sides of a market around 4000."""
    quiet_venue.exchange.apply_flow(
        [
            SetIndexPrice(0, 400_000),
            SetLevel(0, False, 399_990, 10_000_000),
            SetLevel(0, True, 400_010, 10_000_000),
        ],
        now_us=time.time_ns() // 1000,
    )


def held(venue):
    """Return the first account's position, in lots."""
    account = venue.accounts[0].account_index
    return sum(
        (-1 if trade.ask_account == account else 1) * trade.base
        for trade in venue.ledger.trades(account)
    )


async def test_the_status_has_the_keys_of_engine_and_risk(quiet_venue, tmp_path):
    file = write_bot(tmp_path, url=quiet_venue.base_url)
    async with wrappy("run", file) as bot:
        await bot.line()
        await until(lambda: len(resting(quiet_venue)) == 3)
        code, out, _ = await asked("status", file, "--json")
        assert code == 0
        told = json.loads(out)
        assert (told["bot"], told["pid"]) == ("bot", bot.pid)
        assert told["status"]["is_running"] is True
        assert told["status"]["active_strategies"] == ["resting"]
        assert set(told["status"]) >= {"uptime", "positions", "orders"}
        assert len(told["status"]["orders"]) == 3
        code, out, _ = await asked("status", file)
        assert code == 0
        assert "is_running" in out
        assert "price 1000" in out


async def test_what_a_bot_leaves_for_others_is_its_owners_alone(quiet_venue, tmp_path):
    file = write_bot(tmp_path, url=quiet_venue.base_url)
    key = quiet_venue.accounts[0].api_keys[0].api_key_private_key
    async with wrappy("run", file) as bot:
        await bot.line()
        folder = tmp_path / "state" / "bots"
        found = {path.name: path for path in folder.iterdir() if not path.is_dir()}
        assert set(found) == {"bot.lock", "bot.sock", "bot.json"}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for path in found.values():
            assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        assert key not in found["bot.json"].read_text()


async def test_a_second_bot_of_the_name_is_refused(quiet_venue, tmp_path):
    file = write_bot(tmp_path, url=quiet_venue.base_url)
    async with wrappy("run", file) as bot:
        await bot.line()
        code, _, errors = await called("run", file)
        assert code == 1
        assert f"runs already (process {bot.pid})" in errors


async def test_who_does_not_run_has_no_status_and_cannot_be_stopped(tmp_path):
    file = write_bot(tmp_path)
    for command in ("status", "stop"):
        code, out, _ = await asked(command, file)
        assert code == 1
        assert "does not run" in out


async def test_a_stop_takes_the_orders_away_and_tells_how_it_went(
    quiet_venue, tmp_path
):
    file = write_bot(tmp_path, url=quiet_venue.base_url)
    async with wrappy("run", file) as bot:
        await bot.line()
        await until(lambda: len(resting(quiet_venue)) == 3)
        code, out, _ = await asked("stop", file)
        assert code == 0
        assert "stopped by wrappy stop" in out
        assert "3 order(s) cancelled" in out
        assert resting(quiet_venue) == []
        assert (await bot.end())[0] == 0


async def test_a_stop_leaves_the_position_and_flatten_closes_it(
    quiet_venue, tmp_path, quotes
):
    file = write_bot(tmp_path, "Holding", url=quiet_venue.base_url)
    for arguments, left in (((), 1000), (("--flatten",), 0)):
        async with wrappy("run", file) as bot:
            await bot.line()
            await until(lambda: held(quiet_venue) == 1000)
            code, out, errors = await asked("stop", file, *arguments)
            assert code == 0, out + errors
            ended, told, _ = await bot.end()
            assert ended == 0
            assert ("left as it is: 0.1000 ETH" in told) is bool(left)
        assert held(quiet_venue) == left
        assert resting(quiet_venue) == []
        if not arguments:
            code, out, _ = await asked("stop", file, "--flatten")
            assert code == 0
            assert "looking after what it left" in out
            assert "no orders and no positions left" in out
            assert held(quiet_venue) == 0


@pytest.mark.parametrize("wedge", ["blocked", "stopped"])
async def test_a_wedged_bot_is_killed_and_flattened_without_it(
    quiet_venue, tmp_path, quotes, wedge
):
    strategy = "HoldingBlocked" if wedge == "blocked" else "Holding"
    file = write_bot(tmp_path, strategy, url=quiet_venue.base_url)
    async with wrappy("run", file) as bot:
        await bot.line()
        await until(lambda: len(resting(quiet_venue)) == 3 and held(quiet_venue))
        if wedge == "stopped":
            bot.signal(signal.SIGSTOP)
        code, out, _ = await asked("status", file)
        assert code == 1
        assert "does not answer" in out
        code, out, errors = await asked("stop", file, "--flatten", "--patience", "1")
        assert code == 0, out + errors
        assert "it is killed" in out
        assert "no orders and no positions left" in out
        assert (await bot.end())[0] == -signal.SIGKILL
    assert resting(quiet_venue) == []
    assert held(quiet_venue) == 0


async def test_without_flatten_a_wedged_bots_position_is_left(
    quiet_venue, tmp_path, quotes
):
    file = write_bot(tmp_path, "HoldingBlocked", url=quiet_venue.base_url)
    async with wrappy("run", file) as bot:
        await bot.line()
        await until(lambda: len(resting(quiet_venue)) == 3 and held(quiet_venue))
        code, _, errors = await asked("stop", file, "--patience", "1")
        assert code == 0, errors
        await bot.end()
    assert resting(quiet_venue) == []
    assert held(quiet_venue) == 1000


async def test_what_cannot_be_closed_is_told_and_ends_with_1(
    quiet_venue, tmp_path, quotes
):
    file = write_bot(tmp_path, "Holding", url=quiet_venue.base_url)
    async with wrappy("run", file) as bot:
        await bot.line()
        await until(lambda: len(resting(quiet_venue)) == 3 and held(quiet_venue))
        bot.signal(signal.SIGSTOP)
        quiet_venue.exchange.apply_flow(
            [SetLevel(0, False, 399_990, 0)], now_us=time.time_ns() // 1000
        )
        code, out, _ = await asked("stop", file, "--flatten", "--patience", "1")
    assert code == 1
    assert "ETH" in out.splitlines()[-1]
    assert resting(quiet_venue) == []


async def test_after_an_unclean_end_a_stop_says_what_it_finds_and_what_to_do(
    quiet_venue, tmp_path, quotes
):
    file = write_bot(tmp_path, "Holding", url=quiet_venue.base_url)
    async with wrappy("run", file) as bot:
        await bot.line()
        await until(lambda: len(resting(quiet_venue)) == 3 and held(quiet_venue))
        bot.signal(signal.SIGKILL)
        await bot.end()
    gone = f"does not run: process {bot.pid}, begun "
    code, out, _ = await asked("status", file)
    assert code == 1
    assert gone in out
    assert "`wrappy stop` looks after what it left" in out
    code, out, errors = await asked("stop", file)
    assert code == 0, out + errors
    assert gone in out
    assert "the exchange shows 3 live order(s) in ETH" in out
    assert "no orders left; left: a position of 0.1000 ETH" in out
    for advice in ("stop --flatten", "reconcile", "run"):
        assert f"`wrappy {advice}`" in out
    assert resting(quiet_venue) == []
    assert held(quiet_venue) == 1000
    code, out, _ = await asked("stop", file, "--flatten")
    assert code == 0
    assert "no orders and no positions left" in out
    assert held(quiet_venue) == 0
    # There is nothing to look after any more.
    code, out, _ = await asked("stop", file)
    assert (code, out) == (1, "wrappy: bot does not run\n")


async def test_after_an_unclean_end_an_exchange_that_is_not_asked_is_told(
    quiet_venue, tmp_path
):
    file = write_bot(tmp_path, url=quiet_venue.base_url)
    async with wrappy("run", file) as bot:
        await bot.line()
        await until(lambda: len(resting(quiet_venue)) == 3)
        bot.signal(signal.SIGKILL)
        await bot.end()
    # Its file of facts is half written, and the network has no key here.
    (tmp_path / "state" / "bots" / "bot.json").write_text("{")
    text = file.read_text().replace('"venue"', '"testnet"')
    lines = [line for line in text.splitlines() if not line.startswith("url")]
    file.write_text("\n".join(lines))
    code, out, errors = await asked("stop", file)
    assert code != 0
    assert errors.startswith("wrappy: ")
    assert f"process {bot.pid}, begun " in out
    assert "its orders may still be live: the exchange was not asked" in out
    for advice in ("stop --flatten", "reconcile", "run"):
        assert f"`wrappy {advice}`" in out
    assert len(resting(quiet_venue)) == 3


async def test_an_embedded_exchange_ends_with_its_bot(tmp_path):
    file = write_bot(tmp_path, "Blocking")
    async with wrappy("run", file) as bot:
        await bot.line()
        bot.signal(signal.SIGSTOP)
        code, out, _ = await asked("stop", file, "--flatten", "--patience", "0.5")
        assert code == 0
        assert "part of it" in out


async def test_a_state_folder_with_a_long_name_works_too(quiet_venue, tmp_path):
    deep = tmp_path / ("long" * 20) / ("longer" * 20)
    deep.mkdir(parents=True)
    file = write_bot(deep, url=quiet_venue.base_url)
    assert len(os.fsencode(deep)) > 108
    async with wrappy("run", file) as bot:
        await bot.line()
        assert (await asked("status", file))[0] == 0
        assert (await asked("stop", file))[0] == 0
        assert (await bot.end())[0] == 0


async def test_the_spare_key_is_taken_when_the_bots_own_cannot_be_had(
    tmp_path, quotes, quiet_venue, config_for
):
    owner = quiet_venue.accounts[0]
    first, second = owner.api_keys[:2]
    names = {}
    for name, key in (("key_file", first), ("spare_key_file", second)):
        keys = tmp_path / f"{name}.json"
        keys.write_text(
            json.dumps(
                {
                    "account_index": owner.account_index,
                    "api_key_index": key.api_key_index,
                    "api_key_private_key": key.api_key_private_key,
                }
            )
        )
        keys.chmod(0o600)
        names[name] = f'"{keys}"'
    file = write_bot(tmp_path, url=quiet_venue.base_url, **names)
    held_key = dataclasses.replace(
        config_for(quiet_venue), api_keys=config_for(quiet_venue).api_keys[:1]
    )
    async with await LighterDealer.create(held_key) as somebody:
        await somebody.create_limit_order(1000, 0.05)
        await somebody.flush()
        await until(lambda: len(resting(quiet_venue)) == 1)
        code, out, errors = await asked("stop", file, "--flatten")
    assert code == 0, out + errors
    assert "taking the spare one" in out
    assert resting(quiet_venue) == []
