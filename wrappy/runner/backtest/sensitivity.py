"""How much of a result hangs on what was assumed of fills."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from wrappy.runner.backtest.backtest import run_backtest
from wrappy.runner.backtest.data import CandleData
from wrappy.runner.backtest.settings import QUEUES, BacktestSettings
from wrappy.runner.backtest.tape_data import TapeData
from wrappy.venue.bundled import market_named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor
    from decimal import Decimal

    from wrappy.runner.performance.results import Results
    from wrappy.runner.strategy.strategy import Strategy

    _One: TypeAlias = CandleData | TapeData
    _Data: TypeAlias = _One | Sequence[_One]

LATENCY_FACTOR: Final = 5
"""How many times longer messages are on their way in the slow case."""

WIDTH: Final = 80
"""Columns of a terminal that the table fits."""

_PART: Final = 10_000
"""The slippage of the careful case is this part of the price: 1 in 10,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityRow:
    """One set of assumptions and what came of it.

    Attributes:
        name: what differs from the others.
        settings: the assumptions.
        total_return: end capital over start capital, less one.
        sharpe: a year's Sharpe ratio; None when it cannot be told.
        max_drawdown: deepest fall from a peak, 0 or below.
        fills: executions.
        fees: paid, USDC.
        crashed: whether the strategy raised; the figures are those until then.
        reason: what it raised, in words; empty when it did not.
    """

    name: str
    settings: BacktestSettings
    total_return: float
    sharpe: float | None
    max_drawdown: float
    fills: int
    fees: Decimal
    crashed: bool
    reason: str = ""


def fill_models(
    settings: BacktestSettings, data: CandleData | Sequence[CandleData]
) -> dict[str, BacktestSettings]:
    """Return assumptions to compare, by name; the given ones come first.

    Args:
        settings: what is varied.
        data: tells how many ticks a ten-thousandth of the price is.
    """
    first = data if isinstance(data, CandleData) else data[0]
    market = market_named(first.symbol)
    ticks = max(1, int(first.rows[0].close * market.price_scale) // _PART)
    slipped = settings.slippage_ticks + ticks
    return {
        "as set": settings,
        "filled on touch": replace(settings, fill_on_touch=True),
        "filled when passed": replace(settings, fill_on_touch=False),
        f"passed, slippage +{ticks} tick(s)": replace(
            settings, fill_on_touch=False, slippage_ticks=slipped
        ),
        f"latency x{LATENCY_FACTOR}": replace(
            settings,
            request_ms=_longer(settings.request_ms),
            reply_ms=_longer(settings.reply_ms),
        ),
        "takers wait for the next point": replace(settings, hold_takers=True),
    }


def _longer(bounds_ms: tuple[int, int]) -> tuple[int, int]:
    low, high = bounds_ms
    return low * LATENCY_FACTOR, high * LATENCY_FACTOR


def fill_cases(
    settings: BacktestSettings, data: _Data
) -> dict[str, tuple[BacktestSettings, tuple[_One, ...]]]:
    """Return what is compared, by name: assumptions, and the data to run them on.

    On candles these are the `fill_models`; on tapes the queue models and a longer way.
    The first is what was given.

    Args:
        settings: what is varied.
        data: candles or tapes.
    """
    given = (data,) if isinstance(data, (CandleData, TapeData)) else tuple(data)
    tapes = [one for one in given if isinstance(one, TapeData)]
    if not tapes:
        candles = [one for one in given if isinstance(one, CandleData)]
        models = fill_models(settings, candles)
        return {name: (model, given) for name, model in models.items()}
    slow = replace(
        settings,
        request_ms=_longer(settings.request_ms),
        reply_ms=_longer(settings.reply_ms),
    )
    return {
        "as set": (settings, given),
        **{
            f"queue: {queue}": (settings, tuple(one.queued(queue) for one in tapes))
            for queue in QUEUES
            if queue != tapes[0].queue
        },
        f"latency x{LATENCY_FACTOR}": (slow, given),
    }


def sensitivity(
    make_strategy: Callable[[], Strategy[Any]],
    data: CandleData | TapeData | Sequence[CandleData | TapeData],
    settings: BacktestSettings | None = None,
    *,
    executor: Executor | None = None,
) -> tuple[SensitivityRow, ...]:
    """Run a strategy once for each of several assumptions on fills.

    A result that lives in one row only is a result of the assumption.

    Args:
        make_strategy: makes the strategy; its class, or a function.
        data: candles of each market it trades, or tapes, of which the queue models
            are compared.
        settings: what is varied.
        executor: runs them side by side; all three have to be picklable where it
            works in other processes. One after another without it.

    Raises:
        ConfigError: data and strategy do not fit.
    """
    cases = fill_cases(settings or BacktestSettings(), data)
    # Told apart by what they are, not by what is in them: candles have no hash.
    keys = {
        name: (model, tuple(map(id, played))) for name, (model, played) in cases.items()
    }
    unlike = {keys[name]: case for name, case in cases.items()}
    if executor is None:
        told = [
            _results(make_strategy, played, model) for model, played in unlike.values()
        ]
    else:
        coming = [
            executor.submit(_results, make_strategy, played, model)
            for model, played in unlike.values()
        ]
        told = [one.result() for one in coming]
    found = dict(zip(unlike, told, strict=True))
    return tuple(
        sensitivity_row(name, model, *found[keys[name]])
        for name, (model, _) in cases.items()
    )


def _results(
    make_strategy: Callable[[], Strategy[Any]],
    data: Sequence[_One],
    settings: BacktestSettings,
) -> tuple[Results, str | None]:
    run = run_backtest(make_strategy, data, settings)
    return run.results, crash_in_words(run.crashed)


def crash_in_words(crashed: BaseException | None) -> str | None:
    """Return what a strategy raised; None when it did not."""
    return None if crashed is None else f"{type(crashed).__name__}: {crashed}"


def sensitivity_row(
    name: str, settings: BacktestSettings, results: Results, crash: str | None
) -> SensitivityRow:
    """Return what came of a set of assumptions.

    Args:
        name: what differs from the others.
        settings: the assumptions.
        results: what the run came to.
        crash: what the strategy raised; None when it did not.
    """
    return SensitivityRow(
        name=name,
        settings=settings,
        total_return=results.returns.total,
        sharpe=results.returns.sharpe,
        max_drawdown=results.drawdown.deepest,
        fills=results.activity.fills,
        fees=results.costs.fees,
        crashed=crash is not None,
        reason=crash or "",
    )


def sensitivity_text(rows: Sequence[SensitivityRow]) -> str:
    """Return the rows as a table for a terminal, `WIDTH` columns at most.

    Where the strategy crashed its words stand instead of figures: those would be of a
    run that ended early.
    """
    width = max(len(row.name) for row in rows)
    heading = (
        f"{'Fills assumed':<{width}}  {'return':>8}  {'Sharpe':>6}  {'drawdown':>8}  "
        f"{'fills':>6}  {'fees':>9}"
    )
    lines = [heading]
    for row in rows:
        if row.crashed:
            words = " ".join(f"crashed: {row.reason}".split())
            lines.append(_cut(f"{row.name:<{width}}  {words}"))
            continue
        sharpe = "-" if row.sharpe is None else f"{row.sharpe:.2f}"
        lines.append(
            f"{row.name:<{width}}  {row.total_return:>8.2%}  {sharpe:>6}  "
            f"{row.max_drawdown:>8.2%}  {row.fills:>6}  {row.fees:>9.2f}"
        )
    return "\n".join(lines)


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."
