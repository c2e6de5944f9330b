"""Client order indices that no other process and no earlier run has used.

Each process leases a stretch of ids; a small file under a lock remembers the end of
the last lease. That makes ids unique when a restart meets the same second, when the
clock went back, and when two processes start at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from wrappy._core.coi import COI_EPOCH_S, TICK_MAX, CoiSequence, grant_lease
from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wrappy._core.coi import CoiLease

logger = logging.getLogger("wrappy.coi")

FILE_NAME = "client-order-index"
TAGS = 64
DAMAGE_GAP_TICKS = 3600
"""Seconds left out when nobody knows how far an earlier run went."""


def default_state_dir() -> Path:
    """Return the folder that state lives in unless a setting names another."""
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "wrappy"


class OrderNumbers(Protocol):
    """A source of client order indices."""

    def next(self) -> int:
        """Return an id greater than every id given before."""
        ...


class CoiStore:
    """Leases of client order indices out of one folder.

    Args:
        folder: where the file lives; made when absent.
        clock: unix seconds.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._sequence: CoiSequence | None = None
        self._lock = threading.Lock()
        _living.add(self)

    def forget(self) -> None:
        """Let go of the lease; the next id comes out of a new one."""
        self._sequence = None
        self._lock = threading.Lock()

    def next(self) -> int:
        """Return an id greater than every id this store gave before.

        Raises:
            ConfigError: the folder cannot be written.
        """
        with self._lock:
            if self._sequence is None:
                self._sequence = CoiSequence(self._lease())
            elif self._sequence.exhausted:
                self._sequence.extend(self._lease())
            return self._sequence.next()

    def _lease(self) -> CoiLease:
        path = self._folder / FILE_NAME
        now = self._clock()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(path) as descriptor:
                tag, stored = _read(descriptor, now)
                lease = grant_lease(stored, now, tag=tag)
                _write(descriptor, tag, lease.last_tick)
        except OSError as error:
            raise ConfigError(
                f"state_dir: {self._folder} cannot be written ({error.strerror}); "
                f"name another folder with state_dir=... or LIGHTER_STATE_DIR"
            ) from error
        logger.debug(
            "leased order ids: ticks=%d..%d", lease.first_tick, lease.last_tick
        )
        return lease


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _read(descriptor: int, now_s: float) -> tuple[int, int | None]:
    """Return tag and last tick; a damaged file keeps clear of what it stood for."""
    words = os.pread(descriptor, 64, 0).split()
    try:
        tag, stored = (int(word) for word in words)
    except ValueError:
        tag, stored = -1, -1
    if not (0 <= tag < TAGS and 0 <= stored < TICK_MAX):
        ahead = int(now_s) - COI_EPOCH_S + DAMAGE_GAP_TICKS if words else None
        return secrets.randbelow(TAGS), ahead
    return tag, stored


def _write(descriptor: int, tag: int, last_tick: int) -> None:
    line = f"{tag} {last_tick}\n".encode()
    os.pwrite(descriptor, line, 0)
    os.ftruncate(descriptor, len(line))
    os.fsync(descriptor)


_living: weakref.WeakSet[CoiStore] = weakref.WeakSet()
_stores: dict[Path, CoiStore] = {}
_stores_lock = threading.Lock()


def coi_store(state_dir: str | None) -> CoiStore:
    """Return the process's store of a folder, shared by all dealers."""
    folder = Path(state_dir).expanduser() if state_dir else default_state_dir()
    with _stores_lock:
        return _stores.setdefault(folder, CoiStore(folder))


def forget_leases() -> None:
    """Have every store lease anew: a forked child must not repeat its parent's ids."""
    global _stores_lock  # noqa: PLW0603 - the parent may hold it at the fork
    _stores_lock = threading.Lock()
    _stores.clear()
    for store in _living:
        store.forget()


os.register_at_fork(after_in_child=forget_leases)
