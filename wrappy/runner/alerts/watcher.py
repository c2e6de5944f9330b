"""Watches a bot from a thread of its own and tells a person what needs one.

The thread reads what the trading has published, so it still speaks when the event loop
hangs, and a slow mail server holds up nothing but the next message.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from wrappy.runner.alerts.gate import AlertGate
from wrappy.runner.alerts.rules import Alert, AlertRules
from wrappy.runner.events import Tone
from wrappy.runner.side_thread import SideThread

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from wrappy.runner.alerts.settings import AlertSettings
    from wrappy.runner.events import EventRing, RunEvent
    from wrappy.runner.monitor.snapshot import MonitorSource

logger = logging.getLogger("wrappy.alerts")

LOOK_EVERY_S: Final = 1.0
MOST_WAITING: Final = 100
"""Events that wait while a message is on its way; the oldest go first."""

END_WITHIN_S: Final = 10.0
_MARKS: Final = {Tone.GOOD: "OK", Tone.PLAIN: "NOTE", Tone.WARN: "WARN"}


class Notify(Protocol):
    """Sends a message, in the thread of the alerts, taking its time."""

    def __call__(self, title: str, body: str, tone: Tone) -> int:
        """Send it; return how many of those addressed did not get it."""
        ...


class Alerts:
    """Tells a person of crashes, risk, doubts, outages and losses.

        async with Alerts(watch, watch.events, settings, notify):
            await engine.start()

    Args:
        source: figures.
        events: what happens.
        settings: bounds, and how often.
        notify: sends.
        every_s: pause between two looks, seconds.
        clock: monotone seconds.

    Attributes:
        sent: messages that somebody got.
        failed: messages that somebody did not get.
        dropped: events that were let go because too many waited.
    """

    def __init__(
        self,
        source: MonitorSource,
        events: EventRing,
        settings: AlertSettings,
        notify: Notify,
        *,
        every_s: float = LOOK_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sent = self.failed = self.dropped = 0
        self._source = source
        self._events = events
        self._settings = settings
        self._notify = notify
        self._every_s = every_s
        self._clock = clock
        self._rules = AlertRules(settings)
        self._gate = AlertGate(
            repeat_s=settings.repeat_s, most_per_hour=settings.most_per_hour
        )
        self._waiting: deque[RunEvent] = deque()
        self._lock = threading.Lock()
        self._enough = threading.Event()
        self._thread: SideThread | None = None
        self._unlisten: Callable[[], None] | None = None

    async def __aenter__(self) -> Alerts:  # noqa: PYI034 - typing.Self needs 3.11
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def start(self) -> None:
        """Begin to watch; a second call does nothing."""
        if self._thread is None:
            self._unlisten = self._events.listen(self._heard)
            self._thread = SideThread(self._watch, name="wrappy-alerts")

    async def aclose(self) -> None:
        """Send what waits and end; a message that hangs is left behind."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._unlisten is not None:
            self._unlisten()
        self._enough.set()
        if not await thread.ended(END_WITHIN_S):
            logger.warning("an alert is still on its way; it is left behind")

    def look(self) -> None:
        """Look once, and send what there is to send; takes as long as sending does."""
        with self._lock:
            events, self._waiting = tuple(self._waiting), deque()
        found = [self._rules.event(event) for event in events]
        alerts = [alert for alert in found if alert is not None]
        alerts += self._rules.look(self._source.latest.figures, self._source.age_s())
        for alert in self._gate.take(alerts, self._clock()):
            self._send(alert)

    def _heard(self, event: RunEvent) -> None:
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(event)

    def _watch(self) -> None:
        while not self._enough.wait(self._every_s):
            self.look()
        self.look()

    def _send(self, alert: Alert) -> None:
        look = self._source.latest
        where = f"{look.world}, account {look.account_index}"
        mark = _MARKS.get(alert.tone, "ALERT")
        title = f"{self._settings.title} {mark} ({where})"
        if self._notify(title, alert.text, alert.tone):
            self.failed += 1
            logger.error("an alert did not reach everybody: %s", alert.text)
        else:
            self.sent += 1
