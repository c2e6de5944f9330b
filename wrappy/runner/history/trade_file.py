"""Trades from a file of the caller's own: CSV, packed CSV or Parquet."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from wrappy.model import Side, Trade
from wrappy.runner.history.cells import (
    BadCellError,
    TimeReader,
    TimeUnit,
    read_count,
    read_number,
    time_reader,
)
from wrappy.runner.history.columns import (
    TRADE_HEADINGS,
    TradeColumns,
    chosen,
    places,
)
from wrappy.runner.history.tables import path_of, table_rows
from wrappy.runner.history.values import HistoryError, TradeSeries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal
    from pathlib import Path

_SIDES: Final = {"buy": Side.BUY, "b": Side.BUY, "sell": Side.SELL, "s": Side.SELL}
_TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False}
_SIDE_FIELDS: Final = ("side", "buyer_is_maker", "maker_is_ask")


class TradeFile:
    """Trades of a file, oldest first, checked row by row in constant memory.

    Iterating reads the file from its beginning, as often as wanted. A row that repeats
    the one before is dropped and counted if trades have ids; without ids, equal trades
    may both be real, so all of them are kept and numbered from 1.

    Args:
        path: CSV, CSV packed with gzip, or Parquet (needs the extra `parquet`).
        market_id: index that the trades get.
        columns: where the fields are; None looks for usual headings.
        time_unit: `s`, `ms`, `us`, `ns` or `iso`; None tells by the first row. All
            rows must then be written like it.
        delimiter: between the cells of a CSV file.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        market_id: int = 0,
        columns: TradeColumns | None = None,
        time_unit: TimeUnit | None = None,
        delimiter: str = ",",
    ) -> None:
        self._path = path_of(path)
        self._source = str(self._path)
        self._market_id = market_id
        self._told = chosen(columns)
        self._time_unit = time_unit
        self._delimiter = delimiter
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._index: dict[str, int] = {}
        self._names: list[str] = []
        self._side_field = ""
        self._times: TimeReader | None = None
        self._last: Trade | None = None
        self._first_ms: int | None = None
        self._count = 0
        self._duplicates = 0

    @property
    def series(self) -> TradeSeries:
        """What the latest pass has found so far."""
        return TradeSeries(
            source=self._source,
            first_ms=self._first_ms,
            last_ms=None if self._last is None else self._last.timestamp_ms,
            count=self._count,
            duplicates=self._duplicates,
            time_format="" if self._times is None else self._times.words,
            numbered_here=bool(self._index) and "trade_id" not in self._index,
        )

    def __iter__(self) -> Iterator[Trade]:
        """Read the file from its beginning.

        Raises:
            HistoryError: a row cannot be used; the message names it.
        """
        self._start_afresh()
        for line, cells in self._rows():
            trade = self._read(line, cells)
            if self._is_next(trade, line, cells):
                if self._first_ms is None:
                    self._first_ms = trade.timestamp_ms
                self._last = trade
                self._count += 1
                yield trade

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        table = table_rows(self._path, self._delimiter)
        line, head = next(table, (1, []))
        if not head:
            raise HistoryError(
                "is empty", source=self._source, fix="give a file with trades"
            )
        self._index, has_heading = places(
            head,
            self._told,
            TRADE_HEADINGS,
            required=("time", "price", "size"),
            source=self._source,
        )
        self._names = head if has_heading else [str(at) for at in range(len(head))]
        telling = [name for name in _SIDE_FIELDS if name in self._index]
        if not telling:
            raise HistoryError(
                "no column tells the taker's side",
                source=self._source,
                line=line,
                fix="name one of side, buyer_is_maker, maker_is_ask with columns=",
            )
        self._side_field = telling[0]
        return table if has_heading else chain([(line, head)], table)

    def _read(self, line: int, cells: list[str]) -> Trade:
        if len(cells) != len(self._names):
            raise HistoryError(
                f"the row has {len(cells)} cell(s), the first row {len(self._names)}",
                source=self._source,
                line=line,
                fix="mend the row, or say what stands between cells with delimiter=",
            )
        field = "time"
        try:
            text = cells[self._index[field]].strip()
            if self._times is None:
                self._times = time_reader(text, self._time_unit)
            at_ms = self._times.read(text)
            trade_id = self._count + 1
            field = "trade_id"
            if field in self._index:
                trade_id = read_count(cells[self._index[field]])
            field = "price"
            price = _positive(cells[self._index[field]], "mend or remove the row")
            field = "size"
            size = _positive(cells[self._index[field]], "give sizes unsigned")
            field = self._side_field
            side = _side(field, cells[self._index[field]])
        except BadCellError as error:
            raise self._complaint(error, field, line, cells) from error
        return Trade(trade_id, self._market_id, price, size, side, at_ms)

    def _is_next(self, trade: Trade, line: int, cells: list[str]) -> bool:
        """Return whether a trade follows the one before, False if it repeats it."""
        last = self._last
        if last is None:
            return True
        if trade == last:
            self._duplicates += 1
            return False
        field = "time"
        if trade.timestamp_ms < last.timestamp_ms:
            words = "lies before the trade above it"
        elif trade.trade_id > last.trade_id:
            return True
        elif trade.trade_id == last.trade_id:
            field, words = "trade_id", "is there twice, with different content"
        else:
            field, words = "trade_id", f"comes after {last.trade_id}"
        problem = BadCellError(words, "sort the rows by time and id, oldest first")
        raise self._complaint(problem, field, line, cells)

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


def _positive(text: str, fix: str) -> Decimal:
    number = read_number(text)
    if number <= 0:
        raise BadCellError("is not above zero", fix)
    return number


def _side(field: str, text: str) -> Side:
    word = text.strip().lower()
    if field == "side":
        if word not in _SIDES:
            raise BadCellError("is no side", "write the taker's side: buy or sell")
        return _SIDES[word]
    if word not in _TRUTHS:
        raise BadCellError("is neither true nor false", "write true or false")
    taker_buys = _TRUTHS[word] is (field == "maker_is_ask")
    return Side.BUY if taker_buys else Side.SELL
