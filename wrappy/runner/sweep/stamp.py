"""By what a stored trial is known to be still true: its code and its data."""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a trial depends on besides its parameters.

    Attributes:
        code: hash of what is run.
        data: hash of what it runs on; empty when not known.
    """

    code: str
    data: str = ""


@runtime_checkable
class Stamped(Protocol):
    """A run that knows its own stamp."""

    def stamp(self) -> Stamp:
        """Return hashes of its code and data."""
        ...


def stamp_of(run: Any) -> Stamp:
    """Return a run's stamp: its own, or that of the file its code is in.

    A function's arguments that are bound with `functools.partial` are not looked at,
    and neither is what it reads: a run that has data gives a stamp itself.
    """
    if isinstance(run, Stamped):
        return run.stamp()
    while isinstance(run, partial):
        run = run.func
    code = run if inspect.isroutine(run) or inspect.isclass(run) else type(run)
    return Stamp(code=code_hash(code))


def code_hash(*codes: Any) -> str:
    """Return a hash of the files that classes or functions come from.

    This package's version is in it; what those files import is not.
    """
    digest = hashlib.sha256(_version().encode())
    for code in codes:
        digest.update(f"\n{code.__module__}.{code.__qualname__}\n".encode())
        try:
            source = inspect.getsourcefile(code)
        except TypeError:
            source = None
        if source is not None and Path(source).is_file():
            digest.update(Path(source).read_bytes())
    return digest.hexdigest()


def _version() -> str:
    try:
        return version("wrappy-lighter")
    except PackageNotFoundError:
        return ""
