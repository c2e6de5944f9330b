"""State machines whose runs must have reached certain things to count as a test."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from hypothesis import seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

ROUNDS = 12


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
    Hypothesis even for one seed: a rare thing gets several rounds. Each round has a
    seed of its own, for without one Hypothesis makes all of them the same run
    wherever it takes the machine for a build server.

    Args:
        machine: The state machine; it counts what it comes across in `seen`.
        chosen: How long and how often it runs in one round.
        seen: The machine's own counter; it is cleared first.
        reached: What must have been counted at the end.
        at_random: Other runs each time, rather than the same ones.
    """
    seen.clear()
    missing = list(reached)
    first = secrets.randbits(32) if at_random else 0
    print(f"rounds from seed {first}")  # pytest shows it with a failure
    for number in range(first, first + ROUNDS):
        run_state_machine_as_test(seed(number)(machine), settings=chosen)
        missing = [what for what in missing if not seen[what]]
        if not missing:
            return
    raise AssertionError(f"{ROUNDS} rounds never reached {missing}; seen: {seen}")
