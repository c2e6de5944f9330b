"""Runs strategies: start, crash, stop, and what their state is."""

from wrappy.runner.engine.engine import StopReport, TradingEngine

__all__ = ["StopReport", "TradingEngine"]
