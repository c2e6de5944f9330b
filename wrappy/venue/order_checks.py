"""Stage one of order transactions: fields, prices, caps, margin, and their codes.

Source of rules and codes: the official API documentation and its error list, and the
published prover circuits; where they name no code the nearest one is taken.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from wrappy.model import OrderType, SelfTrade, TimeInForce
from wrappy.venue.integrators import check_terms
from wrappy.venue.order_entry import ONE_CANCELS_THE_OTHER
from wrappy.venue.orders import (
    LIMITED_TRIGGER_TYPES,
    PENDING_TYPES,
    STOP_TYPES,
    TRIGGER_TYPES,
    VenueOrder,
)
from wrappy.venue.price_bands import PriceBands
from wrappy.venue.refusal import GoneOrder, Refused, require
from wrappy.venue.spot_checks import NOT_ENOUGH_BALANCE, check_spot_order
from wrappy.venue.trading import (
    ATTRIBUTE_SAME_GROUP,
    ATTRIBUTE_SELF_TRADE,
    attribute,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wrappy.venue.accounts import Account
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.settings import VenueSettings
    from wrappy.venue.trading import TradingFloor

MAX_BASE: Final = (1 << 48) - 1
MAX_PRICE: Final = (1 << 32) - 1
MAX_CLIENT_ORDER_INDEX: Final = (1 << 48) - 1
MAX_ORDER_INDEX: Final = (1 << 60) - 1
MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
MIN_EXPIRY_MS: Final = 5 * MINUTE_MS
MAX_EXPIRY_MS: Final = 30 * DAY_MS
GROUP_SIZES: Final = {1: 2, 2: 2, 3: 3}
_SELF_TRADE_MODES: Final = (None, 0, 1, 2, 3)
_SELF_TRADE_SCOPES: Final = (None, 0, 1)
_IMMEDIATE: Final = TimeInForce.IMMEDIATE_OR_CANCEL


class OrderRules:
    """The stage-one rules of transactions about orders.

    Attributes:
        bands: how far from the market prices may be.
    """

    def __init__(self, settings: VenueSettings, floor: TradingFloor) -> None:
        self._settings = settings
        self._floor = floor
        self.bands = PriceBands(settings)

    def market(self, info: Mapping[str, Any], *, active: bool = True) -> MarketState:
        """Return the market a transaction names.

        Raises:
            Refused: 21602 there is none, 21605 it is not active.
        """
        state = self._floor.markets.get(info["MarketIndex"])
        if state is None:
            raise Refused(21602)
        require(state.market.active or not active, 21605)
        require(not (active and state.halted), 21605, state.halted)
        return state

    def _is_spot(self, order: Mapping[str, Any]) -> bool:
        state = self._floor.markets.get(order["MarketIndex"])
        return state is not None and state.market.is_spot

    # New orders

    def create(self, account: Account, info: Mapping[str, Any], now_ms: int) -> None:
        """Check a CreateOrder.

        Raises:
            Refused: a rule is broken.
        """
        _check_self_trade(info)
        check_terms(account, info, now_ms=now_ms, spot=self._is_spot(info))
        # Zero lots mean the whole position, so they need one to close.
        require(info["BaseAmount"] or info["ReduceOnly"], 21701)
        self._check_new(account, info, now_ms)
        self._check_counts(account, (info,))

    def create_group(
        self, account: Account, info: Mapping[str, Any], now_ms: int
    ) -> None:
        """Check a CreateGroupedOrders: each order, and how they fit together.

        Raises:
            Refused: a rule is broken.
        """
        grouping, orders = info["GroupingType"], info["Orders"]
        require(grouping in GROUP_SIZES, 21741)
        require(len(orders) == GROUP_SIZES[grouping], 21742)
        _check_self_trade(info)
        check_terms(account, info, now_ms=now_ms, spot=self._is_spot(orders[0]))
        one_market = len({order["MarketIndex"] for order in orders}) == 1
        require(one_market, 21743, "invalid order info: one group, one market")
        named = [o["ClientOrderIndex"] for o in orders if o["ClientOrderIndex"]]
        require(len(set(named)) == len(named), 21728)
        if grouping == ONE_CANCELS_THE_OTHER:
            _check_pair(*orders)
            require(orders[0]["BaseAmount"] == orders[1]["BaseAmount"], 21701)
        else:
            _check_family(orders[0], orders[1:])
        for number, order in enumerate(orders):
            is_child = number > 0 and grouping != ONE_CANCELS_THE_OTHER
            self._check_new(account, order, now_ms, is_child=is_child)
        self._check_counts(account, orders)

    def _check_new(
        self,
        account: Account,
        order: Mapping[str, Any],
        now_ms: int,
        *,
        is_child: bool = False,
    ) -> None:
        state = self.market(order)
        coi = order["ClientOrderIndex"]
        require(0 <= coi <= MAX_CLIENT_ORDER_INDEX, 21727)
        _check_kind(order)
        if state.market.is_spot:
            check_spot_order(order)
        require(0 <= order["BaseAmount"] <= MAX_BASE, 21701)
        require(1 <= order["Price"] <= MAX_PRICE, 21702)
        triggers = order["Type"] in TRIGGER_TYPES
        lowest, highest = (1, MAX_PRICE) if triggers else (0, 0)
        require(lowest <= order["TriggerPrice"] <= highest, 21729)
        _check_expiry(order, now_ms)
        if coi:
            require(not self._coi_taken(account, coi), 21728)
        kind, base, price = order["Type"], order["BaseAmount"], order["Price"]
        immediate = order["TimeInForce"] == _IMMEDIATE
        measured = not immediate and kind != OrderType.TWAP and base > 0
        self._check_value(state, base, price, minimum=measured)
        is_ask = bool(order["IsAsk"])
        self.bands.check(
            state, kind, price, trigger_price=order["TriggerPrice"], is_ask=is_ask
        )
        if order["ReduceOnly"] and not is_child:
            self._check_reduce_only(account, state, is_ask=is_ask)
        if kind == OrderType.LIMIT and not (immediate or order["ReduceOnly"]):
            self._check_margin(account, state, base, price, is_ask=is_ask)

    def _check_reduce_only(
        self, account: Account, state: MarketState, *, is_ask: bool
    ) -> None:
        if self._settings.reduce_only_without_position == "refuse":
            require(account.ledger.size(state.index), 21732)
            require(account.ledger.reducible(state.index, is_ask=is_ask), 21738)

    def _coi_taken(self, account: Account, coi: int) -> bool:
        queued = coi in account.queued_cois
        if self._settings.coi_scope == "history":
            return coi in account.used_cois or queued
        return coi in account.by_coi or queued

    def _check_counts(
        self, account: Account, orders: Sequence[Mapping[str, Any]]
    ) -> None:
        # Orders that neither rest nor wait take no place. All are of one market.
        caps, market_index = account.tier.caps, orders[0]["MarketIndex"]
        queued = [o for some in account.queued_creates.values() for o in some]
        for pending, most, most_here, codes in (
            (False, caps.active_per_account, caps.active_per_market, (21717, 21718)),
            (True, caps.pending_per_account, caps.pending_per_market, (21719, 21720)),
        ):
            new = sum(_takes_place(order, pending=pending) for order in orders)
            count = len(account.open_orders) + len(queued) + new
            if not new or count <= min(most, most_here):
                continue
            markets = [
                order.market_index
                for order in account.open_orders.values()
                if order.is_pending == pending
            ] + [o["MarketIndex"] for o in queued if _takes_place(o, pending=pending)]
            require(markets.count(market_index) + new <= most_here, codes[1])
            require(len(markets) + new <= most, codes[0])

    # Live orders

    def cancel(self, account: Account, info: Mapping[str, Any], now_ms: int) -> None:  # noqa: ARG002 - rules share one form
        """Check a CancelOrder.

        Raises:
            Refused: a rule is broken.
        """
        self._target(account, self.market(info, active=False), info["Index"])

    def modify(self, account: Account, info: Mapping[str, Any], now_ms: int) -> None:
        """Check a ModifyOrder against what it names.

        Raises:
            Refused: a rule is broken.
        """
        state = self.market(info)
        base, price, trigger = info["BaseAmount"], info["Price"], info["TriggerPrice"]
        require(0 <= base <= MAX_BASE, 21701)
        require(1 <= price <= MAX_PRICE, 21702)
        require(0 <= trigger <= MAX_PRICE, 21729)
        _check_self_trade(info)
        check_terms(account, info, now_ms=now_ms, spot=self._is_spot(info))
        order, queued = self._target(account, state, info["Index"])
        if order is not None:
            kind, is_ask, filled = order.order_type, order.is_ask, order.filled_base
            waits, reduce_only = order.is_pending, order.reduce_only
        elif queued is not None:
            kind, is_ask, filled = queued["Type"], bool(queued["IsAsk"]), 0
            waits, reduce_only = kind in PENDING_TYPES, bool(queued["ReduceOnly"])
        else:
            self._check_value(state, base, price, minimum=False)
            return
        if kind not in TRIGGER_TYPES:
            require(trigger == 0, 21729)
        elif waits:
            require(trigger, 21729)
        minimum = self._settings.modify_keeps_minimum and not (waits and not base)
        self._check_value(state, base, price, minimum=minimum)
        # A triggered order that rests is a limit order like any other.
        shown_kind = kind if waits else OrderType.LIMIT
        self.bands.check(state, shown_kind, price, trigger_price=trigger, is_ask=is_ask)
        if not (reduce_only or waits):
            left = max(0, base - filled)
            self._check_margin(account, state, left, price, is_ask=is_ask, order=order)

    def _target(
        self, account: Account, state: MarketState, index: int
    ) -> tuple[VenueOrder | None, Mapping[str, Any] | None]:
        # What a cancel or modify names: a live order, one still queued, or nothing.
        require(1 <= index <= MAX_ORDER_INDEX, 21700)
        order = self._floor.find_live(account, state.index, index)
        queued = account.queued_cois.get(index)
        if queued is not None and queued["MarketIndex"] != state.index:
            queued = None
        gone = order is None and queued is None
        if gone and self._settings.gone_order != "accept":
            raise GoneOrder(self._settings.gone_order_code)
        return order, queued

    # Money

    def _check_value(
        self, state: MarketState, base: int, price: int, *, minimum: bool
    ) -> None:
        market = state.market
        quote = base * price * market.quote_multiplier
        require(quote <= market.order_quote_limit, 21706)
        if minimum:
            require(base >= market.min_base_amount, 21706)
            require(quote >= market.min_quote_amount, 21706)

    def _check_margin(
        self,
        account: Account,
        state: MarketState,
        base: int,
        price: int,
        *,
        is_ask: bool,
        order: VenueOrder | None = None,
    ) -> None:
        covered = self._floor.covers(
            account, state.index, is_ask=is_ask, base=base, price=price, order=order
        )
        require(covered, NOT_ENOUGH_BALANCE if state.market.is_spot else 21739)


def _check_kind(order: Mapping[str, Any]) -> None:
    kind, time_in_force = order["Type"], order["TimeInForce"]
    require(OrderType.LIMIT <= kind <= OrderType.TWAP, 21704)
    require(_IMMEDIATE <= time_in_force <= TimeInForce.POST_ONLY, 21705)
    if kind == OrderType.TWAP:
        require(time_in_force == TimeInForce.GOOD_TILL_TIME, 21705)
    elif kind not in LIMITED_TRIGGER_TYPES | {OrderType.LIMIT}:
        require(time_in_force == _IMMEDIATE, 21705)
    require(order["IsAsk"] in (0, 1), 21703)
    require(order["ReduceOnly"] in (0, 1), 21743)


def _check_expiry(order: Mapping[str, Any], now_ms: int) -> None:
    expiry, kind = order["OrderExpiry"], order["Type"]
    if order["TimeInForce"] == _IMMEDIATE and kind not in TRIGGER_TYPES:
        require(expiry == 0, 21711)
        return
    longest = DAY_MS if kind == OrderType.TWAP else MAX_EXPIRY_MS
    require(MIN_EXPIRY_MS <= expiry - now_ms <= longest, 21711)


def _check_pair(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    # A stop and a take-profit that cancel each other.
    require(one["Type"] in TRIGGER_TYPES and other["Type"] in TRIGGER_TYPES, 21704)
    require((one["Type"] in STOP_TYPES) != (other["Type"] in STOP_TYPES), 21704)
    require(one["IsAsk"] == other["IsAsk"], 21703)
    require(one["ReduceOnly"] == other["ReduceOnly"] == 1, 21743)
    require(one["OrderExpiry"] == other["OrderExpiry"], 21711)


def _check_family(
    parent: Mapping[str, Any], children: Sequence[Mapping[str, Any]]
) -> None:
    require(parent["Type"] in (OrderType.LIMIT, OrderType.MARKET), 21704)
    require(parent["BaseAmount"] or parent["ReduceOnly"], 21701)
    for child in children:
        require(child["Type"] in TRIGGER_TYPES, 21704)
        # What the parent will have filled is their size.
        require(child["BaseAmount"] == 0, 21701)
        require(child["IsAsk"] != parent["IsAsk"], 21703)
        require(child["ReduceOnly"] == 1, 21743)
        same_expiry = child["OrderExpiry"] == parent["OrderExpiry"]
        require(same_expiry or not parent["OrderExpiry"], 21711)
    for one, other in combinations(children, 2):
        _check_pair(one, other)


def _check_self_trade(info: Mapping[str, Any]) -> None:
    require(attribute(info, ATTRIBUTE_SELF_TRADE) in _SELF_TRADE_MODES, 21743)
    require(attribute(info, ATTRIBUTE_SAME_GROUP) in _SELF_TRADE_SCOPES, 21743)
    # Orders of two accounts cannot be netted (so does the official signer rule).
    netted = attribute(info, ATTRIBUTE_SELF_TRADE) == SelfTrade.REDUCE
    require(not (netted and attribute(info, ATTRIBUTE_SAME_GROUP)), 21743)


def _takes_place(order: Mapping[str, Any], *, pending: bool) -> bool:
    waits = order["Type"] in PENDING_TYPES
    if pending or waits:
        return bool(pending and waits)
    return bool(order["TimeInForce"] != _IMMEDIATE)
