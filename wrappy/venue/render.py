"""How the exchange's facts are spelled on the wire: pure functions, facts to dicts.

Field lists and neutral values follow the official SDK's models and the official API
documentation's samples. Decimals are strings, except where the exchange is known to
print JSON numbers.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from wrappy._core.scaling import int_to_fixed
from wrappy.protocol.codes import (
    ORDER_TYPE_WORDS,
    TIME_IN_FORCE_WORDS,
    code_message,
)
from wrappy.protocol.tiers import stake_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wrappy.model import Market
    from wrappy.venue.accounts import Account, ApiKey
    from wrappy.venue.events import Announced, Trade
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.orders import VenueOrder

QUOTE_DECIMALS: Final = 6
NO_ACCOUNT: Final = 281_474_976_710_655
"""What the exchange prints where an account index means nobody."""
_UNLIMITED: Final = "72057594037927936.000000"
_MARKET_EXTRAS: Final[dict[str, Any]] = {
    "created_at": "0",
    "multiplier": "1",
    "start_timestamp": 0,
    "end_timestamp": 0,
    "settlement_type": 0,
    "settlement_price": 0,
    "settlement_cap": 0,
    "outcome": 0,
    "default_price": 0,
    "operator_account_index": 0,
    "is_frozen": False,
}
_MARKET_CONFIG: Final[dict[str, Any]] = {
    "market_margin_mode": 0,
    "insurance_fund_account_index": NO_ACCOUNT,
    "liquidation_mode": 0,
    "force_reduce_only": False,
    "trading_hours": "",
    "funding_fee_discounts_enabled": False,
    "hidden": False,
    "rfq_enabled": False,
}


def usdc_text(quote: int) -> str:
    """Return 1e-6 USDC as decimal text."""
    return int_to_fixed(quote, QUOTE_DECIMALS)


def price_text(price: int, market: Market) -> str:
    """Return ticks as decimal text."""
    return int_to_fixed(price, market.price_decimals)


def size_text(base: int, market: Market) -> str:
    """Return lots as decimal text."""
    return int_to_fixed(base, market.size_decimals)


def percent_text(rate: int) -> str:
    """Return a funding rate, 1e-6, in percent."""
    return int_to_fixed(rate, 4)


def error_body(code: int, message: str = "") -> dict[str, Any]:
    """Return the body of an answer that says no."""
    return {"code": code, "message": message or code_message(code)}


def render_notification(event: Announced) -> dict[str, Any]:
    """Return one notification as its stream prints it, not acknowledged yet."""
    at = datetime.fromtimestamp(event.at_us // 1_000_000, tz=timezone.utc)
    told_at = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "id": event.notification_id,
        "created_at": told_at,
        "updated_at": told_at,
        "kind": event.kind,
        "account_index": event.account,
        "content": event.content,
        "ack": False,
        "acked_at": None,
    }


def render_order(order: VenueOrder, market: Market) -> dict[str, Any]:
    """Return one order as order queries and order streams print it.

    As recorded from the exchange: `timestamp`, `created_at` and `updated_at` count
    seconds, `order_expiry` milliseconds, `transaction_time` microseconds; `nonce` is
    the order's place in its market's count, not a version. `trigger_time` has not been
    seen other than 0: milliseconds, like the expiry, are a choice.
    """
    order_index = str(order.order_index)
    first_child, second_child = (*map(str, order.to_trigger), "0", "0")[:2]
    terms = order.integrator
    return {
        "order_index": order.order_index,
        "client_order_index": order.client_order_index,
        "order_id": order_index,
        "client_order_id": str(order.client_order_index),
        "market_index": order.market_index,
        "owner_account_index": order.owner,
        "initial_base_amount": size_text(order.initial_base, market),
        "price": price_text(order.price, market),
        "nonce": order.nonce,
        "remaining_base_amount": size_text(order.remaining, market),
        "is_ask": order.is_ask,
        "base_size": order.initial_base,
        "base_price": order.price,
        "filled_base_amount": size_text(order.filled_base, market),
        "filled_quote_amount": usdc_text(order.filled_quote),
        "side": "sell" if order.is_ask else "buy",
        "type": ORDER_TYPE_WORDS[order.order_type],
        "time_in_force": TIME_IN_FORCE_WORDS[order.time_in_force],
        "reduce_only": order.reduce_only,
        "trigger_price": price_text(order.trigger_price, market),
        "order_expiry": order.expiry_ms,
        "status": order.status,
        "trigger_status": order.trigger_status,
        "trigger_time": order.trigger_us // 1_000,
        "parent_order_index": order.parent_index,
        "parent_order_id": str(order.parent_index),
        "to_trigger_order_id_0": first_child,
        "to_trigger_order_id_1": second_child,
        "to_cancel_order_id_0": str(order.to_cancel),
        "integrator_fee_collector_index": str(terms.account if terms else 0),
        "integrator_taker_fee": str(terms.taker_fee if terms else 0),
        "integrator_maker_fee": str(terms.maker_fee if terms else 0),
        "block_height": order.block_height,
        "timestamp": order.updated_us // 1_000_000,
        "created_at": order.created_us // 1_000_000,
        "updated_at": order.updated_us // 1_000_000,
        "transaction_time": order.updated_us,
        "order_flags": 0,
        "order_version": order.version,
        "market_symbol": market.symbol,
        "market_kind": "spot" if market.is_spot else "perps",
    }


def render_trade(trade: Trade, market: Market) -> dict[str, Any]:
    """Return one trade as trade queries and trade streams print it.

    Fee fields are left out when zero, as the exchange does.
    """
    ask_id, bid_id = str(trade.ask_order_index), str(trade.bid_order_index)
    row: dict[str, Any] = {
        "trade_id": trade.trade_id,
        "trade_id_str": str(trade.trade_id),
        "tx_hash": trade.tx_hash,
        "type": trade.kind,
        "market_id": trade.market_index,
        "size": size_text(trade.base, market),
        "price": price_text(trade.price, market),
        "usd_amount": usdc_text(trade.quote),
        "ask_id": trade.ask_order_index,
        "ask_id_str": ask_id,
        "bid_id": trade.bid_order_index,
        "bid_id_str": bid_id,
        "ask_client_id": trade.ask_client_order_index,
        "ask_client_id_str": str(trade.ask_client_order_index),
        "bid_client_id": trade.bid_client_order_index,
        "bid_client_id_str": str(trade.bid_client_order_index),
        "ask_account_id": trade.ask_account,
        "bid_account_id": trade.bid_account,
        "is_maker_ask": trade.is_maker_ask,
        "block_height": trade.block_height,
        "timestamp": trade.at_us // 1_000,
        "transaction_time": trade.at_us,
        "ask_account_pnl": usdc_text(trade.ask_pnl),
        "bid_account_pnl": usdc_text(trade.bid_pnl),
        "taker_allocated_margin_usdc_before": 0,
        "taker_allocated_margin_usdc_after": 0,
        "maker_allocated_margin_usdc_before": 0,
        "maker_allocated_margin_usdc_after": 0,
        "bid_order_version": 0,
        "ask_order_version": 0,
        "market_symbol": market.symbol,
        "market_kind": "spot" if market.is_spot else "perps",
    }
    for role, before, fee, share in (
        ("taker", trade.taker_before, trade.taker_fee, trade.taker_integrator),
        ("maker", trade.maker_before, trade.maker_fee, trade.maker_integrator),
    ):
        row[f"integrator_{role}_fee"] = share.fee if share else 0
        collector = f"integrator_{role}_fee_collector_index"
        row[collector] = share.account if share else 0
        row[f"{role}_position_size_before"] = size_text(before.position, market)
        row[f"{role}_entry_quote_before"] = usdc_text(before.entry_quote)
        row[f"{role}_initial_margin_fraction_before"] = before.initial_margin_fraction
        row[f"{role}_position_sign_changed"] = before.sign_changed
        if fee:
            row[f"{role}_fee"] = fee
    return row


def render_resting(order: VenueOrder, market: Market) -> dict[str, Any]:
    """Return one resting order as the public book query prints it."""
    return {
        "order_index": order.order_index,
        "order_id": str(order.order_index),
        "owner_account_index": order.owner,
        "initial_base_amount": size_text(order.initial_base, market),
        "remaining_base_amount": size_text(order.remaining, market),
        "price": price_text(order.price, market),
        "order_expiry": order.expiry_ms,
        "transaction_time": order.updated_us,
    }


def render_levels(
    levels: Iterable[tuple[int, int]], market: Market
) -> list[dict[str, str]]:
    """Return (ticks, lots) pairs as book streams print them."""
    price_decimals, size_decimals = market.price_decimals, market.size_decimals
    return [
        {
            "price": int_to_fixed(price, price_decimals),
            "size": int_to_fixed(base, size_decimals),
        }
        for price, base in levels
    ]


def order_book_facts(state: MarketState) -> dict[str, Any]:
    """Return what every list of markets says of one."""
    market = state.market
    return {
        "symbol": market.symbol,
        "market_id": market.market_id,
        "market_type": market.market_type,
        "base_asset_id": market.base_asset_id,
        "quote_asset_id": market.quote_asset_id,
        "status": "active" if market.active else "inactive",
        "taker_fee": "0.0000",
        "is_taker_fee_enabled": True,
        "maker_fee": "0.0000",
        "is_maker_fee_enabled": True,
        "liquidation_fee": "0.0000" if market.is_spot else "1.0000",
        "min_base_amount": size_text(market.min_base_amount, market),
        "min_quote_amount": usdc_text(market.min_quote_amount),
        "order_quote_limit": usdc_text(market.order_quote_limit),
        "supported_size_decimals": market.size_decimals,
        "supported_price_decimals": market.price_decimals,
        "supported_quote_decimals": QUOTE_DECIMALS,
        **_MARKET_EXTRAS,
    }


def render_order_book_entry(state: MarketState) -> dict[str, Any]:
    """Return one market as `orderBooks` lists it."""
    return {
        **order_book_facts(state),
        "open_interest": size_text(state.open_interest, state.market),
    }


def _number(value: int, decimals: int) -> float:
    return float(value / 10**decimals)


def day_numbers(state: MarketState) -> dict[str, Any]:
    """Return the day's statistics as JSON numbers."""
    market, day = state.market, state.day
    opened, last = day.open, state.last_trade_price
    return {
        "daily_base_token_volume": _number(day.base, market.size_decimals),
        "daily_quote_token_volume": _number(day.quote, QUOTE_DECIMALS),
        "daily_price_low": _number(day.low, market.price_decimals),
        "daily_price_high": _number(day.high, market.price_decimals),
        "daily_price_change": (last - opened) * 100 / opened if opened else 0.0,
    }


def render_details(state: MarketState) -> dict[str, Any]:
    """Return one market as `orderBookDetails` lists it."""
    market = state.market
    return {
        **order_book_facts(state),
        "size_decimals": market.size_decimals,
        "price_decimals": market.price_decimals,
        "quote_multiplier": market.quote_multiplier,
        "default_initial_margin_fraction": market.initial_margin_fraction,
        "min_initial_margin_fraction": market.min_initial_margin_fraction,
        "maintenance_margin_fraction": market.maintenance_margin_fraction,
        "closeout_margin_fraction": market.closeout_margin_fraction,
        "last_trade_price": _number(state.last_trade_price, market.price_decimals),
        "daily_trades_count": state.day.count,
        **day_numbers(state),
        "open_interest": _number(state.open_interest, market.size_decimals),
        "daily_chart": {},
        "market_config": dict(_MARKET_CONFIG),
        "strategy_index": 0,
        "funding_clamp_small": "0.0500",
        "funding_clamp_big": "4.0000",
        "base_interest_rate": "0.0100",
        "mark_price": price_text(state.mark_price, market),
        "index_price": price_text(state.index_price, market),
        "market_flags": 0,
        "funding_premium_multiplier": 1,
    }


def render_exchange_row(state: MarketState) -> dict[str, Any]:
    """Return one market as `exchangeStats` lists it."""
    day = day_numbers(state)
    return {
        "symbol": state.market.symbol,
        "last_trade_price": _number(
            state.last_trade_price, state.market.price_decimals
        ),
        "daily_trades_count": state.day.count,
        "daily_base_token_volume": day["daily_base_token_volume"],
        "daily_quote_token_volume": day["daily_quote_token_volume"],
        "daily_price_change": day["daily_price_change"],
    }


def render_market_stats(state: MarketState, now_us: int) -> dict[str, Any]:
    """Return one market as the `market_stats` stream prints it."""
    market = state.market
    bid, ask = state.engine.best_bid, state.engine.best_ask
    known = [price for price in (bid, ask) if price is not None]
    middle = sum(known) / len(known) if known else state.last_trade_price
    hour_us = 3_600_000_000
    mark = state.mark_price
    interest = state.open_interest * mark * market.quote_multiplier
    limit = state.open_interest_limit
    return {
        "symbol": market.symbol,
        "market_id": market.market_id,
        "index_price": price_text(state.index_price, market),
        "mark_price": price_text(mark, market),
        "mid_price": price_text(int(middle), market),
        "open_interest": usdc_text(interest),
        "open_interest_limit": usdc_text(limit) if limit else _UNLIMITED,
        "funding_clamp_small": "0.0500",
        "funding_clamp_big": "4.0000",
        "base_interest_rate": "0.0100",
        "last_trade_price": price_text(state.last_trade_price, market),
        "current_funding_rate": percent_text(state.funding.current_rate),
        "funding_rate": percent_text(state.funding.rate),
        "funding_timestamp": now_us // hour_us * hour_us // 1_000,
        **day_numbers(state),
    }


def render_api_key(account: Account, key: ApiKey) -> dict[str, Any]:
    """Return one key slot as `apikeys` lists it."""
    return {
        "account_index": account.index,
        "api_key_index": key.api_key_index,
        "nonce": key.nonce,
        "public_key": key.public_key,
        "transaction_time": key.transaction_time_us,
    }


def render_limits(account: Account) -> dict[str, Any]:
    """Return the body of `accountLimits`."""
    tier = account.tier
    return {
        "code": 200,
        "max_llp_percentage": 25,
        "max_llp_amount": "0",
        "user_tier": tier.name,
        "user_tier_name": tier.name,
        "user_tier_last_update": account.profile.tier_changed_us // 1_000,
        "can_create_public_pool": False,
        "current_maker_fee_tick": tier.maker_fee_tick,
        "current_taker_fee_tick": tier.taker_fee_tick,
        "effective_lit_stakes": str(stake_of(tier)),
        "leased_lit": "0",
        "bo_user_tier_name": tier.name,
        "bo_fee_rate": 0,
    }
