"""What the legs tell each other: channels, fields, and how they are read."""

from __future__ import annotations

import asyncio
from collections import deque
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from examples.hedge.book import Fill
from wrappy import ProtocolError
from wrappy.runner.bus import BusDownError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wrappy.model import Market
    from wrappy.runner.bus import MessageBus

A_FILLED = "hedge:account_a_filled"
B_FILLED = "hedge:account_b_filled"
GROUP = "hedge"
PAUSE_S = 0.5


def filled_message(row: Mapping[str, Any], account: int) -> dict[str, str]:
    """Return the message about one of an account's own trades, as streams tell it."""
    sold = row["ask_account_id"] == account
    price, size = Decimal(str(row["price"])), Decimal(str(row["size"]))
    return {
        "account_index": str(account),
        "market_index": str(row["market_id"]),
        "order_index": str(row["ask_id" if sold else "bid_id"]),
        "trade_id": str(row["trade_id"]),
        "filled_base_amount": str(size),
        "filled_quote_amount": str(price * size),
        "avg_price": str(price),
        "timestamp": str(row["timestamp"]),
        "side": "sell" if sold else "buy",
    }


def read_fill(fields: Mapping[str, str], market: Market) -> Fill:
    """Return the fill that a message tells of.

    Raises:
        ProtocolError: it cannot be read, or is about another market.
    """
    try:
        if int(fields["market_index"]) != market.market_id:
            raise ProtocolError(f"a fill in market {fields['market_index']}")
        sign = {"buy": 1, "sell": -1}[fields["side"]]
        lots = Decimal(fields["filled_base_amount"]) * market.size_scale
        return Fill(
            account=int(fields["account_index"]),
            trade_id=int(fields["trade_id"]),
            lots=sign * int(lots),
            at_ms=int(fields["timestamp"]),
        )
    except (KeyError, ValueError, InvalidOperation, OverflowError) as error:
        raise ProtocolError(f"a message that cannot be read: {error!r}") from error


class FillMessages:
    """Leg A's fills on their way to the bus: kept until it has them, oldest first."""

    def __init__(
        self, bus: MessageBus, account: int, tell: Callable[[str], None]
    ) -> None:
        self._bus, self._account, self._tell = bus, account, tell
        self._unsent: deque[dict[str, str]] = deque()
        self._news = asyncio.Event()
        self._down_since: float | None = None

    def on_trades(self, rows: Sequence[dict[str, Any]]) -> None:
        """Take trades as the overlay tells them."""
        self._unsent.extend(filled_message(row, self._account) for row in rows)
        self._news.set()

    def down_s(self, now: float) -> float:
        """Return for how many seconds the bus has not answered."""
        return 0.0 if self._down_since is None else now - self._down_since

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                while self._unsent:
                    await self._bus.publish(A_FILLED, self._unsent[0])
                    self._unsent.popleft()
                self._down_since = None
            except BusDownError as error:
                if self._down_since is None:
                    self._tell(f"A: {error}")
                    self._down_since = asyncio.get_running_loop().time()
                await asyncio.sleep(PAUSE_S)
                self._news.set()
