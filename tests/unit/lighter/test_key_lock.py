"""One sender for each API key: across processes, inside of one, over their deaths."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from wrappy.errors import ConfigError, KeyInUseError
from wrappy.lighter.persistence.key_lock import KeyLock
from wrappy.lighter.persistence.state_files import account_stem, let_go_in_child, origin

ROOT = Path(__file__).resolve().parents[3]
URL = "https://mainnet.zklighter.elliot.ai"
DEADLINE_S = 60
TAKE = """
    import os, signal, subprocess, sys
    from pathlib import Path
    from wrappy.lighter.persistence.key_lock import KeyLock
    lock = KeyLock.acquire(
        Path(sys.argv[1]), base_url=sys.argv[2], account_index=65, api_key_index=5
    )
"""


def take(folder, *, base_url=URL, account_index=65, api_key_index=5):
    return KeyLock.acquire(
        folder,
        base_url=base_url,
        account_index=account_index,
        api_key_index=api_key_index,
    )


def start(folder, code):
    """Start a process that takes the lock, then does `code`."""
    whole = textwrap.dedent(TAKE) + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", whole, str(folder), URL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@pytest.fixture
def holder(tmp_path):
    """Return a process that has the lock until its input ends."""
    process = start(tmp_path, "print('held', flush=True)\nsys.stdin.read()")
    assert process.stdout.readline() == "held\n"
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate(timeout=DEADLINE_S)


def test_a_second_process_is_told_who_has_the_key(tmp_path, holder):
    with pytest.raises(KeyInUseError) as caught:
        take(tmp_path)
    error = caught.value
    assert error.pid == holder.pid
    assert error.path.read_text().split()[0] == str(holder.pid)
    assert error.outcome == "not_sent"
    for words in (f"process {holder.pid}", "account 65", "api_key_index: 5", "close"):
        assert words in str(error)


def test_the_key_is_free_when_its_holder_was_killed(tmp_path, holder):
    holder.kill()
    holder.wait(DEADLINE_S)
    lock = take(tmp_path)
    assert lock.path.read_text().split()[0] == str(os.getpid())
    lock.release()


def test_a_second_sender_of_the_same_process_is_refused_too(tmp_path):
    lock = take(tmp_path)
    with pytest.raises(KeyInUseError, match="this process already") as caught:
        take(tmp_path)
    assert caught.value.pid == os.getpid()
    assert lock.is_held
    lock.release()
    lock.release()
    assert not lock.is_held
    take(tmp_path).release()


def test_other_keys_accounts_and_servers_are_not_in_the_way(tmp_path):
    locks = [
        take(tmp_path),
        take(tmp_path, api_key_index=6),
        take(tmp_path, account_index=6),
        take(tmp_path, account_index=655, api_key_index=5),
        take(tmp_path, base_url="https://testnet.zklighter.elliot.ai"),
        take(tmp_path, base_url="http://127.0.0.1:9000/a"),
        take(tmp_path, base_url="http://127.0.0.1:9000/b"),
    ]
    assert len({lock.path for lock in locks}) == len(locks)
    for lock in locks:
        lock.release()


@pytest.mark.parametrize(
    "spelling", [URL + "/", " " + URL, URL + ":443", "https://me:word@" + URL[8:]]
)
def test_spellings_of_one_server_share_one_lock(tmp_path, spelling):
    lock = take(tmp_path)
    assert "word" not in origin(spelling)
    with pytest.raises(KeyInUseError):
        take(tmp_path, base_url=spelling)
    lock.release()


def test_an_address_that_cannot_be_read_is_refused():
    with pytest.raises(ConfigError, match="base_url"):
        account_stem("http://[half", 1)


def test_a_stale_or_strange_file_is_no_obstacle(tmp_path):
    lock = take(tmp_path)
    lock.release()
    for text in ("1 2020-01-01T00:00:00Z\n", "nonsense", "", "9" * 200):
        lock.path.write_text(text)
        again = take(tmp_path)
        assert again.path.read_text().split()[0] == str(os.getpid())
        again.release()


def test_a_holder_that_has_not_written_its_number_yet_is_unknown(tmp_path, holder):
    with pytest.raises(KeyInUseError) as caught:
        take(tmp_path)
    caught.value.path.write_text("")
    with pytest.raises(KeyInUseError, match="another process") as caught:
        take(tmp_path)
    assert caught.value.pid is None


def test_a_forked_child_does_not_keep_the_lock_alive(tmp_path):
    code = """
        if os.fork():
            signal.pause()
        assert not lock.is_held
        lock.release()
        print(os.getpid(), flush=True)
        sys.stdin.read()
        os._exit(0)
    """
    process = start(tmp_path, code)
    child = int(process.stdout.readline())
    with pytest.raises(KeyInUseError) as caught:
        take(tmp_path)
    assert caught.value.pid == process.pid
    process.kill()
    process.wait(DEADLINE_S)
    os.kill(child, 0)  # it still lives
    take(tmp_path).release()
    process.stdin.close()
    assert process.stdout.read() == ""
    process.stdout.close()


def test_letting_go_in_a_child_leaves_the_file_as_it_is(tmp_path):
    lock = take(tmp_path)
    text = lock.path.read_text()
    let_go_in_child()
    assert not lock.is_held
    lock.release()
    assert lock.path.read_text() == text


def test_a_full_disk_is_told_and_holds_nothing(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(ConfigError, match="cannot be used"):
            take(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    take(tmp_path).release()


def test_a_program_that_was_started_does_not_keep_the_lock_alive(tmp_path):
    code = """
        program = "import sys; print(0, flush=True); sys.stdin.read()"
        subprocess.Popen([sys.executable, "-c", program], close_fds=False)
        sys.stdout.flush()
        os._exit(0)
    """
    process = start(tmp_path, code)
    assert process.stdout.readline() == "0\n"
    process.wait(DEADLINE_S)
    take(tmp_path).release()
    process.communicate(timeout=DEADLINE_S)


def symbolic_link(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    return "symbolic link"


def open_to_all(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").chmod(0o777)
    return "chmod 700"


def not_a_folder(tmp_path):
    (tmp_path / "folder").write_text("")
    return "File exists"


def file_is_a_link(tmp_path):
    folder = tmp_path / "folder"
    lock = take(folder)
    lock.release()
    lock.path.rename(tmp_path / "elsewhere")
    lock.path.symlink_to(tmp_path / "elsewhere")
    return "not a regular file"


def file_is_open_to_others(tmp_path):
    folder = tmp_path / "folder"
    lock = take(folder)
    lock.release()
    lock.path.chmod(0o644)
    return "chmod 600"


@pytest.mark.parametrize(
    "spoil",
    [symbolic_link, open_to_all, not_a_folder, file_is_a_link, file_is_open_to_others],
)
def test_a_folder_or_file_that_others_could_use_is_refused(tmp_path, spoil):
    words = spoil(tmp_path)
    with pytest.raises(ConfigError, match=f"^state_dir: .*{words}.*state_dir=") as e:
        take(tmp_path / "folder")
    assert not isinstance(e.value, KeyInUseError)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_another_user_is_refused(tmp_path):
    lock = take(tmp_path / "a")
    lock.release()
    os.chown(lock.path, 12345, -1)
    with pytest.raises(ConfigError, match="belongs to user 12345"):
        take(tmp_path / "a")
    os.chown(tmp_path / "a", 12345, -1)
    with pytest.raises(ConfigError, match="belongs to user 12345"):
        take(tmp_path / "a")


def test_the_folder_and_the_file_are_for_the_owner_alone(tmp_path):
    lock = take(tmp_path / "deep" / "state")
    assert lock.path.parent.stat().st_mode & 0o777 == 0o700
    assert lock.path.stat().st_mode & 0o777 == 0o600
    assert os.get_inheritable(lock._held._descriptor) is False
    lock.release()
