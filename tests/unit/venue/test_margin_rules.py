"""Requirements, liquidation prices and available balances, to the last digit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wrappy._core.ledger import AccountLedger, LedgerPosition
from wrappy.model import Market
from wrappy.protocol.tiers import TIERS
from wrappy.venue.accounts import Account
from wrappy.venue.margin import health_of, liquidation_price, zero_price
from wrappy.venue.market_state import MarketState
from wrappy.venue.statements import Statement

ETH = Market("ETH", 0, 2, 4, 50, 10_000_000)
PEPE = Market("1000PEPE", 4, 6, 0, 3_000, 10_000_000)


def account(collateral, positions, allocated=None):
    ledger = AccountLedger(collateral, allocated=dict(allocated or {}))
    for index, (size, cost) in positions.items():
        ledger.positions[index] = LedgerPosition(size, cost)
    one = Account(7, "0x0", TIERS["standard"], {}, ledger)
    one.initial_margin_fractions = {0: 500, 4: 500}
    return one


def markets(eth=300_000, pepe=10_000):
    return {
        0: MarketState(ETH, mark_price=eth),
        4: MarketState(PEPE, mark_price=pepe),
    }


def test_a_recorded_account_is_reckoned_to_the_printed_digits():
    value, profit = 54_306_566_340, 6_197_829_558
    owner = account(9_100_242_706, {0: (180_193, value - profit)})
    statement = Statement(owner, markets(eth=301_380))
    row = statement.position(0)
    assert row["position"] == "18.0193"
    assert row["position_value"] == "54306.566340"
    assert row["unrealized_pnl"] == "6197.829558"
    assert row["initial_margin_fraction"] == "5.00"
    # As the exchange itself answered it.
    assert row["liquidation_price"] == "2191.1107231380406"
    assert statement.summary()["available_balance"] == "12582.743947"


def test_requirements_follow_the_fractions_and_are_not_rounded():
    owner = account(1_000_000, {0: (-3, 900_001)})
    health = health_of(owner, markets(eth=299_999), None)
    value = 3 * 299_999
    assert health.equity == 1_000_000 - value + 900_001
    assert health.initial == value * 500
    assert health.maintenance == value * 120
    assert health.close_out == value * 80
    assert not health.is_partial


def test_an_isolated_market_answers_for_itself_and_the_rest_without_it():
    owner = account(
        5_000_000, {0: (100, 30_000_000), 4: (10, 100_000)}, allocated={0: 2_000_000}
    )
    states = markets(eth=290_000)
    isolated, cross = health_of(owner, states, 0), health_of(owner, states, None)
    assert (isolated.collateral, isolated.equity) == (2_000_000, 1_000_000)
    assert (cross.collateral, cross.equity) == (3_000_000, 3_000_000)
    assert cross.maintenance == 100_000 * 120
    assert isolated.maintenance == 29_000_000 * 120


def test_a_flat_part_requires_nothing_and_fails_only_below_zero():
    owner = account(0, {0: (0, 0)}, allocated={0: 0})
    health = health_of(owner, markets(), 0)
    assert (health.maintenance, health.is_partial, health.is_full) == (0, False, False)
    owner.ledger.collateral = -1
    assert health_of(owner, markets(), None).is_full


def test_a_very_small_price_is_printed_without_an_exponent():
    owner = account(9_999_000, {4: (1_000, 10_000_000)})
    printed = liquidation_price(owner, markets(), 4)
    assert "e" not in printed
    assert Decimal(0) < Decimal(printed) < Decimal("0.0001")


@pytest.mark.parametrize(
    ("size", "equity", "price"),
    [(10_000, 0, 300_000), (-10_000, 0, 300_000), (10_000, 30_000_000, 297_000)],
)
def test_closing_a_lone_position_at_its_zero_price_leaves_nothing(size, equity, price):
    cost = abs(size) * 300_000
    owner = account(equity, {0: (size, cost)})
    health = health_of(owner, markets(), None)
    assert zero_price(ETH, 300_000, size, health) == price


def test_a_zero_price_is_one_tick_at_least():
    deep = account(-10_000_000_000, {0: (-10_000, 3_000_000_000)})
    assert zero_price(ETH, 300_000, -10_000, health_of(deep, markets(), None)) == 1


sizes = st.integers(-500_000, 500_000).filter(bool)


@given(
    size=sizes,
    other=st.integers(-5_000_000, 5_000_000),
    collateral=st.integers(0, 10**11),
    eth=st.integers(10_000, 900_000),
)
def test_closing_at_the_zero_price_never_makes_an_account_less_healthy(
    size, other, collateral, eth
):
    owner = account(collateral, {0: (size, abs(size) * 300_000), 4: (other, 0)})
    states = markets(eth=eth)
    before = health_of(owner, states, None)
    assume(before.is_partial)
    price = zero_price(ETH, eth, size, before)
    assume(price > 1)
    base = -(-abs(size) // 2)
    owner.ledger.apply_fill(0, is_ask=size > 0, base=base, quote=base * price)
    after = health_of(owner, states, None)
    # equity / requirement does not fall, without dividing by a zero.
    assert after.equity * before.maintenance >= before.equity * after.maintenance


@given(size=sizes, collateral=st.integers(0, 10**10))
def test_at_its_liquidation_price_an_account_is_at_maintenance(size, collateral):
    owner = account(collateral, {0: (size, abs(size) * 300_000)})
    printed = Decimal(liquidation_price(owner, markets(), 0))
    assume(printed >= 1)
    ticks = int(printed * 100)
    assume(ticks < 10**8)
    away = 2 if size > 0 else -2
    assert not health_of(owner, markets(eth=ticks + away), None).is_partial
    assert health_of(owner, markets(eth=ticks - away), None).is_partial
