"""The lock of an API key: one process at a time numbers the transactions of a key.

Two senders with one key take the same nonces, and each one's orders are refused or
lost because of the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrappy.errors import ConfigError, KeyInUseError
from wrappy.lighter.persistence.state_files import (
    FIX,
    HeldElsewhereError,
    HeldFile,
    key_stem,
    prepare_folder,
)

if TYPE_CHECKING:
    from pathlib import Path


class KeyLock:
    """The right to send with one API key of one account on one server.

    The operating system ends it with the process, however that dies, so a file that
    is left behind is no obstacle. A forked child does not have it: `is_held` is
    false there, and the parent's ends with the parent. Other machines and other
    state folders are not seen.
    """

    def __init__(self, held: HeldFile) -> None:
        self._held = held

    @classmethod
    def acquire(
        cls, folder: Path, *, base_url: str, account_index: int, api_key_index: int
    ) -> KeyLock:
        """Take the lock; this never waits.

        Args:
            folder: state folder; made when absent.
            base_url: address of the server.
            account_index: the account.
            api_key_index: the key.

        Raises:
            KeyInUseError: another process has it, or another dealer of this one.
            ConfigError: the folder or the file is not fit or cannot be written.
        """
        path = folder / f"key-{key_stem(base_url, account_index, api_key_index)}.lock"
        check_folder(folder)
        try:
            return cls(HeldFile.take(path))
        except HeldElsewhereError as error:
            raise KeyInUseError(
                account_index, api_key_index, pid=error.pid, path=path
            ) from error
        except OSError as error:
            raise _unusable(path, error) from error

    @property
    def path(self) -> Path:
        """The lock's file, which tells the holder's process id and since when."""
        return self._held.path

    @property
    def is_held(self) -> bool:
        """Whether this process has the lock."""
        return self._held.is_held

    def release(self) -> None:
        """Give the lock back; a second time does nothing."""
        self._held.release()


def check_folder(folder: Path) -> None:
    """Make the state folder, or make sure that it can be used.

    Raises:
        ConfigError: it cannot be made, or others can change what is in it.
    """
    try:
        prepare_folder(folder)
    except OSError as error:
        raise _unusable(folder, error) from error


def _unusable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"state_dir: {error.filename or path} cannot be used ({error.strerror}); {FIX}"
    )
