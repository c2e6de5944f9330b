"""What trades in spot markets brought and left: no margin ledger knows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrappy.model import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.runner.performance.fills import Fill


class SpotTrades:
    """An account's spot trades, as a part of its equity.

    What the account owned before is not counted: its price moves whatever the strategy
    does. What was sold of it is owed, and valued like a short position.

    Attributes:
        cash: received less paid, fees included, 1e-6 USDC.
        lots: bought less sold, by market index.
    """

    def __init__(self) -> None:
        self.cash = 0
        self.lots: dict[int, int] = {}

    def fill(self, fill: Fill, *, moves_cash: bool) -> None:
        """Take one execution.

        Args:
            fill: the execution.
            moves_cash: whether its USDC are of the spot wallet; in a unified account
                they are in the collateral.
        """
        direction = 1 if fill.side is Side.BUY else -1
        self.lots[fill.market_id] = self.size(fill.market_id) + direction * fill.size
        if moves_cash:
            self.cash -= direction * fill.quote + fill.fee

    def size(self, market_index: int) -> int:
        """Return lots bought less lots sold."""
        return self.lots.get(market_index, 0)

    def equity(self, lot_values: Mapping[int, int]) -> int:
        """Return what all of it came to, 1e-6 USDC."""
        return self.cash + sum(
            lots * lot_values[market] for market, lots in self.lots.items()
        )

    def value(self, lot_values: Mapping[int, int]) -> int:
        """Return the unsigned value of what was bought or is owed, 1e-6 USDC."""
        return sum(abs(lots) * lot_values[market] for market, lots in self.lots.items())
