"""What goes wrong with the bytes of a connection: rules, and where each one acts.

Pure decisions. A rule counts the bytes of one direction of each connection from the
first it sees, and acts after a number of them: where, does not depend on how the
bytes happened to be cut into pieces on their way.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from wrappy.errors import ConfigError

TcpAct: TypeAlias = Literal[
    "refuse", "reset", "cut", "half_open", "slice", "delay", "throttle"
]
"""What can go wrong with a connection."""

Direction: TypeAlias = Literal["up", "down"]
"""Towards the exchange, or from it."""

ACTS: Final = frozenset(
    {"refuse", "reset", "cut", "half_open", "slice", "delay", "throttle"}
)
ENDING: Final = frozenset({"refuse", "reset", "cut"})
"""Acts after which the connection is gone."""
_MILLION: Final = 1_000_000
_LONGEST_MS: Final = 600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpFault:
    """One rule of a `TcpProxy`.

    Attributes:
        act: what happens: `refuse` resets a connection as soon as it is made, `reset`
            one that carries bytes (RST, whatever was under way is lost), `cut` closes
            it in order (FIN), `half_open` swallows all bytes from then on and leaves
            it open, `slice` writes byte by byte, `delay` holds bytes back, `throttle`
            lets so many through a second.
        direction: whose bytes: `up` to the exchange, `down` from it.
        after_bytes: bytes that pass first, on each connection; at 0 it acts on the
            first byte that comes.
        delay_ms: how long `delay` holds back what comes, 0 to 600,000.
        spread_ms: up to so much longer, drawn evenly.
        bytes_per_s: how much `throttle` lets through, at least 1.
        probability: chance of each connection to be hit, in millionths.
        times: connections it hits at most; None for all.

    Raises:
        ConfigError: a value that cannot work.
    """

    act: TcpAct
    direction: Direction = "down"
    after_bytes: int = 0
    delay_ms: int = 0
    spread_ms: int = 0
    bytes_per_s: int = 10_000
    probability: int = _MILLION
    times: int | None = None

    def __post_init__(self) -> None:
        if self.act not in ACTS:
            raise ConfigError(f"act: {self.act!r} is none of {sorted(ACTS)}")
        if self.direction not in ("up", "down"):
            raise ConfigError(f"direction: {self.direction!r} is neither up nor down")
        for name, low, high in (
            ("after_bytes", 0, None),
            ("delay_ms", 0, _LONGEST_MS),
            ("spread_ms", 0, _LONGEST_MS),
            ("bytes_per_s", 1, None),
            ("probability", 0, _MILLION),
        ):
            _check(name, getattr(self, name), low, high)
        if self.times is not None:
            _check("times", self.times, 1, None)


def _check(name: str, value: object, low: int, high: int | None) -> None:
    if type(value) is not int or value < low or (high is not None and value > high):
        bounds = f"{low} or more" if high is None else f"within {low} and {high}"
        raise ConfigError(f"{name}: {value!r} is no whole number, {bounds}")


@dataclass(frozen=True, slots=True)
class TcpFiring:
    """A fault that did happen.

    Attributes:
        rule: handle of the rule.
        act: what it did.
        connection: number of the connection, from 1 in order of arrival.
        direction: whose bytes.
        at_bytes: bytes of that direction that had passed before it.
    """

    rule: int
    act: TcpAct
    connection: int
    direction: Direction
    at_bytes: int


class Way:
    """One direction of one connection, as the rules see it.

    Attributes:
        passed: bytes carried or swallowed so far.
        acting: rules that act on it for good, by handle.
    """

    __slots__ = ("acting", "connection", "direction", "done", "passed", "since")

    def __init__(self, connection: int, direction: Direction) -> None:
        self.connection = connection
        self.direction = direction
        self.passed = 0
        self.acting: dict[int, TcpFault] = {}
        self.since: dict[int, int] = {}
        self.done: set[int] = set()


class TcpFaults:
    """The rules of one proxy; the same seed and the same bytes give the same faults.

    Attributes:
        firings: what happened, oldest first.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rules: dict[int, TcpFault] = {}
        self._fired: dict[int, int] = {}
        self._handles = 0
        self.firings: list[TcpFiring] = []

    def add(self, rule: TcpFault) -> int:
        """Add a rule, also for connections that are open; return its handle."""
        self._handles += 1
        self._rules[self._handles] = rule
        return self._handles

    def clear(self) -> None:
        """Forget every rule; what acts on a connection stops acting."""
        self._rules.clear()

    def fired(self, handle: int) -> int:
        """Return how many connections a rule has hit."""
        return self._fired.get(handle, 0)

    def refuses(self, connection: int) -> bool:
        """Return whether a new connection is reset at once."""
        way = Way(connection, "down")
        for handle, rule in self._rules.items():
            if rule.act == "refuse" and self._hits(handle, rule, way):
                self._fire(handle, rule, way)
                return True
        return False

    def room(self, way: Way, size: int) -> tuple[int, int | None]:
        """Return how many of `size` bytes pass before a rule acts, and its handle.

        None: all of them pass.
        """
        found: int | None = None
        for handle, rule in self._rules.items():
            if rule.act == "refuse" or rule.direction != way.direction:
                continue
            if handle in way.done or handle in way.acting:
                continue
            left = way.since.setdefault(handle, way.passed) + rule.after_bytes
            left -= way.passed
            if left > size or (found is not None and left >= size):
                continue
            if self._hits(handle, rule, way):
                size, found = left, handle
            else:
                way.done.add(handle)
        return size, found

    def start(self, way: Way, handle: int) -> TcpFault:
        """Let a rule act on a direction from here on; return it."""
        rule = self._rules[handle]
        way.acting[handle] = rule
        self._fire(handle, rule, way)
        return rule

    def acting(self, way: Way) -> list[TcpFault]:
        """Return the rules that act on a direction and have not been removed."""
        return [rule for handle, rule in way.acting.items() if handle in self._rules]

    def delay_s(self, way: Way, rule: TcpFault) -> float:
        """Return for how long a rule holds back what comes next."""
        chance = random.Random(f"{self._seed}/{way.connection}/{way.passed}")
        return (rule.delay_ms + chance.random() * rule.spread_ms) / 1_000

    def _hits(self, handle: int, rule: TcpFault, way: Way) -> bool:
        if rule.times is not None and self.fired(handle) >= rule.times:
            return False
        # A text seeds alike everywhere; by connection, not in the order of asking.
        chance = random.Random(f"{self._seed}/{handle}/{way.connection}")
        return chance.random() * _MILLION < rule.probability

    def _fire(self, handle: int, rule: TcpFault, way: Way) -> None:
        self._fired[handle] = self.fired(handle) + 1
        self.firings.append(
            TcpFiring(handle, rule.act, way.connection, way.direction, way.passed)
        )
