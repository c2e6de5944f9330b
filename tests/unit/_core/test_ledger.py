"""Balances, positions and margin."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wrappy._core.ledger import AccountLedger, margin_of
from wrappy.model import Market

ETH = Market("ETH", 0, 2, 4)
BUY, SELL = False, True


def fill(ledger, is_ask, base, price, fee=0):
    return ledger.apply_fill(0, is_ask=is_ask, base=base, quote=base * price, fee=fee)


def state(ledger):
    position = ledger.positions[0]
    return position.size, position.entry_quote, ledger.collateral


@pytest.fixture
def ledger():
    return AccountLedger(collateral=1_000_000)


def test_opening_costs_nothing_but_the_fee(ledger):
    assert fill(ledger, BUY, 10, 300, fee=7) == 0
    assert state(ledger) == (10, 3_000, 999_993)
    assert ledger.fees_paid == 7


def test_adding_to_a_position_adds_up_its_cost(ledger):
    fill(ledger, SELL, 10, 300)
    fill(ledger, SELL, 5, 330)
    assert state(ledger) == (-15, 4_650, 1_000_000)


@pytest.mark.parametrize(("open_side", "profit"), [(BUY, 80), (SELL, -80)])
def test_a_partial_close_realizes_its_share(ledger, open_side, profit):
    fill(ledger, open_side, 10, 300)
    assert fill(ledger, not open_side, 4, 320) == profit
    size, cost, collateral = state(ledger)
    assert (abs(size), cost, collateral) == (6, 1_800, 1_000_000 + profit)
    assert ledger.positions[0].realized_pnl == profit


def test_a_partial_close_takes_the_floor_of_an_uneven_cost(ledger):
    ledger.apply_fill(0, is_ask=BUY, base=3, quote=100)
    assert ledger.apply_fill(0, is_ask=SELL, base=1, quote=40) == 7
    assert ledger.positions[0].entry_quote == 67


def test_a_full_close_leaves_nothing_behind(ledger):
    ledger.apply_fill(0, is_ask=BUY, base=3, quote=100)
    ledger.apply_fill(0, is_ask=SELL, base=3, quote=91)
    assert state(ledger) == (0, 0, 999_991)
    assert ledger.average_entry(ETH) == 0


def test_a_turn_closes_first_and_opens_the_rest_at_the_fill_price(ledger):
    fill(ledger, BUY, 10, 300)
    assert fill(ledger, SELL, 15, 310) == 100
    assert state(ledger) == (-5, 1_550, 1_000_100)


def test_a_turn_with_an_uneven_quote_splits_it_without_loss(ledger):
    ledger.apply_fill(0, is_ask=SELL, base=2, quote=50)
    assert ledger.apply_fill(0, is_ask=BUY, base=3, quote=100) == 50 - 66
    assert ledger.positions[0].entry_quote == 34


def test_reducible_is_what_an_order_could_close(ledger):
    assert ledger.reducible(0, is_ask=SELL) == 0
    fill(ledger, BUY, 10, 300)
    assert ledger.reducible(0, is_ask=SELL) == 10
    assert ledger.reducible(0, is_ask=BUY) == 0


def test_equity_follows_the_mark(ledger):
    fill(ledger, BUY, 10, 300)
    assert ledger.unrealized_pnl(0, 310) == 100
    assert ledger.equity({0: 310}) == 1_000_100
    fill(ledger, SELL, 20, 300)
    assert ledger.unrealized_pnl(0, 310) == -100
    assert ledger.unrealized_pnl(5, 310) == 0
    assert ledger.position_value({0: 310}) == 3_100


def test_margin_is_rounded_up_and_leaves_the_rest_available(ledger):
    fill(ledger, SELL, 10, 333)
    assert margin_of(3_330, 501) == 167
    assert ledger.initial_margin({0: 333}, {0: 501}) == 167
    assert ledger.maintenance_margin({0: 333}, {0: 120}) == 40
    assert ledger.available({0: 333}, {0: 501}) == 1_000_000 - 167


def test_a_flat_market_needs_no_price(ledger):
    fill(ledger, BUY, 10, 300)
    fill(ledger, SELL, 10, 300)
    assert ledger.equity({}) == 1_000_000
    assert ledger.initial_margin({}, {}) == 0
    assert ledger.position_value({}) == 0


def test_average_entry_is_in_usdc(ledger):
    fill(ledger, BUY, 10, 405_000)
    assert ledger.average_entry(ETH) == Decimal(4050)
    assert AccountLedger(collateral=0).average_entry(ETH) == 0


def test_an_isolated_market_sets_margin_aside_and_frees_it_by_share():
    ledger = AccountLedger(collateral=10_000, allocated={0: 0})
    ledger.apply_fill(0, is_ask=BUY, base=10, quote=3_001, fraction=1_000)
    assert ledger.allocated == {0: 301}
    ledger.apply_fill(0, is_ask=SELL, base=3, quote=900, fraction=1_000)
    assert ledger.allocated == {0: 301 - 90}
    ledger.apply_fill(0, is_ask=SELL, base=9, quote=2_700, fraction=1_000)
    assert (ledger.size(0), ledger.allocated) == (-2, {0: 60})
    ledger.apply_fill(0, is_ask=BUY, base=2, quote=600, fraction=1_000)
    assert ledger.allocated == {0: 0}


def test_isolated_markets_neither_add_to_nor_draw_on_what_is_available():
    ledger = AccountLedger(collateral=10_000, allocated={0: 0})
    ledger.apply_fill(0, is_ask=BUY, base=10, quote=3_000, fraction=1_000)
    ledger.apply_fill(1, is_ask=BUY, base=10, quote=1_000)
    fractions = {0: 1_000, 1: 1_000}
    for lot_value in (100, 300, 900):
        assert ledger.available({0: lot_value, 1: 110}, fractions) == (
            10_000 - 300 + 100 - 110
        )
    assert ledger.isolated_equity(0, 310) == 300 + 100
    assert ledger.cross_part().positions.keys() == {1}
