"""Limits as settings tell them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wrappy import ConfigError
from wrappy.runner.risk import RiskLimits
from wrappy.venue.bundled import market_named


def test_every_limit_can_be_told_in_a_settings_file():
    limits = RiskLimits.from_settings(
        {
            "max_position": {"ETH": 1.5, "BTC": "0.02"},
            "max_position_notional": 10_000,
            "price_band": 0.05,
            "max_drawdown": "0.1",
            "max_open_orders": 20,
            "max_unknown_orders": 0,
            "cancel_on_halt": False,
        }
    )
    assert limits.max_position == {"ETH": Decimal("1.5"), "BTC": Decimal("0.02")}
    rules = limits.rules()
    assert rules.market_value == 10_000_000_000
    assert rules.band == 50_000
    assert rules.drawdown == 100_000
    assert rules.open_orders == 20
    assert rules.unknown_orders == 0
    assert rules.total_value is None
    assert limits.most_lots(market_named("ETH")) == 15_000
    assert limits.most_lots(market_named("SOL")) is None
    assert RiskLimits.from_settings({}) == RiskLimits()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"max_postion": 1}, "risk.max_postion: is no limit"),
        ({"max_position": 1}, "risk.max_position: 1 is no table"),
        ({"max_position": {"ETH": -1}}, "risk.max_position.ETH: -1 is no number"),
        ({"max_daily_loss": 0}, "risk.max_daily_loss: 0 is no number above 0"),
        ({"max_daily_loss": "much"}, "risk.max_daily_loss: 'much' is no number"),
        ({"max_daily_loss": float("nan")}, "risk.max_daily_loss: nan is no number"),
        ({"max_daily_loss": True}, "risk.max_daily_loss: True is no number"),
        ({"max_drawdown": 5}, "risk.max_drawdown: 5 is no number"),
        ({"max_data_age_s": None}, "risk.max_data_age_s: None is no number"),
        ({"max_open_orders": 0}, "risk.max_open_orders: 0 is not a whole number"),
        ({"max_open_orders": 1.5}, "risk.max_open_orders: 1.5 is not a whole"),
        ({"max_unknown_orders": -1}, "risk.max_unknown_orders: -1 is not a whole"),
        ({"cancel_on_halt": 1}, "risk.cancel_on_halt: 1 is neither true nor false"),
    ],
)
def test_what_cannot_be_is_named_in_one_line(table, words):
    with pytest.raises(ConfigError) as caught:
        RiskLimits.from_settings(table)
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_a_limit_between_two_units_is_never_more_than_was_written():
    limits = RiskLimits(max_position={"ETH": "0.00019"}, max_order_notional="0.0000019")
    assert limits.most_lots(market_named("ETH")) == 1
    assert limits.rules().order_value == 1
