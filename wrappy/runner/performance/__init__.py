"""What a run came to: equity, trades, costs and ratios, each with its formula.

Collecting is done in integers while the run goes on; ratios are worked out once, at
its end. A figure whose definition gives no number is None.
"""

from __future__ import annotations

from wrappy.runner.performance.activity import ActivityFigures, CostFigures
from wrappy.runner.performance.baselines import BuyAndHold, no_trade
from wrappy.runner.performance.drawdown import DrawdownFigures, DrawdownMeter
from wrappy.runner.performance.equity import CurvePoint, EquityCurve
from wrappy.runner.performance.fills import Fill, fill_at
from wrappy.runner.performance.formulas import FORMULAS
from wrappy.runner.performance.ratios import ReturnFigures
from wrappy.runner.performance.recorder import PerformanceRecorder
from wrappy.runner.performance.results import About, Baseline, Results
from wrappy.runner.performance.round_trips import RoundTrip, RoundTripBook
from wrappy.runner.performance.summary import summary_text
from wrappy.runner.performance.trade_figures import TradeFigures
from wrappy.runner.performance.trials import TrialFigures, trial_figures

__all__ = [
    "FORMULAS",
    "About",
    "ActivityFigures",
    "Baseline",
    "BuyAndHold",
    "CostFigures",
    "CurvePoint",
    "DrawdownFigures",
    "DrawdownMeter",
    "EquityCurve",
    "Fill",
    "PerformanceRecorder",
    "Results",
    "ReturnFigures",
    "RoundTrip",
    "RoundTripBook",
    "TradeFigures",
    "TrialFigures",
    "fill_at",
    "no_trade",
    "summary_text",
    "trial_figures",
]
