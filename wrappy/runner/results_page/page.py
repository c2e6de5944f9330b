"""The report of one run."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from wrappy.model import Side
from wrappy.runner.performance.formulas import FORMULAS
from wrappy.runner.performance.summary import (
    UNDEFINED,
    day,
    money,
    percent,
    ratio,
    span,
)
from wrappy.runner.results_page.document import Document, Grid, section, table
from wrappy.runner.results_page.drawings import equity_drawing, price_drawing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.runner.performance.results import Baseline, Figure, Plain, Results
    from wrappy.runner.results_page.sensitivity import Variant
    from wrappy.runner.results_page.series import MarketTape

LookAhead = Literal["passed", "failed", "not run"]
"""What became of the test that a strategy does the same on the beginning of its data
as on all of it."""

_LOOK_AHEAD: Final[dict[str, str]] = {
    "passed": "Look-ahead: the test on shortened data passed.",
    "failed": "Look-ahead: on shortened data the strategy does something else. "
    "It sees what it cannot know, and every figure here is void.",
    "not run": "Look-ahead: candles reach the strategy only when they are over; the "
    "test on shortened data was not run.",
}
_GROUPS: Final = {
    "returns": "Returns",
    "drawdown": "Drawdown",
    "trades": "Trades",
    "costs": "Costs, USDC",
    "activity": "Activity",
    "trials": "Trials",
}
_SHARES: Final = frozenset(
    {
        "returns.total",
        "returns.mean_daily",
        "returns.volatility",
        "returns.cagr",
        "drawdown.deepest",
        "drawdown.time_under_water",
        "trades.win_rate",
        "costs.maker_share",
        "activity.fill_ratio",
        "activity.exposure",
        "trials.deflated_sharpe",
    }
)
_MICRO: Final = 1_000_000
_CRASHED: Final = "the strategy crashed"


def results_page(
    results: Results,
    *,
    tapes: Sequence[MarketTape] = (),
    sensitivity: Sequence[Variant] = (),
    look_ahead: LookAhead = "not run",
) -> str:
    """Return the report of a run as one page of HTML that needs no network.

    Args:
        results: what the run came to.
        tapes: prices and fills of its markets; without, there is no price chart.
        sensitivity: the same run under other assumptions.
        look_ahead: what became of that test.

    Raises:
        ConfigError: plotly is not installed.
    """
    about = results.about
    name = about.strategy or "run"
    document = Document(title=f"{name}: {percent(results.returns.total)}")
    document.parts.append(_tiles(results))
    document.parts.append(_cautions(results, look_ahead))
    if results.curve:
        document.chart(
            equity_drawing(results, tapes),
            head="Equity and drawdown",
            note="USDC, open profit included",
        )
    for tape in tapes:
        drawing, note = price_drawing(results, tape)
        document.chart(drawing, head=f"Trades on {tape.market.symbol}", note=note)
    document.parts.append(_instead(results))
    if sensitivity:
        document.parts.append(_sensitivity(results, sensitivity))
    if results.round_trips:
        symbols = {tape.market.market_id: tape.market.symbol for tape in tapes}
        document.grid(
            _trades(results, symbols),
            head="Trades",
            note=f"{results.trades.method}, after fees and funding, USDC; times UTC",
        )
    document.parts += [_card(results), _assumptions(results), _figures(results)]
    period = f"{_minute(results.start_ms)} to {_minute(results.end_ms)} UTC"
    symbols_text = ", ".join(about.symbols) or "no market"
    return document.html(
        header=f"<h1>{escape(name)}</h1><p>{escape(about.world)} of "
        f"{escape(symbols_text)}, {period}, {results.returns.days:.1f} days</p>",
        footer=f"seed {about.seed}, ledger {escape(about.ledger_hash or 'not kept')}",
    )


def write_results_page(
    path: str | Path,
    results: Results,
    *,
    tapes: Sequence[MarketTape] = (),
    sensitivity: Sequence[Variant] = (),
    look_ahead: LookAhead = "not run",
) -> Path:
    """Write the report to a file and return its path; see `results_page`."""
    page = results_page(
        results, tapes=tapes, sensitivity=sensitivity, look_ahead=look_ahead
    )
    Path(path).write_text(page, encoding="utf-8")
    return Path(path)


def _tiles(results: Results) -> str:
    returns, drawdown, trades = results.returns, results.drawdown, results.trades
    costs = results.costs
    se = "" if returns.sharpe_se is None else f"&plusmn; {returns.sharpe_se:.2f}, "
    rows = [
        ("Return", percent(returns.total), "", _sign(returns.total), "returns.total"),
        (
            "Net profit",
            f"{results.net_profit:,.2f}",
            f"of {results.start_capital:,.0f} USDC",
            _sign(results.net_profit),
            "",
        ),
        ("Sharpe", ratio(returns.sharpe), f"{se}n {returns.n}", "", "returns.sharpe"),
        (
            "Max drawdown",
            percent(drawdown.deepest),
            f"lasted {span(drawdown.duration_s)}",
            _sign(drawdown.deepest),
            "drawdown.deepest",
        ),
        (
            "Win rate",
            percent(trades.win_rate),
            f"{trades.wins} won, {trades.losses} lost",
            "",
            "trades.win_rate",
        ),
        (
            "Profit factor",
            ratio(trades.profit_factor),
            f"{trades.closed} closed trades",
            "",
            "trades.profit_factor",
        ),
        (
            "Fees",
            f"{costs.fees:,.2f}",
            f"maker {percent(costs.maker_share)}",
            "",
            "costs.fees",
        ),
        ("Funding", f"{costs.funding:,.2f}", "received", "", "costs.funding"),
    ]
    tiles = "".join(
        f'<div class="tile"><span>{_explained(name, key)}</span>'
        f'<b class="{kind}">{value}</b><small>{small or "&nbsp;"}</small></div>'
        for name, value, small, kind, key in rows
    )
    return f'<section class="full tiles">{tiles}</section>'


def _explained(name: str, key: str) -> str:
    if key not in FORMULAS:
        return escape(name)
    return f'<abbr title="{escape(FORMULAS[key])}">{escape(name)}</abbr>'


def _sign(value: float | Decimal) -> str:
    return "good" if value > 0 else "bad" if value < 0 else ""


def _coloured(share: float) -> str:
    return f'<span class="{_sign(share)}">{percent(share)}</span>'


def _cautions(results: Results, look_ahead: LookAhead) -> str:
    found = list(results.warnings)
    found += [note for note in results.about.data if "gap" in note]
    trials = results.trials
    if trials is None:
        found.append(
            "Number of trials: not told. If this run was picked out of several, its "
            "figures look better than they are."
        )
    elif trials.trials > 1:
        found.append(
            f"Best of {trials.trials} trials: without any skill the best Sharpe ratio "
            f"would be {ratio(trials.expected_best)}; deflated Sharpe ratio "
            f"{percent(trials.deflated_sharpe)}."
        )
    found.append(_LOOK_AHEAD[look_ahead])
    items = "".join(f"<li>{escape(words)}</li>" for words in found)
    return section("Mind", f"<ul>{items}</ul>", kind="full warn")


def _instead(results: Results) -> str:
    about = results.about
    rows = [
        [
            escape(about.strategy or "this run"),
            *_compared(results, results.costs.fees, results.costs.funding),
        ],
        *(
            [escape(one.name), *_compared(one, one.fees, one.funding)]
            for one in results.baselines
        ),
    ]
    head = ["", "end capital", "return", "Sharpe", "max drawdown", "fees", "funding"]
    content = table(head, rows, mine=0)
    note = "the same prices, the same fees"
    return section("Beside doing something simple", content, note=note, kind="full")


def _compared(one: Results | Baseline, fees: Decimal, funding: Decimal) -> list[str]:
    return [
        f"{one.end_capital:,.2f}",
        _coloured(one.returns.total),
        ratio(one.returns.sharpe),
        percent(one.drawdown.deepest),
        f"{fees:,.2f}",
        f"{funding:,.2f}",
    ]


def _sensitivity(results: Results, variants: Sequence[Variant]) -> str:
    lines = [("as run", results), *((one.name, one.results) for one in variants)]
    rows = []
    for place, (name, one) in enumerate(lines):
        change = one.returns.total - results.returns.total
        crash = next((words for words in one.warnings if _CRASHED in words), None)
        if crash is not None:
            # Its figures are those of a run that ended early: nothing to compare.
            told = f'<abbr class="bad" title="{escape(crash)}">crashed</abbr>'
            rows.append([escape(name), told, *([UNDEFINED] * 5)])
            continue
        rows.append(
            [
                escape(name),
                _coloured(one.returns.total),
                "" if place == 0 else f"{change * 100:+.2f}",
                ratio(one.returns.sharpe),
                percent(one.drawdown.deepest),
                str(one.trades.closed),
                percent(one.activity.fill_ratio),
            ]
        )
    head = ["fill model", "return", "points", "Sharpe", "max drawdown", "trades"]
    content = table([*head, "fill ratio"], rows, mine=0)
    note = "what stays is the strategy's, what moves is the model's"
    return section("Under other fill models", content, note=note, kind="full")


def _trades(results: Results, symbols: dict[int, str]) -> Grid:
    columns = [
        ("#", "whole", ""),
        ("market", "text", ""),
        ("side", "text", "of the entry"),
        ("opened", "time", "first fill"),
        ("closed", "time", "last fill"),
        ("held", "span", "last fill - first fill"),
        ("entries", "number", "value of what was added, USDC"),
        ("exits", "number", "value of what was taken off, USDC"),
        ("profit", "profit", "after fees and funding, USDC"),
        ("of entries", "percent", "profit / entries"),
        ("fees", "number", "positive when paid, USDC"),
        ("funding", "number", "positive when received, USDC"),
        ("fills", "whole", ""),
    ]
    rows: list[list[Any]] = [
        [
            number,
            symbols.get(trip.market_id, str(trip.market_id)),
            "long" if trip.side is Side.BUY else "short",
            trip.opened_ms,
            trip.closed_ms,
            (trip.closed_ms - trip.opened_ms) / 1_000,
            trip.entry_quote / _MICRO,
            trip.exit_quote / _MICRO,
            trip.pnl / _MICRO,
            100 * trip.pnl / trip.entry_quote if trip.entry_quote else None,
            trip.fees / _MICRO,
            trip.funding / _MICRO,
            trip.fills,
        ]
        for number, trip in enumerate(results.round_trips, start=1)
    ]
    return Grid(place="trades", columns=columns, rows=rows)


def _card(results: Results) -> str:
    rows = [
        [escape(name), f"<b>{escape(_plain(value))}</b>"]
        for name, value in results.about.parameters.items()
    ]
    content = table([], rows, kind="words") if rows else "It has none."
    return section("Parameters", content)


def _plain(value: Plain) -> str:
    return UNDEFINED if value is None else str(value)


def _assumptions(results: Results) -> str:
    about = results.about
    rows = [[escape(name), escape(words)] for name, words in about.models.items()]
    rows += [["data", escape(words)] for words in about.data]
    content = table([], rows, kind="words") if rows else "Nothing was told."
    return section("What was assumed", content)


def _figures(results: Results) -> str:
    groups: dict[str, list[list[str]]] = {}
    for name, value in results.figures().items():
        group, _, figure = name.partition(".")
        words = figure.removesuffix("_ms").removesuffix("_s").replace("_", " ")
        row = [escape(words), _figure(name, value), escape(FORMULAS.get(name, ""))]
        groups.setdefault(group, []).append(row)
    content = "".join(
        f"<h3>{_GROUPS[group]}</h3>{table([], rows, kind='facts')}"
        for group, rows in groups.items()
    )
    return section("All figures", content, note="with how each is defined", kind="full")


def _figure(name: str, value: Figure) -> str:
    if value is None:
        return UNDEFINED
    if isinstance(value, str):
        return escape(value)
    if name in _SHARES:
        return percent(float(value))
    if name.endswith("_s"):
        return span(float(value))
    if isinstance(value, int):
        return _minute(value) if name.endswith("_ms") else f"{value:,}"
    return money(value) if isinstance(value, Decimal) else ratio(value)


def _minute(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1_000, timezone.utc)
    return f"{day(at_ms)} {at:%H:%M}"
