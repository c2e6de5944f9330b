"""Indicators: updates a second, one number or candle at a time.

Both are given the same random walk, and both are asked for the newest value after
every update, as a strategy would. `talipp` is measured beside ours if it is installed;
it keeps all its inputs and outputs, so each round begins with a new one. Both start
from the model's candles, whose prices are decimals. Ours turns them into checked
floats itself; for talipp, which wants candles of its own, they are made while the
clock runs, as a strategy would have to, and in one more case before it starts.
"""

from __future__ import annotations

import importlib.util
import random
import time
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Row, interleaved, main, row
from wrappy.model import Candle
from wrappy.runner.indicators import (
    ATR,
    EMA,
    MACD,
    RSI,
    SMA,
    BollingerBands,
    CandleIndicator,
    Donchian,
    Highest,
    Resampler,
    StandardDeviation,
    UTBot,
    ZScore,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UPDATES, QUICK_UPDATES = 20_000, 500
ROUNDS, QUICK_ROUNDS = 9, 2
OURS: dict[str, Callable[[], Any]] = {
    "SMA(20)": lambda: SMA(20),
    "SMA(200)": lambda: SMA(200),
    "EMA(20)": lambda: EMA(20),
    "StandardDeviation(20)": lambda: StandardDeviation(20),
    "BollingerBands(20)": lambda: BollingerBands(20),
    "ZScore(20)": lambda: ZScore(20),
    "RSI(14)": lambda: RSI(14),
    "MACD(12, 26, 9)": lambda: MACD(12, 26, 9),
    "Highest(20)": lambda: Highest(20),
    "ATR(14)": lambda: ATR(14),
    "Donchian(20)": lambda: Donchian(20),
    "UTBot(1, 10)": lambda: UTBot(1, 10),
}


def prices(count: int) -> list[float]:
    chance = random.Random(1)
    price, made = 2_000.0, []
    for _ in range(count):
        price += chance.gauss(0, 1)
        made.append(round(price, 2))
    return made


def candles(row_of: Sequence[float]) -> list[Candle]:
    chance = random.Random(2)
    made, before = [], row_of[0]
    for at, close in enumerate(row_of):
        high = max(before, close) + chance.random()
        low = min(before, close) - chance.random()
        figures = [Decimal(f"{one:.2f}") for one in (before, high, low, close)]
        volume = Decimal(chance.randrange(1, 9_999)) / 100
        made.append(
            Candle(at * 60_000, *figures, volume, volume * figures[3], at, closed=True)
        )
        before = close
    return made


def peers() -> dict[str, Callable[[], Any]]:
    """Return talipp's counterparts by the names of ours."""
    if importlib.util.find_spec("talipp") is None:
        return {}
    from talipp import indicators  # noqa: PLC0415 - it may not be installed

    return {
        "SMA(20)": lambda: indicators.SMA(20),
        "SMA(200)": lambda: indicators.SMA(200),
        "EMA(20)": lambda: indicators.EMA(20),
        "StandardDeviation(20)": lambda: indicators.StdDev(20),
        "BollingerBands(20)": lambda: indicators.BB(20, 2.0),
        "RSI(14)": lambda: indicators.RSI(14),
        "MACD(12, 26, 9)": lambda: indicators.MACD(12, 26, 9),
        "ATR(14)": lambda: indicators.ATR(14),
        "Donchian(20)": lambda: indicators.DonchianChannels(20),
    }


def talipp_bar(one: Candle) -> Any:
    from talipp.ohlcv import OHLCV  # noqa: PLC0415 - it may not be installed

    return OHLCV(
        float(one.open),
        float(one.high),
        float(one.low),
        float(one.close),
        float(one.base_volume),
    )


def ours_a_second(make: Callable[[], Any], given: Sequence[Any]) -> float:
    indicator = make()
    began = time.perf_counter()
    for one in given:
        indicator.update(one)
    return len(given) / (time.perf_counter() - began)


def talipp_a_second(make: Callable[[], Any], given: Sequence[Any]) -> float:
    indicator = make()
    began = time.perf_counter()
    for one in given:
        indicator.add(one)
        _ = indicator[-1]
    return len(given) / (time.perf_counter() - began)


def talipp_a_second_from_candles(
    make: Callable[[], Any], given: Sequence[Candle]
) -> float:
    from talipp.ohlcv import OHLCV  # noqa: PLC0415 - it may not be installed

    indicator = make()
    began = time.perf_counter()
    for one in given:
        bar = OHLCV(
            float(one.open),
            float(one.high),
            float(one.low),
            float(one.close),
            float(one.base_volume),
        )
        indicator.add(bar)
        _ = indicator[-1]
    return len(given) / (time.perf_counter() - began)


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    numbers = prices(QUICK_UPDATES if quick else UPDATES)
    made = candles(numbers)
    beside = peers()
    cases: dict[str, Callable[[], float]] = {}
    for name, make in OURS.items():
        if not isinstance(make(), CandleIndicator):
            cases[name] = partial(ours_a_second, make, numbers)
            if name in beside:
                peer = beside[name]
                cases[f"talipp {name}"] = partial(talipp_a_second, peer, numbers)
            continue
        cases[name] = partial(ours_a_second, make, made)
        if name in beside:
            peer, bars = beside[name], [talipp_bar(one) for one in made]
            cases[f"talipp {name}"] = partial(talipp_a_second_from_candles, peer, made)
            cases[f"talipp {name}, candles made before"] = partial(
                talipp_a_second, peer, bars
            )
    cases["Resampler(1m, 5m)"] = partial(
        ours_a_second, lambda: Resampler("1m", "5m"), made
    )
    figures = interleaved(cases, rounds=QUICK_ROUNDS if quick else ROUNDS)
    return [
        row(
            "indicators",
            case,
            figures,
            "/s",
            against=f"talipp {case}" if case in beside else None,
        )
        for case in cases
    ]


if __name__ == "__main__":
    main(measure)
