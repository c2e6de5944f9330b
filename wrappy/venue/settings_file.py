"""All settings of a local exchange as one TOML file that a person can edit.

The names are those of `VenueSettings`; the tiers are tables of their own:
`[tiers.premium]` with `[tiers.premium.caps]`.
"""

from __future__ import annotations

import difflib
import inspect
import json
import re
import textwrap
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError
from wrappy.protocol.tiers import TIERS, OrderCaps, Tier
from wrappy.venue.settings import CHOICES, VenueSettings
from wrappy.venue.toml_file import read_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WIDTH: Final = 78
_OPEN_READING: Final = "open reading: "
_DEFAULTS: Final = VenueSettings()
_FIXED: Final = frozenset({"name", "recognised"})
_LOWEST: Final = {"sends_per_minute": 1, "weight_per_minute": 1}
_MOST: Final = 2**53
_EXAMPLES: Final = {"tape": '"market.txt.gz"'}


def read_settings(path: Path) -> VenueSettings:
    """Return the settings of a file; what it leaves out keeps its default.

    A `tape` is looked for beside the file.

    Raises:
        ConfigError: it cannot be read, a name is unknown or a value cannot work; one
            line that names the key by its path.
    """
    values = read_toml(path, "settings")
    try:
        settings = settings_from(values)
    except ConfigError as error:
        raise ConfigError(f"settings: {path}: {error}") from error
    if settings.tape is None:
        return settings
    return replace(settings, tape=path.parent / settings.tape)


def settings_from(values: Mapping[str, Any]) -> VenueSettings:
    """Return the settings that a table of TOML or JSON describes.

    Raises:
        ConfigError: a name is unknown or a value cannot work.
    """
    known = {field.name: field.default for field in fields(VenueSettings)}
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name == "tiers":
            found[name] = _tiers(value)
        elif name in known:
            found[name] = _value(name, value, known[name])
        else:
            raise ConfigError(_unknown(name, known))
    return VenueSettings(**found)


def settings_table(settings: VenueSettings) -> dict[str, Any]:
    """Return settings in the types of TOML and JSON, as `settings_from` takes them."""
    table = asdict(settings)
    table["symbols"] = list(settings.symbols)
    table["tape"] = str(settings.tape)
    if settings.tape is None:
        del table["tape"]
    table["tiers"] = {tier.name: _tier_table(tier) for tier in settings.tiers}
    return table


def settings_text(settings: VenueSettings | None = None) -> str:
    """Return a TOML file with all settings and what they mean, the defaults if None.

    Reading it gives equal settings.
    """
    settings = settings or _DEFAULTS
    table = settings_table(settings)
    words = _words()
    lines = ["# Settings of a local exchange: python -m wrappy.venue --settings FILE"]
    for open_reading in (False, True):
        if open_reading:
            lines += ["", "# Open readings: points on which the public documents"]
            lines += ["# disagree or are silent; each default is the likeliest."]
        for field in fields(VenueSettings):
            about = words.get(field.name, "")
            if about.startswith(_OPEN_READING) != open_reading or field.name == "tiers":
                continue
            lines += ["", *_comment(about.removeprefix(_OPEN_READING))]
            lines += _choices(field.name)
            if field.name in table:
                lines.append(f"{field.name} = {_literal(table[field.name])}")
            else:
                lines.append(f"# {field.name} = {_EXAMPLES.get(field.name, '...')}")
    lines += ["", "# Fees in 1e-6 of the value, delays in ms, requests in a minute."]
    for name in TIERS:
        tier = settings.tier_named(name)
        caps = _tier_table(tier)
        own = {key: value for key, value in caps.items() if key != "caps"}
        lines += ["", f"[tiers.{name}]", *_pairs(own)]
        lines += ["", f"[tiers.{name}.caps]", *_pairs(caps["caps"])]
    return "\n".join(lines) + "\n"


def _words() -> dict[str, str]:
    # The class says what its fields mean; saying it twice would let the two differ.
    documentation = inspect.getdoc(VenueSettings) or ""
    section = documentation.partition("\nAttributes:\n")[2]
    found: dict[str, str] = {}
    for match in re.finditer(
        r"^    (\w+): (.*(?:\n(?: {6,}.*|(?=\n {6})))*)", section, re.MULTILINE
    ):
        found[match[1]] = " ".join(match[2].split())
    return found


def _comment(text: str) -> list[str]:
    whole = text[:1].upper() + text[1:]
    return [f"# {line}" for line in textwrap.wrap(whole, _WIDTH)]


def _choices(name: str) -> list[str]:
    choices = CHOICES.get(name, ())
    if not choices or True in choices[:1]:
        return []
    return _comment("one of " + ", ".join(map(_literal, choices)) + ".")


def _literal(value: Any) -> str:
    # JSON's spelling of numbers, texts, flags and lists of them is also TOML's.
    return json.dumps(value, ensure_ascii=False)


def _pairs(values: Mapping[str, Any]) -> Iterable[str]:
    return [f"{name} = {_literal(value)}" for name, value in values.items()]


def _tier_table(tier: Tier) -> dict[str, Any]:
    return {name: value for name, value in asdict(tier).items() if name not in _FIXED}


def _value(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise ConfigError(f'{name}: {value!r} is no list of texts, such as ["ETH"]')
        return tuple(dict.fromkeys(text.upper() for text in value))
    if default is None:
        return Path(_typed(name, value, ""))
    return _typed(name, value, default)


def _typed(name: str, value: Any, example: Any) -> Any:
    if type(value) is not type(example):
        kinds = {bool: "true or false", int: "a whole number", str: "a text"}
        wanted = kinds[type(example)]
        raise ConfigError(f"{name}: {value!r} is not {wanted}, such as {example!r}")
    return value


def _tiers(tables: Any) -> tuple[Tier, ...]:
    found = []
    for name, values in _table("tiers", tables).items():
        if name not in TIERS:
            raise ConfigError(_unknown(f"tiers.{name}", [f"tiers.{n}" for n in TIERS]))
        tier = _tier(f"tiers.{name}", TIERS[name], _table(f"tiers.{name}", values))
        if tier != TIERS[name]:
            found.append(tier)
    return tuple(found)


def _tier(path: str, tier: Tier, values: Mapping[str, Any]) -> Tier:
    changed = dict(values)
    if "caps" in changed:
        where = f"{path}.caps"
        caps = _table(where, changed["caps"])
        changed["caps"] = replace(
            tier.caps, **_numbers(where, caps, asdict(OrderCaps(0, 0, 0, 0)))
        )
    plain = {name: value for name, value in changed.items() if name != "caps"}
    return replace(tier, **changed | _numbers(path, plain, _tier_table(tier)))


def _numbers(
    path: str, values: Mapping[str, Any], known: Mapping[str, Any]
) -> dict[str, Any]:
    for name, value in values.items():
        where = f"{path}.{name}"
        if name not in known:
            raise ConfigError(_unknown(where, [f"{path}.{one}" for one in known]))
        _typed(where, value, known[name])
        low = _LOWEST.get(name, 0)
        if not isinstance(value, bool) and not low <= value <= _MOST:
            raise ConfigError(f"{where}: {value} is not within {low}..{_MOST}")
    return dict(values)


def _table(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: {value!r} is no table, such as [{where}]")
    return value


def _unknown(name: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"{name}: no such setting; {hint}"
