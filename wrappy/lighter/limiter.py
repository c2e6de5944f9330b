"""Waiting for our turn: the pace shared by everything that talks to one exchange.

The exchange counts a rolling minute; the arithmetic that keeps a bucket inside it
lives in `_core.quota`, the waiting is aiolimiter's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from wrappy._core.quota import Cooldown, plan_bucket, plan_reserved
from wrappy.errors import ConfigError
from wrappy.protocol.tiers import FIREWALL_PAUSE_S, TIERS, WINDOW_S, weight_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiolimiter import AsyncLimiter

SEND_PATHS = frozenset({"/api/v1/sendTx", "/api/v1/sendTxBatch"})
RESERVE = 0.2


class RequestPace:
    """How fast requests may leave for one exchange and tier.

    Args:
        standard: pace of a standard account: every request counts one, sends and
            reads share one bucket. Otherwise weights count, sends have a bucket
            of their own.
        weight_per_minute: overrides the tier's budget for reads.
        clock: seconds, monotone.
    """

    def __init__(
        self,
        *,
        standard: bool,
        weight_per_minute: int | None,
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._cooldown = Cooldown()
        self.requests = 0
        """Requests let through so far."""
        self.weight = 0
        """Weight let through so far."""
        self.plan(standard=standard, weight_per_minute=weight_per_minute)

    def plan(self, *, standard: bool, weight_per_minute: int | None) -> None:
        """Go on with the budgets of another tier.

        Raises:
            ConfigError: the budget is too small; nothing has changed.
        """
        tier = TIERS["standard" if standard else "premium"]
        reads = weight_per_minute or tier.weight_per_minute
        largest = weight_of("/api/v1/trades") if tier.weighted else 1
        if reads * RESERVE <= largest:
            least = int(largest / RESERVE) + 1
            raise ConfigError(
                f"ip_weight_per_minute: {reads} cannot carry a request of weight "
                f"{largest} and keep a reserve for cancels; give {least} or more"
            )
        self._weighted = tier.weighted
        self._reads, self._urgent = _buckets(reads, largest)
        self._sends, self._urgent_sends = self._reads, self._urgent
        if tier.weighted:
            self._sends, self._urgent_sends = _buckets(tier.sends_per_minute, 1)

    async def wait(self, path: str, *, urgent: bool = False) -> None:
        """Return when a request to `path` may leave.

        `urgent` requests (cancels) may also use the share kept free for them.
        """
        await self.sit_out()
        is_send = path in SEND_PATHS
        weight = 1 if is_send or not self._weighted else weight_of(path)
        ordinary, reserved = (
            (self._sends, self._urgent_sends)
            if is_send
            else (self._reads, self._urgent)
        )
        while True:
            bucket = ordinary
            if urgent and not ordinary.has_capacity(weight):
                bucket = reserved
            await bucket.acquire(weight)
            if not await self.sit_out():
                break
            # A pause began while we waited. Those it held back must not leave all
            # at once: each takes its turn again.
        self.requests += 1
        self.weight += weight

    async def sit_out(self) -> bool:
        """Wait for the end of a pause; return whether there was one."""
        paused = False
        while (pause := self._cooldown.remaining(self._clock())) > 0:
            paused = True
            await asyncio.sleep(pause)
        return paused

    def throttled(self, pause_s: float | None = None) -> None:
        """Note that the exchange refused for the rate: everything pauses."""
        self._cooldown.pause(self._clock(), pause_s or FIREWALL_PAUSE_S)


def _buckets(limit: int, largest: int) -> tuple[AsyncLimiter, AsyncLimiter]:
    """Return the ordinary and the reserved bucket of one budget."""
    # It reads its package's metadata when imported; only who connects pays for that.
    from aiolimiter import AsyncLimiter  # noqa: PLC0415

    plans = (
        plan_bucket(limit, window_s=WINDOW_S, largest=largest, reserve=RESERVE),
        plan_reserved(limit, window_s=WINDOW_S, largest=largest, reserve=RESERVE),
    )
    ordinary, reserved = (AsyncLimiter(p.burst, p.time_period_s) for p in plans)
    return ordinary, reserved
