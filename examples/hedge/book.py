"""What leg B owes and what it does next: decisions only, in whole lots.

`HedgeBook` takes the time as an argument, opens nothing and waits for nothing. A
message from leg A is a hint that makes leg B fast; the two positions, as the exchange
tells them, are the truth that sets it right.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

MOST_REMEMBERED = 100_000
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 1.0
TELL_AGAIN_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How much may be open, and for how long.

    Attributes:
        least_lots: smallest order of the exchange; less is carried along.
        limit_lots: net exposure from which on the pair is out of balance.
        hedge_for_s: leg B tries so long, then leaves the field to leg A.
        flatten_after_s: leg A then closes what leg B could not hedge.
        halt_after_s: if that does not help either, both stop.
    """

    least_lots: int
    limit_lots: int
    hedge_for_s: float = 1.5
    flatten_after_s: float = 3.5
    halt_after_s: float = 15.0


class Fill(NamedTuple):
    """A trade of leg A: signed lots, positive when it bought; time by the exchange."""

    account: int
    trade_id: int
    lots: int
    at_ms: int


class Reading(NamedTuple):
    """Net exposure A + B, of two positions asked for from `began_ms` on."""

    exposure: int
    began_ms: int


class Hedge(NamedTuple):
    """Trade so many lots at the market now, positive buys."""

    lots: int


class GiveUp(NamedTuple):
    """So many lots stay unhedged: say so."""

    lots: int


class Halt(NamedTuple):
    """So many lots stay unhedged and nobody closed them: end, and say so."""

    lots: int


class HedgeBook:
    """Leg B's debt: what leg A traded and leg B did not yet.

    At most one hedge is under way at a time: `decide` hands it out, `on_hedge` takes
    what it traded.

    Attributes:
        owed: lots that leg B has to trade, positive buys; below the smallest order
            they are carried until more comes.
        in_flight: lots of the hedge under way.
        has_given_up: whether it left the field to leg A.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self.owed = 0
        self.in_flight = 0
        self.has_given_up = False
        self._seen: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._counted_until_ms = -1
        self._suspected: int | None = None
        self._open_since: float | None = None
        self._failures = 0
        self._again_at = 0.0
        self._tell_at = 0.0
        self._gave_up_at_sign = 0

    def on_fill(self, fill: Fill) -> bool:
        """Take a fill of leg A; return whether the debt grew by it.

        It does not when the fill was seen before, or is so old that the positions
        which the debt was last set by had it in them.
        """
        key = (fill.account, fill.trade_id)
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > MOST_REMEMBERED:
            self._seen.popitem(last=False)
        if fill.at_ms <= self._counted_until_ms:
            return False
        self.owed -= fill.lots
        return True

    @property
    def least_lots(self) -> int:
        """Smallest hedge; less is carried."""
        return self._patience.least_lots

    def remember(self, account: int, trade_id: int) -> None:
        """Take a fill for one that was acted on in an earlier life."""
        self._seen[account, trade_id] = None

    def start(self, reading: Reading) -> None:
        """Take the positions as they are when nothing else is known."""
        self._set(reading)

    def on_reading(self, reading: Reading, now: float) -> bool:
        """Take two positions; return whether the debt was wrong and is set right.

        A reading counts when no hedge was under way while it was made. A difference
        is a message on its way, or lost: it is believed when the next reading says
        the same.
        """
        self._reconsider(reading.exposure, now)
        wrong_by = -reading.exposure - self.owed
        if self.in_flight or wrong_by == 0 or wrong_by != self._suspected:
            self._suspected = None if self.in_flight else wrong_by or None
            return False
        self._set(reading)
        return True

    def decide(self, now: float) -> Hedge | GiveUp | Halt | None:
        """Return what to do now; a hedge is under way from here on."""
        lots = self.in_flight or self.owed
        if abs(lots) < self._patience.least_lots:
            self._rest()
            return None
        if self._open_since is None:
            self._open_since = now
        open_s = now - self._open_since
        if open_s >= self._patience.halt_after_s:
            return Halt(lots)
        overdue = open_s >= self._patience.hedge_for_s
        if overdue or self.has_given_up:
            if not self.has_given_up:
                self.has_given_up, self._tell_at = True, now
                self._gave_up_at_sign = 1 if lots > 0 else -1
            if now < self._tell_at:
                return None
            self._tell_at = now + TELL_AGAIN_S
            return GiveUp(lots)
        if self.in_flight or now < self._again_at:
            return None
        self.in_flight = self.owed
        return Hedge(self.owed)

    def on_hedge(self, traded: int, now: float) -> None:
        """Take what the hedge under way traded, signed; 0 when it failed."""
        complete = traded == self.in_flight
        self.owed -= traded
        self.in_flight = 0
        if complete:
            self._open_since, self._failures, self._again_at = None, 0, now
            return
        self._failures += 1
        pause_s = FIRST_PAUSE_S * 2 ** min(self._failures - 1, 4)
        self._again_at = now + min(pause_s, LONGEST_PAUSE_S)

    def _set(self, reading: Reading) -> None:
        self.owed = -reading.exposure
        self._counted_until_ms = max(self._counted_until_ms, reading.began_ms)
        self._suspected = None

    def _reconsider(self, exposure: int, now: float) -> None:
        """Hedge again once leg A has put things right, or too much of it."""
        sign = (exposure < 0) - (exposure > 0)
        is_small = abs(exposure) < self._patience.least_lots
        if self.has_given_up and (is_small or sign != self._gave_up_at_sign):
            # What leg A closed came over no fill that leg B has to follow.
            self.has_given_up, self._open_since, self._again_at = False, None, now

    def _rest(self) -> None:
        self._open_since, self._failures, self.has_given_up = None, 0, False
