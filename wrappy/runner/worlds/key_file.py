"""An account and its key out of a file that nobody else may read."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError
from wrappy.lighter.config import DealerConfig

if TYPE_CHECKING:
    from pathlib import Path

MOST_BRACKETS: Final = 1_000
LARGEST_BYTES: Final = 65_536
_ONE_KEY: Final = ("api_key_index", "api_key_private_key")
_NAMES: Final = ("account_index", "api_keys", *_ONE_KEY)


def read_key_file(path: Path) -> DealerConfig:
    """Return settings with the account and the keys of a JSON file, and no more.

    The file holds `account_index`, and `api_key_index` with `api_key_private_key`, or
    `api_keys` with a list of such. What is wrong with a key is told without the key.

    Raises:
        ConfigError: it is a link, belongs to somebody else, may be read or written by
            others, or does not hold that.
    """
    told = _document(path, _text(path))
    if unknown := sorted(set(told) - set(_NAMES)):
        raise ConfigError(
            f"{path}: a key file has no {unknown[0][:30]!r}; it holds "
            f"{', '.join(_NAMES)}"
        )
    one = {name: told[name] for name in _ONE_KEY if name in told}
    keys: Any = told.get("api_keys", [])
    if one:
        if "api_keys" in told or len(one) < len(_ONE_KEY):
            raise ConfigError(
                f"{path}: give api_key_index and api_key_private_key, or api_keys"
            )
        keys = [one]
    if not keys or told.get("account_index") is None:
        lacks = "account_index" if keys else "API key"
        raise ConfigError(f"{path}: has no {lacks}")
    try:
        return DealerConfig(account_index=told["account_index"], api_keys=keys)
    except ConfigError as error:
        raise type(error)(f"{path}: {error}") from None


def _text(path: Path) -> bytes:
    # A pipe must not keep us waiting for somebody to write into it.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        link = path.is_symlink()
        why = "is a symbolic link; name the file itself" if link else error.strerror
        raise ConfigError(f"{path}: cannot be opened: {why}") from None
    try:
        _check(path, os.fstat(descriptor))
        raw = os.read(descriptor, LARGEST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(raw) > LARGEST_BYTES:
        raise ConfigError(f"{path}: has more than {LARGEST_BYTES} bytes")
    return raw


def _check(path: Path, facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise ConfigError(f"{path}: is no plain file")
    if facts.st_uid != os.geteuid():
        raise ConfigError(f"{path}: belongs to somebody else")
    if facts.st_mode & 0o077:
        raise ConfigError(f"{path}: others may read or write it; run: chmod 600 {path}")


def _document(path: Path, raw: bytes) -> dict[str, Any]:
    # Some Pythons run out of stack on what is nested without end.
    if raw.count(b"[") + raw.count(b"{") > MOST_BRACKETS:
        raise ConfigError(f"{path}: is not JSON that holds keys")
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        # Without its cause, which repeats the text.
        raise ConfigError(f"{path}: is not JSON") from None
    if not isinstance(told, dict):
        raise ConfigError(f"{path}: is no object of names and values")
    return told
