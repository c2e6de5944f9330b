"""Stage one of the exchange: what is refused at the door, and with which code.

A refusal consumes nothing. Source of rules and codes: the official API documentation
and its error list; where they are silent the choice is said at the rule.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from wrappy.model import OrderType, SelfTrade, TimeInForce
from wrappy.protocol.codes import code_message
from wrappy.protocol.transactions import TxType
from wrappy.venue.account_settings import KEPT_TYPES, settings_problem
from wrappy.venue.market_state import MARKET_INDEX_SHIFT
from wrappy.venue.trading import (
    ATTRIBUTE_MARKET,
    ATTRIBUTE_SAME_GROUP,
    ATTRIBUTE_SELF_TRADE,
    INACTIVE_CANCEL,
    attribute,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wrappy._core.ledger import AccountLedger
    from wrappy.venue.accounts import Account, ApiKey
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.orders import VenueOrder
    from wrappy.venue.settings import VenueSettings
    from wrappy.venue.trading import TradingFloor

MAX_BASE: Final = (1 << 48) - 1
MAX_PRICE: Final = (1 << 32) - 1
MAX_CLIENT_ORDER_INDEX: Final = (1 << 48) - 1
MAX_ORDER_INDEX: Final = (1 << 60) - 1
MAX_FRACTION: Final = 10_000
MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
MIN_EXPIRY_MS: Final = 5 * MINUTE_MS
MAX_EXPIRY_MS: Final = 30 * DAY_MS
MAX_SCHEDULE_MS: Final = 15 * DAY_MS
ORDERS_PER_ACCOUNT: Final = 1_500
ORDERS_PER_MARKET: Final = 1_000
BUY_BAND_PERCENT: Final = 105
SELL_BAND_PERCENT: Final = 95
NIL_MARKET: Final = 255
MAX_SKIPPING_NONCE: Final = (1 << 47) - 1
ATTRIBUTE_SKIP_NONCE: Final = "4"
IMMEDIATE: Final = 0
SCHEDULED: Final = 1
ABORTED: Final = 2
_CROSS_MARGIN: Final = 0
_SELF_TRADE_MODES: Final = (None, 0, 1, 2, 3)
_SELF_TRADE_SCOPES: Final = (None, 0, 1)


class Refused(Exception):  # noqa: N818 - the exchange's answer, not a failure of ours
    """Stage one said no.

    Attributes:
        code: the exchange's error code.
        message: its words, the documented ones unless more is known.
    """

    def __init__(self, code: int, message: str = "") -> None:
        words = message or code_message(code)
        super().__init__(f"{code} {words}")
        self.code = code
        self.message = words


def _require(condition: object, code: int, message: str = "") -> None:
    if not condition:
        raise Refused(code, message)


class Rules:
    """The stage-one rules of each supported transaction type."""

    def __init__(self, settings: VenueSettings, floor: TradingFloor) -> None:
        self._settings = settings
        self._floor = floor
        self._by_type: dict[int, Callable[[Account, Mapping[str, Any], int], None]] = {
            TxType.CREATE_ORDER: self._create,
            TxType.CANCEL_ORDER: self._cancel,
            TxType.CANCEL_ALL_ORDERS: self._cancel_all,
            TxType.MODIFY_ORDER: self._modify,
            TxType.UPDATE_LEVERAGE: self._leverage,
        }

    def check_type(self, tx_type: int) -> None:
        """Refuse transaction types the local exchange does not carry out."""
        _require(tx_type in self._by_type or tx_type in KEPT_TYPES, 21505)

    def check(
        self, account: Account, tx_type: int, info: Mapping[str, Any], *, now_ms: int
    ) -> None:
        """Apply every rule of one transaction.

        Raises:
            Refused: a rule is broken; nothing was changed.
        """
        # The documents name no code for a transaction past its own deadline.
        _require(
            info["ExpiredAt"] > now_ms,
            21501,
            f"invalid tx info: ExpiredAt {info['ExpiredAt']} has passed",
        )
        if tx_type in KEPT_TYPES:
            problem = settings_problem(tx_type, info, now_ms=now_ms)
            if problem is not None:
                raise Refused(problem)
        else:
            self._by_type[tx_type](account, info, now_ms)

    def _market(self, info: Mapping[str, Any], *, active: bool = True) -> MarketState:
        state = self._floor.markets.get(info["MarketIndex"])
        if state is None:
            raise Refused(21602)
        _require(state.market.active or not active, 21605)
        return state

    # Orders

    def _create(self, account: Account, info: Mapping[str, Any], now_ms: int) -> None:
        state = self._market(info)
        coi = info["ClientOrderIndex"]
        _require(0 <= coi <= MAX_CLIENT_ORDER_INDEX, 21727)
        resting = _check_kind(info)
        # Zero lots mean the whole position, so they need one to close.
        _require(info["BaseAmount"] or info["ReduceOnly"], 21701)
        _require(0 <= info["BaseAmount"] <= MAX_BASE, 21701)
        _require(1 <= info["Price"] <= MAX_PRICE, 21702)
        _require(info["TriggerPrice"] == 0, 21729)
        _check_self_trade(info)
        expiry = info["OrderExpiry"]
        if resting:
            ahead = expiry - now_ms
            _require(MIN_EXPIRY_MS <= ahead <= MAX_EXPIRY_MS, 21711)
        else:
            _require(expiry == 0, 21711)
        if coi:
            _require(not self._coi_taken(account, coi), 21728)
        base, price, is_ask = info["BaseAmount"], info["Price"], bool(info["IsAsk"])
        self._check_value(state, base, price, minimum=resting and base > 0)
        market = info["Type"] == OrderType.MARKET
        if not market or self._settings.price_bands == "all":
            self._check_band(state, price, is_ask=is_ask)
        if info["ReduceOnly"]:
            _check_reduce_only(account.ledger, state.index, is_ask=is_ask)
        if resting:
            _check_counts(account, state.index)
            if not info["ReduceOnly"]:
                self._check_margin(account, state, base, price, is_ask=is_ask)

    def _cancel(self, account: Account, info: Mapping[str, Any], now_ms: int) -> None:  # noqa: ARG002 - rules share one form
        state = self._market(info, active=False)
        self._check_target(account, state, info["Index"])

    def _modify(self, account: Account, info: Mapping[str, Any], now_ms: int) -> None:  # noqa: ARG002 - rules share one form
        state = self._market(info)
        base, price = info["BaseAmount"], info["Price"]
        _require(0 <= base <= MAX_BASE, 21701)
        _require(1 <= price <= MAX_PRICE, 21702)
        _require(info["TriggerPrice"] == 0, 21729)
        _check_self_trade(info)
        order, queued = self._check_target(account, state, info["Index"])
        self._check_value(
            state, base, price, minimum=self._settings.modify_keeps_minimum
        )
        if order is not None:
            is_ask, filled = order.is_ask, order.filled_base
            reduce_only = order.reduce_only
        elif queued is not None:
            is_ask, filled = bool(queued["IsAsk"]), 0
            reduce_only = bool(queued["ReduceOnly"])
        else:
            return
        self._check_band(state, price, is_ask=is_ask)
        if not reduce_only:
            left = max(0, base - filled)
            self._check_margin(account, state, left, price, is_ask=is_ask)

    def _check_target(
        self, account: Account, state: MarketState, index: int
    ) -> tuple[VenueOrder | None, Mapping[str, Any] | None]:
        # What a cancel or modify names: a resting order, one still queued, or nothing.
        _require(1 <= index <= MAX_ORDER_INDEX, 21700)
        order = self._floor.find_live(account, state.index, index)
        queued = account.queued_cois.get(index)
        if queued is not None and queued["MarketIndex"] != state.index:
            queued = None
        if order is None and queued is None:
            _require(self._settings.gone_order == "accept", INACTIVE_CANCEL)
        return order, queued

    def _coi_taken(self, account: Account, coi: int) -> bool:
        queued = coi in account.queued_cois
        if self._settings.coi_scope == "history":
            return coi in account.used_cois or queued
        return coi in account.by_coi or queued

    def _check_value(
        self, state: MarketState, base: int, price: int, *, minimum: bool
    ) -> None:
        market = state.market
        quote = base * price * market.quote_multiplier
        _require(quote <= market.order_quote_limit, 21706)
        if minimum:
            _require(base >= market.min_base_amount, 21706)
            _require(quote >= market.min_quote_amount, 21706)

    def _check_band(self, state: MarketState, price: int, *, is_ask: bool) -> None:
        # Seen at a client: buys at most 105 % of the lower of mark and best ask,
        # sells at least 95 % of the higher of mark and best bid.
        if self._settings.price_bands == "off":
            return
        engine = state.engine
        best = engine.best_bid if is_ask else engine.best_ask
        known = [value for value in (state.mark_price, best) if value]
        if not known:
            return
        if is_ask:
            _require(price * 100 >= max(known) * SELL_BAND_PERCENT, 21733)
        else:
            _require(price * 100 <= min(known) * BUY_BAND_PERCENT, 21733)

    def _check_margin(
        self,
        account: Account,
        state: MarketState,
        base: int,
        price: int,
        *,
        is_ask: bool,
    ) -> None:
        covered = self._floor.covers(
            account, state.index, is_ask=is_ask, base=base, price=price
        )
        _require(covered, 21739)

    # Account-wide

    def _cancel_all(
        self, account: Account, info: Mapping[str, Any], now_ms: int
    ) -> None:
        mode, time_ms = info["TimeInForce"], info["Time"]
        market_index = attribute(info, ATTRIBUTE_MARKET)
        if mode == SCHEDULED:
            ahead = time_ms - now_ms
            _require(MIN_EXPIRY_MS <= ahead <= MAX_SCHEDULE_MS, 21714)
            if self._settings.second_schedule == "refuse":
                _require(not account.cancel_all_time_ms, 21712)
        else:
            _require(mode in (IMMEDIATE, ABORTED), 21713)
            _require(time_ms == 0, 21714)
        if market_index not in (None, NIL_MARKET):
            _require(mode == IMMEDIATE, 21501)
            _require(market_index in self._floor.markets, 21602)

    def _leverage(self, account: Account, info: Mapping[str, Any], now_ms: int) -> None:  # noqa: ARG002 - rules share one form
        state = self._market(info)
        fraction = info["InitialMarginFraction"]
        lowest = state.market.min_initial_margin_fraction
        _require(lowest <= fraction <= MAX_FRACTION, 21113)
        # Isolated margin is not carried out here, so it is refused, not ignored.
        _require(info["MarginMode"] == _CROSS_MARGIN, 21613)
        if account.ledger.size(state.index):
            fractions = {**account.initial_margin_fractions, state.index: fraction}
            free = account.ledger.available(self._floor.lot_values, fractions)
            looser = fraction <= account.initial_margin_fractions[state.index]
            _require(free >= 0 or looser, 21508)


def _check_kind(info: Mapping[str, Any]) -> bool:
    """Return whether the order may rest; refuse kinds that do not exist here."""
    kind, time_in_force = info["Type"], info["TimeInForce"]
    known = OrderType.LIMIT <= kind <= OrderType.TWAP
    _require(known, 21704)
    _require(kind in (OrderType.LIMIT, OrderType.MARKET), 21710)
    shortest, longest = TimeInForce.IMMEDIATE_OR_CANCEL, TimeInForce.POST_ONLY
    _require(shortest <= time_in_force <= longest, 21705)
    immediate = time_in_force == TimeInForce.IMMEDIATE_OR_CANCEL
    _require(immediate or kind == OrderType.LIMIT, 21705)
    _require(info["IsAsk"] in (0, 1), 21703)
    _require(info["ReduceOnly"] in (0, 1), 21743)
    return not immediate


def _check_self_trade(info: Mapping[str, Any]) -> None:
    _require(attribute(info, ATTRIBUTE_SELF_TRADE) in _SELF_TRADE_MODES, 21743)
    _require(attribute(info, ATTRIBUTE_SAME_GROUP) in _SELF_TRADE_SCOPES, 21743)
    # Orders of two accounts cannot be netted (so does the official signer rule).
    netted = attribute(info, ATTRIBUTE_SELF_TRADE) == SelfTrade.REDUCE
    _require(not (netted and attribute(info, ATTRIBUTE_SAME_GROUP)), 21743)


def _check_reduce_only(
    ledger: AccountLedger, market_index: int, *, is_ask: bool
) -> None:
    _require(ledger.size(market_index), 21732)
    _require(ledger.reducible(market_index, is_ask=is_ask), 21738)


def _check_counts(account: Account, market_index: int) -> None:
    queued = [
        info
        for info in account.queued_creates.values()
        if info["TimeInForce"] != TimeInForce.IMMEDIATE_OR_CANCEL
    ]
    count = len(account.open_orders) + len(queued)
    _require(count < ORDERS_PER_ACCOUNT, 21717)
    if count < ORDERS_PER_MARKET:
        return
    here = sum(
        order.market_index == market_index for order in account.open_orders.values()
    ) + sum(info["MarketIndex"] == market_index for info in queued)
    _require(here < ORDERS_PER_MARKET, 21718)


def is_client_order_index(index: int) -> bool:
    """Return whether `index` is a client order index and not an order index."""
    return index < 1 << MARKET_INDEX_SHIFT


def check_nonce(key: ApiKey, info: Mapping[str, Any]) -> None:
    """Refuse any nonce but the key's next; with the skip attribute, any earlier one.

    Source: the published prover circuits.
    """
    nonce = info["Nonce"]
    if attribute(info, ATTRIBUTE_SKIP_NONCE):
        _require(key.nonce <= nonce <= MAX_SKIPPING_NONCE, 21104)
    else:
        _require(nonce == key.nonce, 21104)


def check_batch(
    items: Sequence[tuple[int, Mapping[str, Any], str]], *, limit: int
) -> None:
    """Refuse a batch that is empty, too long, of several keys, or out of order.

    Batches whose every member skips nonces may leave gaps; the documents only say
    that the nonces must increase.
    """
    _require(items, 21501, "invalid tx info: the batch is empty")
    _require(len(items) <= limit, 21514)
    infos = [info for _, info, _ in items]
    _require(len({owner_indices(info) for info in infos}) == 1, 21121)
    skipping = all(attribute(info, ATTRIBUTE_SKIP_NONCE) for info in infos)
    for earlier, later in pairwise(info["Nonce"] for info in infos):
        _require(later == earlier + 1 or (skipping and later > earlier), 21105)


def owner_indices(info: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return (account index, api key index); transfers name the account otherwise."""
    account = info.get("AccountIndex", info.get("FromAccountIndex"))
    return account, info.get("ApiKeyIndex")
