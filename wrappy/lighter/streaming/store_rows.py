"""What the stores for pybotters decide, without pybotters: which row counts.

Rows stay as the exchange spells them. Here is only what has to be known before one
may replace another: whether it can be read, whether its order has ended, which of
two words on an order is the later one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from wrappy._core.order_states import ENDING_REPORTS, classify
from wrappy._core.scaling import fixed_to_int
from wrappy.errors import ProtocolError
from wrappy.lighter.asking.reading import (
    decimal,
    public_trade,
    rows_by_market,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal
    from typing import TypeAlias

    Row: TypeAlias = dict[str, Any]
    OrderKey: TypeAlias = tuple[int, int]
    OrderRank: TypeAlias = tuple[int, Decimal, bool]

LARGEST_INDEX = 2**63 - 1
NO_LIMIT = 2**63
"""Rows of a store that must not be dropped unseen: what is gone is told."""

DEEPEST = 4
"""Objects within objects beyond which a row is nonsense; the exchange uses two."""

BOOK_DECIMALS = 12
"""More decimals than any market prints, so that no market's scales are needed."""


def index_in(row: Mapping[str, Any], field: str) -> int:
    """Return a field that names something by number.

    Raises:
        ProtocolError: it is missing, no whole number, or not within 0..2**63-1.
    """
    value = whole(row, field)
    if not 0 <= value <= LARGEST_INDEX:
        raise ProtocolError(f"{field}: {value} is not within 0..{LARGEST_INDEX}")
    return value


def sound_row(value: object) -> Row:
    """Return a copy of a row that can be kept, copied and compared.

    Raises:
        ProtocolError: it is no object, is nested too deeply, or has a number that
            is not finite.
    """
    if not isinstance(value, dict):
        raise ProtocolError(f"a {type(value).__name__} is no row")
    _require_plain(value, DEEPEST)
    return dict(value)


def _require_plain(value: object, depth: int) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ProtocolError(f"{value!r} is no number")
    if isinstance(value, (dict, list)):
        if depth == 0:
            raise ProtocolError(f"objects are nested deeper than {DEEPEST}")
        for inner in value.values() if isinstance(value, dict) else value:
            _require_plain(inner, depth - 1)


def rows_in(message: Mapping[str, Any], *fields: str) -> list[Row]:
    """Return the rows of some fields, each a list or a map from market to rows.

    Raises:
        ProtocolError: a field holds something else.
    """
    return [
        row for field in fields for row in rows_by_market(message.get(field), field)
    ]


def order_row(value: object, account_index: int) -> Row:
    """Return an order's row with the account it belongs to.

    Raises:
        ProtocolError: it cannot be read.
    """
    row = sound_row(value)
    row["account_index"] = account_index
    index_in(row, "market_index")
    index_in(row, "order_index")
    order_rank(row)
    has_ended(row)
    return row


def has_ended(row: Mapping[str, Any]) -> bool:
    """Whether the order of a row can trade no more.

    Raises:
        ProtocolError: the status is none of the exchange's.
    """
    return classify(str(row.get("status")), 0).event in ENDING_REPORTS


def order_rank(row: Mapping[str, Any]) -> OrderRank:
    """Return what the later one of two words on one order has more of.

    The time of the change decides. Rows without it, as on older servers, are told
    apart by their `nonce` and, as that stays while an order fills, by what has
    traded; leaving the engine need not count as a change of its own.

    Raises:
        ProtocolError: a field cannot be read.
    """
    timed = bool(row.get("transaction_time"))
    return (
        index_in(row, "transaction_time" if timed else "nonce"),
        decimal(row, "filled_base_amount"),
        row.get("status") != "in-progress",
    )


class BookLevel(NamedTuple):
    """One price of a book, counted and as the exchange printed it.

    Attributes:
        side: `bids` or `asks`.
        ticks: price in steps of 10**-12, so that two spellings of it meet.
        lots: size in steps of 10**-12.
        price: as printed.
        size: as printed.
    """

    side: str
    ticks: int
    lots: int
    price: str
    size: str


class BookChange(NamedTuple):
    """A snapshot or a change of a book.

    Attributes:
        levels: of both sides.
        begin_nonce: nonce that it builds on; 0 for a snapshot.
        nonce: its own.
    """

    levels: list[BookLevel]
    begin_nonce: int
    nonce: int

    def plain(self, side: str) -> list[tuple[int, int]]:
        """Return pairs of ticks and lots of one side."""
        return [(one.ticks, one.lots) for one in self.levels if one.side == side]


def book_change(body: object, *, snapshot: bool) -> BookChange:
    """Return what a frame's `order_book` tells.

    Raises:
        ProtocolError: it cannot be read.
    """
    if not isinstance(body, dict):
        raise ProtocolError("order_book: the frame has no book")
    levels = []
    for side in ("bids", "asks"):
        for row in rows_in(body, side):
            price, size = str(row.get("price")), str(row.get("size"))
            ticks = fixed_to_int(price, BOOK_DECIMALS)
            lots = fixed_to_int(size, BOOK_DECIMALS)
            levels.append(BookLevel(side, ticks, lots, price, size))
    begin = 0 if snapshot else index_in(body, "begin_nonce")
    return BookChange(levels, begin, index_in(body, "nonce"))


def trades_by_id(values: Iterable[object], **added: int) -> dict[int, Row]:
    """Return the rows of trades by trade id, with what is to be added to each.

    Raises:
        ProtocolError: one cannot be read.
    """
    rows = {}
    for value in values:
        row = sound_row(value)
        public_trade(row)
        index_in(row, "market_id")
        rows[index_in(row, "trade_id")] = {**row, **added}
    return rows


def ticker_row(message: Mapping[str, Any], market_id: int) -> Row:
    """Return the row of a ticker's frame; an empty side has empty texts.

    Raises:
        ProtocolError: it cannot be read.
    """
    row = sound_row(message.get("ticker"))
    for side in ("a", "b"):
        best = row.get(side)
        if not isinstance(best, dict):
            raise ProtocolError(f"{side}: a ticker without that side")
        decimal(best, "price")
        decimal(best, "size")
    return {**row, "market_id": market_id, "nonce": index_in(message, "nonce")}


def stats_rows(body: object) -> list[Row]:
    """Return the rows of a frame of market stats, of one market or of all.

    Raises:
        ProtocolError: one cannot be read.
    """
    if not isinstance(body, dict):
        raise ProtocolError("market_stats: the frame has none")
    rows = [sound_row(r) for r in ([body] if "market_id" in body else body.values())]
    for row in rows:
        index_in(row, "market_id")
        for field in ("mark_price", "index_price", "mid_price", "last_trade_price"):
            decimal(row, field)
    return rows
