"""Every WebSocket conversation of one exchange: who is there, and who must go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from wrappy.venue.broadcast import Broadcast, encode
from wrappy.venue.conversation import GOING_AWAY, Session
from wrappy.venue.exchange import Refused
from wrappy.venue.messages import TOO_MANY_CONNECTIONS
from wrappy.venue.outgoing import POLICY_VIOLATION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wrappy.venue.events import Event
    from wrappy.venue.floor import Floor
    from wrappy.venue.outgoing import Socket
    from wrappy.venue.sabotage import Sabotage

RESTART: Final = 1012
_CHECK_US: Final = 1_000_000
_TICK_US: Final = 100_000
_SECOND_US: Final = 1_000_000


class Sessions:
    """All WebSocket sessions on one exchange floor.

    Args:
        floor: what they are about.
        sabotage: what goes wrong.
    """

    def __init__(self, floor: Floor, sabotage: Sabotage) -> None:
        self._floor = floor
        self._sabotage = sabotage
        self._broadcast = Broadcast(floor)
        # In order of arrival, which a set would not keep.
        self._sessions: dict[Session, None] = {}
        self._check_at_us = floor.now_us() + _CHECK_US
        self._tick_at_us = 0
        self._closing = False
        self._rules = floor.settings.stream_limits

    @property
    def sessions(self) -> frozenset[Session]:
        """Connections that are open now."""
        return frozenset(self._sessions)

    @property
    def backlog(self) -> int:
        """Frames that the slowest reader is behind."""
        return max((session.backlog for session in self._sessions), default=0)

    def admit(self, ip: str) -> None:
        """Count a new connection.

        Raises:
            Refused: 23003, there were too many in a minute, or are too many now.
        """
        limits, now = self._floor.limits, self._floor.now_us() / 1_000_000
        if limits is None:
            return
        open_now = sum(session.ip == ip for session in self._sessions)
        if limits.connect(ip, now=now) or open_now >= self._rules.connections:
            raise Refused(TOO_MANY_CONNECTIONS)

    async def serve(
        self, socket: Socket, *, ip: str = "", readonly: bool = False
    ) -> bool:
        """Serve one connection to its end; return whether it has to be cut.

        Args:
            socket: the connection, which `admit` let in.
            ip: where it comes from.
            readonly: whether it may send no transactions.
        """
        session = Session(
            socket,
            self._floor,
            self._broadcast,
            self._sabotage,
            ip=ip,
            readonly=readonly,
        )
        if self._closing:
            session.end(GOING_AWAY, "shutting down")
        self._sessions[session] = None
        # Whoever comes may have to go before those that are here.
        self._check_at_us = min(self._check_at_us, self._floor.now_us() + _CHECK_US)
        try:
            # The connection is no HTTP any more: what goes wrong in it is recorded
            # here, an error page would only be noise in the stream.
            [outcome] = await asyncio.gather(session.run(), return_exceptions=True)
        finally:
            del self._sessions[session]
        if isinstance(outcome, Exception):
            self._floor.record_failure(outcome)
        return session.stuck

    def close(self) -> None:
        """Have every connection closed with 1001."""
        self._closing = True
        for session in self._sessions:
            session.end(GOING_AWAY, "shutting down")

    def announce_shutdown(self, close_in_s: float) -> None:
        """Tell every connection of a restart, and close it so much later with 1012."""
        frame = encode({"type": "shutdown", "close_in_ms": round(close_in_s * 1_000)})
        loop = asyncio.get_running_loop()
        for session in tuple(self._sessions):
            session.say(frame)
            loop.call_later(close_in_s, session.end, RESTART, "service restart")

    def drop_laggards(self, backlog: int) -> None:
        """Disconnect every reader that is more than `backlog` frames behind."""
        for session in self._sessions:
            if session.backlog > backlog:
                session.end(POLICY_VIOLATION, "slow reader")

    # ------------------------------------------------- what the floor asks for

    def publish(self, events: Sequence[Event], now_us: int) -> None:
        """Tell the channels what happened."""
        self._broadcast.publish(events, now_us)

    def hears_markets(self) -> bool:
        """Return whether anybody listens to what happens in markets."""
        return self._broadcast.hears_markets()

    def hears_marks(self) -> bool:
        """Return whether anybody is told of equity as prices move."""
        return self._broadcast.hears_marks()

    def due_us(self) -> int | None:
        """Return when held-back changes or the connections need a look."""
        due = self._broadcast.due_us()
        if not self._sessions:
            return due
        check = self._check_at_us
        if self._sabotage.faults.watches("tick"):
            check = min(check, self._tick_at_us)
        return check if due is None else min(due, check)

    def flush(self, now_us: int) -> None:
        """Send what is due and look after the connections."""
        due = self._broadcast.due_us()
        if due is not None and due <= now_us:
            self._broadcast.flush(now_us)
        if self._check_at_us <= now_us:
            self._check(now_us)
            self._check_at_us = now_us + self._pause_us(now_us)
        if self._tick_at_us <= now_us and self._sabotage.faults.watches("tick"):
            self._tick_at_us = (now_us // _TICK_US + 1) * _TICK_US
            for session in self._sessions:
                session.tick()

    def _pause_us(self, now_us: int) -> int:
        # Whole seconds until the first connection can have to go; who is heard of
        # meanwhile is looked at again then.
        rules = self._rules
        left_us = rules.idle_close_s * _SECOND_US
        for session in self._sessions:
            left_us = min(
                left_us, session.heard_us + rules.idle_close_s * _SECOND_US - now_us
            )
            if rules.connection_life_s:
                life_us = rules.connection_life_s * _SECOND_US
                left_us = min(left_us, life_us - session.age_us(now_us))
            if session.frozen or self._floor.settings.expired_token != "keep":  # noqa: S105
                return _CHECK_US
        return max(_CHECK_US, -(-left_us // _CHECK_US) * _CHECK_US)

    def _check(self, now_us: int) -> None:
        for session in self._sessions:
            if session.frozen:
                continue
            rules = self._rules
            if now_us - session.heard_us >= rules.idle_close_s * _SECOND_US:
                session.end(POLICY_VIOLATION, "no frame for two minutes")
            elif 0 < rules.connection_life_s * _SECOND_US <= session.age_us(now_us):
                session.end(GOING_AWAY, "connection is too old")
            elif self._floor.settings.expired_token != "keep":  # noqa: S105
                session.drop_expired(now_us)


def asks_readonly(query: Mapping[str, str]) -> bool:
    """Return whether the query of a stream's address asks for one that cannot send."""
    return query.get("readonly", "").lower() == "true"
