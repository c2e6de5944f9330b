"""Rows of a file as text, one at a time: CSV, packed CSV, and Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wrappy.runner.history.values import HistoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

_GZIP: Final = b"\x1f\x8b"
_PARQUET: Final = b"PAR1"
_BATCH_ROWS: Final = 8_192


def table_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of every row that is not empty, heading included.

    The content decides how a file is read, not its name.

    Args:
        path: the file.
        delimiter: between the cells of a CSV file.

    Raises:
        HistoryError: the file cannot be opened or read.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise HistoryError(
            f"cannot be opened: {error.strerror}",
            source=str(path),
            fix="give the path of a CSV or Parquet file that you may read",
        ) from error
    if magic == _PARQUET:
        return _parquet_rows(path)
    return _csv_rows(path, delimiter, is_packed=magic.startswith(_GZIP))


def _csv_rows(
    path: Path, delimiter: str, *, is_packed: bool
) -> Iterator[tuple[int, list[str]]]:
    line = 0
    try:
        with (
            gzip.open(path) if is_packed else path.open("rb") as raw,
            io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text,
        ):
            rows = csv.reader(text, delimiter=delimiter, strict=True)
            for row in rows:
                line = rows.line_num
                if row:
                    yield line, row
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _broken(path, line, f"the packed file is broken ({error})") from error
    except UnicodeDecodeError as error:
        raise _broken(path, line, "the text is not UTF-8") from error
    except csv.Error as error:
        raise _broken(path, line, f"no CSV ({error})") from error
    except OSError as error:
        raise _broken(path, line, f"cannot be read ({error.strerror})") from error


def _broken(path: Path, line: int, problem: str) -> HistoryError:
    return HistoryError(
        problem,
        source=str(path),
        line=line + 1,
        fix="fetch the file again, or write it anew as UTF-8 CSV",
    )


def _parquet_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        parquet: Any = import_module("pyarrow.parquet")
        arrow: Any = import_module("pyarrow")
    except ImportError as error:
        raise HistoryError(
            "reading Parquet needs pyarrow",
            source=str(path),
            fix="pip install 'wrappy-lighter[parquet]', or write the table as CSV",
        ) from error
    try:
        with parquet.ParquetFile(str(path)) as file:
            yield 1, [str(name) for name in file.schema_arrow.names]
            line = 1
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                columns = [
                    _plain(arrow, column).to_pylist() for column in batch.columns
                ]
                for cells in zip(*columns, strict=True):
                    line += 1
                    yield line, [_text(cell) for cell in cells]
    except (arrow.ArrowException, OSError, OverflowError, ValueError) as error:
        # The last two: times that Python has none for, in whatever column.
        raise HistoryError(
            f"no Parquet that can be read ({error})",
            source=str(path),
            fix="fetch the file again, or write the table as CSV",
        ) from error


def _plain(arrow: Any, column: Any) -> Any:
    """Return a column whose cells mean in Python what they mean in the file."""
    kind = column.type
    if arrow.types.is_timestamp(kind) and kind.unit == "ns":
        # Python's times end at microseconds, and what is read at milliseconds.
        return column.cast(arrow.timestamp("us", kind.tz), safe=False)
    if arrow.types.is_float32(kind) or arrow.types.is_float16(kind):
        # The digits that were meant; as a double it has those of its rounding, too.
        return column.cast(arrow.string())
    return column


def _text(cell: Any) -> str:
    """Return a cell as text; binary numbers by the shortest text that means them."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return repr(cell)
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def path_of(path: str | Path) -> Path:
    """Return a path with `~` put in full."""
    return Path(path).expanduser()
