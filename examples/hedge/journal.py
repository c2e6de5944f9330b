"""The fills that leg B has acted on, on disk before their messages are let go."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class HedgeJournal:
    """The fills that leg B has acted on, one line for each hedge.

    Args:
        path: the file; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def fills(self) -> list[tuple[int, int]]:
        """Return account and trade number of every fill in the file."""
        if self._path is None or not self._path.exists():
            return []
        found: list[tuple[int, int]] = []
        for line in self._path.read_text(encoding="utf-8").splitlines():
            # A line that a crash cut short was not acknowledged either.
            with contextlib.suppress(ValueError, KeyError):
                found += [(int(a), int(t)) for a, t in json.loads(line)["fills"]]
        return found

    def add(self, fills: list[tuple[int, int]], coi: int | None, lots: int) -> None:
        """Write a line, before its messages are acknowledged."""
        if self._path is None:
            return
        line = json.dumps({"fills": fills, "order": coi, "lots": lots})
        number = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(number, "a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")
