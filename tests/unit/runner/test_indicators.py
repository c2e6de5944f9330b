"""Indicators: warm-up, refusals, edge cases, copies; each by a hand-made row."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import replace
from decimal import Decimal

import pytest

from wrappy.errors import ConfigError, UsageError
from wrappy.model import Candle
from wrappy.runner import indicators
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
    Indicator,
    IndicatorInputError,
    Lowest,
    NumberIndicator,
    RateOfChange,
    StandardDeviation,
    UTBot,
    ZScore,
)

NUMBERS = {
    "SMA": (lambda: SMA(3), 3),
    "EMA": (lambda: EMA(3), 3),
    "RMA": (lambda: RMA(3), 3),
    "StandardDeviation": (lambda: StandardDeviation(3), 3),
    "StandardDeviation of a sample": (lambda: StandardDeviation(3, sample=True), 3),
    "ZScore": (lambda: ZScore(3), 3),
    "ZScore of a sample": (lambda: ZScore(3, sample=True), 3),
    "BollingerBands": (lambda: BollingerBands(3), 3),
    "RSI": (lambda: RSI(3), 4),
    "MACD": (lambda: MACD(2, 4, 3), 6),
    "MACD as talipp": (lambda: MACD(2, 4, 3, seed="talipp"), 6),
    "RateOfChange": (lambda: RateOfChange(3), 4),
    "Highest": (lambda: Highest(3), 3),
    "Lowest": (lambda: Lowest(3), 3),
}
CANDLES = {
    "ATR": (lambda: ATR(3), 4),
    "ATR as Pine": (lambda: ATR(3, seed="pine"), 3),
    "Donchian": (lambda: Donchian(3), 3),
    "VWAP": (lambda: VWAP(3), 3),
    "UTBot": (lambda: UTBot(1, 3), 3),
    "UTBot of Heikin-Ashi": (lambda: UTBot(1, 3, heikin_ashi=True), 3),
}
ROW = [10.0, 12.5, 11.0, 9.25, 9.25, 14.0, 13.0, 8.5, 8.0, 15.0]


def candle(at, close, *, high=None, low=None, volume=1, closed=True):
    price = Decimal(str(close))
    top = price + 1 if high is None else Decimal(str(high))
    bottom = price - 1 if low is None else Decimal(str(low))
    size = Decimal(str(volume))
    return Candle(
        at * 60_000, price, top, bottom, price, size, price * size, at, closed
    )


def inputs_of(indicator):
    if isinstance(indicator, CandleIndicator):
        return [candle(at, x) for at, x in enumerate(ROW)]
    return list(ROW)


def all_of(indicator, row):
    return [indicator.update(one) for one in row]


every = pytest.mark.parametrize(
    ("make", "warm_up"),
    [pytest.param(*case, id=name) for name, case in {**NUMBERS, **CANDLES}.items()],
)


@every
def test_there_is_a_value_after_the_warm_up_and_not_before(make, warm_up):
    indicator = make()
    assert indicator.warm_up == indicator.needed == warm_up
    for number, one in enumerate(inputs_of(indicator), start=1):
        value = indicator.update(one)
        assert (value is not None) == (number >= warm_up)
        assert indicator.value == value
        assert indicator.ready == (number >= warm_up)
        assert indicator.needed == max(0, warm_up - number)
        assert indicator.warm_up == warm_up


@every
def test_a_peek_tells_the_next_value_and_changes_nothing(make, warm_up):
    indicator, alone = make(), make()
    row = inputs_of(indicator)
    for one, other in zip(row, [*row[3:], *row[:3]], strict=True):
        before = indicator.value
        if not isinstance(indicator, CandleIndicator) or other.start_ms >= one.start_ms:
            indicator.peek(other)
        told = indicator.peek(one)
        assert indicator.value == before
        assert indicator.update(one) == told == alone.update(one)


@every
def test_a_copy_goes_its_own_way(make, warm_up):
    indicator = make()
    row = inputs_of(indicator)
    all_of(indicator, row[:5])
    for twin in (
        indicator.copy(),
        copy.copy(indicator),
        copy.deepcopy(indicator),
        pickle.loads(pickle.dumps(indicator)),  # noqa: S301 - our own
    ):
        assert repr(twin) == repr(indicator)
        fresh = make()
        all_of(fresh, row[:5])
        assert all_of(twin, row[5:]) == all_of(fresh, row[5:])
    fresh = make()
    assert all_of(indicator, row[5:]) == all_of(fresh, row)[5:]


@every
def test_an_indicator_has_room_for_its_state_only(make, warm_up):
    indicator = make()
    assert not hasattr(indicator, "__dict__")
    assert type(indicator).__name__ in indicators.__all__


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (math.nan, r"x: nan is not between -1e\+100 and 1e\+100; leave"),
        (math.inf, "x: inf is not between"),
        (-math.inf, "x: -inf is not between"),
        (1e101, r"x: 1e\+101 is not between"),
        (Decimal("NaN"), "x: NaN is not between"),
        (Decimal("sNaN"), "x: sNaN is not between"),
        (Decimal("1e999"), r"x: 1E\+999 is not between"),
        (10**400, "x: 1000.* is not between"),
        (True, "x: True is a bool; give a float, int or Decimal"),
        ("7", "x: '7' is a str; give a float"),
        (None, "x: None is a NoneType; give a float"),
    ],
)
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_finite_number_is_refused_and_leaves_no_trace(name, x, words):
    indicator, alone = NUMBERS[name][0](), NUMBERS[name][0]()
    for one in ROW:
        with pytest.raises(IndicatorInputError, match=words):
            indicator.update(x)
        with pytest.raises(IndicatorInputError, match=words):
            indicator.peek(x)
        assert indicator.update(one) == alone.update(one)


def test_refusals_are_errors_of_usage_and_of_value():
    assert issubclass(IndicatorInputError, UsageError)
    assert issubclass(IndicatorInputError, ValueError)


@pytest.mark.parametrize("name", NUMBERS)
def test_decimals_and_whole_numbers_are_as_good_as_floats(name):
    make = NUMBERS[name][0]
    assert all_of(make(), map(Decimal, ROW)) == all_of(make(), ROW)
    assert all_of(make(), range(1, 9)) == all_of(make(), map(float, range(1, 9)))


@pytest.mark.parametrize("name", CANDLES)
def test_a_candle_counts_once_when_it_is_closed_and_in_order(name):
    indicator, alone = CANDLES[name][0](), CANDLES[name][0]()
    row = inputs_of(indicator)
    for one in row:
        making = candle(one.start_ms // 60_000, 99, closed=False)
        with pytest.raises(IndicatorInputError, match=r"closed: .* in the making"):
            indicator.update(making)
        indicator.peek(making)
        assert indicator.update(one) == alone.update(one)
        for old in (one, row[0]):
            for ask in (indicator.update, indicator.peek):
                with pytest.raises(
                    IndicatorInputError, match=r"start_ms: .* not later"
                ):
                    ask(old)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (candle(9, "NaN", high=1, low=1), "open of the candle of 540000: NaN is not"),
        (
            replace(candle(9, 1), open=Decimal("sNaN")),
            "open of the candle of 540000: sNaN",
        ),
        (
            replace(candle(9, 1), close=Decimal("1e101")),
            r"close of the candle of 540000: 1E\+101 is not between",
        ),
        (candle(9, 1, high="NaN"), "high of the candle of 540000: NaN"),
        (candle(9, 1, low="-Infinity"), "low of the candle of 540000: -Infinity"),
        (candle(9, 1, volume="NaN"), "base_volume of the candle of 540000: NaN"),
        (candle(9, 1, volume="-0.5"), "base_volume of the .*: -0.5 is below 0"),
        (candle(9, 5, high=4, low=6), "high of the .*: 4 is below its low 6"),
    ],
)
@pytest.mark.parametrize("name", CANDLES)
def test_a_candle_that_cannot_be_is_refused_and_leaves_no_trace(name, broken, words):
    indicator, alone = CANDLES[name][0](), CANDLES[name][0]()
    row = inputs_of(indicator)
    all_of(indicator, row[:-1])
    all_of(alone, row[:-1])
    for ask in (indicator.update, indicator.peek):
        with pytest.raises(IndicatorInputError, match=words):
            ask(broken)
    assert indicator.update(row[-1]) == alone.update(row[-1])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SMA(0), "period: 0 must be a whole number, 1 or more"),
        (lambda: EMA(-3), "period: -3 must be"),
        (lambda: RMA(2.0), "period: 2.0 must be"),
        (lambda: SMA(True), "period: True must be"),
        (lambda: SMA("9"), "period: '9' must be"),
        (lambda: StandardDeviation(1, sample=True), "period: 1 must be .* 2 or more"),
        (lambda: ZScore(1), "period: 1 must be .* 2 or more"),
        (lambda: BollingerBands(5, deviations=0), "deviations: 0 must be above 0"),
        (lambda: BollingerBands(5, deviations=math.nan), "deviations: nan is not"),
        (lambda: RSI(1), "period: 1 must be .* 2 or more"),
        (lambda: RSI(3, flat=101), "flat: 101 must be between 0 and 100"),
        (lambda: RSI(3, flat=-1), "flat: -1 must be"),
        (lambda: MACD(0, 3, 2), "fast: 0 must be"),
        (lambda: MACD(5, 5, 2), "slow: 5 must be a whole number, 6 or more"),
        (lambda: MACD(5, 6, 0), "signal: 0 must be"),
        (lambda: MACD(seed="mine"), 'seed: \'mine\' must be "ta-lib" or "talipp"'),
        (lambda: RateOfChange(0), "period: 0 must be"),
        (lambda: Highest(0), "period: 0 must be"),
        (lambda: Lowest(0), "period: 0 must be"),
        (lambda: Donchian(0), "period: 0 must be"),
        (lambda: VWAP(0), "period: 0 must be"),
        (lambda: ATR(0), "period: 0 must be"),
        (lambda: ATR(3, seed="talib"), 'seed: \'talib\' must be "ta-lib" or "pine"'),
        (lambda: UTBot(0), "key_value: 0 must be above 0"),
        (lambda: UTBot("1"), "key_value: '1' is a str"),
        (lambda: UTBot(1, 0), "atr_period: 0 must be"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_what_an_indicator_says_of_itself():
    average = SMA(3)
    assert repr(average) == "<SMA(3): needs 3 more>"
    all_of(average, [1, 2, 6])
    assert repr(average) == "<SMA(3): 3.0>"
    assert repr(ZScore(5, sample=True)) == "<ZScore(5, sample=True): needs 5 more>"
    assert repr(RSI(flat=50)) == "<RSI(14, flat=50.0): needs 15 more>"
    assert isinstance(average, NumberIndicator)
    assert isinstance(average, Indicator)


def test_averages_of_a_short_row():
    row = [2, 4, 9, 5]
    assert all_of(SMA(3), row) == [None, None, 5.0, 6.0]
    assert all_of(EMA(3), row) == [None, None, 5.0, 5.0]
    assert all_of(RMA(3), row) == [None, None, 5.0, 5.0]
    assert all_of(EMA(3), [2, 4, 9, 6])[-1] == 5.5
    assert all_of(RMA(2), [2, 4, 9])[-1] == 6.0


@pytest.mark.parametrize("make", [SMA, EMA, RMA, Highest, Lowest])
def test_with_a_period_of_one_the_value_is_the_number_itself(make):
    row = [1e16, 0.1, -3.0, 0.1]
    indicator = make(1)
    for x in row:
        assert indicator.peek(x) == x
        assert indicator.update(x) == x


def test_deviations_of_a_short_row():
    row = [2, 4, 4, 4, 5, 5, 7, 9]
    assert all_of(StandardDeviation(8), row)[-1] == 2.0
    sample = all_of(StandardDeviation(8, sample=True), row)[-1]
    assert sample == math.sqrt(32 / 7)
    assert all_of(ZScore(8), row)[-1] == 2.0
    assert all_of(BollingerBands(8, deviations=1.5), row)[-1] == (2.0, 5.0, 8.0)


def test_a_flat_window_has_no_deviation_even_after_a_storm():
    row = [1e15, -3e-9, 1e99, 0.1, 0.1, 0.1]
    assert all_of(StandardDeviation(3), row)[-1] == 0.0
    assert all_of(StandardDeviation(3, sample=True), row)[-1] == 0.0
    assert all_of(ZScore(3), row)[-1] == 0.0
    assert all_of(BollingerBands(3), row)[-1] == (0.1, 0.1, 0.1)
    assert all_of(SMA(3), row)[-1] == 0.1


def test_the_smallest_of_floats_comes_and_goes_without_a_trace():
    row = [5e-324, 1.0, 3.0, 1e-200, 2.0, 4.0]
    assert all_of(SMA(2), row) == [None, 0.5, 2.0, 1.5, 1.0, 3.0]
    assert all_of(StandardDeviation(2), row)[1:] == [0.5, 1.0, 1.5, 1.0, 1.0]


def test_strength_with_gains_only_losses_only_and_no_change_at_all():
    assert all_of(RSI(2), [1, 2, 3, 5])[-2:] == [100.0, 100.0]
    assert all_of(RSI(2), [5, 3, 2, 1])[-2:] == [0.0, 0.0]
    assert all_of(RSI(2), [5, 5, 5, 5])[-2:] == [0.0, 0.0]
    assert all_of(RSI(2, flat=50), [5, 5, 5, 5])[-2:] == [50.0, 50.0]
    assert all_of(RSI(2), [5, 6, 5, 5]) == [None, None, 50.0, 50.0]


def test_strength_is_flat_once_the_last_change_is_forgotten():
    strength = RSI(2, flat=50)
    row = [5, 6, *[6] * 2_000]
    assert all_of(strength, row)[-1] == 50.0


def test_rate_of_change_in_percent():
    assert all_of(RateOfChange(2), [4, 7, 5, 0, 1, 9])[2:] == [25.0, -100.0, -80.0, 0.0]


def test_convergence_of_averages_by_hand():
    # Fast averages of 1: the number itself; slow of 2: 1.5, then 2/3 of the way.
    told = all_of(MACD(1, 2, 2), [1, 2, 5])
    slow = 1.5 + (5 - 1.5) * (2 / 3)
    assert told[:2] == [None, None]
    assert told[2].macd == 5 - slow
    assert told[2].signal == (0.5 + (5 - slow)) / 2
    assert told[2].histogram == told[2].macd - told[2].signal


def test_highest_and_lowest_forget_what_is_too_old():
    row = [5, 3, 4, 1, 2, 2]
    assert all_of(Highest(3), row) == [None, None, 5, 4, 4, 2]
    assert all_of(Lowest(3), row) == [None, None, 3, 1, 1, 1]


def test_a_channel_has_the_highest_high_and_the_lowest_low():
    row = [candle(0, 10), candle(1, 14), candle(2, 11, high=13, low=2)]
    assert all_of(Donchian(2), row) == [None, (9, 12, 15), (2, 8.5, 15)]


def test_true_range_starts_at_the_last_close():
    row = [candle(0, 10), candle(1, 14), candle(2, 8), candle(3, 8, high=8, low=8)]
    # 2 for the first candle, then 15 - 10, 14 - 7, 0.
    assert all_of(ATR(2), row) == [None, None, 6.0, 3.0]
    assert all_of(ATR(2, seed="pine"), row) == [None, 3.5, 5.25, 2.625]


def test_no_range_gives_no_average_range():
    row = [candle(at, 7, high=7, low=7) for at in range(6)]
    assert all_of(ATR(3), row)[3:] == [0.0, 0.0, 0.0]
    assert all_of(ATR(3, seed="pine"), row)[2:] == [0.0] * 4


def test_volume_weighs_prices_and_without_volume_there_is_no_price():
    prices = VWAP(2)
    row = [
        candle(0, 10, volume=1),
        candle(1, 20, volume=3),
        candle(2, 50, volume="0.1"),
        candle(3, 90, volume=0),
        candle(4, 90, volume=0),
        candle(5, 30, volume=2),
    ]
    told = all_of(prices, row)
    assert told[:2] == [None, 17.5]
    assert told[3] == 50.0
    assert told[4] is None
    assert told[5] == 30.0
    assert prices.ready
    silent = VWAP(1)
    assert silent.update(row[3]) is None
    assert silent.ready


def test_a_crossing_is_told_when_it_happens_and_in_its_direction():
    crossing = Crossover()
    pairs = [(1, 2), (2, 2), (3, 2), (3, 1), (1, 1), (2, 1), (1, 1), (0, 1), (2, 1)]
    told = [crossing.update(*pair) for pair in pairs]
    assert told == [None, 0, 1, 0, 0, 1, 0, -1, 1]
    assert (crossing.ready, crossing.needed, crossing.warm_up) == (True, 0, 2)


def test_a_crossing_can_be_looked_at_before_it_happens():
    crossing = Crossover()
    assert crossing.peek(1, 2) is None
    crossing.update(Decimal(1), 2)
    assert crossing.peek(3, 2) == 1
    assert crossing.value is None
    assert crossing.update(1, 2) == 0
    with pytest.raises(IndicatorInputError, match="second: nan"):
        crossing.update(3, math.nan)
    with pytest.raises(IndicatorInputError, match="first: None"):
        crossing.peek(None, 1)
    assert crossing.update(3, 2) == 1


def test_every_exported_name_exists_and_they_are_sorted():
    assert all(hasattr(indicators, name) for name in indicators.__all__)
    assert len(set(indicators.__all__)) == len(indicators.__all__)
