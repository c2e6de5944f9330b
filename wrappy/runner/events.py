"""What happened to a bot lately: a short log of its own, bounded, for people."""

from __future__ import annotations

import enum
import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEFAULT_CAPACITY: Final = 1_000
MOST_CHARACTERS: Final = 300
"""Longer texts are cut: an exception may quote a whole answer."""


class Tone(enum.Enum):
    """How much a person should care."""

    PLAIN = "plain"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


class EventKind(enum.Enum):
    """What can happen."""

    STRATEGY_STARTED = "strategy_started"
    STRATEGY_FINISHED = "strategy_finished"
    STRATEGY_STOPPED = "strategy_stopped"
    STRATEGY_CRASHED = "strategy_crashed"
    ORDER_FILLED = "order_filled"
    """A trade of ours, the whole order or a part of it."""

    ORDER_REJECTED = "order_rejected"
    ORDER_UNKNOWN = "order_unknown"
    """It left, no answer came back: it may exist."""

    ORDER_KNOWN_AGAIN = "order_known_again"
    RISK_STATE = "risk_state"
    STREAM_LOST = "stream_lost"
    STREAM_BACK = "stream_back"
    FOREIGN_NONCE = "foreign_nonce"
    """Somebody else uses one of our API keys."""

    LOOP_BLOCKED = "loop_blocked"
    """The event loop stood still: nothing was sent or heard meanwhile."""

    MARKET_SHARED = "market_shared"
    """Several strategies trade one market of one account."""

    NOTE = "note"


TONES: Final = {
    EventKind.STRATEGY_STARTED: Tone.GOOD,
    EventKind.STRATEGY_CRASHED: Tone.BAD,
    EventKind.ORDER_REJECTED: Tone.WARN,
    EventKind.ORDER_UNKNOWN: Tone.BAD,
    EventKind.ORDER_KNOWN_AGAIN: Tone.GOOD,
    EventKind.RISK_STATE: Tone.WARN,
    EventKind.STREAM_LOST: Tone.WARN,
    EventKind.STREAM_BACK: Tone.GOOD,
    EventKind.FOREIGN_NONCE: Tone.BAD,
    EventKind.LOOP_BLOCKED: Tone.WARN,
    EventKind.MARKET_SHARED: Tone.WARN,
}
"""Tones of the kinds that are not plain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """One thing that happened.

    Attributes:
        number: counts from 1; a gap means that something was forgotten.
        at_s: unix seconds by the world's clock.
        kind: what.
        tone: how much to care.
        text: one line for a person; never a secret.
        strategy: the strategy it is about; empty for the account or the program.
        symbol: the market it is about; empty for none.
    """

    number: int
    at_s: float
    kind: EventKind
    tone: Tone
    text: str
    strategy: str = ""
    symbol: str = ""


class EventRing:
    """The latest events; the oldest go when there are too many.

    Events are entered in the event loop of the trading; they may be read from any
    thread.

    Args:
        unix_s: the clock.
        capacity: events that are kept.
        secrets: texts that must never be in an event; they are blotted out.

    Attributes:
        counts: events so far by kind, those forgotten included.

    Raises:
        ConfigError: no room for a single event.
    """

    def __init__(
        self,
        unix_s: Callable[[], float],
        *,
        capacity: int = DEFAULT_CAPACITY,
        secrets: Iterable[str] = (),
    ) -> None:
        if capacity < 1:
            raise ConfigError(f"capacity: {capacity} leaves no room for an event")
        self.counts: Counter[EventKind] = Counter()
        self._unix_s = unix_s
        self._rows: deque[RunEvent] = deque(maxlen=capacity)
        self._secrets: tuple[str, ...] = ()
        self._listeners: tuple[Callable[[RunEvent], None], ...] = ()
        self._last = 0
        self._lock = threading.Lock()
        self.hide(secrets)

    def hide(self, secrets: Iterable[str]) -> None:
        """Blot out more texts from now on."""
        known = {*self._secrets, *filter(None, secrets)}
        # A secret that is a part of another must not spoil the longer one.
        self._secrets = tuple(sorted(known, key=len, reverse=True))

    @property
    def last_number(self) -> int:
        """Number of the newest event; 0 before the first."""
        return self._last

    def note(
        self, kind: EventKind, text: str, *, strategy: str = "", symbol: str = ""
    ) -> RunEvent:
        """Enter an event and tell those who listen."""
        event = RunEvent(
            number=self._last + 1,
            at_s=self._unix_s(),
            kind=kind,
            tone=TONES.get(kind, Tone.PLAIN),
            text=self._clean(text),
            strategy=strategy,
            symbol=symbol,
        )
        with self._lock:
            self._last = event.number
            self._rows.append(event)
        self.counts[kind] += 1
        for listener in self._listeners:
            listener(event)
        return event

    def latest(self, most: int, *, after: int = 0) -> tuple[RunEvent, ...]:
        """Return up to `most` of the newest events, oldest first.

        Args:
            most: how many at most.
            after: only those with a higher number.
        """
        with self._lock:
            rows = tuple(self._rows)
        newer = tuple(row for row in rows if row.number > after)
        return newer[-most:] if most > 0 else ()

    def listen(self, listener: Callable[[RunEvent], None]) -> Callable[[], None]:
        """Have every event told from now on; return what ends it.

        The listener is called from within the trading: it has to be quick and must
        not raise.
        """
        self._listeners += (listener,)

        def end() -> None:
            self._listeners = tuple(
                one for one in self._listeners if one is not listener
            )

        return end

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        line = " ".join(text.split())
        if len(line) > MOST_CHARACTERS:
            return f"{line[: MOST_CHARACTERS - 1]}…"
        return line
