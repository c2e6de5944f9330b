"""Rows of the exchange kept small: their values packed, their field names shared.

The rows of one kind all have the same forty field names, which are two thirds of
their text and most of a dict. Thousands are kept and hardly one is ever looked at.
What comes back is what JSON can hold: a `Decimal` comes back as its text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

# More kinds of rows than an exchange has; beyond them names are just not shared.
_MOST_SHAPES = 64

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


def unpacked(names: tuple[str, ...], values: bytes) -> dict[str, Any]:
    """Return a packed row, a fresh object each time."""
    return dict(zip(names, _decode(values), strict=True))


class RowPacker:
    """Packs rows; those with the same fields share the names."""

    __slots__ = ("_latest", "_shapes")

    def __init__(self) -> None:
        self._latest: tuple[str, ...] = ()
        self._shapes: dict[tuple[str, ...], tuple[str, ...]] = {}

    def pack(self, row: Mapping[str, Any]) -> tuple[tuple[str, ...], bytes] | None:
        """Return a row's field names and values, None if it is not plain JSON."""
        try:
            values = _encode(list(row.values()))
        except (TypeError, OverflowError, UnicodeEncodeError, RecursionError):
            return None
        names = tuple(row)
        # Nearly always the row is of the same kind as the one before.
        if names != self._latest:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            self._latest = self._shapes.setdefault(names, names)
        return self._latest, values
