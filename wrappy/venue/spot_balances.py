"""What an account owns outside its positions: assets, and what orders lock of them.

Amounts are integers: USDC in 1e-6, every other asset in lots of its spot market. What
is locked belongs to the account still; it is only not free. The exchange's own
accounts may owe: they stand for everybody else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError
from wrappy.protocol.markets import BUNDLED_MARKETS, USDC_ASSET

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_AMOUNT: Final = re.compile(r"([A-Z0-9]{1,16})=([0-9]{1,12}(?:\.[0-9]{1,12})?)")
SPOT_BALANCES: Final = (
    "USDC=100000",
    "ETH=10",
    "LIT=10000",
)
"""What a user account starts with unless the settings say otherwise."""
_EXAMPLE: Final = "'USDC=5000' or 'ETH=2.5'"


@dataclass(slots=True)
class SpotEntry:
    """What was bought of an asset and not sold again.

    Attributes:
        size: lots.
        cost: what they were bought for, 1e-6 USDC, without fees.
        last_trade_id: the last trade that changed it.
    """

    size: int = 0
    cost: int = 0
    last_trade_id: int = 0


@dataclass(slots=True)
class SpotBalances:
    """The assets of one account.

    Attributes:
        held: amounts by asset, the locked ones included.
        locked: of these, what resting orders may need, by asset.
        entries: what was bought, by asset.
    """

    held: dict[int, int] = field(default_factory=dict)
    locked: dict[int, int] = field(default_factory=dict)
    entries: dict[int, SpotEntry] = field(default_factory=dict)
    _locks: dict[int, tuple[int, int]] = field(default_factory=dict)

    def balance(self, asset: int) -> int:
        """Return how much there is of an asset, locked or not."""
        return self.held.get(asset, 0)

    def add(self, asset: int, amount: int) -> None:
        """Change a balance; a negative amount leaves."""
        self.held[asset] = self.held.get(asset, 0) + amount

    def locked_by(self, order_index: int, asset: int) -> int:
        """Return what one order locks of an asset."""
        found, amount = self._locks.get(order_index, (asset, 0))
        return amount if found == asset else 0

    def lock(self, order_index: int, asset: int, amount: int) -> bool:
        """Let an order lock `amount` from now on, 0 nothing; return if that changes it.

        An order locks one asset all its life: a buy the quote asset, a sell the base.
        """
        before = self.locked_by(order_index, asset)
        if amount == before:
            return False
        self.locked[asset] = self.locked.get(asset, 0) + amount - before
        if amount:
            self._locks[order_index] = (asset, amount)
        else:
            del self._locks[order_index]
        return True

    def free(self, asset: int, *, order_index: int = 0) -> int:
        """Return what is not locked by other orders than the one named."""
        own = self.locked_by(order_index, asset)
        return self.balance(asset) - self.locked.get(asset, 0) + own

    def enter(self, asset: int, base: int, quote: int, trade_id: int) -> None:
        """Note a trade: `base` lots bought for `quote`, or sold where negative.

        A sale takes its share of the cost away. What is sold beyond what was bought
        was there from the start, and had no cost.
        """
        entry = self.entries.setdefault(asset, SpotEntry())
        if base < 0:
            sold = min(-base, entry.size)
            quote = -(entry.cost * sold // entry.size) if sold else 0
            base = -sold
        entry.size += base
        entry.cost += quote
        entry.last_trade_id = trade_id


def start_balances(texts: Iterable[str]) -> dict[int, int]:
    """Return the amounts by asset that texts such as `ETH=2.5` tell.

    Raises:
        ConfigError: one is no such text, names an asset that no market trades or that
            was named before, or has more places than the asset.
    """
    found: dict[int, int] = {}
    for text in texts:
        match = _AMOUNT.fullmatch(text)
        if match is None:
            raise ConfigError(f"spot_balances: {text!r} is not of the form {_EXAMPLE}")
        scales = _scales()
        if match[1] not in scales:
            names = ", ".join(sorted(scales))
            raise ConfigError(f"spot_balances: {match[1]!r} is none of {names}")
        asset, decimals = scales[match[1]]
        amount = Decimal(match[2]).scaleb(decimals)
        if amount != int(amount):
            problem = f"{text!r} has more than {decimals} decimal places"
            raise ConfigError(f"spot_balances: {problem}")
        if asset in found:
            raise ConfigError(f"spot_balances: {match[1]} is there twice")
        found[asset] = int(amount)
    return found


def _scales() -> Mapping[str, tuple[int, int]]:
    spot = [market for market in BUNDLED_MARKETS if market.is_spot]
    scales = {m.base_symbol: (m.base_asset_id, m.size_decimals) for m in spot}
    return {**scales, "USDC": (USDC_ASSET, 6)}
