"""How long to wait before trying again, and how often to try at all."""

from __future__ import annotations

from wrappy._core.quota import RollingWindow
from wrappy.errors import ConfigError

CONNECTS_PER_MINUTE = 80
"""Most WebSocket connects in a minute and from one address; the lowest limit that the
official API documentation has named."""


class Backoff:
    """Waiting times that grow with each failure, up to a ceiling."""

    __slots__ = ("_ceiling_s", "_factor", "_first_s", "_jitter", "_upcoming_s")

    def __init__(
        self,
        *,
        first_s: float = 0.25,
        factor: float = 2.0,
        ceiling_s: float = 30.0,
        jitter: float = 0.5,
    ) -> None:
        """Start with the shortest wait.

        Args:
            first_s: first wait in seconds, above 0.
            factor: growth from one wait to the next, 1 or more.
            ceiling_s: longest wait in seconds, not below `first_s`.
            jitter: share of a wait that chance may take away, 0..1, so that many
                clients do not return in step.

        Raises:
            ConfigError: a number is out of range.
        """
        if not 0 < first_s <= ceiling_s or factor < 1 or not 0 <= jitter <= 1:
            raise ConfigError(
                f"backoff: first_s {first_s!r}, ceiling_s {ceiling_s!r}, factor "
                f"{factor!r}, jitter {jitter!r}; need 0 < first_s <= ceiling_s, "
                "factor >= 1 and jitter within 0..1"
            )
        self._first_s = first_s
        self._factor = factor
        self._ceiling_s = ceiling_s
        self._jitter = jitter
        self._upcoming_s = first_s

    def next(self, u: float) -> float:
        """Return the next wait in seconds, never above the ceiling.

        Args:
            u: a random number in 0 <= u < 1, drawn by the caller.
        """
        wait_s = self._upcoming_s * (1 - self._jitter * u)
        self._upcoming_s = min(self._ceiling_s, self._upcoming_s * self._factor)
        return wait_s

    def reset(self) -> None:
        """Note a success: the next wait is the shortest again."""
        self._upcoming_s = self._first_s


class ConnectBudget:
    """Keeps connects below the exchange's limit, whatever fails how fast."""

    __slots__ = ("_window",)

    def __init__(
        self, limit: int = CONNECTS_PER_MINUTE, *, window_s: float = 60.0
    ) -> None:
        self._window = RollingWindow(limit, window_s)

    def offer(self, now: float) -> float:
        """Count one connect if it is allowed.

        Returns:
            0.0 when it may happen now and is counted, else the seconds to wait
            before asking again.
        """
        return self._window.offer(1, now)
