"""Balances, positions and margin of one account, cross and isolated, in integers.

Conservation: a fill changes an account's `collateral + fees_paid - sum(signed entry
cost)` by exactly minus the quote amount for the buyer and plus it for the seller.
Summed over all accounts that figure therefore never changes, to the last unit.

Isolated margin is a part of `collateral` set aside for one market: moving it changes
no balance, only what the other markets can use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.model import Market

FRACTION_SCALE: Final = 10_000
"""Margin fractions count in 1e-4."""


@dataclass(slots=True)
class LedgerPosition:
    """A position in one market.

    Attributes:
        size: signed lots, positive when long.
        entry_quote: what the position cost, 1e-6 USDC, unsigned.
        realized_pnl: profit taken in this market so far, 1e-6 USDC, before fees.
    """

    size: int = 0
    entry_quote: int = 0
    realized_pnl: int = 0


_FLAT: Final = LedgerPosition()


def margin_of(value: int, fraction: int) -> int:
    """Return `value * fraction` (1e-4), rounded up to a whole 1e-6 USDC."""
    return -(-value * fraction // FRACTION_SCALE)


@dataclass(slots=True)
class AccountLedger:
    """Collateral and positions of one account.

    Where a method takes `lot_values`, that is market index -> value of one lot at the
    mark price in 1e-6 USDC (mark price in ticks times the market's quote multiplier).
    `fractions` are market index -> margin fraction in 1e-4.

    Attributes:
        collateral: 1e-6 USDC; realized profit and fees are already in it.
        positions: by market index; a flat one stays for its realized profit.
        fees_paid: 1e-6 USDC since the start.
        allocated: margin set aside, 1e-6 USDC, by market index; a market that is in
            here is isolated, also at 0.
    """

    collateral: int
    positions: dict[int, LedgerPosition] = field(default_factory=dict)
    fees_paid: int = 0
    allocated: dict[int, int] = field(default_factory=dict)

    def size(self, market_index: int) -> int:
        """Return the position in signed lots."""
        return self.positions.get(market_index, _FLAT).size

    def reducible(self, market_index: int, *, is_ask: bool) -> int:
        """Return by how many lots an order of that side could shrink the position."""
        size = self.size(market_index)
        return max(0, size if is_ask else -size)

    def apply_fill(
        self,
        market_index: int,
        *,
        is_ask: bool,
        base: int,
        quote: int,
        fee: int = 0,
        fraction: int = 0,
    ) -> int:
        """Book one execution and return the profit it realized, before the fee.

        A fill that turns the position closes it first and opens the rest; the quote
        amount is split in proportion, the rounding goes to the opening part.

        Args:
            market_index: market of the fill.
            is_ask: whether this account sold.
            base: lots, positive.
            quote: 1e-6 USDC exchanged, not negative.
            fee: 1e-6 USDC; negative for a rebate.
            fraction: initial margin, 1e-4, that an isolated market sets aside for
                what is opened; what is closed frees its share.
        """
        position = self.positions.setdefault(market_index, LedgerPosition())
        held = abs(position.size)
        direction = -1 if is_ask else 1
        closed = min(base, held) if position.size * direction < 0 else 0
        realized = 0
        if closed:
            closed_quote = quote * closed // base
            cost = position.entry_quote * closed // held
            realized = (cost - closed_quote) * direction
            position.entry_quote -= cost
            quote -= closed_quote
        if market_index in self.allocated:
            kept = self.allocated[market_index]
            kept -= kept * closed // held if closed else 0
            opened = quote if base > closed else 0
            self.allocated[market_index] = kept + margin_of(opened, fraction)
        position.size += direction * base
        position.entry_quote += quote
        position.realized_pnl += realized
        self.collateral += realized - fee
        self.fees_paid += fee
        return realized

    def unrealized_pnl(self, market_index: int, lot_value: int) -> int:
        """Return the open profit at `lot_value` (1e-6 USDC a lot), in 1e-6 USDC."""
        position = self.positions.get(market_index, _FLAT)
        cost = position.entry_quote if position.size > 0 else -position.entry_quote
        return position.size * lot_value - cost

    def equity(self, lot_values: Mapping[int, int]) -> int:
        """Return collateral plus open profit, in 1e-6 USDC."""
        return self.collateral + sum(
            self.unrealized_pnl(market, lot_values[market])
            for market, position in self.positions.items()
            if position.size
        )

    def position_value(self, lot_values: Mapping[int, int]) -> int:
        """Return the unsigned value of all positions, in 1e-6 USDC."""
        return sum(
            abs(position.size) * lot_values[market]
            for market, position in self.positions.items()
            if position.size
        )

    def margin(
        self, lot_values: Mapping[int, int], fractions: Mapping[int, int]
    ) -> int:
        """Return the margin of all positions at `fractions`, each rounded up."""
        return sum(
            margin_of(abs(position.size) * lot_values[market], fractions[market])
            for market, position in self.positions.items()
            if position.size
        )

    def initial_margin(
        self, lot_values: Mapping[int, int], fractions: Mapping[int, int]
    ) -> int:
        """Return the initial margin requirement, in 1e-6 USDC."""
        return self.margin(lot_values, fractions)

    def maintenance_margin(
        self, lot_values: Mapping[int, int], fractions: Mapping[int, int]
    ) -> int:
        """Return the maintenance margin requirement, in 1e-6 USDC."""
        return self.margin(lot_values, fractions)

    def available(
        self, lot_values: Mapping[int, int], fractions: Mapping[int, int]
    ) -> int:
        """Return what cross markets have above their initial margin, in 1e-6 USDC.

        Negative when short. Isolated markets neither add to it nor draw on it.
        """
        part = self.cross_part()
        return part.equity(lot_values) - part.initial_margin(lot_values, fractions)

    def cross_part(self) -> AccountLedger:
        """Return the account without its isolated markets and their margin.

        It shares its positions with this one and is for reading only.
        """
        if not self.allocated:
            return self
        cross = {
            market: position
            for market, position in self.positions.items()
            if market not in self.allocated
        }
        return AccountLedger(
            self.collateral - sum(self.allocated.values()), cross, self.fees_paid
        )

    def isolated_equity(self, market_index: int, lot_value: int) -> int:
        """Return an isolated market's margin plus its open profit, in 1e-6 USDC."""
        pnl = self.unrealized_pnl(market_index, lot_value)
        return self.allocated[market_index] + pnl

    def average_entry(self, market: Market) -> Decimal:
        """Return the average entry price in USDC; 0 when flat."""
        position = self.positions.get(market.market_id, _FLAT)
        if not position.size:
            return Decimal(0)
        ticks = Decimal(position.entry_quote) / (
            abs(position.size) * market.quote_multiplier
        )
        return ticks.scaleb(-market.price_decimals)
