"""The volume quota of a premium account: what is left of it, and when to wait.

Creating, modifying and mass-cancelling spend one each and trading earns it back;
taking one order away is free. One single send every fifteen seconds spends nothing,
also when nothing is left (official API documentation). The exchange tells what is
left with most answers; between two answers we count ourselves, and never too little.
"""

from __future__ import annotations

import math


class VolumeQuota:
    """What one owner may still send.

    Nothing is held up before the exchange has told a number for the first time:
    most accounts have no quota at all.

    Args:
        free_every_s: seconds between two sends that spend nothing.
    """

    __slots__ = ("_free_at", "_left", "_on_the_way", "_perhaps_earned", "free_every_s")

    def __init__(self, *, free_every_s: float = 15.0) -> None:
        self.free_every_s = free_every_s
        self._left: int | None = None
        self._on_the_way = 0
        self._free_at = -math.inf
        self._perhaps_earned = False

    def __repr__(self) -> str:
        return f"VolumeQuota(left={self.left}, on_the_way={self._on_the_way})"

    @property
    def left(self) -> int | None:
        """What may still be spent, less what is on the way; None before it is told."""
        return None if self._left is None else max(0, self._left - self._on_the_way)

    def offer(self, spends: int, now: float, *, alone: bool = True) -> float:
        """Book a send that spends `spends` if there is quota for it.

        A send that was booked must be followed by `answered` or `given_back`.

        Args:
            spends: 0 for cancels, else the number of transactions that spend, 0 or
                more.
            now: seconds; must not go backwards.
            alone: whether the send has no other transaction beside what spends; only
                then can it be a free one.

        Returns:
            0.0 to go; else the seconds until one send alone is free, or infinity
            when waiting cannot help: send one by one, or trade to earn.
        """
        left = self.left
        single = spends == 1 and alone
        if spends > 0 and left is not None and left < spends:
            if not single:
                return math.inf
            if now < self._free_at:
                if not self._perhaps_earned:
                    return self._free_at - now
                # Free sends are told no number, so only a try can find out.
                self._perhaps_earned = False
        if single and now >= self._free_at:
            # Whether this one was the free one only the answer tells.
            self._free_at = now + self.free_every_s
        self._on_the_way += spends
        return 0.0

    def traded(self) -> None:
        """Note that we traded: with nothing left, one send may try before its time."""
        self._perhaps_earned = True

    def answered(self, spends: int, left: int | None) -> None:
        """Book the acceptance of a send, or a send whose answer was lost.

        Args:
            spends: as it was offered.
            left: `volume_quota_remaining` of the answer; None when it told nothing,
                as for a free send. Then the send counts as spent, which the next
                number told corrects.
        """
        self._on_the_way -= spends
        if left is not None:
            self._left = max(0, left)
            self._perhaps_earned = False
        elif self._left is not None:
            self._left = max(0, self._left - spends)

    def given_back(self, spends: int) -> None:
        """Book that a send was refused or never left: nothing was spent."""
        self._on_the_way -= spends

    def exhausted(self, now: float) -> None:
        """Note that the exchange refused a send because nothing is left."""
        self._left = 0
        self._free_at = max(self._free_at, now + self.free_every_s)
