"""The command line at its edges: no terminal, no library, nobody there, twice."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import sys
from importlib import metadata

import pytest

from tests.cli import write_bot
from wrappy.errors import ConfigError, UsageError
from wrappy.runner.cli import run as run_command
from wrappy.runner.cli import stop as stop_command
from wrappy.runner.cli.app import main
from wrappy.runner.cli.bot_files import BotFiles
from wrappy.runner.cli.choosing import chosen
from wrappy.runner.cli.log_output import JsonLines, LogOutput, Redactor
from wrappy.runner.cli.place import secrets_of, world_settings
from wrappy.runner.cli.run import tell
from wrappy.runner.cli.stop_signals import StopSignals
from wrappy.runner.command import ECHO_S
from wrappy.runner.settings import LogSection, read_settings
from wrappy.runner.settings.loading import example_names, strategy_class
from wrappy.signing import derive_key_pair


class Terminal(io.StringIO):
    """Text that says it is a terminal."""

    def isatty(self):
        return True


def test_without_the_extra_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cyclopts", None)
    assert main(["run"]) == 2
    assert "wrappy-lighter[bot]" in capsys.readouterr().err


def test_a_program_that_is_not_installed_has_no_version(monkeypatch, capsys):
    def nothing(_name):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "version", nothing)
    assert main(["--version"]) == 0
    assert "not installed" in capsys.readouterr().out


def test_a_reader_that_has_gone_is_no_traceback(tmp_path, monkeypatch):
    class Gone(io.StringIO):
        def write(self, _text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    monkeypatch.chdir(tmp_path)
    assert main(["markets"]) == 1


def test_a_bot_goes_on_when_its_reader_has_gone(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        tell("nobody hears this")
        tell("nor this")


def test_the_last_line_is_shown_once_on_a_terminal(monkeypatch, tmp_path):
    told = logging.LogRecord("wrappy.bot", 20, "x", 1, "it ended", (), None)
    told.told = True
    for terminal, count in ((Terminal, 0), (io.StringIO, 1)):
        errors = terminal()
        monkeypatch.setattr(sys, "stdout", terminal())
        monkeypatch.setattr(sys, "stderr", errors)
        file = tmp_path / f"{terminal.__name__}.log"
        with LogOutput(LogSection(), file=file):
            logging.getLogger("wrappy.bot").handle(told)
            logging.getLogger("wrappy.bot").warning("something else")
        assert errors.getvalue().count("it ended") == count
        assert errors.getvalue().count("something else") == 1
        assert file.read_text().count("it ended") == 1


def test_a_traceback_in_json_has_no_secret():
    key = "ab12" * 20
    error = ValueError(f"private_key={key}")
    told = (ValueError, error, None)
    record = logging.LogRecord("bot", 40, "x", 1, "it broke", (), told)
    row = json.loads(JsonLines(Redactor([key])).format(record))
    assert "ValueError" in row["error"]
    assert key not in row["error"]


def test_the_second_signal_ends_at_once(monkeypatch):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    now = [100.0]
    signals = StopSignals(lambda: now[0])
    with signals:
        signal.raise_signal(signal.SIGTERM)
        assert (signals.received, ended) == ("SIGTERM", [])
        # `timeout` signals its child, and then the group that the child is in.
        now[0] += ECHO_S - 0.01
        signal.raise_signal(signal.SIGTERM)
        assert ended == [], "an echo"
        now[0] += 0.01
        signal.raise_signal(signal.SIGHUP)
        assert ended == []
        signal.raise_signal(signal.SIGINT)
    assert ended == [130]


def test_a_hangup_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("typed", "live"), [("trade account 65 on mainnet\n", True), ("yes\n", False)]
)
def test_mainnet_is_confirmed_by_typing_it(monkeypatch, tmp_path, typed, live):
    """The question is put to a terminal only, and only the phrase is a yes."""
    asked = []

    class Listening:
        def __init__(self, _settings, _strategies, options, **_more):
            self.options = options

        async def run(self, _signals):
            asked.append(self.options.confirm("trade account 65 on mainnet"))
            return 0

    monkeypatch.setattr(run_command, "Bot", Listening)
    file = write_bot(tmp_path, extra='[log]\nfile = "bot.log"')
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert main(["run", str(file), "--live"]) == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert main(["run", str(file), "--live"]) == 0
    assert main(["run", str(file), "--confirm", typed.strip()]) == 0
    assert asked == [live, False, live]
    assert (tmp_path / "bot.log").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--network", "paper", "--duration", "0"), "--duration: 0"),
        (("run", "--log-level", "ERROR", "--duration", "-1"), "--duration: -1"),
        (("run", "--set", "lookback=x"), "--set lookback: 'x' is not a whole number"),
        (("run", "--set", "5"), "--set: '5' is no NAME=VALUE"),
        (("stop", "--patience", "0"), "--patience: 0"),
        (("stop", "--flatten", "--bot", "nobody"), "strategies: the settings name no"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_told_before_anything_is_opened(
    tmp_path, monkeypatch, capsys, arguments, words
):
    monkeypatch.setenv("LIGHTER_STATE_DIR", str(tmp_path / "state"))
    assert main(list(arguments)) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_parameters_of_the_command_line_beat_those_of_the_file(tmp_path):
    file = write_bot(tmp_path)
    file.write_text(
        file.read_text().replace(
            "[engine]", "parameters = { lookback = 7, size = 0.5 }\n[engine]"
        )
    )
    settings = read_settings(file)
    ((_, strategy),) = chosen(settings, None, None, {"lookback": 9})
    assert (strategy.parameters.lookback, str(strategy.parameters.size)) == (9, "0.5")
    with pytest.raises(ConfigError, match=r"^bot\.toml: strategies\[0\]\.parameters"):
        chosen(read_settings(_spoiled(file)), None, None, {"lookback": 9})


def _spoiled(file):
    file.write_text(file.read_text().replace("size = 0.5", "size = true"))
    return file


def test_a_file_without_a_strategy_is_told(tmp_path):
    file = write_bot(tmp_path)
    file.write_text(file.read_text().replace("[engine]", "enabled = false\n[engine]"))
    with pytest.raises(ConfigError, match="none that is enabled"):
        chosen(read_settings(file), None, None)
    ((name, _),) = chosen(read_settings(file), "mine.py:Resting", "BTC")
    assert name == "resting"


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("no_such_module:Thing", "there is no module 'no_such_module'"),
        ("mine.py:Nothing", "has no strategy called 'Nothing'"),
        ("mine.py", "name the class"),
        ("broken.py", "cannot be loaded: SyntaxError"),
        ("broken_module:Thing", "cannot be loaded"),
    ],
)
def test_a_strategy_that_cannot_be_loaded_is_told(tmp_path, monkeypatch, use, words):
    write_bot(tmp_path)
    (tmp_path / "broken.py").write_text("def (\n")
    (tmp_path / "broken_module.py").write_text("import nothing_of_this_name_at_all\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=words):
        strategy_class(use, folder=tmp_path)


def test_a_strategy_that_exits_is_not_swallowed(tmp_path):
    (tmp_path / "leaving.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(SystemExit):
        strategy_class("leaving.py", folder=tmp_path)


def test_one_name_is_one_bot(tmp_path):
    files = BotFiles(tmp_path / "state" / "bots", "bot")
    (tmp_path / "state").mkdir(mode=0o700)
    with files.hold(), pytest.raises(UsageError, match="runs already"), files.hold():
        pass
    (tmp_path / "state" / "bots" / "bot.lock").unlink()
    (tmp_path / "state" / "bots" / "bot.lock").mkdir()
    with pytest.raises(ConfigError, match=r"engine\.state_dir"), files.hold():
        pass


def test_a_socket_that_cannot_be_made_is_closed(tmp_path):
    files = BotFiles(tmp_path / "missing", "bot")
    with pytest.raises(OSError, match="No such file"):
        files.listening_socket()


def test_a_key_of_the_environment_needs_its_index(monkeypatch):
    key = derive_key_pair(b"environment").private_key
    monkeypatch.setenv("LIGHTER_API_KEY", key)
    monkeypatch.setenv("LIGHTER_BASE_URL", "http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="LIGHTER_API_KEY_INDEX"):
        world_settings(read_settings(None), ("ETH",))
    monkeypatch.setenv("LIGHTER_API_KEY_INDEX", "5")
    made = world_settings(read_settings(None), ("ETH",))
    assert [key.api_key_index for key in made.dealer.api_keys] == [5]


def test_a_key_of_the_environment_needs_no_file(tmp_path, monkeypatch):
    file = tmp_path / "bot.toml"
    file.write_text('[network]\nname = "testnet"\nkey_file = "no.json"\n')
    with pytest.raises(ConfigError, match=r"no\.json: cannot be opened"):
        secrets_of(read_settings(file))
    key = derive_key_pair(b"environment").private_key
    monkeypatch.setenv("LIGHTER_API_KEY", key)
    assert secrets_of(read_settings(file)) == {key}


@pytest.mark.parametrize("kind", [ProcessLookupError, PermissionError])
def test_a_process_that_cannot_be_reached_is_told(tmp_path, monkeypatch, capsys, kind):
    """It holds the lock and does not answer; the system does not let us end it."""
    file = write_bot(tmp_path)
    files = BotFiles.of(read_settings(file))
    files.folder.parent.mkdir(mode=0o700)

    def refused(_handle, _number):
        raise kind

    monkeypatch.setattr(stop_command, "DIES_WITHIN_S", 0.1)
    monkeypatch.setattr(signal, "pidfd_send_signal", refused)
    with files.hold():
        assert main(["stop", str(file), "--patience", "0.1"]) == 1
        told = capsys.readouterr()
        assert "cannot be killed; going on beside it" in told.out
    monkeypatch.setattr(os, "pidfd_open", lambda _pid: (_ for _ in ()).throw(OSError))
    with files.hold():
        assert main(["stop", str(file), "--patience", "0.1"]) == 1


def test_an_interview_refuses_a_name_that_no_settings_file_has(tmp_path, capsys):
    assert main(["init", str(tmp_path / "bot.ini")]) == 2
    assert "has to end in .toml" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_interview_asks_again_until_it_can_use_the_answer(
    tmp_path, monkeypatch, capsys
):
    own = str(len(example_names()) + 1)
    answers = ["1", own, "not a place", "mine.py:Mine", "$", "btc", "yes"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(answers) + "\n"))
    file = tmp_path / "bot.toml"
    assert main(["init", str(file)]) == 0
    told = capsys.readouterr().out
    assert "give path.py:Class or module:Class" in told
    assert "give a market's name" in told
    (section,) = read_settings(file).strategies
    assert (section.use, section.symbols) == ("mine.py:Mine", ("BTC",))


def test_an_interview_that_is_interrupted_writes_nothing(tmp_path, monkeypatch):
    class Leaving(io.StringIO):
        def readline(self, *_size):
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Leaving())
    assert main(["init", str(tmp_path / "bot.toml")]) == 130
    assert list(tmp_path.iterdir()) == []


def test_an_interview_into_no_folder_is_told(tmp_path, monkeypatch, capsys):
    answers = ["1", "1", "", "yes"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(answers) + "\n"))
    assert main(["init", str(tmp_path / "missing" / "bot.toml")]) == 2
    assert "cannot be written" in capsys.readouterr().err
