"""The exchange's candles: windows that are whole, answers that are judged."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest

from wrappy.errors import ConfigError, ProtocolError
from wrappy.runner.history import CandleDownload, CandlePages, HistoryError
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import VenueSettings

MINUTE = 60_000
T0 = 1_700_000_040_000
ROW = {"t": T0, "o": 2361.11, "h": 2362.22, "l": 2360.0, "c": 2361.31, "v": 1.2345}


def pages_of(minutes, **options):
    return CandlePages(
        market_id=0,
        resolution="1m",
        start_ms=T0,
        end_ms=T0 + minutes * MINUTE,
        **options,
    )


def answer(*rows, **fields):
    return json.dumps({"code": 200, "r": "1m", "c": list(rows), **fields}).encode()


def at(minute, **fields):
    return {**ROW, "t": T0 + minute * MINUTE, **fields}


def test_windows_follow_each_other_without_overlap_until_the_end():
    pages = pages_of(1_100)
    seen = []
    while (asked := pages.request()) is not None:
        assert (asked["market_id"], asked["resolution"]) == ("0", "1m")
        assert asked["count_back"] == "500"
        seen.append((int(asked["start_timestamp"]), int(asked["end_timestamp"])))
        pages.receive(answer())
    assert seen == [
        (T0, T0 + 500 * MINUTE - 1),
        (T0 + 500 * MINUTE, T0 + 1_000 * MINUTE - 1),
        (T0 + 1_000 * MINUTE, T0 + 1_100 * MINUTE - 1),
    ]
    assert pages.pages == 3


def test_the_start_is_rounded_up_to_the_first_whole_candle():
    options = {"market_id": 0, "start_ms": T0 + 1, "end_ms": T0 + 2**40}
    asked = CandlePages(resolution="1m", **options).request()
    assert asked["start_timestamp"] == str(T0 + MINUTE)
    # Nobody says on which day of the week a weekly candle begins.
    asked = CandlePages(resolution="1w", **options).request()
    assert asked["start_timestamp"] == str(T0 + 1)


def test_an_answer_keeps_its_digits_and_fills_in_the_zeros_left_out():
    raw = (
        b'{"code":200,"r":"1m","c":[{"t":1700000040000,"o":2361.110,"h":2362.22,'
        b'"l":2360.0,"c":2361.31,"v":13.223699999999997}]}'
    )
    (candle,) = pages_of(5).receive(raw)
    assert str(candle.open) == "2361.110"
    assert candle.base_volume == Decimal("13.223699999999997")
    assert (candle.quote_volume, candle.last_trade_id) == (0, 0)


def test_rows_may_come_as_objects_and_in_any_order_and_from_before_the_window():
    rows = [at(3), at(1, o="2361.5"), at(-1), at(9)]
    candles = pages_of(5).receive({"code": 200, "c": rows})
    assert [candle.start_ms for candle in candles] == [T0 + MINUTE, T0 + 3 * MINUTE]
    assert candles[0].open == Decimal("2361.5")
    assert pages_of(5).receive({"code": 200, "c": None}) == []


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"<html>", "the answer is no JSON"),
        (b"[1]", "the answer is not a JSON object"),
        (b'{"c":[{"o":NaN}]}', "NaN is no number"),
        (answer(r="5m"), "'5m' where '1m' was asked for"),
        (b'{"c":7}', "candles.c: Decimal is no list"),
        (b'{"c":[7]}', r"candles.c\[0\]: Decimal\('7'\) is no object"),
        (answer(at(0), at(1, o=0)), r"candles.c\[1\].o: 0 does not fit"),
        (answer(at(0, c=9999)), r"candles.c\[0\].c: 9999 does not fit"),
        (answer(at(0, h=True)), r"candles.c\[0\].h: True is no number"),
        (answer(at(0, l="low")), r"candles.c\[0\].l: 'low' is not a decimal"),
        (answer(at(0, v=-1)), "a negative volume"),
        (answer(at(0, i=1.5)), r"candles.c\[0\].i: 1.5 is no whole number"),
    ],
)
def test_an_answer_that_cannot_be_right_is_refused(raw, words):
    with pytest.raises(ProtocolError, match=words):
        pages_of(5).receive(raw)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"resolution": "2m"}, "resolution: '2m' is none of the exchange's"),
        ({"start_ms": T0, "end_ms": T0}, "start_ms: "),
        ({"page_rows": 501}, "page_rows: 501"),
    ],
)
def test_arguments_that_cannot_work_are_refused(options, words):
    usual = {"market_id": 0, "resolution": "1m", "start_ms": T0, "end_ms": T0 + MINUTE}
    with pytest.raises(ConfigError, match=words):
        CandlePages(**{**usual, **options})


class Exchange:
    """Answers with the rows it has, as the candle endpoint would."""

    def __init__(self, *minutes):
        self.rows = [at(minute) for minute in minutes]
        self.asked = []

    async def fetch(self, path, parameters):
        self.asked.append((path, dict(parameters)))
        low, high = (
            int(parameters[key]) for key in ("start_timestamp", "end_timestamp")
        )
        return answer(*(one for one in self.rows if low <= one["t"] <= high))


def download(exchange, minutes, **options):
    return CandleDownload(
        exchange.fetch,
        market_id=0,
        resolution="1m",
        start_ms=T0,
        end_ms=T0 + minutes * MINUTE,
        symbol="ETH",
        **{"now_ms": T0 + 10**9, **options},
    )


async def test_pages_are_joined_and_gaps_between_them_are_reported():
    exchange = Exchange(*range(499), 501, 502)
    source = download(exchange, 503)
    found = [candle async for candle in source]
    assert len(found) == 501
    assert len(exchange.asked) == 2
    series = source.series
    assert (series.gap_count, series.missing, series.symbol) == (1, 2, "ETH")
    assert series.source == "/api/v1/candles of market 0"
    assert [candle async for candle in source] == found
    with pytest.raises(HistoryError, match="line 500, column time"):
        [one async for one in download(exchange, 503, on_gap="refuse")]


async def test_a_candle_that_still_grows_is_dropped_and_said():
    exchange = Exchange(0, 1, 2)
    source = download(exchange, 100, now_ms=T0 + 2 * MINUTE + 30_000)
    assert len([candle async for candle in source]) == 2
    assert source.series.dropped_last_ms == T0 + 2 * MINUTE
    assert len(exchange.asked) == 1


def test_the_local_exchange_tells_of_the_minutes_it_has_lived_through():
    async def main():
        settings = VenueSettings(seed=3, verify=False)
        async with InProcessExchange(settings) as exchange:
            environment = exchange.environment
            start_ms = round(environment.unix_s() * 1_000)
            await asyncio.sleep(300)
            rest = environment.open_rest(exchange.base_url)
            now_ms = round(environment.unix_s() * 1_000)
            source = CandleDownload(
                rest.get,
                market_id=0,
                resolution="1m",
                start_ms=start_ms,
                end_ms=now_ms + MINUTE,
                now_ms=now_ms,
            )
            candles = [candle async for candle in source]
            await rest.aclose()
            return now_ms, candles, source.series

    now_ms, candles, series = run_virtual(main)
    assert len(candles) >= 3
    assert all(one.base_volume > 0 and one.last_trade_id > 0 for one in candles)
    assert all(one.start_ms + MINUTE <= now_ms for one in candles)
    assert series.count == len(candles)
