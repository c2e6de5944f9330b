"""Stage two of the exchange: orders meet the book, trades move balances.

Nothing here waits or checks a nonce: `Exchange` calls in when a transaction is due.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from wrappy._core.matching import (
    CANCELED_LIQUIDITY,
    CANCELED_MARGIN,
    CANCELED_REDUCE_ONLY,
    CANCELED_SLIPPAGE,
    FILLED,
    RESTED,
    Fill,
    MakerReduced,
    MakerRemoved,
)
from wrappy.venue.events import (
    LevelChanged,
    MarketChanged,
    OrderChanged,
    Trade,
    TradeExecuted,
)
from wrappy.venue.market_state import MarketState, is_client_order_index
from wrappy.venue.orders import (
    CANCELED_POSITION,
    DELEVERAGE_TRADE,
    LIQUIDATION,
    LIQUIDATION_TRADE,
    OPEN,
    PENDING,
    TRADE,
    VenueOrder,
)
from wrappy.venue.perp_desk import PerpDesk
from wrappy.venue.spot_desk import SpotDesk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from wrappy._core.matching import BookOrder, Verdict
    from wrappy.model import Market
    from wrappy.venue.accounts import Account
    from wrappy.venue.events import Event

FIRST_TRADE_ID: Final = 1_000_000_001
ATTRIBUTE_MARKET: Final = "5"
ATTRIBUTE_SELF_TRADE: Final = "6"
ATTRIBUTE_SAME_GROUP: Final = "7"
ATTRIBUTE_VERSION: Final = "8"


def _without_fill(state: MarketState, order: VenueOrder) -> str:
    # The other reading: there was something, only not at the order's price.
    engine = state.engine
    best = engine.best_bid if order.is_ask else engine.best_ask
    found_nothing = order.filled_base == 0 and best is not None
    return CANCELED_SLIPPAGE if found_nothing else CANCELED_LIQUIDITY


def attribute(info: Mapping[str, Any], key: str) -> int | None:
    """Return one of a transaction's `L2TxAttributes`, or None when it is absent."""
    value = (info.get("L2TxAttributes") or {}).get(key)
    return None if value is None else int(value)


def find_order(owner: Account, index: int) -> VenueOrder | None:
    """Return an order by COI or order index: a live one, or the latest closed one."""
    if is_client_order_index(index):
        live = owner.by_coi.get(index) if index else None
        closed = (
            order
            for order in reversed(owner.history)
            if index and order.client_order_index == index
        )
    else:
        live = owner.open_orders.get(index)
        closed = (
            order for order in reversed(owner.history) if order.order_index == index
        )
    return live if live is not None else next(closed, None)


def permitted(
    desk: PerpDesk | SpotDesk, state: MarketState, words: dict[str, str]
) -> Callable[[BookOrder, BookOrder, int, int], Verdict]:
    """Return the question of a market's engine: may a fill happen.

    The engine has one word for whatever may not; `words` gets the right one.
    """

    def permit(maker: BookOrder, taker: BookOrder, price: int, base: int) -> Verdict:
        words[CANCELED_MARGIN] = desk.shortage
        verdict = desk.room(maker, taker, state, price, base)
        if verdict != "allowed":
            words[CANCELED_MARGIN] = CANCELED_POSITION
            return verdict
        if not desk.carries(taker, state, price, base, makes=False):
            return "taker"
        if not desk.carries(maker, state, price, base, makes=True):
            return "maker"
        return "allowed"

    return permit


class TradingFloor:
    """Books, orders and balances of all markets and accounts.

    Attributes:
        accounts: by index, the flow's two among them.
        markets: by market index.
        lot_values: market index -> 1e-6 USDC of a lot at the mark price.
        nonce: number of the last change anywhere.
        next_trade_id: number of the next trade.
        height: block in the making.
        ended: orders with children that ended and are not followed up yet.
        turned: (account, market) of positions that closed or turned and are not
            followed up yet.
        shaken: users whose equity moved and was not judged yet.
    """

    def __init__(
        self,
        markets: Sequence[Market],
        accounts: dict[int, Account],
        emit: Callable[[Event], None],
    ) -> None:
        self.accounts = accounts
        self.markets = {market.market_id: MarketState(market) for market in markets}
        self.lot_values = dict.fromkeys(self.markets, 0)
        self.nonce = 0
        self.height = 1
        self.ended: list[VenueOrder] = []
        self.turned: list[tuple[int, int]] = []
        self.shaken: set[int] = set()
        self.slippage_for_nothing = False
        self._emit = emit
        self.next_trade_id = FIRST_TRADE_ID
        self._perps, spot = PerpDesk(self, emit), SpotDesk(self, emit)
        self._desks: dict[int, PerpDesk | SpotDesk] = {
            market.market_id: spot if market.is_spot else self._perps
            for market in markets
        }
        for account in accounts.values():
            for market in markets:
                account.initial_margin_fractions.setdefault(
                    market.market_id, market.initial_margin_fraction
                )

    # Reading

    def find_live(
        self, account: Account, market_index: int, index: int
    ) -> VenueOrder | None:
        """Return the account's live order of that COI or order index, or None."""
        by_coi = is_client_order_index(index)
        order = (account.by_coi if by_coi else account.open_orders).get(index)
        return order if order and order.market_index == market_index else None

    def covers(
        self,
        account: Account,
        market_index: int,
        *,
        is_ask: bool,
        base: int,
        price: int,
        order: VenueOrder | None = None,
    ) -> bool:
        """Return whether an account has the margin, or the assets, for a resting order.

        Args:
            account: whose order.
            market_index: its market.
            is_ask: whether it sells.
            base: lots left.
            price: ticks.
            order: the order if it exists: what it has locked is free for it.
        """
        return self._desks[market_index].covers(
            account,
            self.markets[market_index],
            is_ask=is_ask,
            base=base,
            price=price,
            order=order,
        )

    # Matching and settlement

    def take_out(self, order: VenueOrder, status: str, now_us: int) -> None:
        """End a live order, wherever it waits, with a status word of the wire."""
        state = self.markets[order.market_index]
        state.engine.cancel(order.order_index)
        self.settle(state, order, status, now_us)

    def _match(
        self, state: MarketState, order: VenueOrder, now_us: int, tx_hash: str
    ) -> str:
        # Matches and settles each event; returns the order's own outcome.
        if state.engine.rest_unmatched(order, now_ms=now_us // 1_000):
            return RESTED

        def reducible(owner: int, is_ask: bool) -> int:  # noqa: FBT001 - the engine's form
            return self.accounts[owner].ledger.reducible(state.index, is_ask=is_ask)

        desk = self._desks[state.index]
        words: dict[str, str] = {}
        outcome = RESTED
        kind = LIQUIDATION_TRADE if order.order_type == LIQUIDATION else TRADE
        for event in state.engine.execute(
            order,
            now_ms=now_us // 1_000,
            reducible=reducible,
            permit=permitted(desk, state, words),
        ):
            if isinstance(event, Fill):
                self.trade(state, event, now_us, tx_hash, kind=kind)
            elif isinstance(event, MakerRemoved):
                self.settle(
                    state, event.order, words.get(event.reason, event.reason), now_us
                )
            elif isinstance(event, MakerReduced):
                self.settle(state, event.order, RESTED, now_us)
            else:
                outcome = words.get(event.outcome, event.outcome)
        return outcome

    def run(
        self, state: MarketState, order: VenueOrder, now_us: int, tx_hash: str
    ) -> str:
        """Match `order`, settle all that follows, return its outcome."""
        outcome = CANCELED_REDUCE_ONLY
        if order.remaining:
            outcome = self._match(state, order, now_us, tx_hash)
        if outcome == CANCELED_LIQUIDITY and self.slippage_for_nothing:
            outcome = _without_fill(state, order)
        if outcome == RESTED and not self.covers(
            self.accounts[order.owner],
            state.index,
            is_ask=order.is_ask,
            base=0 if order.reduce_only else order.remaining,
            price=order.price,
            order=order,
        ):
            state.engine.cancel(order.order_index)
            outcome = self._desks[state.index].shortage
        self.settle(state, order, outcome, now_us)
        return outcome

    def settle(
        self, state: MarketState, order: BookOrder, outcome: str, now_us: int
    ) -> None:
        """Write an order's new state into its owner's tables and tell of it.

        Args:
            state: its market.
            order: the order, its sizes already as they are now.
            outcome: `rested`, `pending` or the word of its end.
            now_us: unix microseconds.
        """
        if not isinstance(order, VenueOrder):
            raise TypeError(f"order: {order!r} is not one of the exchange's")
        self.nonce += 1
        state.nonce = self.nonce
        order.block_height = self.height
        # Readers tell an older word on an order from a newer one by this time.
        order.updated_us = max(now_us, order.updated_us + 1)
        order.status = OPEN if outcome == RESTED else outcome
        account = self.accounts[order.owner]
        if account.is_flow:
            return
        coi = order.client_order_index
        if outcome in (RESTED, PENDING):
            account.open_orders[order.order_index] = order
            if coi:
                account.by_coi[coi] = order
        else:
            state.armed.pop(order.order_index, None)
            if order.to_trigger:
                self.ended.append(order)
            account.open_orders.pop(order.order_index, None)
            if coi and account.by_coi.get(coi) is order:
                del account.by_coi[coi]
            account.history.append(order)
        self._emit(OrderChanged(now_us, copy.copy(order)))
        self._desks[state.index].reserve(state, order, now_us, rests=outcome == RESTED)

    def trade(
        self,
        state: MarketState,
        fill: Fill,
        now_us: int,
        tx_hash: str,
        *,
        kind: str = TRADE,
    ) -> None:
        """Book one fill on both accounts and tell of it.

        One of kind `deleverage` happens outside the market: prices and statistics
        stay as they are.
        """
        maker, taker, price, base = fill
        if not isinstance(maker, VenueOrder) or not isinstance(taker, VenueOrder):
            raise TypeError(f"fill: {fill!r} is not among the exchange's orders")
        quote = price * base * state.market.quote_multiplier
        ask, bid = (taker, maker) if taker.is_ask else (maker, taker)
        desk = self._desks[state.index]
        made, took = (desk.book(state, order, fill, quote) for order in (maker, taker))
        sold, bought = (took, made) if taker.is_ask else (made, took)
        for order in (maker, taker):
            order.filled_base += base
            order.filled_quote += quote
        trade = Trade(
            trade_id=self.next_trade_id,
            tx_hash=tx_hash or f"{self.next_trade_id:080x}",
            market_index=state.index,
            price=price,
            base=base,
            quote=quote,
            ask_order_index=ask.order_index,
            bid_order_index=bid.order_index,
            ask_client_order_index=ask.client_order_index,
            bid_client_order_index=bid.client_order_index,
            ask_account=ask.owner,
            bid_account=bid.owner,
            is_maker_ask=maker.is_ask,
            taker_fee=took.rate,
            maker_fee=made.rate,
            taker_fee_amount=took.fee,
            maker_fee_amount=made.fee,
            taker_before=took.before,
            maker_before=made.before,
            ask_pnl=sold.profit,
            bid_pnl=bought.profit,
            block_height=self.height,
            at_us=now_us,
            taker_integrator=took.share,
            maker_integrator=made.share,
            kind=kind,
        )
        self.next_trade_id += 1
        state.open_interest += (made.opened + took.opened) // 2
        state.trades.append(trade)
        if kind != DELEVERAGE_TRADE:
            state.last_trade_price = price
            state.day.add(trade)
        if not state.mark_price:
            self._mark(state)
        self._emit(TradeExecuted(now_us, trade))
        self.settle(state, maker, RESTED if maker.remaining else FILLED, now_us)
        for order in (maker, taker):
            account = self.accounts[order.owner]
            if not account.is_flow:
                account.trades.append(trade)
                desk.tell(account, trade)

    def _mark(self, state: MarketState) -> bool:
        mark = state.reckon_mark_price()
        if mark == state.mark_price:
            return False
        state.mark_price = mark
        self.lot_values[state.index] = mark * state.market.quote_multiplier
        self.shaken |= self._perps.holders[state.index]
        return True

    def tell_books(self, states: Iterable[MarketState], *, now_us: int) -> None:
        """Tell which levels changed since the last call, and where the mark moved."""
        for state in states:
            changes = state.engine.level_changes()
            if changes:
                self.nonce += 1
                state.nonce = state.book_nonce = self.nonce
                for is_ask, price, base in changes:
                    self._emit(LevelChanged(now_us, state.index, is_ask, price, base))
            if self._mark(state):
                self._emit(MarketChanged(now_us, state.index))
