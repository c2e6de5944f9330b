"""What one WebSocket connection is subscribed to, and with what right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from wrappy.protocol.channels import Channel, parse_channel
from wrappy.protocol.codes import code_message
from wrappy.venue.exchange import Refused
from wrappy.venue.gate import INVALID_AUTH

if TYPE_CHECKING:
    from wrappy.venue.broadcast import Broadcast, Subscriber
    from wrappy.venue.floor import Floor

_NOT_SUBSCRIBED: Final = 30002
_ALREADY_SUBSCRIBED: Final = 30003
_INVALID_CHANNEL: Final = 30005
_TOO_MANY_SUBSCRIPTIONS: Final = 23001
_TOO_MANY_ACCOUNTS: Final = 23002


class Refuse(Protocol):
    """Tells the client that something was refused."""

    def __call__(self, code: int, message: str = "", **extra: Any) -> None:
        """Send an error frame, with further fields beside the error."""


class Subscriptions:
    """The channels of one connection.

    Args:
        floor: what they tell of.
        broadcast: hands out their frames.
        subscriber: whom to hand them to.
        refuse: sends an error frame.
    """

    def __init__(
        self, floor: Floor, broadcast: Broadcast, subscriber: Subscriber, refuse: Refuse
    ) -> None:
        self._floor = floor
        self._limits = floor.settings.stream_limits
        self._broadcast = broadcast
        self._subscriber = subscriber
        self._refuse = refuse
        self._channels: dict[str, tuple[Channel, int | None]] = {}

    async def add(self, text: object, token: object) -> None:
        """Subscribe to the channel that a client named, or refuse it."""
        wanted = parse_channel(text) if isinstance(text, str) else None
        if wanted is None or not self._broadcast.exists(wanted):
            self._refuse(_INVALID_CHANNEL, f"Invalid Channel:  ({text})")
        elif wanted.request_name in self._channels:
            self._refuse(
                _ALREADY_SUBSCRIBED, f"Already Subscribed to : {wanted.reply_name}"
            )
        elif len(self._channels) >= self._limits.subscriptions:
            self._refuse(_TOO_MANY_SUBSCRIPTIONS)
        elif self._too_many_accounts(wanted):
            self._refuse(_TOO_MANY_ACCOUNTS)
        else:
            await self._join(wanted, token)

    async def _join(self, wanted: Channel, token: object) -> None:
        deadline_us = None
        if self._needs_token(wanted):
            try:
                deadline_us = await self._check_token(wanted, token)
            except Refused as error:
                self.refuse_token(wanted, error.message)
                return
            self._floor.catch_up()
        self._channels[wanted.request_name] = (wanted, deadline_us)
        self._broadcast.join(wanted, self._subscriber)

    def refuse_token(self, wanted: Channel, reason: str) -> None:
        """Say that a token does not open a channel, with the code that is set."""
        code = self._floor.settings.stream_auth_code
        words = reason if code == INVALID_AUTH else f"{code_message(code)}: {reason}"
        self._refuse(code, words, channel=wanted.reply_name)

    def _needs_token(self, wanted: Channel) -> bool:
        if wanted.account_index is None:
            return False
        return wanted.kind.private or not self._floor.settings.public_account_channels

    async def _check_token(self, wanted: Channel, token: object) -> int:
        if not isinstance(token, str) or not token:
            raise Refused(INVALID_AUTH, "invalid auth: auth is required")
        deadline_s = await self._floor.authenticate(token, wanted.account_index or 0)
        return deadline_s * 1_000_000

    def _too_many_accounts(self, wanted: Channel) -> bool:
        accounts = {channel.account_index for channel, _ in self._channels.values()}
        accounts |= {wanted.account_index}
        return len(accounts - {None}) > self._limits.accounts

    def remove(self, text: object) -> Channel | None:
        """Unsubscribe from the channel that a client named; return it, or refuse."""
        wanted = parse_channel(text) if isinstance(text, str) else None
        if wanted is None:
            self._refuse(_INVALID_CHANNEL, f"Invalid Channel:  ({text})")
            return None
        if not self._leave(wanted):
            self._refuse(_NOT_SUBSCRIBED, f"Not Subscribed to : {wanted.reply_name}")
            return None
        return wanted

    def _leave(self, channel: Channel) -> bool:
        self._broadcast.leave(channel, self._subscriber)
        return self._channels.pop(channel.request_name, None) is not None

    def end_expired(self, now_us: int | None) -> list[Channel]:
        """End what was opened with a token that has expired since; return it.

        None takes every token for expired.
        """
        ended = [
            channel
            for channel, deadline_us in self._channels.values()
            if deadline_us is not None and (now_us is None or deadline_us <= now_us)
        ]
        for channel in ended:
            self._leave(channel)
        return ended

    def end_all(self) -> None:
        """Leave every channel."""
        for channel, _ in tuple(self._channels.values()):
            self._leave(channel)
