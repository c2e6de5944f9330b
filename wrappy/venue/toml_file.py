"""Files in TOML: read here, whatever the Python version."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from wrappy.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pathlib import Path


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Return the tables of a file.

    Args:
        path: the file.
        what: name of the setting that led here, for the error.

    Raises:
        ConfigError: it cannot be read, or is no TOML; the message is one line.
    """
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = error.strerror or error
        raise ConfigError(f"{what}: {path} cannot be read: {why}") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, too deep
        raise ConfigError(f"{what}: {path} is no TOML: {error}") from error
    return found
