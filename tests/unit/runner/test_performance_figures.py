"""Figures worked out by hand, and what has no figure."""

from __future__ import annotations

import math
from dataclasses import fields
from decimal import Decimal
from statistics import NormalDist

import pytest

from wrappy.errors import ConfigError, UsageError
from wrappy.model import Market, Side
from wrappy.runner.performance import (
    FORMULAS,
    About,
    BuyAndHold,
    DrawdownMeter,
    EquityCurve,
    Fill,
    PerformanceRecorder,
    Results,
    RoundTripBook,
    fill_at,
    no_trade,
    summary_text,
    trial_figures,
)
from wrappy.runner.performance.equity import CURVE_POINTS, DAY_MS
from wrappy.runner.performance.ratios import (
    cagr,
    daily_returns,
    deviation,
    mean,
    return_figures,
    sharpe,
    sharpe_se,
    sortino,
    standard_moment,
)
from wrappy.runner.performance.summary import span
from wrappy.runner.performance.trials import expected_best_sharpe

USDC = 10**6
MIDNIGHT = 1_727_740_800_000  # 2024-10-01
HOUR = 3_600_000
ETH = Market("ETH", 0, 2, 4)
RETURNS = [0.01, -0.02, 0.03, 0.0]


def near(value):
    return pytest.approx(value, rel=1e-12)


def fill(side, size, quote, **more):
    return Fill(
        at_ms=more.pop("at_ms", 0),
        market_id=more.pop("market_id", 0),
        side=side,
        size=size,
        quote=quote,
        **more,
    )


def buy(size, quote, **more):
    return fill(Side.BUY, size, quote, **more)


def sell(size, quote, **more):
    return fill(Side.SELL, size, quote, **more)


def test_ratios_of_four_days_are_those_worked_out_by_hand():
    # mean 0.005; squared distances 25, 625, 625, 25 in 1e-6; over 3: 1300e-6 / 3.
    spread = math.sqrt(0.0013 / 3)
    assert mean(RETURNS) == near(0.005)
    assert deviation(RETURNS) == near(spread)
    assert sharpe(RETURNS) == near(0.005 / spread * math.sqrt(365))
    daily = 0.005 / spread
    assert sharpe_se(RETURNS) == near(math.sqrt((1 + daily**2 / 2) / 4 * 365))
    # One losing day of four: sqrt(0.0004 / 4) = 0.01.
    assert sortino(RETURNS) == near(0.5 * math.sqrt(365))
    assert standard_moment([1.0, 2.0, 3.0], 3) == near(0)
    # Distances -1, 0, 1: fourth powers over n 2/3, square of the variance 4/9.
    assert standard_moment([1.0, 2.0, 3.0], 4) == near(1.5)


@pytest.mark.parametrize("returns", [[], [0.1], [0.1, 0.1, 0.1], [0.0, 0.0]])
def test_what_cannot_be_divided_by_has_no_ratio(returns):
    assert sharpe(returns) is None
    assert sharpe_se(returns) is None
    assert sortino(returns) is None
    assert standard_moment(returns, 3) is None


def test_numbers_too_small_to_square_have_no_moments():
    assert standard_moment([0.0, 5e-324], 4) is None


def test_the_same_returns_have_other_ratios_under_other_definitions():
    compounded = math.prod(1 + value for value in RETURNS) ** (365 / len(RETURNS)) - 1
    by_365 = sharpe(RETURNS)
    by_252 = sharpe(RETURNS, periods=252)
    of_growth = compounded / (deviation(RETURNS) * math.sqrt(365))
    by_minute = sharpe(
        [value / 1_440 for value in RETURNS for _ in range(1_440)], periods=525_600
    )
    found = [by_365, by_252, of_growth, by_minute]
    assert len({round(value, 2) for value in found}) == 4
    assert by_365 == near(by_252 * math.sqrt(365 / 252))


def test_growth_by_the_year():
    assert cagr(100, 121, 2 * 365.25) == near(0.1)
    assert cagr(100, 0, 10) == -1
    assert cagr(100, 101, 2) == near(1.01**182.625 - 1)
    assert cagr(100, 200, 0) is None
    assert cagr(100, -1, 10) is None
    assert cagr(1, 10**6, 2) is None


def test_an_hour_is_not_put_on_a_year():
    run = recorder()
    run.sample(MIDNIGHT + HOUR // 2, 999 * USDC, 0)
    run.sample(MIDNIGHT + HOUR, 1_001 * USDC, 0)
    results = run.finish(MIDNIGHT + HOUR)
    assert results.drawdown.deepest < 0
    assert (results.returns.cagr, results.returns.calmar) == (None, None)
    text = summary_text(results)
    assert "CAGR:               - " in text
    assert "  shorter than 2 days: no growth by the year (CAGR, Calmar)\n" in text


def test_returns_end_where_money_does():
    assert daily_returns([100, 110, 99]) == [near(0.1), near(-0.1)]
    assert daily_returns([100, 0]) == [-1]
    assert daily_returns([100, 0, 50]) == []


def test_calmar_needs_a_drawdown_and_a_growth():
    options = {"start": 100, "end": 121, "days": 730.5}
    found = return_figures([100, 121], deepest_drawdown=-0.05, **options)
    assert found.calmar == near(2)
    assert return_figures([100, 121], deepest_drawdown=0.0, **options).calmar is None
    lost = return_figures([100], start=100, end=-1, days=1, deepest_drawdown=-1.01)
    assert (lost.cagr, lost.calmar, lost.volatility) == (None, None, None)


def test_a_day_has_the_last_value_until_midnight_and_quiet_days_are_kept():
    curve = EquityCurve(MIDNIGHT + 17 * HOUR, 100)
    curve.sample(MIDNIGHT + 20 * HOUR, 105)
    curve.sample(MIDNIGHT + DAY_MS, 110)  # at midnight: the day that ends
    curve.sample(MIDNIGHT + DAY_MS, 111)
    assert curve.daily()[-1] == (MIDNIGHT + DAY_MS, 111)
    curve.sample(MIDNIGHT + 4 * DAY_MS + HOUR, 120)
    assert [equity for _, equity in curve.daily()] == [100, 111, 111, 111, 111]
    assert curve.daily()[0][0] == MIDNIGHT + 17 * HOUR
    assert curve.daily()[-1][0] == MIDNIGHT + 4 * DAY_MS
    assert (curve.equity, curve.lowest, curve.days) == (120, 100, near(80 / 24))


def test_the_mean_is_over_time():
    curve = EquityCurve(0, 100)
    assert curve.mean_equity() == 100
    curve.sample(1_000, 200)
    curve.sample(4_000, 7)
    assert curve.mean_equity() == near((100 + 3 * 200) / 4)


def test_time_does_not_run_backwards_and_capital_is_there():
    curve = EquityCurve(1_000, 100)
    with pytest.raises(UsageError, match="now_ms: 999 lies before"):
        curve.sample(999, 100)
    with pytest.raises(ConfigError, match="equity: 0 is no start capital"):
        EquityCurve(0, 0)


def test_the_drawn_curve_stays_small_and_loses_no_extreme():
    curve = EquityCurve(0, 500_000)
    values = {}
    for step in range(1, 20_000):
        values[step] = 500_000 + (step * 7_919) % 1_000 - 500
        curve.sample(step * 1_500, values[step])
    points = curve.points()
    assert CURVE_POINTS < len(points) <= 2 * CURVE_POINTS
    assert (points[0].equity, points[-1].equity) == (500_000, values[19_999])
    assert min(point.low for point in points) == min(values.values())
    assert max(point.high for point in points) == max(values.values())
    times = [point.at_ms for point in points]
    assert times == sorted(times)
    assert all(point.equity == values[point.at_ms // 1_500] for point in points[1:])


def test_a_drawdown_is_measured_at_every_event():
    curve = EquityCurve(0, 100)
    for at_ms, equity in ((1, 200), (2, 150), (3, 180), (5, 200), (6, 190), (9, 210)):
        curve.sample(at_ms * 1_000, equity)
    curve.sample(10_000, 205)
    curve.sample(20_000, 205)
    found = curve.drawdown()
    assert found.deepest == near(-0.25)
    assert (found.began_ms, found.bottom_ms, found.recovered_ms) == (2_000,) * 2 + (
        5_000,
    )
    assert found.duration_s == 3
    assert found.longest_s == 10  # the last, still open
    assert found.time_under_water == near((3 + 3 + 10) / 20)


def test_a_deepest_drawdown_that_is_open_lasts_until_the_end():
    meter = DrawdownMeter(0, 100)
    assert meter.figures(0).time_under_water is None
    meter.see(0, 90)
    assert meter.is_under_water
    assert meter.peak == 100
    found = meter.figures(4_000)
    assert (found.deepest, found.recovered_ms, found.duration_s) == (
        near(-0.1),
        None,
        4,
    )


def test_no_drawdown_is_zero_without_a_time():
    found = EquityCurve(0, 100).drawdown()
    assert (found.deepest, found.began_ms, found.duration_s) == (0.0, None, 0.0)


def test_a_round_trip_is_from_flat_to_flat_after_fees_and_funding():
    book = RoundTripBook()
    book.fill(buy(10, 1_000, fee=3, at_ms=1))
    book.fill(buy(10, 1_200, fee=3, at_ms=2))
    book.funding(0, -5)
    book.funding(9, 100)  # nothing is open there
    book.fill(sell(5, 700, fee=-1, liquidation_fee=2, at_ms=3))
    assert (book.position(0), book.open_count, book.closed) == (15, 1, [])
    book.fill(sell(15, 1_800, at_ms=4))
    (trip,) = book.closed
    assert (trip.side, trip.size, trip.fills) == (Side.BUY, 20, 4)
    assert (trip.opened_ms, trip.closed_ms) == (1, 4)
    assert (trip.entry_quote, trip.exit_quote) == (2_200, 2_500)
    assert trip.pnl == 300 - 7 - 5
    assert (book.position(0), book.open_count) == (0, 0)


def test_a_fill_that_turns_the_position_is_shared_out():
    book = RoundTripBook()
    book.fill(sell(10, 1_000))
    book.fill(buy(30, 2_700, fee=10))
    (trip,) = book.closed
    assert (trip.side, trip.entry_quote, trip.exit_quote, trip.fees) == (
        Side.SELL,
        1_000,
        900,
        3,
    )
    assert trip.pnl == 97
    assert book.position(0) == 20
    book.fill(sell(20, 1_800))
    assert book.closed[1].pnl == -7  # the rest of the fee


def test_lots_are_closed_oldest_first():
    book = RoundTripBook(method="fifo")
    book.fill(buy(10, 1_000, fee=10, at_ms=1))
    book.fill(buy(10, 1_200, at_ms=2))
    book.funding(0, -20)
    book.fill(sell(15, 1_950, fee=3, at_ms=3))
    first, second = book.closed
    assert (first.size, first.entry_quote, first.exit_quote) == (10, 1_000, 1_300)
    assert (first.fees, first.funding, first.fills) == (12, -10, 2)
    assert (second.size, second.opened_ms, second.entry_quote) == (5, 2, 600)
    assert (second.exit_quote, second.fees, second.funding) == (650, 1, -5)
    assert (book.open_count, book.position(0)) == (1, 5)


def test_markets_do_not_mix():
    book = RoundTripBook()
    book.fill(buy(1, 100))
    book.fill(sell(1, 100, market_id=1))
    assert (book.position(0), book.position(1), book.open_count) == (1, -1, 2)
    assert book.position(2) == 0


def test_a_method_or_fill_that_makes_no_sense_is_refused():
    with pytest.raises(ConfigError, match="method: 'lifo'"):
        RoundTripBook(method="lifo")
    with pytest.raises(ConfigError, match="size: 0 lots worth 5 is no fill"):
        buy(0, 5)


def test_a_fill_is_made_from_prices_exactly():
    made = fill_at(
        ETH,
        at_ms=5,
        side=Side.SELL,
        price=Decimal("3000.10"),
        size=Decimal("0.0003"),
        mid_at_decision=Decimal("3000.105"),
    )
    assert (made.size, made.quote, made.signed_size) == (3, 900_030, -3)
    assert (made.mid_quote_at_decision, made.mid_quote_at_arrival) == (900_032, None)
    with pytest.raises(ConfigError, match="no multiple of ETH's lot"):
        fill_at(ETH, at_ms=0, side=Side.BUY, price=Decimal(1), size=Decimal("0.00005"))


def recorder(**options):
    return PerformanceRecorder(
        **{"start_ms": MIDNIGHT, "capital": 1_000 * USDC, **options}
    )


def test_trades_are_counted_as_won_lost_or_neither():
    run = recorder()
    for profit in (30, -10, 0, 20, -15):
        run.fill(buy(1, 100 * USDC, at_ms=0))
        run.fill(sell(1, (100 + profit) * USDC, at_ms=4_000))
    run.fill(buy(1, 5))
    found = run.finish(MIDNIGHT + DAY_MS).trades
    assert (found.closed, found.still_open, found.wins, found.losses) == (5, 1, 2, 2)
    assert found.win_rate == near(0.4)
    assert found.profit_factor == near(2)
    assert found.expectancy == 5
    assert (found.average_win, found.average_loss) == (25, Decimal("-12.5"))
    assert (found.best, found.worst, found.mean_held_s) == (30, -15, 4)
    # Squared distances from 5: 625 + 225 + 25 + 225 + 400 = 1500, over 4.
    assert found.sqn == near(math.sqrt(5) * 5 / math.sqrt(375))


def test_without_losses_there_is_no_profit_factor():
    run = recorder()
    run.fill(buy(1, 3))
    run.fill(sell(1, 5))
    found = run.finish(MIDNIGHT + 1).trades
    assert (found.win_rate, found.profit_factor, found.average_loss) == (1, None, None)
    assert (found.expectancy, found.sqn) == (Decimal("0.000002"), None)


def test_a_mean_of_money_is_rounded_to_the_nearest_millionth():
    run = recorder()
    for lost in (1, 1, 3):
        run.fill(buy(1, 10))
        run.fill(sell(1, 10 - lost))
    assert run.finish(MIDNIGHT).trades.expectancy == Decimal("-0.000002")


def test_costs_and_activity_are_those_worked_out_by_hand():
    run = recorder()
    run.sample(MIDNIGHT + 6 * HOUR, 1_000 * USDC, 0)
    bought = {"mid_quote_at_decision": 99 * USDC, "mid_quote_at_arrival": 100 * USDC}
    run.fill(buy(4, 100 * USDC, fee=20, client_order_index=1, **bought))
    run.sample(MIDNIGHT + 6 * HOUR, 1_000 * USDC, 500 * USDC)
    sold = {"mid_quote_at_decision": 101 * USDC, "is_maker": True}
    run.fill(sell(2, 101 * USDC, fee=-5, client_order_index=2, **sold))
    run.fill(sell(1, 99 * USDC, client_order_index=2, liquidation_fee=7))
    run.funding(0, 11)
    run.sample(MIDNIGHT + 12 * HOUR, 1_000 * USDC, 0)
    run.order_sent()
    run.order_sent(3)
    run.order_canceled(2)
    run.order_rejected()
    run.risk_blocked()
    run.transactions_sent(6, quota_used=4)
    for order, began_h, ended_h in ((7, 1, 3), (8, 2, 4), (9, 20, None)):
        run.unknown_began(order, MIDNIGHT + began_h * HOUR)
        run.unknown_began(order, MIDNIGHT + began_h * HOUR)
        if order == 8:
            run.unknown_ended(7, MIDNIGHT + 3 * HOUR)
        if order != 7 and ended_h:
            run.unknown_ended(order, MIDNIGHT + ended_h * HOUR)
    run.unknown_ended(99, MIDNIGHT)
    results = run.finish(MIDNIGHT + 2 * DAY_MS)

    costs = results.costs
    assert costs.traded == 300
    assert (costs.turnover, costs.turnover_per_day) == (near(0.3), near(0.15))
    assert costs.fees == Decimal("0.000015")
    assert costs.liquidation_fees == Decimal("0.000007")
    assert costs.funding == Decimal("0.000011")
    assert costs.maker_share == near(101 / 300)
    assert costs.slippage_at_decision_bps == near(10_000 * 1 / 200)
    assert costs.slippage_at_arrival_bps == 0
    assert costs.slippage_unknown == 1

    activity = results.activity
    assert (activity.orders, activity.filled_orders, activity.fills) == (4, 2, 3)
    assert (activity.fill_ratio, activity.orders_per_fill) == (0.5, near(4 / 3))
    assert (activity.canceled, activity.rejected, activity.risk_blocks) == (2, 1, 1)
    assert (activity.transactions, activity.quota_used) == (6, 4)
    assert activity.unknown_orders == 3
    assert activity.unknown_s == (3 + 28) * 3_600
    assert activity.exposure == near(6 / 48)
    assert activity.mean_leverage == near(0.5 * 6 / 48)
    assert any(
        "3 time(s)" in words and "1 still" in words for words in results.warnings
    )


def test_debts_have_no_leverage_and_a_negative_value_is_refused():
    run = recorder()
    run.sample(MIDNIGHT, -5, 100)
    results = run.finish(MIDNIGHT + 1_000)
    assert (results.activity.exposure, results.activity.mean_leverage) == (1, 0)
    assert results.costs.turnover is None
    assert any("zero or below" in words for words in results.warnings)
    with pytest.raises(UsageError, match="notional: -1"):
        recorder().sample(MIDNIGHT, 5, -1)


def busy_results(**options):
    run = recorder()
    for day in range(1, 40):
        equity = (1_000 + day % 7) * USDC + day
        run.sample(MIDNIGHT + day * DAY_MS - HOUR, equity, equity // 3)
        run.fill(buy(2, 100 * USDC + day, at_ms=day, fee=day, client_order_index=day))
        run.fill(sell(2, 101 * USDC - day * 60_000, at_ms=day + 1))
    return run.finish(MIDNIGHT + 39 * DAY_MS + 1, **options)


def test_results_survive_json_without_a_loss(tmp_path):
    parameters = {"length": 20, "width": 1.5, "name": "x", "on": True, "off": None}
    about = About(
        strategy="mean reversion",
        symbols=("ETH",),
        parameters=parameters,
        models={"queue": "risk-averse"},
        data=("90 days",),
        seed=7,
    )
    baseline = no_trade(start_ms=0, end_ms=DAY_MS, capital=USDC)
    trials = trial_figures(RETURNS, [1.0, 2.0, None])
    results = busy_results(about=about, baselines=[baseline], trials=trials)
    assert Results.from_json(results.to_json()) == results
    results.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == results
    assert (tmp_path / "results.json").read_text().endswith("}\n")


@pytest.mark.parametrize("text", ["", "[]", "{}", b"\xff"])
def test_something_else_is_not_taken_for_results(text):
    with pytest.raises(ConfigError, match=r"results: .*Results\.save"):
        Results.from_json(text)


def test_another_format_is_refused():
    text = busy_results().to_json().replace('"format": 1', '"format": 2')
    with pytest.raises(ConfigError, match="format 2 is not 1"):
        Results.from_json(text)


def test_every_figure_has_a_name_a_value_and_a_formula():
    results = busy_results(trials=trial_figures(RETURNS, [1.0, 2.0]))
    figures = results.figures()
    assert set(figures) == set(FORMULAS)
    assert results.figure("returns.sharpe") == results.returns.sharpe
    assert results.net_profit == results.end_capital - results.start_capital
    with pytest.raises(ConfigError, match="figure: 'sharpe' is unknown"):
        results.figure("sharpe")
    for group in ("returns", "drawdown", "trades", "costs", "activity"):
        named = {f"{group}.{one.name}" for one in fields(getattr(results, group))}
        assert named <= set(figures)


def test_warnings_say_what_the_figures_do_not():
    short = recorder()
    short.fill(buy(1, 1))
    found = short.finish(MIDNIGHT + DAY_MS + HOUR).warnings
    assert [words.split(":")[0] for words in found] == [
        "1 daily return(s)",
        "0 closed trade(s)",
        "shorter than 2 days",
        "the last 1.0 h after 00",
        "1 open trade(s) at the end",
    ]
    run = recorder()
    for day in range(1, 31):
        run.fill(buy(1, 1))
        run.fill(sell(1, 2))
        run.sample(MIDNIGHT + day * DAY_MS, 1_000 * USDC + day, 0)
    results = run.finish(MIDNIGHT + 30 * DAY_MS)
    assert results.warnings == ()
    assert "Mind:" not in summary_text(results)


def test_a_run_is_finished_once():
    run = recorder()
    with pytest.raises(UsageError, match="lies before the last sample"):
        run.finish(MIDNIGHT - 1)
    run.finish(MIDNIGHT)
    with pytest.raises(UsageError, match="the run is finished"):
        run.finish(MIDNIGHT)


def test_the_summary_has_the_operators_lines_in_their_order():
    baseline = no_trade(start_ms=0, end_ms=DAY_MS, capital=USDC)
    text = summary_text(
        busy_results(about=About(strategy="MeanReversion"), baselines=[baseline])
    )
    lines = text.splitlines()
    labels = [line.split(":")[0] for line in lines if ":" in line]
    assert labels[:10] == [
        "Strategy",
        "Period",
        "Initial capital",
        "Final capital",
        "Return",
        "Sharpe ratio",
        "Max drawdown",
        "Winning trades",
        "Losing trades",
        "Win rate",
    ]
    assert lines[1] == "Backtest summary"
    assert "Period:             2024-10-01 to 2024-11-09" in lines
    assert "Initial capital:    1000.00" in lines
    assert "mean(r) / std(r, n-1) * sqrt(365)" in text
    assert "no trade: return 0.00%, Sharpe -, max drawdown 0.00%" in text


def test_the_summary_can_do_without_formulas_and_names_trials():
    results = busy_results(
        about=About(world="paper"), trials=trial_figures(RETURNS, [1.0, 2.0])
    )
    text = summary_text(results, formulas=False)
    assert "std(r" not in text
    assert text.splitlines()[1] == "Summary"
    assert "Trials:             2\n" in text
    assert "Deflated Sharpe:    " in text


def test_a_run_without_anything_has_a_summary_too():
    text = summary_text(recorder().finish(MIDNIGHT))
    assert "Sharpe ratio:       - " in text
    assert "Win rate:           - " in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "5.0 s"), (90, "1.5 min"), (7_200, "2.0 h"), (129_600, "1.5 d")],
)
def test_a_length_of_time_is_told_in_its_unit(seconds, words):
    assert span(seconds) == words


def test_the_best_of_many_is_expected_to_look_good():
    normal = NormalDist()
    euler = 0.5772156649015329
    expected = (1 - euler) * normal.inv_cdf(0.9) + euler * normal.inv_cdf(
        1 - 1 / (10 * math.e)
    )
    assert expected_best_sharpe(10, 0.5) == near(expected * 0.5)
    assert expected_best_sharpe(1, 0.5) == 0


def test_a_published_example_of_the_deflated_ratio_comes_out():
    # Bailey and López de Prado (2014): 100 trials with a variance of 1/2 by the year
    # of 250 days, the best 2.5 over 1250 days with skewness -3 and kurtosis 10, has
    # SR0 0.1132 by the day and 0.9004.
    lucky = expected_best_sharpe(100, math.sqrt(0.5 / 250))
    assert lucky == pytest.approx(0.1132, abs=5e-5)
    daily = 2.5 / math.sqrt(250)
    shape = 1 + 3 * daily + (10 - 1) / 4 * daily**2
    score = (daily - lucky) * math.sqrt(1_249) / math.sqrt(shape)
    assert NormalDist().cdf(score) == pytest.approx(0.9004, abs=5e-4)


def test_more_trials_deflate_more():
    returns = [0.01, -0.005, 0.012, 0.003, -0.002] * 30
    alone = trial_figures(returns, [sharpe(returns)])
    some = trial_figures(returns, [sharpe(returns), 1.0, -1.0])
    many = trial_figures(returns, [sharpe(returns), 1.0, -1.0] * 100)
    assert (alone.trials, some.trials, many.trials) == (1, 3, 300)
    assert alone.expected_best == 0
    assert 1 >= alone.deflated_sharpe > some.deflated_sharpe > many.deflated_sharpe >= 0


def test_what_cannot_be_deflated_is_none():
    assert trial_figures([0.1, 0.1], [1.0, 2.0]).deflated_sharpe is None
    nothing = trial_figures(RETURNS, [None, None])
    assert (nothing.trials, nothing.expected_best, nothing.deflated_sharpe) == (
        2,
        None,
        None,
    )
    # Three equal gains and one small loss: the formula's root has nothing in it.
    odd = trial_figures([0.0] + [1.0] * 400, [1.0])
    assert odd.deflated_sharpe is None or 0 <= odd.deflated_sharpe <= 1


def test_buying_once_pays_both_fees_and_funding():
    hold = BuyAndHold(ETH, start_ms=0, capital=1_000 * USDC, taker_fee=1_000)
    assert hold.lots == 0
    hold.price(0, Decimal(100))
    # 1000 / (100 * 1.001) = 9.99000999 ETH, in lots of 0.0001.
    assert hold.lots == 99_900
    fee_in = Decimal("0.999")
    hold.price(DAY_MS, Decimal(110))
    hold.funding(DAY_MS, mark_price=Decimal(110), rate=Decimal("0.0001"))
    paid = Decimal("0.109890")
    hold.price(2 * DAY_MS, Decimal(120))
    found = hold.finish(2 * DAY_MS)
    fee_out = Decimal("1.1988")
    assert (found.name, found.fees, found.funding) == (
        "buy and hold",
        fee_in + fee_out,
        -paid,
    )
    gained = Decimal("9.99") * 20 - fee_in - fee_out - paid
    assert found.end_capital == 1_000 + gained
    assert found.returns.total == near(float(gained / 1_000))
    assert found.returns.n == 2


def test_doing_nothing_comes_to_nothing():
    found = no_trade(start_ms=0, end_ms=40 * DAY_MS, capital=USDC)
    assert (found.end_capital, found.fees, found.funding) == (1, 0, 0)
    assert (found.returns.total, found.returns.n) == (0, 40)
    assert (found.returns.sharpe, found.returns.sortino) == (None, None)
    assert (found.returns.cagr, found.drawdown.deepest) == (0, 0)


def test_a_baseline_without_prices_keeps_its_capital():
    hold = BuyAndHold(ETH, start_ms=0, capital=USDC, taker_fee=0)
    hold.funding(5, mark_price=Decimal(1), rate=Decimal(1))
    assert hold.finish(10).end_capital == 1


def test_a_baseline_refuses_what_cannot_be():
    with pytest.raises(ConfigError, match="taker_fee: -1"):
        BuyAndHold(ETH, start_ms=0, capital=1, taker_fee=-1)
    hold = BuyAndHold(ETH, start_ms=0, capital=1, taker_fee=0)
    with pytest.raises(ConfigError, match="price: 0 is not above zero, at 7"):
        hold.price(7, Decimal(0))
