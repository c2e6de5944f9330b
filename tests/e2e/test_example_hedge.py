"""The two-account hedge as a reader would start it: one process, two, and mistakes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
from decimal import Decimal
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from examples.hedge.settings import read_settings, strategy_settings  # noqa: E402
from wrappy import ConfigError  # noqa: E402
from wrappy.venue import Venue  # noqa: E402

PATIENCE_S = 90.0
SERVER = shutil.which("redis-server") or shutil.which("valkey-server")


async def start(module, folder, *arguments, **variables):
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(folder / "state"),
        **variables,
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", f"examples.hedge.{module}", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        cwd=folder,
    )


async def ended(process):
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return process.returncode, out.decode(), err.decode()


async def test_both_legs_in_one_process_trade_and_end_flat(tmp_path):
    journal = tmp_path / "hedges.jsonl"
    code, out, err = await ended(
        await start("full", tmp_path, "--rounds", "1", "--journal", str(journal))
    )
    assert (code, err) == (0, "")
    assert re.search(r"B hedge of -\d+ lots traded -\d+", out)
    assert "done: A holds 0 lots, B holds 0" in out
    assert journal.read_text().count("fills") >= 2


@pytest.mark.skipif(SERVER is None, reason="no redis-server on this machine")
async def test_two_processes_hedge_over_redis_and_leg_a_may_be_killed(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    redis = await asyncio.create_subprocess_exec(
        *(SERVER, "--port", str(port), "--bind", "127.0.0.1", "--save", ""),
        *("--dir", str(tmp_path)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    async with Venue(seed=1) as venue:
        first, second = venue.accounts[:2]
        keys = [one.api_keys[0] for one in (first, second)]
        settings = tmp_path / "hedge.yaml"
        settings.write_text(
            f"lighter: {{base_url: '{venue.base_url}', chain_id: {venue.chain_id}}}\n"
            f"accounts:\n  account_a: {{account_index: {first.account_index}, "
            f"api_key_index: {keys[0].api_key_index}}}\n"
            f"  account_b: {{account_index: {second.account_index}, "
            f"api_key_index: {keys[1].api_key_index}}}\n"
            "strategy: {rounds: 1}\n"
        )
        variables = {
            "REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "HEDGE_A_PRIVATE_KEY": keys[0].api_key_private_key,
            "HEDGE_B_PRIVATE_KEY": keys[1].api_key_private_key,
        }
        given = ("--config", str(settings))
        leg_b = await start("leg_b", tmp_path, *given, **variables)
        leg_a = await start("leg_a", tmp_path, *given, **variables)
        try:
            await until(lambda: venue.ledger.trades(first.account_index))
            leg_a.kill()
            await leg_a.communicate()
            await until(lambda: exposure(venue, first, second) == 0)
            leg_a = await start("leg_a", tmp_path, *given, **variables)
            code, out, err = await ended(leg_a)
            assert (code, err) == (0, "")
            assert "A has done its rounds" in out
            await until(lambda: exposure(venue, first, second) == 0)
            leg_b.send_signal(signal.SIGINT)
            code, told, err = await ended(leg_b)
            assert (code, err) == (130, "hedge leg B: interrupted\n")
        finally:
            for process in (leg_a, leg_b, redis):
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()
        assert position(venue, first) == position(venue, second) == 0
        orders = venue.ledger.orders(first.account_index)
        assert not [order for order in orders if order.status == "open"]
        for key in keys:
            assert key.api_key_private_key not in out + told + err


async def until(condition):
    ends = asyncio.get_running_loop().time() + PATIENCE_S
    while not condition():
        assert asyncio.get_running_loop().time() < ends
        await asyncio.sleep(0.05)


def position(venue, owner):
    account, total = owner.account_index, 0
    for trade in venue.ledger.trades(account):
        total += trade.base * (trade.bid_account == account)
        total -= trade.base * (trade.ask_account == account)
    return total


def exposure(venue, first, second):
    return position(venue, first) + position(venue, second)


# ------------------------------------------------------------------------- settings

GOOD = """
lighter: {base_url: "http://127.0.0.1:1", chain_id: 304}
accounts:
  account_a: {account_index: 1, api_key_index: 4}
  account_b: {account_index: 2, api_key_index: 5}
strategy: {size: 0.1, rounds: 3}
"""


def test_a_settings_file_is_read_and_keys_come_from_the_environment(
    tmp_path, monkeypatch
):
    path = tmp_path / "hedge.yaml"
    path.write_text(GOOD)
    settings = read_settings(path)
    assert settings.accounts == {"a": (1, 4), "b": (2, 5)}
    assert (settings.strategy.size, settings.strategy.rounds) == (Decimal("0.1"), 3)
    monkeypatch.delenv("HEDGE_B_PRIVATE_KEY", raising=False)
    with pytest.raises(ConfigError, match="HEDGE_B_PRIVATE_KEY: is not set"):
        settings.dealer_config("b")
    monkeypatch.setenv("HEDGE_B_PRIVATE_KEY", "12" * 40)
    assert settings.dealer_config("b").account_index == 2


def test_the_settings_file_that_comes_along_is_sound():
    settings = read_settings(ROOT / "examples" / "hedge" / "hedge.yaml")
    assert settings.strategy.market == "ETH"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("size: 0.1", "size: -1", "strategy.size: -1 is no number above 0"),
        ("size: 0.1", "sise: 1", "strategy.sise: is unknown"),
        ("rounds: 3", "rounds: 1.5", "strategy.rounds: 1.5 is no whole number"),
        ("rounds: 3", "poll_s: yes", "strategy.poll_s: True is no number"),
        ("rounds: 3", "market: 7", "strategy.market: 7 is no market's name"),
        ("rounds: 3", "hedge_for_s: 5", "strategy.flatten_after_s: 3.5 has to be"),
        ("rounds: 3", "halt_after_s: 3", "strategy.halt_after_s: 3 has to be above"),
        ("api_key_index: 4", "api_key_index: 0", "account_a.api_key_index: 0 is no"),
        ("account_index: 2", "account_index: 1", "account_index: is leg A's"),
        ("api_key_index: 4", "api_key_private_key: ab", "secrets do not belong"),
        ("accounts:", "acounts:", "acounts: is unknown"),
        ("strategy: {", "strategy: [{", "is no YAML"),
        ('base_url: "http://127.0.0.1:1"', "base_url: 3", "lighter.base_url: 3"),
    ],
)
def test_a_mistake_in_the_settings_is_named(tmp_path, old, new, words):
    path = tmp_path / "hedge.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError) as told:
        read_settings(path)
    assert words in str(told.value)


def test_a_section_that_is_none_is_refused(tmp_path):
    path = tmp_path / "hedge.yaml"
    path.write_text("lighter: 3\n")
    with pytest.raises(ConfigError, match="lighter: 3 is no section"):
        read_settings(path)
    assert strategy_settings({}).rounds == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--network", "mainnet"), "--live"),
        (("--network", "moon"), "network: venue, or testnet"),
        (("--size", "much"), "--size: 'much' is not a number above 0"),
    ],
)
async def test_what_cannot_work_is_told_in_one_line(tmp_path, arguments, words):
    code, _, err = await ended(await start("full", tmp_path, *arguments))
    assert code == 2
    assert words in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("leg", ["leg_a", "leg_b"])
async def test_a_leg_alone_does_not_reach_mainnet_by_accident(leg, tmp_path):
    path = tmp_path / "hedge.yaml"
    mainnet = "https://mainnet.zklighter.elliot.ai"
    path.write_text(GOOD.replace("http://127.0.0.1:1", mainnet))
    code, out, err = await ended(await start(leg, tmp_path, "--config", str(path)))
    assert (code, out) == (2, "")
    assert f"{mainnet} trades real money; add --live" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("name", ["leg_a", "leg_b", "full", "book", "watch"])
def test_each_file_reads_in_one_go(name):
    text = (ROOT / "examples" / "hedge" / f"{name}.py").read_text()
    assert text.count("\n") < 200
