"""The words of settling: what is in doubt, what is to be done, how a doubt ended."""

from __future__ import annotations

import enum
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
