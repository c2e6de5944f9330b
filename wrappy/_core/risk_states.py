"""What an account may do at the moment: the three states, and what leads to each.

HALTED outweighs REDUCING, and that ACTIVE. A halt stays until it is lifted; what only
reduces goes with its cause.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container

TRANSITIONS_KEPT: Final = 1_000
DAY_S: Final = 86_400
DAILY_LOSS: Final = "daily_loss"
DRAWDOWN: Final = "drawdown"
NOTHING: Final = -(10**30)
"""Less than any amount."""

MILLION: Final = 1_000_000
"""Fractions count in 1e-6."""


class TradingState(enum.Enum):
    """What passes."""

    ACTIVE = "active"
    """Everything within the limits."""

    REDUCING = "reducing"
    """Only what cannot make a position larger, whatever fills."""

    HALTED = "halted"
    """Nothing but cancels."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state.

    Attributes:
        at_s: when, seconds of the clock that was given.
        state: the state since.
        reason: why, in words; empty when nothing stands in the way.
    """

    at_s: float
    state: TradingState
    reason: str


class StateLog:
    """The state of the moment and the changes so far.

    Attributes:
        reason: why it is not ACTIVE, in words.
        transitions: the changes so far, the latest last.
    """

    __slots__ = ("reason", "transitions")

    def __init__(self) -> None:
        self.reason = ""
        self.transitions: deque[Transition] = deque(maxlen=TRANSITIONS_KEPT)

    @property
    def state(self) -> TradingState:
        """The state of the moment."""
        return self.transitions[-1].state if self.transitions else TradingState.ACTIVE

    def enter(self, at_s: float, halts: list[str], cautions: list[str]) -> bool:
        """Enter the state that reasons lead to; return whether it is another one.

        Args:
            at_s: seconds.
            halts: why nothing may pass.
            cautions: why nothing may grow.
        """
        state = TradingState.ACTIVE
        if halts:
            state = TradingState.HALTED
        elif cautions:
            state = TradingState.REDUCING
        self.reason = "; ".join(halts or cautions)
        if state is self.state:
            return False
        self.transitions.append(Transition(at_s, state, self.reason))
        return True


class Freshness:
    """Which sources are too old, and for how long they have to be good again.

    Args:
        fresh_for_s: how long a source has to be without a problem before it counts as
            good again.
    """

    __slots__ = ("_fresh_for_s", "_sources")

    def __init__(self, fresh_for_s: float) -> None:
        self._fresh_for_s = fresh_for_s
        self._sources: dict[str, tuple[str, float | None]] = {}

    def see(self, source: str, problem: str | None, now: float) -> None:
        """Note how a source is.

        Args:
            source: its name.
            problem: what is wrong with it, None for nothing.
            now: seconds, monotone.
        """
        if problem is not None:
            self._sources[source] = problem, None
            return
        if source not in self._sources:
            return
        words, since = self._sources[source]
        if since is None:
            self._sources[source] = words, now
        elif now - since >= self._fresh_for_s:
            del self._sources[source]

    def problem(self, source: str) -> str | None:
        """Return what is wrong with a source, also when that is only just over."""
        found = self._sources.get(source)
        return None if found is None else found[0]

    def problems(self) -> dict[str, str]:
        """Return what is wrong, by source."""
        return {source: words for source, (words, _) in self._sources.items()}


class EquityWatch:
    """What the account was worth, and what it lost since midnight and since its best.

    All amounts are 1e-6 USDC. Money paid in or out counts as won or lost: the
    exchange's figure does not tell them apart.

    Args:
        daily_loss: most that may be lost since 00:00 UTC; None for no limit.
        drawdown: most that may be lost since the best, 1e-6 of it; None for none.
        oldest_s: age from which on an amount counts as not known.

    Attributes:
        equity: the latest amount, None before the first.
        peak: the best so far.
        day: number of the UTC day, None before the first amount.
        day_start: amount at its beginning.
        base: amount that the day's loss is judged from: `day_start`, or that at which
            it was forgiven.
        crest: amount that the drawdown is judged from: `peak`, or the same.
    """

    __slots__ = (
        "_daily_loss",
        "_drawdown",
        "_known_at",
        "_oldest_s",
        "base",
        "crest",
        "day",
        "day_start",
        "equity",
        "peak",
    )

    def __init__(
        self, *, daily_loss: int | None, drawdown: int | None, oldest_s: float
    ) -> None:
        self._daily_loss = daily_loss
        self._drawdown = drawdown
        self._oldest_s = oldest_s
        self._known_at = -math.inf
        self.base = 0
        self.crest = 0
        self.equity: int | None = None
        self.peak = 0
        self.day: int | None = None
        self.day_start = 0

    @property
    def is_needed(self) -> bool:
        """Whether a limit depends on it."""
        return self._daily_loss is not None or self._drawdown is not None

    @property
    def daily_pnl(self) -> int | None:
        """Won since 00:00 UTC, or since the first amount of the day."""
        return None if self.equity is None else self.equity - self.day_start

    @property
    def drawdown(self) -> int | None:
        """Lost since the best, in 1e-6 of it; None before the first amount."""
        if self.equity is None:
            return None
        return _fraction(self.peak - self.equity, self.peak)

    def restore(
        self, *, day: int, day_start: int, peak: int, base: int, crest: int
    ) -> None:
        """Take over what an earlier run knew; before the first amount."""
        self.day, self.day_start, self.base = day, day_start, base
        self.peak, self.crest = peak, crest

    def note(self, equity: int, now: float, unix_s: float) -> None:
        """Take an amount.

        Args:
            equity: collateral and open profit.
            now: seconds, monotone.
            unix_s: the exchange's or this machine's clock, for the day.
        """
        self._turn(unix_s, equity, now)
        self.equity = equity
        self._known_at = now
        self.peak = max(self.peak, equity)
        self.crest = max(self.crest, equity)

    def _turn(self, unix_s: float, equity: int, now: float) -> None:
        day = int(unix_s // DAY_S)
        if self.day is not None and day <= self.day:
            return
        # What was known just before midnight is nearer to it than what comes after.
        if self.equity is not None and now - self._known_at <= self._oldest_s:
            equity = self.equity
        self.day, self.day_start, self.base = day, equity, equity

    def age_s(self, now: float) -> float:
        """Return how old the amount is; infinite before the first."""
        return now - self._known_at

    def doubt(self, now: float) -> str | None:
        """Return why the amount cannot be relied on, None if it can or need not be."""
        if not self.is_needed:
            return None
        if self.equity is None:
            return "the account's equity is not known yet"
        if self.age_s(now) > self._oldest_s:
            return f"the account's equity is older than {self._oldest_s:g} s"
        return None

    def losses(self, day: int) -> dict[str, str]:
        """Return the limits that are passed, by name, each with words.

        Args:
            day: number of the UTC day; what was lost on an earlier one is over.
        """
        found: dict[str, str] = {}
        if self.equity is None:
            return found
        lost = self.base - self.equity
        is_today = self.day is not None and self.day >= day
        if is_today and self._daily_loss is not None and lost >= self._daily_loss:
            found[DAILY_LOSS] = (
                f"lost {_usdc(lost)} USDC since 00:00 UTC, {_usdc(self._daily_loss)} "
                "are allowed"
            )
        fallen = _fraction(self.crest - self.equity, self.crest)
        if self._drawdown is not None and fallen >= self._drawdown:
            found[DRAWDOWN] = (
                f"{fallen / 10_000:.2f} % below the best, "
                f"{self._drawdown / 10_000:.2f} % are allowed"
            )
        return found

    def calm(self, passed: Container[str] = ()) -> tuple[int, int]:
        """Return the lowest and the highest amount that would change `equity` alone.

        Within a day no loss becomes too large between them, and none is a new best.

        Args:
            passed: names of limits that are known to be passed.
        """
        lowest = NOTHING
        if self._daily_loss is not None and DAILY_LOSS not in passed:
            lowest = self.base - self._daily_loss + 1
        if self._drawdown is not None and DRAWDOWN not in passed:
            allowed = (self._drawdown - 1) * self.crest // MILLION
            lowest = max(lowest, self.crest - allowed)
        return lowest, min(self.peak, self.crest)

    def forgive(self) -> None:
        """Judge what is lost from here on anew; the figures stay."""
        if self.equity is not None:
            self.base = self.crest = self.equity


def _fraction(part: int, whole: int) -> int:
    """Return `part` of `whole` in 1e-6, rounded up; all of it when there is nothing."""
    if part <= 0:
        return 0
    return -(-part * MILLION // whole) if whole > 0 else MILLION


def _usdc(amount: int) -> str:
    return f"{amount // MILLION}.{amount % MILLION // 10_000:02d}"
