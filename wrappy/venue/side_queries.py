"""Side questions: what clients ask at their start and the local exchange has little on.

Bodies follow the official OpenAPI file. There is nothing to deposit or
withdraw, and no pools: lists are empty, not missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.codes import OK
from wrappy.protocol.markets import USDC_ASSET
from wrappy.venue.events import Announced
from wrappy.venue.exchange import Refused
from wrappy.venue.money_history import MoneyHistory
from wrappy.venue.render import NO_ACCOUNT, usdc_text
from wrappy.venue.spot_render import render_asset_details, spot_markets

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
            v1 + "announcement": self._announcements,
        }

    def account_routes(self) -> dict[str, Callable[[Account, Parameters], Any]]:
        """Return the answering method of each path that needs a token."""
        return MoneyHistory(self._floor).routes()

    def _announcements(self, _: Parameters) -> Any:
        rows = [
            {
                "title": str(event.content.get("title", "")),
                "content": str(event.content.get("text", "")),
                "created_at": event.at_us // 1_000_000,
                "expired_at": 0,
            }
            for event in self._floor.exchange.log.of(Announced)
            if event.kind == "announcement"
        ]
        return {"code": OK, "announcements": rows}

    def _assets(self, query: Parameters) -> Any:
        exchange, wanted = self._floor.exchange, query.integer("asset_id", 0, low=0)
        users = [a for a in exchange.accounts.values() if not a.is_flow]
        supplied = sum(a.ledger.collateral + a.spot.balance(USDC_ASSET) for a in users)
        rows = [{**_USDC, "total_supplied": usdc_text(supplied)}]
        for state in spot_markets(exchange.markets):
            owned = [a.spot.balance(state.market.base_asset_id) for a in users]
            rows.append(render_asset_details(state, sum(owned)))
        found = [row for row in rows if wanted in (0, row["asset_id"])]
        if not found:
            raise Refused(_ASSET_NOT_FOUND)
        return {"code": OK, "asset_details": found}
