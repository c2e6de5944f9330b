"""Many runs with different parameters: which are best, and how much of it is luck.

What is tried is decided by the seed alone, never by who finishes first; every trial is
written down the moment it is over, so a sweep that was stopped goes on where it was.
"""

from wrappy.runner.sweep.cluster import cluster_executor
from wrappy.runner.sweep.heat_map import HeatMap, heat_map
from wrappy.runner.sweep.progress import NoProgress, RichProgress, SweepProgress
from wrappy.runner.sweep.result import SweepResult, Trial
from wrappy.runner.sweep.space import Choice, Range, Space, read_range
from wrappy.runner.sweep.stamp import Stamp, Stamped
from wrappy.runner.sweep.store import TrialStore
from wrappy.runner.sweep.strategy_backtest import StrategyBacktest
from wrappy.runner.sweep.sweep import SweepBrokenError, SweepStoppedError, sweep
from wrappy.runner.sweep.this_process import ThisProcess
from wrappy.runner.sweep.walk_forward import (
    Fold,
    WalkForward,
    Window,
    rolling_windows,
    walk_forward,
)

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
