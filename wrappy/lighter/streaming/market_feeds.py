"""Best prices, figures and candles of the markets, as their channels tell them.

Prices that may be old are not readable: what a market was like before an
interruption or an unreadable frame raises instead of being returned.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from wrappy.errors import ProtocolError, StreamClosedError
from wrappy.model import MarketStats, Ticker
from wrappy.protocol.channel_values import (
    read_all_market_stats,
    read_candles,
    read_market_stats,
    read_ticker,
)

if TYPE_CHECKING:
    from wrappy.lighter.streaming.feed import Tell
    from wrappy.model import Candle

T = TypeVar("T")

CANDLES_KEPT: Final = 1_000
"""Closed candles of a feed that are kept unless told otherwise."""

MOST_OLD_FRAMES: Final = 10
"""Frames in a row with an old nonce that count as repeated or late; more of them
mean that the exchange counts anew."""

NEVER_TOLD: Final = "the exchange has not told it yet"


class Latest(Generic[T]):
    """The newest value of something, readable only while it is the newest.

    Args:
        name: what it is, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._value: T | None = None
        self._missing = NEVER_TOLD

    def __repr__(self) -> str:
        state = "live" if self.is_live else f"not readable: {self._missing}"
        return f"{type(self).__name__}({self._name}, {state})"

    @property
    def is_live(self) -> bool:
        """Whether the value can be read now."""
        return self._value is not None

    def current(self) -> T:
        """Return the newest value.

        Raises:
            StreamClosedError: there is none, or it may be old; the next frame that
                the exchange sends mends it.
        """
        if self._value is None:
            raise StreamClosedError(f"{self._name}: no live value: {self._missing}")
        return self._value

    def lost(self, reason: str) -> None:
        """Refuse readings until the exchange speaks again."""
        self._value = None
        self._missing = reason

    def put(self, value: T) -> bool:
        """Take a value and return whether it is news."""
        is_news = value != self._value
        self._value = value
        return is_news


class TickerFeed(Latest[Ticker]):
    """The best prices of one market.

    Every frame is complete, so each one makes the feed readable again. A frame with
    an older nonce than the last is repeated or late, and left out.

    Args:
        market_id: index of the market.
        tell: told of `on_ticker` with a `Ticker` whenever something changed.
    """

    def __init__(self, market_id: int, tell: Tell) -> None:
        super().__init__(f"ticker/{market_id}")
        self._market_id = market_id
        self._tell = tell
        self._old_in_a_row = 0

    def take(self, raw: bytes, *, snapshot: bool) -> bool:
        """Take the prices of a frame; see `Feed`."""
        try:
            ticker = read_ticker(raw, self._market_id)
        except ProtocolError as error:
            self.lost(f"a frame could not be read: {error}")
            raise
        if not snapshot and self._is_old(ticker):
            return True
        self._old_in_a_row = 0
        if self.put(ticker):
            self._tell("on_ticker", ticker)
        return True

    def _is_old(self, ticker: Ticker) -> bool:
        known = None if self._value is None else self._value.nonce
        if known is None or ticker.nonce is None or ticker.nonce >= known:
            return False
        self._old_in_a_row += 1
        return self._old_in_a_row <= MOST_OLD_FRAMES


class MarketStatsFeed(Latest[MarketStats]):
    """The figures of one market, perpetual or spot; every frame is complete.

    Args:
        market_id: index of the market.
        tell: told of `on_market_stats` with a `MarketStats` whenever a figure
            changed.
        channel: `market_stats` or `spot_market_stats`.
    """

    def __init__(
        self, market_id: int, tell: Tell, *, channel: str = "market_stats"
    ) -> None:
        super().__init__(f"{channel}/{market_id}")
        self._market_id = market_id
        self._tell = tell

    def take(self, raw: bytes, *, snapshot: bool) -> bool:  # noqa: ARG002 - the same
        """Take the figures of a frame; see `Feed`."""
        try:
            stats = read_market_stats(raw, self._market_id)
        except ProtocolError as error:
            self.lost(f"a frame could not be read: {error}")
            raise
        if self.put(stats):
            self._tell("on_market_stats", stats)
        return True


class AllMarketStatsFeed(Latest[Mapping[int, MarketStats]]):
    """The figures of every market, perpetual or spot, by market index.

    An update names the markets that changed, each with all its figures. It cannot
    bring back the others, so after an interruption a snapshot has to come first.

    Args:
        tell: told of `on_market_stats` with one `MarketStats` for each market of
            which a figure changed.
        channel: `market_stats` or `spot_market_stats`.
    """

    def __init__(self, tell: Tell, *, channel: str = "market_stats") -> None:
        super().__init__(f"{channel}/all")
        self._tell = tell

    def take(self, raw: bytes, *, snapshot: bool) -> bool:
        """Take the figures of a frame; see `Feed`."""
        try:
            told = read_all_market_stats(raw)
        except ProtocolError as error:
            self.lost(f"a frame could not be read: {error}")
            raise
        known = self._value
        if known is None and not snapshot:
            return False
        before = known or {}
        self.put(MappingProxyType(told if snapshot else {**before, **told}))
        for market_id, stats in told.items():
            if before.get(market_id) != stats:
                self._tell("on_market_stats", stats)
        return True


class CandleFeed:
    """The candles of one market and length, as far as they were heard of.

    A candle is told again whenever it changes, and one last time, closed, when a
    later one has come. What was missed during an interruption stays missing: the
    candle then in the making is dropped rather than closed with wrong figures.

    Args:
        market_id: index of the market.
        resolution: length of the candles, such as `1m`.
        tell: told of `on_candle` with a `Candle`.
        kept: closed candles to keep.
    """

    def __init__(
        self, market_id: int, resolution: str, tell: Tell, *, kept: int = CANDLES_KEPT
    ) -> None:
        self._live: Latest[Candle] = Latest(f"candle/{market_id}/{resolution}")
        self._closed: deque[Candle] = deque(maxlen=kept)
        self._tell = tell

    def __repr__(self) -> str:
        return f"CandleFeed({self._live!r}, {len(self._closed)} closed)"

    @property
    def is_live(self) -> bool:
        """Whether the candle in the making is known."""
        return self._live.is_live

    def current(self) -> Candle:
        """Return the candle in the making.

        Raises:
            StreamClosedError: there is none, or it may be old.
        """
        return self._live.current()

    def closed(self) -> list[Candle]:
        """Return the candles that are over, oldest first; there may be holes."""
        return list(self._closed)

    def take(self, raw: bytes, *, snapshot: bool) -> bool:  # noqa: ARG002 - the same
        """Take the candles of a frame; see `Feed`."""
        try:
            candles = read_candles(raw)
        except ProtocolError as error:
            self.lost(f"a frame could not be read: {error}")
            raise
        news: dict[int, Candle] = {}
        for candle in candles:
            for changed in self._enter(candle):
                news[changed.start_ms] = changed
        for _, changed in sorted(news.items()):
            self._tell("on_candle", changed)
        return True

    def lost(self, reason: str) -> None:
        """Drop the candle in the making; closed ones stay what they are."""
        self._live.lost(reason)

    def _enter(self, candle: Candle) -> list[Candle]:
        """Take one candle and return those that it changed."""
        known = self._live.current() if self.is_live else None
        if known is None:
            last = self._closed[-1].start_ms if self._closed else -1
            if candle.start_ms <= last:
                return self._mend(candle)
        elif candle.start_ms < known.start_ms:
            return self._mend(candle)
        elif candle.start_ms == known.start_ms:
            if candle.last_trade_id < known.last_trade_id:
                return []  # repeated or late: it knows less
            return [candle] if self._live.put(candle) else []
        self._live.put(candle)
        if known is None:
            return [candle]
        over = replace(known, closed=True)
        self._closed.append(over)
        return [over, candle]

    def _mend(self, candle: Candle) -> list[Candle]:
        """Take later news of a candle that is over, if it is one of those kept."""
        for at, known in enumerate(self._closed):
            if known.start_ms != candle.start_ms:
                continue
            over = replace(candle, closed=True)
            if over == known or over.last_trade_id < known.last_trade_id:
                return []
            self._closed[at] = over
            return [over]
        return []
