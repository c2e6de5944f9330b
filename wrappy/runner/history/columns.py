"""Which column of a table is which field: named by the caller, or by its heading."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from wrappy.runner.history.cells import BadCellError, read_number, time_reader
from wrappy.runner.history.values import HistoryError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Column: TypeAlias = str | int | None
"""A heading, an index from 0 in a table without headings, or None to find it."""

CANDLE_HEADINGS: Final[dict[str, tuple[str, ...]]] = {
    "time": (
        *("timestamp", "time", "open_time", "start_time", "datetime", "date"),
        *("start_ms", "start", "ts", "t"),
    ),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "base_volume": ("base_volume", "volume", "volume_base", "vol", "v"),
    "quote_volume": (
        *("quote_volume", "quote_asset_volume", "volume_quote", "turnover", "V"),
    ),
    "last_trade_id": ("last_trade_id", "i"),
}
TRADE_HEADINGS: Final[dict[str, tuple[str, ...]]] = {
    "time": (
        *("timestamp", "time", "transact_time", "datetime", "date", "timestamp_ms"),
        *("ts", "t", "T"),
    ),
    "price": ("price", "p"),
    "size": ("size", "qty", "quantity", "amount", "q"),
    "side": ("side", "taker_side"),
    "buyer_is_maker": ("is_buyer_maker", "buyer_is_maker", "m"),
    "maker_is_ask": ("is_maker_ask", "maker_is_ask"),
    "trade_id": ("trade_id", "id", "agg_trade_id", "a"),
}
"""Headings that are known; `Open time` is `open_time`, letters keep their case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleColumns:
    """Where a table of candles has its fields; None looks for a usual heading.

    Attributes:
        time: beginning of the candle.
        open: first price.
        high: highest price.
        low: lowest price.
        close: last price.
        base_volume: traded, in the base asset.
        quote_volume: traded, in USDC.
        last_trade_id: newest trade in it.
    """

    time: Column = None
    open: Column = None
    high: Column = None
    low: Column = None
    close: Column = None
    base_volume: Column = None
    quote_volume: Column = None
    last_trade_id: Column = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeColumns:
    """Where a table of trades has its fields; None looks for a usual heading.

    One of the three that tell the taker's side must be there.

    Attributes:
        time: time of the trade.
        price: in USDC.
        size: in the base asset, unsigned.
        side: side of the taker: buy or sell.
        buyer_is_maker: true when the taker sold.
        maker_is_ask: true when the taker bought.
        trade_id: number of the trade, growing.
    """

    time: Column = None
    price: Column = None
    size: Column = None
    side: Column = None
    buyer_is_maker: Column = None
    maker_is_ask: Column = None
    trade_id: Column = None


def chosen(columns: CandleColumns | TradeColumns | None) -> dict[str, str | int]:
    """Return the fields that the caller has placed.

    Raises:
        HistoryError: headings and indices are mixed.
    """
    if columns is None:
        return {}
    told = asdict(columns).items()
    found = {name: place for name, place in told if place is not None}
    if len({isinstance(place, int) for place in found.values()}) > 1:
        raise HistoryError(
            "headings and indices are mixed",
            source="columns",
            fix="name all columns by heading, or all by index from 0",
        )
    return found


def places(
    first_row: Sequence[str],
    told: Mapping[str, str | int],
    headings: Mapping[str, tuple[str, ...]],
    *,
    required: Sequence[str],
    source: str,
) -> tuple[dict[str, int], bool]:
    """Return the index of every field's column, and whether the first row is a heading.

    Args:
        first_row: the table's first row.
        told: what the caller placed.
        headings: usual headings of every field.
        required: fields that must be there.
        source: the file, for messages.

    Raises:
        HistoryError: a field is missing or ambiguous, or there is no heading.
    """
    _check_delimiter(first_row, source)
    has_heading = not any(isinstance(place, int) for place in told.values())
    if has_heading and _is_data(first_row):
        raise HistoryError(
            "the first row is data, there is no heading",
            source=source,
            line=1,
            fix="say which column is which by index, from 0, with columns=",
        )
    if has_heading:
        names = [name.strip() for name in first_row]
        found = {field: _named(names, str(told[field]), source) for field in told}
        for field, usual in headings.items():
            if field not in found:
                index = _usual(names, usual, found, field, source)
                if index is not None:
                    found[field] = index
    else:
        found = {field: int(place) for field, place in told.items()}
        for field, index in found.items():
            if not 0 <= index < len(first_row):
                raise HistoryError(
                    f"{field} is column {index}, but there are {len(first_row)}",
                    source=source,
                    line=1,
                    fix="count columns from 0",
                )
    for field in required:
        if field not in found:
            raise HistoryError(
                f"no column for {field}",
                source=source,
                line=1,
                fix=f"call its column {field}, or name it with columns=; the first row "
                f"is {', '.join(first_row)}",
            )
    return found, has_heading


def _check_delimiter(row: Sequence[str], source: str) -> None:
    for delimiter in (";", "\t", "|", ","):
        if len(row) == 1 and delimiter in row[0]:
            raise HistoryError(
                "the first row is a single cell",
                source=source,
                line=1,
                fix=f"say what stands between cells: delimiter={delimiter!r}",
            )


def _is_data(row: Sequence[str]) -> bool:
    for cell in row:
        for read in (read_number, _read_time):
            try:
                read(cell)
            except BadCellError:
                continue
            return True
    return False


def _read_time(cell: str) -> int:
    return time_reader(cell, None).read(cell)


def _named(names: list[str], wanted: str, source: str) -> int:
    if names.count(wanted) != 1:
        problem = "there are two of" if wanted in names else "there is no"
        raise HistoryError(
            f"{problem} column {wanted!r}",
            source=source,
            line=1,
            fix=f"the headings are {', '.join(names)}",
        )
    return names.index(wanted)


def _usual(
    names: list[str],
    usual: tuple[str, ...],
    taken: Mapping[str, int],
    field: str,
    source: str,
) -> int | None:
    hits = [
        index
        for index, name in enumerate(names)
        if index not in taken.values()
        and (name if len(name) == 1 else name.lower().replace(" ", "_")) in usual
    ]
    if len(hits) > 1:
        both = " and ".join(repr(names[index]) for index in hits)
        raise HistoryError(
            f"{both} could each be the {field}",
            source=source,
            line=1,
            fix=f"say which with columns=, {field}=...",
        )
    return hits[0] if hits else None
