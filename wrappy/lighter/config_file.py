"""The config file as a file: what may be opened, and what text is looked at."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_FILE = 1_000_000
MOST_BRACKETS = 500
"""Opening brackets in one file: far more than settings have, and no depth at which a
parser could run out of stack."""


def read_document(file: Path) -> tuple[Any, int]:
    """Return what a JSON file holds, and the file's mode.

    Raises:
        ConfigError: it cannot be read, is no plain file, is too large, lies behind a
            link that leads out of its folder, or is not JSON.
    """
    try:
        text, mode = _text_and_mode(file)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from error
    if text.count("[") + text.count("{") > MOST_BRACKETS:
        raise ConfigError(f"{file}: is not JSON of settings: it has too many brackets")
    try:
        return json.loads(text), mode
    except ValueError as error:
        raise ConfigError(f"{file}: is not JSON: {error}") from error


def _text_and_mode(file: Path) -> tuple[str, int]:
    """Return a file's text and mode, after a look at what it is.

    Raises:
        ConfigError: it is no plain file, is too large, or lies behind a link that
            leads out of its folder.
    """
    if file.is_symlink() and file.parent.resolve() not in file.resolve().parents:
        raise ConfigError(
            f"{file}: is a symbolic link out of its folder; name the file itself"
        )
    # A pipe must not keep us waiting for somebody to write into it.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{file}: cannot be read: it is no plain file")
        raw = stream.read(LARGEST_FILE + 1)
    if len(raw) > LARGEST_FILE:
        raise ConfigError(
            f"{file}: has more than {LARGEST_FILE} bytes; name the config file"
        )
    return raw.decode("utf-8"), mode
