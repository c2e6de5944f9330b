"""Proof against looking ahead: what is decided on a part is decided on the whole."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from wrappy.errors import ConfigError
from wrappy.runner.backtest.backtest import run_backtest
from wrappy.runner.backtest.data import CandleData
from wrappy.runner.backtest.tape_data import TapeData
from wrappy.runner.history.values import resolution_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wrappy.runner.backtest.settings import BacktestSettings
    from wrappy.runner.strategy.strategy import Strategy
    from wrappy.venue.events import TxAccepted

    _One: TypeAlias = CandleData | TapeData

_SIGNATURES: Final = frozenset({"Sig", "L1Sig"})
"""Differ from run to run although what is signed is the same."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One transaction as it was sent: an order, a change, a cancel or anything else.

    Attributes:
        at_us: when it came to the exchange, unix microseconds.
        tx_type: its type's number on the wire, such as 14 for a new order.
        fields: what it says, by the names of the wire, without signatures.
    """

    at_us: int
    tx_type: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LookAhead:
    """Where a strategy decided otherwise than it would have without the future.

    Attributes:
        known_until_ms: end of the data that were left, unix milliseconds.
        on_part: what it decided on them.
        on_whole: what it decided up to then with the later ones behind them.
    """

    known_until_ms: int
    on_part: tuple[Decision, ...]
    on_whole: tuple[Decision, ...]


def decisions_on_prefixes(
    make_strategy: Callable[[tuple[Any, ...]], Strategy[Any]],
    data: CandleData | TapeData | Sequence[CandleData | TapeData],
    settings: BacktestSettings | None = None,
    *,
    cuts: Sequence[int],
) -> list[LookAhead]:
    """Run a strategy on parts of the data and compare with the whole.

    A strategy that does not look ahead sends on the first `n` candles, or seconds of
    a tape, just what it sends on all of them until then: orders, changes, cancels.

    Args:
        make_strategy: makes the strategy for the data it runs on, candles or tapes;
            most have no use for them: `lambda _: Momentum()`.
        data: candles of each market it trades, or a tape of each.
        settings: what is assumed.
        cuts: how much each part has of the first market: so many of its candles, or
            so many seconds of its tape. Of the others it has what was over by then.

    Returns:
        The parts on which it decided otherwise; nothing when it does not look ahead.

    Raises:
        ConfigError: a cut that leaves nothing of a market, or everything.
    """
    tapes = (data,) if isinstance(data, (CandleData, TapeData)) else tuple(data)
    length, units = _length(tapes[0])
    for cut in cuts:
        if not 0 < cut < length:
            raise ConfigError(f"cuts: {cut} is not from 1 to below {length} {units}")
    parts = [_part(tapes, cut) for cut in cuts]
    whole = _decisions(make_strategy, tapes, settings)
    found = []
    for part in parts:
        end_ms = part[0].end_ms
        # What is decided at the very end comes to the exchange after it.
        on_part = _before(_decisions(make_strategy, part, settings), end_ms)
        on_whole = _before(whole, end_ms)
        if on_part != on_whole:
            found.append(LookAhead(end_ms, on_part, on_whole))
    return found


def _length(first: _One) -> tuple[int, str]:
    if isinstance(first, CandleData):
        return len(first.rows), "candles"
    return -(-(first.end_ms - first.begin_ms) // 1_000), "seconds"


def _part(tapes: tuple[_One, ...], cut: int) -> tuple[_One, ...]:
    first = tapes[0]
    if isinstance(first, CandleData):
        end_ms = first.rows[cut - 1].start_ms + resolution_ms(first.resolution)
    else:
        end_ms = first.begin_ms + cut * 1_000
    return tuple(
        _candles_until(one, end_ms)
        if isinstance(one, CandleData)
        else one.between(one.begin_ms, end_ms)
        for one in tapes
    )


def _candles_until(candles: CandleData, end_ms: int) -> CandleData:
    last_ms = end_ms - resolution_ms(candles.resolution)
    count = bisect_right(candles.rows, last_ms, key=lambda row: row.start_ms)
    if not count:
        raise ConfigError(f"cuts: {end_ms} leaves no candle of {candles.symbol}")
    return replace(candles, rows=candles.rows[:count])


def _before(decisions: Sequence[Decision], end_ms: int) -> tuple[Decision, ...]:
    return tuple(one for one in decisions if one.at_us < end_ms * 1_000)


def _decisions(
    make_strategy: Callable[[tuple[Any, ...]], Strategy[Any]],
    tapes: tuple[_One, ...],
    settings: BacktestSettings | None,
) -> list[Decision]:
    run = run_backtest(lambda: make_strategy(tapes), tapes, settings)
    return [_decision(sent) for sent in run.sent]


def _decision(sent: TxAccepted) -> Decision:
    told = {name: one for name, one in sent.info.items() if name not in _SIGNATURES}
    return Decision(sent.at_us, sent.tx_type, told)
