"""The journals of an account, read by somebody who writes none of them."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wrappy._core.journal_rows import SendStage
from wrappy.lighter.persistence.journal_file import (
    COLUMNS,
    entry_of,
    open_to_read,
    readable,
)
from wrappy.lighter.persistence.state_files import account_stem, key_stem

if TYPE_CHECKING:
    from pathlib import Path

    from wrappy._core.journal_rows import JournalEntry

_EVERYTHING = f"SELECT {COLUMNS} FROM entries ORDER BY sequence"  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class KeptJournal:
    """What the journal of one API key says on disk.

    A process that writes it may know more: its marks reach the disk with its next
    write.

    Attributes:
        api_key_index: the key.
        path: of the file.
        entries: its rows in writing order.
    """

    api_key_index: int
    path: Path
    entries: tuple[JournalEntry, ...]


def read_journals(
    folder: Path, *, base_url: str, account_index: int
) -> list[KeptJournal]:
    """Return every journal of an account, by key; nothing is written or locked.

    Args:
        folder: state folder; may be absent.
        base_url: address of the server.
        account_index: the account.

    Raises:
        JournalError: one of them cannot be read.
    """
    stem = f"journal-{account_stem(base_url, account_index)}-"
    found = []
    for path in folder.glob(f"{stem}*.sqlite3"):
        key = path.stem.removeprefix(stem)
        if not key.isdecimal():
            continue
        with readable(path), contextlib.closing(open_to_read(path)) as connection:
            rows = [
                entry_of(values, SendStage(values[1]))
                for values in connection.execute(_EVERYTHING)
            ]
        found.append(KeptJournal(int(key), path, tuple(rows)))
    return sorted(found, key=lambda journal: journal.api_key_index)


def writer_of(
    folder: Path, *, base_url: str, account_index: int, api_key_index: int
) -> int | None:
    """Return the process that sends with a key here, as far as its lock file tells.

    The lock itself is not touched: who tried it could keep a bot from starting.

    Args:
        folder: state folder; may be absent.
        base_url: address of the server.
        account_index: the account.
        api_key_index: the key.
    """
    path = folder / f"key-{key_stem(base_url, account_index, api_key_index)}.lock"
    try:
        word = path.read_text(encoding="ascii").partition(" ")[0]
    except (OSError, UnicodeDecodeError):
        return None
    if not word.isdecimal() or not _lives(int(word)):
        return None
    return int(word)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
