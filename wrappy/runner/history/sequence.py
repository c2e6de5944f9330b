"""Candles in a row: order, repeats, gaps, and whether the last one is over.

Rows go in one at a time; what comes out is over and stands in order. One candle is
held back, since only a later one shows that it is over.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError
from wrappy.runner.history.values import (
    GAPS_LISTED,
    ON_GAP,
    CandleSeries,
    FlatCandle,
    Gap,
    HistoryError,
    OnGap,
    resolution_ms,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wrappy.model import Candle

_ZERO: Final = Decimal(0)


class CandleSequence:
    """The checks that candles of every source go through. Performs no I/O.

    Args:
        source: file or address, for messages.
        symbol: market as the caller names it.
        resolution: length of a candle, such as `5m`.
        on_gap: `report` notes a gap and goes on, `refuse` raises, `flat` notes it and
            puts `FlatCandle` in.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(
        self, *, source: str, symbol: str, resolution: str, on_gap: OnGap = "report"
    ) -> None:
        if on_gap not in ON_GAP:
            raise ConfigError(
                f"on_gap: {on_gap!r} is unknown; choose one of {', '.join(ON_GAP)}"
            )
        self._source = source
        self._symbol = symbol
        self._resolution = resolution
        self._step_ms = resolution_ms(resolution)
        self._on_gap = on_gap
        self._held: Candle | None = None
        self._first_ms: int | None = None
        self._last_ms: int | None = None
        self._count = 0
        self._gaps: list[Gap] = []
        self._gap_count = 0
        self._missing = 0
        self._duplicates = 0
        self._dropped_ms: int | None = None

    def feed(self, candle: Candle, line: int) -> Iterable[Candle]:
        """Take the next candle and return those that are over now, oldest first.

        Args:
            candle: as the source has it.
            line: where it stands there, from 1.

        Raises:
            HistoryError: it is out of order, off the beat, another version of the one
                before, or behind a gap that is to be refused.
        """
        held = self._held
        if held is None:
            self._held = candle
            return ()
        elapsed_ms = candle.start_ms - held.start_ms
        if elapsed_ms != self._step_ms:
            if elapsed_ms == 0 and candle == held:
                self._duplicates += 1
                return ()
            self._check_step(candle, elapsed_ms, line)
            self._held = candle
            return chain(self._over(held), self._bridge(held, candle, line))
        self._held = candle
        return self._over(held)

    def end(
        self, *, as_of_ms: int | None = None, keep_last: bool = False
    ) -> Iterable[Candle]:
        """Return the last candle if it is over, or note that it is dropped.

        Args:
            as_of_ms: when the source was written, unix milliseconds: a candle that
                ended by then is over.
            keep_last: the caller knows that it is over.
        """
        held, self._held = self._held, None
        if held is None:
            return ()
        ends_ms = held.start_ms + self._step_ms
        if keep_last or (as_of_ms is not None and ends_ms <= as_of_ms):
            return self._over(held)
        self._dropped_ms = held.start_ms
        return ()

    def series(
        self, *, time_format: str = "", absent: tuple[str, ...] = ()
    ) -> CandleSeries:
        """Return what was found so far.

        Args:
            time_format: how the times were read.
            absent: fields that the source does not have.
        """
        is_filled = self._on_gap == "flat"
        return CandleSeries(
            source=self._source,
            symbol=self._symbol,
            resolution=self._resolution,
            resolution_ms=self._step_ms,
            first_ms=self._first_ms,
            last_ms=self._last_ms,
            count=self._count,
            gaps=tuple(self._gaps),
            gap_count=self._gap_count,
            missing=self._missing,
            filled=self._missing if is_filled else 0,
            duplicates=self._duplicates,
            dropped_last_ms=self._dropped_ms,
            time_format=time_format,
            absent=absent,
        )

    def _over(self, candle: Candle) -> tuple[Candle]:
        if self._first_ms is None:
            self._first_ms = candle.start_ms
        self._last_ms = candle.start_ms
        self._count += 1
        return (candle,)

    def _check_step(self, candle: Candle, elapsed_ms: int, line: int) -> None:
        if elapsed_ms == 0:
            problem = "is there twice, with different numbers"
            fix = "remove the wrong one"
        elif elapsed_ms < 0:
            problem = f"lies {-elapsed_ms / 1_000:.10g} s before the candle above it"
            fix = "sort the rows by time, oldest first"
        elif elapsed_ms % self._step_ms:
            problem = (
                f"lies {elapsed_ms / 1_000:.10g} s after the candle above it, which "
                f"{self._resolution} candles cannot"
            )
            fix = "give the right resolution=, or remove the row"
        else:
            return
        raise HistoryError(
            problem,
            source=self._source,
            line=line,
            column="time",
            value=str(candle.start_ms),
            fix=fix,
        )

    def _bridge(self, before: Candle, after: Candle, line: int) -> Iterable[Candle]:
        step = self._step_ms
        gap = Gap(
            before.start_ms + step,
            after.start_ms,
            (after.start_ms - before.start_ms) // step - 1,
        )
        if self._on_gap == "refuse":
            raise HistoryError(
                f"comes after a gap of {gap.missing} candle(s)",
                source=self._source,
                line=line,
                column="time",
                value=str(after.start_ms),
                fix="fetch what is missing, or pass on_gap='report' or 'flat'",
            )
        self._gap_count += 1
        self._missing += gap.missing
        if len(self._gaps) < GAPS_LISTED:
            self._gaps.append(gap)
        return self._flat(before, gap) if self._on_gap == "flat" else ()

    def _flat(self, before: Candle, gap: Gap) -> Iterator[Candle]:
        price = before.close
        for start_ms in range(gap.start_ms, gap.end_ms, self._step_ms):
            flat = FlatCandle(
                start_ms,
                *(price,) * 4,
                base_volume=_ZERO,
                quote_volume=_ZERO,
                last_trade_id=before.last_trade_id,
                closed=True,
            )
            yield from self._over(flat)
