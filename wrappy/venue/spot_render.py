"""How spot markets and what accounts own there are spelled on the wire.

Field lists follow the official SDK's models, the official OpenAPI file and recorded
frames of `spot_market_stats`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy._core.scaling import int_to_fixed
from wrappy.protocol.markets import USDC_ASSET
from wrappy.venue.render import (
    QUOTE_DECIMALS,
    day_numbers,
    order_book_facts,
    price_text,
    size_text,
    usdc_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wrappy.model import Market
    from wrappy.venue.accounts import Account
    from wrappy.venue.market_state import MarketState

ASSET_DECIMALS: Final = 8
"""Places of every asset but USDC in transfers (official SDK)."""
MULTIPLIER: Final = "1.000000000000000000"


def spot_markets(markets: Mapping[int, MarketState]) -> list[MarketState]:
    """Return the spot markets among all, in their order."""
    return [state for state in markets.values() if state.market.is_spot]


def render_spot_details(state: MarketState) -> dict[str, Any]:
    """Return one spot market as `orderBookDetails` lists it."""
    market = state.market
    return {
        **order_book_facts(state),
        "size_decimals": market.size_decimals,
        "price_decimals": market.price_decimals,
        "last_trade_price": state.last_trade_price / market.price_scale,
        "daily_trades_count": state.day.count,
        **day_numbers(state),
        "open_interest": size_text(0, market),
        "daily_chart": {},
    }


def render_spot_stats(state: MarketState) -> dict[str, Any]:
    """Return one market as the `spot_market_stats` stream prints it.

    A side of the book that is empty has no best price: it is printed as empty text.
    """
    market, engine = state.market, state.engine
    bid, ask = engine.best_bid, engine.best_ask
    known = [price for price in (bid, ask) if price is not None]
    middle = sum(known) // len(known) if known else state.last_trade_price
    return {
        "symbol": market.symbol,
        "market_id": market.market_id,
        "index_price": price_text(state.index_price, market),
        "mid_price": price_text(middle, market),
        "best_ask_price": "" if ask is None else price_text(ask, market),
        "best_bid_price": "" if bid is None else price_text(bid, market),
        "last_trade_price": price_text(state.last_trade_price, market),
        **day_numbers(state),
    }


def render_assets(
    account: Account, markets: Iterable[Market], collateral: int
) -> list[dict[str, Any]]:
    """Return an account's balances: USDC, and the assets of the spot markets.

    In a unified account the USDC balance is the margin balance: there is one purse.

    Args:
        account: whose.
        markets: every market of the exchange.
        collateral: what cross positions stand on, 1e-6 USDC.
    """
    spot = account.spot
    owned = spot.balance(USDC_ASSET)
    if account.shares_purse(USDC_ASSET):
        owned = collateral
    rows = [
        {
            "symbol": "USDC",
            "asset_id": USDC_ASSET,
            "balance": usdc_text(owned),
            "locked_balance": usdc_text(spot.locked.get(USDC_ASSET, 0)),
            "margin_mode": "enabled",
            "margin_balance": usdc_text(collateral),
            "multiplier": "1",
        }
    ]
    for market in markets:
        if market.is_spot:
            asset = market.base_asset_id
            rows.append(
                {
                    "symbol": market.base_symbol,
                    "asset_id": asset,
                    "balance": size_text(spot.balance(asset), market),
                    "locked_balance": size_text(spot.locked.get(asset, 0), market),
                    "margin_mode": "disabled",
                    "margin_balance": size_text(0, market),
                    "multiplier": MULTIPLIER,
                }
            )
    return rows


def render_entry_prices(
    account: Account, markets: Iterable[Market]
) -> dict[str, dict[str, Any]]:
    """Return what was paid on average for the assets bought, by asset.

    Only what was bought counts, and is left: what was there from the start has no
    price. An asset that was all sold again is told with a size and a price of 0.
    """
    rows: dict[str, dict[str, Any]] = {}
    for market in markets:
        entry = account.spot.entries.get(market.base_asset_id)
        if entry is None or not market.is_spot:
            continue
        # Rounded down, with the places that the USDC has.
        scaled = entry.cost * market.size_scale
        average = scaled // entry.size if entry.size else 0
        rows[str(market.base_asset_id)] = {
            "asset_id": market.base_asset_id,
            "avg_entry_price": int_to_fixed(average, QUOTE_DECIMALS),
            "asset_size": size_text(entry.size, market),
            "last_trade_id": entry.last_trade_id,
        }
    return rows


def render_asset_details(state: MarketState, supplied: int) -> dict[str, Any]:
    """Return a spot market's base asset as `assetDetails` lists it.

    Args:
        state: the market.
        supplied: what users own of it, lots.
    """
    market = state.market
    return {
        "asset_id": market.base_asset_id,
        "symbol": market.base_symbol,
        "l1_decimals": 18,
        "decimals": ASSET_DECIMALS,
        "min_transfer_amount": str(market.lot_size),
        "min_withdrawal_amount": str(market.lot_size),
        "margin_mode": "disabled",
        "index_price": price_text(state.index_price, market),
        "price_decimals": market.price_decimals,
        "l1_address": "0x" + "0" * 40,
        "loan_to_value": "0",
        "liquidation_threshold": "0",
        "liquidation_factor": "0",
        "liquidation_fee": "0",
        "global_supply_cap": "0",
        "user_supply_cap": "0",
        "total_supplied": size_text(supplied, market),
        "multiplier": MULTIPLIER,
    }
