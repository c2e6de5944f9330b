"""Files of the state folder: their names, who may read them, who holds them.

A file is held by a lock of the operating system, which ends with the process that
took it however it dies. What is written in the file is for people only.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import stat
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

FIX = "name a folder of your own with state_dir=... or LIGHTER_STATE_DIR"
USUAL_PORTS = {"http": ":80", "https": ":443"}
_LOOPBACK = re.compile(r"^(localhost|\[::1\])(?=:|$)")


def origin(base_url: str) -> str:
    """Return a server's address in one spelling, without user name and password.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        parts = urlsplit(base_url.strip())
    except ValueError as error:
        raise ConfigError(f"base_url: cannot be read ({error})") from error
    place = parts.netloc.rpartition("@")[2].lower()
    place = place.removesuffix(USUAL_PORTS.get(parts.scheme, ":"))
    # This machine has several names, and one counter of nonces for a key.
    place = _LOOPBACK.sub("127.0.0.1", place)
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}"


def account_stem(base_url: str, account_index: int) -> str:
    """Return the part of a file name that stands for one account of one server."""
    address = origin(base_url)
    digest = hashlib.sha256(address.encode()).hexdigest()[:8]
    host = re.sub(r"[^a-z0-9.]+", "_", address.partition("://")[2])[:60]
    return f"{host}-{digest}-{account_index}"


def key_stem(base_url: str, account_index: int, api_key_index: int) -> str:
    """Return the part of a file name that stands for one API key."""
    return f"{account_stem(base_url, account_index)}-{api_key_index}"


def prepare_folder(folder: Path) -> None:
    """Make the folder, or make sure that nobody else can write into it.

    Raises:
        OSError: it cannot be made or is not fit.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.lstat()
    if stat.S_ISLNK(facts.st_mode):
        raise _unfit(folder, "it is a symbolic link")
    if facts.st_uid != os.geteuid():
        raise _unfit(folder, f"it belongs to user {facts.st_uid}")
    if facts.st_mode & 0o022:
        raise _unfit(folder, "others can write into it, chmod 700 it")


def is_there(path: Path) -> bool:
    """Return whether a file exists, and make sure that it is ours alone.

    The file is looked at and not opened: closing any descriptor of a database would
    drop the locks that SQLite holds on it.

    Raises:
        OSError: it is not fit.
    """
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(facts.st_mode):
        raise _unfit(path, "it is not a regular file")
    if facts.st_uid != os.geteuid():
        raise _unfit(path, f"it belongs to user {facts.st_uid}")
    if facts.st_mode & 0o077:
        raise _unfit(path, "others can read or write it, chmod 600 it")
    return True


def make_private(path: Path) -> None:
    """Make an empty file for the owner alone.

    Raises:
        OSError: it cannot be made; it exists already.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(path, flags, 0o600))


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unfit(path: Path, problem: str) -> OSError:
    return PermissionError(errno.EPERM, problem, str(path))


class HeldElsewhereError(Exception):
    """Somebody else holds the file.

    Attributes:
        pid: process that does, as far as the file tells.
    """

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"held by process {pid}")
        self.pid = pid


class HeldFile:
    """A file that one holder at a time has, among all processes and inside of one.

    It is held until `release` or the end of the process. A program that is started
    does not inherit it, and a forked child lets go of its share at once; the parent
    holds it all the same.

    Attributes:
        path: of the file. It stays when the lock is gone: removing it would let two
            processes hold two files of one name.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor
        _held.add(self)

    @classmethod
    def take(cls, path: Path) -> HeldFile:
        """Take the file and write this process's id and the time into it.

        Raises:
            HeldElsewhereError: another process, or another part of this one, has it.
            OSError: the file is not fit or cannot be written.
        """
        is_there(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        held = cls(path, descriptor := os.open(path, flags, 0o600))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            _replace(descriptor, f"{os.getpid()} {since}\n".encode())
        except BlockingIOError as error:
            pid = _pid_in(descriptor)
            held.let_go()
            raise HeldElsewhereError(pid) from error
        except OSError:
            held.let_go()
            raise
        return held

    @property
    def is_held(self) -> bool:
        """Whether this process still has it."""
        return self._descriptor is not None

    def release(self) -> None:
        """Give the file back; a second time does nothing."""
        if self._descriptor is not None:
            try:
                os.ftruncate(self._descriptor, 0)
            finally:
                self.let_go()

    def let_go(self) -> None:
        """Close this process's share and leave the file as it is."""
        descriptor, self._descriptor = self._descriptor, None
        _held.discard(self)
        if descriptor is not None:
            os.close(descriptor)


def _replace(descriptor: int, line: bytes) -> None:
    os.pwrite(descriptor, line, 0)
    os.ftruncate(descriptor, len(line))


def _pid_in(descriptor: int) -> int | None:
    word = os.pread(descriptor, 64, 0).partition(b" ")[0]
    return int(word) if word.isdigit() else None


_held: set[HeldFile] = set()


def let_go_in_child() -> None:
    """Close a forked child's share of every lock: it ends with the parent."""
    for held in tuple(_held):
        held.let_go()


os.register_at_fork(after_in_child=let_go_in_child)
