"""Parameters of a strategy: a frozen dataclass, read from settings without guessing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

P = TypeVar("P")


def read_parameters(kind: type[P], given: Mapping[str, Any], *, where: str) -> P:
    """Return parameters made of settings; what is not given keeps its default.

    A whole number is taken where a Decimal or a float is asked for, a float where a
    Decimal is, through its shortest text. Nothing else is converted.

    Args:
        kind: the dataclass.
        given: values by name.
        where: place of the settings, put in front of what is wrong.

    Raises:
        ConfigError: a name is unknown or missing, or a value is of the wrong type or
            out of range; the message names it.
    """
    fields = {field.name: field for field in _fields_of(kind)}
    for name in given:
        if name not in fields:
            raise ConfigError(
                f"{where}.{name}: there is no such parameter; there are "
                f"{', '.join(fields) or 'none'}"
            )
    for name, field in fields.items():
        if name not in given and not _has_default(field):
            raise ConfigError(f"{where}.{name}: is missing; it has no default")
    if not given:
        return kind()
    try:
        return msgspec.convert(dict(given), kind, strict=True, dec_hook=_no_guess)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`")
        spot = f"{where}.{name}" if name else where
        value = f": {given[name]!r}" if name in given else ""
        raise ConfigError(f"{spot}{value}: {_lowered(reason)}") from None


def check_numbers(parameters: object, *, where: str) -> None:
    """Refuse parameters in which a number is none.

    Args:
        parameters: a dataclass; what it holds is looked at as well.
        where: whose they are, put in front of what is wrong.

    Raises:
        ConfigError: a float or Decimal is not finite; the message names it.
    """
    for path, number in _numbers(parameters, where):
        if isinstance(number, Decimal):
            is_finite = number.is_finite()
        else:
            is_finite = math.isfinite(number)
        if not is_finite:
            raise ConfigError(f"{path}: {number!r} is no finite number")


def _numbers(value: object, path: str) -> Iterator[tuple[str, float | Decimal]]:
    if isinstance(value, (float, Decimal)):
        yield path, value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _numbers(getattr(value, field.name), f"{path}.{field.name}")
    elif isinstance(value, Mapping):
        for name, held in value.items():
            yield from _numbers(held, f"{path}.{name}")
    elif isinstance(value, (tuple, list, set, frozenset)):
        for place, held in enumerate(value):
            yield from _numbers(held, f"{path}[{place}]")


def written(parameters: object) -> dict[str, Any]:
    """Return parameters as plain values by name, Decimals as text."""
    fields = _fields_of(type(parameters))
    whole = msgspec.to_builtins(
        {field.name: getattr(parameters, field.name) for field in fields}
    )
    return dict(whole)


def _fields_of(kind: type) -> tuple[dataclasses.Field[Any], ...]:
    if not dataclasses.is_dataclass(kind):
        raise ConfigError(f"{kind.__name__}: parameters have to be a dataclass")
    return tuple(field for field in dataclasses.fields(kind) if field.init)


def _has_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _no_guess(kind: type, value: object) -> object:
    raise NotImplementedError(f"no {kind.__name__} can be read from {value!r}")


def _lowered(reason: str) -> str:
    return reason[:1].lower() + reason[1:]
