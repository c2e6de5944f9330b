"""Limits of an account, and the guard that keeps them."""

from wrappy.runner.risk.flattening import FlattenReport, flatten
from wrappy.runner.risk.guard import AccountGuard
from wrappy.runner.risk.limits import RiskLimits

__all__ = ["AccountGuard", "FlattenReport", "RiskLimits", "flatten"]
