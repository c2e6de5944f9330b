"""Finding out what became of transactions whose answer was lost.

The very same bytes are sent again, for the exchange takes a nonce once, and it is
asked for the hashes, for its next nonce and for its clock. Accepted is what the
exchange has said yes to or knows by hash. Dead is only what is proven dead: its time
is over by the exchange's own clock and a read made after that does not know it, or
its nonce went to something else and two such reads, a second apart, do not know it.
A read that failed proves nothing, and a refusal of the copy is a hint at most: it
may be refused because the first one got in.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from wrappy._core.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Iterable

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0
SECOND_LOOK_S = 1.0
"""Reads lag behind: between two looks that prove an absence lies this much."""

GRACE_MS = 1_000
"""After its expiry, a transaction may still be shown as one that was in time."""

SLACK_MS = 200
"""What our clock may be ahead of the exchange's before its clock has to be asked."""

SKEW_MS = 500
"""Difference of clocks up to which ours may measure the time since an expiry."""

ALONE_MS = 30_000
"""When the exchange does not tell the time, ours counts after so much longer."""


class SettleStep(enum.Enum):
    """What is to be done next."""

    RESEND = "resend"
    """Send the same bytes of the whole batch; then `resent`."""

    ASK_NONCE = "ask nonce"
    """Ask for the key's next nonce; then `nonce_read`."""

    ASK_CLOCK = "ask clock"
    """Ask the exchange for its time; then `clock_read`."""

    ASK_HASH = "ask hash"
    """Ask for one transaction; then `hash_read`."""

    WAIT = "wait"
    """Do nothing until a moment."""

    DONE = "done"
    """Everything is settled."""


class SettleMove(NamedTuple):
    """A step and what it needs.

    Attributes:
        step: what to do.
        tx_hash: transaction to ask for.
        until: when to go on, in the caller's monotone seconds.
    """

    step: SettleStep
    tx_hash: str = ""
    until: float = 0.0


class SettledAs(enum.Enum):
    """How a doubt ended."""

    ACCEPTED = "accepted"
    EXPIRED = "expired"
    """Never executed and too old now; its nonce was not used by it."""

    PASSED = "passed"
    """Never executed: its nonce was used by something else."""


class DoubtfulTx(NamedTuple):
    """A transaction without an answer.

    Attributes:
        tx_hash: what the exchange would know it by.
        nonce: the nonce it spends.
        expired_at_ms: unix milliseconds after which it cannot be executed.
    """

    tx_hash: str
    nonce: int
    expired_at_ms: int


@dataclass(slots=True)
class _Doubt:
    tx: DoubtfulTx
    verdict: SettledAs | None = None
    unseen_at: float | None = None
    """When a read after its nonce had passed did not know it."""


class Settlement:
    """The doubt about one batch. Performs no I/O.

    Call `next` for what to do, do it, and tell the answer; then again. Rounds of a
    copy and questions follow each other, with growing pauses.
    """

    def __init__(self, transactions: Iterable[DoubtfulTx]) -> None:
        """Begin to doubt.

        Args:
            transactions: one batch, in nonce order.
        """
        self._doubts = [_Doubt(tx) for tx in transactions]
        self._pauses = Backoff(
            first_s=FIRST_PAUSE_S, ceiling_s=LONGEST_PAUSE_S, jitter=0.0
        )
        self._moves = self._new_round()
        self._current = SettleMove(SettleStep.WAIT)
        self._asked_at = 0.0
        self._expired_ago: set[str] = set()
        self._venue_next: int | None = None
        # The exchange's time in ms, less our monotone time in ms: at least this.
        self._clock_floor: float | None = None
        self._venue_ms = 0
        self._agrees = False

    @property
    def open(self) -> list[str]:
        """Hashes that are still in doubt, in nonce order."""
        return [doubt.tx.tx_hash for doubt in self._doubts if doubt.verdict is None]

    @property
    def verdicts(self) -> dict[str, SettledAs]:
        """What is settled so far, by hash."""
        return {
            doubt.tx.tx_hash: doubt.verdict
            for doubt in self._doubts
            if doubt.verdict is not None
        }

    def next(self, now: float, unix_ms: float) -> SettleMove:
        """Return what to do now.

        Args:
            now: monotone seconds.
            unix_ms: our own clock.
        """
        if not self.open:
            return SettleMove(SettleStep.DONE)
        if self._current.step is SettleStep.WAIT and now < self._current.until:
            return self._current
        while self._moves:
            move = self._moves.pop(0)
            if self._is_useful(move, now, unix_ms):
                self._current = move
                self._asked_at = now
                self._expired_ago = self._expired(now, unix_ms)
                return move
        self._moves = self._new_round()
        self._current = SettleMove(SettleStep.WAIT, until=self._resume(now, unix_ms))
        return self._current

    def resent(self, *, accepted: bool) -> None:
        """Take the answer to the copy.

        Args:
            accepted: the exchange said yes to the whole batch. Anything else,
                refusals as well as silence, proves nothing.
        """
        if accepted:
            for doubt in self._doubts:
                doubt.verdict = doubt.verdict or SettledAs.ACCEPTED

    def nonce_read(self, venue_next: int | None) -> None:
        """Take the exchange's next nonce of the key; None if it could not be read."""
        if venue_next is not None:
            self._venue_next = max(venue_next, self._venue_next or 0)

    def clock_read(self, venue_ms: int | None, now: float, unix_ms: float) -> None:
        """Take the exchange's clock, unix milliseconds rounded down to a second.

        Args:
            venue_ms: None if it could not be read.
            now: monotone seconds when the answer came.
            unix_ms: our own clock then.
        """
        if venue_ms is None:
            return
        # It was that late when the answer was written, and is later now.
        floor = venue_ms - now * 1000
        if self._clock_floor is None or floor > self._clock_floor:
            self._clock_floor = floor
        self._venue_ms = venue_ms
        self._agrees = -SKEW_MS <= unix_ms - venue_ms <= 1000 + SKEW_MS

    def hash_read(self, *, known: bool | None, now: float) -> None:
        """Take what the exchange knows of the transaction that was asked for.

        Args:
            known: None if it could not be read.
            now: monotone seconds when the answer came.
        """
        if known is None:
            return
        doubt = self._doubt(self._current.tx_hash)
        if known:
            doubt.verdict = SettledAs.ACCEPTED
            return
        unseen_at, expired = doubt.unseen_at, self._current.tx_hash in self._expired_ago
        if not self._passed(doubt):
            doubt.verdict = SettledAs.EXPIRED if expired else None
        elif expired or (
            unseen_at is not None and self._asked_at - unseen_at >= SECOND_LOOK_S
        ):
            doubt.verdict = SettledAs.PASSED
        elif unseen_at is None:
            doubt.unseen_at = now

    def _new_round(self) -> list[SettleMove]:
        moves = [
            SettleMove(SettleStep.RESEND),
            SettleMove(SettleStep.ASK_NONCE),
            SettleMove(SettleStep.ASK_CLOCK),
        ]
        return moves + [
            SettleMove(SettleStep.ASK_HASH, tx_hash=tx_hash) for tx_hash in self.open
        ]

    def _is_useful(self, move: SettleMove, now: float, unix_ms: float) -> bool:
        undecided = [doubt for doubt in self._doubts if doubt.verdict is None]
        if move.step is SettleStep.RESEND:
            # A copy that cannot be taken any more is noise.
            return not any(
                self._passed(doubt) or unix_ms > doubt.tx.expired_at_ms
                for doubt in self._doubts
            )
        if move.step is SettleStep.ASK_CLOCK:
            proven = self._expired(now, unix_ms)
            return any(
                unix_ms >= doubt.tx.expired_at_ms + GRACE_MS + SLACK_MS
                and doubt.tx.tx_hash not in proven
                for doubt in undecided
            )
        return True

    def _passed(self, doubt: _Doubt) -> bool:
        return self._venue_next is not None and self._venue_next > doubt.tx.nonce

    def _expired(self, now: float, unix_ms: float) -> set[str]:
        """Return the hashes whose time is proven to be over."""
        return {
            doubt.tx.tx_hash
            for doubt in self._doubts
            if self._is_over(doubt.tx.expired_at_ms, now, unix_ms)
        }

    def _is_over(self, expired_at_ms: int, now: float, unix_ms: float) -> bool:
        if self._clock_floor is None:
            return unix_ms >= expired_at_ms + GRACE_MS + ALONE_MS
        if self._clock_floor + now * 1000 >= expired_at_ms + GRACE_MS:
            return True
        # Told in whole seconds; with clocks that agree, ours knows the rest.
        late = unix_ms >= expired_at_ms + GRACE_MS + SLACK_MS
        return self._agrees and late and self._venue_ms > expired_at_ms

    def _resume(self, now: float, unix_ms: float) -> float:
        """Return when the next round can learn something."""
        pause_s = self._pauses.next(0.0)
        until = now + pause_s
        for doubt in self._doubts:
            if doubt.verdict is not None:
                continue
            if doubt.unseen_at is not None:
                second = doubt.unseen_at + SECOND_LOOK_S + 0.01
                until = min(until, max(now + FIRST_PAUSE_S, second))
            due_ms = doubt.tx.expired_at_ms + GRACE_MS + SLACK_MS
            if unix_ms < due_ms:
                until = min(until, now + (due_ms - unix_ms) / 1000)
            else:
                # One good read is all that is missing now.
                until = min(until, now + SECOND_LOOK_S)
        return until

    def _doubt(self, tx_hash: str) -> _Doubt:
        return next(doubt for doubt in self._doubts if doubt.tx.tx_hash == tx_hash)
