"""The words of settling: what is in doubt, what is to be done, how a doubt ended."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple


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

    ASK_ORDERS = "ask orders"
    """Look for the orders that one transaction creates among the account's, live and
    ended; then `orders_read`."""

    FENCE = "fence"
    """Send harmless transactions with these nonces, all or none, and the same bytes
    as long as their answer is lost; then `fenced`."""

    WAIT = "wait"
    """Do nothing until a moment."""

    DONE = "done"
    """Everything is settled."""


class SettleMove(NamedTuple):
    """A step and what it needs.

    Attributes:
        step: what to do.
        tx_hash: transaction to ask for, or whose orders to look for.
        until: when to go on, in the caller's monotone seconds.
        nonces: what to fence.
    """

    step: SettleStep
    tx_hash: str = ""
    until: float = 0.0
    nonces: range = range(0)


class SettledAs(enum.Enum):
    """How a doubt ended."""

    ACCEPTED = "accepted"
    EXPIRED = "expired"
    """Never executed and too old now; its nonce was not used by it."""

    PASSED = "passed"
    """Never executed: its nonce was used by something else."""

    FENCED = "fenced"
    """Never executed: its nonce was used by a harmless transaction of ours."""


class DoubtfulTx(NamedTuple):
    """A transaction without an answer.

    Attributes:
        tx_hash: what the exchange would know it by.
        nonce: the nonce it spends.
        expired_at_ms: unix milliseconds after which it cannot be executed.
        creates: whether it creates orders, which the account then shows.
    """

    tx_hash: str
    nonce: int
    expired_at_ms: int
    creates: bool = False


@dataclass(slots=True)
class Doubt:
    """What is known of a transaction in doubt.

    Attributes:
        tx: the transaction.
        verdict: what became of it, None while nothing is proven.
        is_unknown: a read made after its time was over does not know its hash.
        is_unknown_still: nor does one that the lag of such reads cannot explain.
        is_counted_out: when its time was over, the counter had not come to its nonce.
        is_nowhere: since then the account shows no order of it.
        is_past_lists: since then the account's lists do not reach back to it.
    """

    tx: DoubtfulTx
    verdict: SettledAs | None = None
    is_unknown: bool = False
    is_unknown_still: bool = False
    is_counted_out: bool = False
    is_nowhere: bool = False
    is_past_lists: bool = False

    @property
    def is_open(self) -> bool:
        """Whether nothing is proven yet."""
        return self.verdict is None
