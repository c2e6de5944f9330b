"""What became of sends that a dead process left behind, decided from what is read.

A process that was killed leaves signed transactions of which nobody knows whether
they arrived. They are settled before anything new is signed, by proof only: a
failed read proves nothing, and silence proves nothing.

A number is given out once (prover circuits). That gives the strongest proof: a
harmless transaction with the same number, the *fence*. Once the exchange has taken
it, the old bytes can never be carried out, wherever they are.

A number that is gone and a hash that is not known prove nothing before the time is
over: the read by hash may lag behind the counter for seconds. What the account does
not show either *lingers* then: the start does not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from wrappy._core.journal_rows import SendStage

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

READS_APART_S = 1.0
"""Time between two looks that miss a transaction: the exchange's reads lag."""

EXPIRY_SLACK_MS = 2_000
"""Room for reads that lag, after the expiry by the exchange's own clock."""

LOOK_AGAIN_S = 2.0
"""From one look to the next while only the expiry can bring the proof."""

HASH_LAG_MS = 10_000
"""So long a read by hash may not know what was executed."""

FENCE_REACH = 512
"""Most numbers from the exchange's next to one that is fenced; what is further away
belongs to another history of the key, and waits for its expiry."""

_PROVES_TAKEN = frozenset({SendStage.ACCEPTED, SendStage.EXECUTED})


@dataclass(frozen=True, slots=True)
class OpenSend:
    """A signed transaction that may or may not have arrived.

    Attributes:
        nonce: its number.
        tx_hash: identifies it.
        expired_at_ms: unix milliseconds after which it can no longer be executed.
        creates: whether it creates orders, which the account then shows.
    """

    nonce: int
    tx_hash: str
    expired_at_ms: int
    creates: bool = False


@dataclass(frozen=True, slots=True)
class AskNonce:
    """Read the key's next nonce; tell with `nonce_read`."""


@dataclass(frozen=True, slots=True)
class AskHash:
    """Read a transaction by its hash; tell with `hash_known` or `hash_unknown`."""

    tx_hash: str


@dataclass(frozen=True, slots=True)
class AskOrders:
    """Look for the orders that transactions create, live and ended.

    Tell with `orders_read`.
    """

    tx_hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fence:
    """Send harmless transactions with these nonces, all or none.

    Tell with `fence_accepted`, `fence_refused` or `fence_lost`.
    """

    nonces: range


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until a moment of the monotone clock, in seconds."""

    until_s: float


Step: TypeAlias = AskNonce | AskHash | AskOrders | Fence | Wait


@dataclass(slots=True)
class _Doubt:
    """What the reads have told so far of one send."""

    send: OpenSend
    missed_at_s: float | None = None
    is_asked: bool = False
    is_missed_twice: bool = False
    # What reads that were made after its time was over have told.
    is_unknown: bool = False
    is_unknown_still: bool = False  # also by one that the lag cannot explain
    is_counted_out: bool = False  # the counter had not come to its number


class Recovery:
    """Settles the open sends of one key. Performs no I/O.

    The caller does what `step` says and tells what came of it, until `step` returns
    `None`.

    Args:
        sends: what is in doubt.
        fence_limit: most transactions in one fence.
    """

    __slots__ = (
        "_can_fence",
        "_doubts",
        "_limit",
        "_lingering",
        "_nonce_asked_ms",
        "_not_before_s",
        "_settled",
        "_stale",
        "_venue_next",
        "_wide",
    )

    def __init__(self, sends: Iterable[OpenSend], *, fence_limit: int) -> None:
        ordered = sorted(sends, key=lambda send: send.nonce)
        self._doubts = {send.tx_hash: _Doubt(send) for send in ordered}
        self._limit = fence_limit
        self._settled: dict[str, SendStage] = {}
        self._lingering: dict[str, OpenSend] = {}
        self._nonce_asked_ms: float = float("-inf")
        self._venue_next: int | None = None
        self._stale = True
        self._wide = False
        self._can_fence = True
        self._not_before_s = float("-inf")

    @property
    def open(self) -> tuple[OpenSend, ...]:
        """What is still in doubt, in nonce order."""
        sends = (doubt.send for doubt in self._doubts.values())
        return tuple(sorted(sends, key=lambda send: send.nonce))

    @property
    def lingering(self) -> tuple[OpenSend, ...]:
        """What is in doubt for longer, its number being gone, in nonce order."""
        sends = self._lingering.values()
        return tuple(sorted(sends, key=lambda send: send.nonce))

    @property
    def next_nonce(self) -> int | None:
        """The key's next nonce as far as is known; `None` before any sign of it."""
        return self._venue_next

    @property
    def can_fence(self) -> bool:
        """Whether the exchange takes fences, as far as is known."""
        return self._can_fence

    def take_settled(self) -> dict[str, SendStage]:
        """Return, once, what has been settled since the last call, by hash."""
        settled, self._settled = self._settled, {}
        return settled

    def step(self, now_s: float, unix_ms: int) -> Step | None:
        """Return what to do next; `None` when nothing more can be found out now.

        Args:
            now_s: the monotone clock.
            unix_ms: the exchange's clock in milliseconds, or an earlier time.
        """
        if not self._doubts:
            return None
        if now_s < self._not_before_s:
            return Wait(self._not_before_s)
        if self._stale:
            self._nonce_asked_ms = unix_ms
            return AskNonce()
        doubts = sorted(self._doubts.values(), key=lambda doubt: doubt.send.nonce)
        lowest = doubts[0].send.nonce
        for doubt in doubts:
            if self._is_due(doubt, now_s, unix_ms, lowest):
                return AskHash(doubt.send.tx_hash)
        step = self._search(doubts) or self._fence(doubts, unix_ms)
        if step is not None:
            return step
        self._not_before_s = self._next_look_s(doubts, now_s, unix_ms)
        self._begin_round()
        return Wait(self._not_before_s)

    def nonce_read(self, venue_next: int) -> None:
        """Note the exchange's next nonce; it never falls, though reads may lag."""
        self._venue_next = max(venue_next, self._venue_next or 0)
        self._stale = False
        for doubt in list(self._doubts.values()):
            is_over = self._nonce_asked_ms > doubt.send.expired_at_ms + EXPIRY_SLACK_MS
            doubt.is_counted_out |= is_over and not self._has_passed(doubt.send)
            self._conclude(doubt)

    def hash_known(self, tx_hash: str, stage: SendStage) -> None:
        """Note that the exchange knows a transaction.

        Args:
            tx_hash: which.
            stage: `ACCEPTED`, `EXECUTED`, or `ENDED` for one that failed in the
                engine. The latter says nothing about others of its number: some
                failures leave it free (official API documentation).
        """
        doubt = self._doubts.get(tx_hash)
        if doubt is None:
            return
        self._end(doubt.send, stage)
        if stage in _PROVES_TAKEN:
            self._take(doubt.send.nonce)

    def hash_unknown(self, tx_hash: str, *, asked_at_s: float, unix_ms: int) -> None:
        """Note a read that succeeded and did not know a transaction.

        Args:
            tx_hash: which.
            asked_at_s: monotone clock when the question left.
            unix_ms: the exchange's clock at that time, or an earlier time.
        """
        doubt = self._doubts.get(tx_hash)
        if doubt is None:
            return
        doubt.is_asked = True
        if _is_expired(doubt.send, unix_ms):
            doubt.is_unknown = True
            doubt.is_unknown_still = _is_expired(doubt.send, unix_ms - HASH_LAG_MS)
            # The counter has to be read after that as well.
            self._stale |= not (doubt.is_counted_out or self._has_passed(doubt.send))
        elif self._has_passed(doubt.send):
            if doubt.missed_at_s is None:
                doubt.missed_at_s = asked_at_s
            elif asked_at_s >= doubt.missed_at_s + READS_APART_S:
                doubt.is_missed_twice = True
        self._conclude(doubt)

    def orders_read(
        self,
        tx_hashes: Iterable[str],
        shown: Container[str],
        *,
        unix_ms: int,
        is_whole: bool = True,
    ) -> None:
        """Note a look for orders that succeeded.

        Args:
            tx_hashes: whose orders were looked for.
            shown: which of them the account shows an order of.
            unix_ms: the exchange's clock when the question left, or an earlier time.
            is_whole: whether the ended orders were read back to the oldest of them.
                The exchange does not keep all; what it has let go of leaves the word
                to the hash.
        """
        for tx_hash in tx_hashes:
            doubt = self._doubts.get(tx_hash)
            if doubt is None:
                continue
            if tx_hash in shown:
                self.hash_known(tx_hash, SendStage.ACCEPTED)
            elif (
                doubt.is_unknown
                and _is_expired(doubt.send, unix_ms)
                and (is_whole or self._is_proven_by_hash(doubt))
            ):
                self._end(doubt.send, SendStage.DEAD)
            else:
                self._linger(doubt.send)

    def fence_accepted(self, sends: Sequence[OpenSend]) -> None:
        """Note that the exchange took a fence: the old bytes are dead."""
        for send in sends:
            self._settled[send.tx_hash] = SendStage.ACCEPTED
            self._doubts.pop(send.tx_hash, None)
            self._take(send.nonce)

    def fence_refused(
        self, sends: Sequence[OpenSend], now_s: float, *, wait_s: float, for_nonce: bool
    ) -> None:
        """Note that the exchange said no, so that these bytes were not taken now.

        Args:
            sends: the fence.
            now_s: the monotone clock.
            wait_s: pause before the next step, in seconds.
            for_nonce: it objected to the number, which then went to somebody, or
                is not yet known to be free. Otherwise it takes no such transaction
                at all, and the expiry has to bring the proof.
        """
        for send in sends:
            # When an earlier copy of the same bytes was lost, that one may be taken.
            if send.tx_hash not in self._doubts:
                self._settled[send.tx_hash] = SendStage.REFUSED
        if not for_nonce:
            self._can_fence = False
        self._begin_round()
        self._wide = True
        self.put_off(now_s, wait_s=wait_s)

    def fence_lost(
        self, sends: Sequence[OpenSend], now_s: float, *, wait_s: float
    ) -> None:
        """Note a fence without an answer: it is in doubt like what it fences."""
        for send in sends:
            self._doubts.setdefault(send.tx_hash, _Doubt(send))
        self._begin_round()
        self._wide = True
        self.put_off(now_s, wait_s=wait_s)

    def put_off(self, now_s: float, *, wait_s: float) -> None:
        """Note that a step failed, which proves nothing; go on after a pause."""
        self._not_before_s = now_s + wait_s

    def _conclude(self, doubt: _Doubt) -> None:
        """End what only its hash can tell of, as far as the reads allow it."""
        if doubt.send.creates:
            return  # its orders are looked for first
        passed = self._has_passed(doubt.send)
        if doubt.is_unknown and self._is_proven_by_hash(doubt):
            self._end(doubt.send, SendStage.DEAD)
        elif passed and (doubt.is_unknown or doubt.is_missed_twice):
            self._linger(doubt.send)

    def _is_proven_by_hash(self, doubt: _Doubt) -> bool:
        """Whether no lag can hide it from the reads of its hash and of the counter."""
        if self._has_passed(doubt.send):
            return doubt.is_unknown_still
        return doubt.is_counted_out

    def _search(self, doubts: Sequence[_Doubt]) -> AskOrders | None:
        sought = tuple(d.send.tx_hash for d in doubts if self._is_sought(d))
        return AskOrders(sought) if sought else None

    def _is_sought(self, doubt: _Doubt) -> bool:
        """Whether its orders are to be looked for now."""
        passed = self._has_passed(doubt.send)
        is_missed = passed and doubt.is_missed_twice
        is_over = doubt.is_unknown and (passed or doubt.is_counted_out)
        return doubt.send.creates and (is_missed or is_over)

    def _linger(self, send: OpenSend) -> None:
        del self._doubts[send.tx_hash]
        self._lingering[send.tx_hash] = send

    def _begin_round(self) -> None:
        # Where every number is known to have passed, the counter has no news.
        self._stale = any(not self._has_passed(send) for send in self.open)
        self._wide = False
        for doubt in self._doubts.values():
            doubt.is_asked = False

    def _has_passed(self, send: OpenSend) -> bool:
        return self._venue_next is not None and send.nonce < self._venue_next

    def _is_due(self, doubt: _Doubt, now_s: float, unix_ms: int, lowest: int) -> bool:
        """Whether the exchange is to be asked for a transaction now."""
        if _is_expired(doubt.send, unix_ms):
            return not doubt.is_unknown
        if self._has_passed(doubt.send):
            missed_at_s = doubt.missed_at_s
            is_late = missed_at_s is None or now_s >= missed_at_s + READS_APART_S
            return is_late and not doubt.is_missed_twice
        # Only the next number can have been taken, unless the counter read lags; a
        # fence finds that out faster than questions about each one.
        is_next = doubt.send.nonce == lowest or self._wide or not self._can_fence
        return is_next and not doubt.is_asked

    def _fence(self, doubts: Sequence[_Doubt], unix_ms: int) -> Fence | None:
        """Return the fence for what is not settled by reading."""
        venue_next = self._venue_next
        if venue_next is None or not self._can_fence:
            return None
        nonces = [
            doubt.send.nonce
            for doubt in doubts
            if not _is_expired(doubt.send, unix_ms)
            and 0 <= doubt.send.nonce - venue_next < FENCE_REACH
        ]
        if not nonces:
            return None
        # Without holes: the exchange takes numbers in order only.
        return Fence(range(venue_next, min(nonces[-1] + 1, venue_next + self._limit)))

    def _next_look_s(
        self, doubts: Sequence[_Doubt], now_s: float, unix_ms: int
    ) -> float:
        moments = [now_s + LOOK_AGAIN_S]
        for doubt in doubts:
            if doubt.missed_at_s is not None:
                moments.append(doubt.missed_at_s + READS_APART_S)
            left_ms = doubt.send.expired_at_ms + EXPIRY_SLACK_MS + 1 - unix_ms
            moments.append(now_s + left_ms / 1000)
        return max(now_s, min(moments))

    def _take(self, nonce: int) -> None:
        """Note that a number is used up: whatever else bears it is dead."""
        self._venue_next = max(self._venue_next or 0, nonce + 1)
        doubtful = [doubt.send for doubt in self._doubts.values()]
        for send in [*doubtful, *self._lingering.values()]:
            if send.nonce == nonce:
                self._end(send, SendStage.DEAD)

    def _end(self, send: OpenSend, stage: SendStage) -> None:
        self._doubts.pop(send.tx_hash, None)
        self._lingering.pop(send.tx_hash, None)
        self._settled[send.tx_hash] = stage


def _is_expired(send: OpenSend, unix_ms: int) -> bool:
    return unix_ms > send.expired_at_ms + EXPIRY_SLACK_MS
