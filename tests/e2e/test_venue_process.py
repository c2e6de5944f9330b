"""The local exchange as a process: what it prints, how it ends."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import aiohttp
import pytest

from wrappy.venue import Venue
from wrappy.venue.__main__ import build, described, main, not_listening, parser

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEADLINE_S = 20.0
QUIET = ("--flow", "none")


def start(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "wrappy.venue", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )


def stop(process, number=signal.SIGTERM):
    """End the process and return (exit code, seconds, rest of stdout, stderr)."""
    began = time.monotonic()
    process.send_signal(number)
    rest, errors = process.communicate(timeout=DEADLINE_S)
    return process.returncode, time.monotonic() - began, rest, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_line_tells_everything_and_a_signal_ends_it(number):
    process = start("--json", "--seed", "5", "--symbols", "btc,ETH", "--accounts", "3")
    told = json.loads(process.stdout.readline())
    code, took_s, rest, errors = stop(process, number)
    assert (code, rest) == (0, "")
    assert took_s < 2.0
    assert "Traceback" not in errors
    assert told["base_url"].startswith("http://127.0.0.1:")
    assert told["ws_url"] == told["base_url"].replace("http", "ws") + "/stream"
    assert told["chain_id"] == 304
    assert [market["symbol"] for market in told["markets"]] == ["BTC", "ETH"]
    assert len(told["accounts"]) == 3
    key = told["accounts"][0]["api_keys"][0]
    assert len(key["api_key_private_key"]) == len(key["public_key"]) == 80


def test_a_signal_that_is_passed_on_more_than_once_ends_it_as_one_does():
    process = start("--json")
    process.stdout.readline()
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, "Traceback" in errors) == (0, False)


async def test_equal_seeds_give_equal_keys_and_others_do_not():
    told = []
    for seed in ("1", "1", "2"):
        async with build(parser().parse_args(["--seed", seed, *QUIET])) as venue:
            told.append(described(venue)["accounts"])
    assert told[0] == told[1]
    assert told[0] != told[2]


async def test_it_ends_within_two_seconds_with_clients_connected():
    process = start("--json", "--symbols", "ETH")
    told = json.loads(process.stdout.readline())
    async with aiohttp.ClientSession() as session:
        idle = await session.ws_connect(told["ws_url"])
        reading = await session.ws_connect(told["ws_url"])
        await reading.send_json({"type": "subscribe", "channel": "order_book/0"})
        assert json.loads((await reading.receive(DEADLINE_S)).data)["type"]
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        while (await reading.receive(DEADLINE_S)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert reading.close_code == 1001
        _, errors = process.communicate(timeout=DEADLINE_S)
        assert time.monotonic() - began < 2.0
        assert process.returncode == 0
        assert "Traceback" not in errors
        await idle.close()


def test_without_json_a_person_can_read_it():
    process = start("--flow", "none")
    lines = [process.stdout.readline() for _ in range(6)]
    code, _, _, _ = stop(process)
    assert code == 0
    assert "http://127.0.0.1:" in lines[0]
    assert lines[2].startswith("to look at: http://127.0.0.1:")
    assert "api key 4" in lines[5]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--tier", "gold"], "--tier"),
        (["--accounts", "1"], "--accounts: 1 is below 2"),
        (["--accounts", "many"], "--accounts"),
        (["--symbols", "NOSUCH"], "NOSUCH"),
        (["--symbols", ","], "symbols"),
        (["--port", "70000"], "--port"),
        (["--tape", "/nowhere/at/all.gz"], "all.gz cannot be read: No such file"),
        (["--host", "192.0.2.1"], "--host: 192.0.2.1 is not an address of this"),
        (["--host", "no.such.invalid"], "--host: no.such.invalid cannot be"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_two(capsys, arguments, word):
    try:
        code = main(["--json", *arguments])
    except SystemExit as end:  # the parser's own way out
        code = end.code
    told = capsys.readouterr()
    assert code == 2
    assert told.out == ""
    assert word in told.err
    assert len(told.err.strip().splitlines()) == 1


def test_a_port_that_is_taken_is_one_line_and_exit_code_two():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = start(*QUIET, "--port", port)
        output, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, output) == (2, "")
    assert f"--port: {port} is taken on 127.0.0.1" in errors
    assert len(errors.strip().splitlines()) == 1


def test_a_port_for_the_privileged_is_told_apart_from_one_that_is_taken():
    refused = OSError(errno.EACCES, "Permission denied")
    told = not_listening("127.0.0.1", 80, refused)
    assert told == "--port: 80 needs privileges; give one above 1023"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(capsys, monkeypatch, tmp_path, number):
    rules = tmp_path / "storm.toml"
    rules.write_text('[[fault]]\nact = "drop"\npath = "/api/v1/tx"\n')
    log = tmp_path / "run.jsonl"
    served = []

    class Noticed(Venue):
        async def __aenter__(self):
            served.append(self)
            loop = asyncio.get_running_loop()
            # By now a signal is heard, and does not end the tests instead.
            assert signal.getsignal(number) is not signal.SIG_DFL
            loop.call_later(0.05, signal.raise_signal, number)
            return await super().__aenter__()

    monkeypatch.setattr("wrappy.venue.__main__.Venue", Noticed)
    line = [*QUIET, "--faults", str(rules), "--save-log", str(log), "--symbols", "btc"]
    assert main(line) == 0
    assert "markets: BTC=1" in capsys.readouterr().out
    [venue] = served
    assert [count.rule.act for count in venue.faults.counts()] == ["drop"]
    assert main(["replay", str(log)]) == 0


def test_what_the_command_line_says_is_printed_as_a_settings_file(capsys):
    assert main(["--print-settings", "--seed", "9", "--tier", "standard"]) == 0
    told = capsys.readouterr().out
    assert "\nseed = 9\n" in told
    assert '\ntier = "standard"\n' in told
