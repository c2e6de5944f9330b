"""What a simulated exchange tells of an account without being asked over a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wrappy.runner.worlds.equity_ear import EquityEar


class Simulation(Protocol):
    """An account in an exchange of the same process, as it is now.

    It knows no more than the exchange does at the time. Frames of a stream would say
    the same a travel time later, and each would have to be waited for.
    """

    def catch_up(self) -> None:
        """Let everything happen that is due by now."""
        ...

    def mark(self, market_index: int) -> int | None:
        """Return a market's mark price in ticks, None while there is none."""
        ...

    def equity(self) -> int:
        """Return the account's worth, open profit included, 1e-6 USDC."""
        ...

    def listen(self, ear: EquityEar) -> None:
        """Have every worth told from now on that the ear wants to hear of."""
        ...
