"""Request limits of the local exchange, counted as the documentation describes.

Rolling windows of a minute per address of the network (IP) and per owner (L1
address); sending has a bucket of its own, except on the standard tier, where one
bucket of requests serves all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wrappy._core.quota import RollingWindow
from wrappy.protocol.tiers import SEND_WEIGHT, TYPES_PER_MINUTE, WINDOW_S, quota_spent
from wrappy.venue.limit_settings import QuotaRules
from wrappy.venue.settings import VenueSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.protocol.tiers import Tier

_HEAVY_TOTAL: Final = 24_000
"""Standard accounts: never more requests of a weight than 24000 / weight a minute."""


class RequestLimits:
    """All windows of one exchange.

    Args:
        tier: what requests without a token may use up.
        settings: weights, limits of the stream, and how long a refusal lasts.
    """

    def __init__(self, tier: Tier, settings: VenueSettings | None = None) -> None:
        self._tier = tier
        self._settings = settings or VenueSettings()
        self._closed_until: dict[str, float] = {}
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
        closed = self._closed_until.get(key, now) - now
        if closed > 0:
            return closed
        weight = self._settings.weight_of(path)
        if tier.weighted:
            limit = tier.weight_per_minute
            return self._told(
                key, self._window("read", key, limit).offer(weight, now), now=now
            )
        heavy = self._window(f"heavy {path}", key, _HEAVY_TOTAL)
        wait = heavy.offer(weight, now)
        wait = wait or self._window("all", key, tier.weight_per_minute).offer(1, now)
        return self._told(key, wait, now=now)

    def send(self, owner: tuple[str, Tier], *, now: float, count: int = 1) -> float:
        """Count a request that sends transactions.

        Args:
            owner: L1 address and tier of the sender.
            now: seconds; must not go backwards.
            count: transactions in it; they matter only where a batch counts as many.

        Returns:
            0.0 when it may pass, else seconds until it might.
        """
        key, tier = owner
        closed = self._closed_until.get(key, now) - now
        if closed > 0:
            return closed
        count = count if self._settings.batch_counts == "each" else 1
        if not tier.weighted:
            window = self._window("all", key, tier.sends_per_minute)
            return self._told(key, window.offer(count, now), now=now)
        # The documented number counts requests, whatever their weight.
        window = self._window("send", key, tier.sends_per_minute * SEND_WEIGHT)
        return self._told(key, window.offer(SEND_WEIGHT * count, now), now=now)

    def crowded(
        self, address: str, tx_types: Sequence[int], *, now: float
    ) -> int | None:
        """Count transactions of the types that have a limit of their own.

        Args:
            address: L1 address of the owner.
            tx_types: what the request carries.
            now: seconds; must not go backwards.

        Returns:
            The first type of which there are too many, None if they may all pass.
        """
        for kind in tx_types:
            limit = TYPES_PER_MINUTE.get(kind)
            if limit and self._window(f"type {kind}", address, limit).offer(1, now):
                return kind
        return None

    def _told(self, key: str, wait: float, *, now: float) -> float:
        # Whoever was too fast meets a closed door for a while, if it is set so.
        pause_s = self._settings.throttle_pause_ms / 1_000
        if wait and pause_s:
            self._closed_until[key] = now + pause_s
            return pause_s
        return wait

    def connect(self, ip: str, *, now: float) -> float:
        """Count a new WebSocket connection."""
        return self._window(
            "connect", ip, self._settings.stream_limits.connects_per_minute
        ).offer(1, now)

    def message(self, ip: str, *, now: float) -> float:
        """Count a WebSocket message; those that send transactions are not counted.

        All connections of one address share the window (official documentation: the
        limits are per IP).
        """
        return self._window(
            "message", ip, self._settings.stream_limits.messages_per_minute
        ).offer(1, now)

    def _window(self, kind: str, key: str, limit: int) -> RollingWindow:
        window = self._windows.get((kind, key))
        if window is None:
            window = self._windows[kind, key] = RollingWindow(limit, WINDOW_S)
        window.limit = limit  # the owner's tier may have changed
        return window


class VolumeQuota:
    """Counts the volume quota of premium owners.

    Creating, modifying and mass-cancelling spend one each, two dollars traded earn
    one (official API documentation; the ratio changed several times). Enforced, one
    single send every fifteen seconds is free and is told no remainder; otherwise
    every send is counted and told, and none is refused.

    Args:
        enforced: whether `has_room` ever says no.
        rules: what is spent, earned and free.
    """

    def __init__(
        self, *, enforced: bool = False, rules: QuotaRules | None = None
    ) -> None:
        self.enforced = enforced
        self._rules = rules or QuotaRules()
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
            or count <= self._left.get(address, self._rules.at_start)
            or self._is_free(address, tx_types, now)
        )

    def charge(
        self, address: str, tx_types: Sequence[int], *, now: float
    ) -> int | None:
        """Book an accepted request; return what is left, None for a free one."""
        if self.enforced and self._is_free(address, tx_types, now):
            self._free_at[address] = now + self._rules.free_every_ms / 1_000
            return None
        return self.spend(address, quota_spent(tx_types))

    def spend(self, address: str, count: int) -> int:
        """Book `count` transactions and return what is left, never below 0."""
        left = max(0, self._left.get(address, self._rules.at_start) - count)
        self._left[address] = left
        return left

    def earn(self, address: str, quote: int) -> None:
        """Book a trade of `quote` (1e-6 USDC)."""
        traded = self._traded.get(address, 0) + quote
        earned, self._traded[address] = divmod(traded, self._rules.quote_per_unit)
        left = self._left.get(address, self._rules.at_start) + earned
        self._left[address] = min(self._rules.cap, left)

    def _is_free(self, address: str, tx_types: Sequence[int], now: float) -> bool:
        single = len(tx_types) == 1 and quota_spent(tx_types) == 1
        single = single and self._rules.free_every_ms > 0
        return single and now >= self._free_at.get(address, now)
