"""All settings of a local exchange as one TOML file that a person can edit.

The names are those of `VenueSettings`; a setting that is a set of settings is a table
of its own, as `[stream_limits]`, and so are `[weights]` and the tiers:
`[tiers.premium]` with `[tiers.premium.caps]`.
"""

from __future__ import annotations

import difflib
import inspect
import json
import re
import textwrap
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError
from wrappy.protocol.tiers import DEFAULT_WEIGHT, TIERS, WEIGHTS, OrderCaps, Tier
from wrappy.venue.flow_settings import FlowSettings, flow_from, flow_table
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
    del known["synthetic"]  # said in the table [flow]
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name == "flow" and isinstance(value, dict):
            kind, found["synthetic"] = flow_from(value)
            if kind is not None:
                found[name] = _typed("flow.kind", kind, known[name])
        elif name == "tiers":
            found[name] = _tiers(value)
        elif name == "weights":
            found[name] = _weights(value)
        elif name in known and is_dataclass(known[name]):
            found[name] = _group(name, value, known[name])
        elif name in known:
            found[name] = _value(name, value, known[name])
        else:
            raise ConfigError(_unknown(name, known))
    return VenueSettings(**found)


def settings_table(settings: VenueSettings) -> dict[str, Any]:
    """Return settings in the types of TOML and JSON, as `settings_from` takes them."""
    table = asdict(settings)
    table["symbols"] = list(settings.symbols)
    if table.pop("synthetic"):
        table["flow"] = flow_table(settings.flow, settings.synthetic)
    table["spot_balances"] = list(settings.spot_balances)
    table["tape"] = str(settings.tape)
    if settings.tape is None:
        del table["tape"]
    table["tiers"] = {tier.name: _tier_table(tier) for tier in settings.tiers}
    table["weights"] = dict(settings.weights)
    return table


def settings_text(settings: VenueSettings | None = None) -> str:
    """Return a TOML file with all settings and what they mean, the defaults if None.

    Reading it gives equal settings.
    """
    settings = settings or _DEFAULTS
    table = settings_table(settings)
    words = _words(VenueSettings)
    groups = {f.name: f.default for f in fields(VenueSettings) if _is_group(f.default)}
    tables = {"tiers", "weights", "synthetic", *groups}
    if settings.synthetic:
        tables.add("flow")
    lines = ["# Settings of a local exchange: python -m wrappy.venue --settings FILE"]
    for open_reading in (False, True):
        if open_reading:
            lines += ["", "# Open readings: points on which the public documents"]
            lines += ["# disagree or are silent; each default is the likeliest."]
        for field in fields(VenueSettings):
            about = words.get(field.name, "")
            if about.startswith(_OPEN_READING) != open_reading or field.name in tables:
                continue
            lines += ["", *_comment(about.removeprefix(_OPEN_READING))]
            lines += _choices(field.name)
            if field.name in table:
                lines += _assignment(field.name, table[field.name])
            else:
                lines.append(f"# {field.name} = {_EXAMPLES.get(field.name, '...')}")
    for group, default in groups.items():
        lines += ["", *_comment(words[group]), f"[{group}]"]
        told = _words(type(default))
        for name, value in table[group].items():
            lines += [*_comment(told[name]), f"{name} = {_literal(value)}"]
    lines += ["", *_flow_lines(settings, words["synthetic"])]
    lines += ["", f"# Weights of REST requests; any other path has {DEFAULT_WEIGHT}."]
    lines += ["[weights]", *_pairs({f'"{p}"': w for p, w in _all_weights(settings)})]
    lines += ["", "# Fees in 1e-6 of the value, delays in ms, requests in a minute."]
    for name in TIERS:
        tier = settings.tier_named(name)
        caps = _tier_table(tier)
        own = {key: value for key, value in caps.items() if key != "caps"}
        lines += ["", f"[tiers.{name}]", *_pairs(own)]
        lines += ["", f"[tiers.{name}.caps]", *_pairs(caps["caps"])]
    return "\n".join(lines) + "\n"


def _flow_lines(settings: VenueSettings, about: str) -> list[str]:
    lines = _comment(about)
    if not settings.synthetic:
        # As an example: the table would have to say what `flow` says above.
        told = _words(FlowSettings)
        for field in fields(FlowSettings)[1:]:
            value = '"3100.00"' if field.name == "start_price" else field.default
            shown = value if isinstance(value, str) and '"' in value else None
            text = shown or ("1" if value is None else _literal(value))
            lines += [*_comment(told[field.name]), f"# {field.name} = {text}"]
        return lines
    table = flow_table(settings.flow, settings.synthetic)
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    lines += ["[flow]", *_pairs(plain)]
    for symbol, values in table.items():
        if isinstance(values, dict):
            lines += ["", f"[flow.{_literal(symbol)}]", *_pairs(values)]
    return lines


def _is_group(default: object) -> bool:
    return is_dataclass(default) and not isinstance(default, type)


def _all_weights(settings: VenueSettings) -> list[tuple[str, int]]:
    return list((WEIGHTS | dict(settings.weights)).items())


def _words(kind: type) -> dict[str, str]:
    # The class says what its fields mean; saying it twice would let the two differ.
    documentation = inspect.getdoc(kind) or ""
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


def _assignment(name: str, value: Any) -> list[str]:
    line = f"{name} = {_literal(value)}"
    if len(line) <= _WIDTH + 2 or not isinstance(value, list):
        return [line]
    return [f"{name} = [", *(f"    {_literal(one)}," for one in value), "]"]


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


def _group(name: str, table: Any, default: Any) -> Any:
    known = {field.name: getattr(default, field.name) for field in fields(default)}
    for key, value in _table(name, table).items():
        where = f"{name}.{key}"
        if key not in known:
            raise ConfigError(_unknown(where, [f"{name}.{one}" for one in known]))
        _typed(where, value, known[key])
    return replace(default, **table)


def _weights(table: Any) -> tuple[tuple[str, int], ...]:
    for path, weight in _table("weights", table).items():
        if not path.startswith("/"):
            raise ConfigError(f"weights.{path}: is no path, such as /api/v1/trades")
        _typed(f"weights.{path}", weight, 1)
    return tuple((p, w) for p, w in table.items() if w != WEIGHTS.get(p))


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
