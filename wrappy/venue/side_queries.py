"""Side questions: what clients ask at their start and the local exchange has little on.

Bodies follow the official OpenAPI file. There is one asset, nothing to deposit or
withdraw, and no pools: lists are empty, not missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.codes import OK
from wrappy.venue.account_settings import USDC_ASSET
from wrappy.venue.exchange import Refused
from wrappy.venue.render import NO_ACCOUNT, usdc_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.venue.accounts import Account
    from wrappy.venue.floor import Floor
    from wrappy.venue.parameters import Parameters

_ASSET_NOT_FOUND: Final = 21809
_USDC: Final[dict[str, Any]] = {
    "asset_id": USDC_ASSET,
    "symbol": "USDC",
    "l1_decimals": 6,
    "decimals": 6,
    "min_transfer_amount": "1.000000",
    "min_withdrawal_amount": "1.000000",
    "margin_mode": "enabled",
    "index_price": "1.000000",
    "price_decimals": 6,
    "l1_address": "0x" + "0" * 40,
    "loan_to_value": "0",
    "liquidation_threshold": "0",
    "liquidation_factor": "0",
    "liquidation_fee": "0",
    "global_supply_cap": "0",
    "user_supply_cap": "0",
    "multiplier": "1.000000000000000000",
}
_SYSTEM: Final[dict[str, Any]] = {
    "code": OK,
    "liquidity_pool_index": NO_ACCOUNT,
    "staking_pool_index": NO_ACCOUNT,
    "funding_fee_rebate_account_index": NO_ACCOUNT,
    "market_maker_incentive_account_index": NO_ACCOUNT,
    "fee_collector_account_index": NO_ACCOUNT,
    "liquidity_pool_cooldown_period": 0,
    "staking_pool_lockup_period": 0,
    "max_integrator_perps_maker_fee": 1_000,
    "max_integrator_perps_taker_fee": 1_000,
    "max_integrator_spot_maker_fee": 0,
    "max_integrator_spot_taker_fee": 0,
}


class SideQueries:
    """Endpoints whose answers are the same on every local exchange."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def public_routes(self) -> dict[str, Callable[[Parameters], Any]]:
        """Return the answering method of each path that anybody may read."""
        v1 = "/api/v1/"
        return {
            v1 + "assetDetails": self._assets,
            v1 + "systemConfig": lambda _: _SYSTEM,
            v1 + "withdrawalDelay": lambda _: {"code": OK, "seconds": 0},
            v1 + "announcement": lambda _: {"code": OK, "announcements": []},
            v1 + "publicPoolsMetadata": lambda _: {"code": OK, "public_pools": []},
            v1 + "referral/get": lambda _: {
                "code": OK,
                "referral_code": "",
                "remaining_usage": 0,
            },
        }

    def account_routes(self) -> dict[str, Callable[[Account, Parameters], Any]]:
        """Return the answering method of each path that needs a token."""
        v1 = "/api/v1/"
        return {
            v1 + "deposit/history": lambda *_: _empty("deposits", "cursor"),
            v1 + "withdraw/history": lambda *_: _empty("withdraws", "cursor"),
            v1 + "transfer/history": lambda *_: _empty("transfers", "cursor"),
            v1 + "getMakerOnlyApiKeys": lambda *_: {"code": OK, "api_key_indexes": []},
            v1 + "transferFeeInfo": lambda *_: {"code": OK, "transfer_fee_usdc": 0},
        }

    def _assets(self, query: Parameters) -> Any:
        asset = query.integer("asset_id", USDC_ASSET, low=0)
        if asset != USDC_ASSET:
            raise Refused(_ASSET_NOT_FOUND)
        users = (a for a in self._floor.exchange.accounts.values() if not a.is_flow)
        supplied = usdc_text(sum(account.ledger.collateral for account in users))
        return {"code": OK, "asset_details": [{**_USDC, "total_supplied": supplied}]}


def _empty(name: str, cursor: str) -> dict[str, Any]:
    return {"code": OK, name: [], cursor: ""}
