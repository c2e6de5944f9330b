"""Questions about money that moved by itself: funding and liquidations.

Bodies follow the official OpenAPI file. Rates are percent of an hour, as recorded
answers have them; `funding-rates` alone prints a fraction of eight hours.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from wrappy._core.ledger import FRACTION_SCALE
from wrappy.protocol.codes import OK
from wrappy.protocol.markets import USDC_ASSET
from wrappy.venue.funding import EIGHT, RATE_SCALE
from wrappy.venue.parameters import ALL_MARKETS, asked_resolution, page, span
from wrappy.venue.queries import known_market
from wrappy.venue.render import percent_text, price_text, size_text, usdc_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wrappy.venue.accounts import Account
    from wrappy.venue.events import FundingPaid
    from wrappy.venue.floor import Floor
    from wrappy.venue.funding import FundingPayment
    from wrappy.venue.liquidation import LiquidationRecord
    from wrappy.venue.margin import Health, States
    from wrappy.venue.parameters import Parameters

_RESOLUTIONS_US: Final = {"1h": 3_600_000_000, "1d": 86_400_000_000}
_SECOND_US: Final = 1_000_000
_MOST_ROWS: Final = 100
_LAST_SECOND: Final = 100_000_000_000
"""Timestamps up to here are seconds, later ones milliseconds: clients send both."""


def render_position_funding(paid: FundingPaid, states: States) -> dict[str, Any]:
    """Return one payment as `positionFunding` and the account streams print it."""
    market = states[paid.market_index].market
    return {
        "timestamp": paid.at_us // _SECOND_US,
        "market_id": paid.market_index,
        "funding_id": paid.funding_id,
        "change": usdc_text(paid.change),
        "discount": "0.000000",
        "rate": percent_text(paid.rate),
        "position_size": size_text(abs(paid.size), market),
        "position_side": "long" if paid.size > 0 else "short",
    }


def _render_period(
    payments: Sequence[FundingPayment], at_us: int, states: States, market_index: int
) -> dict[str, Any]:
    # `value` is what one unit of the base asset paid (recorded: rate times mark).
    market = states[market_index].market
    rate = sum(payment.rate for payment in payments)
    paid = sum(payment.rate * payment.lot_value for payment in payments)
    value = abs(paid) * market.size_scale // 10**4
    return {
        "timestamp": at_us // _SECOND_US,
        "value": _fixed(value, 8),
        "rate": percent_text(abs(rate)),
        "direction": "long" if rate >= 0 else "short",
    }


def _fixed(value: int, places: int) -> str:
    digits = str(value).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}"


def _risk(health: Health, part: int | None) -> dict[str, Any]:
    def text(requirement: int) -> str:
        return usdc_text(-(-requirement // FRACTION_SCALE))

    value = usdc_text(health.equity)
    return {
        "market_id": ALL_MARKETS if part is None else part,
        "total_account_value": value,
        "initial_margin_req": text(health.initial),
        "maintenance_margin_req": text(health.maintenance),
        "close_out_margin_req": text(health.close_out),
        "total_account_liquidation_threshold": text(health.maintenance),
        "collateral": usdc_text(health.collateral),
        "usdc_collateral_with_funding": usdc_text(health.collateral),
        "usdc_portfolio_value": value,
        "total_portfolio_value": value,
    }


def _risk_info(health: Health, part: int | None) -> dict[str, Any]:
    nothing = type(health)(0, 0, 0, 0, 0)
    if part is None:
        return {
            "cross_risk_parameters": _risk(health, None),
            "isolated_risk_parameters": [],
        }
    return {
        "cross_risk_parameters": _risk(nothing, None),
        "isolated_risk_parameters": [_risk(health, part)],
    }


def render_liquidation(record: LiquidationRecord, states: States) -> dict[str, Any]:
    """Return one forced close as `liquidations` prints it."""
    event, market = record.event, states[record.event.market_index].market
    average = event.quote // (event.base * market.quote_multiplier)
    return {
        "id": event.liquidation_id,
        "market_id": event.market_index,
        "type": event.kind,
        "trade": {
            "price": price_text(average, market),
            "size": size_text(event.base, market),
            "taker_fee": usdc_text(event.fee),
            "maker_fee": usdc_text(0),
            "ask_account_id": record.trade.ask_account,
            "bid_account_id": record.trade.bid_account,
            "transaction_time": event.at_us,
        },
        "info": {
            "positions": record.positions,
            "risk_info_before": _risk_info(record.before, record.part),
            "risk_info_after": _risk_info(record.after, record.part),
            "mark_prices": {
                str(index): price / states[index].market.price_scale
                for index, price in record.mark_prices.items()
            },
            "assets": [
                {
                    "symbol": "USDC",
                    "asset_id": USDC_ASSET,
                    "balance": "0.000000",
                    "locked_balance": "0.000000",
                    "margin_mode": "enabled",
                    "margin_balance": usdc_text(record.before.collateral),
                    "multiplier": "1",
                }
            ],
            "asset_index_prices": {str(USDC_ASSET): "1.000000"},
        },
        "executed_at": event.at_us // 1_000,
    }


def _span_us(query: Parameters, *, required: bool) -> tuple[int, int]:
    first, last = (
        value * (_SECOND_US if value <= _LAST_SECOND else 1_000)
        for value in span(query, required=required)
    )
    return first, last


def _limit(query: Parameters) -> int:
    return query.integer("limit", _MOST_ROWS, low=1, high=_MOST_ROWS)


class MoneyQueries:
    """Endpoints about funding and liquidations."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def public_routes(self) -> dict[str, Callable[[Parameters], Any]]:
        """Return the answering method of each path that anybody may read."""
        v1 = "/api/v1/"
        return {v1 + "fundings": self._fundings, v1 + "funding-rates": self._rates}

    def account_routes(self) -> dict[str, Callable[[Account, Parameters], Any]]:
        """Return the answering method of each path that needs a token."""
        v1 = "/api/v1/"
        return {
            v1 + "positionFunding": self._position_funding,
            v1 + "liquidations": self._liquidations,
        }

    def _fundings(self, query: Parameters) -> Any:
        state = known_market(self._floor, query.integer("market_id"))
        resolution = asked_resolution(query, _RESOLUTIONS_US)
        low_us, high_us = _span_us(query, required=True)
        count = query.integer("count_back", low=0)
        length_us = _RESOLUTIONS_US[resolution]
        states = self._floor.exchange.markets
        rows = [
            _render_period(list(some), start_us, states, state.index)
            for start_us, some in groupby(
                state.funding.history,
                key=lambda paid: paid.at_us // length_us * length_us,
            )
            if low_us <= start_us <= high_us
        ]
        newest = rows[-count:] if count else rows
        return {"code": OK, "resolution": resolution, "fundings": newest}

    def _rates(self, _: Parameters) -> Any:
        rows = [
            {
                "market_id": state.index,
                "exchange": "lighter",
                "symbol": state.market.symbol,
                "rate": state.funding.current_rate * EIGHT / RATE_SCALE,
            }
            for state in self._floor.exchange.markets.values()
            if not state.market.is_spot
        ]
        return {"code": OK, "funding_rates": rows}

    def _asked_market(self, query: Parameters) -> int | None:
        market_id = query.market()
        if market_id is not None:
            known_market(self._floor, market_id)
        return market_id

    def _position_funding(self, account: Account, query: Parameters) -> Any:
        limit, market_id = _limit(query), self._asked_market(query)
        side = query.choice("side", "all", "long", "short", default="all")
        low_us, high_us = _span_us(query, required=False)
        states = self._floor.exchange.markets
        matching = [
            paid
            for paid in reversed(account.fundings)
            if market_id in (None, paid.market_index)
            and side in ("all", "long" if paid.size > 0 else "short")
            and low_us <= paid.at_us <= high_us
        ]
        rows, next_cursor = page(
            matching, query, limit, key=lambda paid: (paid.funding_id,)
        )
        return {
            "code": OK,
            "position_fundings": [render_position_funding(r, states) for r in rows],
            "next_cursor": next_cursor,
        }

    def _liquidations(self, account: Account, query: Parameters) -> Any:
        limit, market_id = _limit(query), self._asked_market(query)
        states = self._floor.exchange.markets
        matching = [
            record
            for record in reversed(account.liquidations)
            if market_id in (None, record.event.market_index)
        ]
        rows, next_cursor = page(
            matching, query, limit, key=lambda record: (record.event.liquidation_id,)
        )
        return {
            "code": OK,
            "liquidations": [render_liquidation(r, states) for r in rows],
            "next_cursor": next_cursor,
        }
