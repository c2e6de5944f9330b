"""Indicators against what they are by definition, on any row of numbers."""

from __future__ import annotations

import importlib.util
import itertools
import math
import os
import pathlib
import random
from collections import deque
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy.model import Candle, Side, Trade
from wrappy.runner.indicators import (
    ATR,
    EMA,
    MACD,
    RMA,
    RSI,
    SMA,
    VWAP,
    BollingerBands,
    CandleIndicator,
    Crossover,
    Donchian,
    Highest,
    Lowest,
    RateOfChange,
    Resampler,
    StandardDeviation,
    TradeCandles,
    UTBot,
    ZScore,
)
from wrappy.runner.indicators.base import MOST

DRIFT_UPDATES = int(os.environ.get("WRAPPY_DRIFT_UPDATES", "100000"))
"""Updates of the drift test; ten million take half a minute or so."""

MINUTE = 60_000

anything = st.floats(-MOST, MOST)
prices = st.integers(1, 4_000).map(lambda quarters: quarters / 4)
rows = st.lists(st.one_of(anything, prices), max_size=30)
periods = st.integers(1, 8)


def candle(at, figures, volume=1):
    opened, high, low, close = map(Decimal, figures)
    size = Decimal(volume)
    return Candle(
        at * MINUTE, opened, high, low, close, size, size * close, at, closed=True
    )


@st.composite
def bars(draw, figure=prices, most=30):
    made = []
    for _ in range(draw(st.integers(0, most))):
        figures = sorted(draw(st.tuples(figure, figure, figure, figure)))
        middle = draw(st.permutations(figures[1:3]))
        made.append((middle[0], figures[3], figures[0], middle[1]))
    return made


@st.composite
def candles(draw):
    places = draw(st.sets(st.integers(0, 60), max_size=30))
    shapes = draw(bars(most=len(places)))
    volumes = st.integers(0, 50)
    return [
        candle(at, figures, draw(volumes))
        for at, figures in zip(sorted(places), shapes, strict=False)
    ]


makers = st.one_of(
    st.sampled_from([SMA, EMA, RMA, StandardDeviation, RateOfChange]).flatmap(
        lambda kind: periods.map(lambda period: lambda: kind(period))
    ),
    st.sampled_from([Highest, Lowest, BollingerBands, ATR, Donchian, VWAP]).flatmap(
        lambda kind: periods.map(lambda period: lambda: kind(period))
    ),
    st.integers(2, 8).map(lambda period: lambda: RSI(period)),
    st.integers(2, 8).map(lambda period: lambda: ZScore(period, sample=True)),
    st.tuples(periods, periods, periods).map(
        lambda three: lambda: MACD(three[0], three[0] + three[1], three[2])
    ),
    st.tuples(periods, st.booleans()).map(
        lambda two: lambda: UTBot(1.5, two[0], heikin_ashi=two[1])
    ),
)


@given(make=makers, row=rows, shapes=bars(), data=st.data())
def test_a_peek_is_the_update_to_come_and_leaves_no_trace(make, row, shapes, data):
    looked, alone = make(), make()
    if isinstance(looked, CandleIndicator):
        row = [candle(at, figures) for at, figures in enumerate(shapes)]
    for at, one in enumerate(row):
        other = data.draw(st.sampled_from(row[at:]))
        looked.peek(other)
        told = looked.peek(one)
        assert looked.update(one) == told == alone.update(one)
        assert looked.ready == (at + 1 >= looked.warm_up)
        twin = looked.copy()
        twin.update(row[-1] if at + 1 < len(row) else one_later(one))


def one_later(one):
    if isinstance(one, Candle):
        return candle(one.start_ms // MINUTE + 1, (one.open, one.high, one.low, 1))
    return one


@given(row=rows, period=periods)
def test_a_window_is_exact_to_the_last_bit(row, period):
    average, deviation = SMA(period), StandardDeviation(period)
    for end, x in enumerate(row, start=1):
        window = [Fraction(one) for one in row[max(0, end - period) : end]]
        mean = sum(window) / len(window)
        variance = sum((one - mean) ** 2 for one in window) / len(window)
        told = average.update(x), deviation.update(x)
        if end < period:
            assert told == (None, None)
        else:
            assert told == (float(mean), math.sqrt(float(variance)))


@given(row=st.lists(anything, min_size=1, max_size=40), period=periods)
def test_what_has_left_a_window_has_no_say_in_it(row, period):
    for kind in (SMA, StandardDeviation, BollingerBands, Highest, Lowest):
        lived, fresh = kind(period), kind(period)
        for x in row:
            lived.update(x)
        for x in row[-period:]:
            fresh.update(x)
        if len(row) >= period:
            assert lived.value == fresh.value


@given(row=rows, period=periods)
def test_the_highest_and_lowest_are_those_of_the_window(row, period):
    highest, lowest = Highest(period), Lowest(period)
    for end, x in enumerate(row, start=1):
        window = row[max(0, end - period) : end]
        expected = (max(window), min(window)) if end >= period else (None, None)
        assert (highest.update(x), lowest.update(x)) == expected


@given(row=st.lists(prices, min_size=1, max_size=60), period=periods)
def test_averages_stay_within_what_they_average(row, period):
    for average in (EMA(period), RMA(period)):
        for x in row:
            average.update(x)
        if average.ready:
            slack = 1e-12 * max(row)
            assert min(row) - slack <= average.value <= max(row) + slack


@given(
    row=st.lists(prices, max_size=60),
    period=st.integers(2, 8),
    power=st.integers(-30, 30),
)
def test_strength_scores_and_changes_do_not_depend_on_the_currency(row, period, power):
    for make in (RSI, ZScore, RateOfChange):
        one, other = make(period), make(period)
        for x in row:
            # A power of two changes no digit, so the values are the very same.
            assert one.update(x) == other.update(x * 2.0**power)


@given(row=st.lists(prices, max_size=60), period=st.integers(2, 8))
def test_strength_turned_over_is_its_complement(row, period):
    strength, turned = RSI(period, flat=50), RSI(period, flat=50)
    for x in row:
        up, down = strength.update(x), turned.update(-x)
        if up is None:
            assert down is None
        else:
            assert 0 <= up <= 100
            assert up + down == pytest.approx(100)


@given(shapes=bars(), period=periods)
def test_an_average_range_is_none_of_the_impossible(shapes, period):
    for seed in ("ta-lib", "pine"):
        average = ATR(period, seed=seed)
        for at, figures in enumerate(shapes):
            value = average.update(candle(at, figures))
            assert value is None or 0 <= value <= 1_000


@given(shapes=bars(), period=periods, volumes=st.data())
def test_a_weighed_price_is_that_of_its_window(shapes, period, volumes):
    row = [
        candle(at, figures, volumes.draw(st.integers(0, 3)))
        for at, figures in enumerate(shapes)
    ]
    price = VWAP(period)
    for end, one in enumerate(row, start=1):
        told = price.update(one)
        window = row[max(0, end - period) : end]
        traded = sum(each.base_volume for each in window)
        if end < period or not traded:
            assert told is None
            continue
        paid = sum(
            (each.high + each.low + each.close) / 3 * each.base_volume
            for each in window
        )
        assert told == pytest.approx(float(paid / traded), rel=1e-12)


@given(pairs=st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3))))
def test_crossings_up_and_down_take_turns(pairs):
    crossing, mirrored = Crossover(), Crossover()
    told = []
    for first, second in pairs:
        value = crossing.update(first, second)
        opposite = mirrored.update(second, first)
        assert (value or 0) == -(opposite or 0)
        if value:
            assert (first > second) - (first < second) == value
            told.append(value)
    # Two in a row go the same way only if a touch lies between them.
    if all(first != second for first, second in pairs):
        assert all(one == -other for one, other in itertools.pairwise(told))


def published_script():
    unit = pathlib.Path(__file__).parents[1] / "unit" / "runner"
    spec = importlib.util.spec_from_file_location(
        "ut_bot_script", unit / "test_indicators_ut_bot.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.published_script


SCRIPT = published_script()


@given(
    shapes=bars(st.integers(1, 200).map(float)),
    period=st.integers(1, 2),
    key_value=st.sampled_from([0.5, 1.0, 2.0]),
    heikin_ashi=st.booleans(),
)
def test_the_ut_bot_is_the_published_script_with_all_its_ties(
    shapes, period, key_value, heikin_ashi
):
    # So few and so round numbers are exact as floats, which makes ties real ones.
    exact = [[Fraction(one) for one in figures] for figures in shapes]
    script = SCRIPT(exact, Fraction(key_value), period, heikin_ashi)
    bot = UTBot(key_value, period, heikin_ashi=heikin_ashi)
    told = [bot.update(candle(at, figures)) for at, figures in enumerate(shapes)]
    assert told == script


@given(shapes=bars(), period=periods, key_value=st.sampled_from([0.5, 1.0, 3.0]))
def test_a_trailing_stop_never_retreats_while_the_price_keeps_its_side(
    shapes, period, key_value
):
    bot = UTBot(key_value, period)
    last_close, last = None, None
    for at, figures in enumerate(shapes):
        told, close = bot.update(candle(at, figures)), figures[3]
        if told is not None and last is not None:
            if close > last.stop and last_close > last.stop:
                assert told.stop >= last.stop
            if close < last.stop and last_close < last.stop:
                assert told.stop <= last.stop
            if told.event == "buy":
                assert close > told.stop
            if told.event == "sell":
                assert close < told.stop
        last_close, last = close, told


def test_ten_million_updates_leave_a_window_as_exact_as_the_first():
    # Storms pass through, twelve digits and more apart from what stays.
    chance = random.Random(7)
    period = 20
    window = deque(maxlen=period)
    average, deviation = SMA(period), StandardDeviation(period)
    price = 2_000.0
    for number in range(DRIFT_UPDATES):
        price = abs(price + chance.gauss(0, 1)) + 0.01
        x = price * 1e15 if number % 997 == 0 else price
        window.append(x)
        average.update(x)
        deviation.update(x)
        if number % 9_973 == 0 and number >= period:
            exact = [Fraction(one) for one in window]
            mean = sum(exact) / period
            variance = sum((one - mean) ** 2 for one in exact) / period
            assert average.value == float(mean)
            assert deviation.value == math.sqrt(float(variance))
    fresh_average, fresh_deviation = SMA(period), StandardDeviation(period)
    for x in window:
        fresh_average.update(x)
        fresh_deviation.update(x)
    assert average.value == fresh_average.value
    assert deviation.value == fresh_deviation.value


def test_a_recursion_that_ran_for_long_agrees_with_one_that_started_late():
    chance = random.Random(8)
    price = 2_000.0
    lived, late = [RMA(20), EMA(20), RSI(14)], [RMA(20), EMA(20), RSI(14)]
    for number in range(DRIFT_UPDATES):
        price = abs(price + chance.gauss(0, 1)) + 0.01
        for one in lived:
            one.update(price)
        if number >= DRIFT_UPDATES - 2_000:
            for one in late:
                one.update(price)
    for one, other in zip(lived, late, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-12)


def longer(source, target, row):
    resampler = Resampler(source, target)
    return [made for one in row for made in resampler.update(one)]


@given(row=candles())
def test_two_steps_to_a_longer_candle_are_one(row):
    at_once = longer("1m", "15m", row)
    in_steps = longer("5m", "15m", longer("1m", "5m", row))
    # The last may still wait for a candle that never comes.
    shorter = min(len(at_once), len(in_steps))
    first = next(iter(row), None)
    if first is None or first.start_ms % (5 * MINUTE) == 0:
        assert at_once[:shorter] == in_steps[:shorter]
        assert len(at_once) - shorter <= 1
        assert len(in_steps) == shorter


@given(row=candles(), cut=st.integers(0, 30))
def test_what_comes_later_changes_no_candle_that_is_out(row, cut):
    whole, part = longer("1m", "5m", row), longer("1m", "5m", row[:cut])
    assert whole[: len(part)] == part


@given(row=candles())
def test_a_longer_candle_is_made_of_its_shorter_ones(row):
    for made in longer("1m", "5m", row):
        end = made.start_ms + 5 * MINUTE
        parts = [one for one in row if made.start_ms <= one.start_ms < end]
        assert made == Candle(
            made.start_ms,
            parts[0].open,
            max(one.high for one in parts),
            min(one.low for one in parts),
            parts[-1].close,
            sum(one.base_volume for one in parts),
            sum(one.quote_volume for one in parts),
            parts[-1].last_trade_id,
            closed=True,
        )


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 90_000), st.integers(1, 99), st.integers(1, 9))
    ),
    ticks=st.booleans(),
)
def test_candles_of_trades_and_longer_ones_of_those_agree(steps, ticks):
    minutes, fives = (TradeCandles(one, complete_from_ms=0) for one in ("1m", "5m"))
    made, direct, now = [], [], 0
    for number, (pause, price, size) in enumerate(steps):
        now += pause
        if ticks:
            made.append(minutes.advance(now))
            direct.append(fives.advance(now))
        trade = Trade(number, 0, Decimal(price), Decimal(size), Side.BUY, now)
        made.append(minutes.update(trade))
        direct.append(fives.update(trade))
    made.append(minutes.advance(now + 10 * MINUTE))
    direct.append(fives.advance(now + 10 * MINUTE))
    made = [one for one in made if one is not None]
    direct = [one for one in direct if one is not None]
    assert sum(one.base_volume for one in made) == sum(size for _, _, size in steps)
    assert all(one.closed for one in made)
    resampled = longer("1m", "5m", made)
    if made and made[0].start_ms % (5 * MINUTE) == 0:
        assert resampled == direct[: len(resampled)]
        assert len(direct) - len(resampled) <= 1
