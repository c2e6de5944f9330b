"""What an account in a simulation is worth, known when it matters and not all the time.

Nothing is asked for at intervals there and no stream is waited for: whole days may pass
in one step. What such a step brought is told afterwards, in order, with its own times.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from wrappy.runner.worlds.equity_ear import EquityEar

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.lighter.risk_desk import RiskDesk, RiskRules
    from wrappy.runner.worlds.simulation import Simulation

STAKE_EVERY_S: Final = 10.0
"""Pause between two looks while orders rest that a loss would take away."""


def without_age(rules: RiskRules) -> RiskRules:
    """Return an account's limits as they are where its worth never gets old.

    Every change of it is told there: what was told last holds until the next word.
    """
    return replace(rules, equity_age_s=math.inf)


class SimulatedWorth:
    """Tells a desk what a simulated account is worth.

    Args:
        simulation: where the account is.
        desk: where it is judged.
        unix_s: the simulation's clock.
        clock: seconds, monotone.
        judge: called when something was told that may change the account's state.
    """

    def __init__(
        self,
        simulation: Simulation,
        desk: RiskDesk,
        *,
        unix_s: Callable[[], float],
        clock: Callable[[], float],
        judge: Callable[[], None],
    ) -> None:
        self._simulation = simulation
        self._desk = desk
        self._unix_s = unix_s
        self._clock = clock
        self._judge = judge
        rules = desk.risk.rules
        self.is_needed = rules.needs_equity
        self.minds = rules.needs_equity or rules.needs_exits
        if self.is_needed:
            ear = EquityEar(self._hear)
            ear.take(int(unix_s() * 1_000), simulation.equity())
            simulation.listen(ear)

    def bring_up_to_now(self) -> None:
        """Let happen what is due, and note the worth of now."""
        self._simulation.catch_up()
        if self.is_needed:
            worth = self._simulation.equity()
            self._desk.risk.equity.note(worth, self._clock(), self._unix_s())

    def _hear(self, at_ms: int, equity: int) -> tuple[int, int]:
        at_s = at_ms / 1_000
        at = self._clock() - (self._unix_s() - at_s)
        self._desk.risk.equity.note(equity, at, at_s)
        self._judge()
        return self._desk.risk.calm_equity()

    async def mind(self, look: Callable[[], None]) -> None:
        """Look at intervals while orders rest, so that a loss halts in time.

        By itself the simulation tells of a loss when something happens there next, and
        that may be the execution of an order that should have been taken away.
        """
        while True:
            await asyncio.sleep(STAKE_EVERY_S)
            risk = self._desk.risk
            is_over = not risk.book.live()
            if not is_over or risk.rules.needs_exits:
                # In the end, too: a position may be without exits from then on.
                look()
            if is_over:
                return
