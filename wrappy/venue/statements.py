"""What an account is told about itself: balances, positions, margin, on the wire."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final

from wrappy._core.ledger import LedgerPosition
from wrappy.venue.margin import liquidation_price
from wrappy.venue.render import size_text, usdc_text
from wrappy.venue.spot_render import render_assets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy._core.ledger import AccountLedger
    from wrappy.model import Market
    from wrappy.venue.accounts import Account
    from wrappy.venue.market_state import MarketState

_HUNDREDTH: Final = Decimal("0.01")
_NO_POOL: Final[dict[str, Any]] = {
    "status": 0,
    "operator_fee": "0",
    "min_operator_share_rate": "0",
    "total_shares": 0,
    "operator_shares": 0,
    "annual_percentage_yield": 0,
    "daily_returns": [],
    "share_prices": [],
    "sharpe_ratio": 0,
    "strategies": [],
}


def _percent(part: int, whole: int) -> str:
    if whole <= 0:
        return "0.00"
    return str((Decimal(100) * part / whole).quantize(_HUNDREDTH, ROUND_HALF_UP))


class Statement:
    """One account's figures at the current mark prices.

    Args:
        account: whose figures.
        markets: every market of the exchange.
    """

    def __init__(self, account: Account, markets: Mapping[int, MarketState]) -> None:
        self._account = account
        self._markets = markets
        self._fractions = account.initial_margin_fractions
        self._lot_values = {
            index: state.mark_price * state.market.quote_multiplier
            for index, state in markets.items()
        }
        self._maintenance = {
            index: state.market.maintenance_margin_fraction
            for index, state in markets.items()
        }
        ledger = account.ledger
        self._cross = cross = ledger.cross_part()
        self.equity = ledger.equity(self._lot_values)
        self.cross_equity = cross.equity(self._lot_values)
        self.initial_margin = cross.initial_margin(self._lot_values, self._fractions)
        self.maintenance_margin = cross.maintenance_margin(
            self._lot_values, self._maintenance
        )
        free = self.cross_equity - self.initial_margin - account.shared_lock
        self.available = max(0, free)

    def position(self, market_index: int) -> dict[str, Any]:
        """Return the position in one market, flat or not."""
        market = self._markets[market_index].market
        ledger = self._account.ledger
        held = ledger.positions.get(market_index, LedgerPosition())
        lot_value = self._lot_values[market_index]
        orders = [
            order
            for order in self._account.open_orders.values()
            if order.market_index == market_index
        ]
        pending = sum(order.is_pending for order in orders)
        average = ledger.average_entry(market)
        return {
            "market_id": market_index,
            "symbol": market.symbol,
            "initial_margin_fraction": str(
                Decimal(self._fractions[market_index]).scaleb(-2)
            ),
            "open_order_count": len(orders) - pending,
            "pending_order_count": pending,
            "position_tied_order_count": sum(order.is_tied for order in orders),
            "sign": -1 if held.size < 0 else 1,
            "position": size_text(abs(held.size), market),
            "avg_entry_price": _average_text(average, market),
            "position_value": usdc_text(abs(held.size) * lot_value),
            "unrealized_pnl": usdc_text(ledger.unrealized_pnl(market_index, lot_value)),
            "realized_pnl": usdc_text(held.realized_pnl),
            "liquidation_price": liquidation_price(
                self._account, self._markets, market_index
            ),
            "total_funding_paid_out": usdc_text(
                self._account.funding_paid.get(market_index, 0)
            ),
            "margin_mode": int(market_index in ledger.allocated),
            "allocated_margin": usdc_text(ledger.allocated.get(market_index, 0)),
            "total_discount": "0.000000",
            "margin_set_flag": 0,
        }

    def positions(self, *, active_only: bool = False) -> list[dict[str, Any]]:
        """Return the positions in all perpetuals, or only those that are not flat."""
        return [
            self.position(index)
            for index, state in self._markets.items()
            if self._account.ledger.size(index)
            or not (active_only or state.market.is_spot)
        ]

    def open_positions(self) -> dict[str, dict[str, Any]]:
        """Return positions by market, of every market the account ever held."""
        return {
            str(index): self.position(index)
            for index in sorted(self._account.ledger.positions)
        }

    def assets(self) -> list[dict[str, Any]]:
        """Return the balances: USDC, and the assets of the spot markets."""
        markets = [state.market for state in self._markets.values()]
        return render_assets(self._account, markets, self._cross.collateral)

    def summary(self) -> dict[str, Any]:
        """Return the light entry of `accountsByL1Address`."""
        account = self._account
        return {
            "code": 0,
            "account_type": account.profile.account_type,
            "account_trading_mode": account.trading_mode,
            "index": account.index,
            "l1_address": account.l1_address,
            "cancel_all_time": account.cancel_all_time_ms,
            "total_order_count": len(account.open_orders),
            "total_isolated_order_count": sum(
                order.market_index in account.ledger.allocated
                for order in account.open_orders.values()
            ),
            "pending_order_count": sum(
                order.is_pending for order in account.open_orders.values()
            ),
            "available_balance": usdc_text(self.available),
            "status": 1,
            "collateral": usdc_text(self._cross.collateral),
            "transaction_time": max(
                (key.transaction_time_us for key in account.api_keys.values()),
                default=0,
            ),
        }

    def metadata(self) -> dict[str, Any]:
        """Return the entry of `accountMetadata`."""
        return {
            "account_index": self._account.index,
            "name": "",
            "description": "",
            "can_invite": False,
            "referral_points_percentage": "",
            "created_at": 0,
            "can_rfq": False,
            "can_rfq_market_ids": [],
            "metadata": {"color": ""},
            "agent_enabled": False,
        }

    def detailed(self, *, active_only: bool = False) -> dict[str, Any]:
        """Return the full entry of `account`."""
        return {
            **self.summary(),
            **self.metadata(),
            "positions": self.positions(active_only=active_only),
            "assets": self.assets(),
            "total_asset_value": usdc_text(self.equity),
            "cross_asset_value": usdc_text(self.cross_equity),
            "cross_initial_margin_requirement": usdc_text(self.initial_margin),
            "cross_maintenance_margin_requirement": usdc_text(self.maintenance_margin),
            "pool_info": dict(_NO_POOL),
            "shares": [],
            "pending_unlocks": [],
            "approved_integrators": list(self._account.integrators.values()),
        }

    def stats(self) -> dict[str, Any]:
        """Return the figures of the `user_stats` stream."""
        ledger, cross = self._account.ledger, self._cross
        total = self._figures(ledger, self.equity)
        return {
            "account_trading_mode": self._account.trading_mode,
            **total,
            "cross_stats": self._figures(cross, self.cross_equity),
            "total_stats": total,
        }

    def _figures(self, ledger: AccountLedger, equity: int) -> dict[str, str]:
        value = ledger.position_value(self._lot_values)
        margin = ledger.initial_margin(self._lot_values, self._fractions)
        return {
            "available_balance": usdc_text(self.available),
            "buying_power": "0",
            "collateral": usdc_text(ledger.collateral),
            "leverage": _ratio(value, equity),
            "margin_usage": _percent(margin, equity),
            "portfolio_value": usdc_text(equity),
        }


def _ratio(part: int, whole: int) -> str:
    if whole <= 0:
        return "0.00"
    return str((Decimal(part) / whole).quantize(_HUNDREDTH, ROUND_HALF_UP))


def _average_text(average: Decimal, market: Market) -> str:
    # Averages fall between ticks: the exchange prints them with more places.
    places = market.price_decimals + 2
    return str(average.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))
