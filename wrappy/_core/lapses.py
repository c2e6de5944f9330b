"""What was accepted and never heard of: when to look for it, and what looks prove.

The exchange answers 200 and may drop the transaction all the same. It executes
nothing once its clock is past the transaction's `ExpiredAt` (prover circuits), so what
is shown nowhere by reads that were made after that has never happened and never will.
A read that failed, or that did not go back far enough, proves nothing.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wrappy._core.backoff import Backoff
from wrappy._core.receipts import (
    FAILED_SILENTLY,
    LOOKS_TO_PROVE,
    NO_TRACE,
    TransactionFate,
)
from wrappy._core.settlement import HASH_LAG_MS
from wrappy._core.venue_clock import GRACE_MS, SLACK_MS, VenueClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wrappy._core.receipts import TransactionReport

SECOND_LOOK_S = 1.0
"""From one look to the next that is to confirm it: lists can lag behind."""

LONGEST_PAUSE_S = 60.0
SPARED_S = 30.0
"""Where nobody but these looks tells of orders, so long from one to the next."""

ROUNDING_S = 0.001
NEVER_EXECUTED = "never executed"


class LapseKind(enum.Enum):
    """What a transaction was to do with an order."""

    CREATES = "creates"
    CANCELS = "cancels"
    CHANGES = "changes"


class LapseEnd(enum.Enum):
    """What a look has come to."""

    OPEN = "open"
    """Nothing is proven; it is looked for again."""

    DEAD = "dead"
    """It was never carried out and never will be."""

    DONE = "done"
    """There is nothing more to learn of it."""


@dataclass(slots=True, eq=False)
class Lapse:
    """An accepted transaction, as far as it is about one order.

    Attributes:
        tx_hash: the transaction.
        number: the order's client order index.
        kind: what was to be done with it.
        ends_ms: `ExpiredAt`, unix milliseconds.
        since: when it was accepted, monotone seconds.
        target: ticks and lots that a change was to bring.
        misses: looks in a row that have shown nothing of it.
        awaited: whether somebody waits for its end.
    """

    tx_hash: str
    number: int
    kind: LapseKind
    ends_ms: int
    since: float
    target: tuple[int, int] = (0, 0)
    misses: int = 0
    awaited: bool = False

    @property
    def due_ms(self) -> int:
        """When a look can tell its end, unix milliseconds of the exchange.

        What creates nothing is known by its hash alone, and that read lags.
        """
        lag_ms = 0 if self.kind is LapseKind.CREATES else HASH_LAG_MS
        return self.ends_ms + lag_ms


class Lapses:
    """Accepted transactions without a report. Performs no I/O."""

    def __init__(self) -> None:
        self._open: dict[int, list[Lapse]] = {}
        self._clock = VenueClock()
        self._pauses = Backoff(
            first_s=SECOND_LOOK_S, ceiling_s=LONGEST_PAUSE_S, jitter=0.0
        )
        # No look before, and none but for what somebody waits for or what was missed.
        self._rests_until = self._spares_until = -math.inf

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    def __repr__(self) -> str:
        return f"Lapses({len(self)})"

    def accepted(self, lapse: Lapse) -> None:
        """Begin to wait for a report, of the latest of its kind if there are more."""
        self._keep(lapse.number, lambda one: one.kind is not lapse.kind)
        self._open.setdefault(lapse.number, []).append(lapse)

    def shown(self, number: int, target: tuple[int, int]) -> None:
        """Note that the exchange shows an order, live, as `target` ticks and lots."""
        self._keep(
            number,
            lambda one: (
                one.kind is LapseKind.CANCELS
                or (one.kind is LapseKind.CHANGES and one.target != target)
            ),
        )

    def ended(self, number: int) -> None:
        """Note that an order is over: nothing about it matters any more."""
        self._open.pop(number, None)

    def drop(self, lapse: Lapse) -> None:
        """Wait for one no longer."""
        self._keep(lapse.number, lambda one: one is not lapse)

    def hurry(self, number: int) -> None:
        """Note that somebody waits for what becomes of an order."""
        for lapse in self._open.get(number, ()):
            lapse.awaited = True

    def wake_at(
        self, now: float, unix_ms: float, of: Iterable[Lapse] | None = None
    ) -> float:
        """Return when to look next, monotone seconds; infinity for never.

        Args:
            now: monotone seconds.
            unix_ms: our own clock.
            of: only for these; None for all.
        """
        earliest = math.inf
        for lapse in self._all() if of is None else of:
            left_s = (lapse.due_ms + GRACE_MS + SLACK_MS - unix_ms) / 1000
            at = now + left_s + ROUNDING_S
            if not (lapse.awaited or lapse.misses):
                at = max(at, self._spares_until)
            earliest = min(earliest, at)
        return max(earliest, self._rests_until)

    def wants_clock(self, now: float, unix_ms: float) -> bool:
        """Whether something is over by our clock, and not yet by the exchange's.

        Also when ours is so late that it would do alone, as after a sleep of the
        machine: it counts where the exchange does not tell, not where nobody asked.
        """
        is_told = self._clock.least_ms(now) is not None
        return any(
            unix_ms >= lapse.due_ms + GRACE_MS + SLACK_MS
            and not (is_told and self._is_over(lapse, now, unix_ms))
            for lapse in self._all()
        )

    def clock_read(self, venue_ms: int, now: float, unix_ms: float) -> None:
        """Take the exchange's clock, unix milliseconds rounded down to a second."""
        self._clock.read(venue_ms, now, unix_ms)

    def due(self, now: float, unix_ms: float) -> list[Lapse]:
        """Return those whose time is proven to be over, oldest first."""
        over = [one for one in self._all() if self._is_over(one, now, unix_ms)]
        return sorted(over, key=lambda one: one.since)

    def is_long_over(self, lapse: Lapse, now: float, unix_ms: float) -> bool:
        """Whether the read by hash cannot lag behind it any more."""
        return self._clock.is_over(lapse.ends_ms + HASH_LAG_MS, now, unix_ms)

    def changes(self, number: int) -> bool:
        """Whether an order has a change that is waited for."""
        return any(one.kind is LapseKind.CHANGES for one in self._open.get(number, ()))

    def is_open(self, lapse: Lapse) -> bool:
        """Whether one is still waited for."""
        return lapse in self._open.get(lapse.number, ())

    def keys(self) -> set[tuple[str, int]]:
        """Return hash and number of all that is waited for."""
        return {(lapse.tx_hash, lapse.number) for lapse in self._all()}

    def began_ms(self, lapses: Iterable[Lapse], now: float, unix_ms: float) -> int:
        """Return before which moment of the exchange's clock none was accepted.

        Args:
            lapses: at least one of them.
            now: monotone seconds.
            unix_ms: our own clock; it stands in where the exchange does not tell.
        """
        first = min(one.since for one in lapses)
        told = self._clock.least_ms(first)
        return int(unix_ms - (now - first) * 1000 if told is None else told)

    def looked(
        self,
        lapse: Lapse,
        report: TransactionReport | None,
        *,
        is_live: bool,
        is_nowhere: bool,
        is_past: bool = False,
    ) -> tuple[LapseEnd, str]:
        """Take what a look made after its time was over has told of one.

        Args:
            lapse: one that is due.
            report: the exchange's word on the transaction, None if it knows none.
            is_live: a list of live orders has the order.
            is_nowhere: no list has it, and they were read far enough back; or they
                do not reach back to it, and its hash is unknown for long enough.
            is_past: no list has it, and they do not reach back to it.

        Returns:
            What that proves, and the words for it if it is dead.
        """
        creates = lapse.kind is LapseKind.CREATES
        fate = None if report is None else report.fate
        if report is not None and fate is TransactionFate.FAILED:
            return self._end(lapse, LapseEnd.DEAD, report.reason or FAILED_SILENTLY)
        executed = fate is TransactionFate.EXECUTED
        if executed and lapse.kind is LapseKind.CHANGES:
            return self._end(lapse, LapseEnd.DONE)
        # What was carried out and is on no list that could tell how it ended.
        is_lost = is_past and executed
        if not (is_nowhere or is_lost or (is_live and not creates)):
            return LapseEnd.OPEN, ""
        lapse.misses += 1
        if lapse.misses < LOOKS_TO_PROVE:
            return LapseEnd.OPEN, ""
        if is_lost or not creates:
            # An order that no list has is over, and so is what was to be done to it.
            is_dead = is_live and not executed
            end = LapseEnd.DEAD if is_dead else LapseEnd.DONE
            return self._end(lapse, end, NEVER_EXECUTED if is_dead else "")
        words = NEVER_EXECUTED
        if report is not None and executed:
            words = f"{NO_TRACE}: {report.reason}" if report.reason else NO_TRACE
        return self._end(lapse, LapseEnd.DEAD, words)

    def rested(self, now: float, *, shown: int, brought: bool) -> None:
        """Note that a look is over, or has failed.

        Args:
            now: monotone seconds.
            shown: how many of those that were due only the lists told of.
            brought: whether it was of any use; if not, the next is put off further.
        """
        if shown:
            self._spares_until = now + SPARED_S
        if brought:
            self._pauses.reset()
        self._rests_until = now + self._pauses.next(0.0)

    def _keep(self, number: int, stays: Callable[[Lapse], bool]) -> None:
        if number in self._open:
            kept = [lapse for lapse in self._open[number] if stays(lapse)]
            if kept:
                self._open[number] = kept
            else:
                del self._open[number]

    def _end(
        self, lapse: Lapse, end: LapseEnd, words: str = ""
    ) -> tuple[LapseEnd, str]:
        self.drop(lapse)
        return end, words

    def _is_over(self, lapse: Lapse, now: float, unix_ms: float) -> bool:
        return self._clock.is_over(lapse.due_ms, now, unix_ms)

    def _all(self) -> list[Lapse]:
        return [lapse for lapses in self._open.values() for lapse in lapses]


def has_no_reason(report: TransactionReport | None) -> bool:
    """Whether a transaction whose time is over was neither executed nor refused."""
    return report is None or report.fate is TransactionFate.PENDING
