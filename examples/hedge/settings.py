"""Settings of the hedge: a YAML file, checked whole; secrets from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from wrappy import ConfigError, DealerConfig
from wrappy.lighter.config import ApiKeyConfig
from wrappy.runner.bus import MemoryBus, MessageBus, RedisStreamBus
from wrappy.runner.settings.document import read_document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEY_VARIABLES = {"a": "HEDGE_A_PRIVATE_KEY", "b": "HEDGE_B_PRIVATE_KEY"}
BUS_VARIABLE = "REDIS_URL"
BOUNDS = {
    "size": (Decimal(0), Decimal(1_000_000)),
    "limit": (Decimal(0), Decimal(1_000_000)),
    "depth": (1, 100),
    "rounds": (1, 1_000_000),
    "slippage_bps": (1, 1_000),
    "order_timeout_s": (0.5, 3_600.0),
    "poll_s": (0.05, 60.0),
    "reconcile_s": (0.2, 5.0),
    "hedge_for_s": (1.0, 600.0),
    "flatten_after_s": (2.0, 600.0),
    "halt_after_s": (3.0, 3_600.0),
    "bus_patience_s": (0.5, 600.0),
}
"""Least and most of every number; 0 itself is not allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySettings:
    """How the pair trades.

    Attributes:
        market: market by name.
        size: of leg A's orders, in the base asset.
        limit: net exposure that may stay open, in the base asset.
        depth: leg A quotes at this level of its side of the book, 1 is the best.
        rounds: opening and closing so often, then the end.
        slippage_bps: bound of leg B's market orders, 1e-4 of the opposite price.
        order_timeout_s: leg A's order is canceled and placed anew after that.
        poll_s: how often leg A looks at its order.
        reconcile_s: how often both positions are compared.
        hedge_for_s, flatten_after_s, halt_after_s: see `book.Patience`.
        bus_patience_s: leg A stops quoting when the bus is down for so long.
    """

    market: str = "ETH"
    size: Decimal = Decimal("0.05")
    limit: Decimal = Decimal("0.005")
    depth: int = 1
    rounds: int = 2
    slippage_bps: int = 100
    order_timeout_s: float = 10.0
    poll_s: float = 0.25
    reconcile_s: float = 2.0
    hedge_for_s: float = 1.5
    flatten_after_s: float = 3.5
    halt_after_s: float = 15.0
    bus_patience_s: float = 3.0

    def __post_init__(self) -> None:
        """Refuse times out of order: the legs must not act at the same moment."""
        if self.flatten_after_s < self.hedge_for_s + 2:
            raise ConfigError(
                f"strategy.flatten_after_s: {self.flatten_after_s:g} has to be at "
                f"least 2 s above hedge_for_s ({self.hedge_for_s:g}), or both legs "
                "would close the same exposure"
            )
        if self.halt_after_s <= self.flatten_after_s:
            raise ConfigError(
                f"strategy.halt_after_s: {self.halt_after_s:g} has to be above "
                f"flatten_after_s ({self.flatten_after_s:g})"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeSettings:
    """Everything the file says.

    Attributes:
        base_url: address of the exchange.
        chain_id: signed into transactions; None derives it from the address.
        accounts: account index and key index of the legs `a` and `b`.
        strategy: how the pair trades.
    """

    base_url: str
    chain_id: int | None
    accounts: Mapping[str, tuple[int, int]]
    strategy: StrategySettings = field(default_factory=StrategySettings)

    def dealer_config(self, leg: str) -> DealerConfig:
        """Return a leg's settings, its key taken from the environment.

        Raises:
            ConfigError: the variable is not set.
        """
        account, key_index = self.accounts[leg]
        secret = os.environ.get(KEY_VARIABLES[leg])
        if not secret:
            raise ConfigError(
                f"{KEY_VARIABLES[leg]}: is not set; it holds the private key of "
                f"account {account}"
            )
        return DealerConfig(
            base_url=self.base_url,
            chain_id=self.chain_id,
            account_index=account,
            api_keys=(ApiKeyConfig(key_index, secret),),
            symbol=self.strategy.market,
        )


def read_settings(path: Path) -> HedgeSettings:
    """Return the settings of a file.

    Raises:
        ConfigError: something is missing, unknown or out of bounds; it names the key.
    """
    found = read_document(path)
    _only(found, ("lighter", "accounts", "strategy"), "")
    lighter, accounts = _table(found, "lighter"), _table(found, "accounts")
    _only(lighter, ("base_url", "chain_id"), "lighter.")
    _only(accounts, ("account_a", "account_b"), "accounts.")
    url, chain_id = lighter.get("base_url"), lighter.get("chain_id")
    if not isinstance(url, str):
        raise ConfigError(
            f"lighter.base_url: {url!r} is no address; give http(s)://..."
        )
    if chain_id is not None:
        chain_id = _whole(chain_id, "lighter.chain_id", 1, 2**31)
    seats = {leg: _seat(accounts, f"account_{leg}") for leg in KEY_VARIABLES}
    if seats["a"][0] == seats["b"][0]:
        raise ConfigError(
            "accounts.account_b.account_index: is leg A's; a hedge has two"
        )
    strategy = strategy_settings(_table(found, "strategy"))
    return HedgeSettings(
        base_url=url, chain_id=chain_id, accounts=seats, strategy=strategy
    )


def strategy_settings(table: Mapping[str, Any]) -> StrategySettings:
    """Return the strategy's settings out of plain values.

    Raises:
        ConfigError: a key is unknown, or its value out of bounds.
    """
    known = {one.name: one for one in fields(StrategySettings)}
    _only(table, tuple(known), "strategy.")
    read: dict[str, Any] = {}
    for name, value in table.items():
        where = f"strategy.{name}"
        if name == "market":
            if not isinstance(value, str):
                raise ConfigError(f"{where}: {value!r} is no market's name")
            read[name] = value
        elif isinstance(BOUNDS[name][0], int):
            read[name] = _whole(value, where, *BOUNDS[name])
        else:
            number = _number(value, where, *BOUNDS[name])
            read[name] = number if name in ("size", "limit") else float(number)
    return StrategySettings(**read)


def open_bus() -> MessageBus:
    """Return the bus: Redis Streams where REDIS_URL is set, memory otherwise."""
    url = os.environ.get(BUS_VARIABLE)
    return RedisStreamBus(url) if url else MemoryBus()


def _seat(accounts: Mapping[str, Any], name: str) -> tuple[int, int]:
    table, where = _table(accounts, name, "accounts."), f"accounts.{name}."
    _only(table, ("account_index", "api_key_index"), where)
    account = _whole(table.get("account_index"), f"{where}account_index", 0, 2**48)
    return account, _whole(table.get("api_key_index"), f"{where}api_key_index", 4, 254)


def _table(found: Mapping[str, Any], name: str, where: str = "") -> Mapping[str, Any]:
    table = found.get(name, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{where}{name}: {table!r} is no section")
    return table


def _only(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in table:
        if "private_key" in str(name):
            raise ConfigError(
                f"{where}{name}: secrets do not belong into a file; set "
                f"{' and '.join(KEY_VARIABLES.values())}"
            )
        if name not in known:
            raise ConfigError(f"{where}{name}: is unknown; known: {', '.join(known)}")


def _whole(value: object, where: str, low: Any, high: Any) -> int:
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or not low <= value <= high
    ):
        raise ConfigError(f"{where}: {value!r} is no whole number in {low}..{high}")
    return value


def _number(value: object, where: str, low: Any, high: Any) -> Decimal:
    try:
        number = Decimal("NaN") if isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number <= 0 or not low <= number <= high:
        raise ConfigError(f"{where}: {value!r} is no number above 0 in {low}..{high}")
    return number
