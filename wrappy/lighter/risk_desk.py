"""Stands before the dealers of one account, and keeps its limits.

What dealers, streams and questions tell of orders and positions is brought together
here in lots and ticks; whether an order may go is decided in `_core.judging`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from wrappy._core.exposure import LiveOrder, OrderKey
from wrappy._core.judging import OrderJudge, Wanted
from wrappy._core.risk import ACCOUNT, AccountRisk, RiskMarket, RiskRules
from wrappy._core.risk_states import TradingState, Transition
from wrappy.errors import ProtocolError, RiskDeniedError
from wrappy.lighter.asking.reading import LIVE_STATUSES, decimal, whole
from wrappy.model import OrderStatus
from wrappy.protocol.intents import (
    CancelAllOrders,
    CancelOrder,
    CreateGroupedOrders,
    CreateOrder,
    ModifyOrder,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from wrappy._core.judging import Denial
    from wrappy._core.orders import OrderRecord
    from wrappy.lighter.results import OrderDict
    from wrappy.lighter.trading.controls import AccountControls
    from wrappy.model import Market, Position
    from wrappy.protocol.intents import Intent

__all__ = [
    "ACCOUNT",
    "AccountRisk",
    "RiskDesk",
    "RiskMarket",
    "RiskRules",
    "Seat",
    "TradingState",
    "Transition",
]

FIRST_ORDER_INDEX: Final = 2**48
"""Smaller numbers of orders are client order indices (official signer constants)."""

ONE_CANCELS_OTHER: Final = (2, 3)
"""Groups in which one of the last two cancels the other (official signer constants)."""

MICRO: Final = 1_000_000
FACTS_KEPT: Final = 10_000


@dataclass(slots=True)
class _Facts:
    """What is known of an order besides its record.

    Attributes:
        seat: whose word on it counts; None for the account's stream.
        reduce_only: as it was sent, or told.
        is_own: whether it was let in here, or was there before its dealer came.
        least: size that counts at least, of what follows another's fills.
        group: as in `LiveOrder`.
    """

    seat: Seat | None
    reduce_only: bool
    is_own: bool = False
    least: int = 0
    group: int = 0


class Seat:
    """One dealer at the desk: the guard of its outbox.

    Args:
        desk: where it is judged.
        market: what it trades.
    """

    def __init__(self, desk: RiskDesk, market: Market) -> None:
        self.market = market
        self.is_taken = True
        self._desk = desk

    def admit(self, intent: Intent) -> None:
        """Let an intent into the queue.

        Raises:
            RiskDeniedError: a limit stands in the way.
        """
        why = self._desk.refusal(self, intent)
        if why is not None:
            raise RiskDeniedError(why.words, rule=why.rule)

    def stops(self, intent: Intent) -> str | None:
        """Return why an intent that was let in must not leave now, None if it may."""
        return self._desk.stop_reason(self, intent)

    def hear(self, record: OrderRecord) -> None:
        """Take what the dealer knows of an order."""
        self._desk.take(self, record)


class RiskDesk:
    """Limits of one account, kept for all its dealers.

    Args:
        rules: the limits of the account.
        clock: monotone seconds.
        unix_s: unix seconds.
        refresh: called before each judgement with the market at hand; brings prices
            and the age of data up to date.

    Attributes:
        risk: the account as far as it is known.
        judge: says yes or no.
    """

    def __init__(
        self,
        rules: RiskRules,
        *,
        clock: Callable[[], float],
        unix_s: Callable[[], float],
        refresh: Callable[[RiskMarket], None],
    ) -> None:
        self.risk = AccountRisk(rules)
        self.judge = OrderJudge(self.risk)
        self._clock = clock
        self._unix_s = unix_s
        self._refresh = refresh
        self._facts: dict[OrderKey, _Facts] = {}
        self._by_index: dict[int, OrderKey] = {}
        self._markets: dict[int, Market] = {}
        self._positions: dict[int, Position] = {}
        self._outside: dict[int, dict[int, int]] = {}

    # ------------------------------------------------------------ who sits here

    def has_market(self, index: int) -> bool:
        """Whether orders of a market are judged here."""
        return index in self._markets

    def market(self, index: int) -> Market:
        """Return a market in which orders are judged."""
        return self._markets[index]

    def add_market(self, market: Market, most_lots: int | None) -> None:
        """Judge orders of a market from now on; its position is what was told last.

        Args:
            market: its scales.
            most_lots: largest position; None for no limit.
        """
        if self.has_market(market.market_id):
            return
        self._markets[market.market_id] = market
        self.risk.add_market(
            RiskMarket(
                index=market.market_id,
                symbol=market.symbol,
                lot_value=market.quote_multiplier,
                most_lots=most_lots,
                is_spot=market.is_spot,
            )
        )
        self._outside.pop(market.market_id, None)
        self.risk.book.other(market.market_id, 0)
        exposure = self.risk.book.market(market.market_id)
        if self.risk.book.has_begun:
            exposure.told = exposure.implied = self._lots(market.market_id)

    def seat(self, dealer: AccountControls) -> Seat:
        """Stand before a dealer's outbox; what it knows by now is taken as counted.

        Its market has to be here already. `leave` ends it.
        """
        seat = Seat(self, dealer.market)
        for record in dealer.orders.live():
            key = OrderKey(record.market_index, record.client_order_index)
            self.risk.book.has_counted(key, record.filled_base, is_ask=record.is_ask)
            self.take(seat, record)
            facts = self._facts[key]
            facts.is_own = facts.is_own or facts.seat is seat
        dealer.orders.tell(seat.hear)
        dealer.attach_guard(seat)
        return seat

    def leave(self, seat: Seat, dealer: AccountControls) -> None:
        """Stand before a dealer no longer; its last words on orders still count."""
        seat.is_taken = False
        dealer.attach_guard(None)

    def numbers_of(self, seat: Seat) -> list[int]:
        """Return client order indices of a dealer's own orders that may trade."""
        exposure = self.risk.book.market(seat.market.market_id)
        return [key.number for key in exposure.orders if self._facts[key].seat is seat]

    # -------------------------------------------------------------- judgement

    def look(self) -> bool:
        """Work the state out anew; return whether it is another one."""
        return self.risk.look(self._clock(), self._unix_s())

    def refusal(self, seat: Seat, intent: Intent) -> Denial | None:
        """Return why an intent may not be queued, None if it may."""
        if isinstance(intent, (CancelOrder, CancelAllOrders)):
            return None
        self._bring_up_to_date(seat)
        now = self._clock()
        if isinstance(intent, ModifyOrder):
            key = self._key_of(intent)
            near = intent.trigger_price
            return self.judge.change_refusal(
                key, intent.price, intent.base_amount, now, near=near
            )
        if isinstance(intent, (CreateOrder, CreateGroupedOrders)):
            facts = self._facts_of(seat, intent)
            wanted = [
                Wanted(_as_wanted(order, facts[key]), order.trigger_price)
                for key, order in zip(facts, _orders_in(intent), strict=True)
            ]
            why = self.judge.refusal(intent_market(intent), wanted, now)
            if why is None:
                self._remember(facts)
            return why
        # Leverage and margin: no order, but no cancel either.
        return self.judge.halted()

    def stop_reason(self, seat: Seat, intent: Intent) -> str | None:
        """Return why an intent that was let in must not leave now, None if it may."""
        if isinstance(intent, (CancelOrder, CancelAllOrders)):
            return None
        self._bring_up_to_date(seat)
        if isinstance(intent, ModifyOrder):
            key = self._key_of(intent)
            return self.judge.change_stop(key, intent.price, intent.base_amount)
        if isinstance(intent, (CreateOrder, CreateGroupedOrders)):
            market = intent_market(intent)
            live = self.risk.book.market(market).orders
            keys = [
                OrderKey(market, order.client_order_index)
                for order in _orders_in(intent)
            ]
            return self.judge.stop_reason(market, [live[k] for k in keys if k in live])
        return self.judge.halt_reason()

    def _bring_up_to_date(self, seat: Seat) -> None:
        self._refresh(self.risk.markets[seat.market.market_id])
        self.look()

    def _key_of(self, intent: ModifyOrder) -> OrderKey:
        if intent.index < FIRST_ORDER_INDEX:
            return OrderKey(intent.market_index, intent.index)
        unheard = OrderKey(intent.market_index, -intent.index)
        return self._by_index.get(intent.index, unheard)

    def _facts_of(
        self, seat: Seat, intent: CreateOrder | CreateGroupedOrders
    ) -> dict[OrderKey, _Facts]:
        orders = _orders_in(intent)
        parent = orders[0]
        pairs = orders[-2:] if _has_pair(intent) else ()
        return {
            OrderKey(order.market_index, order.client_order_index): _Facts(
                seat,
                order.reduce_only,
                is_own=True,
                # What follows its parent's fills can become as large as that.
                least=0 if order.base_amount else parent.base_amount,
                group=pairs[0].client_order_index if order in pairs else 0,
            )
            for order in orders
        }

    def _remember(self, facts: Mapping[OrderKey, _Facts]) -> None:
        self._facts.update(facts)
        if len(self._facts) > FACTS_KEPT:
            live = {
                key
                for market in self.risk.book.markets.values()
                for key in market.orders
            }
            kept = live | set(facts)
            self._facts = {k: v for k, v in self._facts.items() if k in kept}
            self._by_index = {i: k for i, k in self._by_index.items() if k in kept}

    # ------------------------------------------------------------ what is told

    def take(self, seat: Seat, record: OrderRecord) -> None:
        """Take a dealer's word on an order; of several dealers one is listened to."""
        key = OrderKey(record.market_index, record.client_order_index)
        facts = self._facts.get(key)
        if facts is None:
            told = record.report or {}
            facts = _Facts(seat, bool(told.get("reduce_only")))
            self._remember({key: facts})
        elif facts.seat is not seat:
            if facts.seat is not None and facts.seat.is_taken:
                return
            facts.seat = seat
        if record.order_index is not None:
            self._by_index[record.order_index] = key
        order = LiveOrder(
            is_ask=record.is_ask,
            lots=record.base_amount,
            ticks=record.price_ticks,
            reduce_only=facts.reduce_only,
            is_unknown=record.status is OrderStatus.UNKNOWN,
            least=facts.least,
            group=facts.group,
        )
        is_over = record.status.is_terminal and not (
            record.contradicted and record.told_status in LIVE_STATUSES
        )
        self.risk.book.order(
            key,
            None if is_over else order,
            record.filled_base,
            is_ask=record.is_ask,
        )

    def take_rows(self, rows: Iterable[OrderDict], *, counted: bool = False) -> None:
        """Take the account stream's word on orders that no dealer here tells of.

        Args:
            rows: as the exchange has them; unreadable ones are left out.
            counted: whether the position has their fills in it already.
        """
        for row in rows:
            # The stream itself has told of and counted what cannot be read.
            with contextlib.suppress(ProtocolError):
                self._take_row(row, counted=counted)

    def _take_row(self, row: OrderDict, *, counted: bool) -> None:
        index, number = whole(row, "market_index"), whole(row, "client_order_index")
        order_index = whole(row, "order_index")
        key = OrderKey(index, number or -order_index)
        facts = self._facts.get(key)
        if number and facts is not None and facts.seat is not None:
            if facts.seat.is_taken:
                return
        elif number and self.has_market(index) and facts is None:
            return  # a dealer of the market hears of it as well
        if facts is None:
            facts = _Facts(None, row.get("reduce_only") is True)
            self._remember({key: facts})
        self._by_index[order_index] = key
        is_ask = bool(row.get("is_ask"))
        size, filled = (
            decimal(row, "initial_base_amount"),
            decimal(row, "filled_base_amount"),
        )
        # The exchange prints sizes with the market's own decimals.
        scale = Decimal(10) ** len(str(row["initial_base_amount"]).partition(".")[2])
        order = LiveOrder(
            is_ask=is_ask,
            lots=int(size * scale),
            ticks=whole(row, "base_price"),
            reduce_only=facts.reduce_only,
        )
        lives = row.get("status") in LIVE_STATUSES
        filled_lots = int(filled * scale)
        if counted:
            self.risk.book.has_counted(key, filled_lots, is_ask=is_ask)
        self.risk.book.order(key, order if lives else None, filled_lots, is_ask=is_ask)
        if not self.has_market(index):
            left = (size - filled) * decimal(row, "price") if lives else Decimal(0)
            worths = self._outside.setdefault(index, {})
            worths[order_index] = 0 if facts.reduce_only else int(left * MICRO)
            self._value_outside(index)

    def take_positions(self, positions: Mapping[str, Position]) -> None:
        """Take the stream's word on all open positions."""
        told = {position.market_id: position for position in positions.values()}
        before, self._positions = self._positions, told
        for index in self._markets:
            self.risk.book.position(index, self._lots(index))
        for index in {*before, *told} - set(self._markets):
            self._value_outside(index)

    def begin(self, positions: Iterable[Position], *, only: Iterable[int] = ()) -> None:
        """Take positions that were asked for.

        Args:
            positions: all that are open.
            only: markets to take them for; none for all.
        """
        asked = {position.market_id: position for position in positions}
        markets = set(only) or set(self._markets)
        for index in markets & set(self._markets):
            position = asked.get(index)
            lots = 0 if position is None else self._scaled(position)
            self.risk.book.anchor(index, lots)
        if not only:
            self._positions = asked
            for index in set(asked) - set(self._markets):
                self._value_outside(index)
            self.risk.book.has_begun = True

    def _lots(self, index: int) -> int:
        position = self._positions.get(index)
        return 0 if position is None else self._scaled(position)

    def _scaled(self, position: Position) -> int:
        return int(position.size * self._markets[position.market_id].size_scale)

    def _value_outside(self, index: int) -> None:
        position = self._positions.get(index)
        value = sum(self._outside.get(index, {}).values())
        if position is not None:
            paid = position.size * position.average_entry_price
            value += abs(int((paid + position.unrealized_pnl) * MICRO))
        self.risk.book.other(index, value)


def intent_market(intent: CreateOrder | CreateGroupedOrders) -> int:
    """Return the market of new orders."""
    return _orders_in(intent)[0].market_index


def _orders_in(intent: CreateOrder | CreateGroupedOrders) -> tuple[CreateOrder, ...]:
    return intent.orders if isinstance(intent, CreateGroupedOrders) else (intent,)


def _has_pair(intent: Any) -> bool:
    return (
        isinstance(intent, CreateGroupedOrders)
        and intent.grouping_type in ONE_CANCELS_OTHER
    )


def _as_wanted(order: CreateOrder, facts: _Facts) -> LiveOrder:
    return LiveOrder(
        is_ask=order.is_ask,
        lots=order.base_amount,
        ticks=order.price,
        reduce_only=order.reduce_only,
        least=facts.least,
        group=facts.group,
    )
