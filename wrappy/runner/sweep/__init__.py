"""Many runs with different parameters: which are best, and how much of it is luck.

What is tried is decided by the seed alone, never by who finishes first; every trial is
written down the moment it is over, so a sweep that was stopped goes on where it was.

`StrategyBacktest` loads on first use: a worker whose runs are something else need not
have the exchange and the client in it, half a second of processor time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wrappy.runner.sweep.cluster import cluster_executor
from wrappy.runner.sweep.heat_map import HeatMap, heat_map
from wrappy.runner.sweep.progress import NoProgress, RichProgress, SweepProgress
from wrappy.runner.sweep.result import SweepResult, Trial
from wrappy.runner.sweep.space import Choice, Range, Space, read_range
from wrappy.runner.sweep.stamp import Stamp, Stamped
from wrappy.runner.sweep.store import TrialStore
from wrappy.runner.sweep.sweep import SweepBrokenError, SweepStoppedError, sweep
from wrappy.runner.sweep.this_process import ThisProcess
from wrappy.runner.sweep.walk_forward import (
    Fold,
    WalkForward,
    Window,
    rolling_windows,
    walk_forward,
)

if TYPE_CHECKING:
    from wrappy.runner.sweep.strategy_backtest import StrategyBacktest

__all__ = [
    "Choice",
    "Fold",
    "HeatMap",
    "NoProgress",
    "Range",
    "RichProgress",
    "Space",
    "Stamp",
    "Stamped",
    "StrategyBacktest",
    "SweepBrokenError",
    "SweepProgress",
    "SweepResult",
    "SweepStoppedError",
    "ThisProcess",
    "Trial",
    "TrialStore",
    "WalkForward",
    "Window",
    "cluster_executor",
    "heat_map",
    "read_range",
    "rolling_windows",
    "sweep",
    "walk_forward",
]


def __getattr__(name: str) -> Any:
    """Load what is heavy when it is asked for."""
    if name == "StrategyBacktest":
        from wrappy.runner.sweep.strategy_backtest import (  # noqa: PLC0415 - heavy
            StrategyBacktest,
        )

        return StrategyBacktest
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
