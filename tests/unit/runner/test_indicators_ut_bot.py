"""The UT Bot: by hand, and against the published script written out as it stands.

The script's oracle here works on whole rows, in exact fractions, with the script's own
notion of what is missing. `ut_bot_500_bars.json` keeps what it says of 500 candles
that come from a small generator of whole numbers; as a program this module writes it.
"""

from __future__ import annotations

import json
import pathlib
from decimal import Decimal
from fractions import Fraction

import pytest

from wrappy.model import Candle
from wrappy.runner.indicators import UTBot

GOLDEN = pathlib.Path(__file__).with_name("ut_bot_500_bars.json")
SETTINGS = {
    "1 x 10, closes": (1, 10, False),
    "1 x 10, Heikin-Ashi": (1, 10, True),
    "2.5 x 3, closes": (Fraction(5, 2), 3, False),
    "0.5 x 1, Heikin-Ashi": (Fraction(1, 2), 1, True),
}
CENTS = 100
MILLIONTHS = 1_000_000


def bars_in_cents(count=500):
    """Return rows of open, high, low, close in cents: calm, stormy and flat hours."""
    state = 20_260_101

    def below(limit):
        nonlocal state
        state = (state * 1_103_515_245 + 12_345) % 2**31
        return (state >> 8) % limit

    close, trend, rows = 250_000, 0, []
    for at in range(count):
        if at % 40 == 0:
            trend = below(601) - 300
        if 200 <= at < 215:  # nobody trades
            rows.append([close, close, close, close])
            continue
        opened = close + below(61) - 30
        close = max(1_000, opened + trend + below(1_601) - 800)
        high = max(opened, close) + below(300)
        low = max(1, min(opened, close) - below(300))
        rows.append([opened, high, low, close])
    return rows


def published_script(rows, key_value, period, heikin_ashi):
    """Return stop, position and event of every row, as the script computes them."""
    ranges, averages, sources = [], [], []
    stops, positions, events = [], [], []

    def nz(row, at):
        return row[at] if at >= 0 and row[at] is not None else Fraction(0)

    def na(row, at):
        return row[at] if at >= 0 else None

    def above(one, other):  # a comparison with what is missing is false
        return one is not None and other is not None and one > other

    def crossover(x, y, at):
        before = na(x, at - 1), na(y, at - 1)
        return (
            above(x[at], y[at])
            and None not in before
            and not above(before[0], before[1])
        )

    for at, (opened, high, low, close) in enumerate(rows):
        if at == 0:
            ranges.append(high - low)
        else:
            last = rows[at - 1][3]
            ranges.append(max(high - low, abs(high - last), abs(low - last)))
        if at < period - 1:
            averages.append(None)
        elif at == period - 1:
            averages.append(sum(ranges, Fraction(0)) / period)
        else:
            averages.append((averages[-1] * (period - 1) + ranges[at]) / period)
        sources.append((opened + high + low + close) / 4 if heikin_ashi else close)

        source, before, stop = sources[at], na(sources, at - 1), nz(stops, at - 1)
        if averages[at] is None:
            stops.append(None)
        else:
            loss = key_value * averages[at]
            if above(source, stop) and above(before, stop):
                stops.append(max(stop, source - loss))
            elif above(stop, source) and above(stop, before):
                stops.append(min(stop, source + loss))
            elif above(source, stop):
                stops.append(source - loss)
            else:
                stops.append(source + loss)
        if above(stop, before) and above(source, stop):
            positions.append(1)
        elif above(before, stop) and above(stop, source):
            positions.append(-1)
        else:
            positions.append(positions[-1] if positions else 0)
        if above(source, stops[at]) and crossover(sources, stops, at):
            events.append("buy")
        elif above(stops[at], source) and crossover(stops, sources, at):
            events.append("sell")
        else:
            events.append(None)
    return [
        None if stop is None else (stop, position, event)
        for stop, position, event in zip(stops, positions, events, strict=True)
    ]


def candle(at, opened, high, low, close):
    prices = [Decimal(one) / CENTS for one in (opened, high, low, close)]
    return Candle(at * 300_000, *prices, Decimal(1), prices[3], at, closed=True)


def expected(rows, settings):
    in_usdc = [[Fraction(one, CENTS) for one in row] for row in rows]
    return published_script(in_usdc, *settings)


def golden_text():
    rows = bars_in_cents()
    told = {"bars in cents": rows, "expected": {}}
    for name, settings in SETTINGS.items():
        told["expected"][name] = [
            one and [round(one[0] * MILLIONTHS), one[1], one[2]]
            for one in expected(rows, settings)
        ]
    lines = (
        json.dumps(told).replace("], [", "],\n[").replace('"expected"', '\n"expected"')
    )
    return lines + "\n"


def test_the_golden_rows_are_what_the_script_says_of_the_generated_candles():
    assert GOLDEN.read_text(encoding="utf-8") == golden_text()


@pytest.mark.parametrize("name", SETTINGS)
def test_stops_positions_and_events_are_those_of_the_golden_rows(name):
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    key_value, period, heikin_ashi = SETTINGS[name]
    bot = UTBot(float(key_value), period, heikin_ashi=heikin_ashi)
    bought = sold = 0
    for at, row in enumerate(golden["bars in cents"]):
        one = candle(at, *row)
        peeked = bot.peek(one)
        told = bot.update(one)
        assert told == peeked
        wanted = golden["expected"][name][at]
        if wanted is None:
            assert told is None
            continue
        assert told.stop == pytest.approx(wanted[0] / MILLIONTHS, abs=1e-6)
        assert (told.position, told.event) == (wanted[1], wanted[2]), at
        bought += told.event == "buy"
        sold += told.event == "sell"
    assert bought >= 5
    assert sold >= 5


def test_a_short_course_by_hand():
    bot = UTBot(1, 2)
    told = [
        bot.update(candle(at, *(one * CENTS for one in row)))
        for at, row in enumerate(
            [
                # open, high, low, close: true range, its average
                (10, 11, 9, 10),  # 2, none yet
                (10, 12, 10, 11),  # 2, 2
                (11, 13, 11, 12),  # 2, 2
                (12, 12, 6, 7),  # 6, 4
                (7, 8, 6, 7),  # 2, 3
                (7, 13, 7, 12),  # 6, 4.5
            ]
        )
    ]
    assert told == [
        None,
        (9, 0, None),  # 11 - 2, from a missing stop that counts as 0
        (10, 0, None),
        (11, -1, "sell"),  # fell through 10; 7 + 4
        (10, -1, None),
        (7.5, 1, "buy"),  # rose through 10; 12 - 4.5
    ]


def test_the_stop_does_not_retreat_from_a_price_that_does():
    bot = UTBot(1, 1)
    told = [
        bot.update(candle(at, close, close + 50, close - 50, close)).stop
        for at, close in enumerate([1000, 1100, 1080, 1060])
    ]
    assert told == [9.0, 9.5, 9.8, 9.8]


def test_a_stop_that_was_reached_to_the_cent_is_neither_above_nor_below():
    bot = UTBot(1, 1)
    flat = bot.update(candle(0, 1000, 1000, 1000, 1000))
    assert flat == (10.0, 0, None)
    rise = bot.update(candle(1, 1000, 1100, 1000, 1100))
    # The script compares with the last stop for a buy, and wants to have been below
    # it for a position.
    assert rise == (10.0, 0, "buy")
    bot = UTBot(1, 1)
    bot.update(candle(0, 1000, 1000, 1000, 1000))
    fall = bot.update(candle(1, 1000, 1000, 900, 900))
    assert fall == (10.0, 0, "sell")


def test_prices_below_zero_start_below_a_missing_stop():
    bot = UTBot(1, 2)
    bot.update(candle(0, -1000, -900, -1100, -1000))
    told = bot.update(candle(1, -1000, -900, -1100, -1000))
    assert told == (-8.0, 0, None)
    assert UTBot(1, 1).update(candle(0, -1000, -900, -1100, -1000)) == (-8.0, 0, None)


if __name__ == "__main__":
    GOLDEN.write_text(golden_text(), encoding="utf-8")
