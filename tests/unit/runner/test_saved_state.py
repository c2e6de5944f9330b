"""What strategies keep over a restart: whole or not at all, and for nobody else."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wrappy.errors import ConfigError
from wrappy.runner.engine.saved_state import MOST_BYTES, SavedStates


@pytest.fixture
def states(tmp_path):
    return SavedStates(tmp_path / "states")


def test_what_was_saved_is_read_and_what_was_not_is_empty(states, tmp_path):
    assert states.read("bot") == {}
    states.write("bot", {"stop": Decimal("3000.5"), "count": 2})
    assert states.read("bot") == {"stop": "3000.5", "count": 2}
    folder = tmp_path / "states"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "bot.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["bot.json"]


@pytest.mark.parametrize("raw", [b"", b"[1]", b"{", b" " * (MOST_BYTES + 1) + b"{}"])
def test_a_file_that_holds_something_else_is_named(states, tmp_path, raw):
    states.write("bot", {})
    (tmp_path / "states" / "bot.json").write_bytes(raw)
    with pytest.raises(ConfigError, match="holds no saved state"):
        states.read("bot")


def test_a_link_is_not_followed(states, tmp_path):
    states.write("bot", {})
    link = tmp_path / "states" / "other.json"
    link.symlink_to(tmp_path / "states" / "bot.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        states.read("other")


@pytest.mark.parametrize("name", ["", "../bot", "a/b", ".hidden", "x" * 65])
def test_a_name_that_is_no_files_is_refused(states, name):
    with pytest.raises(ConfigError, match="name"):
        states.write(name, {})


def test_a_state_that_is_no_json_is_refused_and_the_old_one_stays(states):
    states.write("bot", {"count": 1})
    loop = {}
    loop["self"] = loop
    with pytest.raises(ConfigError, match=r"bot\.save"):
        states.write("bot", loop)
    assert states.read("bot") == {"count": 1}


def test_a_folder_that_cannot_be_written_is_told_and_stops_nobody(tmp_path, caplog):
    (tmp_path / "states").write_text("a file is in the way")
    SavedStates(tmp_path / "states").write("bot", {"count": 1})
    assert "could not be saved" in caplog.text


def test_a_state_that_could_not_be_read_again_is_not_written(tmp_path):
    states = SavedStates(tmp_path)
    with pytest.raises(ConfigError, match="more than"):
        states.write("mine", {"text": "x" * 1_000_001})
    assert states.read("mine") == {}
