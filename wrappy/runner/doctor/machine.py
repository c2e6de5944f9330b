"""What the doctor looks at on this machine: Python, libraries, disk, files."""

from __future__ import annotations

import platform
import re
import shutil
import stat
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Final

from wrappy.runner.doctor.findings import Finding, failure, fine, warning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

OLDEST_PYTHON: Final = (3, 10)
LITTLE_BYTES: Final = 1 << 30
NOTHING_BYTES: Final = 64 << 20
LIBRARIES: Final = {
    "aiohttp": (3, 14),
    "lighter-sdk": (1, 1, 8),
    "msgspec": (0, 19),
}
"""What the package needs, and the oldest versions."""

SECRET_MODE: Final = 0o077
OTHERS_WRITE: Final = 0o022


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Return whether this Python is new enough."""
    words = f"Python {'.'.join(map(str, version))} on {platform.system()}"
    if version < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return failure("python", words, f"install Python {oldest} or newer")
    return fine("python", words)


def libraries(version_of: Callable[[str], str] = metadata.version) -> Finding:
    """Return whether everything is installed, and new enough."""
    found, wrong = [], []
    for name, oldest in LIBRARIES.items():
        try:
            version = version_of(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is not installed")
            continue
        found.append(f"{name} {version}")
        if _numbers(version) < oldest:
            wrong.append(f"{name} {version} is older than {_dotted(oldest)}")
    if wrong:
        return failure(
            "libraries", ", ".join(wrong), "pip install --upgrade wrappy-lighter"
        )
    return fine("libraries", ", ".join(found))


def free_bytes(place: Path) -> int:
    """Return how many bytes of a disk are free."""
    return shutil.disk_usage(place).free


def disk(folder: Path, free_at: Callable[[Path], int] = free_bytes) -> Finding:
    """Return whether journal and logs have room."""
    place = _nearest(folder)
    free = free_at(place)
    words = f"{free / (1 << 30):.1f} GiB free at {place}"
    if free < NOTHING_BYTES:
        return failure("disk", words, "make room: without a journal nothing is sent")
    if free < LITTLE_BYTES:
        return warning("disk", words, "make room, or name another state_dir")
    return fine("disk", words)


def state_folder(folder: Path) -> list[Finding]:
    """Return whether the folder of journals and locks is ours alone."""
    try:
        facts = folder.lstat()
    except FileNotFoundError:
        return [fine("state folder", f"{folder} is made at the first start")]
    except OSError as error:
        return [_unreadable("state folder", folder, error)]
    if not stat.S_ISDIR(facts.st_mode):
        return [
            failure(
                "state folder",
                f"{folder} is no folder, or a link to one",
                "name a folder of your own with state_dir or LIGHTER_STATE_DIR",
            )
        ]
    if facts.st_mode & OTHERS_WRITE:
        return [
            failure(
                "state folder",
                f"others can write into {folder} ({_mode(facts.st_mode)})",
                f"chmod 700 {folder}",
            )
        ]
    return [fine("state folder", f"{folder} ({_mode(facts.st_mode)})")]


def secret_files(files: Iterable[tuple[str, Path]]) -> list[Finding]:
    """Return whether only the owner can read each of these files.

    Args:
        files: what each is, such as `key file`, and where; one that does not exist
            is a failure.
    """
    return [_secret(name, path) for name, path in files]


def _secret(name: str, path: Path) -> Finding:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return failure(name, f"{path} does not exist", "write it: wrappy init")
    except OSError as error:
        return _unreadable(name, path, error)
    if mode & SECRET_MODE:
        return failure(
            name,
            f"others can read or write {path} ({_mode(mode)})",
            f"chmod 600 {path}",
        )
    return fine(name, f"{path} ({_mode(mode)})")


def _unreadable(name: str, path: Path, error: OSError) -> Finding:
    return failure(
        name,
        f"{path} cannot be looked at ({error.strerror})",
        "run as the user whose bot it is",
    )


def _mode(mode: int) -> str:
    return f"mode {stat.S_IMODE(mode):o}"


def _nearest(folder: Path) -> Path:
    for place in (folder, *folder.absolute().parents):
        if place.exists():
            return place
    return folder.absolute()


def _numbers(version: str) -> tuple[int, ...]:
    words = (re.match(r"\d+", word) for word in version.split("."))
    return tuple(int(word.group()) for word in words if word)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
