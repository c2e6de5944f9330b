"""The words of a stream: where it is in its life, and what a frame turned out to be."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class StreamState(enum.Enum):
    """Where a stream is in its life."""

    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    READY = "ready"
    CLOSED = "closed"


class EventKind(enum.Enum):
    """What a received frame turned out to be."""

    SNAPSHOT = "snapshot"
    UPDATE = "update"
    READY = "ready"
    SHUTDOWN = "shutdown"
    REFUSED = "refused"
    REPLY = "reply"
    UNREADABLE = "unreadable"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One thing the shell should act on.

    Attributes:
        kind: what it is.
        channel: request name of the channel it belongs to, if any.
        message: the decoded frame; empty for what speaks of a channel.
        code: error code of a refusal, else 0.
    """

    kind: EventKind
    channel: str | None
    message: Mapping[str, Any]
    code: int = 0
