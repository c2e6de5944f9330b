"""Request limits of the local exchange, counted as the documentation describes.

Rolling windows of a minute per address of the network (IP) and per owner (L1
address); sending has a bucket of its own, except on the standard tier, where one
bucket of requests serves all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wrappy._core.quota import RollingWindow
from wrappy.protocol.tiers import (
    SEND_WEIGHT,
    WINDOW_S,
    WS_ACCOUNTS,
    WS_MESSAGES_PER_MINUTE,
    WS_SUBSCRIPTIONS,
    weight_of,
)

if TYPE_CHECKING:
    from wrappy.protocol.tiers import Tier

CONNECTIONS_PER_IP: Final = 200
CONNECTS_PER_MINUTE: Final = 80
"""The lower of the two documented sets of WebSocket limits."""

QUOTA_AT_START: Final = 1_000
QUOTA_TYPES: Final = frozenset({14, 16, 17, 28})
"""Transaction types that spend volume quota; cancelling one order is free."""
_QUOTA_CAP: Final = 15_000_000
_QUOTE_PER_QUOTA: Final = 2_000_000

_HEAVY_TOTAL: Final = 24_000
"""Standard accounts: never more requests of a weight than 24000 / weight a minute."""

__all__ = ["WS_ACCOUNTS", "WS_SUBSCRIPTIONS", "RequestLimits", "message_window"]


def message_window() -> RollingWindow:
    """Return the window that counts one WebSocket connection's messages."""
    return RollingWindow(WS_MESSAGES_PER_MINUTE, WINDOW_S)


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

    def _window(self, kind: str, key: str, limit: int) -> RollingWindow:
        window = self._windows.get((kind, key))
        if window is None:
            window = self._windows[kind, key] = RollingWindow(limit, WINDOW_S)
        return window


class VolumeQuota:
    """Counts the volume quota of premium owners; it is shown, never enforced.

    Creating, modifying and mass-cancelling spend one each, two dollars traded earn
    one (official API documentation; the ratio changed several times).
    """

    def __init__(self) -> None:
        self._left: dict[str, int] = {}
        self._traded: dict[str, int] = {}

    def spend(self, address: str, count: int) -> int:
        """Book `count` transactions and return what is left, never below 0."""
        left = max(0, self._left.get(address, QUOTA_AT_START) - count)
        self._left[address] = left
        return left

    def earn(self, address: str, quote: int) -> None:
        """Book a trade of `quote` (1e-6 USDC)."""
        traded = self._traded.get(address, 0) + quote
        earned, self._traded[address] = divmod(traded, _QUOTE_PER_QUOTA)
        left = self._left.get(address, QUOTA_AT_START) + earned
        self._left[address] = min(_QUOTA_CAP, left)
