"""Candles from a file of the caller's own: CSV, packed CSV or Parquet."""

from __future__ import annotations

from decimal import Decimal
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING, Final

from wrappy.model import Candle
from wrappy.runner.history.cells import (
    BadCellError,
    TimeReader,
    TimeUnit,
    read_count,
    read_number,
    time_reader,
)
from wrappy.runner.history.columns import (
    CANDLE_HEADINGS,
    CandleColumns,
    chosen,
    places,
)
from wrappy.runner.history.sequence import CandleSequence
from wrappy.runner.history.tables import path_of, table_rows
from wrappy.runner.history.values import (
    CandleSeries,
    HistoryError,
    OnGap,
    resolution_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PRICES: Final = ("open", "high", "low", "close")
_LOOK_AHEAD: Final = 100
"""Candles that are looked at to find the resolution."""

_KNOWN_PRICES: Final = 100_000
"""Prices that are kept for when they come again: a market comes back to most of its
prices, and a `Decimal` of its own for each of a year's candles is 200 MB."""

_ZERO: Final = Decimal(0)


class CandleFile:
    """Candles of a file, oldest first, checked row by row in constant memory.

    Iterating reads the file from its beginning, as often as wanted. Every candle that
    comes out is over. Prices are the digits of the file, never a `float`. The last
    candle is dropped unless something shows that it is over: no file says whether its
    last row was still growing when it was written.

        candles = CandleFile("ETH_5m.csv", symbol="ETH", resolution="5m")
        for candle in candles:
            ...
        print(candles.series.notes())

    Args:
        path: CSV, CSV packed with gzip, or Parquet (needs the extra `parquet`).
        symbol: market, for the summary.
        resolution: such as `5m`; None takes the smallest step of the first hundred
            rows.
        columns: where the fields are; None looks for usual headings.
        time_unit: `s`, `ms`, `us`, `ns` or `iso`; None tells by the first row. All
            rows must then be written like it.
        delimiter: between the cells of a CSV file.
        on_gap: `report` notes gaps, `refuse` raises at the first, `flat` puts a
            `FlatCandle` for every missing one.
        as_of_ms: when the data was taken, unix milliseconds: a last candle that ended
            by then is kept.
        keep_last: the last candle is over, whatever the above.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        symbol: str = "",
        resolution: str | None = None,
        columns: CandleColumns | None = None,
        time_unit: TimeUnit | None = None,
        delimiter: str = ",",
        on_gap: OnGap = "report",
        as_of_ms: int | None = None,
        keep_last: bool = False,
    ) -> None:
        self._path = path_of(path)
        self._source = str(self._path)
        self._symbol = symbol
        self._resolution = resolution
        self._told = chosen(columns)
        self._time_unit = time_unit
        self._delimiter = delimiter
        self._on_gap = on_gap
        self._as_of_ms = as_of_ms
        self._keep_last = keep_last
        self._times: TimeReader | None = None
        self._absent: tuple[str, ...] = ()
        # It judges the arguments, too.
        self._sequence = self._new_sequence(resolution or "1m")

    @property
    def series(self) -> CandleSeries:
        """What the latest pass has found so far."""
        return self._sequence.series(
            time_format=self._times.words if self._times is not None else "",
            absent=self._absent,
        )

    def __iter__(self) -> Iterator[Candle]:
        """Read the file from its beginning.

        Raises:
            HistoryError: a row cannot be used; the message names it.
        """
        rows = self._rows()
        if self._resolution is None:
            first = list(islice(rows, _LOOK_AHEAD))
            resolution = self._found_resolution([row.start_ms for _, row in first])
            rows = chain(first, rows)
        else:
            resolution = self._resolution
        self._sequence = sequence = self._new_sequence(resolution)
        for line, candle in rows:
            yield from sequence.feed(candle, line)
        yield from sequence.end(as_of_ms=self._as_of_ms, keep_last=self._keep_last)

    def _new_sequence(self, resolution: str) -> CandleSequence:
        return CandleSequence(
            source=self._source,
            symbol=self._symbol,
            resolution=resolution,
            on_gap=self._on_gap,
        )

    def _found_resolution(self, starts: list[int]) -> str:
        steps = [
            after - before for before, after in pairwise(starts) if after != before
        ]
        if not steps:
            raise HistoryError(
                f"{len(starts)} row(s) do not tell how long a candle is",
                source=self._source,
                fix="say so with resolution=, such as resolution='5m'",
            )
        # Order is judged row by row, where the message can name the row.
        shortest = min(abs(step) for step in steps)
        if shortest % 1_000:
            raise HistoryError(
                f"rows {shortest} ms apart are no candles",
                source=self._source,
                fix="read trades with TradeFile, or say the resolution=",
            )
        return resolution_name(shortest)

    def _rows(self) -> Iterator[tuple[int, Candle]]:
        table = table_rows(self._path, self._delimiter)
        line, head = next(table, (1, []))
        if not head:
            raise HistoryError(
                "is empty", source=self._source, fix="give a file with candles"
            )
        index, has_heading = places(
            head,
            self._told,
            CANDLE_HEADINGS,
            required=("time", *_PRICES),
            source=self._source,
        )
        self._absent = tuple(
            name for name in ("base_volume", "quote_volume") if name not in index
        )
        names = head if has_heading else [str(number) for number in range(len(head))]
        rows = table if has_heading else chain([(line, head)], table)
        first = next(rows, None)
        if first is None:
            return
        reader = _CandleRow(index, names, self._source)
        self._times = reader.start(first, self._time_unit)
        for line, cells in chain((first,), rows):
            yield line, reader.read(line, cells)


class _CandleRow:
    """Turns the cells of one row into a candle."""

    def __init__(self, index: dict[str, int], names: list[str], source: str) -> None:
        self._index = index
        self._names = names
        self._source = source
        self._times: TimeReader | None = None
        self._known: dict[str, Decimal] = {}

    def start(self, first: tuple[int, list[str]], unit: TimeUnit | None) -> TimeReader:
        """Find out how times are written, from the first row."""
        line, cells = first
        self._check_width(line, cells)
        try:
            self._times = time_reader(cells[self._index["time"]].strip(), unit)
        except BadCellError as error:
            raise self._complaint(error, "time", line, cells) from error
        return self._times

    def read(self, line: int, cells: list[str]) -> Candle:
        """Return the candle of a row.

        Raises:
            HistoryError: a cell cannot be read, or the prices contradict each other.
        """
        self._check_width(line, cells)
        index = self._index
        field = "time"
        try:
            start_ms = self._times.read(cells[index[field]].strip())  # type: ignore[union-attr]
            field = "open"
            first = self._price(cells[index[field]])
            field = "high"
            high = self._price(cells[index[field]])
            field = "low"
            low = self._price(cells[index[field]])
            field = "close"
            last = self._price(cells[index[field]])
            base = quote = _ZERO
            trade_id = 0
            field = "base_volume"
            if field in index:
                base = read_number(cells[index[field]])
            field = "quote_volume"
            if field in index:
                quote = read_number(cells[index[field]])
            field = "last_trade_id"
            if field in index:
                trade_id = read_count(cells[index[field]])
        except BadCellError as error:
            raise self._complaint(error, field, line, cells) from error
        if not (0 < low <= first <= high >= last >= low) or base < 0 or quote < 0:
            field, words = _contradiction(first, high, low, last, base)
            problem = BadCellError(words, "mend or remove the row")
            raise self._complaint(problem, field, line, cells)
        return Candle(start_ms, first, high, low, last, base, quote, trade_id, True)

    def _price(self, text: str) -> Decimal:
        """Return a price, the same object for the same digits."""
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= _KNOWN_PRICES:
                self._known.clear()
            self._known[text] = known = read_number(text)
        return known

    def _check_width(self, line: int, cells: list[str]) -> None:
        if len(cells) != len(self._names):
            raise HistoryError(
                f"the row has {len(cells)} cell(s), the first row {len(self._names)}",
                source=self._source,
                line=line,
                fix="mend the row, or say what stands between cells with delimiter=",
            )

    def _complaint(
        self, error: BadCellError, field: str, line: int, cells: list[str]
    ) -> HistoryError:
        at = self._index[field]
        return HistoryError(
            error.problem,
            source=self._source,
            line=line,
            column=self._names[at],
            value=cells[at],
            fix=error.fix,
        )


def _contradiction(
    first: Decimal, high: Decimal, low: Decimal, last: Decimal, base: Decimal
) -> tuple[str, str]:
    """Return the field at fault and what is wrong with it."""
    prices = {"open": first, "high": high, "low": low, "close": last}
    for name, price in prices.items():
        if price <= 0:
            return name, "is not above zero"
    for name in ("open", "close", "low"):
        if high < prices[name]:
            return "high", f"is below the {name} {prices[name]}"
    for name in ("open", "close"):
        if low > prices[name]:
            return "low", f"is above the {name} {prices[name]}"
    return ("base_volume" if base < 0 else "quote_volume"), "is negative"
