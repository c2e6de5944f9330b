"""The journal: every signed transaction is on disk before its bytes leave.

After a crash at any moment a restart finds here whatever may have been sent. There
is one file for each API key; one process writes it and any may read it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from itertools import count
from typing import TYPE_CHECKING

from wrappy._core.journal_rows import JournalEntry, JournalIndex, SendStage
from wrappy.errors import ConfigError, JournalError, UsageError
from wrappy.lighter.persistence.journal_file import (
    DAMAGE_FIX,
    DROP,
    INSERT,
    MARK,
    ROOM_FIX,
    SELECT,
    created_orders,
    entry_of,
    index_row,
    open_to_read,
    open_to_write,
    readable,
    values_of,
)
from wrappy.lighter.persistence.state_files import (
    HeldElsewhereError,
    HeldFile,
    account_stem,
    key_stem,
    origin,
    prepare_folder,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from wrappy._core.journal_rows import JournalRow
    from wrappy.lighter.persistence.journal_file import Sync

__all__ = [
    "Journal",
    "JournalEntry",
    "SendStage",
    "known_client_order_indices",
]

logger = logging.getLogger("wrappy.journal")

PRUNE_STEP = 2_000
"""Rows that one transaction drops, so that no write waits for long."""

FREE_PAGES = 1_000
"""Empty pages that may stay in the file for the rows to come."""


class Journal:
    """What was signed with one API key, and what is known of it.

    All methods may be called from any thread. `mark`, `knows` and `last_nonce` never
    wait for the disk; the others may for milliseconds and belong on a worker thread.

    A mark reaches the disk with the next write, with `tidy` or with `close`. One that
    is lost in a crash does no harm: the row is only looked into once more.

    Attributes:
        path: of the file. Its rows hold signatures but no key; only the owner of the
            process can read it.
    """

    def __init__(
        self,
        path: Path,
        held: HeldFile,
        connection: sqlite3.Connection,
        rows: Iterable[JournalRow],
    ) -> None:
        self.path = path
        self._held = held
        self._connection = connection
        self._process = os.getpid()
        self._closed = False
        self._disk_lock = threading.Lock()
        self._memory_lock = threading.Lock()  # taken last, never while the disk works
        self._index = JournalIndex()
        for row in rows:
            self._index.add(row)
        _open.add(self)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        base_url: str,
        account_index: int,
        api_key_index: int,
        sync: Sync = "process",
    ) -> Journal:
        """Open the journal of an API key; it is made when absent.

        Args:
            folder: state folder; made when absent.
            base_url: address of the server.
            account_index: the account.
            api_key_index: the key.
            sync: what a written row survives: the end of the `process`, or also a
                loss of `power`, which costs a turn of the disk with every write.

        Raises:
            JournalError: the file is damaged, not ours alone, or open elsewhere; the
                message names it and what to do. It is never replaced.
            ConfigError: `sync` or `base_url` is not what it should be.
        """
        if sync not in ("process", "power"):
            raise ConfigError(f"sync: {sync!r} is neither 'process' nor 'power'")
        stem = key_stem(base_url, account_index, api_key_index)
        path = folder / f"journal-{stem}.sqlite3"
        owner = f"{origin(base_url)} account {account_index} key {api_key_index}"
        with readable(path):
            prepare_folder(folder)
            try:
                held = HeldFile.take(path.with_suffix(".lock"))
            except HeldElsewhereError as error:
                raise JournalError(
                    path,
                    f"is open already, in process {error.pid or 'unknown'}",
                    "close it there or use an API key of your own",
                ) from error
            with contextlib.ExitStack() as undo:
                undo.callback(held.release)
                connection, rows = open_to_write(path, owner, sync)
                undo.pop_all()
        return cls(path, held, connection, rows)

    def __len__(self) -> int:
        return len(self._index)

    def write(self, entries: Sequence[JournalEntry]) -> None:
        """Put transactions on disk, all or none; when it returns they may be sent.

        A hash that is here already starts over: its bytes may leave once more.

        Raises:
            JournalError: they are not safe on disk; nothing of them may be sent. A
                later write can succeed when there is room again.
            UsageError: the journal is closed, or a hash comes twice.
        """
        if len({entry.tx_hash for entry in entries}) < len(entries):
            raise UsageError("tx_hash: one transaction is to be written twice")
        with self._disk():
            with self._memory():
                numbers = count(self._index.next_sequence)
                rows = [
                    index_row(entry, sequence)
                    for entry, sequence in zip(entries, numbers, strict=False)
                ]
                found = [self._index.find(entry.tx_hash) for entry in entries]
            stale = [(old.sequence,) for old in found if old is not None]
            with self._transaction() as connection:
                connection.executemany(
                    INSERT,
                    [
                        values_of(entry, row.sequence)
                        for entry, row in zip(entries, rows, strict=True)
                    ],
                )
                if stale:
                    connection.executemany(DROP, stale)
            with self._memory():
                for row in rows:
                    self._index.add(row)

    def mark(self, tx_hashes: Iterable[str], stage: SendStage) -> None:
        """Note what became of transactions; what is more certain already stays.

        A hash that is not here is passed over.
        """
        with self._memory():
            self._index.mark(tx_hashes, stage)

    def tidy(self) -> None:
        """Put the marks on disk and shorten the log; for when there is time.

        Raises:
            JournalError: the disk refuses; the marks are kept.
            UsageError: the journal is closed.
        """
        with self._disk():
            with self._transaction():
                pass
            with self._errors():
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def unresolved(self) -> list[JournalEntry]:
        """Return what may or may not have left, in nonce order.

        Raises:
            JournalError: the file cannot be read.
            UsageError: the journal is closed.
        """
        with self._disk():
            with self._memory():
                rows = self._index.unresolved()
            return self._read(rows)

    def open_orders(self) -> list[JournalEntry]:
        """Return the creations that the exchange took and that have not ended.

        Raises:
            JournalError: the file cannot be read.
            UsageError: the journal is closed.
        """
        with self._disk():
            with self._memory():
                rows = self._index.open_orders()
            return self._read(rows)

    def entry(self, tx_hash: str) -> JournalEntry | None:
        """Return a transaction by its hash; `None` when it is not here any more.

        Raises:
            JournalError: the file cannot be read.
            UsageError: the journal is closed.
        """
        with self._disk():
            with self._memory():
                row = self._index.find(tx_hash)
            found = self._read([] if row is None else [row])
        return found[0] if found else None

    def by_client_order_index(self, client_order_index: int) -> list[JournalEntry]:
        """Return all that creates or touches an order, in writing order.

        Raises:
            JournalError: the file cannot be read.
            UsageError: the journal is closed.
        """
        with self._disk():
            with self._memory():
                rows = self._index.of_order(client_order_index)
            return self._read(rows)

    def knows(self, client_order_index: int) -> bool:
        """Return whether an order was created here, as far back as rows are kept."""
        with self._memory():
            return self._index.creates(client_order_index)

    def last_nonce(self) -> int | None:
        """Return the highest nonce that may have been used up.

        That of a refused or dead transaction was not; `None` when there is none.
        """
        with self._memory():
            row = self._index.last()
        return None if row is None else row.nonce

    def prune(self, *, keep: int = 10_000) -> int:
        """Drop the oldest rows that nothing more is to be learned of.

        Args:
            keep: how many of those rows stay, 0 or more.

        Returns:
            How many rows were dropped.

        Raises:
            JournalError: the disk refuses; what was dropped until then is gone.
            UsageError: the journal is closed, or `keep` is below 0.
        """
        if keep < 0:
            raise UsageError(f"keep: {keep} must be 0 or more")
        with self._memory():
            surplus = self._index.surplus(keep)
        dropped = 0
        for first in range(0, len(surplus), PRUNE_STEP):
            with self._disk():
                step = [
                    row
                    for row in surplus[first : first + PRUNE_STEP]
                    if self._index.find(row.tx_hash) is row and row.is_finished
                ]
                with self._transaction() as connection:
                    connection.executemany(DROP, [(row.sequence,) for row in step])
                with self._memory():
                    for row in step:
                        self._index.remove(row)
                self._shrink()
            dropped += len(step)
        return dropped

    def close(self) -> None:
        """Put the marks on disk and let go of the file; a second time does nothing."""
        if self._process != os.getpid():
            return  # the connection and the lock are the parent's
        with self._disk_lock:
            if self._closed:
                return
            try:
                with self._transaction():
                    pass
            except JournalError as error:
                # Nothing is lost: these rows are looked into at the next start.
                logger.warning("marks are not on disk: %s", error)
            self._closed = True
            _open.discard(self)
            self._connection.close()
            self._held.release()

    def _shrink(self) -> None:
        with self._errors():
            (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
            if free > FREE_PAGES:
                # A script is run to its end; `execute` would stop after one page.
                self._connection.executescript(
                    f"PRAGMA incremental_vacuum({free - FREE_PAGES})"
                )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what the body does together with the marks; the disk is taken."""
        with self._memory():
            marks = dict(self._index.unsaved)
        connection = self._connection
        with self._errors():
            try:
                connection.execute("BEGIN IMMEDIATE")
                if marks:
                    connection.executemany(
                        MARK, [(int(stage), row) for row, stage in marks.items()]
                    )
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
        with self._memory():
            self._index.saved(marks)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise JournalError(self.path, f"failed ({error})", ROOM_FIX) from error
        except (sqlite3.Error, ValueError) as error:
            raise JournalError(self.path, f"failed ({error})", DAMAGE_FIX) from error

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        """Have the connection for oneself."""
        self._check_process()
        with self._disk_lock:
            if self._closed:
                raise UsageError("the journal is closed")
            yield

    def _memory(self) -> threading.Lock:
        """Return what to hold to have the index for oneself."""
        self._check_process()
        return self._memory_lock

    def _check_process(self) -> None:
        # Another thread of the parent may have held a lock when the child was made.
        if self._process != os.getpid():
            raise JournalError(
                self.path, "belongs to the parent process", "open one in the child"
            )

    def _read(self, rows: Iterable[JournalRow]) -> list[JournalEntry]:
        """Return entries from disk with what is known of them by now."""
        entries = []
        with self._errors():
            for row in rows:
                values = self._connection.execute(SELECT, (row.sequence,)).fetchone()
                if values is None:
                    problem = f"row {row.sequence} is missing"
                    raise JournalError(self.path, problem, DAMAGE_FIX)
                entries.append(entry_of(values, row.stage))
        return entries


_open: set[Journal] = set()
"""Open journals; a forked child must not drop one, for that would close the file."""


def known_client_order_indices(
    folder: Path, *, base_url: str, account_index: int
) -> frozenset[int]:
    """Return the orders that any journal of the account created, at this moment.

    Other processes may be writing meanwhile; ask again to hear of their news.

    Args:
        folder: state folder; may be absent.
        base_url: address of the server.
        account_index: the account.

    Raises:
        JournalError: one of the journals cannot be read, so that nobody can tell.
    """
    known: set[int] = set()
    stem = account_stem(base_url, account_index)
    for path in sorted(folder.glob(f"journal-{stem}-*.sqlite3")):
        with readable(path), contextlib.closing(open_to_read(path)) as connection:
            known.update(created_orders(connection))
    return frozenset(known)
