"""One channel of a stream: where it stands between wanted, asked for and live."""

from __future__ import annotations

from dataclasses import dataclass, field

from wrappy._core.stream_events import EventKind, StreamEvent

SPOILS_FORGOTTEN_S = 60.0
SPOILED_PAUSES = ((30, 5.0), (10, 1.5))
"""So many fresh snapshots of a channel in a row, each less than a minute after the one
before, and the next one waits so long: a channel that is never sound must not use up
the messages that others need."""


@dataclass(slots=True)
class WantedChannel:
    """A channel that is to be subscribed, and the request under way for it.

    Attributes:
        request_name: how it is asked for, such as `order_book/0`.
        private: whether it needs a token.
        live: its snapshot has come, and it goes on from there.
        asked_at: when a subscribe left that is unanswered.
        leaving: it is to be unsubscribed first.
        left_at: when an unsubscribe left that is unanswered.
        dropped: nobody wants it any more.
        refused_at: when it was refused last.
        refusals: how often in a row.
        spoils: fresh snapshots asked for in a row.
        spoiled_at: when that was last.
        not_before: when it may be asked for again.
        token: what it was asked for with.
        update: what every update of it is, for the shell.
    """

    request_name: str
    private: bool
    live: bool = False
    asked_at: float | None = None
    leaving: bool = False
    left_at: float | None = None
    dropped: bool = False
    refused_at: float | None = None
    refusals: int = 0
    spoils: int = 0
    spoiled_at: float = 0.0
    not_before: float = 0.0
    token: str | None = field(default=None, repr=False)
    # Made once: a busy channel tells of thousands a second.
    update: list[StreamEvent] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.update = [StreamEvent(EventKind.UPDATE, self.request_name, {})]

    @property
    def pending_since(self) -> float | None:
        """When the request went out that is unanswered; one at a time, at most."""
        return self.asked_at if self.left_at is None else self.left_at

    def leave(self) -> None:
        """Have it unsubscribed; unless dropped it is asked for again after that."""
        self.live, self.leaving = False, True

    def spoil(self, now: float) -> None:
        """Have it asked for anew, but not too often."""
        soon = now - self.spoiled_at < SPOILS_FORGOTTEN_S
        self.spoils = self.spoils + 1 if soon else 1
        self.spoiled_at = now
        pauses = (pause for count, pause in SPOILED_PAUSES if self.spoils > count)
        self.not_before = now + next(pauses, 0.0)
        self.leave()

    def forget(self) -> None:
        """Start over, as on a fresh connection."""
        self.not_before = 0.0
        self.live = self.leaving = False
        self.asked_at = self.left_at = self.refused_at = None
        self.refusals = 0
