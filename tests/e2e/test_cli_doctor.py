"""The doctor finds each thing that is broken, and says how to put it right."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import time

import pytest

from wrappy.errors import RequestTimeoutError
from wrappy.lighter.config import ApiKeyConfig
from wrappy.lighter.environment import NATIVE
from wrappy.lighter.visit import open_visit
from wrappy.runner.cli.app import main
from wrappy.runner.doctor.examination import Patient, examine
from wrappy.runner.doctor.findings import Grade
from wrappy.venue import Venue

pytestmark = pytest.mark.slow

OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL
OTHER_KEY = "5" * 79 + "1"


@pytest.fixture
def examined(config_for, tmp_path):
    """Return a function that examines the account of a venue."""

    async def found(venue, *, environment=NATIVE, patient=None, **changes):
        config = config_for(venue, **changes)
        async with open_visit(config, environment) as visit:
            return await examine(
                Patient(
                    visit=visit,
                    state_folder=tmp_path / "state",
                    **{"symbols": ("ETH",), "dead_man_s": 360, **(patient or {})},
                )
            )

    return found


def by_check(findings):
    return {finding.check: finding for finding in findings}


async def test_a_sound_setup_is_all_fine(quiet_venue, examined):
    findings = await examined(quiet_venue)
    assert {finding.grade for finding in findings} == {OK}
    assert {f.check for f in findings} >= {
        *("python", "libraries", "disk", "state folder", "exchange", "clock", "chain"),
        *("decimals", "stream", "key", "tier", "quota", "open orders", "nonces"),
        *("journal", "dead man's switch"),
    }
    assert len([f for f in findings if f.check == "key"]) == 2


@pytest.mark.parametrize(("skew_s", "grade"), [(-3, WARN), (8, FAIL)])
async def test_a_clock_that_is_off_is_found(quiet_venue, examined, skew_s, grade):
    off = dataclasses.replace(NATIVE, unix_s=lambda: time.time() + skew_s)
    clock = by_check(await examined(quiet_venue, environment=off))["clock"]
    assert clock.grade is grade
    told_s = float(re.search(r"is ([-+][\d.]+) s off", clock.words)[1])
    assert abs(told_s - skew_s) < 1
    assert "NTP" in clock.fix


async def test_nobody_at_the_address_is_found(quiet_venue, examined, unused_tcp_port):
    nobody = f"http://127.0.0.1:{unused_tcp_port}"
    findings = by_check(await examined(quiet_venue, base_url=nobody))
    assert findings["exchange"].grade is FAIL
    assert "stream" not in findings


async def test_a_closed_websocket_is_found(quiet_venue, relay_to, examined):
    relay = await relay_to(quiet_venue)
    relay.door_open = False
    stream = by_check(await examined(relay))["stream"]
    assert stream.grade is FAIL
    assert "503" in stream.words


async def test_a_stream_without_a_book_is_found(quiet_venue, relay_to, config_for):
    relay = await relay_to(quiet_venue)
    relay.down = lambda _: [{"type": "other"}]
    async with open_visit(config_for(relay)) as visit:
        with pytest.raises(RequestTimeoutError, match="no book in time"):
            await visit.first_book(0, timeout_s=0.2)


async def test_a_key_that_is_another_is_found(quiet_venue, examined):
    index = quiet_venue.accounts[0].api_keys[0].api_key_index
    findings = by_check(
        await examined(quiet_venue, api_keys=(ApiKeyConfig(index, OTHER_KEY),))
    )
    assert findings["key"].grade is FAIL
    assert OTHER_KEY not in findings["key"].words
    assert "tier" not in findings


async def test_another_chain_is_found(quiet_venue, examined):
    chain = by_check(await examined(quiet_venue, chain_id=300))["chain"]
    assert chain.grade is FAIL
    assert "chain_id" in chain.words


async def test_a_tier_the_settings_are_wrong_about_is_found(examined):
    async with Venue(seed=1, flow="none", tier="standard") as venue:
        tier = by_check(await examined(venue, standard_account=False))["tier"]
    assert tier.grade is FAIL
    assert tier.words.startswith("standard")


async def test_a_market_that_is_not_there_is_found(quiet_venue, examined):
    patient = {"symbols": ("ETH", "NOPE")}
    market = by_check(await examined(quiet_venue, patient=patient))["market"]
    assert market.grade is FAIL


async def test_an_unreadable_list_of_markets_is_found(quiet_venue, relay_to, examined):
    relay = await relay_to(quiet_venue)
    relay.answer("/api/v1/orderBookDetails", {"order_book_details": 7}, times=9)
    findings = by_check(await examined(relay))
    assert findings["markets"].grade is FAIL
    assert findings["key"].grade is OK


async def test_orders_of_nobody_here_are_found(quiet_venue, dealer, examined, tmp_path):
    elsewhere = await dealer(quiet_venue, state_dir=str(tmp_path / "elsewhere"))
    await elsewhere.create_limit_order(1000, 0.05)
    await elsewhere.flush()
    await elsewhere.aclose()
    orders = by_check(await examined(quiet_venue))["open orders"]
    assert (orders.grade, "(ETH)" in orders.words) == (FAIL, True)
    adopted = await examined(quiet_venue, unknown_orders="adopt")
    assert by_check(adopted)["open orders"].grade is WARN
    assert by_check(adopted)["dead man's switch"].grade is WARN


async def test_numbers_that_somebody_else_used_are_found(
    quiet_venue, dealer, examined, tmp_path
):
    for folder in ("state", "elsewhere"):
        trader = await dealer(
            quiet_venue, state_dir=str(tmp_path / folder), unknown_orders="adopt"
        )
        await trader.create_limit_order(1000, 0.05)
        await trader.flush()
        await trader.cancel_all_orders()
        await trader.aclose()
    grades = [f.grade for f in await examined(quiet_venue) if f.check == "nonces"]
    assert FAIL in grades


async def test_a_running_bot_and_its_armed_switch_are_seen(
    quiet_venue, dealer, examined
):
    trader = await dealer(quiet_venue)
    await trader.create_limit_order(1000, 0.05)
    await trader.flush()
    await trader.arm_dead_man(300)
    findings = await examined(quiet_venue)
    found = by_check(findings)
    assert {finding.grade for finding in findings} == {OK}
    assert found["dead man's switch"].words.startswith("armed")
    assert "sends with key" in found["running"].words


async def test_a_journal_that_cannot_be_read_is_found(
    quiet_venue, dealer, examined, tmp_path
):
    await (await dealer(quiet_venue)).aclose()
    (file, *_) = (tmp_path / "state").glob("journal-*.sqlite3")
    file.write_bytes(b"nonsense" * 1000)
    assert by_check(await examined(quiet_venue))["journal"].grade is FAIL


async def test_redis_that_is_down_is_found(quiet_venue, examined, unused_tcp_port):
    url = f"redis://127.0.0.1:{unused_tcp_port}/0"
    redis = by_check(await examined(quiet_venue, budget_redis_url=url))["redis"]
    assert redis.grade is FAIL


async def test_a_question_that_fails_is_a_finding(quiet_venue, relay_to, examined):
    relay = await relay_to(quiet_venue)
    relay.answer("/api/v1/accountLimits", {"code": 29500}, status=500, times=9)
    findings = by_check(await examined(relay))
    assert findings["tier"].grade is FAIL
    assert findings["open orders"].grade is OK


# ------------------------------------------------------------------- command line


async def told(capsys, *arguments):
    """Run a command in a thread; return exit code, output, and complaints."""
    code = await asyncio.to_thread(main, list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def settings_file(tmp_path):
    def written(text):
        file = tmp_path / "bot.toml"
        file.write_text(text)
        return str(file)

    return written


async def test_the_command_prints_one_line_for_each_finding(quiet_venue, capsys):
    code, out, err = await told(capsys, "doctor", "--url", quiet_venue.base_url)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].endswith("0 to look at, 0 to put right")
    assert "fix:" not in out


async def test_the_command_speaks_json(quiet_venue, capsys, settings_file):
    file = settings_file(
        f'[network]\nname = "venue"\nurl = "{quiet_venue.base_url}"\n'
        '[[strategies]]\nuse = "mean_reversion"\nsymbols = ["NOPE"]\n'
    )
    code, out, _ = await told(capsys, "doctor", file, "--json")
    answer = json.loads(out)
    assert (code, answer["grade"]) == (1, "FAIL")
    wrong = [f for f in answer["findings"] if f["grade"] == "FAIL"]
    assert [(f["check"], f["fix"]) for f in wrong] == [
        ("market", "wrappy markets lists them")
    ]


async def test_a_reserved_key_index_is_a_finding(capsys, settings_file):
    file = settings_file("[network]\napi_key_index = 2\n")
    code, out, _ = await told(capsys, "doctor", file)
    assert code == 1
    assert out.startswith("FAIL  settings")
    assert "api_key_index" in out


async def test_a_missing_key_is_a_finding_and_the_machine_is_looked_at(
    capsys, settings_file, tmp_path
):
    file = settings_file(
        f'[network]\nname = "testnet"\n[engine]\nstate_dir = "{tmp_path / "s"}"\n'
    )
    code, out, _ = await told(capsys, "doctor", file)
    assert code == 1
    assert out.startswith("FAIL  settings")
    assert "fix: give account and key" in out
    assert "OK    python" in out


async def test_a_key_file_that_others_can_read_is_found(
    quiet_venue, capsys, settings_file, tmp_path
):
    owner = quiet_venue.accounts[0]
    keys = tmp_path / "key.json"
    keys.write_text(
        json.dumps(
            {
                "account_index": owner.account_index,
                "api_key_index": owner.api_keys[0].api_key_index,
                "api_key_private_key": owner.api_keys[0].api_key_private_key,
            }
        )
    )
    keys.chmod(0o644)
    file = settings_file(
        f'[network]\nurl = "{quiet_venue.base_url}"\nkey_file = "key.json"\n'
        f'[engine]\nstate_dir = "{tmp_path / "s"}"\n'
        '[alerts]\nurls_file = "key.json"\n'
    )
    code, out, _ = await told(capsys, "doctor", file)
    assert code == 1
    assert out.count(f"fix: chmod 600 {keys}") == 2
    assert owner.api_keys[0].api_key_private_key not in out
    keys.chmod(0o600)
    code, out, _ = await told(capsys, "doctor", file)
    assert (code, "OK    key file" in out) == (0, True)


async def test_the_address_of_a_public_network_cannot_be_changed(capsys):
    code, out, _ = await told(
        capsys, "doctor", "--network", "testnet", "--url", "http://127.0.0.1:1"
    )
    assert (code, out.count("FAIL")) == (1, 1)
    assert "--url" in out


async def test_on_paper_the_public_market_is_looked_at(quiet_venue, capsys):
    code, out, _ = await told(
        *(capsys, "doctor", "--network", "paper", "--url", quiet_venue.base_url)
    )
    assert code == 0
    assert "stream" in out
    assert "nonces" not in out


async def test_without_anything_an_exchange_of_its_own_is_examined(capsys):
    code, out, _ = await told(capsys, "doctor")
    assert code == 0
    assert "OK    key" in out
