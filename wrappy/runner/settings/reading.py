"""Reads a settings file: everything is checked before anything is used."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wrappy.errors import ConfigError
from wrappy.lighter.config import read_environment
from wrappy.lighter.config_checks import shown
from wrappy.runner.alerts.settings import AlertSettings
from wrappy.runner.monitor.settings import MonitorSettings
from wrappy.runner.risk.limits import RiskLimits
from wrappy.runner.settings.document import read_document
from wrappy.runner.settings.sections import (
    BacktestSection,
    BotSettings,
    EngineSection,
    LogSection,
    NetworkSection,
    StrategySection,
)
from wrappy.runner.settings.tables import no_secrets, read_table

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECTIONS = {
    "network": NetworkSection,
    "engine": EngineSection,
    "log": LogSection,
    "backtest": BacktestSection,
    "monitor": MonitorSettings,
    "alerts": AlertSettings,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Whole:
    """The names at the top of a file."""

    network: Any = None
    strategies: Any = None
    risk: Any = None
    engine: Any = None
    monitor: Any = None
    alerts: Any = None
    log: Any = None
    backtest: Any = None


def read_settings(
    path: str | Path | None, *, environment: Mapping[str, str] | None = None
) -> BotSettings:
    """Return the settings of a file, with what the environment says instead.

    Args:
        path: a file in TOML or YAML; None takes every default.
        environment: variables; None takes this process's.

    Raises:
        ConfigError: the file cannot be used; one line that names file, key and value.
    """
    if path is None:
        return _with_environment(BotSettings(), environment)
    file = Path(path)
    document = read_document(file)
    try:
        read = settings_of(document)
    except ConfigError as error:
        raise type(error)(f"{file.name}: {error}") from None
    return _with_environment(
        dataclasses.replace(read, path=file.absolute()), environment
    )


def settings_of(document: Mapping[str, Any]) -> BotSettings:
    """Return settings made of the tables of a file.

    Raises:
        ConfigError: a key or value cannot be; the message begins with its path.
    """
    no_secrets(document)
    whole = read_table(_Whole, document, where="")
    sections: dict[str, Any] = {
        name: read_table(kind, document[name], where=name)
        for name, kind in _SECTIONS.items()
        if name in document
    }
    if "risk" in document:
        table = _table(whole.risk, "risk")
        sections["limits"] = RiskLimits.from_settings(table, path="risk")
    return BotSettings(strategies=_strategies(whole.strategies), **sections)


def _strategies(rows: object) -> tuple[StrategySection, ...]:
    if rows is None:
        return ()
    if not isinstance(rows, list):
        raise ConfigError(
            f"strategies: {_kind(rows)} is not a list; write [[strategies]] over each"
        )
    made = tuple(
        read_table(StrategySection, row, where=f"strategies[{index}]")
        for index, row in enumerate(rows)
    )
    names = [row.name for row in made if row.enabled and row.name is not None]
    for index, row in enumerate(made):
        if row.enabled and row.name is not None and names.count(row.name) > 1:
            raise ConfigError(
                f"strategies[{index}].name: {row.name!r} stands there twice; every "
                "strategy needs a name of its own"
            )
    return made


def _table(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{name}: {shown(value)} is not a table of names and values")
    return value


def _kind(value: object) -> str:
    return "a table" if isinstance(value, dict) else shown(value)


def _with_environment(
    settings: BotSettings, environment: Mapping[str, str] | None
) -> BotSettings:
    said = read_environment(environment)
    network = {
        name: said[variable]
        for variable, name in (
            ("base_url", "url"),
            ("account_index", "account_index"),
            ("api_key_index", "api_key_index"),
        )
        if variable in said
    }
    engine = {"state_dir": said["state_dir"]} if "state_dir" in said else {}
    try:
        return dataclasses.replace(
            settings,
            network=dataclasses.replace(settings.network, **network),
            engine=dataclasses.replace(settings.engine, **engine),
        )
    except ConfigError as error:
        names = {"url": "LIGHTER_BASE_URL"}
        first, _, rest = str(error).partition(": ")
        variable = names.get(first, f"LIGHTER_{first.upper()}")
        raise ConfigError(f"{variable}: {rest}") from None
