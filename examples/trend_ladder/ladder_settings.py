"""The trend ladder's parameters, and reading them from `TREND_LADDER_*` variables."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import msgspec
from ladder_core import Rules

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.model import Market

PREFIX = "TREND_LADDER_"
BOUNDS = (
    ("rungs", 1, 100),
    ("max_take_profits", 1, 100),
    ("requote_backoff_s", 0.05, 3_600),
    ("cycle_s", 0.05, 3_600),
    ("verify_s", 0.05, 3_600),
    ("reconcile_s", 1, 86_400),
    ("telemetry_s", 0.05, 86_400),
    ("seconds", 0, 10**9),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderParameters:
    """What can be tuned; in the environment `TREND_LADDER_` and the name in capitals.

    Attributes:
        side: `buy` enters below the market and sells higher, `sell` the opposite.
        size: of each entry, in the base asset.
        rungs: entries that rest at a time.
        step: USDC from one rung to the next.
        take_profit: USDC from an entry's price to its profit.
        max_position: no entry that could take the position beyond, base asset.
        max_take_profits: reduce-only orders at a time; beyond it parts share one.
        requote: USDC that an entry may be away from its rung.
        requote_backoff_s: wait after an entry was moved; doubles up to 16 times.
        cycle_s: longest time between two looks at the coverage, seconds.
        verify_s: how long a take profit's fate is waited for, seconds.
        reconcile_s: from one comparison with the account to the next, seconds.
        telemetry_s: from one line of coverage and gap to the next, seconds.
        card: file for the status card, a page of HTML; empty for none.
        seconds: end so long after the start, flat; 0 goes on until it is stopped.

    Raises:
        ConfigError: a value that cannot work.
    """

    side: Literal["buy", "sell"] = "buy"
    size: Decimal = Decimal("0.02")
    rungs: int = 3
    step: Decimal = Decimal("0.5")
    take_profit: Decimal = Decimal("1.5")
    max_position: Decimal = Decimal("0.2")
    max_take_profits: int = 15
    requote: Decimal = Decimal("0.2")
    requote_backoff_s: float = 1.0
    cycle_s: float = 1.0
    verify_s: float = 2.0
    reconcile_s: float = 60.0
    telemetry_s: float = 10.0
    card: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name in ("size", "step", "take_profit", "max_position"):
            value = getattr(self, name)
            if not (value.is_finite() and value > 0):
                raise ConfigError(f"{name}: {value} is not above 0")
        if not (self.requote.is_finite() and self.requote >= 0):
            raise ConfigError(f"requote: {self.requote} is not 0 or above")
        # Within less than half a step of its rung an order belongs to no other.
        if self.requote * 2 >= self.step and self.rungs > 1:
            raise ConfigError(f"requote: {self.requote} is not below half the step")
        for name, low, high in BOUNDS:
            if not low <= getattr(self, name) <= high:
                raise ConfigError(
                    f"{name}: {getattr(self, name)} is not within {low}..{high}"
                )
        if self.size > self.max_position:
            raise ConfigError(f"size: {self.size} is above max_position")


def from_environment(
    environment: Mapping[str, str],
) -> tuple[LadderParameters, str]:
    """Return the parameters and the symbol that `TREND_LADDER_*` variables give.

    Raises:
        ConfigError: an unknown name, or a value that cannot work; the message names
            the variable.
    """
    names = [field.name for field in dataclasses.fields(LadderParameters)]
    given: dict[str, str] = {}
    symbol = "ETH"
    for variable, text in environment.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name == "symbol":
            symbol = text
        elif name in names:
            given[name] = text
        else:
            near = difflib.get_close_matches(name, [*names, "symbol"], 1)
            known = near or [*names, "symbol"]
            listed = ", ".join(PREFIX + one.upper() for one in known)
            raise ConfigError(
                f"{variable}: there is no such setting; there is {listed}"
            )
    try:
        return msgspec.convert(given, LadderParameters, strict=False), symbol
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`")
        if name:
            value = given[name]
            raise ConfigError(
                f"{PREFIX}{name.upper()}: {value!r}: {reason.lower()}"
            ) from None
        raise ConfigError(f"{PREFIX}{reason}") from None


def rules_of(tuned: LadderParameters, market: Market) -> Rules:
    """Return the parameters in the market's ticks and lots.

    Raises:
        ConfigError: a size below a lot, or a distance below a tick.
    """
    ticks, lots = market.price_scale, market.size_scale
    values = {
        "size": int(tuned.size * lots),
        "step": int(tuned.step * ticks),
        "take_profit": int(tuned.take_profit * ticks),
    }
    for name, value in values.items():
        if value < 1:
            raise ConfigError(
                f"{name}: {getattr(tuned, name)} is below the smallest unit of "
                f"{market.symbol}"
            )

    def smallest(price: int) -> int:
        dear = -(-market.min_quote_amount // max(1, price * market.quote_multiplier))
        return max(market.min_base_amount, dear)

    return Rules(
        sign=1 if tuned.side == "buy" else -1,
        rungs=tuned.rungs,
        most_held=int(tuned.max_position * lots),
        most_profits=tuned.max_take_profits,
        requote=int(tuned.requote * ticks),
        smallest=smallest,
        **values,
    )
