"""The log of a bot: what is taken out, and what its file is like."""

from __future__ import annotations

import json
import logging
import stat

import pytest

from wrappy import ConfigError
from wrappy.runner.cli.log_output import JsonLines, LogOutput, Redactor, TextLines
from wrappy.runner.settings import LogSection

KEY = "0x" + "ab12" * 20
TOKEN = "1700000000:65:5:" + "0123456789abcdef" * 10
READ_ONLY = "ro:65:single:1800000000:" + "9f" * 20


def record(message, *args):
    return logging.LogRecord("bot", logging.INFO, "x.py", 1, message, args, None)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"key {KEY}", "key 0x***"),
        (f"key {KEY[2:].upper()}.", "key ***."),
        (f"auth={TOKEN}", "***"),
        (f"token {READ_ONLY}", "***"),
        ("?auth=abcdefghijkl&x=1", "?auth=***&x=1"),
        ('{"api_key_private_key": "abcdefghijkl"}', '"***"'),
        ("redis://me:secret@host:1/0", "redis://***@host:1/0"),
        ("an order of 0.1 at 4000", "an order of 0.1 at 4000"),
        ("tx_hash " + "cd" * 40, "tx_hash " + "cd" * 40),
    ],
)
def test_secrets_are_taken_out_and_the_rest_stays(text, clean):
    told = Redactor([KEY, "", "ab"]).clean(text)
    assert clean in told
    for secret in (KEY[2:], TOKEN, READ_ONLY, "abcdefghijkl", "me:secret"):
        assert secret.lower() not in told.lower()


@pytest.mark.parametrize("kind", [TextLines, JsonLines])
def test_a_traceback_is_cleaned_too(kind):
    with pytest.raises(ValueError, match="0x") as caught:
        int(KEY)
    one = record("%s", "failed")
    one.exc_info = (caught.type, caught.value, caught.tb)
    line = kind(Redactor([KEY])).format(one)
    assert KEY[2:] not in line
    assert "Traceback" in line


def test_a_json_line_is_one_line_whatever_is_said():
    line = JsonLines(Redactor()).format(record("one\ntwo %s", "\u2028"))
    assert "\n" not in line
    assert json.loads(line)["message"] == "one\ntwo \u2028"


def test_a_full_file_is_turned_over_and_stays_private(tmp_path):
    file = tmp_path / "logs" / "bot.log"
    section = LogSection(max_bytes=10_000, backups=2)
    with LogOutput(section, file=file):
        for number in range(1000):
            logging.getLogger("bot").info("line %d of a long night", number)
    found = sorted(path.name for path in file.parent.iterdir())
    assert found == ["bot.log", "bot.log.1", "bot.log.2"]
    for path in file.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.stat().st_size <= 10_000


def test_a_file_behind_a_link_is_refused(tmp_path):
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "bot.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"log\.file"):
        LogOutput(LogSection(), file=tmp_path / "bot.log")
