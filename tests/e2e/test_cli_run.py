"""`wrappy run` and `wrappy backtest`: what they say, what they send, what they log."""

from __future__ import annotations

import json
import re
import stat
import urllib.request

import pytest

from tests.cli import called, resting, until, wrappy, write_bot

pytestmark = pytest.mark.slow


async def test_without_a_file_an_example_runs_on_a_local_exchange(tmp_path):
    code, out, errors = await called("run", "--duration", "1")
    assert code == 0, errors
    first, last = out.splitlines()
    assert re.match(r"wrappy: wrappy runs mean_reversion on venue \(http://127", first)
    assert "stopped by the end of its time" in last


@pytest.mark.parametrize("name", ["mean_reversion", "momentum", "ut_bot", "arbitrage"])
async def test_every_example_runs_by_its_name(name):
    code, out, errors = await called("run", "--strategy", name, "--duration", "1")
    assert code == 0, errors
    assert f"runs {name}" in out


async def test_a_strategy_that_ends_by_itself_ends_the_bot(quiet_venue, tmp_path):
    file = write_bot(tmp_path, "Finishing", url=quiet_venue.base_url)
    code, out, errors = await called("run", file)
    assert code == 0, errors
    assert "stopped by the end of its strategies" in out
    assert resting(quiet_venue) == []


async def test_a_crash_ends_with_1_and_leaves_no_order(quiet_venue, tmp_path):
    file = write_bot(tmp_path, "Crashing", url=quiet_venue.base_url)
    code, out, _ = await called("run", file)
    assert code == 1
    assert "resting crashed" not in out
    assert "crashing crashed: ValueError: a mistake" in out
    assert resting(quiet_venue) == []


async def test_a_dry_run_sends_nothing_and_shows_what_it_would(quiet_venue, tmp_path):
    file = write_bot(tmp_path, url=quiet_venue.base_url)
    code, out, errors = await called("run", file, "--dry-run", "--duration", "2")
    assert code == 0, errors
    assert "(dry run)" in out
    assert "would send: create buy 0.05" in errors
    assert quiet_venue.ledger.accepted() == []
    assert quiet_venue.ledger.refused() == []


async def test_the_command_line_picks_strategy_and_market(quiet_venue, tmp_path):
    file = write_bot(tmp_path, "Crashing", url=quiet_venue.base_url)
    async with wrappy(
        "run", file, "--strategy", tmp_path / "mine.py:Resting", "--market", "BTC"
    ) as bot:
        assert "runs resting on" in await bot.line()
        await until(lambda: len(resting(quiet_venue)) == 3)
        markets = {order.market_index for order in resting(quiet_venue)}
        (btc,) = (m.market_id for m in quiet_venue.markets if m.symbol == "BTC")
        assert markets == {btc}


async def test_settings_in_yaml_run_too(quiet_venue, tmp_path):
    write_bot(tmp_path)
    file = tmp_path / "bot.yaml"
    file.write_text(
        f"network: {{name: venue, url: '{quiet_venue.base_url}'}}\n"
        "strategies:\n"
        "  - use: mine.py:Resting\n"
        "    parameters: {size: 0.07}\n"
        "  - {use: 'mine.py:Crashing', enabled: false}\n"
        f"engine: {{state_dir: '{tmp_path / 'state'}'}}\n"
        "risk: {max_open_orders: 10}\n"
    )
    async with wrappy("run", file) as bot:
        assert "runs resting on" in await bot.line()
        await until(lambda: len(resting(quiet_venue)) == 3)
        code, out, _ = await called("status", file, "--json")
        assert code == 0
        assert json.loads(out)["risk"]["open_orders_count"] == 3
        assert {row["size"] for row in json.loads(out)["status"]["orders"]} == {
            "0.0700"
        }
        assert (await called("stop", file))[0] == 0


async def test_the_log_is_json_and_holds_no_secret(quiet_venue, tmp_path):
    log = tmp_path / "logs" / "bot.log"
    file = write_bot(
        tmp_path,
        "Telling",
        url=quiet_venue.base_url,
        extra=f'[log]\nformat = "json"\nfile = "{log}"\nlevel = "DEBUG"',
    )
    owner = quiet_venue.accounts[0]
    key = owner.api_keys[0].api_key_private_key
    code, out, errors = await called(
        "run",
        file,
        LIGHTER_API_KEY=key,
        LIGHTER_API_KEY_INDEX=str(owner.api_keys[0].api_key_index),
        LIGHTER_ACCOUNT_INDEX=str(owner.account_index),
    )
    assert code == 1
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"time", "level", "logger", "message"} <= set(rows[0])
    messages = [row["message"] for row in rows]
    assert "the key is ***" in messages
    assert any("Traceback" in row.get("error", "") for row in rows)
    for text in (out, errors, log.read_text()):
        assert key.lower().removeprefix("0x") not in text.lower()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    # Only errors of the interpreter would not be records.
    assert all(line.startswith("{") for line in errors.splitlines())


async def test_the_monitor_is_told_once_and_answers(quiet_venue, tmp_path):
    file = write_bot(
        tmp_path,
        url=quiet_venue.base_url,
        extra="[monitor]\nenabled = true\nport = 0",
    )
    async with wrappy("run", file) as bot:
        await bot.line()
        line = await bot.line()
        found = re.fullmatch(r"wrappy: look at it: (http://127\S+)/#token=(\S+)", line)
        request = urllib.request.Request(  # noqa: S310
            f"{found[1]}/api/status", headers={"Authorization": f"Bearer {found[2]}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            assert answer.status == 200
        assert (await called("stop", file))[0] == 0
        _, out, errors = await bot.end()
        assert found[2] not in out + errors


# ------------------------------------------------------------------------- backtests


@pytest.fixture
def candles(tmp_path):
    rows = ["timestamp,open,high,low,close,volume"]
    for step in range(600):
        up = step % 60 - 30 if step % 120 < 60 else 30 - step % 60
        price = 4000 + 40 * up / 30
        start = 1_700_000_000_000 // 60_000 * 60_000 + step * 60_000
        rows.append(f"{start},{price},{price + 2},{price - 2},{price + 1},10")
    file = tmp_path / "ETH_1m.csv"
    file.write_text("\n".join(rows) + "\n")
    return file


async def test_a_backtest_prints_a_summary_and_writes_results(tmp_path, candles):
    out_file = tmp_path / "results.json"
    command = ("backtest", "mean_reversion", "--candles", candles)
    told = set()
    for _ in range(2):
        code, out, errors = await called(*command, "--output", out_file)
        assert code == 0, errors
        assert "Backtest summary" in out
        told |= set(re.findall(r"^Ledger hash: [0-9a-f]{64}$", out, re.MULTILINE))
    assert len(told) == 1
    assert json.loads(out_file.read_text())


async def test_a_backtest_takes_its_assumptions_from_the_settings(tmp_path, candles):
    (tmp_path / "bot.toml").write_text(
        '[[strategies]]\nuse = "momentum"\n[[strategies]]\nuse = "mean_reversion"\n'
        f'[backtest]\ndata = "{candles.name}"\ncapital = 5000\n'
    )
    code, out, errors = await called(
        "backtest",
        "all",
        "--config",
        tmp_path / "bot.toml",
        "--output",
        tmp_path / "r.json",
    )
    assert code == 0, errors
    assert out.count("Backtest summary") == 2
    assert out.count("5,000.00") + out.count("5000.00") >= 2
    assert (tmp_path / "momentum-r.json").exists()
    assert (tmp_path / "mean_reversion-r.json").exists()
