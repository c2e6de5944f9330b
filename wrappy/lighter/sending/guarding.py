"""What may stand in front of every order: a guard that says no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from wrappy.errors import RiskDeniedError, RiskRule
from wrappy.protocol.intents import CancelAllOrders, CancelOrder

if TYPE_CHECKING:
    from wrappy.protocol.intents import Intent


class OrderGuard(Protocol):
    """Judges what an account is about to do; cancels have to pass."""

    def admit(self, intent: Intent) -> None:
        """Let an intent into the queue.

        Raises:
            RiskDeniedError: it may not; nothing of it is queued or sent.
        """
        ...

    def stops(self, intent: Intent) -> str | None:
        """Return why an intent that was let in must not leave now, None if it may."""
        ...


class CancelsOnly:
    """Lets nothing pass but cancels, for whoever is on the way out.

    Args:
        reason: why, in words.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def admit(self, intent: Intent) -> None:
        """Let a cancel into the queue.

        Raises:
            RiskDeniedError: it is something else.
        """
        why = self.stops(intent)
        if why is not None:
            raise RiskDeniedError(why, rule=RiskRule.ENDED)

    def stops(self, intent: Intent) -> str | None:
        """Return why an intent must not leave, None for a cancel."""
        is_cancel = isinstance(intent, (CancelOrder, CancelAllOrders))
        return None if is_cancel else self._reason
