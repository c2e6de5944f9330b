"""Whether a stream that seems to live has stopped telling what happens to an account.

Connections have been seen to stay up, answer every ping, and be silent on one channel.
A book shows that by its nonces; orders and positions do not, so now and then they are
compared with what the account answers. Either side may be a moment behind the other:
one difference is no proof, the same one twice is.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

Holdings = Mapping[str, Decimal]


class Finding(enum.Enum):
    """What a comparison has come to."""

    SOUND = "sound"
    """Both tell the same."""

    DOUBTFUL = "doubtful"
    """They differ, which may be a matter of moments."""

    BEHIND = "behind"
    """They differ as they did before, and the stream has told nothing in between."""


class Look(NamedTuple):
    """What the stream has told and the account has answered.

    Attributes:
        told: open positions by symbol, as the stream has them.
        answered: the same as the account has them.
        gone: orders that live by the stream's word, and not by the account's.
        unheard: orders that the account has shown, now or at the look before, and of
            which the stream has never told.
        moved: positions of which the stream has told since the look before, by symbol;
            one that is as it was then may have been another in between.
    """

    told: Holdings
    answered: Holdings
    gone: frozenset[int]
    unheard: frozenset[int]
    moved: frozenset[str] = frozenset()


class StreamAudit:
    """Compares, and remembers the last difference. Performs no I/O."""

    def __init__(self) -> None:
        self._before: Look | None = None

    @property
    def awaited(self) -> frozenset[int]:
        """Orders that were unheard of at the look before; those over by now too.

        Where orders live for moments only, the next look meets none of them again.
        """
        return frozenset() if self._before is None else self._before.unheard

    def forget(self) -> None:
        """Begin anew, as after an outage: what differed then proves nothing now."""
        self._before = None

    def judge(self, look: Look) -> tuple[Finding, str]:
        """Take a comparison.

        Args:
            look: made some seconds after the one before, so that neither side is
                still on its way to what the other one told then.

        Returns:
            What it comes to, and which differences say so, in words.
        """
        before, self._before = self._before, None
        if not (_differing(look) or look.gone or look.unheard):
            return Finding.SOUND, ""
        words = [] if before is None else _proofs(before, look)
        if words:
            return Finding.BEHIND, "; ".join(words)
        self._before = look
        return Finding.DOUBTFUL, ""


def _differing(look: Look) -> list[str]:
    names = sorted({*look.told, *look.answered})
    return [name for name in names if look.told.get(name) != look.answered.get(name)]


def _proofs(before: Look, look: Look) -> list[str]:
    """Return what was different both times, in words."""
    earlier = set(_differing(before)) - look.moved
    words = [
        f"{name}: {look.told.get(name, Decimal(0))} told, "
        f"{look.answered.get(name, Decimal(0))} held"
        for name in _differing(look)
        if name in earlier and look.told.get(name) == before.told.get(name)
    ]
    if gone := before.gone & look.gone:
        words.append(f"{len(gone)} order(s) told to be live are over")
    if unheard := before.unheard & look.unheard:
        words.append(f"{len(unheard)} order(s) were never told of")
    return words
