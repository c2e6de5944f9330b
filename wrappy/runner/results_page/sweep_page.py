"""The report of a sweep: the best, the luck in it, the map, every trial."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wrappy.runner.performance.formulas import FORMULAS
from wrappy.runner.performance.summary import day, percent, ratio
from wrappy.runner.results_page.document import Document, Grid, section, table
from wrappy.runner.results_page.drawings import heat_drawing
from wrappy.runner.sweep.heat_map import heat_map

if TYPE_CHECKING:
    from wrappy.runner.sweep.result import SweepResult, Trial
    from wrappy.runner.sweep.walk_forward import WalkForward

_SHOWN: Final = (
    ("returns.total", "return", "percent"),
    ("returns.sharpe", "Sharpe", "number"),
    ("returns.sortino", "Sortino", "number"),
    ("drawdown.deepest", "max drawdown", "percent"),
    ("trades.closed", "trades", "whole"),
    ("trades.win_rate", "win rate", "share"),
    ("trades.profit_factor", "profit factor", "number"),
    ("costs.fees", "fees", "number"),
)
_LEAST_FOR_A_MAP: Final = 2


def sweep_page(
    swept: SweepResult[Any],
    *,
    walked: WalkForward[Any] | None = None,
    x: str | None = None,
    y: str | None = None,
) -> str:
    """Return the report of a sweep as one page of HTML that needs no network.

    Args:
        swept: the sweep.
        walked: what its choice came to on data it had not seen.
        x: parameter across the heat map; the first that was varied without.
        y: parameter upwards; the next one without.

    Raises:
        ConfigError: plotly is not installed, or a parameter was not varied.
    """
    document = Document(title=f"sweep: {len(swept.trials)} trials")
    document.parts += [_best(swept), _luck(swept)]
    if len(swept.varied) >= _LEAST_FOR_A_MAP and swept.best is not None:
        told = heat_map(swept, x, y)
        document.chart(
            heat_drawing(told),
            head=f"{told.figure} over {told.x} and {told.y}",
            note="a cell is the median of its trials; trust wide good areas, not peaks",
        )
    if walked is not None:
        document.parts.append(_walk(walked))
    document.grid(_trials(swept), head="Trials", note="sorted by a click on a column")
    return document.html(
        header=f"<h1>Sweep</h1><p>{len(swept.trials)} trials of "
        f"{escape(', '.join(swept.varied))}, {escape(swept.method)}, by "
        f"{escape(swept.objective)}</p>",
        footer=f"seed {swept.seed}",
    )


def write_sweep_page(
    path: str | Path,
    swept: SweepResult[Any],
    *,
    walked: WalkForward[Any] | None = None,
    x: str | None = None,
    y: str | None = None,
) -> Path:
    """Write the report to a file and return its path; see `sweep_page`."""
    Path(path).write_text(sweep_page(swept, walked=walked, x=x, y=y), encoding="utf-8")
    return Path(path)


def _best(swept: SweepResult[Any]) -> str:
    best = swept.best
    if best is None:
        words = f"No trial has a {swept.objective}."
        return section("The best", escape(words), kind="full")
    rows = [
        [escape(str(name)), f"<b>{escape(str(value))}</b>"]
        for name, value in best.parameters.items()
    ]
    value = ratio(best.value(swept.objective))
    note = f"trial {best.number}, {swept.objective} {value}"
    return section("The best", table([], rows, kind="words"), note=note)


def _luck(swept: SweepResult[Any]) -> str:
    luck = swept.luck()
    if luck is None:
        return ""
    best = swept.best
    rows = [
        ["number of trials", str(luck.trials), ""],
        [
            "best Sharpe ratio",
            ratio(best.value("returns.sharpe") if best else None),
            "",
        ],
        [
            "best without skill",
            ratio(luck.expected_best),
            escape(FORMULAS["trials.expected_best"]),
        ],
        [
            "deflated Sharpe",
            percent(luck.deflated_sharpe),
            escape(FORMULAS["trials.deflated_sharpe"]),
        ],
        ["failed", str(swept.count("failed") + swept.count("lost")), ""],
    ]
    note = "the best of many looks good by chance"
    return section("How much is luck", table([], rows, kind="facts"), note=note)


def _walk(walked: WalkForward[Any]) -> str:
    rows = []
    for fold in walked.folds:
        best, test = fold.train.best, fold.test
        chosen = (
            ", ".join(f"{name}={best.parameters[name]}" for name in fold.train.varied)
            if best
            else "nothing"
        )
        results = test.results if test else None
        rows.append(
            [
                f"{day(fold.window.test_begin_ms)} to {day(fold.window.test_end_ms)}",
                escape(chosen),
                ratio(best.value(walked.objective) if best else None),
                ratio(test.value(walked.objective) if test else None),
                percent(results.returns.total if results else None),
                percent(results.drawdown.deepest if results else None),
            ]
        )
    rows.append(
        ["all", "", "", ratio(walked.sharpe), percent(walked.total), ""],
    )
    head = ["looked at", "chosen before", "in sample", "out of sample", "return"]
    note = f"{walked.objective}; chosen on what came before, looked at afterwards"
    return section(
        "On data it had not seen",
        table([*head, "max drawdown"], rows, mine=len(rows) - 1),
        note=note,
        kind="full",
    )


def _trials(swept: SweepResult[Any]) -> Grid:
    shown = list(_SHOWN)
    if swept.objective not in {name for name, _, _ in shown}:
        shown.insert(0, (swept.objective, swept.objective, "number"))
    columns = [
        ("place", "whole", "by the objective"),
        ("#", "whole", "in the order of the search"),
        *((name, _kind(swept, name), "parameter") for name in swept.varied),
        *((words, kind, FORMULAS.get(name, "")) for name, words, kind in shown),
        ("seconds", "number", ""),
        ("error", "text", ""),
    ]
    rank = {trial.number: at for at, trial in enumerate(swept.ranked(), start=1)}
    last = len(swept.trials) + 1
    rows = [
        [
            rank.get(trial.number),
            trial.number,
            *(_parameter(trial, name) for name in swept.varied),
            *(_value(trial, name, kind) for name, _, kind in shown),
            trial.seconds,
            trial.error or None,
        ]
        for trial in sorted(swept.trials, key=lambda one: rank.get(one.number, last))
    ]
    return Grid(place="trials", columns=columns, rows=rows)


def _kind(swept: SweepResult[Any], name: str) -> str:
    values = [_parameter(trial, name) for trial in swept.trials]
    numbers = all(isinstance(value, (int, float)) for value in values)
    return "whole" if numbers else "text"


def _parameter(trial: Trial, name: str) -> Any:
    value = trial.parameters.get(name)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return str(value) if isinstance(value, bool) else value


def _value(trial: Trial, name: str, kind: str) -> float | None:
    value = trial.value(name)
    return 100 * value if value is not None and kind in ("percent", "share") else value
