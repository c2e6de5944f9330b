"""What a made-up market is like: one object a market, one `[flow]` table in a file."""

from __future__ import annotations

import difflib
import math
from dataclasses import asdict, dataclass, fields, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError
from wrappy.venue.price_walk import MOST_CLUSTERING, PROCESSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.venue.price_walk import Process

DEFAULT_VOLATILITY: Final = 0.4
"""Standard deviation of a year's returns."""

LIMITS: Final[dict[str, tuple[float, float]]] = {
    "events_per_s": (0.001, 1_000_000.0),
    "volatility": (0.0, 10.0),
    "half_life_s": (0.001, 1e9),
    "jumps_per_day": (0.0, 1e6),
    "jump_size": (0.0, 1.0),
    "clustering": (0.0, MOST_CLUSTERING),
    "clustering_s": (0.001, 1e6),
}
"""Smallest and largest value of each number."""


def _check(name: str, value: float, lowest: float, highest: float) -> None:
    """Check a number against its bounds.

    Raises:
        ConfigError: it lies outside, or is not a number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{name}: {value!r} is not a number")
    if not lowest <= value <= highest:
        raise ConfigError(f"{name}: {value!r} is not within {lowest:g} and {highest:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSettings:
    """What one synthetic market is like, or all that have no settings of their own.

    Attributes:
        symbol: its market; empty for all without one of their own.
        seed: chooses its course; the exchange's own seed when None.
        start_price: USDC at which it opens; by symbol when None.
        events_per_s: mean number of events a second, 0.001 to 1,000,000.
        volatility: standard deviation of a year's returns, 0 to 10.
        process: course of the fair price: `anchored` wanders and is drawn weakly to
            an anchor that follows it, `gbm` wanders freely (geometric Brownian
            motion), `ou` returns to where it began (Ornstein-Uhlenbeck).
        half_life_s: seconds in which half of a deviation goes, for `ou`.
        jumps_per_day: sudden moves a day, on average.
        jump_size: standard deviation of one such move, as a part of the price.
        clustering: how many events an event brings on average, 0 for none, at most
            0.95; with it the price moves by events and not by the clock.
        clustering_s: seconds in which an event's influence falls to 1/e.

    Raises:
        ConfigError: a value that cannot work.
    """

    symbol: str = ""
    seed: int | None = None
    start_price: Decimal | None = None
    events_per_s: float = 10.0
    volatility: float = DEFAULT_VOLATILITY
    process: Process = "anchored"
    half_life_s: float = 600.0
    jumps_per_day: float = 0.0
    jump_size: float = 0.01
    clustering: float = 0.0
    clustering_s: float = 1.0

    def __post_init__(self) -> None:
        for name, (lowest, highest) in LIMITS.items():
            _check(name, getattr(self, name), lowest, highest)
        if self.process not in PROCESSES:
            words = ", ".join(map(repr, PROCESSES))
            raise ConfigError(f"process: {self.process!r} is none of {words}")


_DEFAULTS: Final = FlowSettings()


def flow_from(table: Mapping[str, Any]) -> tuple[str | None, tuple[FlowSettings, ...]]:
    """Return what a `[flow]` table says: the flow's kind, or None, and its markets.

    Names are those of `FlowSettings`; a table in the table is of the market that
    names it, and takes what it does not say from the table around it.

    Raises:
        ConfigError: a name is unknown or a value cannot work; the message has the
            path of the key.
    """
    common: dict[str, Any] = {}
    markets: dict[str, Mapping[str, Any]] = {}
    kind = None
    for name, value in table.items():
        if name == "kind":
            kind = value
        elif isinstance(value, dict):
            markets[name.upper()] = value
        else:
            common[name] = value
    every = _settings("flow", _DEFAULTS, common)
    found = [] if every == _DEFAULTS else [every]
    for symbol, values in markets.items():
        one = replace(every, symbol=symbol)
        found.append(_settings(f"flow.{symbol}", one, values))
    return kind, tuple(found)


def flow_table(kind: str, markets: tuple[FlowSettings, ...]) -> dict[str, Any]:
    """Return the `[flow]` table that `flow_from` reads as this, in JSON's types."""
    table: dict[str, Any] = {"kind": kind}
    every = next((one for one in markets if not one.symbol), _DEFAULTS)
    table |= _said(every, _DEFAULTS)
    for one in markets:
        if one.symbol:
            table[one.symbol] = _said(one, every)
    return table


def flow_of(symbol: str, markets: tuple[FlowSettings, ...]) -> FlowSettings:
    """Return a market's settings: its own, else those of all, else the defaults."""
    every = next((one for one in markets if not one.symbol), _DEFAULTS)
    return next((one for one in markets if one.symbol == symbol), every)


def _said(one: FlowSettings, other: FlowSettings) -> dict[str, Any]:
    known, values = asdict(other), asdict(one)
    said = {
        name: value
        for name, value in values.items()
        if name != "symbol" and value != known[name]
    }
    if said.get("start_price") is not None:
        said["start_price"] = str(said["start_price"])
    return {name: value for name, value in said.items() if value is not None}


def _settings(path: str, base: FlowSettings, values: Mapping[str, Any]) -> FlowSettings:
    names = [field.name for field in fields(FlowSettings) if field.name != "symbol"]
    changed: dict[str, Any] = {}
    for name, value in values.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {path}.{near[0]}?" if near else f"there are {names}"
            raise ConfigError(f"{path}.{name}: no such setting; {hint}")
        changed[name] = _value(f"{path}.{name}", value)
    try:
        return replace(base, **changed)
    except ConfigError as error:
        raise ConfigError(f"{path}.{error}") from error


def _value(path: str, value: Any) -> Any:
    name = path.rpartition(".")[2]
    if name == "seed" and type(value) is not int:
        raise ConfigError(f"{path}: {value!r} is not a whole number, such as 7")
    if name == "process" and not isinstance(value, str):
        raise ConfigError(f'{path}: {value!r} is not a text, such as "ou"')
    if name != "start_price":
        return value
    try:
        price = Decimal(value if isinstance(value, (str, int)) else str(value))
    except InvalidOperation:
        price = Decimal("nan")
    if isinstance(value, bool) or not (price.is_finite() and math.isfinite(price)):
        raise ConfigError(f'{path}: {value!r} is not a price, such as "3100.00"')
    return price
