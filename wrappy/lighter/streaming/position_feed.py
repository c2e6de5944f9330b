"""An account's positions as its stream tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrappy.lighter.asking.reading import position_of, rows_by_market
from wrappy.lighter.streaming.reading_frames import message_in

if TYPE_CHECKING:
    from wrappy.lighter.streaming.feed import Tell
    from wrappy.model import Position


class PositionFeed:
    """The positions of one account.

    What a snapshot leaves out is flat; an update speaks only of what it names, which
    is right whether the exchange tells all markets or those that changed.

    Args:
        tell: told of `on_positions` with the open positions, by symbol.

    Attributes:
        positions: by market index, flat ones as well.
    """

    def __init__(self, tell: Tell) -> None:
        self.positions: dict[int, Position] = {}
        self._tell = tell

    def take(self, raw: bytes, *, snapshot: bool) -> bool:
        """Enter what a frame says of positions; see `Feed`."""
        value = message_in(raw).get("positions")
        rows = list(value.values()) if isinstance(value, dict) else value
        told = [position_of(row) for row in rows_by_market(rows, "positions")]
        if snapshot:
            self.positions.clear()
        self.positions.update({position.market_id: position for position in told})
        self._tell("on_positions", self.open())
        return True

    def lost(self, reason: str) -> None:
        """Keep what is known until the next snapshot."""

    def open(self) -> dict[str, Position]:
        """Return the positions that are not flat, by symbol."""
        return {p.symbol: p for p in self.positions.values() if p.size}
