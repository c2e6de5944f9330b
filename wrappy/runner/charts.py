"""Charts as PNG files, for chats, mails and whatever shows no HTML."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wrappy.errors import ConfigError
from wrappy.model import Side
from wrappy.runner.performance.summary import percent, ratio
from wrappy.runner.results_page.drawings import CROWD, is_far_from
from wrappy.runner.results_page.series import (
    candle_series,
    equity_series,
    hold_series,
    mark_series,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.runner.performance.results import Results
    from wrappy.runner.results_page.series import MarketTape
    from wrappy.runner.sweep.heat_map import HeatMap

_GOOD, _BAD, _MARK, _SOFT, _LINE = "#0b8a5f", "#c8364a", "#3558d4", "#69727d", "#e3e6ea"
_DPI = 110


def write_charts(
    results: Results, folder: str | Path, *, tapes: Sequence[MarketTape] = ()
) -> list[Path]:
    """Write `equity.png`, `trades.png` and a `price-SYMBOL.png` for each market.

    Args:
        results: what the run came to.
        folder: made when missing.
        tapes: prices and fills of its markets.

    Returns:
        the files.

    Raises:
        ConfigError: matplotlib is not installed, or the results have no curve.
    """
    if not results.curve:
        raise ConfigError("results: have no curve to draw; run the strategy again")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    found = [_write(_equity(results, tapes), folder / "equity.png")]
    if results.round_trips:
        found.append(_write(_trades(results), folder / "trades.png"))
    for tape in tapes:
        name = tape.market.symbol.replace("/", "-")
        found.append(_write(_price(tape), folder / f"price-{name}.png"))
    return found


def write_heat_map(told: HeatMap, path: str | Path) -> Path:
    """Write a heat map and return its path.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    wide, high = len(told.x_labels), len(told.y_labels)
    figure = _figure(min(4 + 0.55 * wide, 14), min(2 + 0.42 * high, 11))
    axes = figure.subplots()
    known = [abs(one) for row in told.cells for one in row if one is not None]
    most = max(known, default=0.0) or 1.0
    cells = [
        [float("nan") if one is None else one for one in row] for row in told.cells
    ]
    image = axes.imshow(
        cells, origin="lower", aspect="auto", cmap="RdYlGn", vmin=-most, vmax=most
    )
    axes.set_xticks(range(wide), told.x_labels, rotation=45 if wide > 8 else 0)  # noqa: PLR2004 - labels would touch
    axes.set_yticks(range(high), told.y_labels)
    axes.set(xlabel=told.x, ylabel=told.y, title=f"{told.figure}, median of a cell")
    axes.spines[:].set_visible(False)
    if wide * high <= 200:  # noqa: PLR2004 - more would not be legible
        for row, line in enumerate(told.cells):
            for column, one in enumerate(line):
                if one is not None:
                    axes.text(column, row, f"{one:.2f}", ha="center", va="center")
    figure.colorbar(image, ax=axes)
    return _write(figure, Path(path))


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.backends.backend_agg import (  # noqa: PLC0415 - may be missing
            FigureCanvasAgg,
        )
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "charts: matplotlib is not installed; pip install 'wrappy-lighter[report]'"
        ) from error
    # Figures of one's own leave the process's other figures, and its screen, alone.
    figure: Any = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _write(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    return path


def _times(at_ms: Sequence[int]) -> list[datetime]:
    return [datetime.fromtimestamp(one / 1_000, timezone.utc) for one in at_ms]


def _dress(axes: Any) -> None:
    axes.grid(color=_LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_LINE)
    axes.tick_params(colors=_SOFT, labelsize=9)


def _equity(results: Results, tapes: Sequence[MarketTape]) -> Any:
    told = equity_series(results)
    at = _times(told.at_ms)
    figure = _figure(11, 6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.fill_between(at, told.low, told.high, color=_MARK, alpha=0.15, linewidth=0)
    upper.plot(at, told.equity, color=_MARK, linewidth=1.4, label="equity")
    during = [
        one
        for tape in tapes[:1]
        for one in tape.candles
        if one.start_ms >= results.start_ms
    ]
    held = hold_series(results, during)
    if held and not is_far_from(held, told):
        upper.plot(
            _times(candle_series(during).at_ms),
            held,
            color=_SOFT,
            linewidth=0.9,
            linestyle=":",
            label=f"had it followed {tapes[0].market.symbol}",
        )
    lower.fill_between(
        at, [100 * one for one in told.drawdown], color=_BAD, alpha=0.3, linewidth=0
    )
    upper.set_title(
        f"{results.about.strategy or 'run'}: return {percent(results.returns.total)}, "
        f"Sharpe {ratio(results.returns.sharpe)} (n {results.returns.n}), max drawdown "
        f"{percent(results.drawdown.deepest)}",
        loc="left",
        fontsize=11,
    )
    upper.set_ylabel("USDC", color=_SOFT)
    lower.set_ylabel("drawdown, %", color=_SOFT)
    upper.legend(frameon=False, fontsize=9)
    for axes in (upper, lower):
        _dress(axes)
    return figure


def _trades(results: Results) -> Any:
    profits = [trip.pnl / 1_000_000 for trip in results.round_trips]
    figure = _figure(11, 4)
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    colours = [_GOOD if one > 0 else _BAD for one in profits]
    left.bar(range(1, len(profits) + 1), profits, color=colours, width=1)
    left.set_title("profit of each trade, USDC", loc="left", fontsize=11)
    left.set_xlabel("trade", color=_SOFT)
    right.hist(profits, bins=min(40, max(5, len(profits) // 4)), color=_MARK, alpha=0.8)
    right.set_title("trades by profit", loc="left", fontsize=11)
    right.set_xlabel("USDC", color=_SOFT)
    for axes in (left, right):
        _dress(axes)
    return figure


def _price(tape: MarketTape) -> Any:
    told = candle_series(tape.candles)
    at = _times(told.at_ms)
    figure = _figure(11, 5)
    axes = figure.subplots()
    axes.fill_between(at, told.low, told.high, color=_SOFT, alpha=0.25, linewidth=0)
    axes.plot(at, told.close, color=_SOFT, linewidth=0.9)
    for side, name, marker, colour in (
        (Side.BUY, "bought", "^", _GOOD),
        (Side.SELL, "sold", "v", _BAD),
    ):
        marks = mark_series(tape, side)
        axes.scatter(
            _times(marks.at_ms),
            marks.price,
            marker=marker,
            color=colour,
            s=34 if len(marks.at_ms) <= CROWD else 9,
            edgecolors="white",
            linewidths=0.6 if len(marks.at_ms) <= CROWD else 0,
            label=name,
            zorder=3,
        )
    axes.set_title(f"trades on {tape.market.symbol}, USDC", loc="left", fontsize=11)
    axes.legend(frameon=False, fontsize=9)
    _dress(axes)
    return figure
