"""What a guard keeps over a restart: the day's beginning, the best, what is halted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from wrappy.lighter.risk_desk import RiskDesk
    from wrappy.runner.engine.saved_state import SavedStates

NAME: Final = "risk-guard"


def save(states: SavedStates, desk: RiskDesk) -> None:
    """Keep what a restart must not forget; of the equity nothing before it is known."""
    equity = desk.risk.equity
    known = {
        "day": equity.day,
        "day_start": equity.day_start,
        "peak": equity.peak,
        "base": equity.base,
        "crest": equity.crest,
    }
    states.write(
        NAME,
        {**({} if equity.day is None else known), "halts": desk.risk.halts()},
    )


def restore(states: SavedStates, desk: RiskDesk) -> None:
    """Take over what an earlier run has kept.

    Raises:
        ConfigError: it cannot be read, or is not what a guard writes.
    """
    state = states.read(NAME)
    if not state:
        return
    try:
        if "day" in state:
            day_start, peak = int(state["day_start"]), int(state["peak"])
            desk.risk.equity.restore(
                day=int(state["day"]),
                day_start=day_start,
                peak=peak,
                base=int(state.get("base", day_start)),
                crest=int(state.get("crest", peak)),
            )
        for cause, (words, day) in dict(state["halts"]).items():
            until = None if day is None else int(day)
            desk.risk.halt(str(cause), str(words), day=until)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{NAME}.json: holds no state of a risk guard ({error!r}); remove it to "
            "start anew"
        ) from error
