"""What goes wrong on purpose: rules, when they match, and what they then ask for.

Pure decisions, seeded: the same rules and the same occasions give the same faults.
The doors perform what `Faults.decide` returns; each firing is told to the venue's
ledger, so that a test can tell a fault that happened from one that did not.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError
from wrappy.venue.events import FaultFired
from wrappy.venue.fault_rules import CERTAIN, POSSIBLE, STATUSES, FaultRule

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.venue.fault_rules import Act, Door, Phase

REORDER_PATIENCE_MS: Final = 1_000
"""How long a request or an answer is held back for another to pass it, unless a
`delay_ms` says otherwise."""

_LAST: Final = frozenset(
    {"drop", "reorder", "truncate", "garbage", "status", "close", "stall", "freeze"}
)
"""Acts after which no other rule is asked: there is nothing left to do it to."""

_TOUCHED: Final[dict[str, str]] = {
    "nonce_gap": "update/order_book",
    "offset_jump": "/order_book",
}
"""Endings of the frame types that these acts can be done to."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom and what an occasion is about, as far as it says.

    Attributes:
        account: index of the account.
        api_key_index: slot of the key that signed.
        tx_types: types of the transactions.
    """

    account: int | None = None
    api_key_index: int | None = None
    tx_types: tuple[int, ...] = ()


NOBODY: Final = Subject()


@dataclass(frozen=True, slots=True)
class Occasion:
    """A moment at which something could go wrong.

    Attributes:
        door: where.
        phase: when.
        path: REST path, type of a WebSocket message, or type of a pushed frame.
        channel: channel of a push or of a subscription; else empty.
        age_ms: how long the WebSocket has been open; 0 over REST.
        look: finds out whom it is about; called only when a rule asks for it.
    """

    door: Door
    phase: Phase
    path: str = ""
    channel: str = ""
    age_ms: int = 0
    look: Callable[[], Subject] = lambda: NOBODY


@dataclass(frozen=True, slots=True)
class Firing:
    """A rule that fires now.

    Attributes:
        rule: what to do.
        handle: number of the rule.
        delay_s: seconds to wait, where the act waits.
        seed: seeds whatever the act makes up.
    """

    rule: FaultRule
    handle: int
    delay_s: float
    seed: int

    @property
    def act(self) -> Act:
        """What to do."""
        return self.rule.act


@dataclass(slots=True)
class _Armed:
    rule: FaultRule
    chance: random.Random
    matches: int = 0
    firings: int = 0

    @property
    def spent(self) -> bool:
        return self.rule.times is not None and self.firings >= self.rule.times


@dataclass(frozen=True, slots=True)
class FaultCount:
    """A rule and what became of it.

    Attributes:
        handle: number of the rule.
        rule: the rule.
        matches: occasions it matched.
        firings: occasions at which it fired.
    """

    handle: int
    rule: FaultRule
    matches: int
    firings: int


@dataclass(slots=True)
class Faults:
    """The rules in force.

    Args:
        seed: seeds every rule's chances, with the rule's number.
        record: told of every firing.
        now_us: venue time for what is recorded, unix microseconds.
    """

    seed: int = 1
    record: Callable[[FaultFired], None] = lambda _: None
    now_us: Callable[[], int] = lambda: 0
    _rules: dict[int, _Armed] = field(default_factory=dict, init=False)
    _added: int = field(default=0, init=False)
    _phases: frozenset[str] = field(default=frozenset(), init=False)

    def add(self, rule: FaultRule) -> int:
        """Put a rule in force and return its handle."""
        self._added += 1
        # A text seeds alike in every process, whatever hashes there.
        chance = random.Random(f"{self.seed}/{self._added}")
        self._rules[self._added] = _Armed(rule, chance)
        self._look_again()
        return self._added

    def remove(self, handle: int) -> None:
        """Take a rule out of force.

        Raises:
            ConfigError: there is no such rule.
        """
        if handle not in self._rules:
            raise ConfigError(f"handle: {handle} is no fault in force")
        del self._rules[handle]
        self._look_again()

    def clear(self) -> None:
        """Take every rule out of force."""
        self._rules.clear()
        self._look_again()

    def _look_again(self) -> None:
        self._phases = frozenset(armed.rule.phase for armed in self._rules.values())

    def counts(self) -> list[FaultCount]:
        """Return every rule in force with its counts, in order of adding."""
        return [
            FaultCount(handle, armed.rule, armed.matches, armed.firings)
            for handle, armed in self._rules.items()
        ]

    def fired(self, handle: int) -> int:
        """Return how often a rule has fired.

        Raises:
            ConfigError: there is no such rule.
        """
        if handle not in self._rules:
            raise ConfigError(f"handle: {handle} is no fault in force")
        return self._rules[handle].firings

    def watches(self, phase: Phase) -> bool:
        """Return whether any rule is about that phase: cheap, asked for every frame."""
        return phase in self._phases

    def decide(self, occasion: Occasion) -> list[Firing]:
        """Return what goes wrong now, in order; every firing is counted and recorded.

        Rules are asked in the order in which they were added; after one that leaves
        nothing to go wrong, such as a `drop`, no other is asked.
        """
        if occasion.phase not in self._phases:
            return []
        found: list[Firing] = []
        subject: Subject | None = None
        for handle, armed in self._rules.items():
            rule = armed.rule
            if armed.spent or not _fits(rule, occasion):
                continue
            if rule.account is not None or rule.tx_type is not None:
                subject = subject or occasion.look()
                if rule.account not in (None, subject.account):
                    continue
                if rule.tx_type is not None and rule.tx_type not in subject.tx_types:
                    continue
            if not _is_its_turn(armed):
                continue
            subject = subject or occasion.look()
            found.append(self._fire(handle, armed, occasion, subject))
            if rule.act in _LAST:
                break
        return found

    def _fire(
        self, handle: int, armed: _Armed, occasion: Occasion, subject: Subject
    ) -> Firing:
        rule = armed.rule
        armed.firings += 1
        delay_ms = rule.delay_ms
        if rule.spread_ms:
            delay_ms += armed.chance.randint(0, rule.spread_ms)
        if rule.act == "reorder":
            delay_ms = delay_ms or REORDER_PATIENCE_MS
        where = occasion.path
        if occasion.phase == "push":
            where = occasion.channel or where
        self.record(
            FaultFired(
                self.now_us(),
                handle,
                rule.act,
                occasion.phase,
                where,
                subject.account,
                subject.api_key_index,
            )
        )
        seed = armed.chance.getrandbits(32) if rule.act == "garbage" else 0
        return Firing(rule, handle, delay_ms / 1_000, seed)


def _fits(rule: FaultRule, occasion: Occasion) -> bool:
    if rule.phase != occasion.phase:
        return False
    if rule.act not in POSSIBLE.get((occasion.door, occasion.phase), ()):
        return False
    if rule.act == "status" and occasion.door == "rest" and rule.code not in STATUSES:
        return False
    if not occasion.path.endswith(_TOUCHED.get(rule.act, "")):
        return False
    return rule.after_ms <= occasion.age_ms and _is_there(rule, occasion)


def _is_there(rule: FaultRule, occasion: Occasion) -> bool:
    if rule.path is not None:
        start = rule.path.removesuffix("*")
        exact = start == rule.path
        if not (occasion.path == start if exact else occasion.path.startswith(start)):
            return False
    if rule.channel is None:
        return True
    return occasion.channel == rule.channel or occasion.channel.startswith(
        f"{rule.channel}/"
    )


def _is_its_turn(armed: _Armed) -> bool:
    rule = armed.rule
    armed.matches += 1
    if rule.nth is not None and armed.matches != rule.nth:
        return False
    if rule.every is not None and armed.matches % rule.every:
        return False
    if rule.probability == CERTAIN:
        return True
    return armed.chance.randrange(CERTAIN) < rule.probability


def garbled(text: bytes, seed: int) -> bytes:
    """Return as many bytes of nonsense: printable, but no JSON."""
    chance = random.Random(seed)
    letters = b"!#$%&()*+-./:;<=>?@^_`|~"
    return b"%" + bytes(chance.choices(letters, k=max(0, len(text) - 1)))


def noise(length: int, seed: int) -> bytes:
    """Return so many arbitrary bytes, the first of which begins no UTF-8 text."""
    return b"\xff" + random.Random(seed).randbytes(max(0, length - 1))
