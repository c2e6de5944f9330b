"""P22: settings that cannot work end in one line that names them, and in no request.

The address in the settings is a socket that counts who connects.
"""

from __future__ import annotations

import json
import os
import socket

import pytest

from tests.cli import write_bot
from wrappy import ConfigError, DealerConfig, LighterDealer
from wrappy.runner.cli.app import main as wrappy_command
from wrappy.signing import derive_key_pair
from wrappy.venue.__main__ import main as venue_command

KEY = derive_key_pair(b"settings").private_key
LONGEST_LINE = 600

# Each names the setting at fault, the wrong value, and a word of the message.
WRONG = [
    ("base_url", "ftp://127.0.0.1", "base_url"),
    ("base_url", "127.0.0.1:80", "base_url"),
    ("base_url", "http://user:pass@127.0.0.1", "base_url"),
    ("base_url", 7, "base_url"),
    ("account_index", "65", "account_index"),
    ("account_index", True, "account_index"),
    ("account_index", -1, "account_index"),
    ("account_index", 2**48, "account_index"),
    ("account_index", 1.0, "account_index"),
    ("market_index", 5_000, "market_index"),
    ("market_index", "0", "market_index"),
    ("symbol", 0, "symbol"),
    ("price_scale", 0, "price_scale"),
    ("size_scale", "10", "size_scale"),
    ("use_websocket", "yes", "use_websocket"),
    ("use_websocket", 1, "use_websocket"),
    ("max_ws_batch", 0, "max_ws_batch"),
    ("max_ws_batch", 51, "max_ws_batch"),
    ("max_ws_batch", True, "max_ws_batch"),
    ("standard_account", "premium", "standard_account"),
    ("ip_weight_per_minute", 0, "ip_weight_per_minute"),
    ("jitter_ms", [5, 1], "jitter_ms"),
    ("jitter_ms", 5, "jitter_ms"),
    ("prefer_high_level", 0, "prefer_high_level"),
    ("chain_id", 0, "chain_id"),
    ("price_rounding", "up", "price_rounding"),
    ("slippage_bps", -1, "slippage_bps"),
    ("slippage_bps", 0.5, "slippage_bps"),
    ("order_lifetime_s", 299, "order_lifetime_s"),
    ("request_timeout_s", 0, "request_timeout_s"),
    ("request_timeout_s", float("nan"), "request_timeout_s"),
    ("request_timeout_s", "10", "request_timeout_s"),
    ("reconcile_timeout_s", float("inf"), "reconcile_timeout_s"),
    ("journal", "on", "journal"),
    ("journal_sync", "disk", "journal_sync"),
    ("unknown_orders", "ignore", "unknown_orders"),
    ("signer", "go", "signer"),
    ("maker_lifetime_ms", 600_000, "maker_lifetime_ms"),
    ("taker_lifetime_ms", 999, "taker_lifetime_ms"),
    ("pipeline_depth", 9, "pipeline_depth"),
    ("pipeline_depth", 2, "use_websocket"),
    ("dead_man_s", 60, "dead_man_s"),
    ("dead_man_s", 10**9, "dead_man_s"),
    ("api_keys", "KEY", "api_keys"),
    ("api_keys", [], "api_keys"),
    ("api_keys", [{"api_key_index": 5}], "api_keys"),
    ("api_keys", [{"api_key_index": 2, "api_key_private_key": KEY}], "api_key_index"),
    ("api_keys", [{"api_key_index": 255, "api_key_private_key": KEY}], "api_key_index"),
    ("api_keys", [{"api_key_index": "5", "api_key_private_key": KEY}], "api_key_index"),
    ("api_keys", [{"api_key_index": 5, "api_key_private_key": KEY[:-2]}], "80 hex"),
    ("api_keys", [{"api_key_index": 5, "api_key_private_key": 7}], "80 hex"),
    ("api_keys", [{"api_key_index": 5, "api_key_private_key": KEY}] * 2, "twice"),
    ("market_indx", 0, "market_indx"),
    ("Symbol", "ETH", "Symbol"),
]


def word(part):
    return part.__name__ if callable(part) else part


@pytest.fixture
def address():
    """An address where somebody listens; nobody may have come in the end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.settimeout(0.02)
        with pytest.raises(TimeoutError):
            listening.accept()


@pytest.fixture
def good(address, tmp_path):
    return {
        "base_url": address,
        "account_index": 65,
        "api_keys": [{"api_key_index": 5, "api_key_private_key": KEY}],
        "symbol": "ETH",
        "state_dir": str(tmp_path / "state"),
    }


def named(settings, name, value):
    changed = {**settings, name: value}
    if name == "market_index":
        del changed["symbol"]
    return changed


def check(words, error):
    line = str(error)
    assert words in line
    assert "\n" not in line
    assert len(line) < LONGEST_LINE
    assert KEY not in line
    assert KEY[:-2] not in line


@pytest.mark.parametrize(("name", "value", "words"), WRONG, ids=str)
async def test_a_wrong_setting_of_a_file_is_named_in_one_line(
    good, tmp_path, name, value, words
):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"Lighter": named(good, name, value)}))
    file.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        await LighterDealer.from_config(file)
    check(words, caught.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [row for row in WRONG if row[0] not in ("market_indx", "Symbol")],
    ids=str,
)
async def test_a_wrong_argument_is_named_in_one_line(good, name, value, words):
    with pytest.raises(ConfigError) as caught:
        await LighterDealer.create(DealerConfig(**named(good, name, value)))
    check(words, caught.value)


def readable_by_all(file, text):
    file.write_text(text)
    file.chmod(0o644)


def writable_by_all(file, text):
    file.write_text(text)
    file.chmod(0o602)


def link_out_of_its_folder(file, text):
    elsewhere = file.parent.parent / "elsewhere.json"
    elsewhere.write_text(text)
    elsewhere.chmod(0o600)
    file.symlink_to(elsewhere)


def huge(file, text):
    file.write_text(text + " " * 2_000_000)
    file.chmod(0o600)


def deep(file, text):
    file.write_text("[" * 100_000 + "]" * 100_000)


def long_number(file, text):
    file.write_text('{"account_index": ' + "1" * 100_000 + "}")


def no_text(file, text):
    file.write_bytes(b"\xff\xfe" + text.encode())


def a_list(file, text):
    file.write_text(f"[{text}]")


def cut_off(file, text):
    file.write_text(text[:-5])


def a_folder(file, text):
    file.mkdir()


def a_pipe(file, text):
    os.mkfifo(file)


FILES = [
    (readable_by_all, "chmod 600"),
    (writable_by_all, "chmod 600"),
    (link_out_of_its_folder, "symbolic link"),
    (huge, "bytes"),
    (deep, "JSON"),
    (long_number, "JSON"),
    (no_text, "cannot be read"),
    (a_list, "object"),
    (cut_off, "JSON"),
    (a_folder, "cannot be read"),
    (a_pipe, "cannot be read"),
]


@pytest.mark.parametrize(("made", "words"), FILES, ids=word)
async def test_a_file_that_is_not_fit_is_named_in_one_line(good, tmp_path, made, words):
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "config.json"
    made(file, json.dumps(good))
    with pytest.raises(ConfigError) as caught:
        await LighterDealer.from_config(file)
    check(words, caught.value)
    assert str(file) in str(caught.value)


async def test_a_link_within_its_folder_is_followed(good, tmp_path):
    inside = tmp_path / "..data"
    inside.mkdir()
    (inside / "config.json").write_text(json.dumps({**good, "max_ws_batch": 0}))
    (inside / "config.json").chmod(0o600)
    (tmp_path / "config.json").symlink_to(inside / "config.json")
    with pytest.raises(ConfigError, match="max_ws_batch"):
        await LighterDealer.from_config(tmp_path / "config.json")


@pytest.mark.parametrize("mode", [0o777, 0o770])
async def test_a_state_folder_that_others_can_change_is_refused(good, tmp_path, mode):
    folder = tmp_path / "open to all"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        await LighterDealer.create(DealerConfig(**{**good, "state_dir": str(folder)}))
    check("state_dir", caught.value)


COMMANDS = [
    ("--port", "70000"),
    ("--port", "http"),
    ("--accounts", "1"),
    ("--tier", "gold"),
    ("--symbols", "NONE"),
    ("--symbols", ","),
    ("--tape", "/no/such/tape"),
    ("--chaos", "/no/such/storm.json"),
    ("--seed", "x"),
    ("--flow", "wild"),
    ("--no-such-option", "1"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_command_ends_with_2_and_one_line(arguments, capsys):
    try:
        code = venue_command(list(arguments))
    except SystemExit as ended:
        code = ended.code
    told = capsys.readouterr()
    assert code == 2
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert line.startswith("python -m wrappy.venue: ")
    assert len(line) < LONGEST_LINE


# ----------------------------------------------------------- the settings file of a bot

STRATEGY = '[[strategies]]\nuse = "mine.py:Resting"\n'

# Each is a whole file, and what the one line has to say.
BROKEN = [
    ('[network]\nname = "moon"', "network.name: 'moon'"),
    ("[network]\nname = 3", "network.name: 3 is not text"),
    ('[network]\nurl = "127.0.0.1:80"', "network.url: "),
    ('[network]\nurl = "http://user:pass@127.0.0.1"', "network.url: "),
    ('[network]\naccount_index = "65"', "account_index: '65' is not a whole"),
    ("[network]\naccount_index = 0", "network.account_index: 0 is outside"),
    ("[network]\napi_key_index = 2", "network.api_key_index: 2 is outside"),
    ("[network]\napi_key_index = true", "api_key_index: True is not a whole"),
    ("[network]\nseed = -1", "network.seed: -1 is outside"),
    ("[network]\nnmae = 'venue'", "network.nmae: there is no such setting; is it name"),
    (f'[network]\napi_key_private_key = "{KEY}"', "api_key_private_key: a secret"),
    (f'[engine]\nstate_dir = "{KEY}"', "engine.state_dir: a secret"),
    ('[alerts]\npassword = "x"', "alerts.password: a secret"),
    ("[netwrok]\nname = 'venue'", "netwrok: there is no such setting; is it network"),
    ("network = 3", "network: 3 is not a table"),
    ("strategies = 3", "strategies: 3 is not a list"),
    ("[strategies.mean_reversion]\nenabled = true", "strategies: a table is not a"),
    ("[[strategies]]\nname = 'a'", "strategies[0].use: is missing"),
    ("[[strategies]]\nuse = ''", "strategies[0].use: is empty"),
    ("[[strategies]]\nuse = 'nobody'", "strategies[0].use: 'nobody' is no example"),
    ("[[strategies]]\nuse = 'none.py:A'", "strategies[0].use: none.py: there is no"),
    ("[[strategies]]\nuse = '../a.py:A'", "strategies[0].use: ../a.py lies outside"),
    (
        "[[strategies]]\nuse = 'linked.py:Resting'",
        "strategies[0].use: linked.py lies out",
    ),
    ("[[strategies]]\nuse = 'mine.py:Nobody'", "strategies[0].use: mine.py has no"),
    ("[[strategies]]\nuse = 'broken.py:A'", "strategies[0].use: broken.py cannot be"),
    (
        "[[strategies]]\nuse = 'no.such.module:A'",
        "strategies[0].use: there is no module",
    ),
    (f"{STRATEGY}symbols = 'ETH'", "strategies[0].symbols: 'ETH' is not a list"),
    (f"{STRATEGY}symbols = []", "strategies[0].symbols: names no market"),
    (f"{STRATEGY}symbols = ['ETH', 3]", "strategies[0].symbols[1]: 3 is not text"),
    (f"{STRATEGY}enabled = 'yes'", "strategies[0].enabled: 'yes' is not true or"),
    (f"{STRATEGY}name = '../x'", "strategies[0].name: '../x' cannot be"),
    (
        f"{STRATEGY}[strategies.parameters]\nlookback = '20'",
        "strategies[0].parameters.lookback: '20' is not a whole number",
    ),
    (
        f"{STRATEGY}[strategies.parameters]\nlokback = 20",
        "strategies[0].parameters.lokback: there is no such setting; is it lookback?",
    ),
    (
        f"{STRATEGY}[strategies.parameters]\nsize = 'much'",
        "strategies[0].parameters.size: 'much' ",
    ),
    (
        f"{STRATEGY}name = 'a'\n{STRATEGY}name = 'a'",
        "strategies[0].name: 'a' stands there twice",
    ),
    (
        "[[strategies]]\nuse = 'mine.py:Resting'\nenabled = false",
        "none that is enabled",
    ),
    ("[engine]\nstop_timeout_s = 0", "engine.stop_timeout_s: 0"),
    ("[engine]\nstop_timeout_s = nan", "engine.stop_timeout_s: nan"),
    ("[engine]\ndead_man_s = 60", "engine.dead_man_s: 60 is outside 300..86400"),
    ("[engine]\nunknown_orders = 'ignore'", "engine.unknown_orders: 'ignore'"),
    ("[engine]\nslippage_bps = 0.5", "engine.slippage_bps: 0.5 is not a whole"),
    ("[log]\nlevel = 'LOUD'", "log.level: 'LOUD'"),
    ("[log]\nformat = 'xml'", "log.format: 'xml'"),
    ("[log]\nmax_bytes = 1", "log.max_bytes: 1 is outside"),
    ("[risk]\nmax_open_orders = -1", "risk.max_open_orders: "),
    ("[risk]\nmax_orders = 1", "risk.max_orders: "),
    ("[monitor]\nport = 70000", "monitor.port: 70000"),
    ("[monitor]\nhost = '0.0.0.0'", "monitor.host: "),
    ("[alerts]\nmost_per_hour = 0", "alerts.most_per_hour: 0"),
    ("[backtest]\ncapital = 'all'", "backtest.capital: 'all'"),
    ("[backtest]\nrequest_ms = [1]", "backtest.request_ms: "),
    ("[network\nname = 1", "is no TOML"),
    ("a = [" + "[" * 3000, "too many brackets"),
]


@pytest.fixture
def bot_folder(tmp_path, address, monkeypatch):
    # Whoever connected all the same would be counted.
    monkeypatch.setenv("LIGHTER_BASE_URL", address)
    folder = tmp_path / "bot"
    folder.mkdir()
    write_bot(folder)
    (tmp_path / "outside.py").write_text((folder / "mine.py").read_text())
    (folder / "linked.py").symlink_to(tmp_path / "outside.py")
    (folder / "broken.py").write_text("def (:\n")
    return folder


def refused(file, capsys):
    """Run a bot with a file; return the one line that it ends with."""
    code = wrappy_command(["run", str(file)])
    told = capsys.readouterr()
    assert code == 2, told
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert len(line) < LONGEST_LINE
    assert KEY not in line
    return line


@pytest.mark.parametrize(("text", "words"), BROKEN, ids=lambda text: text[:40])
def test_a_broken_settings_file_ends_in_2_and_one_line(bot_folder, capsys, text, words):
    file = bot_folder / "broken.toml"
    file.write_text(text)
    line = refused(file, capsys)
    assert line.startswith("wrappy: ")
    assert "broken.toml" in line
    assert words in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("network: {name: venue, name: testnet}", "name: stands there twice"),
        ("network:\n  name: on", "network.name: True is not text"),
        ("network: [", "is no YAML"),
        ("- a", "holds no sections"),
        ("network: !!python/object/apply:os.getcwd []", "is no YAML"),
        ("strategies:\n  mean_reversion:\n    enabled: true", "strategies: a table"),
        ("a: &a [1]\nb: [" + "*a, " * 200 + "]", "references"),
    ],
    ids=lambda text: text[:30],
)
def test_a_broken_file_in_yaml_ends_in_2_and_one_line(bot_folder, capsys, text, words):
    file = bot_folder / "broken.yaml"
    file.write_text(text)
    assert words in refused(file, capsys)


BAD_FILES = [
    (link_out_of_its_folder, "symbolic link"),
    (huge, "bytes"),
    (no_text, "cannot be read"),
    (a_folder, "cannot be read"),
    (a_pipe, "cannot be read"),
]


@pytest.mark.parametrize(("made", "words"), BAD_FILES, ids=word)
def test_a_settings_file_that_is_not_fit_is_named(bot_folder, capsys, made, words):
    folder = bot_folder / "folder"
    folder.mkdir()
    file = folder / "config.toml"
    made(file, STRATEGY)
    assert words in refused(file, capsys)


def test_a_key_file_that_others_can_read_is_refused(bot_folder, capsys):
    keys = bot_folder / "keys.json"
    keys.write_text(
        json.dumps(
            {"account_index": 65, "api_key_index": 5, "api_key_private_key": KEY}
        )
    )
    keys.chmod(0o644)
    file = bot_folder / "config.toml"
    file.write_text(f'[network]\nname = "testnet"\nkey_file = "keys.json"\n{STRATEGY}')
    assert "chmod 600" in refused(file, capsys)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LIGHTER_ACCOUNT_INDEX", "x"),
        ("LIGHTER_ACCOUNT_INDEX", "0"),
        ("LIGHTER_API_KEY_INDEX", "300"),
        ("LIGHTER_BASE_URL", "ftp://127.0.0.1"),
    ],
)
def test_a_wrong_variable_is_named(bot_folder, capsys, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    assert f"{variable}: " in refused(bot_folder / "bot.toml", capsys)


def test_testnets_settings_do_not_go_to_another_address(
    bot_folder, capsys, address, monkeypatch
):
    monkeypatch.setenv("LIGHTER_BASE_URL", address)
    file = bot_folder / "config.toml"
    file.write_text(f'[network]\nname = "testnet"\n{STRATEGY}')
    assert "network.url: " in refused(file, capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--duration", "0"),
        ("run", "--duration", "x"),
        ("run", "--network", "moon"),
        ("run", "--no-such-option"),
        ("run", "--strategy", "nobody"),
        ("run", "/no/such/file.toml"),
        ("run", "settings.json"),
        ("run", "--network", "mainnet"),
        ("run", "--network", "mainnet", "--live"),
        ("stop", "--patience", "0"),
        ("status", "--bot", "../x"),
        ("backtest",),
        ("no-such-command",),
    ],
    ids=" ".join,
)
def test_a_wrong_argument_of_wrappy_ends_in_2_and_one_line(arguments, capsys):
    code = wrappy_command(list(arguments))
    told = capsys.readouterr()
    assert code == 2
    (line,) = told.err.splitlines()
    assert line.startswith("wrappy: ")
    assert len(line) < LONGEST_LINE
