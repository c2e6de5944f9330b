"""Stage one of the exchange: what is refused at the door, and with which code.

A refusal consumes nothing. Source of rules and codes: the official API documentation
and its error list; where they are silent the choice is said at the rule.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.intents import TxType
from wrappy.venue.account_changes import check_maker_only
from wrappy.venue.account_settings import (
    KEPT_TYPES,
    leverage_problem,
    margin_problem,
    settings_problem,
)
from wrappy.venue.order_checks import DAY_MS, MIN_EXPIRY_MS, OrderRules
from wrappy.venue.refusal import Refused, require
from wrappy.venue.spot_checks import check_perpetual, mode_problem
from wrappy.venue.sub_accounts import key_problem, key_slot, sub_account_problem
from wrappy.venue.trading import ATTRIBUTE_MARKET, attribute
from wrappy.venue.transfers import Transfers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wrappy.venue.accounts import Account, ApiKey
    from wrappy.venue.events import Event
    from wrappy.venue.settings import VenueSettings
    from wrappy.venue.trading import TradingFloor

MAX_ACCOUNT_INDEX: Final = (1 << 48) - 2
MAX_API_KEY_INDEX: Final = 254
MAX_SCHEDULE_MS: Final = 15 * DAY_MS
NIL_MARKET: Final = 255
MAX_SKIPPING_NONCE: Final = (1 << 47) - 1
ATTRIBUTE_SKIP_NONCE: Final = "4"
IMMEDIATE: Final = 0
SCHEDULED: Final = 1
ABORTED: Final = 2


class Rules:
    """The stage-one rules of each supported transaction type."""

    def __init__(self, settings: VenueSettings, floor: TradingFloor) -> None:
        self._settings = settings
        self._floor = floor
        self._orders = orders = OrderRules(settings, floor)
        self.bands = orders.bands
        self._by_type: dict[int, Callable[[Account, Mapping[str, Any], int], None]] = {
            TxType.CREATE_ORDER: orders.create,
            TxType.CREATE_GROUPED_ORDERS: orders.create_group,
            TxType.CANCEL_ORDER: orders.cancel,
            TxType.CANCEL_ALL_ORDERS: self._cancel_all,
            TxType.MODIFY_ORDER: orders.modify,
            TxType.UPDATE_LEVERAGE: self._leverage,
            TxType.UPDATE_MARGIN: self._margin,
            TxType.CHANGE_PUB_KEY: self._change_key,
            TxType.CREATE_SUB_ACCOUNT: self._open_sub_account,
            TxType.TRANSFER: self._transfer,
            TxType.WITHDRAW: self._withdraw,
        }
        self._transfers = Transfers(settings, floor, _nothing)

    def owner(self, info: Mapping[str, Any], tx_type: int) -> tuple[Account, ApiKey]:
        """Return who a transaction claims to be from, and with which key slot.

        Raises:
            Refused: 21102 or 21110 when an index is out of range, 21100 or 21109 when
                there is no such account or no such key on it.
        """
        index, slot = owner_indices(info)
        require(index is not None and 0 <= index <= MAX_ACCOUNT_INDEX, 21102)
        require(slot is not None and 0 <= slot <= MAX_API_KEY_INDEX, 21110)
        account = self._floor.accounts.get(index)
        if account is None:
            raise Refused(21100)
        key = account.api_keys.get(slot)
        if key is None and tx_type == TxType.CHANGE_PUB_KEY:
            key = key_slot(self._settings, account, slot)
        if key is None:
            raise Refused(21109)
        return account, key

    def check_type(self, tx_type: int) -> None:
        """Refuse transaction types the local exchange does not carry out."""
        require(tx_type in self._by_type or tx_type in KEPT_TYPES, 21505)

    def check(
        self, account: Account, tx_type: int, info: Mapping[str, Any], *, now_ms: int
    ) -> None:
        """Apply every rule of one transaction.

        Raises:
            Refused: a rule is broken; nothing was changed.
        """
        # The documents name no code for a transaction past its own deadline.
        require(
            info["ExpiredAt"] > now_ms,
            21501,
            f"invalid tx info: ExpiredAt {info['ExpiredAt']} has passed",
        )
        check_maker_only(account, tx_type, info)
        if tx_type in KEPT_TYPES:
            problem = settings_problem(tx_type, info, now_ms=now_ms)
            if problem is None and tx_type == TxType.UPDATE_ACCOUNT_CONFIG:
                problem = mode_problem(account, info["AccountTradingMode"])
            if problem is not None:
                raise Refused(problem)
        else:
            self._by_type[tx_type](account, info, now_ms)

    def _cancel_all(
        self, account: Account, info: Mapping[str, Any], now_ms: int
    ) -> None:
        mode, time_ms = info["TimeInForce"], info["Time"]
        market_index = attribute(info, ATTRIBUTE_MARKET)
        if mode == SCHEDULED:
            ahead = time_ms - now_ms
            require(MIN_EXPIRY_MS <= ahead <= MAX_SCHEDULE_MS, 21714)
            if self._settings.second_schedule == "refuse":
                require(not account.cancel_all_time_ms, 21712)
        else:
            require(mode in (IMMEDIATE, ABORTED), 21713)
            require(time_ms == 0, 21714)
        if market_index not in (None, NIL_MARKET):
            require(mode == IMMEDIATE, 21501)
            require(market_index in self._floor.markets, 21602)

    def _leverage(self, account: Account, info: Mapping[str, Any], now_ms: int) -> None:  # noqa: ARG002 - rules share one form
        market = self._orders.market(info).market
        check_perpetual(market)
        lowest = market.min_initial_margin_fraction
        problem = leverage_problem(account, info, lowest, self._floor.lot_values)
        if problem is not None:
            raise Refused(problem)

    def _margin(self, account: Account, info: Mapping[str, Any], now_ms: int) -> None:  # noqa: ARG002 - rules share one form
        check_perpetual(self._orders.market(info).market)
        problem = margin_problem(account, info, self._floor.lot_values)
        if problem is not None:
            raise Refused(problem)

    def _change_key(self, account: Account, info: Mapping[str, Any], _: int) -> None:
        _refuse(key_problem(self._settings, account, info))

    def _open_sub_account(
        self, account: Account, info: Mapping[str, Any], _: int
    ) -> None:
        del info  # it has no fields of its own
        _refuse(sub_account_problem(self._floor, account))

    def _transfer(self, account: Account, info: Mapping[str, Any], _: int) -> None:
        _refuse(self._transfers.transfer_problem(account, info))

    def _withdraw(self, account: Account, info: Mapping[str, Any], _: int) -> None:
        _refuse(self._transfers.withdrawal_problem(account, info))


def _nothing(event: Event) -> None:  # pragma: no cover - what judges does not tell
    # What only judges moves no money.
    del event


def _refuse(problem: int | None) -> None:
    if problem is not None:
        raise Refused(problem)


def check_nonce(key: ApiKey, info: Mapping[str, Any]) -> None:
    """Refuse any nonce but the key's next; with the skip attribute, any earlier one.

    Source: the published prover circuits.
    """
    nonce = info["Nonce"]
    if attribute(info, ATTRIBUTE_SKIP_NONCE):
        require(key.nonce <= nonce <= MAX_SKIPPING_NONCE, 21104)
    else:
        require(nonce == key.nonce, 21104)


def check_batch(
    items: Sequence[tuple[int, Mapping[str, Any], str]], *, limit: int
) -> None:
    """Refuse a batch that is empty, too long, of several keys, or out of order.

    Batches whose every member skips nonces may leave gaps; the documents only say
    that the nonces must increase.
    """
    require(items, 21501, "invalid tx info: the batch is empty")
    require(len(items) <= limit, 21514)
    infos = [info for _, info, _ in items]
    require(len({owner_indices(info) for info in infos}) == 1, 21121)
    skipping = all(attribute(info, ATTRIBUTE_SKIP_NONCE) for info in infos)
    for earlier, later in pairwise(info["Nonce"] for info in infos):
        require(later == earlier + 1 or (skipping and later > earlier), 21105)


def owner_indices(info: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return (account index, api key index); transfers name the account otherwise."""
    account = info.get("AccountIndex", info.get("FromAccountIndex"))
    return account, info.get("ApiKeyIndex")
