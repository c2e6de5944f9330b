"""Money that moves: transfers between accounts, withdrawals, and what refuses them.

Rules follow the prover circuits and the documented list of codes: the sender keeps the
initial margin of its cross markets, open profit cannot leave, the fee is exactly the
one asked for, and nothing goes to oneself on the same route. Nothing is proved or paid
out on a base chain: what is withdrawn has left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.codes import OK
from wrappy.protocol.intents import TxType
from wrappy.protocol.markets import BUNDLED_MARKETS, USDC_ASSET
from wrappy.venue.account_events import Transferred, Withdrawn
from wrappy.venue.accounts import FEE_COLLECTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wrappy.venue.accounts import Account
    from wrappy.venue.events import Event
    from wrappy.venue.records import TxRecord
    from wrappy.venue.settings import VenueSettings
    from wrappy.venue.trading import TradingFloor

ROUTE_PERPS: Final = 0
ROUTE_SPOT: Final = 1
FAST_BRIDGE: Final = 3
"""Account that a fast withdrawal is transferred to; whatever it gets has left."""
LEAST_USDC: Final = 1_000_000
"""Least transfer and withdrawal of USDC, 1e-6; as `assetDetails` tells."""
MOST_AMOUNT: Final = (1 << 60) - 1
USDC_DECIMALS: Final = 6
ASSET_DECIMALS: Final = 8
"""Places of every other asset in transfers and withdrawals (official SDK)."""
_LOT_DECIMALS: Final = {
    market.base_asset_id: market.size_decimals
    for market in BUNDLED_MARKETS
    if market.is_spot
}
_NO_RECEIVER: Final = 21106
_WRONG_ROUTE: Final = 21124
_WRONG_FEE: Final = 21134
_WRONG_AMOUNT: Final = 21300
_TOO_LITTLE_COLLATERAL: Final = 21301
_TOO_LITTLE_BALANCE: Final = 21304
_TOO_LITTLE_FOR_FEE: Final = 21305
_TOO_LITTLE_MARGIN: Final = 21508
_ONLY_USDC: Final = 21805
_NO_ASSET: Final = 21809


@dataclass(frozen=True, slots=True)
class Payment:
    """What a transfer or withdrawal takes out of an account.

    Attributes:
        route: 0 perps, 1 spot.
        asset: asset index.
        amount: in the exchange's own units of the asset: 1e-6 USDC, or lots.
        fee: 1e-6 USDC, from the same route.
    """

    route: int
    asset: int
    amount: int
    fee: int


def transfer_fee(settings: VenueSettings, account: Account, to: Account | None) -> int:
    """Return what a transfer costs the sender, 1e-6 USDC; to its own accounts nothing.

    Args:
        settings: the exchange's.
        account: the sender.
        to: the receiver; None is anybody else.
    """
    if to is not None and to.l1_address == account.l1_address:
        return 0
    return settings.transfer_fee


class Transfers:
    """Judges transfers and withdrawals, and carries them out.

    Args:
        settings: the exchange's.
        floor: its balances.
        emit: takes what happened.
    """

    def __init__(
        self,
        settings: VenueSettings,
        floor: TradingFloor,
        emit: Callable[[Event], None],
    ) -> None:
        self._settings = settings
        self._floor = floor
        self._emit = emit
        self._transfers = 0
        self._withdrawals = 0

    def transfer_problem(self, account: Account, info: Mapping[str, Any]) -> int | None:
        """Return the code with which a transfer is refused, or None."""
        to_index = info["ToAccountIndex"]
        receiver = self._floor.accounts.get(to_index)
        if to_index != FAST_BRIDGE and (receiver is None or receiver.is_flow):
            return _NO_RECEIVER
        routes = (info["FromRouteType"], info["ToRouteType"])
        problem = _amount_problem(info, routes, (21118, 21119))
        if problem is not None:
            return problem
        if to_index == account.index and routes[0] == routes[1]:
            return _NO_RECEIVER
        if info["USDCFee"] != transfer_fee(self._settings, account, receiver):
            return _WRONG_FEE
        return self._money_problem(account, _payment(info))

    def withdrawal_problem(
        self, account: Account, info: Mapping[str, Any]
    ) -> int | None:
        """Return the code with which a withdrawal is refused, or None."""
        problem = _amount_problem(info, (info["RouteType"],), (21116, 21117))
        if problem is not None:
            return problem
        return self._money_problem(account, _payment(info))

    def _money_problem(self, account: Account, payment: Payment) -> int | None:
        amount, fee = payment.amount, payment.fee
        if payment.route == ROUTE_PERPS or account.shares_purse(payment.asset):
            ledger, locked = account.ledger, account.shared_lock
            if amount + fee > ledger.cross_part().collateral - locked:
                return _TOO_LITTLE_COLLATERAL
            free = ledger.available(
                self._floor.lot_values, account.initial_margin_fractions
            )
            return _TOO_LITTLE_MARGIN if amount + fee > free - locked else None
        if amount > account.spot.free(payment.asset):
            return _TOO_LITTLE_BALANCE
        if not fee:
            return None
        if payment.asset != USDC_ASSET:
            asked = Payment(ROUTE_SPOT, USDC_ASSET, fee, 0)
            problem = self._money_problem(account, asked)
            return None if problem is None else _TOO_LITTLE_FOR_FEE
        short = amount + fee > account.spot.free(USDC_ASSET)
        return _TOO_LITTLE_FOR_FEE if short else None

    def carry_out(self, record: TxRecord, at_us: int) -> int:
        """Move the money, if it still may be; return 200, or why it was not."""
        account, info = self._floor.accounts[record.account], record.info
        is_transfer = record.tx_type == TxType.TRANSFER
        judge = self.transfer_problem if is_transfer else self.withdrawal_problem
        problem = judge(account, info)
        if problem is not None:
            return problem
        payment = _payment(info)
        self._take(account, payment)
        to_index = info.get("ToAccountIndex", FAST_BRIDGE)
        if to_index != FAST_BRIDGE:
            self._emit(self._hand_over(record, payment, at_us))
            return OK
        self._withdrawals += 1
        gone = Withdrawn(
            at_us,
            self._withdrawals,
            record.tx_hash,
            account.index,
            payment.asset,
            payment.route,
            info["Amount"],
            payment.fee,
            is_fast=is_transfer,
        )
        account.profile.withdrawals.append(gone)
        self._emit(gone)
        return OK

    def _hand_over(self, record: TxRecord, payment: Payment, at_us: int) -> Transferred:
        info = record.info
        sender = self._floor.accounts[record.account]
        receiver = self._floor.accounts[info["ToAccountIndex"]]
        self._transfers += 1
        moved = Transferred(
            at_us,
            self._transfers,
            record.tx_hash,
            sender.index,
            receiver.index,
            payment.asset,
            payment.route,
            info["ToRouteType"],
            info["Amount"],
            payment.fee,
        )
        _give(receiver, moved.to_route, payment.asset, payment.amount)
        self._floor.shaken.add(receiver.index)
        for index in moved.touched:
            self._floor.accounts[index].profile.transfers.append(moved)
        return moved

    def _take(self, account: Account, payment: Payment) -> None:
        _give(account, payment.route, payment.asset, -payment.amount)
        _give(account, payment.route, USDC_ASSET, -payment.fee)
        self._floor.shaken.add(account.index)
        collector = self._floor.accounts.get(FEE_COLLECTOR)
        if collector is not None:
            _give(collector, payment.route, USDC_ASSET, payment.fee)


def _give(account: Account, route: int, asset: int, amount: int) -> None:
    if route == ROUTE_PERPS:
        account.ledger.collateral += amount
    elif amount:
        account.pay(asset, amount)


def _payment(info: Mapping[str, Any]) -> Payment:
    asset, amount = info["AssetIndex"], info["Amount"]
    if asset != USDC_ASSET:
        amount //= 10 ** (ASSET_DECIMALS - _LOT_DECIMALS[asset])
    route = info["FromRouteType"] if "FromRouteType" in info else info["RouteType"]
    return Payment(route, asset, amount, info.get("USDCFee", 0))


def _amount_problem(
    info: Mapping[str, Any], routes: tuple[int, ...], codes: tuple[int, int]
) -> int | None:
    # `codes` are those of an amount too small and of one too large.
    asset, amount = info["AssetIndex"], info["Amount"]
    if not {ROUTE_PERPS, ROUTE_SPOT}.issuperset(routes):
        return _WRONG_ROUTE
    least, lot = LEAST_USDC, 1
    if asset != USDC_ASSET:
        if asset not in _LOT_DECIMALS:
            return _NO_ASSET
        if ROUTE_PERPS in routes:
            return _ONLY_USDC
        least = lot = 10 ** (ASSET_DECIMALS - _LOT_DECIMALS[asset])
    if not least <= amount <= MOST_AMOUNT:
        return codes[amount > MOST_AMOUNT]
    return _WRONG_AMOUNT if amount % lot else None
