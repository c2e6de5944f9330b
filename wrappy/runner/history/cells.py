"""Cells of a table: times and numbers out of their text, strictly and exactly."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Final, Literal, Protocol, TypeAlias

TimeUnit: TypeAlias = Literal["s", "ms", "us", "ns", "iso"]
"""How times are written: whole or broken numbers of a unit, or ISO 8601 text."""

_PER_SECOND: Final[dict[str, int]] = {
    "s": 1,
    "ms": 1_000,
    "us": 1_000_000,
    "ns": 1_000_000_000,
}
_EARLIEST_S: Final = 10**9
_LATEST_S: Final = 41 * 10**8
"""Unix seconds from September 2001 to December 2099: in these years the four units
cannot be mistaken for each other."""

_DAY_MS: Final = 86_400_000
_EPOCH: Final = date(1970, 1, 1).toordinal()
_ISO: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([01][0-9]|2[0-3]):([0-5][0-9])"
    r"(?::([0-5][0-9])(?:[.,]([0-9]{1,9}))?)?"
    r" ?(Z|[+-][0-9]{2}:?[0-5][0-9])?)?"
)
_PLAIN: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?").fullmatch
_NUMBER: Final = re.compile(
    r"[+-]?[0-9]{1,30}(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,2})?"
)
_MOST_ADJUSTED: Final = 24
_TIMES_OF_DAY_REMEMBERED: Final = 2_000


class BadCellError(ValueError):
    """A cell that cannot be read.

    Attributes:
        problem: what is wrong with it.
        fix: what to do about it.
        value: the cell's text; None for the cell at hand.
        column: where it stands; empty for the column at hand.
    """

    def __init__(
        self, problem: str, fix: str, *, value: str | None = None, column: str = ""
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix
        self.value = value
        self.column = column


class TimeReader(Protocol):
    """Reads the times of one column."""

    @property
    def words(self) -> str:
        """How the times are read, for people."""

    def read(self, text: str) -> int:
        """Return unix milliseconds, rounded down.

        Raises:
            BadCellError: the text is not a time of this reader's format.
        """


class UnixTimes:
    """Times that are numbers of a unit since 1970.

    Args:
        unit: `s`, `ms`, `us` or `ns`.
        detected: whether the unit was found out here.
    """

    def __init__(self, unit: str, *, detected: bool) -> None:
        per_second = _PER_SECOND[unit]
        self._unit = unit
        self._per_second = per_second
        self._low = _EARLIEST_S * per_second if detected else 0
        self._high = (_LATEST_S if detected else 10**11) * per_second
        self._detected = detected

    @property
    def words(self) -> str:
        """How the times are read, for people."""
        how = "found by their size" if self._detected else "as told"
        return f"unix time in {self._unit}, {how}"

    def read(self, text: str) -> int:
        """Return unix milliseconds, rounded down; see `TimeReader`."""
        if text.isdecimal() and text.isascii():
            number = int(text)
            at_ms = number * 1_000 // self._per_second
        else:
            exact = read_number(text)
            number = int(exact)
            at_ms = int(exact * 1_000 // self._per_second)
        if not self._low <= number < self._high:
            raise BadCellError(
                f"is no time in {self._unit}, as the rows before have it"
                if self._detected
                else f"is no time in {self._unit}",
                "write all times in one unit, or say which with time_unit=",
            )
        return at_ms


class IsoTimes:
    """Times as ISO 8601 text, all of them with an offset or none.

    Args:
        has_zone: whether they name an offset; without one they count as UTC.
    """

    def __init__(self, *, has_zone: bool) -> None:
        self._has_zone = has_zone
        self._day = ""
        self._day_ms = 0
        # Candles come at the same times every day; trades do not, so it is bounded.
        self._after_midnight_ms: dict[str, int] = {}

    @property
    def words(self) -> str:
        """How the times are read, for people."""
        zone = "with an offset" if self._has_zone else "without an offset, taken as UTC"
        return f"ISO 8601 {zone}"

    def read(self, text: str) -> int:
        """Return unix milliseconds, rounded down; see `TimeReader`."""
        if text[:10] == self._day:
            known_ms = self._after_midnight_ms.get(text[10:])
            if known_ms is not None:
                return self._day_ms + known_ms
        at_ms = self._read_anew(text)
        if len(self._after_midnight_ms) < _TIMES_OF_DAY_REMEMBERED:
            self._after_midnight_ms[text[10:]] = at_ms - self._day_ms
        return at_ms

    def _read_anew(self, text: str) -> int:
        match = _ISO.fullmatch(text)
        if match is None:
            raise BadCellError(
                "is no ISO 8601 time", "write it like 2025-04-03 17:05:00+00:00"
            )
        day, hour, minute, second, fraction, zone = match.groups()
        if (zone is not None) is not self._has_zone:
            raise BadCellError(
                "has an offset and others have none"
                if zone
                else "has no offset and others have one",
                "write all times of the column alike",
            )
        if day != self._day:
            self._day_ms = _day_ms(day)
            self._day = day
        if hour is None:
            return self._day_ms
        at_ms = self._day_ms + int(hour) * 3_600_000 + int(minute) * 60_000
        if second is not None:
            at_ms += int(second) * 1_000
        if fraction is not None:
            at_ms += int(fraction[:3].ljust(3, "0"))
        return at_ms if zone is None or zone == "Z" else at_ms - _offset_ms(zone)


def _day_ms(text: str) -> int:
    try:
        return (date.fromisoformat(text).toordinal() - _EPOCH) * _DAY_MS
    except ValueError as error:
        raise BadCellError(
            "is no day of the calendar", "write year, month, day as in 2025-04-03"
        ) from error


def _offset_ms(zone: str) -> int:
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    return (minutes if zone[0] == "+" else -minutes) * 60_000


def time_reader(text: str, unit: TimeUnit | None) -> TimeReader:
    """Return a reader for a column of times whose first cell is `text`.

    Args:
        text: the first cell.
        unit: how times are written; None finds it out.

    Raises:
        BadCellError: the format cannot be told from the cell.
    """
    match = _ISO.fullmatch(text)
    if unit == "iso" or (unit is None and match is not None):
        return IsoTimes(has_zone=match is not None and match[6] is not None)
    if unit is not None:
        return UnixTimes(unit, detected=False)
    if _NUMBER.fullmatch(text):
        number = Decimal(text)
        for name, per_second in _PER_SECOND.items():
            if _EARLIEST_S * per_second <= number < _LATEST_S * per_second:
                return UnixTimes(name, detected=True)
    raise BadCellError(
        "is neither a unix time of the years 2001 to 2099 nor ISO 8601",
        "name the column with the time, or say how it is written with time_unit=",
    )


def read_number(text: str) -> Decimal:
    """Return a number digit by digit, never through a `float`.

    Raises:
        BadCellError: it is no finite number of sensible size.
    """
    if _PLAIN(text) is not None:
        return Decimal(text)  # nearly always
    bare = text.strip()
    if _NUMBER.fullmatch(bare) is None:
        raise BadCellError(
            "is missing" if not bare else "is not a decimal number",
            "write digits and at most one point, such as 1773.32",
        )
    number = Decimal(bare)
    if number and abs(number.adjusted()) > _MOST_ADJUSTED:
        raise BadCellError("is beyond all measure", "give prices in USDC")
    return number


def read_count(text: str) -> int:
    """Return a whole number that is not negative.

    Raises:
        BadCellError: it is none.
    """
    bare = text.strip()
    if not (bare.isascii() and bare.isdecimal()):
        raise BadCellError(
            "is no whole number", "write digits only, such as 19211490282"
        )
    return int(bare)
