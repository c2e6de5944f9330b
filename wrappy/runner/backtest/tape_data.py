"""What a backtest trades on: a recorded book with its trades, one market of a tape."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, final

from wrappy.errors import ConfigError
from wrappy.model import Candle
from wrappy.runner.backtest.tape_part import TapePart
from wrappy.runner.history.values import resolution_ms
from wrappy.venue.bundled import market_named
from wrappy.venue.events import PrintTrade, SetLevel, Take
from wrappy.venue.market_life import open_market_life, tape_symbols
from wrappy.venue.settings import CHOICES, VenueSettings

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from decimal import Decimal

    from wrappy.model import Market
    from wrappy.venue.settings import QueueModel

_US: Final = 1_000
_BLOCK: Final = 1 << 20


@final
class TapeData:
    """One market of a recorded tape.

    Args:
        path: the file: a recording of the local exchange's own format, or a captured
            stream of diffs and trades; plain or packed.
        symbol: the market; may be left out where the tape has one only.
        queue: where your orders stand among the others at their price.
            `risk-averse`: behind all that were there, and only trades bring them
            forward. `prob`: cancels of others do so as well, in proportion. `front`:
            before everybody.
        resolution: length of the candles in `rows`.

    Attributes:
        path: the file.
        symbol: the market it is played into.
        queue: the queue model.
        resolution: length of `rows`.

    Raises:
        ConfigError: no such file, market, queue model or length.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        symbol: str | None = None,
        queue: QueueModel = "risk-averse",
        resolution: str = "1m",
    ) -> None:
        if queue not in CHOICES["queue"]:
            known = ", ".join(map(repr, CHOICES["queue"]))
            raise ConfigError(f"queue: {queue!r} is none of {known}")
        resolution_ms(resolution)
        self.path = Path(path)
        self.queue: QueueModel = queue
        self.resolution = resolution
        self._bounds_us: tuple[int | None, int | None] = (None, None)
        found = tape_symbols(self.path)
        if symbol is None and len(found) > 1:
            raise ConfigError(
                f"symbol: {self.path} is of {', '.join(found)}; name one of them"
            )
        self.symbol = found[0] if symbol is None else symbol
        if self.symbol not in found:
            raise ConfigError(
                f"symbol: {self.path} is of {', '.join(found)}, not of {self.symbol}"
            )

    def __repr__(self) -> str:
        return f"TapeData({str(self.path)!r}, symbol={self.symbol!r}, {self.queue})"

    def queued(self, queue: QueueModel) -> TapeData:
        """Return the same tape with another queue model."""
        other = copy(self)
        other.queue = queue
        return other

    def between(self, begin_ms: int, end_ms: int) -> TapeData:
        """Return a stretch of it, beginning with the book that stands by then.

        Args:
            begin_ms: unix milliseconds; before the tape's own beginning is there.
            end_ms: what is due from here on is left out.

        Raises:
            ConfigError: there is no such stretch, or no book in it.
        """
        begin_us = max(begin_ms * _US, self.begin_us)
        end_us = min(end_ms * _US, self._bounds_us[1] or end_ms * _US)
        if not begin_us < min(end_us, self.end_us):
            raise ConfigError(
                f"window: {begin_ms} to {end_ms} has nothing of {self.symbol}, whose "
                f"tape goes from {self.begin_ms} to {self.end_ms}"
            )
        other = copy(self)
        other._bounds_us = (begin_us, end_us)  # noqa: SLF001 - of the same class
        # Found anew: they are of the whole.
        for name in ("rows", "read"):
            other.__dict__.pop(name, None)
        return other

    @property
    def market(self) -> Market:
        """The market it is played into."""
        return market_named(self.symbol)

    @property
    def begin_us(self) -> int:
        """Time of its first book, unix microseconds."""
        return self.read.begin_us

    @property
    def end_us(self) -> int:
        """Time of its last change or trade, unix microseconds."""
        return self.read.end_us

    @property
    def begin_ms(self) -> int:
        """Time of its first book, unix milliseconds."""
        return self.begin_us // _US

    @property
    def end_ms(self) -> int:
        """Time of its last change or trade, unix milliseconds, rounded up."""
        return -(-self.end_us // _US)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know of it, in words."""
        read = self.read
        seconds = (read.end_us - read.begin_us) / 1_000_000
        return (
            f"{self.path.name}, {seconds:.0f} s",
            f"{len(read.trades)} trades",
            f"{len(read.mid_us)} middle prices",
        )

    @cached_property
    def rows(self) -> Sequence[Candle]:
        """Its trades as candles; those without a trade are missing."""
        return list(_candles(self.read.trades, self.market, self.resolution))

    @cached_property
    def read(self) -> TapeFacts:
        """What stands in it. The file is read once, and damage is found then.

        Raises:
            ConfigError: a line is damaged, or there is no book.
            BookGapError: a change is missing, and nothing says so.
        """
        tape = self.open()
        try:
            return _facts(tape, self.market, self._bounds_us[1])
        finally:
            tape.close()

    def stamp(self) -> bytes:
        """Return a hash of the file, the stretch of it and the queue model."""
        digest = hashlib.sha256(f"{self.queue} {self._bounds_us}".encode())
        with self.path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return digest.digest()

    def open(self) -> TapePart:
        """Open the file for a replay; whoever does closes it.

        Raises:
            ConfigError: it cannot be read.
        """
        (tape,) = open_market_life(
            VenueSettings(symbols=(self.symbol,), tape=self.path, flow="tape"),
            (self.market,),
        ).tapes
        return TapePart(tape, *self._bounds_us)


class TapeTrade(NamedTuple):
    """A trade of a tape: unix microseconds, ticks and lots."""

    at_us: int
    price: int
    base: int


class TapeFacts(NamedTuple):
    """What was found in a tape.

    Attributes:
        begin_us: time of the first book, unix microseconds.
        end_us: time of the last change or trade, or where the stretch ends before.
        mid_us: when the middle of the book moved.
        mids: where to, in ticks, rounded down.
        trades: oldest first.
    """

    begin_us: int
    end_us: int
    mid_us: array[int]
    mids: array[int]
    trades: tuple[TapeTrade, ...]

    def mid_at(self, at_us: int) -> int:
        """Return the middle that stood at a time in ticks, 0 before the first."""
        found = bisect_right(self.mid_us, at_us)
        return self.mids[found - 1] if found else 0


def _facts(tape: TapePart, market: Market, end_us: int | None) -> TapeFacts:
    mid_us, mids = array("q"), array("q")
    trades: list[TapeTrade] = []
    sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
    bests, offset = [0, 0], 0
    while (due := tape.next_at_us()) is not None:
        offset = due
        at_us = tape.begin_us + offset
        for action in tape.step(offset):
            if isinstance(action, SetLevel):
                _level(action, sides, bests)
            elif isinstance(action, (PrintTrade, Take)):
                trades.append(TapeTrade(at_us, action.price, action.base))
        mid = sum(bests) // 2 if all(bests) else 0
        if mid and not (mids and mids[-1] == mid):
            mid_us.append(at_us)
            mids.append(mid)
    if not mids:
        raise ConfigError(f"tape: there is no book of {market.symbol} with two sides")
    if end_us is None or not tape.goes_on:
        end_us = tape.begin_us + offset
    return TapeFacts(tape.begin_us, end_us, mid_us, mids, tuple(trades))


def _level(
    action: SetLevel, sides: tuple[dict[int, int], dict[int, int]], bests: list[int]
) -> None:
    side, price, is_ask = sides[action.is_ask], action.price, action.is_ask
    best = bests[is_ask]
    if action.base:
        side[price] = action.base
        if not best or (price < best if is_ask else price > best):
            bests[is_ask] = price
    elif side.pop(price, 0) and price == best:
        bests[is_ask] = (min if is_ask else max)(side, default=0)


def _candles(
    trades: Sequence[TapeTrade], market: Market, resolution: str
) -> Iterator[Candle]:
    length_us = resolution_ms(resolution) * _US
    at = 0
    while at < len(trades):
        start_us = trades[at].at_us // length_us * length_us
        first = at
        while at < len(trades) and trades[at].at_us < start_us + length_us:
            at += 1
        part = trades[first:at]
        prices: list[Decimal] = [market.price(trade.price) for trade in part]
        sizes = [market.size(trade.base) for trade in part]
        yield Candle(
            start_us // _US,
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
            sum(sizes[1:], sizes[0]),
            sum(
                (p * s for p, s in zip(prices[1:], sizes[1:], strict=True)),
                prices[0] * sizes[0],
            ),
            at,
            True,
        )
