"""Journal against exchange: where the two disagree, and how that is put right."""

from wrappy.runner.reconcile.comparing import (
    Comparison,
    Drift,
    DriftKind,
    Fate,
    compare,
)

__all__ = ["Comparison", "Drift", "DriftKind", "Fate", "compare"]
