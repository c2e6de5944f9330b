"""Trades as round trips: from flat to flat, or lot by lot, first in first out.

All money is in 1e-6 USDC. Whatever cannot be shared evenly stays with what is left,
so the parts always add up to the whole.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from wrappy.errors import ConfigError
from wrappy.model import Side

if TYPE_CHECKING:
    from wrappy.runner.performance.fills import Fill

Method: TypeAlias = Literal["flat", "fifo"]
METHODS: Final[tuple[Method, ...]] = ("flat", "fifo")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """One closed trade.

    Attributes:
        market_id: market.
        side: of the entry.
        opened_ms: first fill, unix milliseconds.
        closed_ms: last fill.
        size: largest position, lots.
        entry_quote: value of what was added, 1e-6 USDC.
        exit_quote: value of what was taken off, 1e-6 USDC.
        fees: paid, 1e-6 USDC; negative when received.
        funding: received, 1e-6 USDC; negative when paid.
        fills: executions, of which one may belong to two trades.
    """

    market_id: int
    side: Side
    opened_ms: int
    closed_ms: int
    size: int
    entry_quote: int
    exit_quote: int
    fees: int
    funding: int
    fills: int

    @property
    def pnl(self) -> int:
        """Profit after fees and funding, 1e-6 USDC."""
        gained = self.exit_quote - self.entry_quote
        gross = gained if self.side is Side.BUY else -gained
        return gross - self.fees + self.funding


@dataclass(slots=True)
class _Stake:
    """An open trade, or one open lot."""

    side: Side
    opened_ms: int
    size: int
    quote: int = 0
    fees: int = 0
    funding: int = 0
    fills: int = 0
    exit_quote: int = 0
    most: int = 0


class RoundTripBook:
    """Puts fills together to round trips, market by market.

    Args:
        method: `flat` ends a trade when the position is zero or turns; `fifo` ends one
            with each part of a lot that is closed, oldest lots first.

    Raises:
        ConfigError: the method is unknown.
    """

    def __init__(self, *, method: Method = "flat") -> None:
        if method not in METHODS:
            raise ConfigError(f"method: {method!r} is unknown; choose flat or fifo")
        self._method = method
        self._open: dict[int, deque[_Stake]] = {}
        self.closed: list[RoundTrip] = []
        """Trades that are over, in the order of their end."""

    @property
    def open_count(self) -> int:
        """Trades, or lots, that are not over."""
        return sum(len(stakes) for stakes in self._open.values())

    def position(self, market_id: int) -> int:
        """Return the position in lots, negative when short."""
        stakes = self._open.get(market_id, ())
        return sum(one.size if one.side is Side.BUY else -one.size for one in stakes)

    def fill(self, fill: Fill) -> None:
        """Take one execution; one that turns the position ends one trade, opens one."""
        stakes = self._open.setdefault(fill.market_id, deque())
        size, quote, costs = fill.size, fill.quote, fill.costs
        while stakes and stakes[0].side is not fill.side and size:
            part = min(size, stakes[0].size)
            part_quote, part_costs = quote * part // size, costs * part // size
            self._reduce(stakes, fill, part, part_quote, part_costs)
            size, quote, costs = size - part, quote - part_quote, costs - part_costs
        if size:
            self._add(stakes, fill, size, quote, costs)

    def funding(self, market_id: int, amount: int) -> None:
        """Share funding among what is open; positive is received, 1e-6 USDC."""
        stakes = self._open.get(market_id, ())
        left, size = amount, sum(one.size for one in stakes)
        for one in stakes:
            part = left * one.size // size
            one.funding += part
            left, size = left - part, size - one.size

    def _add(
        self, stakes: deque[_Stake], fill: Fill, size: int, quote: int, costs: int
    ) -> None:
        if not stakes or self._method == "fifo":
            stakes.append(_Stake(fill.side, fill.at_ms, 0))
        stake = stakes[-1]
        stake.size += size
        stake.quote += quote
        stake.fees += costs
        stake.fills += 1
        stake.most = max(stake.most, stake.size)

    def _reduce(
        self, stakes: deque[_Stake], fill: Fill, part: int, quote: int, costs: int
    ) -> None:
        stake = stakes[0]
        stake.fills += 1
        if self._method == "fifo" and part < stake.size:
            self._close(self._split_off(stake, part), fill, quote, costs)
            return
        stake.size -= part
        if stake.size:
            stake.exit_quote += quote
            stake.fees += costs
            return
        stakes.popleft()
        self._close(stake, fill, quote, costs)

    def _split_off(self, stake: _Stake, part: int) -> _Stake:
        """Take a part of a lot, with its share of everything."""
        taken = _Stake(
            stake.side,
            stake.opened_ms,
            part,
            quote=stake.quote * part // stake.size,
            fees=stake.fees * part // stake.size,
            funding=stake.funding * part // stake.size,
            fills=2,
            most=part,
        )
        stake.size -= part
        stake.most = stake.size
        stake.quote -= taken.quote
        stake.fees -= taken.fees
        stake.funding -= taken.funding
        stake.fills = 1
        return taken

    def _close(self, stake: _Stake, fill: Fill, quote: int, costs: int) -> None:
        self.closed.append(
            RoundTrip(
                market_id=fill.market_id,
                side=stake.side,
                opened_ms=stake.opened_ms,
                closed_ms=fill.at_ms,
                size=stake.most,
                entry_quote=stake.quote,
                exit_quote=stake.exit_quote + quote,
                fees=stake.fees + costs,
                funding=stake.funding,
                fills=stake.fills,
            )
        )
