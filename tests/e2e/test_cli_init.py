"""`wrappy init` at a terminal: what it asks, what it writes, what it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import stat
import sys
import time

import pytest

from tests.cli import environment
from wrappy.runner.settings import load_strategies, read_settings
from wrappy.runner.settings.loading import example_names
from wrappy.signing import derive_key_pair

KEY = derive_key_pair(b"init").private_key
MAY_TAKE_S = 30.0


class Terminal:
    """A program at a pseudo terminal, and a person who answers it."""

    def __init__(self, folder, *arguments):
        self.shown = ""
        self._read = 0
        self.pid, self._end = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            program = [sys.executable, "-m", "wrappy.runner.cli.app", *arguments]
            os.execve(sys.executable, program, environment())  # noqa: S606

    def answer(self, prompt, text):
        """Wait for a prompt that was not answered yet, and type."""
        deadline = time.monotonic() + MAY_TAKE_S
        while prompt not in self.shown[self._read :]:
            assert time.monotonic() < deadline, self.shown
            assert self._more(), self.shown
        self._read = len(self.shown)
        os.write(self._end, text.encode())

    def _more(self):
        if not select.select([self._end], [], [], 0.5)[0]:
            return True
        with contextlib.suppress(OSError):
            raw = os.read(self._end, 4096)
            self.shown += raw.decode()
            return bool(raw)
        return False

    def end(self):
        """Return the exit code."""
        while self._more():
            pass
        os.close(self._end)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


# Starting a second interpreter by fork is what a terminal is for.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def interview(terminal, network, *, risk="yes"):
    terminal.answer("Choose (1-4)", f"{network}\n")
    if network > 2:
        terminal.answer("Account index: ", "0\n")
        terminal.answer("Account index: ", "65\n")
        terminal.answer("(4 to 254): ", "2\n")
        terminal.answer("(4 to 254): ", "5\n")
        terminal.answer("(not shown): ", "no key\n")
        terminal.answer("(not shown): ", f"{KEY}\n")
    terminal.answer("Strategy", "1\n")
    terminal.answer("Market", "btc\n")
    terminal.answer("Do you accept", f"{risk}\n")


def test_testnet_writes_settings_without_a_secret_and_a_private_key_file(tmp_path):
    terminal = Terminal(tmp_path, "init")
    interview(terminal, 3)
    assert terminal.end() == 0, terminal.shown
    assert KEY not in terminal.shown
    config, keys = tmp_path / "wrappy.toml", tmp_path / "wrappy.key.json"
    assert {path.name for path in tmp_path.iterdir()} == {config.name, keys.name}
    for path in (config, keys):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KEY not in config.read_text()
    assert json.loads(keys.read_text()) == {
        "account_index": 65,
        "api_key_index": 5,
        "api_key_private_key": KEY,
    }
    settings = read_settings(config)
    assert settings.network.name == "testnet"
    assert settings.strategies[0].symbols == ("BTC",)
    assert len(load_strategies(settings)) == 1
    assert "lose money" in terminal.shown
    assert "Start: wrappy run wrappy.toml" in terminal.shown


def test_a_local_exchange_needs_no_key(tmp_path):
    terminal = Terminal(tmp_path, "init", "mine.toml")
    interview(terminal, 1)
    assert terminal.end() == 0, terminal.shown
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]
    assert read_settings(tmp_path / "mine.toml").network.name == "venue"


def test_a_strategy_of_ones_own_is_written_as_it_was_named(tmp_path):
    terminal = Terminal(tmp_path, "init")
    terminal.answer("Choose (1-4)", "1\n")
    own = len(example_names()) + 1
    terminal.answer("a strategy of your own", f"{own}\n")
    terminal.answer("Its place", "nonsense\n")
    terminal.answer("Its place", "mine.py:Mine\n")
    terminal.answer("Market", "\n")
    terminal.answer("Do you accept", "yes\n")
    assert terminal.end() == 0, terminal.shown
    (row,) = read_settings(tmp_path / "wrappy.toml").strategies
    assert (row.use, row.symbols) == ("mine.py:Mine", ("ETH",))


@pytest.mark.parametrize("risk", ["no", "y", "", "\x04", "\x03"])
def test_without_a_yes_nothing_is_written(tmp_path, risk):
    terminal = Terminal(tmp_path, "init")
    interview(terminal, 3, risk=risk)
    assert terminal.end() in (1, 130)
    assert "Nothing was written" in terminal.shown
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["wrappy.toml", "wrappy.key.json"])
def test_what_is_there_is_not_overwritten(tmp_path, name):
    (tmp_path / name).write_text("mine")
    terminal = Terminal(tmp_path, "init")
    assert terminal.end() == 2
    assert f"{name}: is there already" in terminal.shown
    assert (tmp_path / name).read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1
