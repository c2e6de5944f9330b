"""The last requests that came in, for whoever watches: no tokens, no bodies."""

from __future__ import annotations

import re
from collections import deque
from typing import Any, Final, NamedTuple

KEPT: Final = 60
LONGEST: Final = 160
_HEAD_BYTES: Final = 400
_CODE: Final = re.compile(rb'^\s*\{"code":\s*(\d{1,9})')
_TYPE: Final = re.compile(r'"type"\s*:\s*"([^"\\]{1,40})"')
_CHANNEL: Final = re.compile(r'"channel"\s*:\s*"([^"\\]{1,80})"')
_BEATS: Final = frozenset({"ping", "pong"})


class Visit(NamedTuple):
    """One request.

    Attributes:
        at_us: venue time of its end, unix microseconds.
        method: of HTTP, or `WS` for a message on a WebSocket.
        path: without the query, in which tokens may stand; or type and channel.
        status: of HTTP; None where there was no answer, or none is known.
        code: in the answer's body, or None.
        took_us: how long it took here; None where that is not known.
    """

    at_us: int
    method: str
    path: str
    status: int | None
    code: int | None
    took_us: int | None


class Visits:
    """The latest of them, in bounded memory."""

    def __init__(self) -> None:
        self._latest: deque[Visit] = deque(maxlen=KEPT)
        self.count = 0

    def request(
        self,
        method: str,
        path: str,
        *,
        at_us: int,
        took_us: int,
        status: int | None = None,
        body: bytes = b"",
    ) -> None:
        """Keep a REST request; without a status it was never answered."""
        found = _CODE.match(body[:_HEAD_BYTES])
        code = None if found is None else int(found[1])
        self._keep(Visit(at_us, method, path[:LONGEST], status, code, took_us))

    def message(self, text: str, *, at_us: int) -> None:
        """Keep a WebSocket message's type and channel; heartbeats are left out."""
        head = text[:_HEAD_BYTES]
        kind = _TYPE.search(head)
        word = "?" if kind is None else kind[1]
        if word in _BEATS:
            return
        channel = _CHANNEL.search(head)
        path = word if channel is None else f"{word} {channel[1]}"
        self._keep(Visit(at_us, "WS", path, None, None, None))

    def _keep(self, visit: Visit) -> None:
        self.count += 1
        self._latest.append(visit)

    def latest(self) -> list[dict[str, Any]]:
        """Return them, newest first, ready for JSON."""
        return [visit._asdict() for visit in reversed(self._latest)]
