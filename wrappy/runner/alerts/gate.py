"""How many alerts leave: the same one seldom, all together so many an hour."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from wrappy.runner.alerts.rules import Alert
from wrappy.runner.events import Tone

if TYPE_CHECKING:
    from collections.abc import Iterable

HOUR_S: Final = 3_600.0
MOST_KEYS: Final = 1_000
MOST_LINES: Final = 12
DIGEST_PAUSE_S: Final = 300.0
"""What was held back is told together after so long, if there is room by then."""


class AlertGate:
    """Lets alerts through or keeps them for a digest; takes `now`, waits for nothing.

    Args:
        repeat_s: the same alert does not pass again for so long; it is counted.
        most_per_hour: messages in any hour, digests included.

    Attributes:
        held: alerts that wait for the next digest.
    """

    def __init__(self, *, repeat_s: float, most_per_hour: int) -> None:
        self.held: Counter[str] = Counter()
        self._repeat_s = repeat_s
        self._most = most_per_hour
        self._passed: dict[str, float] = {}
        self._left: deque[float] = deque()
        self._texts: dict[str, str] = {}
        self._held_since = 0.0

    def take(self, alerts: Iterable[Alert], now: float) -> list[Alert]:
        """Return what may be sent now.

        Args:
            alerts: new ones, in order.
            now: monotone seconds.
        """
        passing = [alert for alert in alerts if self._passes(alert, now)]
        digest = self._digest(now)
        return passing if digest is None else [*passing, digest]

    def _passes(self, alert: Alert, now: float) -> bool:
        before = self._passed.get(alert.key)
        if before is not None and now - before < self._repeat_s:
            self._hold(alert, now)
            return False
        if not self._room(now, kept_free=1):
            self._hold(alert, now)
            return False
        self._passed.pop(alert.key, None)
        self._passed[alert.key] = now
        if len(self._passed) > MOST_KEYS:
            del self._passed[next(iter(self._passed))]
        self._left.append(now)
        return True

    def _room(self, now: float, *, kept_free: int) -> bool:
        while self._left and now - self._left[0] >= HOUR_S:
            self._left.popleft()
        # The last place is the digest's, so that nothing is ever held for good.
        most = max(1, self._most - kept_free)
        return len(self._left) < most

    def _hold(self, alert: Alert, now: float) -> None:
        if not self.held:
            self._held_since = now
        self.held[alert.key] += 1
        if len(self._texts) < MOST_KEYS or alert.key in self._texts:
            self._texts[alert.key] = alert.text

    def _digest(self, now: float) -> Alert | None:
        if not self.held or now - self._held_since < DIGEST_PAUSE_S:
            return None
        if not self._room(now, kept_free=0):
            return None
        lines = [
            f"{count} × {self._texts[key]}"
            for key, count in self.held.most_common()
            if key in self._texts
        ]
        more = len(lines) - MOST_LINES
        if more > 0:
            lines[MOST_LINES:] = [f"and {more} more kinds"]
        total = sum(self.held.values())
        self.held.clear()
        self._texts.clear()
        self._left.append(now)
        return Alert(
            key="digest",
            text="\n".join([f"{total} more alert(s) meanwhile:", *lines]),
            tone=Tone.WARN,
        )
