"""Recorded markets: a captured exchange stream, replayed as market life."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError
from wrappy.venue.events import SetIndexPrice, SetLevel, Take
from wrappy.venue.tape_book import FINE_DECIMALS, TapeBook, fine, located, rounded
from wrappy.venue.tape_lines import (
    SNAPSHOT_WITHIN_LINES,
    DepthUpdate,
    Snapshot,
    TapeLine,
    TapeTrade,
    read_tape,
    tape_symbol,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from wrappy.model import Market
    from wrappy.venue.events import FlowAction

__all__ = [
    "BAND_LEVELS",
    "INDEX_INTERVAL_US",
    "LOOP_PAUSE_US",
    "SNAPSHOT_WITHIN_LINES",
    "DepthUpdate",
    "Snapshot",
    "TapeBook",
    "TapeFlow",
    "TapeLine",
    "TapeTrade",
    "read_tape",
    "tape_symbol",
]

BAND_LEVELS: Final = 50
"""Best price levels a side that are shown by default."""

INDEX_INTERVAL_US: Final = 500_000
"""Venue time between two index prices, at least."""

LOOP_PAUSE_US: Final = 1_000_000
"""Venue time between the end of a tape and its next pass."""


class TapeFlow:
    """A tape, replayed: its book as levels, its trades as takers.

    Replay begins at the snapshot; messages before it only complete it. The best
    `levels` prices a side are shown: as the market moves, levels that come into this
    band appear and those that leave it go. Trades print at the tape's price even
    where nothing rests. The index price is the tape's mid price. Nothing reacts to
    what users do.

    The file is read as the replay goes on. A damaged line ends the replay with the
    error of the step that reaches it.

    Args:
        path: the tape, plain or gzip.
        market: the market it is played into; the tape must be of its symbol.
        speed: venue time runs at the tape's pace times this, above 0.
        loop: start over at the end, `LOOP_PAUSE_US` later.
        levels: prices a side that are shown.

    Attributes:
        begin_us: when the snapshot was received, unix microseconds: time 0 here.

    Raises:
        ConfigError: the file is missing, empty, of another format or symbol, or has
            no snapshot.
        BookGapError: a diff is missing from the tape.
    """

    def __init__(
        self,
        path: Path,
        market: Market,
        *,
        speed: float = 1.0,
        loop: bool = False,
        levels: int = BAND_LEVELS,
    ) -> None:
        if not (math.isfinite(speed) and speed > 0):
            raise ConfigError(f"speed: {speed!r} is not above 0")
        if levels < 1:
            raise ConfigError(f"levels: {levels} is below 1")
        self._path = path
        self._market = market
        self._ns_per_us = 1_000 * speed
        self._levels = levels
        self._shown: tuple[dict[int, int], dict[int, int]] = ({}, {})  # bids, asks
        self._eaten: tuple[set[int], set[int]] = (set(), set())
        self._index_due_us = 0
        self.begin_us = 0
        self._schedule = self._passes(loop=loop)
        self._next = next(self._schedule, None)

    def next_at_us(self) -> int | None:
        """Return when the next message is due, or None at the end of the tape."""
        return None if self._next is None else self._next[0]

    def step(self, now_us: int) -> list[FlowAction]:
        """Return the actions of all messages due up to and including `now_us`."""
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

    def _passes(
        self, *, loop: bool
    ) -> Generator[tuple[int, list[FlowAction]], None, None]:
        start_us = 0
        while True:
            at_us = start_us
            for at_us, actions in self._one_pass(start_us):
                yield at_us, actions
            if not loop:
                return
            start_us = at_us + LOOP_PAUSE_US

    def _one_pass(self, start_us: int) -> Iterator[tuple[int, list[FlowAction]]]:
        lines = self._own_lines()
        book = TapeBook(self._market)
        begin = self._begin(lines, book)
        self.begin_us = begin.received_ns // 1_000
        at_us = start_us
        with located(self._path, begin.number):
            actions = self._quotes(book, at_us)
        yield at_us, actions
        for line in lines:
            elapsed_us = round((line.received_ns - begin.received_ns) / self._ns_per_us)
            at_us = max(at_us, start_us + elapsed_us)  # a clock set back stands still
            with located(self._path, line.number):
                actions = self._actions(line.message, book, at_us)
            if actions:
                yield at_us, actions

    def _own_lines(self) -> Iterator[TapeLine]:
        for line in read_tape(self._path):
            if line.symbol not in (None, self._market.symbol):
                raise ConfigError(
                    f"tape: {self._path}: line {line.number} is of {line.symbol}; "
                    f"play it into that market, not into {self._market.symbol}"
                )
            yield line

    def _begin(self, lines: Iterator[TapeLine], book: TapeBook) -> TapeLine:
        # The recorder subscribes first and fetches the snapshot then, so diffs that
        # the snapshot lacks may stand before it.
        early: list[tuple[int, DepthUpdate]] = []
        for line in islice(lines, SNAPSHOT_WITHIN_LINES):
            if isinstance(line.message, DepthUpdate):
                early.append((line.number, line.message))
            elif isinstance(line.message, Snapshot):
                with located(self._path, line.number):
                    book.load(line.message)
                for number, update in early:
                    with located(self._path, number):
                        book.apply(update)
                return line
        raise ConfigError(
            f"tape: {self._path} has no depth snapshot in its first "
            f"{SNAPSHOT_WITHIN_LINES:,} lines"
        )

    def _actions(
        self,
        message: DepthUpdate | TapeTrade | Snapshot | None,
        book: TapeBook,
        at_us: int,
    ) -> list[FlowAction]:
        if isinstance(message, TapeTrade):
            return self._trade(message)
        if isinstance(message, DepthUpdate) and book.apply(message):
            return self._quotes(book, at_us)
        return []  # a later snapshot tells nothing that the diffs did not

    def _trade(self, trade: TapeTrade) -> list[FlowAction]:
        price = rounded(fine(trade.price), self._market.price_decimals)
        base = fine(trade.quantity) // 10 ** (
            FINE_DECIMALS - self._market.size_decimals
        )
        if not (price and base):
            return []
        is_ask = trade.buyer_is_maker
        makers = self._shown[0 if is_ask else 1]
        # The exchange lets the trade eat what we show, the tape tells later what was
        # left: until then the levels in reach are not known to stand.
        self._eaten[0 if is_ask else 1].update(
            tick for tick in makers if (tick >= price if is_ask else tick <= price)
        )
        return [Take(self._market.market_id, is_ask, price, base, print_rest=True)]

    def _quotes(self, book: TapeBook, at_us: int) -> list[FlowAction]:
        wanted = book.best(self._levels)
        bids, asks = wanted
        if bids and asks and next(iter(bids)) >= next(iter(asks)):
            raise ValueError("the recorded book crosses itself")
        # Whatever shrinks goes first, on both sides: no quote meets a stale one.
        shrinking: list[FlowAction] = []
        growing: list[FlowAction] = []
        for is_ask, new in enumerate(wanted):
            old, eaten = self._shown[is_ask], self._eaten[is_ask]
            for price, base in old.items():
                left = new.get(price, 0)
                if left < base:
                    shrinking.append(self._level(is_ask, price, left))
            for price, base in new.items():
                shown = old.get(price, 0)
                if base > shown or (base == shown and price in eaten):
                    growing.append(self._level(is_ask, price, base))
            eaten.clear()
        self._shown = wanted
        actions = shrinking + growing
        if bids and asks and at_us >= self._index_due_us:
            mid = (next(iter(bids)) + next(iter(asks))) // 2
            actions.append(SetIndexPrice(self._market.market_id, mid))
            self._index_due_us = at_us + INDEX_INTERVAL_US
        return actions

    def _level(self, is_ask: int, price: int, base: int) -> SetLevel:
        return SetLevel(self._market.market_id, bool(is_ask), price, base)
