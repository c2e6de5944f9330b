"""Proof against looking ahead: what is decided on a part is decided on the whole."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wrappy.errors import ConfigError
from wrappy.runner.backtest.backtest import run_backtest
from wrappy.runner.backtest.data import CandleData

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wrappy.runner.backtest.settings import BacktestSettings
    from wrappy.runner.strategy.strategy import Strategy
    from wrappy.venue.orders import VenueOrder


@dataclass(frozen=True, slots=True)
class Decision:
    """One order as it was sent.

    Attributes:
        at_us: when it came to the exchange, unix microseconds.
        market_index: its market.
        is_ask: whether it sells.
        price: ticks.
        base: lots.
        kind: order type, time in force and trigger price.
    """

    at_us: int
    market_index: int
    is_ask: bool
    price: int
    base: int
    kind: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class LookAhead:
    """Where a strategy decided otherwise than it would have without the future.

    Attributes:
        known_until_ms: end of the candles that were left, unix milliseconds.
        on_part: what it decided on them.
        on_whole: what it decided up to then with the later ones behind them.
    """

    known_until_ms: int
    on_part: tuple[Decision, ...]
    on_whole: tuple[Decision, ...]


def decisions_on_prefixes(
    make_strategy: Callable[[tuple[CandleData, ...]], Strategy[Any]],
    data: CandleData | Sequence[CandleData],
    settings: BacktestSettings | None = None,
    *,
    cuts: Sequence[int],
) -> list[LookAhead]:
    """Run a strategy on parts of the data and compare with the whole.

    A strategy that does not look ahead sends on the first `n` candles just what it
    sends on all of them until then.

    Args:
        make_strategy: makes the strategy for the data it runs on; most have no use
            for it: `lambda _: Momentum()`.
        data: candles of each market it trades.
        settings: what is assumed.
        cuts: how many candles of the first market each part has.

    Returns:
        The parts on which it decided otherwise; nothing when it does not look ahead.

    Raises:
        ConfigError: a cut that leaves nothing, or everything.
    """
    tapes = (data,) if isinstance(data, CandleData) else tuple(data)
    length = len(tapes[0].rows)
    for cut in cuts:
        if not 0 < cut < length:
            raise ConfigError(f"cuts: {cut} is not from 1 to below {length} candles")
    whole = _decisions(make_strategy, tapes, settings)
    found = []
    for cut in cuts:
        part = tuple(_until(tape, tapes[0].rows[cut - 1].start_ms) for tape in tapes)
        end_ms = max(tape.end_ms for tape in part)
        # What is decided at the very end comes to the exchange after it.
        on_part = _before(_decisions(make_strategy, part, settings), end_ms)
        on_whole = _before(whole, end_ms)
        if on_part != on_whole:
            found.append(LookAhead(end_ms, on_part, on_whole))
    return found


def _until(tape: CandleData, last_start_ms: int) -> CandleData:
    count = bisect_right(tape.rows, last_start_ms, key=lambda row: row.start_ms)
    return replace(tape, rows=tape.rows[: max(1, count)])


def _before(decisions: Sequence[Decision], end_ms: int) -> tuple[Decision, ...]:
    return tuple(one for one in decisions if one.at_us < end_ms * 1_000)


def _decisions(
    make_strategy: Callable[[tuple[CandleData, ...]], Strategy[Any]],
    tapes: tuple[CandleData, ...],
    settings: BacktestSettings | None,
) -> list[Decision]:
    run = run_backtest(lambda: make_strategy(tapes), tapes, settings)
    return [_decision(order) for order in run.orders]


def _decision(order: VenueOrder) -> Decision:
    return Decision(
        at_us=order.created_us,
        market_index=order.market_index,
        is_ask=order.is_ask,
        price=order.price,
        base=order.initial_base,
        kind=(order.order_type, order.time_in_force, order.trigger_price),
    )
