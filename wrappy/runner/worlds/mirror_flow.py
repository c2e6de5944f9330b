"""Public market data as market life: what happens there happens here, as it comes.

Pure but for the clock and the bell that it is given: frames go in, acts come out.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from wrappy.venue.events import HaltMarket, PrintTrade, SetIndexPrice, SetLevel
from wrappy.venue.tape_book import FINE_DECIMALS, fine, rounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from wrappy.model import Market
    from wrappy.venue.events import FlowAction

NO_BOOK: Final = "its order book has not been told yet"
_CHANNEL: Final = re.compile(r"([a-z_]+)[:/](\d+)")
_UNREADABLE: Final = (KeyError, TypeError, ValueError, AttributeError)
"""What a frame raises that is not of the documented shape."""


class MirroredMarket:
    """One public market: what is known of it, and what follows from each frame.

    Levels are the public ones. What our own orders took from a level is there again
    when the level changes. A trade is one trade at its price, which meets our orders
    as their place in the queue allows. Whenever a change is missing, or somebody says
    that nothing is known, the market stands still: its levels stay, nothing trades,
    and it takes no orders until the whole book has come again.

    Args:
        market: facts of it, as the mirrored exchange tells them.

    Attributes:
        trades: trades played so far.
        left_out: trades that came while the market stood still.
    """

    def __init__(self, market: Market) -> None:
        self.market = market
        self.trades = self.left_out = 0
        self._levels: tuple[dict[int, int], dict[int, int]] = ({}, {})  # bids, asks
        self._eaten: tuple[set[int], set[int]] = (set(), set())
        self._nonce: int | None = None
        self._unknown = NO_BOOK
        self._outside = ""
        self._last_trade = -1
        self._index = 0
        self._told: str | None = None

    @property
    def halted(self) -> str:
        """Why nothing trades; empty while the market lives."""
        return self._unknown or self._outside

    def opening(self) -> list[FlowAction]:
        """Return the first act: nothing is known yet."""
        return self._news()

    def judge(self, reason: str) -> list[FlowAction]:
        """Take somebody's word that the stream cannot be trusted; empty when it can."""
        self._outside = reason
        return self._news()

    def lose(self, reason: str) -> list[FlowAction]:
        """Forget the book until it comes as a whole."""
        self._nonce, self._unknown = None, reason
        return self._news()

    def frame(self, kind: str, message: Mapping[str, Any]) -> list[FlowAction]:
        """Take one frame of a channel and return what happens.

        Args:
            kind: name of the channel.
            message: the frame; one that cannot be read halts the market.
        """
        action = str(message.get("type", "")).partition("/")[0]
        try:
            if kind == "order_book":
                return self._book(message["order_book"], whole=action == "subscribed")
            if kind == "trade":
                return self._trades(message, new=action == "update")
            if kind in ("market_stats", "spot_market_stats"):
                return self._stats(message[kind])
        except _UNREADABLE as error:
            return self.lose(f"a frame of {kind} cannot be read: {error}")
        return []

    def _book(self, told: Mapping[str, Any], *, whole: bool) -> list[FlowAction]:
        nonce = int(told["nonce"])
        sides = [self._read(told.get(name) or ()) for name in ("bids", "asks")]
        if whole:
            # What is not named any more has gone.
            for known, new in zip(self._levels, sides, strict=True):
                new.update({price: 0 for price in known if price not in new})
        elif self._nonce is None or nonce <= self._nonce:
            return []
        elif (begin := int(told["begin_nonce"])) != self._nonce:
            return self.lose(f"a change is missing: {begin} came after {self._nonce}")
        self._nonce, self._unknown = nonce, ""
        actions = self._change(sides)
        self._check_uncrossed()
        return [*actions, *self._news()]

    def _read(self, rows: Iterable[Mapping[str, str]]) -> dict[int, int]:
        market = self.market
        return {
            _whole(row["price"], market.price_decimals): _whole(
                row["size"], market.size_decimals
            )
            for row in rows
        }

    def _change(self, sides: Sequence[dict[int, int]]) -> list[FlowAction]:
        # Whatever shrinks goes first, on both sides: no quote meets a stale one.
        shrinking: list[FlowAction] = []
        growing: list[FlowAction] = []
        index = self.market.market_id
        for is_ask, new in zip((False, True), sides, strict=True):
            known, eaten = self._levels[is_ask], self._eaten[is_ask]
            for price in eaten:
                # A trade took from it here; what is left there was not told again.
                if price in known:
                    new.setdefault(price, known[price])
            eaten.clear()
            for price, base in new.items():
                act = SetLevel(index, is_ask, price, base)
                (shrinking if base < known.get(price, 0) else growing).append(act)
                if base:
                    known[price] = base
                else:
                    known.pop(price, None)
        return shrinking + growing

    def _check_uncrossed(self) -> None:
        bids, asks = self._levels
        if bids and asks and max(bids) >= min(asks):
            raise ValueError("the book crosses itself")

    def _trades(self, message: Mapping[str, Any], *, new: bool) -> list[FlowAction]:
        market = self.market
        actions: list[FlowAction] = []
        rows = [
            *(message.get("trades") or ()),
            *(message.get("liquidation_trades") or ()),
        ]
        for row in sorted(rows, key=lambda one: int(one["trade_id"])):
            number = int(row["trade_id"])
            if number <= self._last_trade:
                continue
            self._last_trade = number
            if not new:
                continue
            if self.halted:
                self.left_out += 1
                continue
            price = rounded(fine(row["price"]), market.price_decimals)
            base = fine(row["size"]) // 10 ** (FINE_DECIMALS - market.size_decimals)
            is_ask = not row["is_maker_ask"]
            if price and base:
                makers = 0 if is_ask else 1
                self._eaten[makers].update(
                    tick
                    for tick in self._levels[makers]
                    if (tick >= price if is_ask else tick <= price)
                )
                self.trades += 1
                actions.append(PrintTrade(market.market_id, is_ask, price, base))
        return actions

    def _stats(self, told: Mapping[str, Any]) -> list[FlowAction]:
        text = told.get("index_price")
        price = rounded(fine(str(text)), self.market.price_decimals) if text else 0
        if not price or price == self._index:
            return []
        self._index = price
        return [SetIndexPrice(self.market.market_id, price)]

    def _news(self) -> list[FlowAction]:
        reason = self.halted
        if reason == self._told:
            return []
        self._told = reason
        words = reason and f"{self.market.symbol} stands still: {reason}"
        return [HaltMarket(self.market.market_id, words)]


class MirrorFlow:
    """Life of mirrored markets, played at the time it comes; a `Flow` of the venue.

    Args:
        markets: what is mirrored.
    """

    def __init__(self, markets: Sequence[Market]) -> None:
        self.markets = {market.symbol: MirroredMarket(market) for market in markets}
        self._by_index = {m.market.market_id: m for m in self.markets.values()}
        self._due: deque[tuple[int, list[FlowAction]]] = deque()
        self._age_us: Callable[[], int] = int
        self._wake: Callable[[], None] = lambda: None
        for market in self.markets.values():
            self._play(market.opening())

    @property
    def halts(self) -> dict[str, str]:
        """Why markets stand still, by symbol; only those that do."""
        return {
            symbol: market.halted
            for symbol, market in self.markets.items()
            if market.halted
        }

    def follow(self, age_us: Callable[[], int], wake: Callable[[], None]) -> None:
        """Go by an exchange's time.

        Args:
            age_us: microseconds since it opened.
            wake: has it look at once what is due.
        """
        self._age_us, self._wake = age_us, wake

    def take(self, message: Mapping[str, Any]) -> None:
        """Take one decoded frame of the public streams."""
        if message.get("type") == "connected":
            for market in self.markets.values():
                self._play(market.lose("the connection was lost"))
            return
        found = _CHANNEL.match(str(message.get("channel", "")))
        named = self._by_index.get(int(found[2])) if found else None
        if found and named is not None:
            self._play(named.frame(found[1], message))

    def judge(self, symbol: str, reason: str) -> None:
        """Halt a market for a reason from outside, or let it live again when empty."""
        self._play(self.markets[symbol].judge(reason))

    def next_at_us(self) -> int | None:
        """Return when the next acts are due, None while nothing has come."""
        return self._due[0][0] if self._due else None

    def step(self, now_us: int) -> list[FlowAction]:
        """Return every act due up to and including `now_us`, in order."""
        actions: list[FlowAction] = []
        while self._due and self._due[0][0] <= now_us:
            actions += self._due.popleft()[1]
        return actions

    def _play(self, actions: list[FlowAction]) -> None:
        if actions:
            self._due.append((self._age_us(), actions))
            self._wake()


def _whole(text: str, decimals: int) -> int:
    units, rest = divmod(fine(text), 10 ** (FINE_DECIMALS - decimals))
    if rest:
        raise ValueError(f"{text} has more than {decimals} decimals")
    return int(units)
