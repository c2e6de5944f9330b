"""The venue's record: every input it took and every event it made, append-only.

Tests judge a client by this record, not by the client's own claims. Market life
between the flow's own accounts is only counted, or it would drown the rest.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, TypeVar

from wrappy.venue.accounts import FLOW_MAKER, FLOW_TAKER
from wrappy.venue.events import (
    BarTraded,
    BlockMade,
    LevelChanged,
    MarketChanged,
    OrderChanged,
    TradeExecuted,
    TxAccepted,
    TxRefused,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wrappy.venue.events import Event, Trade
    from wrappy.venue.orders import VenueOrder

_FLOW = frozenset({FLOW_MAKER, FLOW_TAKER})
_PASSING = frozenset({LevelChanged, MarketChanged, BlockMade, BarTraded})
_RANDOM_FIELDS = frozenset({"Sig", "L1Sig"})
"""Differ from run to run although the transaction is the same."""

EventT = TypeVar("EventT")


def canonical_text(event: Event) -> str:
    """Return one event as text that equal events share, signatures left out."""
    if not isinstance(event, TxAccepted):
        return repr(event)
    fields = {
        key: value for key, value in event.info.items() if key not in _RANDOM_FIELDS
    }
    return f"{event!r} {json.dumps(fields, sort_keys=True)}"


class EventLog:
    """Everything that happened to users, in order.

    Attributes:
        flow_trades: trades among the market's own accounts, which are not kept.
    """

    def __init__(self) -> None:
        self.flow_trades = 0
        self._events: list[Event] = []
        self._orders: dict[int, VenueOrder] = {}
        self._digest = hashlib.sha256()
        self._digested = 0
        self._listeners: list[Callable[[Event], None]] = []

    def __len__(self) -> int:
        return len(self._events)

    def append(self, event: Event) -> None:
        """Keep `event` if it is of a kind that is kept."""
        if type(event) in _PASSING:
            return
        if isinstance(event, TradeExecuted):
            trade = event.trade
            if trade.ask_account in _FLOW and trade.bid_account in _FLOW:
                self.flow_trades += 1
                return
        elif isinstance(event, OrderChanged):
            if event.order.owner in _FLOW:
                return
            self._orders[event.order.order_index] = event.order
        self._events.append(event)
        for hear in self._listeners:
            hear(event)

    def listen(self, hear: Callable[[Event], None]) -> None:
        """Have a plain function called with every event that is kept, as it is."""
        self._listeners.append(hear)

    @property
    def events(self) -> tuple[Event, ...]:
        """Every kept event, oldest first."""
        return tuple(self._events)

    def latest(self) -> Iterator[Event]:
        """Return the kept events, newest first, one at a time."""
        return reversed(self._events)

    def of(self, kind: type[EventT]) -> list[EventT]:
        """Return the events of one class, oldest first."""
        return [event for event in self._events if isinstance(event, kind)]

    def orders(self, account: int | None = None) -> list[VenueOrder]:
        """Return the latest state of every users' order, in order of creation."""
        # A copy in one step: the venue may be running in another thread.
        orders = list(self._orders.values())
        return [order for order in orders if account in (None, order.owner)]

    def trades(
        self, account: int | None = None, market_index: int | None = None
    ) -> list[Trade]:
        """Return users' trades, oldest first, optionally of one account or market."""
        return [
            event.trade
            for event in self.of(TradeExecuted)
            if account in (None, event.trade.ask_account, event.trade.bid_account)
            and market_index in (None, event.trade.market_index)
        ]

    def accepted(self, account: int | None = None) -> list[TxAccepted]:
        """Return the transactions that passed stage one, oldest first."""
        return [
            event for event in self.of(TxAccepted) if account in (None, event.account)
        ]

    def refused(self) -> list[TxRefused]:
        """Return the refusals, oldest first."""
        return self.of(TxRefused)

    def hash(self) -> str:
        """Return a sha256, hex, over all kept events and the count of the others."""
        for event in self._events[self._digested :]:
            self._digest.update(canonical_text(event).encode() + b"\n")
        self._digested = len(self._events)
        whole = self._digest.copy()
        whole.update(str(self.flow_trades).encode())
        return whole.hexdigest()
