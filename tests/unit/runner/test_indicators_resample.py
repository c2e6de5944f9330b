"""Longer candles out of shorter ones, and candles out of trades."""

from __future__ import annotations

import copy
import decimal
import pickle
from dataclasses import replace
from decimal import Decimal

import pytest

from wrappy.errors import ConfigError
from wrappy.model import Candle, Side, Trade
from wrappy.runner.indicators import (
    IndicatorInputError,
    Resampler,
    TradeCandles,
    resolution_ms,
)

MINUTE = 60_000
HOUR = 60 * MINUTE


def minute(at, close=100, volume="0.1", *, closed=True):
    price = Decimal(close)
    return Candle(
        at * MINUTE,
        price - 1,
        price + 5,
        price - 5,
        price,
        Decimal(volume),
        Decimal(volume) * price,
        1_000 + at,
        closed=closed,
    )


def trade(number, at_ms, price="100", size="0.1", market_id=0):
    return Trade(number, market_id, Decimal(price), Decimal(size), Side.BUY, int(at_ms))


def all_of(resampler, candles):
    return [one for candle in candles for one in resampler.update(candle)]


@pytest.mark.parametrize(
    ("resolution", "length"),
    [
        ("1s", 1_000),
        ("1m", MINUTE),
        ("15m", 15 * MINUTE),
        ("4h", 4 * HOUR),
        ("1d", 24 * HOUR),
        (250, 250),
    ],
)
def test_a_resolution_has_a_length(resolution, length):
    assert resolution_ms(resolution) == length


@pytest.mark.parametrize(
    "resolution",
    ["", "m", "0m", "7m", "1w", "2d", "1M", "5 m", "٥m", 0, -1, 7, True, 1.5],
)
def test_a_length_that_does_not_go_into_a_day_is_refused(resolution):
    with pytest.raises(ConfigError, match=r"resolution: .* goes into a day"):
        resolution_ms(resolution)


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        (("5m", "1m"), "target: '1m' must be a multiple of source '5m'"),
        (("5m", "5m"), "target: '5m' must be .* longer"),
        (("4h", "6h"), "target: '6h' must be a multiple"),
        (("x", "6h"), "source: 'x' must be"),
        (("1m", 7), "target: 7 must be"),
    ],
)
def test_a_longer_candle_is_a_multiple_of_the_shorter(lengths, words):
    with pytest.raises(ConfigError, match=words):
        Resampler(*lengths)


def test_five_minutes_become_one_candle_with_the_last_of_them():
    five = Resampler("1m", "5m")
    closes = [100, 103, 90, 95, 96]
    row = [minute(5 + at, close) for at, close in enumerate(closes)]
    assert all_of(five, row[:4]) == []
    assert five.partial == Candle(
        5 * MINUTE,
        Decimal(99),
        Decimal(108),
        Decimal(85),
        Decimal(95),
        Decimal("0.4"),
        Decimal("38.8"),
        1_008,
        closed=False,
    )
    (told,) = five.update(row[4])
    assert told == Candle(
        5 * MINUTE,
        Decimal(99),
        Decimal(108),
        Decimal(85),
        Decimal(96),
        Decimal("0.5"),
        Decimal("48.4"),
        1_009,
        closed=True,
    )
    assert five.partial is None
    assert five.missing == 0


def test_a_candle_that_was_joined_half_way_is_left_out():
    five = Resampler("1m", "5m")
    told = all_of(five, map(minute, range(6, 20)))
    assert [one.start_ms for one in told] == [10 * MINUTE, 15 * MINUTE]


def test_the_last_candle_does_not_come_out_before_its_time():
    five = Resampler("1m", "5m")
    assert all_of(five, map(minute, range(4))) == []
    assert [one.start_ms for one in five.update(minute(4))] == [0]


def test_minutes_that_never_came_are_counted_and_hold_nothing_up():
    five = Resampler("1m", "5m")
    told = all_of(five, map(minute, [0, 1, 3, 4, 5, 6]))
    assert [(one.start_ms, one.base_volume) for one in told] == [(0, Decimal("0.4"))]
    assert five.missing == 1
    # The last of the second is missing, all of the third, and most of the fourth.
    told = five.update(minute(19))
    assert [(one.start_ms, one.base_volume) for one in told] == [
        (5 * MINUTE, Decimal("0.2")),
        (15 * MINUTE, Decimal("0.1")),
    ]
    assert told[1].last_trade_id == 1_019
    assert five.missing == 13


def test_a_candle_may_begin_with_a_minute_that_did_not_trade():
    five = Resampler("1m", "5m")
    told = all_of(five, map(minute, [4, 6, 7, 8, 9]))
    assert [one.start_ms for one in told] == [5 * MINUTE]


@pytest.mark.parametrize(
    ("candle", "words"),
    [
        (minute(7, closed=False), "closed: the candle of 420000 is still in the"),
        (minute(6), "start_ms: 360000 is not later than the last candle's 360000"),
        (minute(5), "start_ms: 300000 is not later than"),
        (replace(minute(7), start_ms=420_001), "start_ms: 420001 is no multiple"),
    ],
)
def test_a_candle_out_of_place_is_refused_and_leaves_no_trace(candle, words):
    five = Resampler("1m", "5m")
    all_of(five, map(minute, [5, 6]))
    before = five.partial
    with pytest.raises(IndicatorInputError, match=words):
        five.update(candle)
    assert (five.partial, five.missing) == (before, 0)


def test_volumes_keep_all_digits_whatever_the_context():
    with decimal.localcontext() as context:
        context.prec = 3
        five = Resampler("1m", "5m")
        told = all_of(five, [minute(at, volume="12345.6789") for at in range(5)])
        assert told[0].base_volume == Decimal("61728.3945")
        whole = TradeCandles("1m", complete_from_ms=0)
        whole.update(trade(1, 0, "1234.5678", "1.00001"))
        assert whole.partial.quote_volume == Decimal("1234.580145678")


def test_trades_become_a_candle_with_the_first_trade_after_it():
    candles = TradeCandles("1m", complete_from_ms=0)
    row = [(10, "100"), (20_000, "104"), (59_999, "99"), (59_999, "101")]
    for number, (at, price) in enumerate(row):
        assert candles.update(trade(number, at, price)) is None
    told = candles.update(trade(4, 60_000, "107"))
    assert told == Candle(
        0,
        Decimal(100),
        Decimal(104),
        Decimal(99),
        Decimal(101),
        Decimal("0.4"),
        Decimal("40.4"),
        3,
        closed=True,
    )
    assert candles.partial == Candle(
        MINUTE,
        *[Decimal(107)] * 4,
        Decimal("0.1"),
        Decimal("10.7"),
        4,
        closed=False,
    )


def test_time_alone_ends_a_candle():
    candles = TradeCandles("1m", complete_from_ms=0)
    assert candles.advance(30_000) is None
    candles.update(trade(1, 30_000))
    assert candles.advance(59_999) is None
    told = candles.advance(60_000)
    assert (told.start_ms, told.closed) == (0, True)
    assert candles.advance(600_000) is None
    assert candles.advance(0) is None
    # Nobody traded for nine minutes; no candle was made up.
    candles.update(trade(2, 600_000))
    assert candles.advance(660_000).start_ms == 600_000


def test_trades_from_the_middle_of_a_minute_make_no_candle_of_it():
    candles = TradeCandles("1m")
    assert candles.update(trade(1, 30_000)) is None
    assert candles.partial is None
    assert candles.update(trade(2, 60_000)) is None
    assert candles.update(trade(3, 120_000)).start_ms == MINUTE
    known = TradeCandles("1m", complete_from_ms=59_000)
    assert known.update(trade(1, 59_500)) is None
    assert known.update(trade(2, 60_000)) is None
    assert known.update(trade(3, 120_000)).start_ms == MINUTE


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (trade(7, 70_000), "trade_id: 7 is not above the last one's 7"),
        (trade(6, 70_000), "trade_id: 6 is not above"),
        (trade(8, 59_999), "timestamp_ms: 59999 belongs to a candle that is over"),
        (trade(8, 70_000, market_id=1), "market_id: 1 is not the 0 of the trades"),
        (trade(8, 70_000, price="0"), "price: 0 must be above 0"),
        (trade(8, 70_000, price="NaN"), "price: NaN must be above 0"),
        (trade(8, 70_000, size="-1"), "size: -1 must be above 0"),
    ],
)
def test_a_trade_out_of_place_is_refused_and_leaves_no_trace(wrong, words):
    candles = TradeCandles("1m", complete_from_ms=0)
    candles.update(trade(7, 65_000))
    before = candles.partial
    with pytest.raises(IndicatorInputError, match=words):
        candles.update(wrong)
    assert candles.partial == before


def test_a_trade_that_comes_after_its_time_was_called_over_is_refused():
    candles = TradeCandles("1m", complete_from_ms=0)
    candles.advance(60_000)
    with pytest.raises(IndicatorInputError, match="in the making begins at 60000"):
        candles.update(trade(1, 59_999))
    candles.update(trade(1, 60_000))


def test_copies_go_their_own_way():
    five, candles = Resampler("1m", "5m"), TradeCandles("1m", complete_from_ms=0)
    five.update(minute(0))
    candles.update(trade(1, 5))
    for copied in (
        copy.copy,
        copy.deepcopy,
        lambda one: pickle.loads(pickle.dumps(one)),  # noqa: S301 - our own
    ):
        twin = copied(five)
        twin.update(minute(1))
        assert five.partial.base_volume == Decimal("0.1")
        other = copied(candles)
        other.update(trade(2, 6))
        assert candles.partial.base_volume == Decimal("0.1")
