"""One request budget for several processes, kept in a Redis of the user's.

The exchange counts by owner and by address of the network, whatever process sends.
Every request asks one script in Redis, which counts in slots of a second over a
little more than the exchange's minute. When Redis does not answer, each process
goes on with a small share of its own: nobody stands still, and cancels least of all.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from wrappy._core.budget import LEAST_RESERVED, RESERVE
from wrappy._core.quota import RollingWindow
from wrappy.errors import ConfigError
from wrappy.lighter.pacing.limiter import LONGEST_PAUSE_S, Admission
from wrappy.protocol.tiers import WINDOW_S

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("wrappy.budget")

SLOTS: Final = math.ceil(WINDOW_S) + 2
"""Seconds that count: one more for the slot's grain, one for travel times."""
LONGEST_ANSWER_S: Final = 0.25
ASK_AGAIN_S: Final = 5.0
"""After a failure Redis is left alone so long."""
PROCESSES: Final = 4
"""How many processes are reckoned with when nobody can be asked."""
_INSTALL: Final = 'pip install "wrappy-lighter[bot]"'

# Slots by the second instead of an entry per request: bounded, and what a dead
# process booked ages away by itself. Everything is told by Redis' own clock.
_SCRIPT: Final = """
local t = redis.call('TIME')
local now_ms = t[1] * 1000 + math.floor(t[2] / 1000)
local second = tonumber(t[1])
local weight, urgent = tonumber(ARGV[1]), ARGV[4] == '1'
local slots, pause_ms = tonumber(ARGV[5]), tonumber(ARGV[7])
local since = redis.call('GET', KEYS[5])
if not since then
  since = tostring(now_ms)
  redis.call('SET', KEYS[5], since)
end
if pause_ms > 0 and redis.call('PTTL', KEYS[3]) < pause_ms then
  redis.call('SET', KEYS[3], '1', 'PX', pause_ms)
end
redis.call('ZADD', KEYS[4], second, ARGV[6])
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', second - slots)
redis.call('EXPIRE', KEYS[4], slots * 2)
local processes = redis.call('ZCARD', KEYS[4])
local paused = redis.call('PTTL', KEYS[3])
if paused > 0 or weight == 0 then
  return {math.max(paused, 0), processes, since, 1, 0, 0}
end
local function wait_for(key, limit)
  local flat, used, times, by_time = redis.call('HGETALL', key), 0, {}, {}
  for i = 1, #flat, 2 do
    local at, spent = tonumber(flat[i]), tonumber(flat[i + 1])
    if at <= second - slots then
      redis.call('HDEL', key, flat[i])
    else
      used = used + spent
      times[#times + 1] = at
      by_time[at] = spent
    end
  end
  local excess = used + weight - limit
  if excess <= 0 then return 0, used end
  table.sort(times)
  for _, at in ipairs(times) do
    excess = excess - by_time[at]
    if excess <= 0 then return math.max(1, (at + slots) * 1000 - now_ms), used end
  end
  return -1, used
end
local key = KEYS[1]
local wait, ordinary_used = wait_for(KEYS[1], tonumber(ARGV[2]))
local reserved, reserved_used = wait_for(KEYS[2], tonumber(ARGV[3]))
if urgent and wait ~= 0 and reserved >= 0 and (wait < 0 or reserved < wait) then
  key, wait = KEYS[2], reserved
end
if wait == 0 then
  redis.call('HINCRBY', key, second, weight)
  redis.call('EXPIRE', key, slots * 2)
end
return {wait, processes, since, 0, ordinary_used, reserved_used}
"""


class SharedBudget:
    """A budget that every process with the same Redis, host and owner keeps together.

    Args:
        url: `redis://` or `rediss://` address; its password is never shown.
        host: the exchange's address.
        owner: whose budget it is: the L1 address if it is known, else something
            that all processes of that owner name alike.
        clock: seconds, monotone.
        processes: how many processes share the budget at most, as far as is known
            before they have been seen; the share without Redis is one part of it.

    Raises:
        ConfigError: the address cannot be used, or the Redis client is not
            installed.
    """

    def __init__(
        self,
        url: str,
        *,
        host: str,
        owner: str,
        clock: Callable[[], float],
        processes: int = PROCESSES,
    ) -> None:
        if processes < 1:
            raise ConfigError(f"processes: {processes} must be 1 or more")
        self._shown = _without_secrets(url)
        redis = _redis()
        self._failures = (redis.RedisError, OSError, asyncio.TimeoutError)
        try:
            self._client = redis.asyncio.Redis.from_url(
                url,
                socket_timeout=LONGEST_ANSWER_S,
                socket_connect_timeout=LONGEST_ANSWER_S,
                retry=None,
            )
        except ValueError:
            # Not chained: the client's words repeat the whole address.
            raise ConfigError(
                f"budget_redis_url: {self._shown} is no address; give "
                "redis://HOST:PORT/NUMBER"
            ) from None
        self._script = self._client.register_script(_SCRIPT)
        self._prefix = f"wrappy:budget:{{{host}|{owner.lower()}}}"
        self._me = secrets.token_hex(8)
        self._clock = clock
        self._processes = processes
        self._since: bytes | None = None
        self._alone_until = -math.inf
        self._ask_at = -math.inf
        self._is_alone = False
        self._own: dict[tuple[str, bool], RollingWindow] = {}
        self._last_told: dict[tuple[str, bool], int] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"SharedBudget({self._shown}, alone={self._is_alone})"

    @property
    def is_alone(self) -> bool:
        """Whether Redis cannot be asked and the own share is in force."""
        return self._is_alone

    @property
    def processes(self) -> int:
        """How many parts the budget is cut into when Redis cannot be asked."""
        return self._processes

    async def admit(
        self, kind: str, weight: int, *, limit: int, urgent: bool
    ) -> Admission:
        """Count `weight` if the budget has room.

        Args:
            kind: which budget of the owner, such as `send`, `read` or `all`.
            weight: 1 or more, in the units of `limit`.
            limit: weight that all processes together may let pass in a minute.
            urgent: may also use the part kept for cancels: a fifth, at least three.

        Returns:
            When it passes and is counted, 0.0 seconds to wait; else the seconds
            before asking again, and whether it is a pause of everybody's.
        """
        kept = max(math.ceil(limit * RESERVE), LEAST_RESERVED)
        answer = await self._ask(kind, weight, (limit - kept, kept), urgent=urgent)
        now = self._clock()
        if answer is None or now < self._alone_until:
            own_s = self._own_share(kind, weight, limit, urgent=urgent, now=now)
            if answer is None:
                return Admission(own_s, paused=False)
            # Redis has not seen everything that left of late: both must agree.
            return answer._replace(wait_s=max(own_s, answer.wait_s))
        return answer

    def tell_pause(self, seconds: float) -> None:
        """Let every process pause for `seconds`; does not wait for Redis."""
        telling = asyncio.get_running_loop().create_task(
            self._tell_pause(seconds), name="wrappy-budget-pause"
        )
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def aclose(self) -> None:
        """Let go of Redis."""
        if self._telling:
            await asyncio.gather(*self._telling)
        await self._client.aclose()

    async def _tell_pause(self, seconds: float) -> None:
        await self._ask("all", 0, (1, 1), urgent=False, pause_s=seconds)

    async def _ask(
        self,
        kind: str,
        weight: int,
        limits: tuple[int, int],
        *,
        urgent: bool,
        pause_s: float = 0.0,
    ) -> Admission | None:
        """Return what Redis tells, None when it does not."""
        if self._clock() < self._ask_at:
            return None
        names = (f"{kind}:ordinary", f"{kind}:reserved", "pause", "processes", "since")
        keys = [f"{self._prefix}:{name}" for name in names]
        pause_ms = int(min(pause_s, LONGEST_PAUSE_S) * 1000)
        values = [weight, *limits, int(urgent), SLOTS, self._me, pause_ms]
        try:
            answer = await asyncio.wait_for(
                self._script(keys=keys, args=values), 2 * LONGEST_ANSWER_S
            )
            wait_ms, processes, paused, ordinary, reserved = (
                int(answer[place]) for place in (0, 1, 3, 4, 5)
            )
            since = bytes(answer[2])
        except (*self._failures, TypeError, ValueError, IndexError) as error:
            self._lost(error)
            return None
        self._found(processes, since)
        if paused:
            return Admission(min(wait_ms / 1000, LONGEST_PAUSE_S), paused=wait_ms > 0)
        self._last_told[kind, False] = ordinary
        self._last_told[kind, True] = reserved
        # A weight above the limit never fits; a minute later the limit may differ.
        return Admission(WINDOW_S if wait_ms < 0 else wait_ms / 1000, paused=False)

    def _lost(self, error: BaseException) -> None:
        self._ask_at = self._clock() + ASK_AGAIN_S
        if not self._is_alone:
            # The error's own words may repeat the address.
            logger.warning(
                "budget: %s does not answer (%s); going on with 1/%d of every limit",
                self._shown,
                type(error).__name__,
                self._processes,
            )
            self._begin_own_share()
        self._is_alone = True

    def _found(self, processes: int, since: bytes) -> None:
        self._processes = max(self._processes, processes)
        if self._is_alone:
            logger.info("budget: %s answers again", self._shown)
        forgot = self._since is not None and since != self._since
        if forgot:
            logger.warning("budget: %s lost its counts", self._shown)
        if forgot and not self._is_alone:
            self._begin_own_share()
        if forgot or self._is_alone:
            # It does not know what left meanwhile: the own share holds for a window.
            self._alone_until = self._clock() + SLOTS
        self._is_alone, self._since = False, since

    def _begin_own_share(self) -> None:
        """Start counting alone: what all used of late is used up by equal parts."""
        now = self._clock()
        self._own.clear()
        for (kind, reserved), used in self._last_told.items():
            window = self._window(kind, 1, reserved=reserved)
            window.count(math.ceil(used / self._processes), now)

    def _own_share(
        self, kind: str, weight: int, limit: int, *, urgent: bool, now: float
    ) -> float:
        """Count in this process' part of the limit."""
        part = max(1, limit // self._processes)
        kept = max(1, math.ceil(part * RESERVE))
        ordinary = self._window(kind, part - kept, reserved=False)
        # A part smaller than one request still lets one through in a window.
        wait_s = ordinary.offer(min(weight, ordinary.limit), now)
        if wait_s > 0.0 and urgent:
            reserved = self._window(kind, kept, reserved=True)
            wait_s = min(wait_s, reserved.offer(min(weight, kept), now))
        return wait_s

    def _window(self, kind: str, limit: int, *, reserved: bool) -> RollingWindow:
        window = self._own.get((kind, reserved))
        if window is None:
            window = self._own[kind, reserved] = RollingWindow(1, float(SLOTS))
        window.limit = max(1, limit)
        return window


def _redis() -> Any:
    try:
        redis = import_module("redis")
        import_module("redis.asyncio")
    except ImportError as error:
        raise ConfigError(
            f"budget_redis_url: needs the Redis client; {_INSTALL}"
        ) from error
    return redis


def _without_secrets(url: str) -> str:
    """Return an address without user, password and query."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the given text"
    if not parts.hostname:
        return "the given text"  # perhaps a password in the wrong place
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
