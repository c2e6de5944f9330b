"""Turns tables of settings into typed values, without guessing, and says what is wrong.

Every message names the place as a path of keys: `strategies[0].parameters.lookback`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from wrappy.errors import ConfigError
from wrappy.lighter.config_checks import shown

T = TypeVar("T")

_KINDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "Decimal": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "",
}
_EXPECTED: Final = re.compile(r"Expected `([^`]*)`, got `([^`]*)`(.*)", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")

SECRET_NAMES: Final = frozenset(
    {
        "api_key",
        "api_key_private_key",
        "api_private_key",
        "api_secret",
        "auth_token",
        "key",
        "l1_key",
        "l1_private_key",
        "lighter_api_key",
        "mnemonic",
        "passphrase",
        "password",
        "private_key",
        "secret",
        "secret_key",
        "token",
    }
)
"""Names under which a settings file must hold nothing."""

_KEY_LIKE: Final = re.compile(
    r"(0[xX])?[0-9a-fA-F]{64,}|ro:.*|\d+:\d+:\d+:[0-9a-f]{64,}"
)


def read_table(kind: type[T], table: object, *, where: str) -> T:
    """Return a dataclass made of a table; what is not given keeps its default.

    A whole number is taken where a Decimal or a float is asked for, a float where a
    Decimal is, through its shortest text, and digits as text. Nothing else is
    converted, and no number may be infinite or none at all.

    Args:
        kind: the dataclass.
        table: values by name.
        where: path of the table; empty for the whole file.

    Raises:
        ConfigError: a key is unknown or missing, or a value cannot be.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: {shown(table)} is not a table of names and values")
    fields = {f.name: f for f in dataclasses.fields(kind) if f.init}  # type: ignore[arg-type]
    for name in table:
        if name not in fields:
            raise ConfigError(_unknown(where, str(name), list(fields)))
    for name, field in fields.items():
        if name not in table and _has_no_default(field):
            raise ConfigError(f"{joined(where, name)}: is missing; it has no default")
    try:
        made = msgspec.convert(dict(table), kind, strict=True, dec_hook=_no_guess)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, ConfigError):
            # A check of the dataclass's own; its words begin with the field's name.
            raise ConfigError(joined(where, str(error.__cause__))) from None
        raise ConfigError(_in_words(str(error), table, where)) from None
    for name in fields:
        value = getattr(made, name)
        if isinstance(value, (float, Decimal)) and not math.isfinite(value):
            raise ConfigError(f"{joined(where, name)}: {value} is not a number")
    return made


def joined(where: str, name: str) -> str:
    """Return the path of a name within a table."""
    return f"{where}.{name}" if where else name


def no_secrets(value: object, *, where: str = "") -> None:
    """Refuse a document that holds a key, a token or a password.

    Raises:
        ConfigError: there is one; the message names its place and never repeats it.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            place = joined(where, str(name))
            if str(name).lower().replace("-", "_") in SECRET_NAMES:
                raise ConfigError(_no_place(place))
            no_secrets(inner, where=place)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            no_secrets(inner, where=f"{where}[{index}]")
    elif isinstance(value, str) and _KEY_LIKE.fullmatch(value.strip()):
        raise ConfigError(_no_place(where))


def _no_place(place: str) -> str:
    return (
        f"{place}: a secret has no place in this file; set LIGHTER_API_KEY or name a "
        "file that only you can read with network.key_file"
    )


def _unknown(where: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = (
        f"; is it {near[0]}?" if near else f"; there are {', '.join(known) or 'none'}"
    )
    return f"{joined(where, name[:60])}: there is no such setting{hint}"


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _no_guess(kind: type, value: object) -> object:
    raise NotImplementedError(f"no {kind.__name__} can be read from {value!r}")


def _in_words(message: str, table: object, where: str) -> str:
    """Return what the decoder complains of, in words for whoever wrote the file."""
    reason, _, path = message.partition(" - at `$")
    place, value, known = where, table, True
    for name, index in _STEP.findall(path.rstrip("`")):
        place = joined(place, name) if name else f"{place}[{index}]"
        if name and isinstance(value, Mapping) and name in value:
            value = value[name]
        elif index.isdigit() and isinstance(value, (list, tuple)):
            value = value[int(index)]
        else:
            known = False
    told = shown(value) if known else "this"
    match = _EXPECTED.fullmatch(reason)
    if match is not None and not match[3]:
        kinds = [_KINDS.get(kind, kind) for kind in match[1].split(" | ")]
        words = " or ".join(dict.fromkeys(kind for kind in kinds if kind))
        return f"{place}: {told} is not {words}"
    reason = reason[:1].lower() + reason[1:].replace("`", "")
    return f"{place}: {told} cannot be: {reason}"
