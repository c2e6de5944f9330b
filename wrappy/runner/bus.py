"""Messages between parts of a bot: in memory, or over Redis Streams between processes.

Everything is delivered at least once: a message stays with its group until somebody
acknowledges it, whoever dies meanwhile. What acts on messages has to know those that
it has acted on already. A bus carries hints; the exchange knows the truth.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from wrappy.errors import ConfigError, TransportError
from wrappy.lighter.wire.within import within

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Mapping

logger = logging.getLogger("wrappy.bus")

LONGEST_ANSWER_S: Final = 2.0
MOST_KEPT: Final = 100_000
"""Messages of a channel that are kept, about; older ones go."""
MOST_AT_ONCE: Final = 64
CLAIM_AFTER_S: Final = 5.0
"""A message that another consumer has held for so long is taken over."""


class BusDownError(TransportError):
    """The bus does not answer; whether a message got there is not known."""


class Delivery(NamedTuple):
    """A message as it arrives.

    Attributes:
        channel: where it was published.
        message_id: its number in the channel, for the acknowledgement.
        fields: what it says.
    """

    channel: str
    message_id: str
    fields: Mapping[str, str]


class BusReader(Protocol):
    """One consumer of a group; the group's messages are shared by its consumers."""

    async def receive(self, timeout_s: float) -> list[Delivery]:
        """Return what is there, oldest first; nothing when the time is over.

        Messages that this consumer, or one that is gone, received and did not
        acknowledge come again.

        Raises:
            BusDownError: nobody answers.
        """

    async def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Tell that messages have been acted on; they do not come again.

        Raises:
            BusDownError: nobody answers; they may come again.
        """


class MessageBus(Protocol):
    """Where messages are published and read."""

    async def publish(self, channel: str, fields: Mapping[str, str]) -> str:
        """Add a message to a channel and return its number.

        Raises:
            BusDownError: nobody answers; it may be there, publish it again.
        """

    def reader(self, channel: str, *, group: str, consumer: str) -> BusReader:
        """Return a consumer of a channel, from the channel's oldest message on."""

    async def aclose(self) -> None:
        """Let go of the bus."""


# ---------------------------------------------------------------------- in memory


@dataclass(slots=True)
class _Channel:
    messages: deque[Delivery] = field(default_factory=deque)
    published: int = 0
    groups: dict[str, _Group] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Group:
    waiting: deque[Delivery]
    pending: dict[str, Delivery] = field(default_factory=dict)


class MemoryBus:
    """A bus inside one process; what it holds is gone with it."""

    def __init__(self) -> None:
        self._channels: dict[str, _Channel] = {}

    async def publish(self, channel: str, fields: Mapping[str, str]) -> str:
        """Add a message to a channel and return its number."""
        place = self._channel(channel)
        place.published += 1
        message = Delivery(channel, str(place.published), dict(fields))
        place.messages.append(message)
        if len(place.messages) > MOST_KEPT:
            place.messages.popleft()
        for group in place.groups.values():
            group.waiting.append(message)
        place.news.set()
        return message.message_id

    def reader(self, channel: str, *, group: str, consumer: str) -> BusReader:
        """Return a consumer of a channel, from the channel's oldest message on."""
        del consumer  # one process has one at a time: the new one takes over
        place = self._channel(channel)
        if group not in place.groups:
            place.groups[group] = _Group(deque(place.messages))
        return _MemoryReader(place, place.groups[group])

    async def aclose(self) -> None:
        """Do nothing: others of the process may still read."""

    def _channel(self, name: str) -> _Channel:
        return self._channels.setdefault(name, _Channel())


class _MemoryReader:
    def __init__(self, place: _Channel, group: _Group) -> None:
        self._place, self._group = place, group
        group.waiting.extendleft(reversed(group.pending.values()))
        group.pending.clear()

    async def receive(self, timeout_s: float) -> list[Delivery]:
        waiting = self._group.waiting
        if not waiting:
            self._place.news.clear()
            try:
                await within(timeout_s, self._place.news.wait())
            except asyncio.TimeoutError:
                return []
        taken = [waiting.popleft() for _ in range(min(len(waiting), MOST_AT_ONCE))]
        self._group.pending.update((one.message_id, one) for one in taken)
        return taken

    async def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        for one in deliveries:
            self._group.pending.pop(one.message_id, None)


# ------------------------------------------------------------------- Redis Streams


class RedisStreamBus:
    """A bus of Redis Streams with consumer groups, one stream for each channel.

    It is as durable as the Redis is: switch on its append-only file.

    Args:
        url: `redis://` or `rediss://` address; its password is never shown.
        claim_after_s: a message that another consumer of the group has held for so
            long is taken over.

    Raises:
        ConfigError: the address cannot be used, or the Redis client is missing.
    """

    def __init__(self, url: str, *, claim_after_s: float = CLAIM_AFTER_S) -> None:
        try:
            redis = import_module("redis")
            import_module("redis.asyncio")
        except ImportError as error:
            raise ConfigError(
                "redis: needs the Redis client; pip install 'wrappy-lighter[bot]'"
            ) from error
        self._claim_after_ms = int(claim_after_s * 1_000)
        self._refused: type[Exception] = redis.ResponseError
        self._failures = (redis.RedisError, OSError, asyncio.TimeoutError)
        try:
            self._client = redis.asyncio.Redis.from_url(
                url,
                decode_responses=True,
                protocol=2,
                socket_timeout=2 * LONGEST_ANSWER_S,
                socket_connect_timeout=LONGEST_ANSWER_S,
                retry=None,
            )
            self._shown = f"redis at {urlsplit(url).hostname}"
        except ValueError:
            # Not chained: the client's words repeat the whole address.
            raise ConfigError(
                "redis: the given text is no address; give redis://HOST:PORT/NUMBER"
            ) from None

    def __repr__(self) -> str:
        return f"RedisStreamBus({self._shown})"

    async def publish(self, channel: str, fields: Mapping[str, str]) -> str:
        """Add a message to a channel and return its number.

        Raises:
            BusDownError: nobody answers; it may be there, publish it again.
        """
        sending = self._client.xadd(
            channel, dict(fields), maxlen=MOST_KEPT, approximate=True
        )
        try:
            return str(await self.ask(sending))
        except self._refused as error:
            raise BusDownError(f"redis refused: {str(error)[:80]}") from None

    def reader(self, channel: str, *, group: str, consumer: str) -> BusReader:
        """Return a consumer of a channel, from the channel's oldest message on."""
        return _RedisReader(self, channel, group, consumer)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    # What the readers use

    @property
    def client(self) -> Any:
        """The Redis client."""
        return self._client

    @property
    def claim_after_ms(self) -> int:
        """How long another consumer may hold a message."""
        return self._claim_after_ms

    @property
    def refused(self) -> type[Exception]:
        """What the client raises when Redis says no."""
        return self._refused

    async def ask(self, asking: Awaitable[Any]) -> Any:
        """Return an answer.

        Raises:
            BusDownError: there is none.
        """
        try:
            return await within(2 * LONGEST_ANSWER_S, asking)
        except self._refused:
            raise
        except self._failures as error:
            # The error's own words may repeat the address.
            raise BusDownError(
                f"{self._shown} does not answer: {type(error).__name__}"
            ) from None


class _RedisReader:
    def __init__(
        self, bus: RedisStreamBus, channel: str, group: str, consumer: str
    ) -> None:
        self._bus, self._channel = bus, channel
        self._group, self._consumer = group, consumer
        self._has_group = False
        self._resend_after: str | None = "0"
        self._claim_at = 0.0

    async def receive(self, timeout_s: float) -> list[Delivery]:
        try:
            if not self._has_group:
                await self._make_group()
            taken = await self._held_by_me() or await self._held_by_others()
            return taken or await self._new(min(timeout_s, LONGEST_ANSWER_S))
        except BusDownError:
            self._begin_again()
            raise
        except self._bus.refused as error:
            # A Redis that came back empty knows no group.
            self._begin_again()
            raise BusDownError(f"redis refused: {str(error)[:80]}") from None

    async def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        numbers = [one.message_id for one in deliveries]
        if numbers:
            client = self._bus.client
            await self._bus.ask(client.xack(self._channel, self._group, *numbers))

    def _begin_again(self) -> None:
        self._has_group, self._resend_after = False, "0"

    async def _make_group(self) -> None:
        making = self._bus.client.xgroup_create(
            self._channel, self._group, id="0", mkstream=True
        )
        try:
            await self._bus.ask(making)
        except self._bus.refused as error:
            if "BUSYGROUP" not in str(error):
                raise
        self._has_group = True

    async def _held_by_me(self) -> list[Delivery]:
        """Return what this consumer took in an earlier life, once."""
        if self._resend_after is None:
            return []
        taken = await self._read(self._resend_after, block_ms=None)
        self._resend_after = taken[-1].message_id if taken else None
        return taken

    async def _held_by_others(self) -> list[Delivery]:
        now = asyncio.get_running_loop().time()
        if now < self._claim_at:
            return []
        self._claim_at = now + self._bus.claim_after_ms / 2_000
        answer = await self._bus.ask(
            self._bus.client.xautoclaim(
                self._channel,
                self._group,
                self._consumer,
                min_idle_time=self._bus.claim_after_ms,
                count=MOST_AT_ONCE,
            )
        )
        return self._deliveries(answer[1])

    async def _new(self, timeout_s: float) -> list[Delivery]:
        return await self._read(">", block_ms=max(1, int(timeout_s * 1_000)))

    async def _read(self, after: str, *, block_ms: int | None) -> list[Delivery]:
        reading = self._bus.client.xreadgroup(
            self._group,
            self._consumer,
            {self._channel: after},
            count=MOST_AT_ONCE,
            block=block_ms,
        )
        answer = await self._bus.ask(reading)
        return self._deliveries(answer[0][1]) if answer else []

    def _deliveries(
        self, rows: Iterable[tuple[str, Mapping[str, str] | None]]
    ) -> list[Delivery]:
        # A message that was trimmed away is told without fields.
        return [
            Delivery(self._channel, number, fields or {}) for number, fields in rows
        ]
