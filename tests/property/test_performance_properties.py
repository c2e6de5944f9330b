"""Whatever the equity and the fills: the figures keep to what they mean."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy.model import Side
from wrappy.runner.performance import (
    EquityCurve,
    Fill,
    PerformanceRecorder,
    Results,
    RoundTripBook,
)
from wrappy.runner.performance.equity import CURVE_POINTS, DAY_MS
from wrappy.runner.performance.ratios import daily_returns, sharpe, sortino

STEPS = st.lists(
    st.tuples(st.integers(0, 3 * DAY_MS), st.integers(0, 10**12)), max_size=60
)
SIDES = st.sampled_from(Side)
FILLS = st.lists(
    st.tuples(SIDES, st.integers(1, 50), st.integers(0, 9_999), st.integers(-50, 50)),
    max_size=40,
)
RETURNS = st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=60)


def curve_of(steps, *, start=10**9, scale=1):
    curve = EquityCurve(12_345, start * scale)
    now_ms = 12_345
    for elapsed_ms, equity in steps:
        now_ms += elapsed_ms
        curve.sample(now_ms, equity * scale)
    return curve


def booked(fills, method):
    """Return a book after the fills, with funding between them, made flat at last."""
    book = RoundTripBook(method=method)
    for number, (side, size, price, fee) in enumerate(fills):
        book.fill(
            Fill(
                at_ms=number,
                market_id=0,
                side=side,
                size=size,
                quote=price * size,
                fee=fee,
            )
        )
        book.funding(0, fee * 3)
    position = book.position(0)
    if position:
        side = Side.SELL if position > 0 else Side.BUY
        size = abs(position)
        book.fill(
            Fill(at_ms=99, market_id=0, side=side, size=size, quote=size * 77, fee=5)
        )
    return book


@given(STEPS)
def test_a_drawdown_lies_between_nothing_and_everything(steps):
    curve = curve_of(steps)
    found = curve.drawdown()
    assert -1 <= found.deepest <= 0
    peak, deepest = 10**9, 0.0
    for _, equity in steps:
        peak = max(peak, equity)
        deepest = min(deepest, equity / peak - 1)
    assert found.deepest == pytest.approx(deepest, abs=1e-12)
    assert 0 <= found.duration_s <= found.longest_s or found.recovered_ms is not None
    assert found.duration_s <= (curve.end_ms - curve.start_ms) / 1_000
    share = found.time_under_water
    assert share is None or 0 <= share <= 1


@given(STEPS, st.integers(2, 1_000))
def test_a_bigger_account_has_the_same_ratios(steps, scale):
    small, large = curve_of(steps), curve_of(steps, scale=scale)
    small_daily, large_daily = (
        daily_returns([equity for _, equity in one.daily()]) for one in (small, large)
    )
    assert small_daily == pytest.approx(large_daily, rel=1e-12)
    before, after = small.drawdown(), large.drawdown()
    assert before.deepest == pytest.approx(after.deepest, rel=1e-12)
    assert before.time_under_water == after.time_under_water
    assert large.mean_equity() == pytest.approx(small.mean_equity() * scale)


@given(STEPS)
def test_every_day_is_there_once_with_its_last_value(steps):
    curve = curve_of(steps)
    times, values = zip(*curve.daily(), strict=True)
    midnights = range(DAY_MS, curve.end_ms + 1, DAY_MS)
    assert list(times) == [12_345, *midnights]
    at_ms, seen = 12_345, [(12_345, 10**9)]
    for elapsed_ms, equity in steps:
        at_ms += elapsed_ms
        seen.append((at_ms, equity))
    for midnight, value in zip(midnights, values[1:], strict=True):
        assert value == [equity for at, equity in seen if at <= midnight][-1]
    assert len(curve.points()) <= 2 * CURVE_POINTS


@given(RETURNS, st.floats(0.01, 100))
def test_ratios_do_not_depend_on_the_size_of_the_bets(returns, factor):
    for ratio in (sharpe, sortino):
        found, scaled = ratio(returns), ratio([value * factor for value in returns])
        if found is not None and scaled is not None:
            assert math.isclose(found, scaled, rel_tol=1e-6, abs_tol=1e-6)


@given(RETURNS, st.randoms(use_true_random=False))
def test_ratios_do_not_depend_on_the_order_of_the_days(returns, chance):
    mixed = list(returns)
    chance.shuffle(mixed)
    assert sharpe(mixed) == sharpe(returns)
    assert sortino(mixed) == sortino(returns)


@given(FILLS)
def test_lot_by_lot_and_flat_to_flat_add_up_to_the_same_money(fills):
    flat, lots = booked(fills, "flat"), booked(fills, "fifo")
    assert flat.position(0) == lots.position(0) == 0
    assert flat.open_count == lots.open_count == 0
    for figure in ("pnl", "fees"):
        sums = [
            sum(getattr(trip, figure) for trip in book.closed) for book in (flat, lots)
        ]
        assert sums[0] == sums[1]
    assert len(lots.closed) >= len(flat.closed)


@given(FILLS)
def test_closed_trades_add_up_to_what_was_paid_and_received(fills):
    book = RoundTripBook()
    cash = position = 0
    for number, (side, size, price, fee) in enumerate(fills):
        signed = size if side is Side.BUY else -size
        book.fill(
            Fill(
                at_ms=number,
                market_id=0,
                side=side,
                size=size,
                quote=price * size,
                fee=fee,
            )
        )
        cash -= signed * price + fee
        position += signed
        assert book.position(0) == position
        if position == 0:
            assert sum(trip.pnl for trip in book.closed) == cash


@given(st.integers(1, 10**12), st.integers(0, 90 * DAY_MS))
def test_doing_nothing_has_no_ratio_and_loses_nothing(capital, elapsed_ms):
    results = PerformanceRecorder(start_ms=5, capital=capital).finish(5 + elapsed_ms)
    assert results.start_capital == results.end_capital
    assert results.returns.total == results.drawdown.deepest == 0
    assert results.returns.sharpe is results.returns.sortino is None
    assert results.trades.win_rate is results.trades.profit_factor is None
    assert Results.from_json(results.to_json()) == results
