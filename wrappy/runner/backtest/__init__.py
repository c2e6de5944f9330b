"""Backtests: recorded markets, the exchange's rules, time that does not wait."""

from wrappy.runner.backtest.backtest import BacktestRun, run_backtest
from wrappy.runner.backtest.data import CandleData
from wrappy.runner.backtest.prefixes import LookAhead, decisions_on_prefixes
from wrappy.runner.backtest.sensitivity import (
    SensitivityRow,
    sensitivity,
    sensitivity_text,
)
from wrappy.runner.backtest.settings import BacktestSettings
from wrappy.runner.backtest.tape_data import TapeData

__all__ = [
    "BacktestRun",
    "BacktestSettings",
    "CandleData",
    "LookAhead",
    "SensitivityRow",
    "TapeData",
    "decisions_on_prefixes",
    "run_backtest",
    "sensitivity",
    "sensitivity_text",
]
