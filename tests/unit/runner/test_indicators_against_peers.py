"""Indicators say what TA-Lib and talipp say, wherever those define them."""

from __future__ import annotations

import itertools
import random
from decimal import Decimal

import pytest

from wrappy.model import Candle
from wrappy.runner.indicators import (
    ATR,
    EMA,
    MACD,
    RMA,
    RSI,
    SMA,
    VWAP,
    BollingerBands,
    Donchian,
    Highest,
    Lowest,
    RateOfChange,
    StandardDeviation,
    ZScore,
)

pytestmark = pytest.mark.slow

numpy = pytest.importorskip("numpy", reason="TA-Lib needs it")
talib = pytest.importorskip("talib", reason="TA-Lib is the oracle")
talipp = pytest.importorskip("talipp.indicators", reason="talipp is the oracle")
ohlcv = pytest.importorskip("talipp.ohlcv", reason="talipp is the oracle")

LENGTH = 1_500
PERIODS = (2, 3, 14, 50)


def walk(seed, *, start, step):
    chance = random.Random(seed)
    price, prices = start, []
    for _ in range(LENGTH):
        price = max(start / 10, price + chance.gauss(0, step))
        prices.append(round(price, 4))
    return prices


ROWS = {
    "a walk": walk(1, start=100.0, step=0.5),
    "a wild walk": walk(2, start=1_000.0, step=60.0),
    "a walk of a small price": walk(3, start=0.9, step=0.004),
    "flat": [42.5] * 200,
    "rising": [float(10 + number) for number in range(200)],
    "falling": [float(500 - number) for number in range(200)],
    "steps": [float(10 + number // 7) for number in range(200)],
    "alternating": [10.0, 11.0] * 100,
    "flat after a rise": [10.0, 11.0, 12.5] + [12.5] * 200,
}


def candles_of(prices, seed=5):
    """Return candles whose closes are the prices; every fifth has no range."""
    chance = random.Random(seed)
    made, before = [], prices[0]
    for at, close in enumerate(prices):
        room = 0.0 if at % 5 == 0 else round(abs(chance.gauss(0, close / 200)), 4)
        # The first is without range too, and some leave a gap to the one before.
        opened = close if at % 5 == 0 else before
        figures = [
            Decimal(str(one))
            for one in (
                opened,
                round(max(opened, close) + room, 4),
                round(min(opened, close) - room, 4),
                close,
                chance.randrange(1, 900) / 100,
            )
        ]
        made.append(Candle(at * 60_000, *figures, Decimal(0), at, closed=True))
        before = close
    return made


def ours(indicator, row):
    return [indicator.update(one) for one in row]


def close_to(value, scale):
    # Relative to the value; where that is all but 0, to what it is a difference of.
    return pytest.approx(float(value), rel=1e-9, abs=1e-10 * scale)


def same(told, expected, scale):
    """Compare rows of values or of tuples; NaN and None mean that there is none."""
    expected = list(expected)
    assert len(told) == len(expected)
    for at, (one, other) in enumerate(zip(told, expected, strict=True)):
        absent = other is None or other != other  # noqa: PLR0124 - that is NaN
        if absent or one is None:
            assert absent, at
            assert one is None, at
            continue
        assert one == close_to(other, scale), at


def columns(values, width):
    return [
        [None if one is None else one[column] for one in values]
        for column in range(width)
    ]


rows = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
periods = pytest.mark.parametrize("period", PERIODS)


@rows
@periods
def test_numbers_as_ta_lib_has_them(row, period):
    array, scale = numpy.array(row), max(row)
    for make, oracle in (
        (SMA, talib.SMA),
        (EMA, talib.EMA),
        (RSI, talib.RSI),
        (RateOfChange, talib.ROC),
        (Highest, talib.MAX),
        (Lowest, talib.MIN),
    ):
        same(ours(make(period), row), oracle(array, timeperiod=period), scale)


@rows
@periods
def test_spreads_as_ta_lib_has_them(row, period):
    # It subtracts a squared mean from a mean of squares and so keeps half the digits
    # where hardly anything moves; what it loses there is its own.
    scale = 1e4 * max(row)
    array = numpy.array(row)
    deviation = talib.STDDEV(array, timeperiod=period)
    same(ours(StandardDeviation(period), row), deviation, scale)
    bands = columns(ours(BollingerBands(period), row), 3)
    for band, oracle in zip(bands, talib.BBANDS(array, period)[::-1], strict=True):
        same(band, oracle, scale)


@pytest.mark.parametrize("name", ["a walk", "a wild walk", "a walk of a small price"])
@pytest.mark.parametrize("period", [14, 50])
def test_spreads_and_scores_of_walks_to_nine_digits(name, period):
    row = ROWS[name]
    array = numpy.array(row)
    deviation = talib.STDDEV(array, timeperiod=period)
    same(ours(StandardDeviation(period), row), deviation, 1e-9)
    score = (array - talib.SMA(array, timeperiod=period)) / deviation
    same(ours(ZScore(period), row), score, 1.0)


@rows
@pytest.mark.parametrize("spans", [(12, 26, 9), (3, 7, 4), (1, 2, 1)])
def test_convergence_as_both_have_it(row, spans):
    scale = max(row)
    told = columns(ours(MACD(*spans), row), 3)
    if spans[0] > 1:  # it has no average over one
        for ours_, oracle in zip(
            told, talib.MACD(numpy.array(row), *spans), strict=True
        ):
            same(ours_, oracle, scale)
    told = columns(ours(MACD(*spans, seed="talipp"), row), 3)
    values = list(talipp.MACD(*spans, input_values=row))
    # It tells the distance alone before there is a signal.
    whole = [one if one and one.signal is not None else None for one in values]
    for ours_, name in zip(told, ("macd", "signal", "histogram"), strict=True):
        oracle = [None if one is None else getattr(one, name) for one in whole]
        same(ours_, oracle, scale)


@rows
@periods
def test_numbers_as_talipp_has_them(row, period):
    scale = max(row)
    for make, oracle in (
        (SMA, talipp.SMA),
        (EMA, talipp.EMA),
        (RMA, talipp.SMMA),
        (RateOfChange, talipp.ROC),
        (StandardDeviation, talipp.StdDev),
    ):
        same(ours(make(period), row), oracle(period, input_values=row), scale)
    told = columns(ours(BollingerBands(period), row), 3)
    bands = list(talipp.BB(period, 2.0, input_values=row))
    for ours_, name in zip(told, ("lb", "cb", "ub"), strict=True):
        oracle = [None if one is None else getattr(one, name) for one in bands]
        same(ours_, oracle, scale)


@rows
@periods
def test_strength_as_talipp_has_it_which_calls_a_flat_row_strong(row, period):
    oracle = talipp.RSI(period, input_values=row)
    same(ours(RSI(period, flat=100), row), oracle, 1.0)


@rows
@periods
def test_candles_as_both_have_them(row, period):
    candles = candles_of(row)
    high, low, close = (
        numpy.array([float(getattr(one, name)) for one in candles])
        for name in ("high", "low", "close")
    )
    scale = max(row)
    same(ours(ATR(period), candles), talib.ATR(high, low, close, period), scale)
    bars = [
        ohlcv.OHLCV(
            *map(float, (one.open, one.high, one.low, one.close, one.base_volume))
        )
        for one in candles
    ]
    pine = ours(ATR(period, seed="pine"), candles)
    same(pine, talipp.ATR(period, input_values=bars), scale)
    lower, middle, upper = columns(ours(Donchian(period), candles), 3)
    same(lower, talib.MIN(low, timeperiod=period), scale)
    same(middle, talib.MIDPRICE(high, low, timeperiod=period), scale)
    same(upper, talib.MAX(high, timeperiod=period), scale)
    channel = list(talipp.DonchianChannels(period, input_values=bars))
    same(lower, [None if one is None else one.lb for one in channel], scale)
    same(upper, [None if one is None else one.ub for one in channel], scale)


@pytest.mark.parametrize("period", [1, 3, 20])
def test_weighed_prices_as_talipp_has_them_for_one_window(period):
    candles = candles_of(ROWS["a walk"])[:120]
    told = ours(VWAP(period), candles)
    for end in range(period, len(candles) + 1):
        window = [
            ohlcv.OHLCV(
                *map(float, (one.open, one.high, one.low, one.close, one.base_volume))
            )
            for one in itertools.islice(candles, end - period, end)
        ]
        oracle = list(talipp.VWAP(input_values=window))[-1]
        assert told[end - 1] == close_to(oracle, 1.0)
