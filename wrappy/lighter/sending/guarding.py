"""What may stand in front of every order: a guard that says no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

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
