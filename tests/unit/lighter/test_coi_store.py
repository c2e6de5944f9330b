"""Leases of order numbers on disk: restarts, clocks, processes, damage."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from wrappy._core.coi import COI_EPOCH_S, COI_MAX
from wrappy.errors import ConfigError
from wrappy.lighter.persistence.coi_store import (
    DAMAGE_GAP_TICKS,
    FILE_NAME,
    CoiStore,
    coi_store,
    default_state_dir,
    forget_leases,
)

NOW = COI_EPOCH_S + 80_000_000.5
LEASE_SIZE = 16 * 4096
ROOT = Path(__file__).resolve().parents[3]


def store_in(folder, now=NOW):
    return CoiStore(folder, clock=lambda: now)


def tick_of(coi):
    return coi >> 18


def run_python(code, *arguments):
    """Start a process of our own interpreter; it sees this checkout."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_numbers_grow_across_leases_and_fit_the_wire(tmp_path):
    store = store_in(tmp_path / "deep" / "state")
    numbers = [store.next() for _ in range(LEASE_SIZE + 2)]
    assert all(low < high for low, high in itertools.pairwise(numbers))
    assert numbers[0] >= 1
    assert numbers[-1] <= COI_MAX


@pytest.mark.parametrize("seconds", [0.0, -86_400.0, 1.0, 3600.0])
def test_a_restart_goes_on_behind_the_last_lease_whatever_the_clock(tmp_path, seconds):
    first = [store_in(tmp_path).next() for _ in range(3)]
    again = store_in(tmp_path, NOW + seconds).next()
    assert again > max(first)
    assert tick_of(again) - tick_of(first[-1]) >= 16


def test_the_file_is_for_the_owner_alone(tmp_path):
    store_in(tmp_path / "state").next()
    file = tmp_path / "state" / FILE_NAME
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o077 == 0
    tag, tick = file.read_text().split()
    assert 0 <= int(tag) < 64
    assert int(tick) == 80_000_000 + 15


def test_two_stores_of_one_folder_never_share_a_number(tmp_path):
    stores = [store_in(tmp_path), store_in(tmp_path)]
    numbers = [store.next() for store in stores * 100]
    assert len(set(numbers)) == len(numbers)


def test_processes_that_start_at_once_never_share_a_number(tmp_path):
    code = """
        import sys
        from pathlib import Path
        from wrappy.lighter.persistence.coi_store import CoiStore
        store = CoiStore(Path(sys.argv[1]), clock=lambda: float(sys.argv[2]))
        for _ in range(3000):
            number = store.next()
            if number % 4096 < 3:
                print(number)
    """
    processes = [run_python(code, str(tmp_path), str(NOW)) for _ in range(4)]
    spoken = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert all(spoken)
    together = [number for numbers in spoken for number in numbers]
    assert len(set(together)) == len(together)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_has_numbers_of_its_own(tmp_path):
    code = """
        import os, sys
        from pathlib import Path
        from wrappy.lighter.persistence.coi_store import CoiStore, coi_store
        own = CoiStore(Path(sys.argv[1]), clock=lambda: float(sys.argv[2]))
        shared = coi_store(sys.argv[1])
        own.next(), shared.next()
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        print(own.next(), shared.next(), coi_store(sys.argv[1]).next(), flush=True)
    """
    spoken, _ = run_python(code, str(tmp_path), str(NOW)).communicate(timeout=60)
    numbers = spoken.split()
    assert len(numbers) == 6
    assert len(set(numbers)) == 6


def test_forgetting_a_lease_takes_a_new_one(tmp_path):
    store, shared = store_in(tmp_path), coi_store(str(tmp_path / "shared"))
    first = store.next()
    forget_leases()
    assert tick_of(store.next()) - tick_of(first) >= 16
    assert coi_store(str(tmp_path / "shared")) is not shared


@pytest.mark.parametrize(
    "content",
    [
        b"nonsense\n",
        b"1\n",
        b"1 2 3\n",
        b"x y\n",
        b"\xff\xfe \x00",
        b"64 5\n",
        b"-1 5\n",
        b"1 -5\n",
        b"1 99999999999\n",
        b"9" * 100,
    ],
)
def test_a_damaged_file_is_kept_clear_of(tmp_path, content):
    (tmp_path / FILE_NAME).write_bytes(content)
    number = store_in(tmp_path).next()
    assert tick_of(number) > 80_000_000 + DAMAGE_GAP_TICKS
    assert store_in(tmp_path).next() > number


def test_a_longer_old_line_leaves_nothing_behind(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"00000000000007 0000000000000081000000\n")
    store_in(tmp_path).next()
    assert (tmp_path / FILE_NAME).read_text() == "7 81000016\n"


def blocked_folder(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    return file


def linked_folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    return folder


def occupied_folder(tmp_path):
    folder = tmp_path / "folder"
    (folder / FILE_NAME).mkdir(parents=True)
    return folder


@pytest.mark.parametrize("make", [blocked_folder, linked_folder, occupied_folder])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, make):
    folder = make(tmp_path)
    with pytest.raises(ConfigError, match=f"^state_dir: {folder} cannot be written"):
        store_in(folder).next()


def test_a_clock_before_2024_is_refused_and_nothing_is_stored(tmp_path):
    with pytest.raises(ConfigError, match="system clock"):
        store_in(tmp_path, now=5.0).next()
    assert (tmp_path / FILE_NAME).read_bytes() == b""


def test_one_folder_has_one_store_in_the_process(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_state_dir() == tmp_path / "wrappy"
    assert coi_store(None) is coi_store(str(tmp_path / "wrappy"))
    assert coi_store("~/bots") is coi_store(str(tmp_path / "home" / "bots"))
    monkeypatch.delenv("XDG_STATE_HOME")
    assert default_state_dir() == tmp_path / "home" / ".local" / "state" / "wrappy"
