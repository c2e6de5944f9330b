"""Stage two of the exchange: what is due is carried out, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from wrappy.protocol.codes import OK
from wrappy.protocol.intents import TxType
from wrappy.venue.account_settings import (
    apply_settings,
    leverage_problem,
    margin_problem,
)
from wrappy.venue.checks import ABORTED, NIL_MARKET, SCHEDULED
from wrappy.venue.conditionals import Conditionals
from wrappy.venue.events import PositionChanged
from wrappy.venue.funding import HOUR_US, MINUTE_US, Funding
from wrappy.venue.liquidation import Liquidations
from wrappy.venue.order_entry import OrderEntry
from wrappy.venue.orders import VenueOrder
from wrappy.venue.spot_checks import mode_problem
from wrappy.venue.sub_accounts import Ownership
from wrappy.venue.trading import ATTRIBUTE_MARKET, attribute
from wrappy.venue.transfers import Transfers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from wrappy.venue.accounts import Account
    from wrappy.venue.events import Event
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.records import TxRecord
    from wrappy.venue.settings import VenueSettings
    from wrappy.venue.trading import TradingFloor


@dataclass(frozen=True, slots=True)
class ScheduledCancel:
    """A cancel-all that waits for its time.

    Attributes:
        account: whose orders.
        time_ms: unix milliseconds; it is void once the account's differs.
    """

    account: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class FundingMinute:
    """A full minute, at which funding is sampled, and at full hours paid."""


Waiting: TypeAlias = ScheduledCancel | VenueOrder | FundingMinute
"""What may ask to be woken at a time."""


def next_wake_us(
    queue: Iterable[tuple[int, int, object]], states: Iterable[MarketState]
) -> int | None:
    """Return the first time in a queue at which something happens, or None.

    Of funding that is the full hour, at which it is paid, and nothing while no market
    has an index price.
    """
    idle = not any(state.index_price for state in states)
    times = []
    for at_us, _, what in queue:
        if not isinstance(what, FundingMinute):
            times.append(at_us)
        elif not idle:
            times.append(-(-at_us // HOUR_US) * HOUR_US)
    return min(times, default=None)


class Execution:
    """Carries out accepted transactions on a trading floor.

    Args:
        settings: the exchange's.
        floor: its books and balances.
        emit: takes what happened.
        call_at: (unix microseconds, what) asks for a `wake` then.
    """

    def __init__(
        self,
        settings: VenueSettings,
        floor: TradingFloor,
        emit: Callable[[Event], None],
        call_at: Callable[[int, Waiting], None],
    ) -> None:
        self._floor = floor
        self._emit = emit
        self._call_at = call_at
        self._conditionals = Conditionals(floor, call_at)
        self._entry = OrderEntry(settings, floor, self._conditionals)
        self._funding = Funding(floor, emit) if settings.funding else None
        self._liquidations = Liquidations(floor, emit) if settings.liquidation else None
        transfers = Transfers(settings, floor, emit)
        ownership = Ownership(settings, floor, emit)
        self._about_accounts: dict[int, Callable[[TxRecord, int], int]] = {
            TxType.TRANSFER: transfers.carry_out,
            TxType.WITHDRAW: transfers.carry_out,
            TxType.CREATE_SUB_ACCOUNT: ownership.open_sub_account,
            TxType.CHANGE_PUB_KEY: ownership.register_key,
        }

    def carry_out(self, record: TxRecord, at_us: int) -> int:
        """Do what a transaction asks for; return 200, or why nothing was done.

        Its record learns which order it made or touched.
        """
        account, info = self._floor.accounts[record.account], record.info
        entry, tx_type = self._entry, record.tx_type
        if tx_type in (TxType.CREATE_ORDER, TxType.CREATE_GROUPED_ORDERS):
            single = tx_type == TxType.CREATE_ORDER
            make = entry.create if single else entry.create_group
            code, record.order_index = make(account, info, record.tx_hash, now_us=at_us)
            return code
        if tx_type in (TxType.CANCEL_ORDER, TxType.MODIFY_ORDER):
            target = self._floor.find_live(account, info["MarketIndex"], info["Index"])
            record.order_index = 0 if target is None else target.order_index
            if tx_type == TxType.CANCEL_ORDER:
                return entry.cancel(account, info, now_us=at_us)
            return entry.modify(account, info, record.tx_hash, now_us=at_us)
        if tx_type == TxType.CANCEL_ALL_ORDERS:
            self._cancel_all(account, info, at_us)
            return OK
        by_type = self._about_accounts.get(tx_type)
        if by_type is not None:
            return by_type(record, at_us)
        return self._set(account, tx_type, info, at_us)

    def _set(
        self, account: Account, tx_type: int, info: Mapping[str, Any], at_us: int
    ) -> int:
        # Margin is judged again: what went before in the queue may have moved it.
        problem = None
        if tx_type == TxType.UPDATE_LEVERAGE:
            market = self._floor.markets[info["MarketIndex"]].market
            lowest = market.min_initial_margin_fraction
            problem = leverage_problem(account, info, lowest, self._floor.lot_values)
        elif tx_type == TxType.UPDATE_MARGIN:
            problem = margin_problem(account, info, self._floor.lot_values)
        elif tx_type == TxType.UPDATE_ACCOUNT_CONFIG:
            problem = mode_problem(account, info["AccountTradingMode"])
        if problem is not None:
            return problem
        apply_settings(account, tx_type, info)
        if tx_type == TxType.UPDATE_MARGIN:
            self._emit(PositionChanged(at_us, account.index, info["MarketIndex"]))
        return OK

    def _cancel_all(
        self, account: Account, info: Mapping[str, Any], at_us: int
    ) -> None:
        mode = info["TimeInForce"]
        if mode == SCHEDULED:
            account.cancel_all_time_ms = info["Time"]
            due_us = max(info["Time"] * 1_000, at_us)
            self._call_at(due_us, ScheduledCancel(account.index, info["Time"]))
        elif mode == ABORTED:
            account.cancel_all_time_ms = 0
        else:
            market_index = attribute(info, ATTRIBUTE_MARKET)
            if market_index == NIL_MARKET:
                market_index = None
            self._entry.cancel_all(account, market_index=market_index, now_us=at_us)

    def start(self, now_us: int) -> None:
        """Ask to be called when time alone brings something."""
        if self._funding is not None:
            self._call_at((now_us // MINUTE_US + 1) * MINUTE_US, FundingMinute())

    def wake(self, what: Waiting, at_us: int, quiet_until_us: int) -> None:
        """Do what the time that `what` waited for brings.

        Args:
            what: what waited.
            at_us: unix microseconds, now.
            quiet_until_us: until when nothing else happens.
        """
        if isinstance(what, FundingMinute):
            # All minutes before the full hour see the same book.
            count = 1
            if at_us % HOUR_US:
                hour_us = (at_us // HOUR_US + 1) * HOUR_US
                last_us = max(at_us, min(quiet_until_us, hour_us - MINUTE_US))
                count += (last_us - at_us) // MINUTE_US
                at_us += (count - 1) * MINUTE_US
            self.start(at_us)
            if self._funding is None or not self._funding.tick(at_us, count):
                return
        elif isinstance(what, VenueOrder):
            self._conditionals.wake(what, now_us=at_us)
        else:
            account = self._floor.accounts[what.account]
            if account.cancel_all_time_ms != what.time_ms:
                return  # aborted or replaced since
            account.cancel_all_time_ms = 0
            self._entry.cancel_all(account, now_us=at_us)
        self.carry_on(at_us)

    def follow_up(self, at_us: int) -> None:
        """Arm or end what hung on orders that ended and positions that turned."""
        self._conditionals.follow_up(now_us=at_us)

    def carry_on(self, at_us: int, states: Iterable[MarketState] | None = None) -> None:
        """Let all follow that what just happened brings, in some markets or in all."""
        touched = self._floor.markets.values() if states is None else states
        self._conditionals.carry_on(touched, now_us=at_us)
        while self._liquidations is not None and self._liquidations.act(at_us):
            self._conditionals.carry_on(self._floor.markets.values(), now_us=at_us)
