"""Trials in a SQLite file, so that a sweep which was stopped goes on."""

from __future__ import annotations

import json
import sqlite3
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast, final

from wrappy.errors import ConfigError
from wrappy.runner.performance.results import Results
from wrappy.runner.sweep.result import State, Trial

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

SCHEMA: Final = 1

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS sweeps (
    sweep TEXT PRIMARY KEY, method TEXT NOT NULL, seed INTEGER NOT NULL,
    space TEXT NOT NULL, code_hash TEXT NOT NULL, data_hash TEXT NOT NULL,
    label TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS trials (
    sweep TEXT NOT NULL REFERENCES sweeps, number INTEGER NOT NULL,
    parameters TEXT NOT NULL, state TEXT NOT NULL, figures TEXT NOT NULL,
    results BLOB, error TEXT NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (sweep, number)
);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What makes two sweeps the same one.

    Attributes:
        method: how values are chosen.
        seed: of that choice.
        space: what is tried, as plain values.
        code_hash: of what is run.
        data_hash: of what it runs on.
        label: which part of a larger sweep it is; empty for a whole one.
    """

    method: str
    seed: int
    space: Mapping[str, Any]
    code_hash: str
    data_hash: str
    label: str = ""

    def row(self) -> tuple[str | int, ...]:
        """Return the columns of the table."""
        space = json.dumps(self.space, sort_keys=True)
        return (
            self.method,
            self.seed,
            space,
            self.code_hash,
            self.data_hash,
            self.label,
        )


@final
class TrialStore:
    """Trials by sweep, each written at once.

    It holds parameters, figures, seed and hashes, and nothing that is secret. Only the
    process that sweeps writes; its workers do not open it.

    Args:
        path: of the file, made when missing; None keeps everything in memory.

    Raises:
        ConfigError: the file is something else, or of another version.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = path
        """Where it is; None in memory."""

        try:
            self._database = sqlite3.connect(":memory:" if path is None else path)
            with ExitStack() as stack:
                stack.callback(self._database.close)
                self._prepare()
                stack.pop_all()
        except sqlite3.DatabaseError as error:
            raise ConfigError(
                f"{path}: cannot keep trials there ({error}); give another file"
            ) from error

    def __enter__(self) -> TrialStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _prepare(self) -> None:
        (found,) = self._database.execute("PRAGMA user_version").fetchone()
        if found not in (0, SCHEMA):
            raise ConfigError(
                f"{self.path}: holds trials in format {found}, not {SCHEMA}; give "
                "another file"
            )
        self._database.execute("PRAGMA journal_mode = WAL")
        # What a loss of power takes from the end is run again; the file stays whole,
        # and a process that dies takes nothing.
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(_TABLES)
        self._database.execute(f"PRAGMA user_version = {SCHEMA}")
        self._database.commit()

    def begin(self, name: str, identity: Identity) -> None:
        """Enter a sweep; once more does nothing."""
        with self._database:
            self._database.execute(
                "INSERT OR IGNORE INTO sweeps VALUES (?, ?, ?, ?, ?, ?, ?)",
                (name, *identity.row()),
            )

    def save(self, sweep: str, trial: Trial) -> None:
        """Write a trial, in place of one with the same number."""
        figures: dict[str, Any] = {}
        packed = None
        if trial.results is not None:
            figures = trial.results.figures()
            packed = trial.results.to_json()
        with self._database:
            self._database.execute(
                "INSERT OR REPLACE INTO trials VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    sweep,
                    trial.number,
                    _written(trial.parameters),
                    trial.state,
                    json.dumps(figures, default=str),
                    packed,
                    trial.error,
                    trial.seconds,
                ),
            )

    def trials(self, sweep: str) -> dict[int, Trial]:
        """Return what is known of a sweep, by number."""
        rows = self._database.execute(
            "SELECT number, parameters, state, results, error, seconds FROM trials "
            "WHERE sweep = ? ORDER BY number",
            (sweep,),
        )
        return {
            number: Trial(
                number=number,
                parameters=json.loads(parameters),
                state=cast("State", state),
                results=None if packed is None else Results.from_json(packed),
                error=error,
                seconds=seconds,
            )
            for number, parameters, state, packed, error, seconds in rows
        }

    def others(self, name: str, identity: Identity) -> int:
        """Return how many trials were made for the same space with other code or data.

        They are kept, and not used.
        """
        (count,) = self._database.execute(
            "SELECT count(*) FROM trials JOIN sweeps USING (sweep) WHERE sweep != ? "
            "AND method = ? AND seed = ? AND space = ? AND label = ?",
            (name, *identity.row()[:3], identity.label),
        ).fetchone()
        return int(count)


def _written(parameters: Mapping[str, Any]) -> str:
    return json.dumps(dict(parameters), sort_keys=True)
