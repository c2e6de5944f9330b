"""What strategies keep over a restart: one small JSON file each."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

logger = logging.getLogger("wrappy.engine")

MOST_BYTES: Final = 1_000_000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class SavedStates:
    """States of strategies in one folder, readable by their owner only.

    Args:
        folder: made when it is absent.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> dict[str, Any]:
        """Return what was saved under a name; nothing when nothing was.

        Raises:
            ConfigError: the file cannot be read, or holds no JSON object.
        """
        path = self._path(name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
        with os.fdopen(descriptor, "rb") as file:
            raw = file.read(MOST_BYTES + 1)
        try:
            state = json.loads(raw)
        except ValueError:
            state = None
        if len(raw) > MOST_BYTES or not isinstance(state, dict):
            raise ConfigError(f"{path}: holds no saved state; remove it to start anew")
        return state

    def write(self, name: str, state: Mapping[str, Any]) -> None:
        """Save a state, as a whole or not at all; a full disk is logged.

        Raises:
            ConfigError: the name cannot be a file's, or the state is no JSON or too
            long.
        """
        path = self._path(name)
        try:
            raw = json.dumps(dict(state), default=str).encode()
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{name}.save: is no JSON ({error})") from error
        if len(raw) > MOST_BYTES:
            raise ConfigError(
                f"{name}.save: {len(raw)} bytes are more than {MOST_BYTES}; it could "
                "not be read again"
            )
        spare = path.with_suffix(".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(spare, flags, 0o600), "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            spare.replace(path)
        except OSError as error:
            logger.error("%s could not be saved: %s", path, error.strerror)  # noqa: TRY400
            with contextlib.suppress(OSError):
                spare.unlink()

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"name: {name!r} cannot be a file's; use letters, digits, _ . -"
            )
        return self._folder / f"{name}.json"
