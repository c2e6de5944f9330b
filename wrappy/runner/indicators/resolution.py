"""Lengths of candles, and the stretch of time that a moment belongs to."""

from __future__ import annotations

import re
from typing import Final

from wrappy.errors import ConfigError

DAY_MS: Final = 86_400_000

_UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS}
_NAME: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])", re.ASCII)


def resolution_ms(resolution: str | int, name: str = "resolution") -> int:
    """Return a candle's length in milliseconds.

    Candles begin at whole multiples of their length since 1970, UTC, so a length has
    to go into a day without rest. Weeks begin on different days in different places,
    so there are none.

    Args:
        resolution: such as `5m`, `1h`, `1d`; or milliseconds.
        name: what to call it in the message.

    Raises:
        ConfigError: it is no length, or a day is not a multiple of it.
    """
    length = 0
    if isinstance(resolution, str):
        match = _NAME.fullmatch(resolution)
        length = int(match[1]) * _UNITS[match[2]] if match else 0
    elif not isinstance(resolution, bool) and isinstance(resolution, int):
        length = resolution
    if length <= 0 or DAY_MS % length:
        raise ConfigError(
            f"{name}: {resolution!r} must be a length that goes into a day without "
            f"rest, such as 1m, 5m, 4h or 1d, or its milliseconds"
        )
    return length


def start_of(moment_ms: int, length_ms: int) -> int:
    """Return when the candle began that a moment belongs to, unix milliseconds."""
    return moment_ms - moment_ms % length_ms
