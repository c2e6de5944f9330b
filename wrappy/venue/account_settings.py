"""Transactions that set something on an account and move no order.

Leverage, margin mode, isolated margin and trading mode change what orders may do.
Integrator approvals are what orders with an integrator are judged by. The asset mode
is checked and changes nothing: only USDC is collateral.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy._core.ledger import FRACTION_SCALE, margin_of
from wrappy.protocol.intents import TxType
from wrappy.protocol.markets import USDC_ASSET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.venue.accounts import Account

KEPT_TYPES: Final = frozenset(
    {
        TxType.UPDATE_ACCOUNT_CONFIG,
        TxType.UPDATE_ACCOUNT_ASSET_CONFIG,
        TxType.APPROVE_INTEGRATOR,
    }
)
CROSS_MARGIN: Final = 0
ISOLATED_MARGIN: Final = 1
REMOVE_MARGIN: Final = 0
ADD_MARGIN: Final = 1
_FEES: Final = {
    "max_perps_taker_fee": "MaxPerpsTakerFee",
    "max_perps_maker_fee": "MaxPerpsMakerFee",
    "max_spot_taker_fee": "MaxSpotTakerFee",
    "max_spot_maker_fee": "MaxSpotMakerFee",
}
_MOST_FEE: Final = 1_000_000


def settings_problem(
    tx_type: int, info: Mapping[str, Any], *, now_ms: int
) -> int | None:
    """Return the code with which one of `KEPT_TYPES` is refused, or None.

    The documents name no codes for these fields: the nearest ones are taken.
    """
    if tx_type == TxType.UPDATE_ACCOUNT_CONFIG:
        return None if info["AccountTradingMode"] in (0, 1) else 21501
    if tx_type == TxType.UPDATE_ACCOUNT_ASSET_CONFIG:
        if info["AssetIndex"] != USDC_ASSET:
            return 21809
        return None if info["AssetMarginMode"] in (0, 1) else 21802
    if info["IntegratorAccountIndex"] < 1:
        return 21102
    if not all(0 <= info[field] <= _MOST_FEE for field in _FEES.values()):
        return 21134
    expiry = info["ApprovalExpiry"]
    # An expiry of zero withdraws an approval.
    return None if expiry == 0 or expiry > now_ms else 21501


def leverage_problem(
    account: Account,
    info: Mapping[str, Any],
    lowest: int,
    lot_values: Mapping[int, int],
) -> int | None:
    """Return the code with which a leverage update is refused, or None.

    The margin mode changes only while the market has neither position nor orders;
    the documents do not say so, the exchange's own pages do not offer it otherwise.

    Args:
        account: whose setting it is.
        info: the UpdateLeverage transaction.
        lowest: the market's smallest initial margin fraction, 1e-4.
        lot_values: value of one lot at the mark price, 1e-6 USDC, by market index.
    """
    market_index, fraction = info["MarketIndex"], info["InitialMarginFraction"]
    if not lowest <= fraction <= FRACTION_SCALE:
        return 21113
    if info["MarginMode"] not in (CROSS_MARGIN, ISOLATED_MARGIN):
        return 21613
    ledger = account.ledger
    is_isolated = market_index in ledger.allocated
    held = ledger.size(market_index)
    if is_isolated != (info["MarginMode"] == ISOLATED_MARGIN):
        live = account.open_orders.values()
        if held or any(order.market_index == market_index for order in live):
            return 21613
    elif held and fraction > account.initial_margin_fractions[market_index]:
        fractions = {**account.initial_margin_fractions, market_index: fraction}
        if _free(account, market_index, lot_values, fractions) < 0:
            return 21508
    return None


def _free(
    account: Account,
    market_index: int,
    lot_values: Mapping[int, int],
    fractions: Mapping[int, int],
) -> int:
    # What the market's own margin, isolated or everybody's, has above what it needs.
    ledger = account.ledger
    if market_index not in ledger.allocated:
        return ledger.available(lot_values, fractions) - account.shared_lock
    lot_value = lot_values[market_index]
    value = abs(ledger.size(market_index)) * lot_value
    needed = margin_of(value, fractions[market_index])
    return ledger.isolated_equity(market_index, lot_value) - needed


def margin_problem(
    account: Account, info: Mapping[str, Any], lot_values: Mapping[int, int]
) -> int | None:
    """Return the code with which moving isolated margin is refused, or None.

    Both sides keep their initial margin: what is put in must be free in the cross
    markets, what is taken out must be more than the position needs. The documents
    name no code for the amount: the nearest one is taken.

    Args:
        account: whose margin it is.
        info: the UpdateMargin transaction.
        lot_values: value of one lot at the mark price, 1e-6 USDC, by market index.
    """
    market_index, amount = info["MarketIndex"], info["USDCAmount"]
    ledger, fractions = account.ledger, account.initial_margin_fractions
    if info["Direction"] not in (REMOVE_MARGIN, ADD_MARGIN):
        return 21615
    if amount < 1:
        return 21501
    if not ledger.size(market_index):
        return 21614
    if market_index not in ledger.allocated:
        return 21613
    if info["Direction"] == ADD_MARGIN:
        free = ledger.available(lot_values, fractions) - account.shared_lock
        return None if amount <= free else 21508
    spare = _free(account, market_index, lot_values, fractions)
    return None if amount <= min(spare, ledger.allocated[market_index]) else 21508


def apply_settings(account: Account, tx_type: int, info: Mapping[str, Any]) -> None:
    """Write what a settings transaction says into the account."""
    if tx_type == TxType.UPDATE_LEVERAGE:
        fractions = account.initial_margin_fractions
        market_index = info["MarketIndex"]
        fractions[market_index] = info["InitialMarginFraction"]
        allocated = account.ledger.allocated
        if info["MarginMode"] == ISOLATED_MARGIN:
            allocated.setdefault(market_index, 0)
        elif not account.ledger.size(market_index):
            allocated.pop(market_index, None)
    elif tx_type == TxType.UPDATE_MARGIN:
        adds = info["Direction"] == ADD_MARGIN
        amount = info["USDCAmount"] if adds else -info["USDCAmount"]
        account.ledger.allocated[info["MarketIndex"]] += amount
    elif tx_type == TxType.UPDATE_ACCOUNT_CONFIG:
        account.set_trading_mode(info["AccountTradingMode"])
    elif tx_type == TxType.APPROVE_INTEGRATOR:
        integrator, expiry = info["IntegratorAccountIndex"], info["ApprovalExpiry"]
        account.integrators.pop(integrator, None)
        if expiry:
            account.integrators[integrator] = {
                "account_index": integrator,
                "name": "",
                **{name: info[field] for name, field in _FEES.items()},
                "approval_expiry": expiry,
            }
