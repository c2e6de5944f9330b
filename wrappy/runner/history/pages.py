"""The exchange's own candles, page by page: what to ask next, what an answer holds.

Source: official API reference (`candles`: at most 500 rows an answer, fields that are
zero are left out) and recorded answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError, ProtocolError
from wrappy.model import Candle
from wrappy.runner.history.cells import BadCellError, read_number
from wrappy.runner.history.values import resolution_ms

if TYPE_CHECKING:
    from typing import NoReturn

PATH: Final = "/api/v1/candles"
PAGE_ROWS: Final = 500
RESOLUTIONS: Final = ("1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d", "1w")
"""Lengths of candles that the exchange has."""

_FIELDS: Final = {"open": "o", "high": "h", "low": "l", "close": "c"}


class CandlePages:
    """Asks for candles from one time to another, in windows. Performs no I/O.

    Each window is as long as one answer may be, so an answer is whole, and a window
    without trades does not end the walk.

    Args:
        market_id: index of the market.
        resolution: one of `RESOLUTIONS`.
        start_ms: beginning of the first candle wanted, unix milliseconds; rounded up
            to the resolution.
        end_ms: candles that begin before it are wanted.
        page_rows: candles to ask for at once, 1 to 500.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(
        self,
        *,
        market_id: int,
        resolution: str,
        start_ms: int,
        end_ms: int,
        page_rows: int = PAGE_ROWS,
    ) -> None:
        if resolution not in RESOLUTIONS:
            raise ConfigError(
                f"resolution: {resolution!r} is none of the exchange's; choose one of "
                f"{', '.join(RESOLUTIONS)}"
            )
        if not 0 < start_ms < end_ms:
            raise ConfigError(
                f"start_ms: {start_ms} is not between 0 and end_ms {end_ms}; give unix "
                "milliseconds"
            )
        if not 1 <= page_rows <= PAGE_ROWS:
            raise ConfigError(f"page_rows: {page_rows} is not between 1 and 500")
        self._market_id = market_id
        self._resolution = resolution
        self._step_ms = resolution_ms(resolution)
        self._next_ms = -(-start_ms // self._step_ms) * self._step_ms
        if resolution == "1w":
            # Weeks may begin on any day; the answers tell on which.
            self._next_ms = start_ms
        self._end_ms = end_ms
        self._page_ms = page_rows * self._step_ms
        self._page_rows = page_rows
        self.pages = 0
        """Answers taken in so far."""

    def request(self) -> dict[str, str] | None:
        """Return the parameters to ask with next, None when all was asked."""
        if self._next_ms >= self._end_ms:
            return None
        return {
            "market_id": str(self._market_id),
            "resolution": self._resolution,
            "start_timestamp": str(self._next_ms),
            "end_timestamp": str(self._window_end_ms() - 1),
            "count_back": str(self._page_rows),
        }

    def receive(self, answer: bytes | str | Mapping[str, Any]) -> list[Candle]:
        """Take the answer to `request` and return its candles, oldest first.

        Candles outside the window are left out: asked for a number of rows, the
        exchange may go back further than asked.

        Args:
            answer: the body as it came, which keeps every digit, or read as JSON.

        Raises:
            ProtocolError: it cannot be read; the message names row and field.
        """
        fields = _object(answer)
        told = fields.get("r")
        if told is not None and told != self._resolution:
            raise ProtocolError(
                f"candles.r: {told!r} where {self._resolution!r} was asked for"
            )
        rows = fields.get("c")
        if rows is None:
            rows = []
        if not isinstance(rows, list):
            raise ProtocolError(f"candles.c: {type(rows).__name__} is no list")
        candles = sorted(
            (_candle(row, number) for number, row in enumerate(rows)),
            key=lambda candle: candle.start_ms,
        )
        start_ms, end_ms = self._next_ms, self._window_end_ms()
        self._next_ms = end_ms
        self.pages += 1
        return [one for one in candles if start_ms <= one.start_ms < end_ms]

    def _window_end_ms(self) -> int:
        return min(self._next_ms + self._page_ms, self._end_ms)


def _no_constant(text: str) -> NoReturn:
    raise ProtocolError(f"candles: {text} is no number")


def _object(answer: bytes | str | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(answer, Mapping):
        return answer
    try:
        fields = json.loads(
            answer, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"candles: the answer is no JSON ({error})") from error
    if not isinstance(fields, dict):
        raise ProtocolError("candles: the answer is not a JSON object")
    return fields


def _candle(row: Any, number: int) -> Candle:
    if not isinstance(row, Mapping):
        raise ProtocolError(f"candles.c[{number}]: {row!r} is no object")
    prices = {name: _amount(row, key, number) for name, key in _FIELDS.items()}
    low, high = prices["low"], prices["high"]
    for name, price in prices.items():
        if price <= 0 or not low <= price <= high:
            raise ProtocolError(
                f"candles.c[{number}].{_FIELDS[name]}: {price} does not fit low {low} "
                f"and high {high}"
            )
    base, quote = _amount(row, "v", number), _amount(row, "V", number)
    if base < 0 or quote < 0:
        raise ProtocolError(f"candles.c[{number}].v: a negative volume")
    return Candle(
        start_ms=_whole(row, "t", number),
        **prices,
        base_volume=base,
        quote_volume=quote,
        last_trade_id=_whole(row, "i", number),
        closed=True,
    )


def _amount(row: Mapping[str, Any], key: str, number: int) -> Decimal:
    value = row.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, float, str)):
        raise ProtocolError(f"candles.c[{number}].{key}: {value!r} is no number")
    try:
        # The text of a float is the shortest that means it: what the exchange wrote.
        return read_number(str(value))
    except BadCellError as error:
        raise ProtocolError(
            f"candles.c[{number}].{key}: {value!r} {error.problem}"
        ) from error


def _whole(row: Mapping[str, Any], key: str, number: int) -> int:
    value = _amount(row, key, number)
    if value != int(value) or value < 0:
        raise ProtocolError(f"candles.c[{number}].{key}: {value} is no whole number")
    return int(value)
