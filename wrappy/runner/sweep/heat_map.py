"""Two parameters against a figure: where good results stand together."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from wrappy.runner.sweep.result import SweepResult

MOST_BINS: Final = 24
"""Different values of a parameter; where there are more, neighbours share a cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """The middle of a figure over two parameters.

    Attributes:
        x: name of the parameter across.
        y: name of the parameter upwards.
        figure: name of the figure.
        x_labels: its values, or ranges of them, in order.
        y_labels: the same.
        cells: by row of `y`, the median of all trials there; None where there is none.
        counts: how many trials that were.
    """

    x: str
    y: str
    figure: str
    x_labels: tuple[str, ...]
    y_labels: tuple[str, ...]
    cells: tuple[tuple[float | None, ...], ...]
    counts: tuple[tuple[int, ...], ...]


def heat_map(
    swept: SweepResult[Any],
    x: str | None = None,
    y: str | None = None,
    *,
    figure: str | None = None,
) -> HeatMap:
    """Return a heat map of two parameters that were varied.

    A cell is the median over the other parameters. The best of them would look better
    than a neighbour that was tried less often.

    Args:
        swept: the sweep.
        x: parameter across; the first one without.
        y: parameter upwards; the next one without.
        figure: what is shown; the sweep's objective without.

    Raises:
        ConfigError: fewer than two parameters were varied, or a name is unknown.
    """
    if len(swept.varied) < 2:  # noqa: PLR2004 - a map has two axes
        raise ConfigError("heat_map: needs two parameters that were varied")
    x = x or next(name for name in swept.varied if name != y)
    y = y or next(name for name in swept.varied if name != x)
    for name in (x, y):
        if name not in swept.varied:
            raise ConfigError(
                f"heat_map: {name!r} was not varied; {', '.join(swept.varied)} were"
            )
    if x == y:
        raise ConfigError(f"heat_map: {x!r} twice; name two parameters")
    figure = figure or swept.objective
    valued = [
        (trial.parameters[x], trial.parameters[y], value)
        for trial in swept.trials
        if (value := trial.value(figure)) is not None
    ]
    across, upwards = (
        _Bins([one[0] for one in valued]),
        _Bins([one[1] for one in valued]),
    )
    found: dict[tuple[int, int], list[float]] = {}
    for at_x, at_y, value in valued:
        found.setdefault((upwards.place(at_y), across.place(at_x)), []).append(value)
    rows, columns = range(len(upwards.labels)), range(len(across.labels))
    return HeatMap(
        x=x,
        y=y,
        figure=figure,
        x_labels=across.labels,
        y_labels=upwards.labels,
        cells=tuple(
            tuple(
                median(found[row, column]) if (row, column) in found else None
                for column in columns
            )
            for row in rows
        ),
        counts=tuple(
            tuple(len(found.get((row, column), ())) for column in columns)
            for row in rows
        ),
    )


class _Bins:
    """Values in order, or stretches of them when there are too many."""

    def __init__(self, values: list[Any]) -> None:
        numbers = {value: _number(value) for value in values}
        self._edges: list[float] = []
        self._places: dict[Any, int] = {}
        ordered = sorted(
            numbers, key=lambda one: (numbers[one] is None, numbers[one] or 0, str(one))
        )
        known = [number for number in numbers.values() if number is not None]
        if len(ordered) <= MOST_BINS or len(known) < len(ordered):
            self._places = {value: at for at, value in enumerate(ordered)}
            self.labels = tuple(str(value) for value in ordered)
            return
        low, high = min(known), max(known)
        width = (high - low) / MOST_BINS
        self._edges = [low + at * width for at in range(MOST_BINS)]
        self.labels = tuple(f"{edge:.4g} to {edge + width:.4g}" for edge in self._edges)

    def place(self, value: Any) -> int:
        """Return where a value belongs."""
        if self._edges:
            return max(bisect_right(self._edges, float(value)) - 1, 0)
        return self._places[value]


def _number(value: Any) -> float | None:
    """Return a parameter as a number; Decimals are text once they were stored."""
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
