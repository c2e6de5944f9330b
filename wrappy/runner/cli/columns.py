"""Tables of plain text: columns that line up, also in a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with its column names, without a line's end.

    Numbers are ranged right, everything else left; the last column is never padded.

    Args:
        head: names of the columns.
        rows: texts, as many in each row as there are names.
    """
    columns = list(zip(head, *rows, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    right = [bool(rows) and all(map(_is_number, column[1:])) for column in columns]
    lines = []
    for row in (head, *rows):
        cells = [
            cell.rjust(width) if ranged else cell.ljust(width)
            for cell, width, ranged in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).removesuffix("%").removeprefix("-").isdecimal()


def one_line(text: str) -> str:
    """Return a text without what moves a terminal's cursor.

    Words of the exchange, or of an order, stand in tables.
    """
    return "".join(letter if letter.isprintable() else " " for letter in text)
