"""The trend ladder's decisions: what to place, cancel and repair, and when.

No clock, no network, no chance in here: the time and the exchange's words come in,
a plan comes out. Prices are ticks and sizes are lots. "Held" is the position in the
ladder's own direction: a short ladder counts what it is short.

Two words on the position arrive by different ways, the orders' and the position's
own, and neither is always the first. What is missing is measured by the smaller of
the two, what is too much by the larger, so that news on their way never look like a
gap.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the ladder goes by.

    Attributes:
        sign: 1 buys and sells higher, -1 sells and buys lower.
        size: lots of a rung.
        rungs: entries that rest at a time, the first at the best price.
        step: ticks from rung to rung.
        take_profit: ticks from an entry's price to its profit.
        most_held: lots beyond which nothing is entered.
        most_profits: take profits at a time, beyond which new ones are put together.
        requote: ticks that an entry may be away from where it should be.
        smallest: lots of the smallest order at a price in ticks.
    """

    sign: int
    size: int
    rungs: int
    step: int
    take_profit: int
    most_held: int
    most_profits: int
    requote: int
    smallest: Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """An order to place; `origin` is the entry price that it takes the profit of."""

    ticks: int
    lots: int
    origin: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now; cancels come first."""

    cancels: tuple[int, ...] = ()
    profits: tuple[Wanted, ...] = ()
    entries: tuple[Wanted, ...] = ()


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the position has a reduce-only order, in lots.

    Attributes:
        held: the position.
        covered: sum of reduce-only orders that the exchange has told of.
        in_doubt: sum of those that it has not told of yet.
        gap: held and not covered, as far as it is certain.
        excess: covered and not held, as far as it is certain.
        is_sound: whether nothing is to be repaired; a gap too small for an order is
            not.
    """

    held: int
    covered: int
    in_doubt: int
    gap: int
    excess: int
    is_sound: bool


@dataclass(slots=True)
class Backoff:
    """Makes things that are done again and again wait longer each time.

    Attributes:
        first_s: the first wait; each is twice the one before.
        most_s: the longest.
        free: how often there is no wait at all.
    """

    first_s: float
    most_s: float
    free: int = 0
    times: int = 0
    next_at: float = 0.0

    def ready(self, now: float) -> bool:
        """Return whether it may be done."""
        return now >= self.next_at

    def done(self, now: float) -> None:
        """Take note that it was done."""
        self.times += 1
        doublings = min(self.times - self.free - 1, 32)
        wait = min(self.first_s * 2**doublings, self.most_s) if doublings >= 0 else 0.0
        self.next_at = now + wait

    def calm(self, now: float) -> None:
        """Begin anew, if nothing was to be done for as long as the longest wait."""
        if now >= self.next_at + self.most_s:
            self.times = 0

    def reset(self) -> None:
        """Begin anew at once."""
        self.times, self.next_at = 0, 0.0


@dataclass(slots=True)
class _Order:
    ticks: int
    lots: int
    origin: int = 0
    placed_at: float = 0.0
    filled: int = 0
    is_told: bool = False
    cancel_again_at: float = 0.0

    @property
    def left(self) -> int:
        return self.lots - self.filled


CANCEL_AGAIN_S = 2.0
"""A cancel that nothing came of is repeated after so long."""


@dataclass(slots=True)
class Ladder:
    """Entries, take profits, and which part of the position has none.

    Attributes:
        rules: what it goes by.
        held: lots held by the word of the orders.
        entries: resting entries by client order index.
        profits: resting take profits by client order index.
        requoting: when entries may follow the price again.
        repairing: when take profits may be placed again.
    """

    rules: Rules
    requoting: Backoff
    repairing: Backoff
    held: int = 0
    entries: dict[int, _Order] = field(default_factory=dict)
    profits: dict[int, _Order] = field(default_factory=dict)
    _bare: dict[int, int] = field(default_factory=dict)

    # -------------------------------------------------------------- what happened

    def entered(self, number: int, wanted: Wanted, now: float = 0.0) -> None:
        """Take note of an entry that was handed over to be sent."""
        self.entries[number] = _Order(wanted.ticks, wanted.lots, placed_at=now)

    def promised(self, number: int, wanted: Wanted, now: float = 0.0) -> None:
        """Take note of a take profit that was handed over to be sent."""
        order = _Order(wanted.ticks, wanted.lots, wanted.origin, placed_at=now)
        self.profits[number] = order
        self._balance(wanted.origin)

    def changed(self, number: int, *, filled: int, is_told: bool, is_over: bool) -> int:
        """Take the latest word on one of the orders.

        Args:
            number: its client order index.
            filled: lots filled so far.
            is_told: whether the exchange itself has told of it.
            is_over: whether nothing can happen to it any more.

        Returns:
            Lots of a take profit that is over without them.
        """
        entry, profit = self.entries.get(number), self.profits.get(number)
        if entry is not None:
            self._bare[entry.ticks] = self._bare.get(entry.ticks, 0)
            self._bare[entry.ticks] += filled - entry.filled
            self.held += filled - entry.filled
            entry.filled, entry.is_told = filled, is_told
            self._balance(entry.ticks)
            if is_over:
                del self.entries[number]
            return 0
        if profit is None:
            return 0
        self.held -= filled - profit.filled
        profit.filled, profit.is_told = filled, is_told
        if is_over:
            del self.profits[number]
        self._balance(profit.origin)
        return profit.left if is_over else 0

    def forgotten(self, number: int) -> None:
        """Drop an order that is over and of which nobody knows any more."""
        self.entries.pop(number, None)
        profit = self.profits.pop(number, None)
        if profit is not None:
            self._balance(profit.origin)

    def rebase(self, held: int, origin: int) -> int:
        """Take the account's own word on the position, whatever the orders said.

        Args:
            held: lots held; not below 0.
            origin: price in ticks of what was not known of.

        Returns:
            By how much it differed.
        """
        differs = held - self.held
        self.held = held
        self._balance(origin)
        return differs

    def _balance(self, origin: int) -> None:
        """Let the parts without a take profit add up to what has none."""
        missing = max(0, self.held - self.committed) - sum(self._bare.values())
        if missing > 0:
            self._bare[origin] = self._bare.get(origin, 0) + missing
        near_first = [origin, *sorted(self._bare, key=lambda t: abs(t - origin))]
        for ticks in near_first if missing < 0 else ():
            taken = min(self._bare.get(ticks, 0), -missing)
            if taken > 0:
                self._bare[ticks] -= taken
                missing += taken
        self._bare = {ticks: lots for ticks, lots in self._bare.items() if lots}

    # ------------------------------------------------------------- what to do now

    @property
    def committed(self) -> int:
        """Lots of take profits that rest or may rest."""
        return sum(order.left for order in self.profits.values())

    def coverage(self, told: int) -> Coverage:
        """Return how much of the position is covered.

        Args:
            told: lots held by the word of the position itself.
        """
        covered = sum(o.left for o in self.profits.values() if o.is_told)
        least, most = min(self.held, told), max(self.held, told)
        gap, excess = max(0, least - self.committed), max(0, self.committed - most)
        return Coverage(
            held=told,
            covered=covered,
            in_doubt=self.committed - covered,
            gap=gap,
            excess=excess,
            is_sound=not excess and not self._missing(gap),
        )

    def plan(self, told: int, best: int | None, now: float) -> Plan:
        """Return what to do.

        Args:
            told: lots held by the word of the position itself.
            best: best price of the entries' own side in ticks; None when it is not
                known, and nothing is entered.
            now: seconds of any clock.
        """
        seen = self.coverage(told)
        cancels = self._too_much(seen.excess, now)
        profits: tuple[Wanted, ...] = ()
        if seen.gap and self.repairing.ready(now):
            profits = self._missing(seen.gap)
        if best is None:
            return Plan(cancels, profits)
        astray = self._astray(best, now)
        return Plan(cancels + astray, profits, self._rungs(told, best))

    def _too_much(self, excess: int, now: float) -> tuple[int, ...]:
        # Those farthest from the market are the last that would be missed.
        sign, going = self.rules.sign, []
        far_first = sorted(self.profits, key=lambda n: -sign * self.profits[n].ticks)
        for number in far_first:
            if excess <= 0:
                break
            excess -= self.profits[number].left
            if self._cancels(self.profits[number], now):
                going.append(number)
        return tuple(going)

    def _missing(self, gap: int) -> tuple[Wanted, ...]:
        """Return take profits for the parts that have none.

        A part too small for an order goes with the next; what is too small even so
        waits for more.
        """
        rules, parts = self.rules, []
        one_only = len(self.profits) >= rules.most_profits
        lots = value = 0
        for origin in sorted(self._bare):
            taken = min(self._bare[origin], gap)
            gap -= taken
            lots, value = lots + taken, value + taken * origin
            if not one_only and lots and lots >= rules.smallest(origin):
                parts.append((lots, value))
                lots = value = 0
        if lots and (parts or lots >= rules.smallest(value // lots)):
            if parts:
                first = parts.pop()
                lots, value = lots + first[0], value + first[1]
            parts.append((lots, value))
        # The average entry is rounded towards more profit.
        origins = [
            -(-value // n) if rules.sign > 0 else value // n for n, value in parts
        ]
        return tuple(
            Wanted(origin + rules.sign * rules.take_profit, n, origin)
            for origin, (n, _) in zip(origins, parts, strict=True)
        )

    def _astray(self, best: int, now: float) -> tuple[int, ...]:
        rules = self.rules
        wanted = [best - rules.sign * rules.step * rung for rung in range(rules.rungs)]
        astray = [
            number
            for number, entry in self.entries.items()
            if min(abs(entry.ticks - ticks) for ticks in wanted) > rules.requote
        ]
        if not astray:
            self.requoting.calm(now)
        if not astray or not self.requoting.ready(now):
            return ()
        going = tuple(n for n in astray if self._cancels(self.entries[n], now))
        if going:
            self.requoting.done(now)
        return going

    def _cancels(self, order: _Order, now: float) -> bool:
        if now < order.cancel_again_at:
            return False
        order.cancel_again_at = now + CANCEL_AGAIN_S
        return True

    def _rungs(self, told: int, best: int) -> tuple[Wanted, ...]:
        """Return entries for rungs that have none; a canceled one keeps its place."""
        rules = self.rules
        room = rules.most_held - max(self.held, told)
        room -= sum(entry.left for entry in self.entries.values())
        free = rules.rungs - len(self.entries)
        made: list[Wanted] = []
        for rung in range(rules.rungs):
            ticks = best - rules.sign * rules.step * rung
            taken = any(
                abs(entry.ticks - ticks) <= rules.requote
                for entry in self.entries.values()
            )
            fits = rules.smallest(ticks) <= rules.size <= room
            if not taken and fits and len(made) < free and ticks > 0:
                made.append(Wanted(ticks, rules.size))
                room -= rules.size
        return tuple(made)
