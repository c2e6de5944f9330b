"""Client order indices: who may use which numbers, and in which order.

A client order index has 48 bits on the wire (official signer constants) and must
never be used twice by an account. It is laid out as

    30 bits seconds since 2024-01-01 UTC | 6 bits tag | 12 bits counter

Seconds are not read for every order: a process *leases* a stretch of them and
counts through it. The shell stores the lease's last second on disk, under a file
lock, before the first number is used. The next lease then starts behind it, even
when the clock stood still or went backwards, and two processes of one host never
hold the same second. The tag keeps hosts apart that do not share a disk.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from wrappy.errors import ConfigError, UsageError

COI_MAX = 2**48 - 1
"""Largest client order index; 0 means "none" on the wire and is never issued."""

COI_EPOCH_S = 1_704_067_200
"""Unix time of 2024-01-01 00:00:00 UTC, where the seconds start."""

TICK_MAX = 2**30 - 1
"""Last second that fits; it lies in January 2058."""

TAG_MAX = 2**6 - 1
"""Largest tag."""

_COUNTER_BITS = 12
_TAG_BITS = 6
_PER_TICK = 1 << _COUNTER_BITS


@dataclass(frozen=True, slots=True)
class CoiLease:
    """The right to use every index of some consecutive seconds under one tag.

    Attributes:
        first_tick: first second, counted from 2024-01-01 UTC, 1..TICK_MAX.
        ticks: number of seconds, 1 or more; each carries 4096 indices.
        tag: 0..TAG_MAX, different for hosts that trade one account.
    """

    first_tick: int
    ticks: int
    tag: int

    def __post_init__(self) -> None:
        if not 0 <= self.tag <= TAG_MAX:
            raise ConfigError(f"coi tag: {self.tag} must be within 0..{TAG_MAX}")
        if self.ticks < 1:
            raise ConfigError(f"coi ticks: {self.ticks} must be 1 or more")
        if self.first_tick < 1:
            raise ConfigError(
                f"coi first tick: {self.first_tick} lies before 2024; "
                "set the system clock"
            )
        if self.last_tick > TICK_MAX:
            raise ConfigError(
                f"coi last tick: {self.last_tick} lies behind the last second that "
                f"fits a client order index ({TICK_MAX}, January 2058); check the "
                "system clock and the stored tick"
            )

    @property
    def last_tick(self) -> int:
        """Last second of the lease; what the shell stores before it uses the lease."""
        return self.first_tick + self.ticks - 1

    @property
    def size(self) -> int:
        """Number of indices in the lease."""
        return self.ticks * _PER_TICK


def grant_lease(
    stored_tick: int | None, now_s: float, *, tag: int, ticks: int = 16
) -> CoiLease:
    """Return the next free lease.

    The caller must read `stored_tick`, call this and store the result's
    `last_tick` durably under one lock, before it uses the lease.

    Args:
        stored_tick: `last_tick` of the latest lease granted, `None` if there is none.
        now_s: unix time in seconds.
        tag: 0..63, different for hosts that trade one account.
        ticks: seconds to lease, 1 or more.

    Returns:
        A lease that starts now, or right behind the stored one if that is later.

    Raises:
        ConfigError: the clock stands before 2024 or after January 2058, or `tag`
            or `ticks` is out of range.
    """
    now_tick = int(now_s // 1) - COI_EPOCH_S
    if now_tick < 1:
        raise ConfigError(
            f"system clock: unix time {now_s!r} lies before 2024, where client order "
            "indices start; set the clock"
        )
    behind_stored = 1 if stored_tick is None else stored_tick + 1
    return CoiLease(first_tick=max(now_tick, behind_stored), ticks=ticks, tag=tag)


class CoiSequence:
    """Counts through leases; every index is larger than the one before."""

    __slots__ = ("_lease", "_used", "_waiting")

    def __init__(self, lease: CoiLease) -> None:
        self._lease = lease
        self._used = 0
        self._waiting: deque[CoiLease] = deque()

    def __repr__(self) -> str:
        return f"CoiSequence(remaining={self.remaining})"

    @property
    def remaining(self) -> int:
        """Number of indices left; a caller extends the sequence before it is 0."""
        waiting = sum(lease.size for lease in self._waiting)
        return self._lease.size - self._used + waiting

    @property
    def exhausted(self) -> bool:
        """Whether `next` would raise."""
        return self._used == self._lease.size and not self._waiting

    def next(self) -> int:
        """Return the next index, 1..COI_MAX.

        Raises:
            UsageError: every lease is used up; `extend` with a new one first.
        """
        if self._used == self._lease.size:
            if not self._waiting:
                raise UsageError(
                    f"client order indices up to second {self._lease.last_tick} are "
                    "used up; extend() the sequence with a new lease"
                )
            self._lease = self._waiting.popleft()
            self._used = 0
        tick = self._lease.first_tick + self._used // _PER_TICK
        counter = self._used % _PER_TICK
        self._used += 1
        return ((tick << _TAG_BITS | self._lease.tag) << _COUNTER_BITS) | counter

    def extend(self, lease: CoiLease) -> None:
        """Append a lease, to be used when those before it are used up.

        Raises:
            UsageError: the lease does not lie behind the last one.
        """
        last = self._waiting[-1] if self._waiting else self._lease
        if lease.first_tick <= last.last_tick:
            raise UsageError(
                f"the lease starts at second {lease.first_tick}, but the sequence "
                f"already holds second {last.last_tick}"
            )
        self._waiting.append(lease)
