"""Stage two of the exchange: orders meet the book, trades move balances.

Nothing here waits or checks a nonce: `Exchange` calls in when a transaction is due.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from wrappy._core.ledger import margin_of
from wrappy._core.matching import (
    CANCELED_MARGIN,
    CANCELED_REDUCE_ONLY,
    FILLED,
    RESTED,
    Fill,
    MakerReduced,
    MakerRemoved,
)
from wrappy.venue.accounts import INSURANCE_FUND
from wrappy.venue.events import (
    IntegratorShare,
    LevelChanged,
    MarketChanged,
    OrderChanged,
    PositionChanged,
    SideBefore,
    Trade,
    TradeExecuted,
)
from wrappy.venue.market_state import MARKET_INDEX_SHIFT, MarketState
from wrappy.venue.orders import (
    DELEVERAGE_TRADE,
    LIQUIDATION,
    LIQUIDATION_TRADE,
    OPEN,
    PENDING,
    TRADE,
    VenueOrder,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from wrappy._core.matching import BookOrder, Verdict
    from wrappy.model import Market
    from wrappy.venue.accounts import Account
    from wrappy.venue.events import Event

FEE_SCALE: Final = 1_000_000
LIQUIDATION_FEE: Final = 10_000
"""The most that a forced trade costs, 1e-6 of its value (official documentation)."""
FIRST_TRADE_ID: Final = 1_000_000_001
ATTRIBUTE_MARKET: Final = "5"
ATTRIBUTE_SELF_TRADE: Final = "6"
ATTRIBUTE_SAME_GROUP: Final = "7"


def attribute(info: Mapping[str, Any], key: str) -> int | None:
    """Return one of a transaction's `L2TxAttributes`, or None when it is absent."""
    value = (info.get("L2TxAttributes") or {}).get(key)
    return None if value is None else int(value)


def fee_of(quote: int, tick: int) -> int:
    """Return the fee on `quote` at `tick` (1e-6), halves rounded up, in 1e-6 USDC.

    The rounding is a choice: the exchange publishes none.
    """
    return (quote * tick + FEE_SCALE // 2) // FEE_SCALE


def _integrator_fee(order: BookOrder, *, makes: bool) -> int:
    terms = order.integrator if isinstance(order, VenueOrder) else None
    if terms is None:
        return 0
    return terms.maker_fee if makes else terms.taker_fee


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


class TradingFloor:
    """Books, orders and balances of all markets and accounts.

    Attributes:
        accounts: by index, the flow's two among them.
        markets: by market index.
        lot_values: market index -> 1e-6 USDC of a lot at the mark price.
        nonce: number of the last change anywhere.
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
        self._holders: dict[int, set[int]] = {index: set() for index in self.markets}
        self._emit = emit
        self._trade_id = FIRST_TRADE_ID
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
        by_coi = index < 1 << MARKET_INDEX_SHIFT
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
    ) -> bool:
        """Return whether free margin carries an order; closing a position needs none.

        Open orders reserve nothing (cross margin, official API documentation). An
        isolated position takes its margin from the same free part when it opens.
        """
        if account.is_flow:
            return True
        ledger = account.ledger
        opening = base - ledger.reducible(market_index, is_ask=is_ask)
        if opening <= 0:
            return True
        fractions = account.initial_margin_fractions
        multiplier = self.markets[market_index].market.quote_multiplier
        needed = margin_of(opening * price * multiplier, fractions[market_index])
        return ledger.available(self.lot_values, fractions) >= needed

    def _carries(
        self, order: BookOrder, market_index: int, price: int, base: int, fee_tick: int
    ) -> bool:
        # A fill is allowed when it only shrinks the position, or when the account
        # still has its initial margin afterwards.
        account = self.accounts[order.owner]
        if account.is_flow:
            return True
        ledger, fractions = account.ledger, account.initial_margin_fractions
        size = ledger.size(market_index)
        change = -base if order.is_ask else base
        after = size + change
        if size * after >= 0 and abs(after) < abs(size):
            return True
        multiplier = self.markets[market_index].market.quote_multiplier
        lot_value = self.lot_values[market_index] or price * multiplier
        fraction = fractions[market_index]
        free = ledger.available(self.lot_values, fractions)
        if market_index in ledger.allocated:
            # What is opened takes its margin from the cross markets' free part; what
            # is closed on the way gives its own back, with the profit it realizes.
            opening = base - ledger.reducible(market_index, is_ask=order.is_ask)
            if opening < base:
                free += ledger.isolated_equity(market_index, price * multiplier)
            free -= fee_of(base * price * multiplier, fee_tick)
            return free >= margin_of(opening * price * multiplier, fraction)
        free += change * (lot_value - price * multiplier)
        free -= fee_of(base * price * multiplier, fee_tick)
        free += margin_of(abs(size) * lot_value, fraction)
        return free >= margin_of(abs(after) * lot_value, fraction)

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
        def reducible(owner: int, is_ask: bool) -> int:  # noqa: FBT001 - the engine's form
            return self.accounts[owner].ledger.reducible(state.index, is_ask=is_ask)

        def permit(
            maker: BookOrder, taker: BookOrder, price: int, base: int
        ) -> Verdict:
            tier = self.accounts[taker.owner].tier
            tick = tier.taker_fee_tick + _integrator_fee(taker, makes=False)
            if not self._carries(taker, state.index, price, base, tick):
                return "taker"
            tier = self.accounts[maker.owner].tier
            tick = tier.maker_fee_tick + _integrator_fee(maker, makes=True)
            if not self._carries(maker, state.index, price, base, tick):
                return "maker"
            return "allowed"

        outcome = RESTED
        kind = LIQUIDATION_TRADE if order.order_type == LIQUIDATION else TRADE
        for event in state.engine.execute(
            order, now_ms=now_us // 1_000, reducible=reducible, permit=permit
        ):
            if isinstance(event, Fill):
                self.trade(state, event, now_us, tx_hash, kind=kind)
            elif isinstance(event, MakerRemoved):
                self.settle(state, event.order, event.reason, now_us)
            elif isinstance(event, MakerReduced):
                self.settle(state, event.order, RESTED, now_us)
            else:
                outcome = event.outcome
        return outcome

    def run(
        self, state: MarketState, order: VenueOrder, now_us: int, tx_hash: str
    ) -> str:
        """Match `order`, settle all that follows, return its outcome."""
        outcome = CANCELED_REDUCE_ONLY
        if order.remaining:
            outcome = self._match(state, order, now_us, tx_hash)
        if outcome == RESTED and not self.covers(
            self.accounts[order.owner],
            state.index,
            is_ask=order.is_ask,
            base=0 if order.reduce_only else order.remaining,
            price=order.price,
        ):
            state.engine.cancel(order.order_index)
            outcome = CANCELED_MARGIN
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

    def _collect(
        self, order: VenueOrder, quote: int, *, makes: bool
    ) -> IntegratorShare | None:
        # An integrator that has no account here takes the money out of this world.
        rate = _integrator_fee(order, makes=makes)
        if order.integrator is None or not rate:
            return None
        share = IntegratorShare(order.integrator.account, rate, fee_of(quote, rate))
        collector = self.accounts.get(share.account)
        if collector is not None:
            collector.ledger.collateral += share.amount
            collector.ledger.fees_paid -= share.amount
        return share

    def _fee(
        self, order: VenueOrder, fill: Fill, quote: int, tick: int
    ) -> tuple[int, int]:
        # (rate, amount). A forced trade costs what it brought above its zero price,
        # up to a bound, and that goes to the insurance fund; nothing else is charged.
        if self.accounts[order.owner].is_flow:
            return 0, 0
        if order.order_type != LIQUIDATION:
            return tick, fee_of(quote, tick)
        gain = abs(fill.price - order.price) * (quote // fill.price)
        fee = min(gain, fee_of(quote, LIQUIDATION_FEE))
        fund = self.accounts[INSURANCE_FUND].ledger
        fund.collateral += fee
        fund.fees_paid -= fee
        return fee * FEE_SCALE // quote, fee

    def _follow_holder(self, account: Account, market_index: int) -> None:
        holders = self._holders[market_index]
        if account.ledger.size(market_index):
            holders.add(account.index)
        else:
            holders.discard(account.index)
        self.shaken.add(account.index)

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
        rates: dict[bool, int] = {}
        fees: dict[bool, int] = {}
        shares: dict[bool, IntegratorShare | None] = {}
        before: dict[bool, SideBefore] = {}
        profits: dict[bool, int] = {}
        interest = 0
        for order in (maker, taker):
            account = self.accounts[order.owner]
            tier = account.tier
            rate = tier.maker_fee_tick if order is maker else tier.taker_fee_tick
            rate, fee = self._fee(order, fill, quote, rate)
            share = self._collect(order, quote, makes=order is maker)
            held = account.ledger.positions.get(state.index)
            size, cost = (held.size, held.entry_quote) if held else (0, 0)
            profits[order.is_ask] = account.ledger.apply_fill(
                state.index,
                is_ask=order.is_ask,
                base=base,
                quote=quote,
                fee=fee + (share.amount if share else 0),
                fraction=account.initial_margin_fractions[state.index],
            )
            after = account.ledger.size(state.index)
            interest += abs(after) - abs(size)
            rates[order.is_ask], fees[order.is_ask] = rate, fee
            shares[order.is_ask] = share
            before[order.is_ask] = SideBefore(
                position=size,
                entry_quote=cost,
                initial_margin_fraction=account.initial_margin_fractions[state.index],
                sign_changed=_sign(size) != _sign(after),
            )
            if not account.is_flow:
                self._follow_holder(account, state.index)
                if size and _sign(size) != _sign(after):
                    self.turned.append((account.index, state.index))
            order.filled_base += base
            order.filled_quote += quote
        made, took = maker.is_ask, taker.is_ask
        trade = Trade(
            trade_id=self._trade_id,
            tx_hash=tx_hash or f"{self._trade_id:080x}",
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
            is_maker_ask=made,
            taker_fee=rates[took],
            maker_fee=rates[made],
            taker_fee_amount=fees[took],
            maker_fee_amount=fees[made],
            taker_before=before[took],
            maker_before=before[made],
            ask_pnl=profits[True],
            bid_pnl=profits[False],
            block_height=self.height,
            at_us=now_us,
            taker_integrator=shares[took],
            maker_integrator=shares[made],
            kind=kind,
        )
        self._trade_id += 1
        state.open_interest += interest // 2
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
                self._emit(PositionChanged(now_us, account.index, state.index))

    def _mark(self, state: MarketState) -> bool:
        mark = state.reckon_mark_price()
        if mark == state.mark_price:
            return False
        state.mark_price = mark
        self.lot_values[state.index] = mark * state.market.quote_multiplier
        self.shaken |= self._holders[state.index]
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
