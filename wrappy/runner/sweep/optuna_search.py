"""A search that learns from its trials, with optuna's tree of Parzen estimators."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wrappy.runner.sweep.space import Axis, Space


class OptunaSearch:
    """Asks optuna, in batches of a fixed size.

    The study is kept in memory. A sweep that goes on tells it again what is known, in
    the same order, so it comes to the same trials as if it had not been stopped.

    Args:
        space: what may be tried.
        trials: how many.
        seed: of the sampler.
        maximize: whether more is better.
        batch: trials that are asked for before any of them is told; as large as the
            most workers there will be.

    Raises:
        ConfigError: optuna is not installed, or an argument cannot work.
    """

    def __init__(
        self,
        space: Space[Any],
        trials: int | None,
        seed: int,
        *,
        maximize: bool,
        batch: int,
    ) -> None:
        try:
            import optuna  # noqa: PLC0415 - heavy, and it may not be installed
        except ImportError as error:
            raise ConfigError(
                "method: optuna is not installed; pip install 'wrappy-lighter[cluster]'"
            ) from error
        if trials is None or type(trials) is not int or trials < 1:
            raise ConfigError(f"trials: {trials!r}; optuna needs to know how many")
        if type(batch) is not int or batch < 1:
            raise ConfigError(
                f"batch: {batch!r} is no number of trials; give 1 or more"
            )
        self.total = trials
        self._left = trials
        self._batch = batch
        self._space = space
        self._asked: list[Any] = []
        self._failed = optuna.trial.TrialState.FAIL
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(
                direction="maximize" if maximize else "minimize",
                # The liar keeps the trials of a batch apart from each other.
                sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True),
            )

    def batch(self) -> list[Mapping[str, Any]]:
        """Return the next values to try, none when it is over."""
        count = min(self._batch, self._left)
        self._left -= count
        self._asked = []
        batch: list[Mapping[str, Any]] = []
        for _ in range(count):
            trial = self._study.ask()
            self._asked.append(trial)
            batch.append(
                {axis.name: _suggested(trial, axis) for axis in self._space.axes}
            )
        return batch

    def tell(self, values: Sequence[float | None]) -> None:
        """Take what the last batch came to, in its order; None for no value."""
        for trial, value in zip(self._asked, values, strict=True):
            if value is None:
                self._study.tell(trial, state=self._failed)
            else:
                self._study.tell(trial, value)


def _suggested(trial: Any, axis: Axis) -> Any:
    if not axis.options:
        return trial.suggest_float(axis.name, axis.low, axis.high, log=axis.log)
    last = len(axis.options) - 1
    if not axis.ordered:
        place = trial.suggest_categorical(axis.name, list(range(last + 1)))
    else:
        # From 1 on, so that a logarithmic axis has one here as well.
        place = trial.suggest_int(axis.name, 1, last + 1, log=axis.log) - 1
    return axis.options[place]
