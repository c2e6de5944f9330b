"""Transactions that set something on an account and move no order and no money.

Leverage is carried out. Trading mode, asset mode and integrator approvals are what
clients send at their start: they are kept and shown, and change nothing else here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.transactions import TxType

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
USDC_ASSET: Final = 3
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


def apply_settings(account: Account, tx_type: int, info: Mapping[str, Any]) -> None:
    """Write what a settings transaction says into the account."""
    if tx_type == TxType.UPDATE_LEVERAGE:
        fractions = account.initial_margin_fractions
        fractions[info["MarketIndex"]] = info["InitialMarginFraction"]
    elif tx_type == TxType.UPDATE_ACCOUNT_CONFIG:
        account.trading_mode = info["AccountTradingMode"]
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
