"""The charts of a report, as plotly takes them; colours are named, not given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wrappy.model import Side
from wrappy.runner.results_page.document import Drawing
from wrappy.runner.results_page.series import (
    candle_series,
    equity_series,
    hold_series,
    mark_series,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.runner.performance.results import Results
    from wrappy.runner.results_page.series import EquitySeries, MarketTape
    from wrappy.runner.sweep.heat_map import HeatMap

_MARGIN = {"l": 74, "r": 14, "t": 6, "b": 40}
_TIME = {"type": "date", "hoverformat": "%Y-%m-%d %H:%M"}
_FAR = 6
"""So many times the range of the equity, and the price would flatten it to a line."""
CROWD = 150
"""Fills beyond which they are drawn smaller, so that the price stays to be seen."""
_LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}


def equity_drawing(results: Results, tapes: Sequence[MarketTape]) -> Drawing:
    """Return equity over drawdown, with the price of the first market beside it."""
    told = equity_series(results)
    band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    traces: list[dict[str, Any]] = [
        {"x": told.at_ms, "y": told.low, "showlegend": False, **band},
        {
            "x": told.at_ms,
            "y": told.high,
            "fill": "tonexty",
            "fillcolor": "@mark-wash",
            "name": "lowest to highest",
            **band,
        },
        {
            "x": told.at_ms,
            "y": told.equity,
            "mode": "lines",
            "name": "equity",
            "line": {"color": "@mark", "width": 1.6},
            "hovertemplate": "%{y:,.2f} USDC",
        },
        {
            "x": told.at_ms,
            "y": [100 * share for share in told.drawdown],
            "mode": "lines",
            "name": "drawdown",
            "showlegend": False,
            "yaxis": "y2",
            "fill": "tozeroy",
            "fillcolor": "@bad-wash",
            "line": {"color": "@bad", "width": 1},
            "hovertemplate": "%{y:.2f}%",
        },
    ]
    if tapes:
        during = [one for one in tapes[0].candles if one.start_ms >= results.start_ms]
        held = hold_series(results, during)
        traces.append(
            {
                "x": candle_series(during).at_ms,
                "y": held,
                # A click on its name shows it.
                "visible": "legendonly" if is_far_from(held, told) else True,
                "mode": "lines",
                "name": f"had it followed {tapes[0].market.symbol}",
                "line": {"color": "@soft", "width": 1, "dash": "dot"},
                "hovertemplate": "%{y:,.2f} USDC",
            }
        )
    layout = {
        "height": 430,
        "margin": _MARGIN,
        "hovermode": "x unified",
        "legend": _LEGEND,
        "xaxis": {**_TIME, "anchor": "y2"},
        "yaxis": {
            "domain": [0.34, 1],
            "tickformat": ",.7~g",
            "title": {"text": "USDC"},
        },
        "yaxis2": {
            "domain": [0, 0.28],
            "ticksuffix": "%",
            "rangemode": "tozero",
            "title": {"text": "drawdown"},
        },
    }
    return Drawing(place="equity", traces=traces, layout=layout)


def is_far_from(held: Sequence[float], told: EquitySeries) -> bool:
    """Tell whether holding would flatten the equity to a line, drawn beside it."""
    if not held:
        return False
    range_of_equity = max(told.high) - min(told.low)
    return max(held) - min(held) > _FAR * range_of_equity > 0


def price_drawing(results: Results, tape: MarketTape) -> tuple[Drawing, str]:
    """Return candles with the fills on them, and in words what is not drawn."""
    market = tape.market
    told = candle_series(tape.candles)
    traces: list[dict[str, Any]] = [
        {
            "type": "candlestick",
            "x": told.at_ms,
            "open": told.open,
            "high": told.high,
            "low": told.low,
            "close": told.close,
            "name": market.symbol,
            "showlegend": False,
            "increasing": {"line": {"color": "@good", "width": 1}},
            "decreasing": {"line": {"color": "@bad", "width": 1}},
            "opacity": 0.55,
        }
    ]
    left_out = 0
    for side, name, symbol, colour in (
        (Side.BUY, "bought", "triangle-up", "@good"),
        (Side.SELL, "sold", "triangle-down", "@bad"),
    ):
        marks = mark_series(tape, side)
        left_out += marks.left_out
        traces.append(
            {
                "x": marks.at_ms,
                "y": marks.price,
                "text": marks.words,
                "mode": "markers",
                "name": name,
                "marker": {
                    "symbol": symbol,
                    "size": 9 if len(marks.at_ms) <= CROWD else 5,
                    "color": colour,
                    "line": {
                        "color": "@card",
                        "width": 1 if len(marks.at_ms) <= CROWD else 0,
                    },
                },
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    trips = [one for one in results.round_trips if one.market_id == market.market_id]
    traces.append(
        {
            "type": "bar",
            "x": [one.closed_ms for one in trips],
            "y": [one.pnl / 1_000_000 for one in trips],
            "width": max((results.end_ms - results.start_ms) // 300, 1),
            "yaxis": "y2",
            "name": "profit of a trade",
            "showlegend": False,
            "marker": {"color": ["@good" if one.pnl > 0 else "@bad" for one in trips]},
            "hovertemplate": "%{y:,.2f} USDC<extra></extra>",
        }
    )
    layout = {
        "height": 480,
        "margin": _MARGIN,
        "hovermode": "closest",
        "legend": _LEGEND,
        "xaxis": {**_TIME, "anchor": "y2", "rangeslider": {"visible": False}},
        "yaxis": {
            "domain": [0.28, 1],
            "tickformat": ",.7~g",
            "title": {"text": "USDC"},
        },
        "yaxis2": {
            "domain": [0, 0.2],
            "tickformat": ",.4~g",
            "title": {"text": "profit"},
        },
    }
    notes = ["below: profit of each closed trade, USDC"]
    if told.joined > 1:
        notes.append(f"{told.joined} candles make one that is drawn")
    if left_out:
        notes.append(f"the {left_out} smallest fills are not drawn")
    place = f"price-{market.market_id}"
    return Drawing(place=place, traces=traces, layout=layout), "; ".join(notes)


def heat_drawing(told: HeatMap) -> Drawing:
    """Return a heat map; bad is red, good is green, and nothing is empty."""
    short = len(told.x_labels) * len(told.y_labels) <= 150  # noqa: PLR2004 - legible
    words = [["" if one is None else f"{one:.2f}" for one in row] for row in told.cells]
    known = [abs(one) for row in told.cells for one in row if one is not None]
    most = max(known, default=0.0) or 1.0
    trace: dict[str, Any] = {
        "type": "heatmap",
        "x": list(told.x_labels),
        "y": list(told.y_labels),
        "z": [list(row) for row in told.cells],
        "text": words,
        "customdata": [list(row) for row in told.counts],
        "texttemplate": "%{text}" if short else "",
        "zmid": 0,
        "zmin": -most,
        "zmax": most,
        "colorscale": [[0, "@bad"], [0.5, "@card"], [1, "@good"]],
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": (
            f"{told.x} %{{x}}<br>{told.y} %{{y}}<br>{told.figure} %{{z:.3f}}"
            "<br>%{customdata} trial(s)<extra></extra>"
        ),
        "colorbar": {"thickness": 10, "outlinewidth": 0},
    }
    layout = {
        "height": min(max(240, 110 + 34 * len(told.y_labels)), 620),
        "margin": {"l": 70, "r": 10, "t": 6, "b": 46},
        "xaxis": {"type": "category", "title": {"text": told.x}},
        "yaxis": {"type": "category", "title": {"text": told.y}},
    }
    return Drawing(place="heat", traces=[trace], layout=layout)
