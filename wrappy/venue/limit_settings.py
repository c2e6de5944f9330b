"""Limits of the local exchange that a person can turn: the stream's, the quota's.

Each class is a table of the settings' file. The defaults are the lowest of what the
official API documentation has said.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from wrappy.errors import ConfigError
from wrappy.protocol.tiers import (
    FREE_SEND_EVERY_S,
    QUOTA_AT_START,
    QUOTA_CAP,
    QUOTE_PER_QUOTA,
    WS_ACCOUNTS,
    WS_IDLE_CLOSE_S,
    WS_INFLIGHT,
    WS_MESSAGES_PER_MINUTE,
    WS_SUBSCRIPTIONS,
)

CONNECTIONS_PER_IP = 200
CONNECTS_PER_MINUTE = 80
"""The lower of the two documented sets of WebSocket limits."""
MOST = 2**53
"""Largest number a setting may be."""
_QUOTA_CODES = range(20_000, 40_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """Limits of the WebSocket; all but the two times need `enforce_limits`.

    Attributes:
        connections: open at a time from one address; 200 in one set of documents,
            255 in another.
        connects_per_minute: new ones in a minute from one address; 80 or 255.
        subscriptions: of one connection.
        accounts: different ones that one connection's subscriptions are about.
        messages_per_minute: from one address; those that send transactions are not
            counted.
        in_flight: messages of one connection that wait for their answer.
        idle_close_s: a client silent for so long is disconnected.
        connection_life_s: a connection is closed with 1001 after so long; 0 lets it
            live, and no document says otherwise.
    """

    connections: int = CONNECTIONS_PER_IP
    connects_per_minute: int = CONNECTS_PER_MINUTE
    subscriptions: int = WS_SUBSCRIPTIONS
    accounts: int = WS_ACCOUNTS
    messages_per_minute: int = WS_MESSAGES_PER_MINUTE
    in_flight: int = WS_INFLIGHT
    idle_close_s: int = int(WS_IDLE_CLOSE_S)
    connection_life_s: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            low = 0 if field.name == "connection_life_s" else 1
            check_number(f"stream_limits.{field.name}", getattr(self, field.name), low)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaRules:
    """The volume quota of premium accounts.

    Attributes:
        at_start: what an owner begins with.
        cap: the most an owner can have; 15 million, 5 million in older documents.
        quote_per_unit: 1e-6 USDC traded that earn one; 2 dollars in the current
            documents, 3, 5, 7 and 10 in older ones.
        free_every_ms: a single send so often spends nothing; 0 makes none free.
        code: of the refusal when nothing is left, which is not published.
        shown_to_all: whether `volume_quota_remaining` is told to accounts of tiers
            that have no quota as well.
    """

    at_start: int = QUOTA_AT_START
    cap: int = QUOTA_CAP
    quote_per_unit: int = QUOTE_PER_QUOTA
    free_every_ms: int = int(FREE_SEND_EVERY_S * 1_000)
    code: int = 23_000
    shown_to_all: bool = False

    def __post_init__(self) -> None:
        for name in ("at_start", "cap", "free_every_ms"):
            check_number(f"volume_quota.{name}", getattr(self, name), 0)
        check_number("volume_quota.quote_per_unit", self.quote_per_unit, 1)
        if self.code not in _QUOTA_CODES:
            known = f"{_QUOTA_CODES.start}..{_QUOTA_CODES.stop - 1}"
            raise ConfigError(f"volume_quota.code: {self.code} is not within {known}")


def check_number(name: str, value: int, low: int, high: int = MOST) -> None:
    """Refuse a number that a setting cannot be.

    Raises:
        ConfigError: it is no whole number within the bounds.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name}: {value!r} is not a whole number")
    if not low <= value <= high:
        raise ConfigError(f"{name}: {value} is not within {low}..{high}")
