"""Indicators: pure objects that turn candles and prices into signals, step by step."""

from __future__ import annotations

from wrappy.runner.indicators.averages import EMA, RMA, SMA
from wrappy.runner.indicators.base import (
    CandleIndicator,
    Indicator,
    IndicatorInputError,
    NumberIndicator,
)
from wrappy.runner.indicators.crossing import Crossover
from wrappy.runner.indicators.momentum import MACD, RSI, MACDValue, RateOfChange
from wrappy.runner.indicators.ranges import (
    ATR,
    Donchian,
    DonchianValue,
    Highest,
    Lowest,
)
from wrappy.runner.indicators.resample import Resampler, TradeCandles
from wrappy.runner.indicators.resolution import resolution_ms
from wrappy.runner.indicators.spread import (
    BollingerBands,
    BollingerValue,
    StandardDeviation,
    ZScore,
)
from wrappy.runner.indicators.ut_bot import UTBot, UTBotValue
from wrappy.runner.indicators.volume import VWAP

__all__ = [
    "ATR",
    "EMA",
    "MACD",
    "RMA",
    "RSI",
    "SMA",
    "VWAP",
    "BollingerBands",
    "BollingerValue",
    "CandleIndicator",
    "Crossover",
    "Donchian",
    "DonchianValue",
    "Highest",
    "Indicator",
    "IndicatorInputError",
    "Lowest",
    "MACDValue",
    "NumberIndicator",
    "RateOfChange",
    "Resampler",
    "StandardDeviation",
    "TradeCandles",
    "UTBot",
    "UTBotValue",
    "ZScore",
    "resolution_ms",
]
