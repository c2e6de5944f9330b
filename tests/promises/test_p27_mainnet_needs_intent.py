"""P27: nothing leaves this machine by mistake, and mainnet has to be meant twice.

Each case is a process of its own in which an audit hook writes down every address that
anything connects to, sends to, or looks up.
"""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import subprocess
import sys

import pytest

from wrappy.errors import ConfigError
from wrappy.runner.engine.engine import TradingEngine
from wrappy.runner.strategy.strategy import NoParameters, Strategy
from wrappy.runner.worlds.opening import open_world
from wrappy.signing import derive_key_pair

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEY = derive_key_pair(b"mainnet").private_key
ACCOUNT = 4_711
DEADLINE_S = 60.0
PHRASE = f"trade account {ACCOUNT} on mainnet"

GUARD = """
import json, sys

asked = []

def hook(event, arguments):
    if event == "socket.connect" or event == "socket.sendto":
        asked.append([event, str(arguments[1])])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        asked.append([event, str(arguments[0])])

sys.addaudithook(hook)
"""

CASE = """
import asyncio
from wrappy.errors import ConfigError
from wrappy.runner.worlds.opening import open_world
from wrappy.runner.engine.engine import TradingEngine
from wrappy.runner.strategy.strategy import NoParameters, Strategy

class Buys(Strategy[NoParameters]):
    async def run(self, ctx):
        await ctx.dealer().create_market_order("0.01")

async def main():
    try:
        async with open_world({arguments}) as world:
            engine = TradingEngine(world)
            engine.add_strategy(Buys())
            await engine.start()
            await asyncio.wait_for(engine.wait(), 30)
            report = await engine.stop()
            return f"opened, crashed: {{sorted(report.crashed)}}"
    except ConfigError as error:
        return f"refused: {{error}}"

word = asyncio.run(main())
away = [one for one in asked if "127.0.0.1" not in one[1]]
print(json.dumps([word, len(asked), away]))
"""


def run_case(arguments, tmp_path):
    """Return what a process said, how often it asked for addresses, and which away."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LIGHTER_")
    } | {
        "LIGHTER_ACCOUNT_INDEX": str(ACCOUNT),
        "LIGHTER_API_KEY_INDEX": "5",
        "LIGHTER_API_KEY": KEY,
        "XDG_STATE_HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", GUARD + CASE.format(arguments=arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    assert KEY not in done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("'mainnet'", "add --live"),
        ("'mainnet', dry_run=True", "add --live"),
        ("'mainnet', confirm=lambda text: True", "add --live"),
        ("'mainnet', live=True", "confirm account and network"),
        ("'mainnet', live=True, confirm=lambda text: False", "was not confirmed"),
        ("'mainnet', live=True, confirm=lambda text: 'y'", "was not confirmed"),
        ("'mainnet', live=True, confirm='yes'", "was not confirmed"),
        ("'mainnet', live=True, confirm='trade account 1 on mainnet'", "not confirmed"),
        ("'venue', url='https://mainnet.zklighter.elliot.ai'", "add --live"),
        ("'venue', url='http://127.0.0.1.example.org'", "add --live"),
        ("'venue', url='http://192.0.2.1', live=True", "confirm account"),
        ("'moon'", "none of"),
        ("'testnet', key_file='/nonexistent/key'", "cannot be opened"),
    ],
)
def test_without_intent_no_packet_leaves_the_machine(arguments, words, tmp_path):
    word, asked, away = run_case(arguments, tmp_path)
    assert word.startswith("refused: ")
    assert words in word
    assert (asked, away) == (0, [])


def test_the_default_world_talks_to_this_machine_only(tmp_path):
    word, asked, away = run_case("seed=1, symbols=['ETH']", tmp_path)
    assert word == "opened, crashed: []"
    assert asked > 0
    assert away == []


def test_the_guard_sees_what_would_leave(tmp_path):
    # Or nothing above would mean anything.
    outside = "'testnet', networks={'testnet': 'http://192.0.2.1:9'}"
    word, asked, away = run_case(
        f"{outside}, dealer=__import__('wrappy').DealerConfig("
        "reconcile_timeout_s=0.2, request_timeout_s=0.2)",
        tmp_path,
    )
    assert word == "opened, crashed: ['buys']"
    assert asked
    assert any("192.0.2.1" in address for _, address in away)


# ----------------------------------------- mainnet, with its address on this machine


class Buys(Strategy[NoParameters]):
    """Buys once, and is done when it has."""

    async def run(self, ctx):
        await ctx.dealer().create_market_order("0.01")
        while not ctx.position():
            await ctx.sleep(0.05)


@pytest.fixture
def key_file(venue, tmp_path):
    owner = venue.accounts[0]
    path = tmp_path / "key.json"
    path.touch(mode=0o600)
    path.write_text(
        json.dumps(
            {
                "account_index": owner.account_index,
                "api_key_index": owner.api_keys[0].api_key_index,
                "api_key_private_key": owner.api_keys[0].api_key_private_key,
            }
        )
    )
    return path


async def traded(world):
    engine = TradingEngine(world)
    engine.add_strategy(Buys())
    await engine.start()
    await asyncio.wait_for(engine.wait(), 20)
    report = await engine.stop()
    assert not report.crashed


@pytest.mark.parametrize("spoken", [True, False])
async def test_mainnet_that_is_meant_and_confirmed_is_traded(venue, key_file, spoken):
    asked = []
    phrase = f"trade account {venue.accounts[0].account_index} on mainnet"

    def confirm(text):
        asked.append(text)
        return True

    async with open_world(
        "mainnet",
        live=True,
        confirm=confirm if spoken else phrase,
        key_file=key_file,
        networks={"mainnet": venue.base_url},
    ) as world:
        assert world.name == "mainnet"
        assert world.config.dead_man_s == 360
        assert world.place == venue.base_url
        await traded(world)
    assert asked == ([phrase] if spoken else [])
    assert venue.ledger.accepted()


async def test_testnet_needs_its_name_and_a_key_and_no_more(venue, monkeypatch):
    owner = venue.accounts[0]
    monkeypatch.setenv("LIGHTER_ACCOUNT_INDEX", str(owner.account_index))
    monkeypatch.setenv("LIGHTER_API_KEY_INDEX", str(owner.api_keys[0].api_key_index))
    monkeypatch.setenv("LIGHTER_API_KEY", owner.api_keys[0].api_key_private_key)
    networks = {"testnet": venue.base_url}
    async with open_world("testnet", networks=networks) as world:
        assert world.name == "testnet"
        await traded(world)
    # Named in both places it may be, as long as it is the same one.
    monkeypatch.setenv("LIGHTER_BASE_URL", venue.base_url + "/")
    async with open_world("testnet", networks=networks):
        pass
    monkeypatch.setenv("LIGHTER_BASE_URL", "https://mainnet.zklighter.elliot.ai")
    with pytest.raises(ConfigError, match="LIGHTER_BASE_URL"):
        async with open_world("testnet", networks=networks):
            pass


async def test_what_is_to_be_confirmed_names_account_and_network(monkeypatch):
    monkeypatch.setenv("LIGHTER_ACCOUNT_INDEX", str(ACCOUNT))
    monkeypatch.setenv("LIGHTER_API_KEY_INDEX", "5")
    monkeypatch.setenv("LIGHTER_API_KEY", KEY)
    asked = []
    with pytest.raises(ConfigError, match=PHRASE):
        async with open_world("mainnet", live=True, confirm=asked.append):
            pass
    assert asked == [PHRASE]
