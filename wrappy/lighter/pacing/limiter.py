"""Waiting for our turn: the pace shared by everything that talks to one exchange.

The exchange counts a rolling minute; what may leave when is decided in
`_core.budget`, here it is only waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from wrappy._core.budget import DELAY_SPREAD_S, RESERVE, Budget
from wrappy._core.quota import Cooldown, RollingWindow
from wrappy.errors import ConfigError, UsageError
from wrappy.protocol.tiers import (
    FIREWALL_PAUSE_S,
    TIERS,
    WINDOW_S,
    WS_MESSAGES_PER_MINUTE,
    Tier,
    weight_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger("wrappy.pace")

SEND_PATHS = frozenset({"/api/v1/sendTx", "/api/v1/sendTxBatch"})
LONGEST_PAUSE_S: Final = 3_600.0
"""An answer that asks for more has its pause cut: it may not stop us for ever."""
_COUNTED_S: Final = WINDOW_S + DELAY_SPREAD_S
_HEAVY: Final = weight_of("/api/v1/trades")


class Admission(NamedTuple):
    """What a shared budget says of a request.

    Attributes:
        wait_s: 0.0 when it is counted and may leave, else seconds to wait first.
        paused: the wait is a pause that holds for everything.
    """

    wait_s: float
    paused: bool


class SharedPace(Protocol):
    """A budget that several processes keep together; see `shared_budget`."""

    async def admit(
        self, kind: str, weight: int, *, limit: int, urgent: bool
    ) -> Admission:
        """Count `weight` of a budget, or tell when to ask again."""

    def tell_pause(self, seconds: float) -> None:
        """Let the others pause too."""


@dataclass(frozen=True, slots=True)
class PaceState:
    """The pace at one moment, for people.

    Attributes:
        tier: name of the account tier paced for.
        assumed: nobody has told the tier yet; the slowest stands in.
        used: sends that left within the last minute; on the standard tier reads
            count here too.
        limit: most that `used` may be.
        reads_used: weight of other requests that left within the last minute.
        reads_limit: most that `reads_used` may be.
        messages_used: WebSocket messages within the last minute, sends not counted.
        paused_for_s: seconds left of a pause, 0.0 when there is none.
        waiting: requests and messages that wait for their turn.
        throttled: how often the exchange refused for the rate.
    """

    tier: str
    assumed: bool
    used: int
    limit: int
    reads_used: int
    reads_limit: int
    messages_used: int
    paused_for_s: float
    waiting: int
    throttled: int


class _Departure(NamedTuple):
    at: float
    is_send: bool
    weight: int
    reserved: bool


class _Plan:
    """The budgets of one tier."""

    def __init__(self, tier: Tier, weight_per_minute: int | None) -> None:
        reads = weight_per_minute or tier.weight_per_minute
        largest = _HEAVY if tier.weighted else 1
        if reads * RESERVE <= largest:
            least = int(largest / RESERVE) + 1
            raise ConfigError(
                f"ip_weight_per_minute: {reads} cannot carry a request of weight "
                f"{largest} and keep a reserve for cancels; give {least} or more"
            )
        self.tier = tier
        self.reads = Budget(reads, largest=largest, window_s=WINDOW_S)
        self.sends = self.reads
        if tier.weighted:
            self.sends = Budget(tier.sends_per_minute, largest=1, window_s=WINDOW_S)
        self.ends_at = math.inf

    def budget(self, *, is_send: bool) -> Budget:
        return self.sends if is_send else self.reads

    def cost(self, weight: int, *, is_send: bool) -> int:
        return 1 if is_send or not self.tier.weighted else weight

    def kind(self, *, is_send: bool) -> str:
        if not self.tier.weighted:
            return "all"
        return "send" if is_send else "read"


class RequestPace:
    """How fast requests may leave for one exchange and tier.

    Args:
        standard: pace of a standard account: every request counts one, sends and
            reads share one budget. False: weights count, sends have a budget of
            their own. None: nobody knows yet, and the slowest stands in until
            `adopt` tells.
        weight_per_minute: overrides the tier's budget for reads.
        clock: seconds, monotone; the running loop's `time`.
        shared: a budget kept together with other processes, asked before every
            request.
    """

    def __init__(
        self,
        *,
        standard: bool | None,
        weight_per_minute: int | None,
        clock: Callable[[], float],
        shared: SharedPace | None = None,
    ) -> None:
        self._clock = clock
        self._shared = shared
        self._cooldown = Cooldown()
        self._departures: deque[_Departure] = deque()
        self._messages = RollingWindow(WS_MESSAGES_PER_MINUTE, _COUNTED_S)
        self._message_line = asyncio.Lock()
        self._lines = {
            (is_send, urgent): asyncio.Lock()
            for is_send in (False, True)
            for urgent in (False, True)
        }
        self._resting: set[asyncio.Future[None]] = set()
        self._waiting = 0
        self._throttled = 0
        self.requests = 0
        """Requests let through so far."""
        self.weight = 0
        """Weight let through so far."""
        self._plans: list[_Plan] = []
        self.plan(standard=standard, weight_per_minute=weight_per_minute)

    # ------------------------------------------------------------------- plans

    def plan(self, *, standard: bool | None, weight_per_minute: int | None) -> None:
        """Go on with the budgets that settings name.

        Raises:
            ConfigError: the budget is too small; nothing has changed.
        """
        tier = TIERS["premium" if standard is False else "standard"]
        self._plans = [self._remembering(_Plan(tier, weight_per_minute))]
        self._assumed = standard is None
        self._own_weight = weight_per_minute
        self._wake()

    def adopt(self, tier: Tier) -> None:
        """Go on with a tier that the exchange has told, at once and while running.

        What left within the last minute counts in the new budget too. If the tier
        before was told as well and not only assumed, its budget holds for another
        minute beside the new one: the stricter of both decides.

        Raises:
            ConfigError: `weight_per_minute` is too small for the tier; nothing has
                changed.
        """
        if not tier.recognised:
            logger.warning(
                "pace: the exchange names an unknown account tier %r; "
                "the slowest pace stands in",
                tier.name,
            )
        current = self._plans[0]
        if _budgets(tier) == _budgets(current.tier):
            current.tier = tier
            self._assumed = False
            return
        now = self._clock()
        plan = self._remembering(_Plan(tier, self._own_weight))
        plan.reads.calm(now)
        plan.sends.calm(now)
        if self._assumed:
            self._plans = [plan]
        else:
            current.ends_at = now + _COUNTED_S
            self._plans = [plan, *(p for p in self._plans if p.ends_at > now)]
        self._assumed = False
        logger.info("pace: account tier %s", tier.name)
        self._wake()

    def _remembering(self, plan: _Plan) -> _Plan:
        """Count in a new plan what has left of late."""
        for at, is_send, weight, reserved in self._departures:
            budget = plan.budget(is_send=is_send)
            cost = plan.cost(weight, is_send=is_send)
            budget.recall(cost, at, reserved=reserved)
        return plan

    # ----------------------------------------------------------------- waiting

    async def wait(self, path: str, *, urgent: bool = False) -> None:
        """Return when a request to `path` may leave; it counts as leaving then.

        Those who wait go in their order. `urgent` requests (cancels, and questions
        about what is in doubt) have a line of their own and may also use the share
        kept free for them. Where reads and sends draw from one budget that share is
        for cancels alone.

        Raises:
            UsageError: the request is heavier than the whole budget; it would wait
                for ever.
        """
        is_send, weight = path in SEND_PATHS, weight_of(path)
        # Who draws from one budget waits in one line, or some would wait for ever.
        together = not self._plans[0].tier.weighted
        urgent = urgent and (is_send or not together)
        with self._in_line():
            async with self._lines[is_send or together, urgent]:
                while True:
                    wait_s = self._book(is_send=is_send, weight=weight, urgent=urgent)
                    if math.isinf(wait_s):
                        raise UsageError(
                            f"{path}: weight {weight} is more than the budget lets "
                            "pass at once; raise ip_weight_per_minute"
                        )
                    if wait_s > 0.0:
                        await self._rest(wait_s)
                    elif await self._agreed(
                        is_send=is_send, weight=weight, urgent=urgent
                    ):
                        break
        self.requests += 1
        self.weight += self._plans[0].cost(weight, is_send=is_send)

    async def wait_message(self) -> None:
        """Return when a WebSocket message that is no send may leave.

        The documentation limits messages per connection on a page about addresses;
        all connections to one address share the limit here, which is the stricter
        reading. A transaction over the WebSocket waits with `wait` instead: it
        counts as a send and not as a message.
        """
        with self._in_line():
            async with self._message_line:
                while True:
                    now = self._clock()
                    wait_s = self._cooldown.remaining(now) or self._messages.offer(
                        1, now
                    )
                    if wait_s <= 0.0:
                        return
                    await self._rest(wait_s)

    async def sit_out(self) -> bool:
        """Wait for the end of a pause; return whether there was one.

        A request that was let through before the pause should `wait` anew then:
        what was counted for it is long gone from the exchange's window.
        """
        paused = False
        while (pause := self._cooldown.remaining(self._clock())) > 0:
            paused = True
            await self._rest(pause)
        return paused

    def throttled(self, pause_s: float | None = None) -> None:
        """Note that the exchange refused for the rate: everything pauses.

        Args:
            pause_s: seconds that the exchange asked for; not less than the tier's
                documented cool-down is kept, and not more than an hour. None for
                the firewall's minute.
        """
        seconds = FIREWALL_PAUSE_S
        if pause_s:
            least = self._plans[0].tier.cooldown_s(_HEAVY)
            seconds = min(max(pause_s, least), LONGEST_PAUSE_S)
        self._throttled += 1
        self._pause(seconds)
        if self._shared is not None:
            self._shared.tell_pause(seconds)

    def recall(self, path: str, at: float) -> None:
        """Count a request that an earlier process has sent, in order of time.

        Args:
            path: where it went.
            at: when, seconds of the clock, not in the future.
        """
        is_send, weight = path in SEND_PATHS, weight_of(path)
        self._departures.append(_Departure(at, is_send, weight, reserved=False))
        for plan in self._plans:
            budget = plan.budget(is_send=is_send)
            budget.recall(plan.cost(weight, is_send=is_send), at, reserved=False)

    def state(self) -> PaceState:
        """Return how things stand now."""
        now, plan = self._clock(), self._plans[0]
        return PaceState(
            tier=plan.tier.name,
            assumed=self._assumed,
            used=plan.sends.used(now),
            limit=plan.sends.limit,
            reads_used=plan.reads.used(now),
            reads_limit=plan.reads.limit,
            messages_used=self._messages.used(now),
            paused_for_s=self._cooldown.remaining(now),
            waiting=self._waiting,
            throttled=self._throttled,
        )

    def _pause(self, seconds: float) -> None:
        now = self._clock()
        self._cooldown.pause(now, seconds)
        ends = now + self._cooldown.remaining(now)
        for plan in self._plans:
            plan.reads.calm(ends)
            plan.sends.calm(ends)

    def _book(self, *, is_send: bool, weight: int, urgent: bool) -> float:
        """Count a request if it may leave now, else return the seconds to wait."""
        now = self._clock()
        if (pause := self._cooldown.remaining(now)) > 0:
            return pause
        while self._plans[-1].ends_at <= now:
            self._plans.pop()
        ways = []
        for plan in self._plans:
            cost = plan.cost(weight, is_send=is_send)
            budget = plan.budget(is_send=is_send)
            ways.append((budget, cost, budget.way(cost, now, urgent=urgent)))
        longest = max(way.wait_s for _, _, way in ways)
        if longest > 0.0:
            return longest
        for budget, cost, way in ways:
            budget.book(cost, now, reserved=way.reserved)
        reserved = ways[0][2].reserved
        departures = self._departures
        departures.append(_Departure(now, is_send, weight, reserved))
        while departures[0].at <= now - _COUNTED_S:
            departures.popleft()
        return 0.0

    async def _agreed(self, *, is_send: bool, weight: int, urgent: bool) -> bool:
        """Wait for the other processes; return False when a pause came meanwhile."""
        if self._shared is None:
            return True
        while True:
            plan = self._plans[0]
            wait_s, paused = await self._shared.admit(
                plan.kind(is_send=is_send),
                plan.cost(weight, is_send=is_send),
                limit=plan.budget(is_send=is_send).limit,
                urgent=urgent,
            )
            if paused:
                # Another process was refused. It is our pause as well.
                self._pause(wait_s)
                return False
            if wait_s <= 0.0:
                return self._cooldown.remaining(self._clock()) <= 0.0
            await self._rest(wait_s)

    @contextlib.contextmanager
    def _in_line(self) -> Iterator[None]:
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def _rest(self, seconds: float) -> None:
        """Sleep, or until the plan changes."""
        loop = asyncio.get_running_loop()
        waker: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _set, waker)
        self._resting.add(waker)
        try:
            await waker
        finally:
            timer.cancel()
            self._resting.discard(waker)

    def _wake(self) -> None:
        for waker in self._resting:
            _set(waker)


def _set(waker: asyncio.Future[None]) -> None:
    if not waker.done():
        waker.set_result(None)


def _budgets(tier: Tier) -> tuple[int, int, bool]:
    return tier.sends_per_minute, tier.weight_per_minute, tier.weighted
