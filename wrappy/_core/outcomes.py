"""What every kind of answer to a send means: for the orders, and for the nonces.

The door has turned what came back, or did not, into an exception or an acceptance;
this table says what may be concluded. Only an answer that the exchange's own rules
gave is a refusal. Everything that is not understood is *unknown*: it is settled with
the same signed bytes and never signed again.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from wrappy.errors import (
    ConnectError,
    NonceRejectedError,
    RateLimitedError,
    VenueError,
    VenueUnavailableError,
)


class SendOutcome(enum.Enum):
    """What became of signed transactions that were sent."""

    ACCEPTED = "accepted"
    """Checked, numbered and queued; not yet executed."""

    REFUSED = "refused"
    """The exchange declined the request as a whole."""

    THROTTLED = "throttled"
    """Turned away at the gate for the rate; everything pauses."""

    NOT_SENT = "not sent"
    """No connection was made."""

    UNKNOWN = "unknown"
    """It may have arrived, may still arrive, or never will."""


class NonceFate(enum.Enum):
    """What an outcome means for the nonces that were spent on it."""

    USED = "used"
    FREE = "free"
    SUSPECT = "suspect"
    """Unused, and our counter is not the exchange's: ask for it."""

    IN_DOUBT = "in doubt"
    """Nothing else may be signed with the key until this is settled."""


class SendVerdict(NamedTuple):
    """One line of the table.

    Attributes:
        outcome: what is known of the transactions.
        nonce: what that means for their nonces.
    """

    outcome: SendOutcome
    nonce: NonceFate


ACCEPTED = SendVerdict(SendOutcome.ACCEPTED, NonceFate.USED)
REFUSED = SendVerdict(SendOutcome.REFUSED, NonceFate.FREE)
UNKNOWN = SendVerdict(SendOutcome.UNKNOWN, NonceFate.IN_DOUBT)

VERDICTS: tuple[tuple[type[BaseException], SendVerdict], ...] = (
    (ConnectError, SendVerdict(SendOutcome.NOT_SENT, NonceFate.FREE)),
    (RateLimitedError, SendVerdict(SendOutcome.THROTTLED, NonceFate.FREE)),
    (NonceRejectedError, SendVerdict(SendOutcome.REFUSED, NonceFate.SUSPECT)),
    (VenueUnavailableError, UNKNOWN),
    # Refused by the rules: the nonce is not consumed (official API documentation).
    (VenueError, REFUSED),
    # Time-outs, closed connections, unreadable answers, a cancelled caller, and
    # failures nobody foresaw: the bytes may have left.
    (BaseException, UNKNOWN),
)
"""Verdicts by what the send raised; the first class that fits counts."""


def verdict_of(error: BaseException | None) -> SendVerdict:
    """Return what a send means.

    Args:
        error: what it raised; None when it returned an acceptance that names every
            transaction.
    """
    if error is None:
        return ACCEPTED
    return next(verdict for kind, verdict in VERDICTS if isinstance(error, kind))
