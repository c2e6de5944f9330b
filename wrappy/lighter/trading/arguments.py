"""Checks of what callers pass besides prices and sizes, each naming its argument."""

from __future__ import annotations

import decimal
import math
from decimal import Decimal
from typing import TYPE_CHECKING

from wrappy._core.coi import COI_MAX
from wrappy.errors import InvalidOrderError
from wrappy.protocol.channels import RESOLUTIONS_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_ORDER_INDEX = (1 << 60) - 1
BASIS_POINTS = 10_000

# Text that is no number becomes NaN, whatever the caller's own context traps.
_EXACT = decimal.Context(prec=decimal.MAX_PREC, traps=[])


def checked_coi(value: object, *, field: str = "client_order_index") -> int:
    """Return a client order index.

    Raises:
        InvalidOrderError: it is none.
    """
    return checked_whole(value, 1, COI_MAX, field=field)


def checked_order_index(value: object) -> int:
    """Return an index the exchange gave an order.

    Raises:
        InvalidOrderError: it is none.
    """
    return checked_whole(value, COI_MAX + 1, MAX_ORDER_INDEX, field="order_index")


def checked_whole(value: object, low: int, high: int, *, field: str) -> int:
    """Return a whole number of a range.

    Raises:
        InvalidOrderError: it is none, or outside.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidOrderError(field, value, "is not a whole number")
    if not low <= value <= high:
        raise InvalidOrderError(field, value, f"is outside {low}..{high}")
    return value


def checked_bps(value: object, *, default: int) -> int:
    """Return a slippage in 1e-4, `default` for None.

    Raises:
        InvalidOrderError: not a whole number within 0..10000.
    """
    if value is None:
        return default
    return checked_whole(value, 0, BASIS_POINTS, field="slippage_bps")


def checked_flag(value: object, *, field: str) -> bool:
    """Return a truth value; nothing else counts as one.

    Raises:
        InvalidOrderError: it is none.
    """
    if not isinstance(value, bool):
        raise InvalidOrderError(field, value, "is neither True nor False")
    return value


def checked_word(value: object, words: Iterable[str], *, field: str) -> str:
    """Return one of some words.

    Raises:
        InvalidOrderError: it is none of them.
    """
    choices = tuple(words)
    for word in choices:
        if isinstance(value, str) and value == word:
            return word
    raise InvalidOrderError(field, value, f"is none of {', '.join(choices)}")


def checked_seconds(value: object, *, field: str, most: float = 3600.0) -> float:
    """Return a waiting time in seconds, 0 or more.

    Raises:
        InvalidOrderError: not a number, negative, or above `most`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidOrderError(field, value, "is not a number of seconds")
    if math.isnan(value) or not 0 <= value <= most:
        raise InvalidOrderError(field, value, f"is outside 0..{most:g} seconds")
    return float(value)


def checked_decimal(value: object, *, field: str) -> Decimal:
    """Return a finite number; a float counts as the shortest decimal it prints.

    Raises:
        InvalidOrderError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise InvalidOrderError(field, value, "is no number")
    number = Decimal(repr(value) if isinstance(value, float) else value, _EXACT)
    if not number.is_finite():
        raise InvalidOrderError(field, value, "is no finite number")
    return number


def candle_length_ms(resolution: object) -> int:
    """Return the length of a candle in milliseconds.

    Raises:
        InvalidOrderError: there is no such resolution.
    """
    length = RESOLUTIONS_MS.get(resolution) if isinstance(resolution, str) else None
    if length is None:
        words = ", ".join(RESOLUTIONS_MS)
        raise InvalidOrderError("resolution", resolution, f"is none of {words}")
    return length
