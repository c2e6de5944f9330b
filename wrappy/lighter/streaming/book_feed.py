"""One market's book out of its channel: kept continuous, or refused to be read.

A book is served only while it is certain: every change since the snapshot arrived,
each in its place, and the connection has shown a sign of life lately.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wrappy._core.book import OrderBook
from wrappy._core.scaling import FixedTexts, fixed_to_int
from wrappy.errors import ProtocolError, StaleBookError
from wrappy.model import PriceLevel
from wrappy.protocol.market_frames import COUNT_MAX, read_book_frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from wrappy._core.book import Level
    from wrappy.lighter.logs import LogSink
    from wrappy.lighter.streaming.feed import Tell
    from wrappy.model import Market
    from wrappy.protocol.market_frames import BookFrame, BookLevel

MAX_AGE_S = 45.0
"""Seconds without a sign of life after which a book counts as stale: one and a half
times the interval of our pings, since every answer to one is such a sign."""

MOST_OLD_FRAMES = 10
"""Frames in a row with an old nonce that count as repeated or late; more of them
mean that the exchange counts anew."""

# Fifteen digits and a point are always below the 2**53 - 1 that a size may have.
_PLAIN_LENGTH = 16


@dataclass(frozen=True)
class BookGap:
    """A book that became unreadable; a fresh snapshot is on its way.

    Attributes:
        symbol: market of the book.
        reason: why, in words.
        expected_nonce: what the next change had to build on; `None` before the
            first snapshot.
        got_nonce: what it builds on instead, or the nonce of the frame that does
            not fit otherwise; `None` when no frame was the cause.
    """

    symbol: str
    reason: str
    expected_nonce: int | None
    got_nonce: int | None


class BookView:
    """A live view of the market's book in USDC and base asset.

    Every reading of a price raises `BookGapError` while the book is not sound:
    between a gap and the fresh snapshot there are no prices, rather than old ones.
    Its subclass `StaleBookError` is raised when nothing at all has been heard from
    the exchange for longer than `max_age_s`. A quiet market on a connection that
    answers is not stale.
    """

    __slots__ = ("_book", "_feed")

    def __init__(self, feed: BookFeed) -> None:
        self._feed = feed
        self._book = feed.book

    def __repr__(self) -> str:
        return f"BookView({self.symbol}, {self._book!r}, age_s={self.age_s:.1f})"

    @property
    def symbol(self) -> str:
        """The market."""
        return self._feed.market.symbol

    @property
    def is_valid(self) -> bool:
        """Whether the book can be read now: neither a gap nor stale."""
        return self._book.is_valid and not self._feed.is_stale

    @property
    def age_s(self) -> float:
        """Seconds since the last sign of life of the connection."""
        return self._feed.age_s

    @property
    def nonce(self) -> int | None:
        """The matching engine's count at the last change; None before a snapshot."""
        return self._book.nonce

    @property
    def timestamp_ms(self) -> int | None:
        """When the exchange sent the last change, ms; None before a snapshot."""
        return self._feed.timestamp_ms

    @property
    def best_bid(self) -> PriceLevel | None:
        """Highest price somebody buys at, None when nobody does."""
        return self._level(self._sound().best_bid)

    @property
    def best_ask(self) -> PriceLevel | None:
        """Lowest price somebody sells at, None when nobody does."""
        return self._level(self._sound().best_ask)

    @property
    def mid_price(self) -> Decimal | None:
        """Middle of best bid and best ask in USDC, None when a side is empty."""
        return self._sound().mid

    @property
    def micro_price(self) -> Decimal | None:
        """Middle weighted by the opposite sizes, None when a side is empty."""
        return self._sound().micro_price

    def depth(self, levels: int) -> tuple[list[PriceLevel], list[PriceLevel]]:
        """Return up to `levels` bids and asks, best first.

        Raises:
            BookGapError: the book has a gap.
            StaleBookError: nothing was heard for too long.
        """
        bids, asks = self._sound().depth(levels)
        return [self._made(level) for level in bids], [self._made(a) for a in asks]

    def _sound(self) -> OrderBook:
        # A gap is the worse news and keeps its reason.
        if self._book.is_valid and self._feed.is_stale:
            raise StaleBookError(
                f"the order book of {self.symbol} is stale: nothing was heard for "
                f"{self.age_s:.1f} s, more than max_age_s={self._feed.max_age_s}"
            )
        return self._book

    def _level(self, level: Level | None) -> PriceLevel | None:
        return None if level is None else self._made(level)

    def _made(self, level: Level) -> PriceLevel:
        return PriceLevel(self._book.price(level.ticks), self._book.size(level.lots))


class BookFeed:
    """The book of one market, fed by the frames of its channel.

    Tells `on_book` with the view after every sound frame, and `on_gap` with a
    `BookGap` whenever a readable book becomes unreadable.

    Args:
        market: scales and symbol.
        tell: called with a hook's name and what is new.
        log: where gaps are told.
        clock: monotonic seconds.
        heard_at: returns when the connection last showed any sign of life, by the
            same clock; None if only `alive` tells.
        max_age_s: seconds without a sign of life after which reading raises;
            `None` for never.

    Attributes:
        market: as given.
        max_age_s: as given.
        book: the book in ticks and lots.
        view: the same for people.
        timestamp_ms: when the exchange sent the last frame applied.
        gaps: how often a readable book became unreadable.
        repeats: frames dropped because their change was in the book already.
    """

    def __init__(
        self,
        market: Market,
        tell: Tell,
        log: LogSink,
        *,
        clock: Callable[[], float] = time.monotonic,
        heard_at: Callable[[], float] | None = None,
        max_age_s: float | None = MAX_AGE_S,
    ) -> None:
        self.market = market
        self._heard_at = heard_at
        self.max_age_s = max_age_s
        self.book = OrderBook(market.price_decimals, market.size_decimals)
        self.view = BookView(self)
        self.timestamp_ms: int | None = None
        self.gaps = 0
        self.repeats = 0
        self._old_in_a_row = 0
        self._tell = tell
        self._log = log
        self._clock = clock
        self._heard = clock()
        self._ticks = FixedTexts(market.price_decimals)
        # Where a size has its point, from its end. A market without decimals has no
        # point; no text is long enough for that one, so all are read carefully.
        decimals = market.size_decimals
        self._point = -1 - decimals if decimals else -_PLAIN_LENGTH

    def __repr__(self) -> str:
        return f"BookFeed({self.market.symbol}, {self.book!r})"

    @property
    def age_s(self) -> float:
        """Seconds since the last sign of life."""
        heard = self._heard
        if self._heard_at is not None:
            heard = max(heard, self._heard_at())
        return max(0.0, self._clock() - heard)

    @property
    def is_stale(self) -> bool:
        """Whether nothing was heard for longer than `max_age_s`."""
        return self.max_age_s is not None and self.age_s > self.max_age_s

    def alive(self, now: float) -> None:
        """Note a sign of life of the connection: any frame, a pong included.

        Args:
            now: by the feed's clock, seconds.
        """
        self._heard = now

    def take(self, raw: bytes, *, snapshot: bool) -> bool:
        """Take one frame of the channel, as it came; see `enter`."""
        self._heard = self._clock()
        try:
            frame = read_book_frame(raw)
        except ProtocolError as error:
            self.lost(str(error))
            raise
        return self.enter(frame, snapshot=snapshot)

    def enter(self, frame: BookFrame, *, snapshot: bool) -> bool:
        """Enter a frame that has been read.

        A change that the book holds already, repeated or late, is dropped.

        Args:
            frame: what it says.
            snapshot: whether it is the whole book; else it is a change.

        Returns:
            Whether the book is sound; if not, a fresh snapshot is needed.

        Raises:
            ProtocolError: a number is none or is beyond its limits, or the frame
                does not say what it builds on; the book is invalid.
        """
        book, change = self.book, frame.order_book
        expected, begin, nonce = book.nonce, change.begin_nonce, change.nonce
        was_valid = book.is_valid
        if begin is None and not snapshot:
            reason = "order_book frame: begin_nonce is missing"
            self._spoil(reason, was_valid=was_valid)
            raise ProtocolError(reason)
        late = was_valid and (snapshot or begin != expected)
        if late and self._is_old(nonce):
            return True
        try:
            bids, asks = self._levels(change.bids), self._levels(change.asks)
            if snapshot or begin is None:
                sound = book.snapshot(bids, asks, nonce)
            else:
                sound = book.apply(bids, asks, begin, nonce)
        except ProtocolError as error:
            self._spoil(str(error), was_valid=was_valid)
            raise
        if not sound:
            # What happens to a book that is invalid already is no news.
            if was_valid:
                fits = snapshot or begin == expected
                self._gap(expected, nonce if fits else begin)
            return False
        self._old_in_a_row = 0
        self.timestamp_ms = frame.timestamp or None
        self._tell("on_book", self.view)
        return True

    def lost(self, reason: str) -> None:
        """Refuse every reading until the next snapshot."""
        self._spoil(reason, was_valid=self.book.is_valid)

    def _spoil(self, reason: str, *, was_valid: bool) -> None:
        self.book.invalidate(reason)
        if was_valid:
            self._gap(self.book.nonce, None)

    def _is_old(self, nonce: int) -> bool:
        """Whether a change is in the book already; a long row of such is no chance."""
        known = self.book.nonce
        if known is None or nonce > known or self._old_in_a_row >= MOST_OLD_FRAMES:
            return False
        self._old_in_a_row += 1
        self.repeats += 1
        return True

    def _gap(self, expected: int | None, got: int | None) -> None:
        self.gaps += 1
        self._old_in_a_row = 0
        symbol, reason = self.market.symbol, self.book.invalid_reason or ""
        self._log.warning("book of %s to be rebuilt: %s", symbol, reason)
        self._tell("on_gap", BookGap(symbol, reason, expected, got))

    def _levels(self, rows: list[BookLevel] | None) -> list[tuple[int, int]]:
        # Sizes hardly repeat, so remembering them costs as much as it saves; what
        # `fixed_to_int` does with the usual ones stands here without the call.
        levels: list[tuple[int, int]] = []
        if not rows:
            return levels
        ticks = self._ticks
        point, shortest = self._point, -self._point
        for row in rows:
            text = row.size
            digits = text.replace(".", "", 1)
            if (
                shortest < len(text) <= _PLAIN_LENGTH
                and text[point] == "."
                and digits.isdigit()
                and digits.isascii()
            ):
                levels.append((ticks[row.price], int(digits)))
            else:
                levels.append((ticks[row.price], self._lots(text)))
        return levels

    def _lots(self, text: str) -> int:
        lots = fixed_to_int(text, self.market.size_decimals)
        if not 0 <= lots <= COUNT_MAX:
            raise ProtocolError(f"size: {text!r} is not within 0..2**53-1 lots")
        return lots
