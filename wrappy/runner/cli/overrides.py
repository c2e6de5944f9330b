"""What the command line says of parameters: `NAME=VALUE`, any number of times."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from wrappy.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Sequence


def named_texts(
    flag: str, given: Sequence[str], *, example: str = "lookback=20"
) -> dict[str, str]:
    """Return texts by name.

    Args:
        flag: for errors, such as `--set`.
        given: `NAME=TEXT` each.
        example: of one, for errors.

    Raises:
        ConfigError: there is no name or no text, or a name twice.
    """
    found: dict[str, str] = {}
    for one in given:
        name, equals, text = (part.strip() for part in one.partition("="))
        if not (equals and text and name.isidentifier()):
            raise ConfigError(f"{flag}: {one!r} is no NAME=VALUE, such as {example}")
        if name in found:
            raise ConfigError(f"{flag} {name}: is given twice")
        found[name] = text
    return found


def overrides(given: Sequence[str] | None) -> dict[str, Any]:
    """Return the parameters that `--set` names, as a settings file would hold them.

    A value is what TOML makes of it, so that `20`, `0.5`, `true`, `"text"` and
    `[1, 2]` are what they are in the file. What is no TOML is text: `5m`.

    Raises:
        ConfigError: one is no `NAME=VALUE`.
    """
    return {
        name: _value(text) for name, text in named_texts("--set", given or ()).items()
    }


def _value(text: str) -> Any:
    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    # A line's end would begin another key.
    return found["value"] if len(found) == 1 else text
