"""What a running bot leaves in its state folder for `wrappy status` and `stop`.

A lock that says which process it is, a socket that it answers at, and a file of facts
for whoever has to go on without it. None holds a secret; all are the owner's alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError, UsageError
from wrappy.lighter.config import DealerConfig
from wrappy.lighter.persistence.key_lock import check_folder
from wrappy.lighter.persistence.state_files import HeldElsewhereError, HeldFile
from wrappy.lighter.sending.lane import state_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wrappy.runner.settings.sections import BotSettings

_LONGEST_ADDRESS: Final = 100
"""Bytes of a socket's path; longer ones are refused by the system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BotFacts:
    """What has to be known of a bot to take its orders away without it.

    Attributes:
        network: name of its world.
        base_url: address of the exchange.
        account_index: its account.
        api_key_index: the key it sends with.
        symbols: its markets.
        outlives: whether the exchange is there when the bot is not.
    """

    network: str
    base_url: str
    account_index: int
    api_key_index: int
    symbols: tuple[str, ...]
    outlives: bool


class BotFiles:
    """The files of one bot.

    Args:
        folder: where they lie.
        name: the bot's.

    Attributes:
        states: folder of what its strategies keep over a restart.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self._lock = folder / f"{name}.lock"
        self._facts = folder / f"{name}.json"
        self.states = folder / f"{name}-states"

    @classmethod
    def of(cls, settings: BotSettings) -> BotFiles:
        """Return the files of the bot that the settings describe."""
        return cls(state_dir_of(settings) / "bots", settings.bot_name)

    @property
    def address(self) -> Path:
        """The socket's file."""
        return self.folder / f"{self.name}.sock"

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Be this bot: nobody else is as long.

        Raises:
            UsageError: it runs already.
            ConfigError: the folder cannot be used.
        """
        check_folder(self.folder.parent)
        check_folder(self.folder)
        try:
            held = HeldFile.take(self._lock)
        except HeldElsewhereError as error:
            raise UsageError(
                f"a bot called {self.name} runs already (process {error.pid}); stop "
                "it, or give this one a name of its own with engine.name"
            ) from error
        except OSError as error:
            raise ConfigError(
                f"engine.state_dir: {self._lock} cannot be used ({error.strerror})"
            ) from error
        try:
            yield
        finally:
            for path in (self.address, self._facts):
                with contextlib.suppress(OSError):
                    path.unlink()
            held.release()

    def holder(self) -> int | None:
        """Return the process that is this bot, or None when nobody is."""
        try:
            descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            word = os.pread(descriptor, 64, 0).partition(b" ")[0]
            return int(word) if word.isdigit() else None
        finally:
            os.close(descriptor)
        return None

    def left_by(self) -> str | None:
        """Return which process was this bot and went without an end, in words.

        None when it ended by itself, or is still there. Whoever ends empties the lock.
        """
        if self.holder() is not None:
            return None
        try:
            word, _, since = self._lock.read_text().strip().partition(" ")
        except (OSError, ValueError):
            return None
        return f"process {word}, begun {since}" if word.isdigit() else None

    def forget(self) -> None:
        """Remove what a process left that went without an end."""
        # Somebody else may be this bot by now, and then it is theirs.
        with contextlib.suppress(UsageError, ConfigError), self.hold():
            pass

    def write_facts(self, facts: BotFacts) -> None:
        """Write down how to go on without this process."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(self._facts, flags, 0o600), "w") as file:
            json.dump(asdict(facts), file)

    def read_facts(self) -> BotFacts | None:
        """Return what the bot wrote down, as long as it can be read."""
        try:
            told: dict[str, Any] = json.loads(self._facts.read_bytes())
            symbols = tuple(str(symbol) for symbol in told.pop("symbols"))
            return BotFacts(symbols=symbols, **told)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def listening_socket(self) -> socket.socket:
        """Return a socket that listens at the bot's address, for its owner alone."""
        with contextlib.suppress(FileNotFoundError):
            self.address.unlink()
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _address(self.address) as address:
                made.bind(address)
            self.address.chmod(0o600)
            made.listen(8)
            made.setblocking(False)
        except OSError:
            made.close()
            raise
        return made

    def connected_socket(self, timeout_s: float) -> socket.socket:
        """Return a socket that is connected to the bot.

        Raises:
            OSError: nobody is there.
        """
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(timeout_s)
        try:
            with _address(self.address) as address:
                made.connect(address)
        except OSError:
            made.close()
            raise
        return made


def state_dir_of(settings: BotSettings) -> Path:
    """Return the folder of journals, locks and states."""
    given = settings.engine.state_dir
    if given is None:
        return state_folder(DealerConfig())
    return settings.place(given)


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """Give a socket's path, through its folder's descriptor when it is too long."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
