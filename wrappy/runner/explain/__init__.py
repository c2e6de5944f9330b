"""The life of one order, told from the journal and from the exchange."""

from wrappy.runner.explain.life import LifeEvent, OrderLife, tell

__all__ = ["LifeEvent", "OrderLife", "tell"]
