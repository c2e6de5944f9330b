"""State machines whose runs must have reached certain things to count as a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

ROUNDS = 6


def run_until_reached(
    machine: type[RuleBasedStateMachine],
    chosen: settings,
    *,
    seen: Counter[Any],
    reached: Iterable[Any],
    at_random: bool,
) -> None:
    """Run a machine as chosen, again if need be until it has seen everything named.

    What a run comes across is a matter of chance, and differs with the version of
    Hypothesis even for one seed: a rare thing gets several rounds.

    Args:
        machine: The state machine; it counts what it comes across in `seen`.
        chosen: How long and how often it runs in one round.
        seen: The machine's own counter; it is cleared first.
        reached: What must have been counted at the end.
        at_random: Other runs each time, rather than the same ones.
    """
    seen.clear()
    missing = list(reached)
    for number in range(ROUNDS):
        run = machine if at_random else seed(number)(machine)
        run_state_machine_as_test(run, settings=chosen)
        missing = [what for what in missing if not seen[what]]
        if not missing:
            return
    raise AssertionError(f"{ROUNDS} rounds never reached {missing}; seen: {seen}")
