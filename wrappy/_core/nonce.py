"""Nonces of one API key: which numbers are free, in flight, or in doubt.

The exchange takes a transaction only with the key's next nonce (prover circuits).
So a nonce in doubt blocks everything behind it: were it used again, an order that
seemed lost could land a second time under new bytes. Therefore a lost answer
*holds the lane* until the caller has proof of what happened.

Every range from `take` ends in exactly one of `confirm`, `give_back`, `suspect` or
`hold`; a held range ends in `settle`, `pass_by` or `resync`. `sync` starts the lane,
at first and whenever `needs_sync` says so.
"""

from __future__ import annotations

from wrappy.errors import UsageError

NONCE_WINDOW = 16
"""Most nonces that may be without an answer at a time; a full batch fits in."""


class NonceError(UsageError):
    """The lane cannot do this now; nothing has changed."""


class NonceSyncNeededError(NonceError):
    """The exchange's counter is not known; ask it and call `sync`."""


class NonceLaneHeldError(NonceError):
    """An earlier outcome is unknown; settle it first."""


class NonceWindowFullError(NonceError):
    """Too many nonces are without an answer; wait for answers first."""


class NonceInFlightError(NonceError):
    """The counter cannot be adopted while answers are outstanding."""


class NonceNotTakenError(NonceError):
    """The nonces named are not in the state that the call ends."""


class NonceLedger:
    """Contiguous nonces for one account and API key. Performs no I/O."""

    __slots__ = (
        "_confirmed_stop",
        "_next",
        "_open",
        "_passed_by",
        "_refused_from",
        "_window",
    )

    def __init__(self, *, window: int = NONCE_WINDOW) -> None:
        self._window = window
        self._next: int | None = None
        # Nonces without a final answer; the value tells whether the lane waits
        # for proof of this one.
        self._open: dict[int, bool] = {}
        # The exchange's own counter lags behind its acceptances; this one does not.
        self._confirmed_stop = 0
        self._refused_from: int | None = None
        self._passed_by = False

    def __repr__(self) -> str:
        return (
            f"NonceLedger(next={self._next}, in_flight={list(self._open)}, "
            f"held={self.held})"
        )

    @property
    def next_nonce(self) -> int | None:
        """The nonce that `take` would hand out, `None` when it must be asked for."""
        return self._next

    @property
    def needs_sync(self) -> bool:
        """Whether the exchange must be asked for its counter before a `take`."""
        return self._next is None

    @property
    def held(self) -> bool:
        """Whether an unknown outcome blocks the lane."""
        return any(self._open.values())

    @property
    def held_nonces(self) -> tuple[int, ...]:
        """Nonces in doubt, in ascending order."""
        return tuple(sorted(n for n, in_doubt in self._open.items() if in_doubt))

    @property
    def in_flight(self) -> tuple[int, ...]:
        """Nonces without a final answer, in doubt or not, in ascending order."""
        return tuple(sorted(self._open))

    def sync(self, venue_next: int) -> int:
        """Adopt the exchange's counter, unless our own knowledge is fresher.

        The caller asks for the counter only when nothing is in flight, and passes
        an answer it could read: a failed question must not become nonce 0.

        Args:
            venue_next: the exchange's next nonce for the key.

        Returns:
            How many nonces someone else has used since ours were refused: 0
            normally. More means a second writer on the key, or an earlier answer
            that lagged.

        Raises:
            NonceInFlightError: some nonce has no final answer yet.
        """
        if self._open:
            raise NonceInFlightError(
                f"nonces {list(self.in_flight)} have no answer yet; "
                "the counter cannot be adopted"
            )
        return self._adopt(max(venue_next, self._confirmed_stop))

    def take(self, count: int) -> range:
        """Hand out `count` consecutive nonces.

        The caller signs and sends at once, in this order, and reports the outcome.

        Raises:
            NonceLaneHeldError: an unknown outcome blocks the lane.
            NonceSyncNeededError: `sync` must come first.
            NonceWindowFullError: too many nonces are without an answer.
            NonceError: `count` is below 1.
        """
        if count < 1:
            raise NonceError(f"count: {count} must be 1 or more")
        if self.held:
            raise NonceLaneHeldError(
                f"the outcome of nonces {list(self.held_nonces)} is unknown; "
                "settle it before the key is used again"
            )
        if self._next is None:
            raise NonceSyncNeededError("the exchange's counter is not known; sync()")
        if len(self._open) + count > self._window:
            raise NonceWindowFullError(
                f"{len(self._open)} nonces are without an answer, {count} more would "
                f"pass the window of {self._window}"
            )
        taken = range(self._next, self._next + count)
        self._open.update(dict.fromkeys(taken, False))
        self._next = taken.stop
        return taken

    def confirm(self, nonces: range) -> None:
        """Note that the exchange accepted these: they are used up.

        Raises:
            NonceNotTakenError: they are not in flight.
        """
        self._end(nonces, in_doubt=False)
        self._used_up(nonces)

    def give_back(self, nonces: range) -> None:
        """Return nonces that are certainly unused.

        For transactions that never left, or that the exchange refused for a reason
        other than the nonce: such a refusal leaves the nonce free (official API
        documentation). When a later nonce is out already, the numbers cannot be
        handed out again in order, and the lane needs a `sync`.

        Raises:
            NonceNotTakenError: they are not in flight.
        """
        self._end(nonces, in_doubt=False)
        self._free(nonces)

    def suspect(self, nonces: range) -> None:
        """Note that the exchange refused these for their nonce.

        They are unused, and our counter is wrong: the lane needs a `sync`, which
        then believes the exchange.

        Raises:
            NonceNotTakenError: they are not in flight.
        """
        self._end(nonces, in_doubt=False)
        if self._confirmed_stop <= nonces.start:
            self._confirmed_stop = 0  # else later ones are known to be accepted
        self._used_elsewhere(nonces)

    def hold(self, nonces: range) -> None:
        """Note that no answer came: the transactions may land now, later or never.

        The lane is held until each of them is settled.

        Raises:
            NonceNotTakenError: they are not in flight.
        """
        self._end(nonces, in_doubt=False)
        self._open.update(dict.fromkeys(nonces, True))

    def settle(self, nonces: range, *, executed: bool, passed: bool = False) -> None:
        """End the doubt about held nonces.

        Args:
            nonces: all or a part of what is held.
            executed: `True` when the exchange has the transactions. `False` only
                with proof that it does not and never will: their expiry has passed
                and a read that succeeded does not know them.
            passed: of what was not executed: the exchange's counter has gone beyond
                these, so something else used them. The lane needs a `sync`.

        Raises:
            NonceNotTakenError: they are not held.
        """
        self._end(nonces, in_doubt=True)
        if executed:
            self._used_up(nonces)
        elif passed:
            self._used_elsewhere(nonces)
        else:
            self._free(nonces)

    def pass_by(self, nonces: range) -> None:
        """End the hold of nonces that are gone, to us or to somebody else.

        The exchange's counter is beyond them, so nobody can use them again, and what
        became of their transactions need not be known to go on. The lane needs a
        `sync`; it tells of numbers beyond all that were handed out.

        Raises:
            NonceNotTakenError: they are not held.
        """
        self._end(nonces, in_doubt=True)
        self._used_up(nonces)
        self._next = None
        self._passed_by = True

    def resync(self, venue_next: int) -> int:
        """Drop every open nonce and adopt the exchange's counter.

        The caller has proof that nothing still open can land any more, such as an
        expiry passed for all of it, and asked for the counter after that.

        Args:
            venue_next: the exchange's next nonce for the key; taken as it is.

        Returns:
            As `sync`.
        """
        self._open.clear()
        self._confirmed_stop = venue_next
        return self._adopt(venue_next)

    def _end(self, nonces: range, *, in_doubt: bool) -> None:
        if any(self._open.get(nonce) is not in_doubt for nonce in nonces):
            wanted = "held" if in_doubt else "in flight"
            raise NonceNotTakenError(f"{list(nonces)} are not all {wanted}: {self!r}")
        for nonce in nonces:
            del self._open[nonce]

    def _used_up(self, nonces: range) -> None:
        self._confirmed_stop = max(self._confirmed_stop, nonces.stop)

    def _used_elsewhere(self, nonces: range) -> None:
        self._next = None
        if self._refused_from is None or nonces.start < self._refused_from:
            self._refused_from = nonces.start

    def _free(self, nonces: range) -> None:
        # Only the newest nonces can be handed out again without leaving a hole.
        self._next = nonces.start if nonces.stop == self._next else None

    def _adopt(self, venue_next: int) -> int:
        ours_stop = self._refused_from
        if ours_stop is None:
            ours_stop = self._confirmed_stop if self._passed_by else venue_next
        self._refused_from, self._passed_by = None, False
        self._next = venue_next
        return max(0, venue_next - ours_stop)
