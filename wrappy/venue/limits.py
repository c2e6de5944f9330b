"""Request limits of the local exchange, counted as the documentation describes.

Rolling windows of a minute per address of the network (IP) and per owner (L1
address); sending has a bucket of its own, except on the standard tier, where one
bucket of requests serves all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wrappy._core.quota import RollingWindow
from wrappy.protocol.tiers import (
    FREE_SEND_EVERY_S,
    QUOTA_AT_START,
    QUOTA_CAP,
    QUOTE_PER_QUOTA,
    SEND_WEIGHT,
    WINDOW_S,
    WS_ACCOUNTS,
    WS_MESSAGES_PER_MINUTE,
    WS_SUBSCRIPTIONS,
    quota_spent,
    weight_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.protocol.tiers import Tier

CONNECTIONS_PER_IP: Final = 200
CONNECTS_PER_MINUTE: Final = 80
"""The lower of the two documented sets of WebSocket limits."""

_HEAVY_TOTAL: Final = 24_000
"""Standard accounts: never more requests of a weight than 24000 / weight a minute."""

__all__ = [
    "QUOTA_AT_START",
    "WS_ACCOUNTS",
    "WS_SUBSCRIPTIONS",
    "RequestLimits",
    "VolumeQuota",
]


class RequestLimits:
    """All windows of one exchange.

    Args:
        tier: what requests without a token may use up.
    """

    def __init__(self, tier: Tier) -> None:
        self._tier = tier
        self._windows: dict[tuple[str, str], RollingWindow] = {}

    def read(
        self, path: str, *, ip: str, owner: tuple[str, Tier] | None, now: float
    ) -> float:
        """Count a reading request.

        Args:
            path: the endpoint.
            ip: where it comes from; counts only when no owner is known.
            owner: L1 address and tier of whoever authenticated it.
            now: seconds; must not go backwards.

        Returns:
            0.0 when it may pass, else seconds until it might.
        """
        key, tier = owner or (ip, self._tier)
        if tier.weighted:
            return self._window("read", key, tier.weight_per_minute).offer(
                weight_of(path), now
            )
        heavy = self._window(f"heavy {path}", key, _HEAVY_TOTAL)
        wait = heavy.offer(weight_of(path), now)
        return wait or self._window("all", key, tier.weight_per_minute).offer(1, now)

    def send(self, owner: tuple[str, Tier], *, now: float) -> float:
        """Count a request that sends transactions: a batch counts as one.

        Returns:
            0.0 when it may pass, else seconds until it might.
        """
        address, tier = owner
        if not tier.weighted:
            return self._window("all", address, tier.sends_per_minute).offer(1, now)
        # The documented number counts requests, whatever their weight.
        return self._window("send", address, tier.sends_per_minute * SEND_WEIGHT).offer(
            SEND_WEIGHT, now
        )

    def connect(self, ip: str, *, now: float) -> float:
        """Count a new WebSocket connection."""
        return self._window("connect", ip, CONNECTS_PER_MINUTE).offer(1, now)

    def message(self, ip: str, *, now: float) -> float:
        """Count a WebSocket message; those that send transactions are not counted.

        All connections of one address share the window (official documentation: the
        limits are per IP).
        """
        return self._window("message", ip, WS_MESSAGES_PER_MINUTE).offer(1, now)

    def _window(self, kind: str, key: str, limit: int) -> RollingWindow:
        window = self._windows.get((kind, key))
        if window is None:
            window = self._windows[kind, key] = RollingWindow(limit, WINDOW_S)
        return window


class VolumeQuota:
    """Counts the volume quota of premium owners.

    Creating, modifying and mass-cancelling spend one each, two dollars traded earn
    one (official API documentation; the ratio changed several times). Enforced, one
    single send every fifteen seconds is free and is told no remainder; otherwise
    every send is counted and told, and none is refused.

    Args:
        enforced: whether `has_room` ever says no.
    """

    def __init__(self, *, enforced: bool = False) -> None:
        self.enforced = enforced
        self._left: dict[str, int] = {}
        self._traded: dict[str, int] = {}
        self._free_at: dict[str, float] = {}

    def has_room(self, address: str, tx_types: Sequence[int], *, now: float) -> bool:
        """Return whether a request with these transactions may pass now.

        Args:
            address: L1 address of the owner.
            tx_types: what the request carries; cancels of one order are free.
            now: seconds; must not go backwards.
        """
        count = quota_spent(tx_types)
        return (
            not self.enforced
            or count <= self._left.get(address, QUOTA_AT_START)
            or self._is_free(address, tx_types, now)
        )

    def charge(
        self, address: str, tx_types: Sequence[int], *, now: float
    ) -> int | None:
        """Book an accepted request; return what is left, None for a free one."""
        if self.enforced and self._is_free(address, tx_types, now):
            self._free_at[address] = now + FREE_SEND_EVERY_S
            return None
        return self.spend(address, quota_spent(tx_types))

    def spend(self, address: str, count: int) -> int:
        """Book `count` transactions and return what is left, never below 0."""
        left = max(0, self._left.get(address, QUOTA_AT_START) - count)
        self._left[address] = left
        return left

    def earn(self, address: str, quote: int) -> None:
        """Book a trade of `quote` (1e-6 USDC)."""
        traded = self._traded.get(address, 0) + quote
        earned, self._traded[address] = divmod(traded, QUOTE_PER_QUOTA)
        left = self._left.get(address, QUOTA_AT_START) + earned
        self._left[address] = min(QUOTA_CAP, left)

    def _is_free(self, address: str, tx_types: Sequence[int], now: float) -> bool:
        single = len(tx_types) == 1 and quota_spent(tx_types) == 1
        return single and now >= self._free_at.get(address, now)
