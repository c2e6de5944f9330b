"""A recording, replayed as the life of one market."""

from __future__ import annotations

import contextlib
import logging
import math
from typing import TYPE_CHECKING

from wrappy.errors import BookGapError, ConfigError
from wrappy.venue.events import PrintTrade, SetIndexPrice, SetLevel
from wrappy.venue.recording import (
    RecordedBook,
    RecordedDelta,
    RecordedEnd,
    RecordedTrade,
    RecordingReader,
)
from wrappy.venue.tape import INDEX_INTERVAL_US
from wrappy.venue.tape_book import FINE_DECIMALS, TapeSide, fine, located, rounded

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from wrappy.model import Market
    from wrappy.venue.events import FlowAction
    from wrappy.venue.recording import Row

logger = logging.getLogger("wrappy.venue")


class RecordingFlow:
    """One market of a recording: its books as levels, its trades as trades.

    Replay begins at the file's first book of any market, so that several markets keep
    their distance in time. After each line the market's own levels are those of the
    recorded book; every recorded trade is one trade, at its price. While the market
    is not known, its book is empty: nothing is made up. Where the file ends the
    market stands still. Nothing reacts to what users do.

    Args:
        path: the recording, plain or packed.
        market: the market it is played into, found in the file by its symbol.
        speed: venue time runs at the recording's pace times this, above 0.

    Attributes:
        begin_us: when its first book was received, unix microseconds: time 0 here.

    Raises:
        ConfigError: the file cannot be read or played into that market.
        BookGapError: a change is missing from the file, and no gap says so.
    """

    def __init__(self, path: Path, market: Market, *, speed: float = 1.0) -> None:
        if not (math.isfinite(speed) and speed > 0):
            raise ConfigError(f"speed: {speed!r} is not above 0")
        self._path = path
        self._market = market
        self._speed = speed
        self._reader = RecordingReader(path)
        numbers = {one.symbol: one.market for one in self._reader.markets}
        if market.symbol not in numbers:
            raise ConfigError(
                f"tape: {path} is of {', '.join(numbers)}; play it into such a market, "
                f"not into {market.symbol}"
            )
        self._number = numbers[market.symbol]
        self._sides = (TapeSide(market, is_ask=False), TapeSide(market, is_ask=True))
        self._shown: tuple[dict[int, int], dict[int, int]] = ({}, {})  # bids, asks
        self._eaten: tuple[set[int], set[int]] = (set(), set())
        self._nonce: int | None = None
        self._index_due_us = 0
        self.begin_us = 0
        self._schedule = self._play()
        self._next = next(self._schedule, None)

    def next_at_us(self) -> int | None:
        """Return when the next line is due, or None at the end of the recording."""
        return None if self._next is None else self._next[0]

    def step(self, now_us: int) -> list[FlowAction]:
        """Return the actions of all lines due up to and including `now_us`."""
        actions: list[FlowAction] = []
        while self._next is not None and self._next[0] <= now_us:
            actions += self._next[1]
            self._next = None  # a reading error ends the flow
            self._next = next(self._schedule, None)
        return actions

    def close(self) -> None:
        """End the replay and close the file."""
        self._next = None
        self._schedule.close()

    def _play(self) -> Generator[tuple[int, list[FlowAction]], None, None]:
        begin_us, at_us = None, 0
        # Whatever ends the replay closes the file.
        with contextlib.closing(self._reader.rows()) as rows:
            for number, row in rows:
                if begin_us is None:
                    if not isinstance(row, RecordedBook):
                        continue
                    self.begin_us = begin_us = row.us
                # A clock that was set back stands still.
                at_us = max(at_us, round((row.us - begin_us) / self._speed))
                with located(self._path, number):
                    actions = self._actions(row, at_us)
                if actions:
                    yield at_us, actions
        if begin_us is None:
            raise ConfigError(f"tape: {self._path} has no book")
        if self._reader.cut_off:
            logger.warning("tape %s ends without its last line", self._path)

    def _actions(self, row: Row, at_us: int) -> list[FlowAction]:
        if isinstance(row, RecordedEnd) or row.market != self._number:
            return []
        if isinstance(row, RecordedTrade):
            return self._trade(row)
        if isinstance(row, RecordedDelta):
            if self._nonce is None:
                return []  # of a book that is not known
            if row.begin_nonce != self._nonce:
                raise BookGapError(f"change of {row.begin_nonce} after {self._nonce}")
            self._nonce = row.nonce
        else:
            self._sides = (
                TapeSide(self._market, is_ask=False),
                TapeSide(self._market, is_ask=True),
            )
            self._nonce = row.nonce if isinstance(row, RecordedBook) else None
        if isinstance(row, (RecordedBook, RecordedDelta)):
            for side, levels in zip(self._sides, (row.bids, row.asks), strict=True):
                side.update(levels)
        return self._quotes(at_us)

    def _trade(self, row: RecordedTrade) -> list[FlowAction]:
        market = self._market
        price = rounded(fine(row.price), market.price_decimals)
        base = fine(row.size) // 10 ** (FINE_DECIMALS - market.size_decimals)
        if self._nonce is None or not (price and base):
            return []
        # What it ate the next change tells: until then the levels in reach are not
        # known to stand.
        makers = self._shown[0 if row.is_ask else 1]
        self._eaten[0 if row.is_ask else 1].update(
            tick for tick in makers if (tick >= price if row.is_ask else tick <= price)
        )
        return [PrintTrade(market.market_id, row.is_ask, price, base)]

    def _quotes(self, at_us: int) -> list[FlowAction]:
        wanted = (self._sides[0].best(), self._sides[1].best())
        bids, asks = wanted
        if bids and asks and next(iter(bids)) >= next(iter(asks)):
            raise ValueError("the recorded book crosses itself")
        # Whatever shrinks goes first, on both sides: no quote meets a stale one.
        shrinking: list[FlowAction] = []
        growing: list[FlowAction] = []
        index = self._market.market_id
        for is_ask, new in zip((False, True), wanted, strict=True):
            old, eaten = self._shown[is_ask], self._eaten[is_ask]
            for price, base in old.items():
                left = new.get(price, 0)
                if left < base:
                    shrinking.append(SetLevel(index, is_ask, price, left))
            for price, base in new.items():
                shown = old.get(price, 0)
                if base > shown or (base == shown and price in eaten):
                    growing.append(SetLevel(index, is_ask, price, base))
            eaten.clear()
        self._shown = wanted
        actions = shrinking + growing
        if bids and asks and at_us >= self._index_due_us:
            mid = (next(iter(bids)) + next(iter(asks))) // 2
            actions.append(SetIndexPrice(index, mid))
            self._index_due_us = at_us + INDEX_INTERVAL_US
        return actions
