"""Perpetuals at the clearing desk: margin before a fill, positions after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wrappy._core.ledger import margin_of
from wrappy._core.matching import CANCELED_MARGIN
from wrappy.venue.accounts import INSURANCE_FUND
from wrappy.venue.events import PositionChanged, SideBefore
from wrappy.venue.fees import (
    FEE_SCALE,
    LIQUIDATION_FEE,
    Booked,
    fee_of,
    fee_rate,
    integrator_rate,
    integrator_share,
)
from wrappy.venue.orders import LIQUIDATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy._core.matching import BookOrder, Fill, Verdict
    from wrappy.venue.accounts import Account
    from wrappy.venue.events import Event, IntegratorShare, Trade
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.orders import VenueOrder
    from wrappy.venue.trading import TradingFloor


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


class PerpDesk:
    """Clears fills of perpetual markets of one trading floor.

    Attributes:
        shortage: status word of an order whose account cannot carry a fill.
        holders: by market index, the users who hold a position there.
    """

    shortage: Final = CANCELED_MARGIN

    def __init__(self, floor: TradingFloor, emit: Callable[[Event], None]) -> None:
        self._floor = floor
        self._emit = emit
        self.holders: dict[int, set[int]] = {index: set() for index in floor.markets}

    # Before a fill

    def _available(self, account: Account) -> int:
        # What spot orders have locked of a purse they share is not free.
        free = account.ledger.available(
            self._floor.lot_values, account.initial_margin_fractions
        )
        return free - account.shared_lock

    def covers(
        self,
        account: Account,
        state: MarketState,
        *,
        is_ask: bool,
        base: int,
        price: int,
        order: VenueOrder | None = None,  # noqa: ARG002 - both desks share one form
    ) -> bool:
        """Return whether free margin carries an order; closing a position needs none.

        Open orders reserve nothing (cross margin, official API documentation). An
        isolated position takes its margin from the same free part when it opens.
        """
        if account.is_flow:
            return True
        index = state.index
        opening = base - account.ledger.reducible(index, is_ask=is_ask)
        if opening <= 0:
            return True
        value = opening * price * state.market.quote_multiplier
        needed = margin_of(value, account.initial_margin_fractions[index])
        return self._available(account) >= needed

    def carries(
        self,
        order: BookOrder,
        state: MarketState,
        price: int,
        base: int,
        *,
        makes: bool,
    ) -> bool:
        """Return whether a fill is allowed: what it leaves has its initial margin.

        One that only shrinks the position always is.
        """
        account = self._floor.accounts[order.owner]
        if account.is_flow:
            return True
        market_index, ledger = state.index, account.ledger
        size = ledger.size(market_index)
        change = -base if order.is_ask else base
        after = size + change
        if size * after >= 0 and abs(after) < abs(size):
            return True
        multiplier = state.market.quote_multiplier
        lot_value = self._floor.lot_values[market_index] or price * multiplier
        fraction = account.initial_margin_fractions[market_index]
        rate = fee_rate(account, makes=makes) + integrator_rate(order, makes=makes)
        free = self._available(account)
        if market_index in ledger.allocated:
            # What is opened takes its margin from the cross markets' free part; what
            # is closed on the way gives its own back, with the profit it realizes.
            opening = base - ledger.reducible(market_index, is_ask=order.is_ask)
            if opening < base:
                free += ledger.isolated_equity(market_index, price * multiplier)
            free -= fee_of(base * price * multiplier, rate)
            return free >= margin_of(opening * price * multiplier, fraction)
        free += change * (lot_value - price * multiplier)
        free -= fee_of(base * price * multiplier, rate)
        free += margin_of(abs(size) * lot_value, fraction)
        return free >= margin_of(abs(after) * lot_value, fraction)

    def room(
        self,
        maker: BookOrder,
        taker: BookOrder,
        state: MarketState,
        price: int,
        base: int,
    ) -> Verdict:
        """Return whose order must end because the open interest is at its limit.

        A fill that opens no more than it closes is always allowed, and so is what
        the market's own accounts do among themselves: it would end otherwise.
        """
        limit, accounts = state.open_interest_limit, self._floor.accounts
        grown = limit and sum(self._opened(one, state, base) for one in (maker, taker))
        if grown <= 0:
            return "allowed"
        lot_value = self._floor.lot_values[state.index]
        lot_value = lot_value or price * state.market.quote_multiplier
        if (state.open_interest + grown // 2) * lot_value <= limit:
            return "allowed"
        if not accounts[taker.owner].is_flow:
            return "taker"
        return "allowed" if accounts[maker.owner].is_flow else "maker"

    def _opened(self, order: BookOrder, state: MarketState, base: int) -> int:
        size = self._floor.accounts[order.owner].ledger.size(state.index)
        return abs(size + (-base if order.is_ask else base)) - abs(size)

    # After it

    def book(
        self, state: MarketState, order: VenueOrder, fill: Fill, quote: int
    ) -> Booked:
        """Change one party's position and collateral by a fill."""
        account = self._floor.accounts[order.owner]
        makes, index, ledger = order is fill.maker, state.index, account.ledger
        rate, fee = self._fee(account, order, fill, quote, makes=makes)
        share = self._collect(order, quote, makes=makes)
        held = ledger.positions.get(index)
        size, cost = (held.size, held.entry_quote) if held else (0, 0)
        fraction = account.initial_margin_fractions[index]
        profit = ledger.apply_fill(
            index,
            is_ask=order.is_ask,
            base=fill.base,
            quote=quote,
            fee=fee + (share.amount if share else 0),
            fraction=fraction,
        )
        after = ledger.size(index)
        turned = _sign(size) != _sign(after)
        before = SideBefore(size, cost, fraction, turned)
        if not account.is_flow:
            self._follow_holder(account, index)
            if size and turned:
                self._floor.turned.append((account.index, index))
        return Booked(rate, fee, share, before, profit, abs(after) - abs(size))

    def _fee(
        self,
        account: Account,
        order: VenueOrder,
        fill: Fill,
        quote: int,
        *,
        makes: bool,
    ) -> tuple[int, int]:
        # (rate, amount). A forced trade costs what it brought above its zero price,
        # up to a bound, and that goes to the insurance fund; nothing else is charged.
        if account.is_flow:
            return 0, 0
        if order.order_type != LIQUIDATION:
            rate = fee_rate(account, makes=makes)
            return rate, fee_of(quote, rate)
        gain = abs(fill.price - order.price) * (quote // fill.price)
        fee = min(gain, fee_of(quote, LIQUIDATION_FEE))
        fund = self._floor.accounts[INSURANCE_FUND].ledger
        fund.collateral += fee
        fund.fees_paid -= fee
        return fee * FEE_SCALE // quote, fee

    def _collect(
        self, order: VenueOrder, quote: int, *, makes: bool
    ) -> IntegratorShare | None:
        # An integrator that has no account here takes the money out of this world.
        rate = integrator_rate(order, makes=makes)
        if not rate:
            return None
        share = integrator_share(order, rate, fee_of(quote, rate))
        collector = self._floor.accounts.get(share.account)
        if collector is not None:
            collector.ledger.collateral += share.amount
            collector.ledger.fees_paid -= share.amount
        return share

    def _follow_holder(self, account: Account, market_index: int) -> None:
        holders = self.holders[market_index]
        if account.ledger.size(market_index):
            holders.add(account.index)
        else:
            holders.discard(account.index)
        self._floor.shaken.add(account.index)

    def tell(self, account: Account, trade: Trade) -> None:
        """Tell a user that a trade changed what is theirs."""
        self._emit(PositionChanged(trade.at_us, account.index, trade.market_index))

    def reserve(
        self, state: MarketState, order: VenueOrder, now_us: int, *, rests: bool
    ) -> None:
        """Set aside what a resting order may need: nothing, for a perpetual."""
