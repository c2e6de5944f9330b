"""Reading request parameters: typed, bounded, refused with the parameter's name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from wrappy.venue.exchange import Refused
from wrappy.venue.gate import INVALID_PARAMETER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ALL_MARKETS = 255
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
        market_id = self.integer("market_id", ALL_MARKETS, low=0, high=ALL_MARKETS)
        return None if market_id == ALL_MARKETS else market_id

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
        Refused: 20001, one cannot be used; 22400, the last is before the first.
    """
    first = query.integer(
        "start_timestamp", None if required else 0, low=0, high=LATEST_MS
    )
    last = query.integer(
        "end_timestamp", None if required else LATEST_MS, low=0, high=LATEST_MS
    )
    if last < first:
        raise Refused(22400)
    return first, last


def page(
    rows: Sequence[RowT], query: Parameters, limit: int
) -> tuple[Sequence[RowT], str]:
    """Return the rows from the `cursor` asked for, and the cursor of the next ones.

    Raises:
        Refused: 20001, the cursor is none of the exchange's.
    """
    start_text = query.text("cursor", "") or "0"
    start = Parameters({"cursor": start_text}).integer("cursor", low=0)
    more = start + limit < len(rows)
    return rows[start : start + limit], str(start + limit) if more else ""
