"""Users' order transactions, carried out: create, group, modify, cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy._core.matching import FILLED
from wrappy.model import OrderType
from wrappy.protocol.codes import OK
from wrappy.venue.integrators import terms_of
from wrappy.venue.market_state import ORDER_NONCE_MASK
from wrappy.venue.orders import (
    AVERAGE_PRICE_TYPES,
    AWAITS_MARK,
    AWAITS_PARENT,
    AWAITS_SLICE,
    CANCELED,
    PENDING,
    TRIGGER_TYPES,
    VenueOrder,
)
from wrappy.venue.trading import (
    ATTRIBUTE_SAME_GROUP,
    ATTRIBUTE_SELF_TRADE,
    ATTRIBUTE_VERSION,
    attribute,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.venue.accounts import Account
    from wrappy.venue.conditionals import Conditionals
    from wrappy.venue.settings import VenueSettings
    from wrappy.venue.trading import TradingFloor

ONE_CANCELS_THE_OTHER: Final = 2
"""Grouping type of two orders without a parent; 1 and 3 have one and begin with it."""
INACTIVE_CANCEL: Final = 21600
INACTIVE_ORDER: Final = 21709
NOTHING_TO_REDUCE: Final = 21732
WRONG_DIRECTION: Final = 21738


class OrderEntry:
    """Order transactions on one trading floor.

    Each method returns 200, or the code that says why nothing was done. The caller
    lets `Conditionals.carry_on` follow.
    """

    def __init__(
        self, settings: VenueSettings, floor: TradingFloor, conditionals: Conditionals
    ) -> None:
        self._drops = settings.reduce_only_without_position == "drop"
        self._counts_versions = settings.order_version == "counts"
        floor.slippage_for_nothing = settings.ioc_without_fill == "slippage"
        for state in floor.markets.values():
            state.open_interest_limit = settings.open_interest_limit
        self._floor = floor
        self._conditionals = conditionals

    def _make(
        self,
        account: Account,
        fields: Mapping[str, Any],
        info: Mapping[str, Any],
        tx_hash: str,
        now_us: int,
    ) -> VenueOrder:
        state = self._floor.markets[fields["MarketIndex"]]
        is_ask, kind = bool(fields["IsAsk"]), fields["Type"]
        base = fields["BaseAmount"]
        if not base and kind not in TRIGGER_TYPES:
            # Zero lots, reduce-only: the whole position, as it is now.
            base = account.ledger.reducible(state.index, is_ask=is_ask)
        order_index = state.new_order_index(is_ask=is_ask)
        return VenueOrder(
            order_index=order_index,
            nonce=order_index & ORDER_NONCE_MASK,
            owner=account.index,
            owner_group=account.index,
            is_ask=is_ask,
            price=fields["Price"],
            remaining=base,
            expiry_ms=fields["OrderExpiry"],
            time_in_force=fields["TimeInForce"],
            reduce_only=bool(fields["ReduceOnly"]),
            is_market=kind in AVERAGE_PRICE_TYPES,
            self_trade=attribute(info, ATTRIBUTE_SELF_TRADE) or 0,
            self_trade_same_group=bool(attribute(info, ATTRIBUTE_SAME_GROUP)),
            client_order_index=fields["ClientOrderIndex"],
            market_index=state.index,
            order_type=kind,
            initial_base=base,
            trigger_price=fields["TriggerPrice"],
            created_us=now_us,
            tx_hash=tx_hash,
            integrator=terms_of(info),
        )

    def _start(self, order: VenueOrder, tx_hash: str, now_us: int) -> None:
        if order.order_type in TRIGGER_TYPES:
            self._conditionals.hold(order, AWAITS_MARK, now_us=now_us)
        elif order.order_type == OrderType.TWAP:
            self._conditionals.hold(order, AWAITS_SLICE, now_us=now_us)
        else:
            state = self._floor.markets[order.market_index]
            self._floor.run(state, order, now_us, tx_hash)

    def _vanishes(self, account: Account, fields: Mapping[str, Any]) -> int:
        # The code of a reduce-only order that leaves no trace, or 0.
        market_index = fields["MarketIndex"]
        if not (self._drops and fields["ReduceOnly"]):
            return 0
        if account.ledger.reducible(market_index, is_ask=bool(fields["IsAsk"])):
            return 0
        held = account.ledger.size(market_index)
        return WRONG_DIRECTION if held else NOTHING_TO_REDUCE

    def create(
        self, account: Account, info: Mapping[str, Any], tx_hash: str, *, now_us: int
    ) -> tuple[int, int]:
        """Make the order a CreateOrder transaction asks for, and match or hold it.

        Returns:
            200 and the order's index, or a code and 0 when there is no order.
        """
        vanished = self._vanishes(account, info)
        if vanished:
            return vanished, 0
        order = self._make(account, info, info, tx_hash, now_us)
        self._start(order, tx_hash, now_us)
        return OK, order.order_index

    def create_group(
        self, account: Account, info: Mapping[str, Any], tx_hash: str, *, now_us: int
    ) -> tuple[int, int]:
        """Make the orders of a CreateGroupedOrders transaction and tie them together.

        Children wait before their parent is matched: it may be filled at once.

        Returns:
            200 and the first order's index, or a code and 0 when there is no order.
        """
        vanished = self._vanishes(account, info["Orders"][0])
        if vanished:
            return vanished, 0
        orders = [
            self._make(account, fields, info, tx_hash, now_us)
            for fields in info["Orders"]
        ]
        with_parent = info["GroupingType"] != ONE_CANCELS_THE_OTHER
        first, children = orders[0], orders[1:] if with_parent else []
        legs = children if with_parent else orders
        if len(legs) > 1:
            legs[0].to_cancel = legs[1].order_index
            legs[1].to_cancel = legs[0].order_index
        first.to_trigger = tuple(child.order_index for child in children)
        for child in children:
            child.parent_index = first.order_index
            self._conditionals.hold(child, AWAITS_PARENT, now_us=now_us)
        for order in orders[: len(orders) - len(children)]:
            self._start(order, tx_hash, now_us)
        return OK, first.order_index

    def modify(
        self, account: Account, info: Mapping[str, Any], tx_hash: str, *, now_us: int
    ) -> int:
        """Change a live order: same ids; a resting one goes last in the queue.

        A resting order may trade at once. A pending one is changed where it waits.
        """
        state = self._floor.markets[info["MarketIndex"]]
        order = self._floor.find_live(account, state.index, info["Index"])
        if order is None:
            return INACTIVE_CANCEL
        if 0 < order.expiry_ms <= now_us // 1_000 or self._is_outdated(order, info):
            return INACTIVE_ORDER
        order.version += self._counts_versions
        if order.is_pending:
            self._amend(order, info, now_us)
            return OK
        state.engine.cancel(order.order_index)
        order.nonce = state.new_order_index(is_ask=order.is_ask) & ORDER_NONCE_MASK
        _take_over(order, info)
        # What was netted against an own order is done with, like what was filled. A
        # total below that means: enough.
        done = order.initial_base - order.remaining
        order.initial_base = max(info["BaseAmount"], done)
        order.remaining = order.initial_base - done
        if order.remaining:
            self._floor.run(state, order, now_us, tx_hash)
        else:
            outcome = FILLED if order.filled_base else CANCELED
            self._floor.settle(state, order, outcome, now_us)
        return OK

    def _is_outdated(self, order: VenueOrder, info: Mapping[str, Any]) -> bool:
        # A modify may name the version it is for; 0 is as good as none on the wire.
        wanted = attribute(info, ATTRIBUTE_VERSION)
        return bool(self._counts_versions and wanted and wanted != order.version)

    def _amend(self, order: VenueOrder, info: Mapping[str, Any], now_us: int) -> None:
        _take_over(order, info)
        if info["TriggerPrice"] and order.trigger_price:
            order.trigger_price = info["TriggerPrice"]
        outcome = PENDING
        # A child's size is its parent's to give, and 0 leaves a size as it is.
        if info["BaseAmount"] and order.trigger_status != AWAITS_PARENT:
            sliced = order.initial_base - order.remaining
            order.initial_base = max(info["BaseAmount"], sliced)
            order.remaining = order.initial_base - sliced
            if not order.remaining:
                order.remaining = order.initial_base - order.filled_base
                outcome = CANCELED if order.remaining else FILLED
        state = self._floor.markets[order.market_index]
        self._floor.settle(state, order, outcome, now_us)

    def cancel(self, account: Account, info: Mapping[str, Any], *, now_us: int) -> int:
        """Cancel one live order; its children go with it."""
        order = self._floor.find_live(account, info["MarketIndex"], info["Index"])
        if order is None:
            return INACTIVE_CANCEL
        self._floor.take_out(order, CANCELED, now_us)
        return OK

    def cancel_all(
        self, account: Account, *, market_index: int | None = None, now_us: int
    ) -> int:
        """Cancel every live order of an account, or those of one market."""
        for order in list(account.open_orders.values()):
            if market_index in (None, order.market_index):
                self._floor.take_out(order, CANCELED, now_us)
        return OK


def _take_over(order: VenueOrder, info: Mapping[str, Any]) -> None:
    order.price = info["Price"]
    order.integrator = terms_of(info)
    order.self_trade = attribute(info, ATTRIBUTE_SELF_TRADE) or 0
    order.self_trade_same_group = bool(attribute(info, ATTRIBUTE_SAME_GROUP))
