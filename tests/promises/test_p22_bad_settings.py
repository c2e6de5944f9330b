"""P22: settings that cannot work end in one line that names them, and in no request.

The address in the settings is a socket that counts who connects.
"""

from __future__ import annotations

import json
import os
import socket

import pytest

from wrappy import ConfigError, DealerConfig, LighterDealer
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
