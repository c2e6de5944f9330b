"""A settings file as a file: what may be opened, and TOML or YAML as plain values."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_FILE: Final = 1_000_000
MOST_BRACKETS: Final = 2_000
"""Opening brackets in one file: far more than settings have, and no depth at which a
parser could run out of stack."""

MOST_ALIASES: Final = 100
"""References in one YAML file; each may repeat what stands elsewhere."""

YAML_ENDINGS: Final = (".yaml", ".yml")


def read_document(path: Path) -> dict[str, Any]:
    """Return the tables of a settings file.

    Args:
        path: a file ending in `.toml`, `.yaml` or `.yml`.

    Raises:
        ConfigError: it cannot be read, is no plain file, is too large, lies behind a
            link that leads out of its folder, or is no TOML or YAML.
    """
    if path.suffix.lower() not in (".toml", *YAML_ENDINGS):
        raise ConfigError(
            f"{path}: is no settings file; its name has to end in .toml, .yaml or .yml"
        )
    try:
        text = _text(path)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read: it is no UTF-8 text") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if text.count("[") + text.count("{") > MOST_BRACKETS:
        raise ConfigError(f"{path}: holds no settings: it has too many brackets")
    found = _yaml(path, text) if path.suffix.lower() in YAML_ENDINGS else None
    if found is None and path.suffix.lower() == ".toml":
        found = _toml(path, text)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: holds no sections, but a {type(found).__name__}")
    return found


def _text(path: Path) -> str:
    if path.is_symlink() and path.parent.resolve() not in path.resolve().parents:
        raise ConfigError(
            f"{path}: is a symbolic link out of its folder; name the file itself"
        )
    # A pipe must not keep us waiting for somebody to write into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigError(f"{path}: cannot be read: it is no plain file")
        raw = stream.read(LARGEST_FILE + 1)
    if len(raw) > LARGEST_FILE:
        raise ConfigError(
            f"{path}: has more than {LARGEST_FILE} bytes; that is no settings file"
        )
    return raw.decode("utf-8")


def _toml(path: Path, text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is no TOML: {_one_line(error)}") from error
    return found


def _yaml(path: Path, text: str) -> Any:
    try:
        # It is needed for files in YAML only, and belongs to an extra.
        import yaml  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"{path}: YAML needs: pip install 'wrappy-lighter[bot]'; or write TOML"
        ) from error
    try:
        events = list(yaml.parse(text, Loader=yaml.SafeLoader))
        aliases = sum(isinstance(event, yaml.AliasEvent) for event in events)
        if aliases > MOST_ALIASES:
            raise ConfigError(f"{path}: has {aliases} references; write values out")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            _no_key_twice(path, node)
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: is no YAML: {_one_line(error)}") from error


def _no_key_twice(path: Path, top: Any) -> None:
    """Refuse what the parser would read silently: the last of two equal keys."""
    waiting, seen = [top], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or isinstance(node.value, str):
            continue
        seen.add(id(node))
        pairs = [entry for entry in node.value if isinstance(entry, tuple)]
        names = [str(key.value) for key, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"{path}: {name}: stands there twice")
        waiting += [value for _, value in pairs]
        waiting += [entry for entry in node.value if not isinstance(entry, tuple)]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
