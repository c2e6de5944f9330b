"""The journal on disk: crashes, torn files, full disks, strangers, many orders."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from wrappy.errors import ConfigError, JournalError, UsageError
from wrappy.lighter.persistence.journal import (
    Journal,
    JournalEntry,
    SendStage,
    known_client_order_indices,
)
from wrappy.protocol.intents import TxType

ROOT = Path(__file__).resolve().parents[3]
URL = "https://mainnet.zklighter.elliot.ai"
DEADLINE_S = 120


def open_journal(folder, *, account_index=65, api_key_index=5, **settings):
    return Journal.open(
        folder,
        base_url=URL,
        account_index=account_index,
        api_key_index=api_key_index,
        **settings,
    )


def journal_in(folder, **settings):
    return contextlib.closing(open_journal(folder, **settings))


def entry(number, **changes):
    """Return the creation of order 1000 + number with nonce `number`."""
    values = {
        "nonce": number,
        "tx_type": TxType.CREATE_ORDER,
        "tx_hash": f"{number:080x}",
        "tx_info": json.dumps({"Nonce": number, "Sig": "c2ln" * 100}),
        "expired_at_ms": 1_800_000_000_000 + number,
        "market_index": 1,
        "client_order_index": 1000 + number,
        "group_indices": (),
        "batch": number,
        "stage": SendStage.SIGNED,
        "written_ms": 1_799_999_400_000,
        "intent": '{"side": "buy"}',
    }
    return JournalEntry(**{**values, **changes})


def nonces(entries):
    return [one.nonce for one in entries]


def start(folder, code, *arguments):
    """Start a process that has a journal open, then does `code`."""
    head = f"""
        import os, resource, sys
        from pathlib import Path
        from wrappy.errors import JournalError
        from wrappy.lighter.persistence.journal import Journal, JournalEntry, SendStage
        def entry(number):
            return JournalEntry(
                number, 14, f"{{number:080x}}", "x" * 500, 1, 1, 1000 + number, (),
                number, SendStage.SIGNED, 1, "wanted",
            )
        def opened(folder=sys.argv[1]):
            return Journal.open(
                Path(folder), base_url={URL!r}, account_index=65, api_key_index=5
            )
    """
    whole = textwrap.dedent(head) + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", whole, str(folder), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def spoken(folder, code, *arguments):
    """Return what such a process says, word by word."""
    process = start(folder, code, *arguments)
    words = process.communicate(timeout=DEADLINE_S)[0].split()
    assert process.returncode == 0
    return words


def crashed(journal, folder):
    """Return a copy of the journal's folder as a crash would leave it now."""
    shutil.copytree(journal.path.parent, folder)
    for file in folder.iterdir():
        file.chmod(0o600)
    return folder / journal.path.name


def contents(folder):
    """Return all that a refused journal must not lose."""
    files = [
        file for file in folder.glob("*.sqlite3*") if file.suffix != ".sqlite3-shm"
    ]
    return {file.name: file.read_bytes() for file in files if file.stat().st_size}


def log_of(path):
    return path.with_name(path.name + "-wal")


# What is written is there.


def test_an_entry_comes_back_as_it_was_written_also_after_a_restart(tmp_path):
    group = entry(
        2,
        tx_type=TxType.CREATE_GROUPED_ORDERS,
        client_order_index=None,
        group_indices=(7, 8, 2**48 - 1),
    )
    leave = entry(
        3, tx_type=TxType.UPDATE_LEVERAGE, market_index=None, client_order_index=None
    )
    everything = [entry(1), group, leave]
    with journal_in(tmp_path / "deep" / "state") as journal:
        assert journal.last_nonce() is None
        journal.write(everything[:2])
        journal.write(everything[2:])
        assert journal.unresolved() == everything
    with journal_in(tmp_path / "deep" / "state") as journal:
        assert journal.unresolved() == everything
        assert len(journal) == 3
        assert [journal.entry(one.tx_hash) for one in everything] == everything
        assert journal.entry("elsewhere") is None
        assert journal.by_client_order_index(8) == [group]
        assert journal.by_client_order_index(9) == []
        assert journal.knows(1001)
        assert journal.knows(2**48 - 1)
        assert not journal.knows(1002)
        assert journal.last_nonce() == 3


def test_a_cancellation_touches_an_order_and_does_not_make_it_known(tmp_path):
    cancel = entry(1, tx_type=TxType.CANCEL_ORDER, client_order_index=77)
    with journal_in(tmp_path) as journal:
        journal.write([cancel])
        assert not journal.knows(77)
        assert journal.by_client_order_index(77) == [cancel]
        journal.mark([cancel.tx_hash], SendStage.ACCEPTED)
        assert journal.open_orders() == []


def test_marks_are_seen_at_once_and_stored_in_the_end(tmp_path):
    batch = [entry(number) for number in range(6)]
    with journal_in(tmp_path) as journal:
        journal.write(batch)
        for one, stage in zip(batch, SendStage, strict=True):
            journal.mark([one.tx_hash], stage)
            journal.mark([one.tx_hash, "unknown"], SendStage.SIGNED)
        assert nonces(journal.unresolved()) == [0]
        assert [(o.nonce, o.stage) for o in journal.open_orders()] == [(1, 2), (4, 5)]
        assert journal.last_nonce() == 5
    with journal_in(tmp_path) as journal:
        assert [journal.entry(one.tx_hash).stage for one in batch] == list(SendStage)


@pytest.mark.parametrize("store", ["tidy", "write"])
def test_a_stored_mark_survives_a_crash(tmp_path, store):
    with journal_in(tmp_path / "a") as journal:
        journal.write([entry(1)])
        journal.mark([entry(1).tx_hash], SendStage.EXECUTED)
        if store == "tidy":
            journal.tidy()
        else:
            journal.write([])
        crashed(journal, tmp_path / "b")
    with journal_in(tmp_path / "b") as journal:
        assert journal.open_orders() == [entry(1, stage=SendStage.EXECUTED)]


def test_a_lost_mark_only_makes_the_row_unresolved_again(tmp_path):
    with journal_in(tmp_path / "a") as journal:
        journal.write([entry(1)])
        journal.mark([entry(1).tx_hash], SendStage.EXECUTED)
        crashed(journal, tmp_path / "b")
    with journal_in(tmp_path / "b") as journal:
        assert nonces(journal.unresolved()) == [1]


def test_bytes_that_may_leave_once_more_start_over(tmp_path):
    with journal_in(tmp_path) as journal:
        journal.write([entry(1), entry(2)])
        journal.mark([entry(1).tx_hash], SendStage.REFUSED)
        journal.write([entry(1, batch=9)])
        assert journal.unresolved() == [entry(1, batch=9), entry(2)]
    with journal_in(tmp_path) as journal:
        assert journal.unresolved() == [entry(1, batch=9), entry(2)]


def test_one_hash_twice_in_a_write_is_refused_whole(tmp_path):
    with journal_in(tmp_path) as journal:
        with pytest.raises(UsageError, match="tx_hash"):
            journal.write([entry(1), entry(2), entry(1)])
        assert len(journal) == 0


def test_a_write_is_all_or_nothing(tmp_path):
    with journal_in(tmp_path) as journal:
        with pytest.raises(JournalError):
            journal.write([entry(1), entry(2, tx_info=object())])
        with pytest.raises(OverflowError):
            journal.write([entry(1), entry(2, nonce=2**64)])
        assert len(journal) == 0
        assert not journal.knows(1001)
        journal.write([entry(3)])
        crashed(journal, tmp_path / "b")
    with journal_in(tmp_path / "b") as journal:
        assert nonces(journal.unresolved()) == [3]


def test_power_mode_writes_the_same(tmp_path):
    with journal_in(tmp_path, sync="power") as journal:
        journal.write([entry(1)])
    with journal_in(tmp_path) as journal:
        assert journal.unresolved() == [entry(1)]
    with pytest.raises(ConfigError, match="sync: 'never'"):
        open_journal(tmp_path, sync="never")


def test_a_closed_journal_says_so_and_closes_twice(tmp_path):
    journal = open_journal(tmp_path)
    journal.close()
    journal.close()
    for ask in (journal.unresolved, journal.open_orders, journal.tidy):
        with pytest.raises(UsageError, match="closed"):
            ask()
    with pytest.raises(UsageError, match="closed"):
        journal.write([entry(1)])


def test_threads_may_write_mark_and_ask_at_once(tmp_path):
    def work(first):
        for number in range(first, first + 100):
            journal.write([entry(number)])
            journal.mark([entry(number).tx_hash], SendStage.ACCEPTED)
            assert journal.knows(1000 + number)
            assert journal.entry(entry(number).tx_hash).stage == SendStage.ACCEPTED
            journal.prune(keep=0)

    with journal_in(tmp_path) as journal:
        threads = [threading.Thread(target=work, args=(n * 1000,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(journal.open_orders()) == 400


# Crashes and damage.


def test_after_kill_9_every_acknowledged_entry_is_there(tmp_path):
    code = """
        journal = opened()
        number = int(sys.argv[2])
        while True:
            journal.write([entry(number), entry(number + 1)])
            journal.mark([entry(number - 1).tx_hash], SendStage.ENDED)
            number += 2
            print(number, flush=True)
    """
    acknowledged = 0
    for enough in (1, 7, 40, 300, 900):
        process = start(tmp_path, code, acknowledged)
        for _ in range(enough):
            acknowledged = int(process.stdout.readline())
        process.kill()
        acknowledged = int((process.stdout.read().split() or [acknowledged])[-1])
        process.communicate(timeout=DEADLINE_S)
        with journal_in(tmp_path) as journal:
            assert all(journal.knows(1000 + n) for n in range(acknowledged))
            assert len(journal) - acknowledged in (0, 2)
            assert len(journal.unresolved()) >= acknowledged // 2
            acknowledged = len(journal)


def test_a_log_cut_anywhere_keeps_every_write_that_is_whole_in_it(tmp_path):
    ends = []
    with journal_in(tmp_path / "a") as journal:
        for number in range(12):
            journal.write([entry(number)])
            journal.mark([entry(number).tx_hash], SendStage.ACCEPTED)
            ends.append(log_of(journal.path).stat().st_size)
        source = crashed(journal, tmp_path / "b")
    chance = random.Random(5)
    lengths = {0, 1, 31, 32, 33, 56, *ends, *(end - 1 for end in ends)}
    lengths |= {chance.randrange(ends[-1]) for _ in range(40)}
    for number, length in enumerate(sorted(lengths)):
        folder = tmp_path / f"cut{number}"
        shutil.copytree(source.parent, folder)
        os.truncate(log_of(folder / source.name), length)
        with journal_in(folder) as journal:
            whole = [n for n, end in enumerate(ends) if end <= length]
            assert [n for n in range(12) if journal.knows(1000 + n)] == whole
            journal.write([entry(99)])
        with journal_in(folder) as journal:
            assert journal.knows(1099)
            assert len(journal) == len(whole) + 1


@pytest.mark.parametrize("state", ["closed", "crashed"])
def test_a_file_cut_anywhere_is_refused_and_kept_unless_all_is_there(tmp_path, state):
    with journal_in(tmp_path / "a") as journal:
        for number in range(60):
            journal.write([entry(number)])
            if number == 30:
                journal.tidy()
        source = crashed(journal, tmp_path / "b")
    if state == "closed":
        source = journal.path
    length = source.stat().st_size
    chance = random.Random(6)
    cuts = {0, 1, 15, 99, 100, 511, 512, 4095, 4096, 4097, length - 4096, length - 1}
    cuts |= {chance.randrange(length) for _ in range(30)}
    refused = 0
    for number, cut in enumerate(sorted(cuts)):
        folder = tmp_path / f"cut{number}"
        shutil.copytree(source.parent, folder)
        path = folder / source.name
        os.truncate(path, cut)
        before = contents(folder)
        with contextlib.ExitStack() as stack:
            try:
                journal = stack.enter_context(journal_in(folder))
            except JournalError as error:
                complaint = error
            else:
                assert nonces(journal.unresolved()) == list(range(60))
                continue
        refused += 1
        assert complaint.path == path
        assert str(path) in str(complaint)
        assert "move this file away" in str(complaint)
        assert contents(folder) == before
        with pytest.raises(JournalError):
            open_journal(folder)
    assert refused > len(cuts) // 2


@pytest.mark.parametrize("seed", range(150))
def test_damage_anywhere_is_an_error_of_ours_or_none(tmp_path, seed):
    chance = random.Random(seed)
    with journal_in(tmp_path / "a") as journal:
        for number in range(20):
            journal.write([entry(number, group_indices=(number, 5))])
        journal.tidy()
        journal.write([entry(20)])
        path = crashed(journal, tmp_path / "b")
    victim = chance.choice([path, path, path, log_of(path)])
    content = bytearray(victim.read_bytes())
    for _ in range(chance.choice([1, 3, 30])):
        at = chance.randrange(len(content))
        content[at : at + 4] = chance.randbytes(min(4, len(content) - at))
    victim.write_bytes(content)
    before = contents(path.parent)
    try:
        journal = open_journal(path.parent)
    except JournalError:
        assert contents(path.parent) == before
        return
    with contextlib.closing(journal), contextlib.suppress(JournalError):
        journal.unresolved()
        journal.open_orders()
        for number in range(21):
            journal.by_client_order_index(1000 + number)
        journal.write([entry(30)])
        journal.mark([entry(30).tx_hash], SendStage.ENDED)
        journal.prune(keep=0)
        journal.tidy()
    with contextlib.suppress(JournalError):
        known_client_order_indices(path.parent, base_url=URL, account_index=65)


def change(path, statement):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("PRAGMA application_id=5", "not a journal"),
        ("PRAGMA user_version=2", "has layout 2, .*reads layout 1"),
        ("UPDATE entries SET stage=9", "damaged"),
        ("UPDATE entries SET nonce='x'", "damaged"),
        ("UPDATE entries SET group_indices='1 x'", "damaged"),
        ("UPDATE entries SET tx_hash=x'00'", "damaged"),
        ("UPDATE owner SET name='somebody'", "belongs to .*somebody"),
        ("DROP TABLE entries", "cannot be read .*no such table"),
    ],
)
def test_a_file_that_is_no_sound_journal_of_the_key_is_refused(
    tmp_path, statement, words
):
    with journal_in(tmp_path) as journal:
        journal.write([entry(1)])
    change(journal.path, statement)
    for _ in range(2):
        with pytest.raises(JournalError, match=words) as caught:
            open_journal(tmp_path)
        assert caught.value.outcome == "not_sent"
        assert caught.value.path == journal.path
    change(journal.path, "SELECT 1")


def test_a_journal_of_another_key_under_this_name_is_refused(tmp_path):
    with journal_in(tmp_path) as one, journal_in(tmp_path, api_key_index=6) as other:
        one.write([entry(1)])
    shutil.copy(one.path, other.path)
    with pytest.raises(JournalError, match=r"belongs to .* account 65 key 5"):
        open_journal(tmp_path, api_key_index=6)


def test_a_log_without_its_file_is_not_taken_for_a_fresh_start(tmp_path):
    with journal_in(tmp_path / "a") as journal:
        journal.write([entry(1)])
        path = crashed(journal, tmp_path / "b")
    path.unlink()
    with pytest.raises(JournalError, match="only its log is left"):
        open_journal(tmp_path / "b")
    assert log_of(path).stat().st_size > 0


def test_an_emptied_file_is_refused_before_its_log_is_lost(tmp_path):
    with journal_in(tmp_path / "a") as journal:
        journal.write([entry(1)])
        path = crashed(journal, tmp_path / "b")
    os.truncate(path, 0)
    size = log_of(path).stat().st_size
    with pytest.raises(JournalError, match="it is empty"):
        open_journal(tmp_path / "b")
    with pytest.raises(JournalError, match="it is empty"):
        known_client_order_indices(tmp_path / "b", base_url=URL, account_index=65)
    assert log_of(path).stat().st_size == size


def test_a_crash_while_the_file_was_made_is_no_obstacle(tmp_path):
    with journal_in(tmp_path) as journal:
        pass
    journal.path.rename(journal.path.with_suffix(".new"))
    with journal_in(tmp_path) as journal:
        journal.write([entry(1)])
    assert not journal.path.with_suffix(".new").exists()


def test_a_row_that_vanishes_while_the_journal_is_open_is_reported(tmp_path):
    with journal_in(tmp_path) as journal:
        journal.write([entry(1)])
        change(journal.path, "DELETE FROM entries")
        with pytest.raises(JournalError, match="row 1 is missing"):
            journal.unresolved()


def test_a_row_that_is_spoilt_is_reported_when_it_is_read(tmp_path):
    with journal_in(tmp_path) as journal:
        journal.write([entry(1)])
        change(journal.path, "UPDATE entries SET tx_info=x'ff'")
        with pytest.raises(JournalError, match="wrong type"):
            journal.unresolved()
        change(journal.path, "UPDATE entries SET tx_info=CAST(x'ff' AS TEXT)")
        with pytest.raises(JournalError, match="UTF-8"):
            journal.unresolved()


# Disks and folders.


def test_a_full_disk_refuses_the_write_and_later_writes_work_again(tmp_path):
    code = """
        journal = opened()
        journal.write([entry(1)])
        journal.mark([entry(1).tx_hash], SendStage.ACCEPTED)
        log = Path(str(journal.path) + "-wal")
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (log.stat().st_size + 30_000, unlimited[1])
        )
        number = 2
        try:
            while number < 1000:
                journal.write([entry(number)])
                number += 1
        except JournalError as error:
            assert str(journal.path) in str(error), error
            assert "make room" in str(error), error
        assert not journal.knows(1000 + number)
        assert journal.entry(entry(number).tx_hash) is None
        try:
            journal.write([entry(n) for n in range(5000, 5100)])
        except JournalError:
            print(number)
        assert journal.knows(1001) and not journal.knows(6000)
        assert len(journal.unresolved()) == number - 2
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        journal.write([entry(2000)])
        assert journal.unresolved()[-1].nonce == 2000
        if sys.argv[2] == "close":
            journal.close()
        os._exit(0)
    """
    for number, end in enumerate(["close", "crash"]):
        (refused,) = map(int, spoken(tmp_path / str(number), code, end))
        assert 2 < refused < 1000
        with journal_in(tmp_path / str(number)) as journal:
            assert nonces(journal.unresolved()) == [*range(2, refused), 2000]
            assert nonces(journal.open_orders()) == [1]


def test_a_disk_that_is_full_at_the_start_or_at_the_end_is_told(tmp_path):
    code = """
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
        try:
            opened()
        except JournalError as error:
            print("told")
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        journal = opened()
        journal.write([entry(1)])
        journal.mark([entry(1).tx_hash], SendStage.ENDED)
        size = Path(str(journal.path) + "-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            journal.tidy()
        except JournalError as error:
            print("told")
        journal.close()
        print(journal.path)
    """
    words = spoken(tmp_path, code)
    assert words[:2] == ["told", "told"]
    with journal_in(tmp_path) as journal:
        assert nonces(journal.unresolved()) == [1]


def test_marks_that_cannot_be_stored_are_logged_and_the_file_is_let_go(
    tmp_path, caplog
):
    journal = open_journal(tmp_path)
    journal.write([entry(1)])
    journal.mark([entry(1).tx_hash], SendStage.ENDED)
    change(journal.path, "ALTER TABLE entries RENAME TO away")
    with pytest.raises(JournalError, match="no such table"):
        journal.tidy()
    journal.close()
    assert "marks are not on disk" in caplog.text
    change(journal.path, "ALTER TABLE away RENAME TO entries")
    with journal_in(tmp_path) as again:
        assert nonces(again.unresolved()) == [1]


def test_a_second_opener_is_refused_and_told_where_it_is_open(tmp_path):
    with journal_in(tmp_path) as journal:
        with pytest.raises(
            JournalError, match=f"open already, in process {os.getpid()}"
        ):
            open_journal(tmp_path)
        journal.write([entry(1)])
        with journal_in(tmp_path, api_key_index=6) as other:
            other.write([entry(1)])
    code = "journal = opened()\nprint('open', flush=True)\nsys.stdin.read()"
    process = start(tmp_path, code)
    assert process.stdout.readline() == "open\n"
    with pytest.raises(JournalError, match=f"in process {process.pid}"):
        open_journal(tmp_path)
    process.kill()
    process.communicate(timeout=DEADLINE_S)
    open_journal(tmp_path).close()


def test_a_forked_child_is_kept_out_and_does_no_harm(tmp_path):
    code = """
        journal = opened()
        journal.write([entry(1)])
        child = os.fork()
        if not child:
            for ask in (
                journal.unresolved,
                journal.last_nonce,
                lambda: journal.write([entry(2)]),
                lambda: journal.mark([], SendStage.ENDED),
            ):
                try:
                    ask()
                except JournalError as error:
                    assert "parent process" in str(error)
                    print("refused", flush=True)
            journal.close()
            del journal
            sys.exit()
        os.waitpid(child, 0)
        journal.write([entry(3)])
        os._exit(0)
    """
    assert spoken(tmp_path, code) == ["refused"] * 4
    with journal_in(tmp_path) as journal:
        assert nonces(journal.unresolved()) == [1, 3]


def test_all_files_are_for_the_owner_alone(tmp_path):
    with journal_in(tmp_path / "state") as journal:
        journal.write([entry(1)])
        known_client_order_indices(tmp_path / "state", base_url=URL, account_index=65)
        files = list((tmp_path / "state").iterdir())
        assert len(files) == 4
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def linked_folder(path):
    path.parent.rename(path.parent.with_name("real"))
    path.parent.symlink_to(path.parent.with_name("real"))
    return "symbolic link"


def linked_file(path):
    path.rename(path.parent.with_name("elsewhere"))
    path.symlink_to(path.parent.with_name("elsewhere"))
    return "not a regular file"


def linked_log(path):
    log_of(path).symlink_to(path.parent.with_name("elsewhere"))
    return "not a regular file"


def readable_file(path):
    path.chmod(0o644)
    return "chmod 600"


def writable_folder(path):
    path.parent.chmod(0o777)
    return "chmod 700"


@pytest.mark.parametrize(
    "spoil", [linked_folder, linked_file, linked_log, readable_file, writable_folder]
)
def test_what_others_could_read_or_replace_is_refused(tmp_path, spoil):
    with journal_in(tmp_path / "state") as journal:
        journal.write([entry(1)])
    words = spoil(journal.path)
    with pytest.raises(JournalError, match=f"{words}.*state_dir="):
        open_journal(tmp_path / "state")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(tmp_path):
    with journal_in(tmp_path) as journal:
        pass
    os.chown(journal.path, 12345, -1)
    with pytest.raises(JournalError, match="belongs to user 12345"):
        open_journal(tmp_path)
    with pytest.raises(JournalError, match="belongs to user 12345"):
        known_client_order_indices(tmp_path, base_url=URL, account_index=65)


@pytest.mark.parametrize("filled", [False, True])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, filled):
    folder = tmp_path / "state"
    with journal_in(folder) as journal:
        journal.write([entry(1)])
    if not filled:
        shutil.rmtree(folder)
        folder.mkdir()
    folder.chmod(0o500)
    for file in folder.iterdir():
        file.chmod(0o400)
    code = """
        if os.geteuid() == 0:  # nothing keeps root from writing
            for path in (sys.argv[1], *map(str, Path(sys.argv[1]).iterdir())):
                os.chown(path, 12345, 12345)
            os.chdir(sys.argv[1])
            os.setgid(12345)
            os.setuid(12345)
            sys.argv[1] = "."
        try:
            opened()
        except JournalError as error:
            print(error)
    """
    words = " ".join(spoken(folder, code))
    folder.chmod(0o700)
    assert "Permission denied" in words
    assert "state_dir=" in words
    assert "journal-" in words


# Many orders.


def test_pruning_keeps_what_is_unfinished_and_the_last_nonce(tmp_path):
    rows = [entry(number) for number in range(100)]
    cancel = entry(100, tx_type=TxType.CANCEL_ORDER, client_order_index=1005)
    with journal_in(tmp_path) as journal:
        journal.write([*rows, cancel])
        journal.mark([cancel.tx_hash], SendStage.ACCEPTED)
        journal.mark([one.tx_hash for one in rows[10:90]], SendStage.ENDED)
        journal.mark([one.tx_hash for one in rows[90:]], SendStage.EXECUTED)
        with pytest.raises(UsageError, match="keep"):
            journal.prune(keep=-1)
        assert journal.prune() == 0
        assert journal.prune(keep=30) == 50
        assert journal.prune(keep=30) == 0
        assert journal.entry(rows[59].tx_hash) is None
        assert journal.entry(rows[60].tx_hash) is not None
        assert not journal.knows(1059)
        assert journal.prune(keep=0) == 30
        assert journal.last_nonce() == 100
    with journal_in(tmp_path) as journal:
        assert nonces(journal.unresolved()) == list(range(10))
        assert nonces(journal.open_orders()) == list(range(90, 100))
        assert journal.last_nonce() == 100
        assert len(journal) == 21


def test_a_file_that_was_large_shrinks_when_it_is_pruned(tmp_path):
    with journal_in(tmp_path) as journal:
        for first in range(0, 20_000, 1000):
            journal.write([entry(first + number) for number in range(1000)])
        journal.mark([f"{number:080x}" for number in range(20_000)], SendStage.ENDED)
        journal.tidy()
        before = journal.path.stat().st_size
        assert journal.prune(keep=100) == 19_899
        journal.tidy()
        assert journal.path.stat().st_size < before / 2
    with journal_in(tmp_path) as journal:
        assert len(journal) == 101


def test_a_hundred_thousand_orders_leave_file_and_memory_small(tmp_path):
    code = """
        journal = opened()
        def memory():
            return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
        early = 0
        for first in range(0, 100_000, 20):
            batch = [entry(first + number) for number in range(20)]
            journal.write(batch)
            hashes = [one.tx_hash for one in batch]
            journal.mark(hashes, SendStage.ACCEPTED)
            if first % 2000 == 0:
                journal.prune(keep=5000)
            journal.mark(hashes, SendStage.ENDED)
            if first == 20_000:
                early = memory()
        log = Path(str(journal.path) + "-wal")
        sizes = journal.path.stat().st_size, log.stat().st_size
        print(memory() - early, *sizes, len(journal))
        journal.close()
    """
    grown, file_size, log_size, rows = map(int, spoken(tmp_path, code))
    assert grown < 8_000_000
    assert file_size < 20_000_000
    assert log_size < 30_000_000
    assert rows < 8000
    with journal_in(tmp_path) as journal:
        assert journal.last_nonce() == 99_999
        assert journal.unresolved() == []


# Looking from outside.


def known(folder):
    return known_client_order_indices(folder, base_url=URL, account_index=65)


def test_all_journals_of_an_account_tell_its_orders(tmp_path):
    assert known(tmp_path / "absent") == frozenset()
    with (
        journal_in(tmp_path) as one,
        journal_in(tmp_path, api_key_index=6) as other,
        journal_in(tmp_path, account_index=655) as stranger,
    ):
        one.write([entry(1)])
        other.write(
            [
                entry(2, tx_type=TxType.CREATE_GROUPED_ORDERS, group_indices=(5, 6)),
                entry(3, tx_type=TxType.CANCEL_ORDER),
            ]
        )
        stranger.write([entry(4)])
        assert known(tmp_path) == {1001, 1002, 5, 6}
        one.write([entry(7)])
        assert 1007 in known(tmp_path)
    assert known(tmp_path) == {1001, 1002, 1007, 5, 6}
    with journal_in(tmp_path) as one:
        one.write([entry(8)])
    assert 1008 in known(tmp_path)


def test_a_reader_neither_waits_for_a_busy_writer_nor_holds_it_up(tmp_path):
    code = """
        journal = opened()
        for number in range(0, 3000, 3):
            journal.write([entry(number + step) for step in range(3)])
            print(number, flush=True)
            if number % 300 == 0:
                journal.tidy()
        sys.stdin.read()
        os._exit(0)
    """
    process = start(tmp_path, code)
    seen = frozenset()
    for _ in range(1000):
        number = int(process.stdout.readline())
        if number % 30 == 0:
            now = known(tmp_path)
            assert seen <= now
            assert 1002 + number in now
            seen = now
    process.communicate(timeout=DEADLINE_S)
    assert len(known(tmp_path)) == 3000


def test_a_reader_of_a_crashed_journal_sees_all_and_changes_nothing(tmp_path):
    with journal_in(tmp_path / "a") as journal:
        journal.write([entry(number) for number in range(50)])
        path = crashed(journal, tmp_path / "b")
    path.with_name(path.name + "-shm").unlink()
    before = path.read_bytes(), log_of(path).read_bytes()
    assert len(known(path.parent)) == 50
    assert (path.read_bytes(), log_of(path).read_bytes()) == before
    with journal_in(path.parent) as journal:
        assert len(journal.unresolved()) == 50
