"""What a strategy is, and what it is given."""

from wrappy.runner.strategy.context import Context
from wrappy.runner.strategy.not_now import NOT_NOW
from wrappy.runner.strategy.own_count import OwnCount
from wrappy.runner.strategy.positions import go_to_position
from wrappy.runner.strategy.strategy import NoParameters, Strategy

__all__ = [
    "NOT_NOW",
    "Context",
    "NoParameters",
    "OwnCount",
    "Strategy",
    "go_to_position",
]
