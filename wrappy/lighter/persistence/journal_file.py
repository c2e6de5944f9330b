"""The database file of a journal: made, opened, checked, and its rows.

Whatever cannot be read is left as it is: a journal that is silently replaced would
say that nothing was sent.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any, Literal

from wrappy._core.journal_rows import JournalEntry, JournalRow, SendStage
from wrappy.errors import JournalError
from wrappy.lighter.persistence.state_files import (
    FIX,
    is_there,
    make_private,
    sync_folder,
)
from wrappy.protocol.intents import TxType

NoneType = type(None)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Sync = Literal["process", "power"]
CREATIONS = (TxType.CREATE_ORDER, TxType.CREATE_GROUPED_ORDERS)

APPLICATION_ID = 0x77727079
SCHEMA_VERSION = 1
PAGE_BYTES = 4096
BUSY_S = 2.0
CHECKPOINT_PAGES = 2000
"""Length of the log at which a write folds it into the file; `tidy` does it before."""

DAMAGE_FIX = (
    "look at the account's orders on the exchange, then move this file away together "
    "with those of the same name that end in -wal and -shm"
)
ROOM_FIX = (
    "make room on the disk, cancels pass meanwhile; if it stays so with room to "
    f"spare, {DAMAGE_FIX}"
)

SCHEMA = """
CREATE TABLE owner (name TEXT NOT NULL);
CREATE TABLE entries (
    sequence INTEGER PRIMARY KEY,
    stage INTEGER NOT NULL,
    nonce INTEGER NOT NULL,
    tx_type INTEGER NOT NULL,
    tx_hash TEXT NOT NULL,
    expired_at_ms INTEGER NOT NULL,
    market_index INTEGER,
    client_order_index INTEGER,
    group_indices TEXT NOT NULL,
    batch INTEGER NOT NULL,
    written_ms INTEGER NOT NULL,
    intent TEXT NOT NULL,
    tx_info TEXT NOT NULL
);
"""

COLUMNS = (
    "sequence, stage, nonce, tx_type, tx_hash, expired_at_ms, market_index, "
    "client_order_index, group_indices, batch, written_ms, intent, tx_info"
)
INSERT = (
    f"INSERT INTO entries ({COLUMNS}) "  # noqa: S608 - constants
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
SELECT = f"SELECT {COLUMNS} FROM entries WHERE sequence = ?"  # noqa: S608 - constants
MARK = "UPDATE entries SET stage = ? WHERE sequence = ?"
DROP = "DELETE FROM entries WHERE sequence = ?"
SELECT_INDEX = (
    "SELECT sequence, stage, nonce, tx_type, tx_hash, client_order_index, "
    "group_indices FROM entries ORDER BY sequence"
)
SELECT_SENDS = """
SELECT MIN(written_ms), COUNT(*) FROM entries WHERE written_ms >= ?
GROUP BY batch ORDER BY 1
"""
SELECT_CREATED = (
    "SELECT client_order_index, group_indices FROM entries WHERE tx_type IN (?, ?)"
)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Tell what is wrong with the file in words of ours.

    Raises:
        JournalError: the file cannot be read, or is not a sound journal.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise JournalError(path, f"cannot be read ({error})", ROOM_FIX) from error
    except (sqlite3.DatabaseError, ValueError) as error:
        raise JournalError(path, f"is damaged ({error})", DAMAGE_FIX) from error
    except OSError as error:
        at_fault = f"{error.filename or path}: {error.strerror}"
        raise JournalError(path, f"cannot be used ({at_fault})", FIX) from error


def open_to_write(
    path: Path, owner: str, sync: Sync
) -> tuple[sqlite3.Connection, list[JournalRow]]:
    """Return a connection to the journal of `owner`, and what the index keeps of it.

    The journal is made when absent.

    The caller holds the lock of the file and turns the errors into words.

    Raises:
        sqlite3.Error, ValueError: it cannot be read or is not a sound journal.
        OSError: it is not ours alone.
    """
    log = path.with_name(f"{path.name}-wal")
    log_length = log.stat().st_size if is_there(log) else 0
    is_there(path.with_name(f"{path.name}-shm"))
    if not is_there(path):
        if log_length:
            raise ValueError("only its log is left")
        _make(path, owner)
    with contextlib.closing(open_to_read(path)) as connection:
        # The one that writes would fold its log into a damaged file when it closes.
        _check(connection, owner)
        rows = list(_index_rows(connection))
    connection = sqlite3.connect(
        path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        level = {"process": "NORMAL", "power": "FULL"}[sync]
        connection.execute(f"PRAGMA synchronous={level}")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    except BaseException:
        connection.close()
        raise
    return connection, rows


def open_to_read(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot change a journal another process may write.

    Raises:
        sqlite3.Error, ValueError: it cannot be read or is not a journal.
        OSError: it is not ours alone.
    """
    if not is_there(path) or path.stat().st_size < PAGE_BYTES:
        # SQLite would take it for a new database and delete the log that belongs to it.
        raise ValueError("it is empty")
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        timeout=BUSY_S,
        isolation_level=None,
        uri=True,
    )
    try:
        _check_kind(path, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _make(path: Path, owner: str) -> None:
    """Make an empty journal that is whole from the moment it has its name."""
    draft = path.with_suffix(".new")
    for suffix in ("", "-journal", "-wal", "-shm"):
        draft.with_name(draft.name + suffix).unlink(missing_ok=True)
    make_private(draft)
    with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.executescript(SCHEMA)
        connection.execute("INSERT INTO owner VALUES (?)", (owner,))
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError(
                f"this file system has no write-ahead log, only {mode!r}"
            )
    draft.rename(path)
    sync_folder(path.parent)


def _check_kind(path: Path, connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise ValueError("it is not a journal")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA_VERSION:
        raise JournalError(
            path,
            f"has layout {version}, and this version reads layout {SCHEMA_VERSION}",
            "open it with the version that wrote it",
        )


def _check(connection: sqlite3.Connection, owner: str) -> None:
    for (verdict,) in connection.execute("PRAGMA quick_check(1)"):
        if verdict != "ok":
            raise ValueError(str(verdict))
    names = [name for (name,) in connection.execute("SELECT name FROM owner")]
    if names != [owner]:
        raise ValueError(f"it belongs to {names}, not to {owner}")


def created_orders(connection: sqlite3.Connection) -> Iterator[int]:
    """Yield every order that a row creates.

    Raises:
        sqlite3.Error, ValueError: the rows cannot be read.
    """
    types = [int(creation) for creation in CREATIONS]
    for order, group in connection.execute(SELECT_CREATED, types):
        _check_types((order, group), ((int, NoneType), str))
        yield from _orders(order, _numbers(group))


def sends_since(connection: sqlite3.Connection, since_ms: int) -> dict[int, int]:
    """Return when each batch since a moment was written, and of how many it was.

    Args:
        connection: to a journal.
        since_ms: unix milliseconds.

    Returns:
        Number of transactions by the unix millisecond.

    Raises:
        sqlite3.Error, ValueError: the rows cannot be read.
    """
    found: dict[int, int] = {}
    for row in connection.execute(SELECT_SENDS, (since_ms,)):
        _check_types(row, (int, int))
        found[row[0]] = row[1]
    return found


def _check_types(
    values: tuple[Any, ...], types: tuple[type | tuple[type, ...], ...]
) -> None:
    """Refuse values that cannot have been written so; SQLite does not mind them."""
    if not all(map(isinstance, values, types)):
        raise ValueError("a row has values of the wrong type")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split())


def _orders(order: int | None, group: tuple[int, ...]) -> tuple[int, ...]:
    return group if order is None else (order, *(o for o in group if o != order))


def index_row(entry: JournalEntry, sequence: int) -> JournalRow:
    """Return what the index keeps of an entry."""
    return JournalRow(
        sequence,
        entry.tx_hash,
        entry.nonce,
        _orders(entry.client_order_index, entry.group_indices),
        entry.tx_type in CREATIONS,
        SendStage(entry.stage),
    )


def values_of(entry: JournalEntry, sequence: int) -> tuple[int | str | None, ...]:
    """Return an entry as `INSERT` wants it."""
    return (
        sequence,
        int(entry.stage),
        entry.nonce,
        int(entry.tx_type),
        entry.tx_hash,
        entry.expired_at_ms,
        entry.market_index,
        entry.client_order_index,
        " ".join(map(str, entry.group_indices)),
        entry.batch,
        entry.written_ms,
        entry.intent,
        entry.tx_info,
    )


def entry_of(values: tuple[Any, ...], stage: SendStage) -> JournalEntry:
    """Return an entry as `SELECT` gave it, with what is known of it by now.

    Raises:
        ValueError: the row is damaged.
    """
    optional = (int, NoneType)
    _check_types(
        values,
        (int, int, int, int, str, int, optional, optional, str, int, int, str, str),
    )
    _, _, nonce, tx_type, tx_hash, expired_at_ms, market_index, *rest = values
    client_order_index, group, batch, written_ms, intent, tx_info = rest
    return JournalEntry(
        nonce=nonce,
        tx_type=tx_type,
        tx_hash=tx_hash,
        tx_info=tx_info,
        expired_at_ms=expired_at_ms,
        market_index=market_index,
        client_order_index=client_order_index,
        group_indices=_numbers(group),
        batch=batch,
        stage=stage,
        written_ms=written_ms,
        intent=intent,
    )


def _index_rows(connection: sqlite3.Connection) -> Iterator[JournalRow]:
    for values in connection.execute(SELECT_INDEX):
        sequence, stage, nonce, tx_type, tx_hash, order, group = values
        _check_types(values, (int, int, int, int, str, (int, NoneType), str))
        yield JournalRow(
            sequence,
            tx_hash,
            nonce,
            _orders(order, _numbers(group)),
            tx_type in CREATIONS,
            SendStage(stage),
        )
