"""What reading history gives besides its rows: gaps, summaries, and what was wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from wrappy.errors import ConfigError
from wrappy.model import Candle

OnGap: TypeAlias = Literal["report", "refuse", "flat"]
"""What becomes of a hole between two candles."""

ON_GAP: Final[tuple[OnGap, ...]] = ("report", "refuse", "flat")

GAPS_LISTED: Final = 1_000
"""Most gaps of a series that are listed; all are counted."""

_UNITS_MS: Final = {
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
_RESOLUTION: Final = re.compile(r"([1-9][0-9]{0,5})([smhdw])")


class HistoryError(ConfigError):
    """Data that cannot be used; the message says where, what and how to mend it.

    Attributes:
        source: file, or address of the answer, at fault.
        line: line of the file or row of the answer, from 1; None for the whole.
        column: its name or index; empty for the whole row.
        value: the text at fault.
        fix: what to do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        source: str,
        fix: str,
        line: int | None = None,
        column: str = "",
        value: str = "",
    ) -> None:
        place = source if line is None else f"{source}, line {line}"
        if column:
            place += f", column {column}"
        shown = f"{value[:60]!r} " if value or column else ""
        super().__init__(f"{place}: {shown}{problem}; {fix}")
        self.source = source
        self.line = line
        self.column = column
        self.value = value
        self.fix = fix


class ResolutionError(ConfigError):
    """Candles were asked for that cannot be made of the recorded ones.

    Attributes:
        asked: their resolution.
        recorded: that of the data.
    """

    def __init__(self, asked: str, recorded: str) -> None:
        super().__init__(
            f"resolution: {asked} candles cannot be made of the data's {recorded} "
            f"ones; ask for {recorded} or a multiple of it: --set resolution={recorded}"
        )
        self.asked = asked
        self.recorded = recorded


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of time without candles.

    Attributes:
        start_ms: beginning of the first candle that is missing, unix milliseconds.
        end_ms: beginning of the next candle that is there.
        missing: candles that are not there.
    """

    start_ms: int
    end_ms: int
    missing: int


@dataclass(frozen=True, slots=True)
class FlatCandle(Candle):
    """A candle put into a gap: the close before it, without volume.

    It never equals a real candle, and `isinstance` tells them apart.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleSeries:
    """What a pass over candles has found.

    Attributes:
        source: file or address they came from.
        symbol: market as the caller names it.
        resolution: length of a candle, such as `5m`.
        resolution_ms: the same in milliseconds; 0 while not known.
        first_ms: beginning of the first candle given out; None without one.
        last_ms: beginning of the last candle given out; None without one.
        count: candles given out, those put into gaps included.
        gaps: the first thousand gaps, oldest first.
        gap_count: all gaps.
        missing: candles missing in all gaps.
        filled: candles put into gaps, as `FlatCandle`.
        duplicates: rows that repeated the row before and were dropped.
        dropped_last_ms: beginning of the last candle when it was dropped, because
            nothing shows that it was over; None otherwise.
        time_format: how the times were read.
        absent: fields that the source does not have; they stand as 0.
    """

    source: str
    symbol: str
    resolution: str
    resolution_ms: int
    first_ms: int | None
    last_ms: int | None
    count: int
    gaps: tuple[Gap, ...]
    gap_count: int
    missing: int
    filled: int
    duplicates: int
    dropped_last_ms: int | None
    time_format: str
    absent: tuple[str, ...]

    def notes(self) -> tuple[str, ...]:
        """Return everything a reader of a result should know, one sentence each."""
        found = [f"times: {self.time_format}"] if self.time_format else []
        if self.gap_count:
            found.append(f"{self.gap_count} gap(s), {self.missing} candle(s) missing")
        if self.filled:
            found.append(f"{self.filled} flat candle(s) put into gaps")
        if self.duplicates:
            found.append(f"{self.duplicates} repeated row(s) dropped")
        if self.dropped_last_ms is not None:
            found.append("the last candle was dropped: nothing shows that it was over")
        found += [f"no {name} in the source: 0 stands for it" for name in self.absent]
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeSeries:
    """What a pass over trades has found.

    Attributes:
        source: file they came from.
        first_ms: time of the first trade; None without one.
        last_ms: time of the last trade; None without one.
        count: trades given out.
        duplicates: rows that repeated the row before and were dropped.
        time_format: how the times were read.
        numbered_here: whether the source has no trade ids, so that they count from 1
            and repeated rows cannot be told from equal trades.
    """

    source: str
    first_ms: int | None
    last_ms: int | None
    count: int
    duplicates: int
    time_format: str
    numbered_here: bool


def resolution_ms(resolution: str) -> int:
    """Return the length of a resolution such as `90s`, `5m`, `1h`, `1d`, `1w`.

    Raises:
        ConfigError: it is none.
    """
    match = _RESOLUTION.fullmatch(resolution)
    if match is None:
        raise ConfigError(
            f"resolution: {resolution!r} is no length of time; write a number and one "
            "of s, m, h, d, w, such as '5m'"
        )
    return int(match[1]) * _UNITS_MS[match[2]]


def resolution_name(length_ms: int) -> str:
    """Return the shortest name of a length in milliseconds; see `resolution_ms`."""
    for unit, unit_ms in reversed(_UNITS_MS.items()):
        if length_ms % unit_ms == 0:
            return f"{length_ms // unit_ms}{unit}"
    return f"{length_ms}ms"
