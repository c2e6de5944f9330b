"""Finding out what became of transactions whose answer was lost.

The very same bytes are sent again, for the exchange takes a nonce once, and it is
asked for the hashes, for its next nonce and for its clock. Accepted is what the
exchange has said yes to, knows by hash, or shows an order of. Dead is only what is
proven dead: its time is over by the exchange's own clock and reads made after that,
of its hash, of the key's counter and of the account's orders, do not know it. A read
that failed proves nothing, and a refusal of the copy is a hint at most: it may be
refused because the first one got in.

A nonce that is gone tells nothing about its transaction: it may be what took it, for
the read by hash lags behind the counter. It only frees the key for the next number.
The transaction *lingers*: it is asked about until it is found or proven dead.

What would stay in doubt until its time is over is *fenced*: harmless transactions of
ours take its nonces. The exchange gives a nonce out once (prover circuits), so either
they are accepted and the old bytes are dead, or the old bytes were there before them
and nothing has happened to what they did.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from wrappy._core.backoff import Backoff
from wrappy._core.outcomes import UNKNOWN, NonceFate, SendOutcome
from wrappy._core.settle_steps import (
    Doubt,
    DoubtfulTx,
    SettledAs,
    SettleMove,
    SettleStep,
)
from wrappy._core.venue_clock import ALONE_MS, GRACE_MS, SLACK_MS, VenueClock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wrappy._core.outcomes import SendVerdict

__all__ = [
    "ALONE_MS",
    "GRACE_MS",
    "DoubtfulTx",
    "SettleMove",
    "SettleStep",
    "SettledAs",
    "Settlement",
]

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0
LINGER_FIRST_S = 0.5
LINGER_LONGEST_S = 15.0
SECOND_LOOK_S = 1.0
"""From one look to the next when one good read is all that is missing."""

HASH_LAG_MS = 10_000
"""So long a read by hash may not know what was executed."""

PATIENCE_S = 1.0
"""So long the key waits for reads that may tell more than that it is free."""

ROUNDING_S = 0.001

FENCE_AFTER_S = 3.0
"""So long copies may stay without an answer before their nonces are fenced."""


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
        self._doubts = [Doubt(tx) for tx in transactions]
        self._fences: list[Doubt] = []
        self._can_fence = True
        self._began = math.inf
        # What this round has brought: the copy's answer, a read of the counter, and
        # the hashes that the exchange did not know.
        self._copy = UNKNOWN
        self._counted = False
        self._unseen: set[str] = set()
        self._pauses = Backoff(
            first_s=FIRST_PAUSE_S, ceiling_s=LONGEST_PAUSE_S, jitter=0.0
        )
        self._lingering_pauses = Backoff(
            first_s=LINGER_FIRST_S, ceiling_s=LINGER_LONGEST_S, jitter=0.0
        )
        self._moves = self._new_round()
        self._round_began = math.inf
        self._current = SettleMove(SettleStep.WAIT)
        self._over: set[str] = set()
        self._long_over: set[str] = set()
        self._venue_next: int | None = None
        self._clock = VenueClock()

    @property
    def open(self) -> list[str]:
        """Hashes that are still in doubt, in nonce order."""
        return [doubt.tx.tx_hash for doubt in self._doubts if doubt.is_open]

    @property
    def holds(self) -> bool:
        """Whether a nonce may still be taken by what is in doubt.

        If not, the key can go on, though something may be in doubt for longer.
        """
        return not all(self._is_idle(doubt) for doubt in self._undecided())

    def frees(self, now: float) -> bool:
        """Return whether the key should go on now.

        Not before a round is over that may tell the end of the doubt, unless that
        takes long.
        """
        is_over = self._current.step in (SettleStep.WAIT, SettleStep.DONE)
        return not self.holds and (is_over or now - self._round_began >= PATIENCE_S)

    @property
    def passed(self) -> frozenset[str]:
        """Hashes whose nonces are gone, whether to them or to something else."""
        gone = (doubt.tx.tx_hash for doubt in self._doubts if self._passed(doubt))
        return frozenset(gone)

    @property
    def verdicts(self) -> dict[str, SettledAs]:
        """What is settled so far, by hash."""
        return {
            doubt.tx.tx_hash: doubt.verdict
            for doubt in self._doubts
            if doubt.verdict is not None
        }

    @property
    def fence_verdicts(self) -> dict[str, SettledAs | None]:
        """What became of fences that were accepted or had no answer, by hash.

        None while one is itself in doubt.
        """
        return {fence.tx.tx_hash: fence.verdict for fence in self._fences}

    def next(self, now: float, unix_ms: float) -> SettleMove:
        """Return what to do now.

        Args:
            now: monotone seconds.
            unix_ms: our own clock.
        """
        self._began = min(self._began, now)
        if not self._undecided():
            self._current = SettleMove(SettleStep.DONE)
            return self._current
        if self._current.step is SettleStep.WAIT:
            if now < self._current.until:
                return self._current
            self._round_began = now
        while self._moves:
            move = self._moves.pop(0)
            if move.step is SettleStep.FENCE:
                move = move._replace(nonces=self._to_fence(now, unix_ms))
            if self._is_useful(move, now, unix_ms):
                self._current = move
                self._over = self._expired(now, unix_ms)
                self._long_over = self._expired(now, unix_ms, HASH_LAG_MS)
                return move
        self._moves = self._new_round()
        self._current = SettleMove(SettleStep.WAIT, until=self._resume(now, unix_ms))
        return self._current

    def resent(self, verdict: SendVerdict) -> None:
        """Take the answer to the copy.

        Args:
            verdict: what it means. Anything but an acceptance of the whole batch,
                refusals as well as silence, proves nothing.
        """
        self._copy = verdict
        if verdict.outcome is SendOutcome.ACCEPTED:
            for doubt in self._doubts:
                self._took(doubt)

    def fenced(self, fence: Iterable[DoubtfulTx], verdict: SendVerdict) -> None:
        """Take the answer to a fence.

        Args:
            fence: what was sent for the nonces asked for.
            verdict: what the answer means. A fence without an answer is in doubt
                itself. One refused for its nonce brings new questions. One refused
                otherwise means that the exchange takes none, so that the expiry has
                to bring the proof.
        """
        if verdict.outcome in (SendOutcome.ACCEPTED, SendOutcome.UNKNOWN):
            old = {doubt.tx.tx_hash for doubt in self._fences}
            self._fences += [Doubt(tx) for tx in fence if tx.tx_hash not in old]
        if verdict.outcome is SendOutcome.ACCEPTED:
            hashes = {tx.tx_hash for tx in fence}
            for doubt in self._fences:
                if doubt.tx.tx_hash in hashes:
                    self._took(doubt)
        elif verdict.outcome is SendOutcome.REFUSED:
            if verdict.nonce is NonceFate.SUSPECT:
                self._moves = self._questions()
            else:
                self._can_fence = False

    def nonce_read(self, venue_next: int | None) -> None:
        """Take the exchange's next nonce of the key; None if it could not be read."""
        if venue_next is None:
            return
        self._venue_next = max(venue_next, self._venue_next or 0)
        self._counted = True
        for doubt in self._undecided():
            if doubt.tx.tx_hash in self._over and not self._passed(doubt):
                doubt.is_counted_out = True
                self._conclude(doubt)

    def clock_read(self, venue_ms: int | None, now: float, unix_ms: float) -> None:
        """Take the exchange's clock, unix milliseconds rounded down to a second.

        Args:
            venue_ms: None if it could not be read.
            now: monotone seconds when the answer came.
            unix_ms: our own clock then.
        """
        if venue_ms is not None:
            self._clock.read(venue_ms, now, unix_ms)

    def hash_read(self, *, known: bool | None) -> None:
        """Take what the exchange knows of the transaction that was asked for.

        Args:
            known: None if it could not be read.
        """
        doubt = self._doubt(self._current.tx_hash)
        if known:
            self._took(doubt)
        elif known is not None:
            self._unseen.add(doubt.tx.tx_hash)
            doubt.is_unknown |= doubt.tx.tx_hash in self._over
            doubt.is_unknown_still |= doubt.tx.tx_hash in self._long_over
            self._conclude(doubt)

    def orders_read(self, *, shown: bool | None, is_whole: bool = True) -> None:
        """Take whether the account shows an order of the transaction asked for.

        Args:
            shown: live or ended; None if it could not be read.
            is_whole: whether the ended ones were read back to the transaction. The
                exchange does not keep all of them.
        """
        doubt = self._doubt(self._current.tx_hash)
        if shown:
            self._took(doubt)
        elif shown is not None and doubt.tx.tx_hash in self._over:
            doubt.is_nowhere |= is_whole
            doubt.is_past_lists |= not is_whole
            self._conclude(doubt)

    def _conclude(self, doubt: Doubt) -> None:
        """Take for dead what all reads after its time was over have not shown."""
        if not self._is_missed(doubt):
            return
        passed = self._passed(doubt)
        is_proven = doubt.is_nowhere
        if self._is_hash_alone(doubt):
            is_proven = doubt.is_unknown_still or not passed  # that lags
        if is_proven:
            doubt.verdict = SettledAs.PASSED if passed else SettledAs.EXPIRED

    def _is_hash_alone(self, doubt: Doubt) -> bool:
        """Whether nothing but the hash can tell of it: it leaves no order to find."""
        if not doubt.tx.creates:
            return True
        return doubt.is_past_lists and not doubt.is_nowhere

    def _is_missed(self, doubt: Doubt) -> bool:
        """Whether its time is over, and neither hash nor counter tell of it."""
        return doubt.is_unknown and (doubt.is_counted_out or self._passed(doubt))

    def _is_idle(self, doubt: Doubt) -> bool:
        """Whether it cannot take its nonce any more.

        A counter that lags behind, read when the time was over, does no harm: what
        is sent next is refused for its nonce.
        """
        return self._passed(doubt) or doubt.is_counted_out

    def _took(self, doubt: Doubt) -> None:
        """Note that the exchange has it: nothing else has its nonce."""
        doubt.verdict = SettledAs.ACCEPTED
        is_fence = any(doubt is fence for fence in self._fences)
        lost = SettledAs.FENCED if is_fence else SettledAs.PASSED
        for others, verdict in (
            (self._doubts, lost),
            (self._fences, SettledAs.PASSED),
        ):
            for other in others:
                is_rival = other is not doubt and other.tx.nonce == doubt.tx.nonce
                # A positive word beats a deduction.
                if is_rival and other.verdict is not SettledAs.ACCEPTED:
                    other.verdict = verdict

    def _undecided(self) -> list[Doubt]:
        """Return what is in doubt, fences included: they may take a nonce later."""
        return [doubt for doubt in [*self._doubts, *self._fences] if doubt.is_open]

    def _new_round(self) -> list[SettleMove]:
        self._copy, self._counted = UNKNOWN, False
        self._unseen.clear()
        steps = (SettleStep.RESEND, SettleStep.ASK_CLOCK, SettleStep.ASK_NONCE)
        before = [*map(SettleMove, steps)]
        fence, searches = SettleMove(SettleStep.FENCE), self._searches()
        if any(one.is_open for one in self._fences):
            return [*before, *searches, fence]
        # A counter that has not moved is enough to fence: what it has overlooked
        # turns the fence away, and nothing has happened.
        return [*before, fence, *searches]

    def _questions(self) -> list[SettleMove]:
        # The counter after the clock, so that it is read when the time is over.
        first = [SettleStep.ASK_CLOCK, SettleStep.ASK_NONCE]
        return [*map(SettleMove, first), *self._searches()]

    def _searches(self) -> list[SettleMove]:
        moves = []
        for doubt in self._undecided():
            moves.append(SettleMove(SettleStep.ASK_HASH, tx_hash=doubt.tx.tx_hash))
            if doubt.tx.creates:
                found = SettleMove(SettleStep.ASK_ORDERS, tx_hash=doubt.tx.tx_hash)
                moves.append(found)
        return moves

    def _is_useful(self, move: SettleMove, now: float, unix_ms: float) -> bool:
        if move.step is SettleStep.RESEND:
            # A copy that cannot be taken any more is noise, and one that competes
            # with its own fence is not wanted.
            is_fenced = self._can_fence and any(fence.is_open for fence in self._fences)
            takeable = self.holds and self._can_be_taken(self._doubts, unix_ms)
            return takeable and not is_fenced
        if move.step is SettleStep.ASK_CLOCK:
            # Where nobody has asked yet, ours may have jumped.
            is_told = self._clock.least_ms(now) is not None
            proven = self._expired(now, unix_ms) if is_told else ()
            return any(
                unix_ms >= doubt.tx.expired_at_ms + GRACE_MS + SLACK_MS
                and doubt.tx.tx_hash not in proven
                for doubt in self._undecided()
            )
        if move.step is SettleStep.ASK_NONCE:
            return self.holds
        if move.step is SettleStep.FENCE:
            return bool(move.nonces)
        doubt = self._doubt(move.tx_hash)
        if move.step is SettleStep.ASK_ORDERS:
            return doubt.is_open and self._is_idle(doubt)
        return doubt.is_open and not self._needs_no_look(doubt, now, unix_ms)

    def _needs_no_look(self, doubt: Doubt, now: float, unix_ms: float) -> bool:
        """Whether a look at the first of its batch tells as much, for now.

        A batch is taken as a whole. Once the counter has moved, a part of it is
        known, or its time is over, each of them is looked for.
        """
        if self._passed(doubt) or doubt.tx.tx_hash in self._expired(now, unix_ms):
            return False
        is_known = any(other.verdict is SettledAs.ACCEPTED for other in self._doubts)
        return not is_known and doubt is not self._undecided()[0]

    def _to_fence(self, now: float, unix_ms: float) -> range:
        """Return the nonces to fence now, an empty range for none."""
        nothing = range(0)
        pending = [fence for fence in self._fences if self._can_land(fence)]
        opened = pending or [doubt for doubt in self._doubts if self._can_land(doubt)]
        takeable = bool(opened) and self._can_be_taken(opened, unix_ms)
        if not self._can_fence or not takeable:
            return nothing
        last = (pending or self._doubts)[-1].tx.nonce
        nonces = range(opened[0].tx.nonce, last + 1)
        if pending:
            return nonces  # the same bytes, until it is known what became of them
        is_next = self._counted and self._venue_next == nonces.start
        is_whole = [doubt.tx.nonce for doubt in opened] == list(nonces)
        if is_next and is_whole and self._is_stuck(now):
            return nonces
        return nothing

    def _is_stuck(self, now: float) -> bool:
        """Whether copies are turned away, seem to get nowhere, or make no sense.

        The latter when a nonce of the batch is gone: it is taken as a whole only.
        """
        if any(self._passed(doubt) for doubt in self._doubts):
            return True
        if self._copy.outcome is SendOutcome.REFUSED:
            return self._copy.nonce is NonceFate.FREE
        is_lost = self._copy.outcome is SendOutcome.UNKNOWN
        return is_lost and now - self._began >= FENCE_AFTER_S

    def _can_land(self, doubt: Doubt) -> bool:
        return doubt.is_open and not self._is_idle(doubt)

    def _can_be_taken(self, doubts: Iterable[Doubt], unix_ms: float) -> bool:
        return not any(
            self._passed(doubt) or unix_ms > doubt.tx.expired_at_ms for doubt in doubts
        )

    def _passed(self, doubt: Doubt) -> bool:
        return self._venue_next is not None and self._venue_next > doubt.tx.nonce

    def _expired(self, now: float, unix_ms: float, ago_ms: int = 0) -> set[str]:
        """Return the hashes whose time is proven to be over, for so long."""
        return {
            doubt.tx.tx_hash
            for doubt in self._undecided()
            if self._clock.is_over(doubt.tx.expired_at_ms + ago_ms, now, unix_ms)
        }

    def _resume(self, now: float, unix_ms: float) -> float:
        """Return when the next round can learn something."""
        undecided = self._undecided()
        # Those whose nonces are gone may take long; the others lack a read at most.
        lacks = not all(self._passed(one) or self._is_missed(one) for one in undecided)
        pauses = self._pauses if lacks else self._lingering_pauses
        until = now + pauses.next(0.0)
        for doubt in undecided:
            due_ms = doubt.tx.expired_at_ms + GRACE_MS + SLACK_MS
            if doubt.is_unknown and self._is_hash_alone(doubt):
                due_ms += HASH_LAG_MS
            if unix_ms < due_ms:
                # A rounding error too early would cost a whole round.
                until = min(until, now + (due_ms - unix_ms) / 1000 + ROUNDING_S)
            elif lacks or (doubt.tx.tx_hash in self._unseen and not doubt.is_unknown):
                # One good read is all that is missing now.
                until = min(until, now + SECOND_LOOK_S)
        return until

    def _doubt(self, tx_hash: str) -> Doubt:
        both = (*self._doubts, *self._fences)
        return next(doubt for doubt in both if doubt.tx.tx_hash == tx_hash)
