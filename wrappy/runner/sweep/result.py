"""What a sweep came to: its trials, the best of them, and what luck would explain."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar

from wrappy.runner.performance.ratios import daily_returns
from wrappy.runner.performance.summary import percent, ratio
from wrappy.runner.performance.trials import TrialFigures, trial_figures
from wrappy.runner.strategy.parameters import read_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.runner.performance.results import Results

P = TypeVar("P")

State = Literal["done", "failed", "lost"]
"""`failed`: the run raised, and would again; `lost`: its worker died or could not run
it, so it is tried again when the sweep goes on."""

LISTED: Final = 10
"""Trials in a summary unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One set of parameters and what became of it.

    Attributes:
        number: in the order of the search, from 0.
        parameters: all of them as plain values.
        state: `done`, `failed` or `lost`.
        results: the figures, without curve and trades; None unless done.
        error: what went wrong; empty when done.
        seconds: how long it took.
    """

    number: int
    parameters: Mapping[str, Any]
    state: State
    results: Results | None = None
    error: str = ""
    seconds: float = 0.0

    def value(self, objective: str) -> float | None:
        """Return a figure as a number; None when there is none."""
        if self.results is None:
            return None
        figure = self.results.figure(objective)
        return None if figure is None or isinstance(figure, str) else float(figure)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult(Generic[P]):
    """Everything a sweep came to.

    Attributes:
        trials: all of them, by number.
        objective: figure that was looked for, such as `returns.sharpe`.
        maximize: whether more of it is better.
        varied: names of the parameters that were tried.
        kind: the dataclass of the parameters.
        method: how the values were chosen.
        seed: of that choice.
        reused: trials that an earlier sweep had already run.
    """

    trials: tuple[Trial, ...]
    objective: str
    maximize: bool
    varied: tuple[str, ...]
    kind: type[P]
    method: str
    seed: int
    reused: int = 0

    def ranked(self) -> list[Trial]:
        """Return the trials that have the objective, the best first.

        Among equals the earlier one is first.
        """
        sign = -1 if self.maximize else 1
        valued = [
            (sign * value, trial.number, trial)
            for trial in self.trials
            if (value := trial.value(self.objective)) is not None
        ]
        return [trial for _, _, trial in sorted(valued, key=lambda one: one[:2])]

    @property
    def best(self) -> Trial | None:
        """The best trial; None when no trial has the objective."""
        ranked = self.ranked()
        return ranked[0] if ranked else None

    def best_parameters(self) -> P | None:
        """Return the best trial's parameters as the strategy takes them."""
        best = self.best
        if best is None:
            return None
        return read_parameters(self.kind, best.parameters, where="parameters")

    def luck(self) -> TrialFigures | None:
        """Return what the number of trials does to the best one's Sharpe ratio.

        None without a best trial.
        """
        best = self.best
        if best is None or best.results is None:
            return None
        returns = daily_returns([equity for _, equity in best.results.daily])
        return trial_figures(
            returns, [trial.value("returns.sharpe") for trial in self.trials]
        )

    def best_results(self) -> Results | None:
        """Return the best trial's figures with the number of trials among them."""
        best = self.best
        if best is None or best.results is None:
            return None
        return dataclasses.replace(best.results, trials=self.luck())

    def count(self, state: State) -> int:
        """Return how many trials ended so."""
        return sum(trial.state == state for trial in self.trials)

    def summary(self, *, listed: int = LISTED) -> str:
        """Return the best trials as lines for a terminal, with what luck explains."""
        lines = [
            (
                f"{len(self.trials)} trials ({self.method}, seed {self.seed}): "
                f"{self.count('done')} done, {self.count('failed')} failed, "
                f"{self.count('lost')} lost; {self.reused} were known before"
            )
        ]
        for place, trial in enumerate(self.ranked()[:listed], start=1):
            values = ", ".join(
                f"{name}={trial.parameters[name]}" for name in self.varied
            )
            value = ratio(trial.value(self.objective))
            lines.append(f"{place:>3}. {self.objective} {value}  {values}")
        luck = self.luck()
        if luck is None:
            lines.append(f"no trial has a {self.objective}")
        else:
            lines.append(
                f"best of {luck.trials}: without any skill the best Sharpe ratio would "
                f"be {ratio(luck.expected_best)}; deflated Sharpe ratio of the best "
                f"{percent(luck.deflated_sharpe)}"
            )
        errors = sorted({trial.error for trial in self.trials if trial.error})
        lines += [f"went wrong: {error}" for error in errors[:3]]
        if len(errors) > 3:  # noqa: PLR2004 - as many as were listed
            lines.append(f"and {len(errors) - 3} more")
        return "\n".join(lines) + "\n"
