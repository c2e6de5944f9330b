"""Candles and trades of the past: from files, and from the exchange.

Order, repeats, gaps and contradictions are judged row by row; nothing is filled in or
left out without being said.
"""

from __future__ import annotations

from wrappy.runner.history.candle_file import CandleFile
from wrappy.runner.history.columns import CandleColumns, TradeColumns
from wrappy.runner.history.download import CandleDownload, Fetch
from wrappy.runner.history.pages import CandlePages
from wrappy.runner.history.sequence import CandleSequence
from wrappy.runner.history.trade_file import TradeFile
from wrappy.runner.history.values import (
    CandleSeries,
    FlatCandle,
    Gap,
    HistoryError,
    OnGap,
    TradeSeries,
    resolution_ms,
    resolution_name,
)

__all__ = [
    "CandleColumns",
    "CandleDownload",
    "CandleFile",
    "CandlePages",
    "CandleSequence",
    "CandleSeries",
    "Fetch",
    "FlatCandle",
    "Gap",
    "HistoryError",
    "OnGap",
    "TradeColumns",
    "TradeFile",
    "TradeSeries",
    "resolution_ms",
    "resolution_name",
]
