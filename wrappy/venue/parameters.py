"""Reading request parameters: typed, bounded, refused with the parameter's name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from wrappy.venue.exchange import Refused
from wrappy.venue.gate import INVALID_PARAMETER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ALL_MARKETS = 255
LAST_MARKET = 4_094
MARKET_TYPES = ("spot", "perp")
LATEST_MS = 5_000_000_000_000
"""Largest timestamp that queries take (official OpenAPI file)."""
RowT = TypeVar("RowT")
_INTEGER = re.compile(r"-?[0-9]{1,19}")


class Parameters:
    """The query of a GET or the form of a POST."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str | None = None) -> str:
        """Return a parameter as it stands.

        Raises:
            Refused: 20001, it is missing and has no default.
        """
        value = self._values.get(name, default)
        if value is None:
            raise wrong(name, "is required")
        return value

    def integer(
        self,
        name: str,
        default: int | None = None,
        *,
        low: int = -(2**63),
        high: int = 2**63 - 1,
    ) -> int:
        """Return a parameter as an integer within bounds.

        Raises:
            Refused: 20001, it is missing, no integer, or out of bounds.
        """
        text = self.text(name, None if default is None else str(default))
        if not _INTEGER.fullmatch(text):
            raise wrong(name, "must be an integer")
        value = int(text)
        if not low <= value <= high:
            raise wrong(name, f"must be within {low}..{high}")
        return value

    def choice(self, name: str, *options: str, default: str | None = None) -> str:
        """Return a parameter that must be one of `options`.

        Raises:
            Refused: 20001, it is missing or something else.
        """
        text = self.text(name, default)
        if text not in options:
            raise wrong(name, f"must be one of {', '.join(options)}")
        return text

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a parameter as a boolean.

        Raises:
            Refused: 20001, it is neither true nor false.
        """
        word = "true" if default else "false"
        options = ("true", "false", "True", "False")
        return self.choice(name, *options, default=word).lower() == "true"

    def market(self) -> int | None:
        """Return the `market_id` asked for, or None for all markets."""
        market_id = self.integer("market_id", ALL_MARKETS, low=0, high=LAST_MARKET)
        return None if market_id == ALL_MARKETS else market_id

    def market_types(self, name: str = "market_type") -> frozenset[str]:
        """Return the types of markets that a parameter asks for.

        Raises:
            Refused: 20001, it is none of all, spot and perp.
        """
        wanted = self.choice(name, "all", *MARKET_TYPES, default="all")
        return frozenset(MARKET_TYPES if wanted == "all" else (wanted,))

    def limit(self, most: int = 100) -> int:
        """Return the required `limit` of a list."""
        return self.integer("limit", low=1, high=most)


def wrong(name: str, problem: str) -> Refused:
    """Return the refusal of one parameter."""
    return Refused(INVALID_PARAMETER, f"invalid param: {name} {problem}")


def span(query: Parameters, *, required: bool = True) -> tuple[int, int]:
    """Return the first and the last timestamp asked for, as they stand.

    Args:
        query: the request's parameters.
        required: whether both must be there; else all of time is meant.

    Raises:
        Refused: 20001, one cannot be used; 22401, it is no time; 22400, the last is
            before the first.
    """
    first = query.integer("start_timestamp", None if required else 0)
    last = query.integer("end_timestamp", None if required else LATEST_MS)
    if not (0 <= first <= LATEST_MS and 0 <= last <= LATEST_MS):
        raise Refused(22401)
    if last < first:
        raise Refused(22400)
    return first, last


def asked_resolution(query: Parameters, lengths: Mapping[str, int]) -> str:
    """Return the `resolution` asked for.

    Raises:
        Refused: 20001, it is missing; 22402, there is none of that name.
    """
    resolution = query.text("resolution")
    if resolution not in lengths:
        raise Refused(22402)
    return resolution


def page(
    rows: Sequence[RowT],
    query: Parameters,
    limit: int,
    *,
    key: Callable[[RowT], tuple[int, ...]] | None = None,
) -> tuple[Sequence[RowT], str]:
    """Return the rows from the `cursor` asked for, and the cursor of the next ones.

    New rows that come in front meanwhile change nothing for who reads on.

    Args:
        rows: newest first.
        query: the request's parameters.
        limit: most rows of one answer.
        key: numbers that place a row and never change, larger for newer ones; the
            cursor then says which row came last. Without it the cursor says how many
            rows are left, which holds as long as no row goes at the end.

    Raises:
        Refused: 20001, the cursor is none of the exchange's.
    """
    text = query.text("cursor", "")
    if key is None:
        left = len(rows)
        if text not in ("", "0"):
            left = Parameters({"cursor": text}).integer("cursor", low=0)
        start = max(0, len(rows) - left)
        wanted = rows[start : start + limit]
        more = len(rows) - start - len(wanted)
        return wanted, str(more) if more else ""
    if text not in ("", "0"):
        parts = [Parameters({"cursor": part}) for part in text.split("-")]
        last = tuple(part.integer("cursor", low=0) for part in parts)
        keys = [key(row) for row in rows]
        if last in keys:
            rows = rows[keys.index(last) + 1 :]
        else:  # the row itself has gone meanwhile
            rows = [row for row, place in zip(rows, keys, strict=True) if place < last]
    wanted = rows[:limit]
    more_rows = len(rows) > limit
    return wanted, "-".join(map(str, key(wanted[-1]))) if more_rows else ""
