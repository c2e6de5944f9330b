"""Spot markets at the clearing desk: what orders lock, and assets changing hands.

A resting buy locks its value and the maker's fee, a resting sell what it sells. Fees
are paid in USDC by both sides, to an account of the exchange. In a classic account the
USDC is that of the spot wallet, in a unified one the same that positions stand on:
there what an order locks of it is also not free as margin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wrappy.venue.accounts import FEE_COLLECTOR
from wrappy.venue.events import BalanceChanged, SideBefore
from wrappy.venue.fees import (
    Booked,
    fee_rate,
    integrator_rate,
    integrator_share,
    spot_fee_of,
)
from wrappy.venue.orders import CANCELED_BALANCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy._core.matching import BookOrder, Fill, Verdict
    from wrappy.venue.accounts import Account
    from wrappy.venue.events import Event, IntegratorShare, Trade
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.orders import VenueOrder
    from wrappy.venue.trading import TradingFloor

_NO_POSITION: Final = SideBefore(0, 0, 0, sign_changed=False)


class SpotDesk:
    """Clears fills of spot markets of one trading floor.

    Attributes:
        shortage: status word of an order whose account has not what a fill takes.
    """

    shortage: Final = CANCELED_BALANCE

    def __init__(self, floor: TradingFloor, emit: Callable[[Event], None]) -> None:
        self._floor = floor
        self._emit = emit

    # Before a fill

    def _free(self, account: Account, asset: int, order_index: int) -> int:
        if not account.shares_purse(asset):
            return account.spot.free(asset, order_index=order_index)
        margin = account.ledger.available(
            self._floor.lot_values, account.initial_margin_fractions
        )
        own = account.spot.locked_by(order_index, asset)
        return margin - account.shared_lock + own

    def _needed(
        self,
        account: Account,
        state: MarketState,
        order: BookOrder | None,
        *,
        is_ask: bool,
        base: int,
        price: int,
        makes: bool,
    ) -> tuple[int, int]:
        # (asset, amount) that an order of that size takes or locks.
        market = state.market
        if is_ask:
            return market.base_asset_id, base
        quote = price * base * market.quote_multiplier
        extra = 0 if order is None else integrator_rate(order, makes=makes)
        fee = spot_fee_of(quote, fee_rate(account, makes=makes))
        return market.quote_asset_id, quote + fee + spot_fee_of(quote, extra)

    def covers(
        self,
        account: Account,
        state: MarketState,
        *,
        is_ask: bool,
        base: int,
        price: int,
        order: VenueOrder | None = None,
    ) -> bool:
        """Return whether there is enough to lock for an order that rests.

        Args:
            account: whose order.
            state: its market.
            is_ask: whether it sells.
            base: lots left.
            price: ticks.
            order: the order if it exists: what it locks already is free for it.
        """
        if account.is_flow:
            return True
        asset, amount = self._needed(
            account, state, order, is_ask=is_ask, base=base, price=price, makes=True
        )
        index = 0 if order is None else order.order_index
        return self._free(account, asset, index) >= amount

    def carries(
        self,
        order: BookOrder,
        state: MarketState,
        price: int,
        base: int,
        *,
        makes: bool,
    ) -> bool:
        """Return whether an account has what a fill takes from it."""
        account = self._floor.accounts[order.owner]
        if account.is_flow:
            return True
        asset, amount = self._needed(
            account,
            state,
            order,
            is_ask=order.is_ask,
            base=base,
            price=price,
            makes=makes,
        )
        return self._free(account, asset, order.order_index) >= amount

    def room(
        self,
        maker: BookOrder,  # noqa: ARG002 - both desks share one form
        taker: BookOrder,  # noqa: ARG002
        state: MarketState,  # noqa: ARG002
        price: int,  # noqa: ARG002
        base: int,  # noqa: ARG002
    ) -> Verdict:
        """Return that a fill is allowed: nobody holds a position here."""
        return "allowed"

    # After it

    def book(
        self, state: MarketState, order: VenueOrder, fill: Fill, quote: int
    ) -> Booked:
        """Change one party's assets by a fill."""
        account = self._floor.accounts[order.owner]
        market, makes = state.market, order is fill.maker
        rate = 0 if account.is_flow else fee_rate(account, makes=makes)
        fee = spot_fee_of(quote, rate)
        share = self._collect(order, quote, market.quote_asset_id, makes=makes)
        direction = -1 if order.is_ask else 1
        account.spot.add(market.base_asset_id, direction * fill.base)
        paid = direction * quote + fee + (share.amount if share else 0)
        account.pay(market.quote_asset_id, -paid)
        if not account.is_flow:
            account.spot.enter(
                market.base_asset_id,
                direction * fill.base,
                quote,
                self._floor.next_trade_id,
            )
        self._floor.accounts[FEE_COLLECTOR].pay(market.quote_asset_id, fee)
        return Booked(rate, fee, share, _NO_POSITION, 0, 0)

    def _collect(
        self, order: VenueOrder, quote: int, asset: int, *, makes: bool
    ) -> IntegratorShare | None:
        # An integrator that has no account here takes the money out of this world.
        rate = integrator_rate(order, makes=makes)
        if not rate:
            return None
        share = integrator_share(order, rate, spot_fee_of(quote, rate))
        collector = self._floor.accounts.get(share.account)
        if collector is not None:
            collector.pay(asset, share.amount)
        return share

    def tell(self, account: Account, trade: Trade) -> None:
        """Tell a user that a trade changed what is theirs."""
        self._emit(BalanceChanged(trade.at_us, account.index, trade.market_index))

    def reserve(
        self, state: MarketState, order: VenueOrder, now_us: int, *, rests: bool
    ) -> None:
        """Lock what a resting order may need; one that does not rest locks nothing."""
        account = self._floor.accounts[order.owner]
        asset, amount = self._needed(
            account,
            state,
            order,
            is_ask=order.is_ask,
            base=order.remaining if rests else 0,
            price=order.price,
            makes=True,
        )
        if account.spot.lock(order.order_index, asset, amount):
            self._emit(BalanceChanged(now_us, account.index, state.index))
